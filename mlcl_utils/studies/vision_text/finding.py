"""Whether findings about losses were found to carry over between images and text."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from mlcl_utils.figures import style
from mlcl_utils.studies import findings

FIGURE = "correlations"

_WORDS = {
    "carries over": "carries over as far as can be known",
    "carries over in part": "carries over in part",
    "does not carry over": "does not carry over",
    "cannot be told": "cannot be said to carry over or not",
}


def sentence(folder: Path) -> str:
    """How far the order of losses by mAP is the same in texts and in images, for every pair of data sets."""
    if not (folder / "tables" / "correlations.csv").is_file():
        return "Too few losses can be judged in both modalities to compare their order."
    rows = findings.table(folder, "tables/correlations.csv")
    rows = rows[(rows["head"] == "probe") & (rows["metric"] == "map")]
    return " ".join(_pair(row) for _, row in rows.iterrows())


def _pair(row: pd.Series) -> str:
    def number(name: str) -> str:
        estimate, lower, upper = (float(row[f"{name}_{each}"]) for each in ("estimate", "lower", "upper"))
        if not math.isfinite(estimate):
            return "unknown"
        bounds = f" [{lower:+.2f}, {upper:+.2f}]" if math.isfinite(lower) else ""
        return f"{estimate:+.2f}{bounds}"

    groups = {"which are degenerate": row["left_out"], "of which runs have failed": row["lost"]}
    said = [
        f"{', '.join(style.look(name).label for name in listed.split())}, {word}"
        for word, listed in groups.items()
        if isinstance(listed, str) and listed
    ]
    without = f" (without {'; '.join(said)})" if said else ""
    return (
        f"Between {row['pair']}, the order of {len(row['losses'].split())} losses{without} by mAP"
        f" {_WORDS[row['verdict']]}: the rank correlation is {number('between')}, beside {number('within texts')}"
        f" within texts and {number('within images')} within images. So few losses can agree by chance, which no"
        " interval covers."
    )
