"""The figures of the ledger, from the frames that are saved with them."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.studies import published
from mlcl_utils.studies.drawing import Draw, Frames
from mlcl_utils.studies.published import Claim

BOUNDS = (
    "estimate",
    "lower",
    "upper",
    "replicate_lower",
    "replicate_upper",
    "bootstrap_lower",
    "bootstrap_upper",
)


def _name(claim: Claim) -> str:
    kind = "" if style.metric(claim.metric).percent else f"_{claim.metric}"
    return claim.study[3:] + kind


_NAMES = {claim.id: _name(claim) for claim in published.load()}


def figure_of(claim: str) -> str:
    """The figure that a claim is drawn in: those of one study in one unit stand together."""
    return _NAMES[claim]


def forest(frames: Frames, venue: str) -> Figure:
    """Effects with margins and verdicts, grouped by claim; ratios on a logarithmic axis.

    Args:
        frames: ``effects``, rows of :func:`mlcl_utils.studies.claims.judged`.
        venue: whose sizes and fonts.
    """
    rows = frames["effects"].copy()
    statements = {claim.id: claim.statement for claim in published.load()}
    rows["statement"] = rows["claim"].map(statements).fillna(rows["claim"])
    rows["label"] = [_label(row) for _, row in rows.iterrows()]
    unit = "points" if (rows["unit"] == "points").all() else style.metric(str(rows["metric"].iloc[0])).label
    label = f"effect in favour of the claim ({unit})"
    if (rows["test"] == "ratio").all():
        rows[list(BOUNDS)] = np.log10(rows[list(BOUNDS)].clip(lower=0.01))
        rows["margin"] = 0.0  # a ratio has a bound to reach, and no margin on both sides
        label = "decimal logarithm of the ratio of resources: 0 as fast, 1 tenfold"
    with style.use(venue):
        figure = plt.figure(figsize=(style.sizes_of(venue).page, 3))
        figures.plots.forest(rows, x_label=label, group="statement", figure=figure)
    return figure


def _label(row: pd.Series[Any]) -> str:
    return f"{row['task']}: {row['arms']}"


FIGURES: dict[str, Draw] = dict.fromkeys(dict.fromkeys(_NAMES.values()), forest)
