"""When contrastive losses were found to win."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import findings

FIGURE = "label_count"


def sentence(folder: Path) -> str:
    """The lead of the best contrastive loss with many labels, on macro-F1 and on mAP."""
    ahead, ranked = (findings.judged(folder, name) for name in ("many_labels", "not_ahead_map"))
    one, other = (rows[rows["verdict"] != "not judged"] for rows in (ahead, ranked))
    if one.empty or other.empty:
        return "With many labels, no arm can be judged."
    behind = other.assign(estimate=-other["estimate"], lower=-other["upper"], upper=-other["lower"])
    return (
        f"With the most labels, the lead of the best contrastive loss over the best of the BCE type is"
        f" {findings.span(one)} points of macro-F1 ({findings.counted(ahead)}) and {findings.span(behind)} points of"
        f" mAP (that it is not ahead: {findings.counted(ranked)})."
    )
