"""Whether findings about losses were found to carry over between images and text."""

from __future__ import annotations

import math
from pathlib import Path

from mlcl_utils.studies import findings

FIGURE = "correlations"


def sentence(folder: Path) -> str:
    """How far the order of losses by mAP is the same in texts and in images."""
    rows = findings.table(folder, "tables/correlations.csv")
    rows = rows[(rows["head"] == "probe") & (rows["metric"] == "map")]
    if rows.empty:
        return "Too few losses can be judged in both modalities to compare their order."
    row = rows.iloc[0]

    def number(name: str) -> str:
        text = f"{row[f'{name}_estimate']:+.2f}"
        if not math.isfinite(row[f"{name}_lower"]):
            return text
        # a t interval knows nothing of the ends of a correlation
        return f"{text} [{max(row[f'{name}_lower'], -1):+.2f}, {min(row[f'{name}_upper'], 1):+.2f}]"

    words = {
        "carries over": "carries over as far as can be known",
        "carries over in part": "carries over in part",
        "does not carry over": "does not carry over",
        "cannot be told": "cannot be said to carry over or not",
    }[row["verdict"]]
    return (
        f"Between {row['pair']}, the order of {len(row['losses'].split())} losses by mAP {words}: the rank correlation"
        f" is {number('between')}, beside {number('within texts')} within texts and {number('within images')} within"
        " images."
    )
