"""What the parts of KMCL were found to contribute."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import claims, findings

FIGURE = "parts"


def sentence(folder: Path) -> str:
    """What each part adds where it can be judged, and where that leaves the whole beside BCE."""
    rows = findings.judged(folder, "kmcl_reconstruction", "kmcl_contrast")
    differences = findings.table(folder, "figures/parts.differences.csv").set_index(["dataset", "loss"])[
        "estimate"
    ]
    said = []
    for task, own in rows[rows["verdict"] != "not judged"].groupby("task", sort=False):
        names = {"kmcl_reconstruction": "the reconstruction", "kmcl_contrast": "the contrast"}
        parts = [f"{names[row['claim']]} adds {claims.effect_words(row)}" for _, row in own.iterrows()]
        words = f"on {task}, {' and '.join(parts)} points of mAP"
        if (task, "bce") in differences.index and (task, "kmcl") in differences.index:
            behind = differences[task, "bce"] - differences[task, "kmcl"]
            words += (
                f", and the whole ends {abs(behind):.1f} points {'behind' if behind > 0 else 'ahead of'} BCE"
            )
        said.append(words)
    unjudged = rows[rows["verdict"] == "not judged"]["task"].unique()
    if len(unjudged):
        said.append(f"on {' and '.join(unjudged)}, arms are degenerate or terms dead, and nothing is judged")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}."
