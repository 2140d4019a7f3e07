"""What temperature was found to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlcl_utils.studies import claims, findings

FIGURE = "scores"


def sentence(folder: Path) -> str:
    """On how many tasks an intermediate temperature is best, and by how much it leads on all that can be judged."""
    rows = findings.judged(folder, "intermediate_best")
    tasks = list(rows.groupby("task", sort=False))
    tested = [(str(task), own) for task, own in tasks if (own["verdict"] != "not judged").all()]
    holds = [(task, own) for task, own in tested if (own["verdict"] == "holds").all()]
    if not tested:
        return f"On none of {len(tasks)} tasks can the best temperature be judged."
    count = f"{len(holds)}" if holds else "none"
    return (
        f"Of {len(tasks)} tasks {len(tested)} can be judged, and an intermediate temperature is clearly best on {count}"
        f" of them: {'; '.join(_best(task, own) for task, own in tested)}.{_geometry(folder)}"
    )


def _geometry(folder: Path) -> str:
    """What holds of the geometry over the source's temperatures; nothing where it is the same over all."""
    if not (folder / "tables" / "source_range.csv").is_file():
        return ""
    rows = findings.table(folder, "tables/source_range.csv")
    rows = rows[rows["impediment"].isna()]
    turned = rows[(rows["lower"] > 0) != (rows["source_lower"] > 0)]
    if turned.empty:
        return ""
    said = [
        f"{row['measured']} on {row['task']} is {_words(row, 'source_')} from there and {_words(row, '')} over all"
        for _, row in turned.iterrows()
    ]
    return (
        " Verdicts on the geometry hang on temperatures below the source's lowest,"
        f" {turned['lowest'].iloc[0]:g}: {'; '.join(said)}."
    )


def _words(row: pd.Series, of: str) -> str:
    found = {name: row[f"{of}{name}"] for name in ("estimate", "lower", "upper")}
    return f"{found['estimate']:+.2f} [{found['lower']:+.2f}, {found['upper']:+.2f}]"


def _best(task: str, rows: pd.DataFrame) -> str:
    best = rows["arms"].iloc[0].split(" − ")[0].removeprefix("best ")
    ends = [f"{claims.effect_words(row)} to the {row['arms'].split(' − ')[1]}" for _, row in rows.iterrows()]
    return f"on {task}, the lead of {best} in points of mAP is {' and '.join(ends)}"
