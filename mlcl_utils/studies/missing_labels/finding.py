"""What CLML was found to do where positives are missing."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import findings

FIGURE = "differences"


def sentence(folder: Path) -> str:
    """By how much CLML changes mAP, over all losses, data sets and shares of positives that can be judged."""
    rows = findings.judged(folder, "clml_helps")
    tested = rows[rows["verdict"] != "not judged"]
    if tested.empty:
        return "Where positives are missing, no arm with CLML can be judged."
    return (
        f"Where positives are missing, CLML changes mAP by {findings.span(tested)} points over {len(tested)} pairs of a"
        f" loss and a task that can be judged; to matter it has to add {tested['margin'].iloc[0]:g}"
        f" ({findings.counted(rows)})."
    )
