"""Forest plots: effects with both components of their intervals, their margins and verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

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
    _name(ax, heights, data[label], headings, depth)
    # "auto": as many as the frame has room for
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
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


def _name(
    ax: Axes,
    heights: Sequence[float],
    names: pd.Series[Any],
    headings: Iterable[tuple[float, str]],
    depth: float,
) -> None:
    """Write the names of rows left of the frame, and the headings over them."""
    for height, text in headings:
        heading = ax.annotate(
            drawn(text),
            xy=(0.01, height),
            xycoords=("figure fraction", "data"),
            va="center",
            fontsize=font_size("ytick.labelsize"),
            fontweight="bold",
            annotation_clip=False,
        )
        heading.set_in_layout(False)  # it runs over the frame, between the rows
    ax.set_yticks(heights, [drawn(str(name)) for name in names])
    ax.set_ylim(-depth, 0)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)


REACH = 4.0
"""Margins to either side of zero that :func:`verdicts` shows; farther effects are arrows at the edge."""


def verdicts(data: pd.DataFrame, *, x_label: str, group: str, figure: Figure | None = None) -> Axes:
    """Every effect as a mark on the row of its claim, in units of the smallest effect that matters.

    The shaded band, one margin to either side, is what counts as no material effect. Effects beyond four margins are
    drawn at the edge as arrows, bounds as triangles that point to where the effect may lie. Marks and colours are
    verdicts, named in a legend. A plot takes a whole figure, whose height it sets.

    Args:
        data: columns ``statement`` (the row), ``in_margins`` (effect over margin), ``censored`` (whether it is an upper
            bound), ``verdict`` and the group; rows of a group stand together.
        x_label: what the axis is.
        group: column of headings, such as studies, written over the statements that share them.
        figure: an empty one to draw on, kept at its width.

    Returns:
        The axes.

    Raises:
        ValueError: a column is missing.
    """
    need_columns(data, ["statement", "in_margins", "censored", "verdict", group])
    figure = plt.figure() if figure is None else figure
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    size = font_size("ytick.labelsize")
    claims = data.drop_duplicates("statement")
    heights, headings, depth = _rows(claims, group, int(figure.get_figwidth() * 72 / (0.58 * size)))
    figure.set_figheight((1.7 * depth + 6) * 1.45 * size / 72)  # names take up to two lines
    ax.axvspan(-1, 1, color=SHADE, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
    for height, statement in zip(heights, claims["statement"], strict=True):
        own = data[data["statement"] == statement].sort_values("in_margins")
        # marks that would hide each other are put a little higher and lower, in turn
        for at, (_, row) in enumerate(own.iterrows()):
            colour, marker, filled = _VERDICTS.get(str(row["verdict"]), _VERDICTS["open"])
            place = float(row["in_margins"])
            if abs(place) > REACH:
                marker, place = ">" if place > 0 else "<", REACH if place > 0 else -REACH
            elif row["censored"]:
                marker = "<"
            ax.plot(
                [place],
                [height + (0.0 if len(own) == 1 else (-0.2, 0.2)[at % 2])],
                color=colour,
                marker=marker,
                markersize=4,
                markerfacecolor=colour if filled else "white",
                linestyle="none",
                clip_on=False,
                zorder=3,
            )
    letters = int(0.45 * figure.get_figwidth() * 72 / (0.5 * size))
    names = claims["statement"].map(lambda words: textwrap.fill(words.rstrip("."), letters))
    _name(ax, heights, names, headings, depth)
    ax.set_xlim(-REACH - 0.2, REACH + 0.2)
    ax.xaxis.set_major_locator(MultipleLocator(1))
    ax.set_xlabel(drawn(textwrap.fill(x_label, letters)))
    for word, (colour, marker, filled) in _VERDICTS.items():
        if (data["verdict"] == word).any():
            face = colour if filled else "white"
            ax.plot([], [], marker, color=colour, markersize=4, markerfacecolor=face, label=word)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return ax
