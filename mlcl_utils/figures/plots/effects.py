"""Forest plots: effects with both components of their intervals, their margins and verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlcl_utils.figures.fonts import drawn
from mlcl_utils.figures.plots.common import INK, SHADE, font_size, need_columns

_VERDICTS: Mapping[str, tuple[str, str, bool]] = {  # colour, marker, filled
    "holds": ("#00785A", "o", True),
    "opposite": ("#C04000", "D", True),
    "no material effect": ("#0072B2", "s", True),
    "does not hold": ("#8A5A00", "v", True),
    "open": (INK, "o", False),
    "not judged": ("#999999", "x", True),
}


def forest(
    data: pd.DataFrame,
    *,
    x_label: str,
    label: str = "label",
    group: str | None = None,
    margin: str | None = "margin",
    verdict: str | None = "verdict",
    figure: Figure | None = None,
) -> Axes:
    """Effects with both components of their intervals, one row each from the top, with margins and verdicts.

    The thin line with caps is the interval over replicates, the broad one that over test data, or over replays where
    searches are compared; either may be missing (NaN). The shaded box is what counts as no material effect. A plot
    takes a whole figure, whose height it sets.

    Args:
        data: columns ``estimate``, ``replicate_lower``, ``replicate_upper``, ``bootstrap_lower``,
            ``bootstrap_upper`` and those named below; all in the units of the axis. Rows of a group stand
            together.
        x_label: what the effect is, with its units.
        label: column of short row names, such as tasks, left of the frame.
        group: column of headings, such as claims, written over the rows that share them; None for none.
        margin: column of material margins; None for none.
        verdict: column of verdicts, which colour the row and are written next to it; an empty one is none.
        figure: an empty one to draw on, kept at its width.

    Returns:
        The axes.

    Raises:
        ValueError: a column is missing.
    """
    sides = ["replicate_lower", "replicate_upper", "bootstrap_lower", "bootstrap_upper"]
    optional = [name for name in (group, margin, verdict) if name is not None]
    need_columns(data, ["estimate", *sides, label, *optional])
    figure = plt.figure() if figure is None else figure
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    size = font_size("ytick.labelsize")
    letters = int(figure.get_figwidth() * 72 / (0.58 * size))  # that fit the width
    heights, headings, depth = _rows(data, group, letters)
    wide = int(0.55 * letters)  # of the label below, which is centred on the frame
    step = 1.45 * size / 72  # inches to a line
    figure.set_figheight((depth + 1.2 + 1.6 * (1 + len(x_label) // (wide))) * step)

    for height, (_, row) in zip(heights, data.iterrows(), strict=True):
        word = "" if verdict is None or pd.isna(row[verdict]) else str(row[verdict])
        colour, marker, filled = _VERDICTS.get(word, _VERDICTS["open"])
        reach = [height - 0.5, height + 0.5]
        if margin is not None:
            ax.fill_betweenx(reach, -row[margin], row[margin], color=SHADE, linewidth=0, zorder=1)
        ax.plot([0, 0], reach, color=INK, linewidth=0.6, zorder=1.5)
        level = [height, height]
        tests = [row["bootstrap_lower"], row["bootstrap_upper"]]
        ax.plot(tests, level, color=colour, alpha=0.35, linewidth=4, solid_capstyle="butt", zorder=2)
        replicates = [row["replicate_lower"], row["replicate_upper"]]
        ax.plot(replicates, level, color=colour, linewidth=0.9, marker="|", markersize=5, zorder=3)
        ax.plot(
            [row["estimate"]],
            [height],
            color=colour,
            marker=marker,
            markersize=4.5,
            markerfacecolor=colour if filled else "white",
            linestyle="none",
            zorder=4,
        )
        if word:
            ax.annotate(
                word,
                xy=(1.03, height),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=size,
                color=colour,
                annotation_clip=False,
            )
    for height, text in headings:
        heading = ax.annotate(
            drawn(text),
            xy=(0.01, height),
            xycoords=("figure fraction", "data"),
            va="center",
            fontsize=size,
            fontweight="bold",
            annotation_clip=False,
        )
        heading.set_in_layout(False)  # it runs over the frame, between the rows
    ax.set_yticks(heights, [drawn(str(name)) for name in data[label]])
    ax.set_ylim(-depth, 0)
    # "auto": as many as the frame has room for
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(drawn(textwrap.fill(x_label, wide)))
    return ax


def _rows(
    data: pd.DataFrame, group: str | None, letters: int
) -> tuple[list[float], list[tuple[float, str]], float]:
    """Heights of rows and headings in lines below the top, where each row and each line of a heading takes one."""
    heights: list[float] = []
    headings: list[tuple[float, str]] = []
    depth = 0.0
    last: object = None
    for heading in [None] * len(data) if group is None else data[group].tolist():
        if heading is not None and heading != last:
            lines = textwrap.wrap(str(heading), letters)
            depth += 0.4 if heights else 0.0
            headings.append((-depth - len(lines) / 2, "\n".join(lines)))
            depth += len(lines)
            last = heading
        heights.append(-depth - 0.5)
        depth += 1
    return heights, headings, depth
