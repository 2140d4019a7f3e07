"""The figures of the study of images versus text, from the frames that are saved with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.figures.plots import INK
from mlcl_utils.studies.drawing import Draw, Frames

COMPARED = {
    "between": ("texts with images", INK, "o"),
    "text": ("within texts", "#0072B2", "s"),
    "image": ("within images", "#D55E00", "D"),
}
"""Correlations that are drawn: name, colour and marker."""


def carry_over(frames: Frames, venue: str) -> Figure:
    """The lead of each loss over the reference on images against that on texts: a row a pair, a column a metric.

    Args:
        frames: ``leads``: a row a pair, metric and loss, with columns ``pair``, ``metric``, ``loss``, ``reference`` and
            ``text_*`` and ``image_*`` for ``estimate``, ``lower`` and ``upper``; positive is better.
        venue: whose sizes and fonts.
    """
    rows = frames["leads"]
    pairs, metrics = list(dict.fromkeys(rows["pair"])), list(dict.fromkeys(rows["metric"]))
    figure, axes = style.figure(len(pairs), len(metrics), venue=venue, ratio=0.95)
    with style.use(venue):
        for row, pair in enumerate(pairs):
            for column, metric in enumerate(metrics):
                _leads(axes[row, column], rows[(rows["pair"] == pair) & (rows["metric"] == metric)])
                if row == 0:
                    axes[row, column].set_title(drawn(style.metric(metric).label))
            axes[row, 0].set_ylabel(drawn(f"{pair}\nlead on images (points)"))
        figures.plots.shared_legend(figure)
    return figure


def _leads(ax: Axes, rows: pd.DataFrame) -> None:
    ax.axhline(0, color=INK, linewidth=0.6, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
    scaled = {
        name: 100 * rows[name].to_numpy(dtype=float)
        for name in rows.columns
        if name.startswith(("text_", "image_"))
    }
    for at, loss in enumerate(rows["loss"]):
        look = style.look(loss)
        x, y = scaled["text_estimate"][at], scaled["image_estimate"][at]
        ax.plot(
            [scaled["text_lower"][at], scaled["text_upper"][at]],
            [y, y],
            color=look.colour,
            linewidth=0.6,
            alpha=0.5,
        )
        ax.plot(
            [x, x],
            [scaled["image_lower"][at], scaled["image_upper"][at]],
            color=look.colour,
            linewidth=0.6,
            alpha=0.5,
        )
        ax.plot(
            [x],
            [y],
            color=look.colour,
            marker=look.marker,
            markersize=5,
            linestyle="none",
            label=drawn(look.label),
        )
    for axis, limit in (("text", ax.set_xlim), ("image", ax.set_ylim)):
        limit(*_limits(scaled[f"{axis}_estimate"], scaled[f"{axis}_lower"], scaled[f"{axis}_upper"]))
    ax.set_xlabel("lead on texts (points)")


def _limits(middle: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[float, float]:
    """Limits that hold zero and all means, and of the intervals what lies within one range of them."""
    low, high = min(0.0, float(middle.min())), max(0.0, float(middle.max()))
    reach = high - low or 1.0
    ends = np.concatenate([lower, upper])
    ends = ends[np.isfinite(ends)]
    if len(ends):
        low, high = max(low - reach, min(low, ends.min())), min(high + reach, max(high, ends.max()))
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def correlations(frames: Frames, venue: str) -> Figure:
    """Rank correlations of the order of losses between modalities and within each, by metric: a column a pair.

    Args:
        frames: ``correlations``: a row a pair, metric and comparison, with columns ``pair``, ``metric``, ``compared``
            (a key of :data:`COMPARED`), ``estimate``, ``lower`` and ``upper``; NaN where there is none.
        venue: whose sizes and fonts.
    """
    rows = frames["correlations"]
    pairs, metrics = list(dict.fromkeys(rows["pair"])), list(dict.fromkeys(rows["metric"]))
    figure, axes = style.figure(
        1, len(pairs), venue=venue, ratio=0.42 if len(pairs) == 1 else 0.7, sharey=True
    )
    with style.use(venue):
        for ax, pair in zip(axes[0], pairs, strict=True):
            for offset, (name, (label, colour, marker)) in enumerate(COMPARED.items()):
                own = (
                    rows[(rows["pair"] == pair) & (rows["compared"] == name)].set_index("metric").loc[metrics]
                )
                heights = np.arange(len(metrics)) + 0.22 * (offset - 1)
                ax.hlines(
                    heights, own["lower"].clip(-1, 1), own["upper"].clip(-1, 1), color=colour, linewidth=0.9
                )
                ax.plot(own["estimate"], heights, color=colour, marker=marker, linestyle="none", label=label)
            ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
            ax.set_xlim(-1.05, 1.05)
            ax.set_title(drawn(pair))
            ax.set_xlabel("rank correlation of losses")
            ax.grid(visible=False, axis="y")
        axes[0, 0].set_yticks(range(len(metrics)), [drawn(style.metric(metric).label) for metric in metrics])
        axes[0, 0].invert_yaxis()
        figures.plots.shared_legend(figure)
    return figure


FIGURES: dict[str, Draw] = {"carry_over": carry_over, "correlations": correlations}
