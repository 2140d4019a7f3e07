"""What temperature was found to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlcl_utils.studies import claims, findings, wording
from mlcl_utils.studies.temperature.sweeps import LOWEST_OF_SOURCE

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
    """What claims on the geometry would rest on over the source's temperatures alone, where that points elsewhere."""
    path = folder / "tables" / "source_range.csv"
    if not path.is_file():  # the source has all of the temperatures
        return ""
    rows = findings.judged(folder, "uniformity_falls", "tolerance_rises", "hard_negatives_uniform")
    judged = set(
        zip(*(rows.loc[rows["verdict"] != "not judged", name] for name in ("task", "arms")), strict=True)
    )
    said = []
    for _, row in findings.table(folder, "tables/source_range.csv").iterrows():
        rests = (row["task"], row["measured"]) in judged and not isinstance(row["impediment"], str)
        if row["turns"] and rests:
            whole, part = (
                wording.bounded(*row[[f"{prefix}{name}" for name in ("estimate", "lower", "upper")]])
                for prefix in ("", "source_")
            )
            said.append(f"{row['measured']} on {row['task']} is {part} from there on and {whole} over all")
    if not said:
        return ""
    return (
        f" Verdicts on the geometry hang on temperatures below τ {LOWEST_OF_SOURCE:g}, where the source begins:"
        f" {'; '.join(said)}."
    )


def _best(task: str, rows: pd.DataFrame) -> str:
    best = rows["arms"].iloc[0].split(" − ")[0].removeprefix("best ")
    ends = [f"{claims.effect_words(row)} to the {row['arms'].split(' − ')[1]}" for _, row in rows.iterrows()]
    return f"on {task}, the lead of {best} in points of mAP is {' and '.join(ends)}"
