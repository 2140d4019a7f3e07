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
        f" of them: {'; '.join(_best(task, own) for task, own in tested)}."
    )


def _best(task: str, rows: pd.DataFrame) -> str:
    best = rows["arms"].iloc[0].split(" − ")[0].removeprefix("best ")
    ends = [f"{claims.effect_words(row)} to the {row['arms'].split(' − ')[1]}" for _, row in rows.iterrows()]
    return f"on {task}, the lead of {best} in points of mAP is {' and '.join(ends)}"
