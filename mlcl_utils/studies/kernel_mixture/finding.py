"""What the parts of KMCL were found to contribute."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlcl_utils.studies import claims, findings

FIGURE = "parts"

_PARTS = {"kmcl_reconstruction": "the reconstruction", "kmcl_contrast": "the contrast"}


def sentence(folder: Path) -> str:
    """What each part adds where it can be judged, and where that leaves the whole beside BCE."""
    rows = findings.judged(folder, *_PARTS)
    said = [_task(folder, str(task), own) for task, own in rows.groupby("task", sort=False)]
    said.sort(key=lambda words: words.startswith("nothing"))
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."


def _task(folder: Path, task: str, rows: pd.DataFrame) -> str:
    tested, others = (rows[(rows["verdict"] != "not judged") == each] for each in (True, False))
    if tested.empty:
        return f"nothing can be judged on {task}"
    words = " and ".join(
        f"{_PARTS[row['claim']]} adds {claims.effect_words(row)}" for _, row in tested.iterrows()
    )
    words = f"on {task}, {words} points of mAP"
    if len(others):
        words += f" ({' and '.join(_PARTS[name] for name in others['claim'])} cannot be judged)"
    differences = findings.table(folder, "figures/parts.differences.csv")
    own = differences[differences["dataset"] == task].set_index("loss")["estimate"]
    if {"bce", "kmcl"} <= set(own.index):
        behind = own["bce"] - own["kmcl"]
        side = "behind" if behind > 0 else "ahead of"
        words += f", and on average the whole ends {abs(behind):.1f} points {side} BCE"
    return words
