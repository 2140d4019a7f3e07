"""When contrastive losses were found to win."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import findings

FIGURE = "label_count"


def sentence(folder: Path) -> str:
    """The lead of the best contrastive loss with many labels, on macro-F1 and on mAP."""
    said = []
    for name, metric, claim in (
        ("many_labels", "macro-F1", "it is ahead"),
        ("not_ahead_map", "mAP", "it is not ahead"),
    ):
        rows = findings.judged(folder, name)
        tested = rows[rows["verdict"] != "not judged"]
        if name == "not_ahead_map":  # the claim is that the lead is not positive
            tested = tested.assign(
                estimate=-tested["estimate"], lower=-tested["upper"], upper=-tested["lower"]
            )
        by = f"{findings.span(tested)} points of {metric}" if len(tested) else f"not to be judged on {metric}"
        said.append(f"{by} (that {claim}: {findings.counted(rows)})")
    return (
        "With the most labels, the lead of the best contrastive loss over the best of the BCE type is"
        f" {' and '.join(said)}."
    )
