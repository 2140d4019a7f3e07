"""How often each label occurs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from mlcl_utils.figures.plots.common import INK, axes_or_own
from mlcl_utils.metrics.arrays import Array


def label_frequencies(
    counts: Array, *, head_from: int | None = None, medium_from: int | None = None, ax: Axes | None = None
) -> Axes:
    """How many positives each label has, labels in falling order, with the bands if their cut-offs are given.

    Args:
        counts: (L,) positives of each label.
        head_from: smallest count of a head label.
        medium_from: smallest count of a medium label.
        ax: to draw on.

    Returns:
        The axes.
    """
    ax = axes_or_own(ax)
    falling = np.sort(np.asarray(counts))[::-1]
    edges = np.arange(len(falling) + 1) + 0.5
    floor = 0.7 * max(1, int(falling[falling > 0].min(initial=falling.max(initial=1))))
    ax.stairs(np.maximum(falling, floor), edges, baseline=floor, fill=True, color="#9DB8D2")
    ax.stairs(np.maximum(falling, floor), edges, baseline=floor, color="#0072B2", linewidth=0.8)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(floor, falling.max() * 2.5)
    if head_from is not None and medium_from is not None:
        cuts = [0, int((falling >= head_from).sum()), int((falling >= medium_from).sum()), len(falling)]
        names = (f"head\n≥ {head_from}", f"medium\n≥ {medium_from}", f"tail\n< {medium_from}")
        for start, stop, name in zip(cuts, cuts[1:], names, strict=False):
            if stop > start:
                ax.text((start + stop + 1) / 2, falling.max() * 2.2, name, ha="center", va="top", color=INK)
            if 0 < start < len(falling):
                ax.axvline(start + 0.5, color=INK, linewidth=0.6, linestyle=(0, (3, 3)))
    ax.set_xlabel("label, by frequency")
    ax.set_ylabel("positives")
    return ax
