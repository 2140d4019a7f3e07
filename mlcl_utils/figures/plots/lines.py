"""Lines with intervals: a measure over a scale, one line per arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.figures.plots.common import axes_or_own, figure_of, font_size, need_columns, shared_legend
from mlcl_utils.metrics.arrays import Floats

TICK_DISTANCE = 0.12
"""Least distance of two ticks whose values are written, as a share of the axis: a number's width in a small panel."""


def lines_with_intervals(
    data: pd.DataFrame,
    *,
    x: str,
    y: str,
    hue: str = "loss",
    lower: str | None = "lower",
    upper: str | None = "upper",
    points: pd.DataFrame | None = None,
    metric: str | None = None,
    x_label: str | None = None,
    log_x: bool = False,
    legend: Literal["direct", "below", "none"] = "direct",
    ax: Axes | None = None,
) -> Axes:
    """Means joined by a line for each arm, with intervals and the replicates behind them.

    Arms stand slightly beside each other at each x, so that no interval hides another. The vertical range
    follows means and replicates; an interval more than as wide again as all of these, on either side, runs
    out of the frame.

    Args:
        data: one row per arm and x, with the columns named below.
        x: column on the horizontal axis.
        y: column of means, as fractions.
        hue: column of arms, drawn as :func:`mlcl_utils.figures.style.look` says.
        lower: column of lower bounds; None for no intervals.
        upper: column of upper bounds; None for no intervals.
        points: one row per arm, x and replicate, with columns ``x``, ``y`` and ``hue`` named as in data.
        metric: what y is, for label and percent; the column's name if not given.
        x_label: of the horizontal axis; the column's name if not given.
        log_x: logarithmic horizontal axis, ticks at the values there are.
        legend: ``direct`` writes each arm's name beside the end of its line, outside the frame (give such
            axes the place at the right); ``below``
            puts a legend under the figure; ``none`` leaves it to :func:`shared_legend`.
        ax: to draw on.

    Returns:
        The axes.

    Raises:
        ValueError: a column is missing, or there is nothing to draw.
    """
    given = [x, y, hue, *(name for name in (lower, upper) if name is not None)]
    need_columns(data, given)
    ax = axes_or_own(ax)
    named = style.metric(metric or y)
    scale = 100.0 if named.percent else 1.0
    data = data.dropna(subset=[x, y]).sort_values(x)
    if data.empty:
        raise ValueError("there is nothing to draw: no row has both coordinates")
    arms = style.order(data[hue].unique().tolist())
    positions = np.unique(data[x].to_numpy(dtype=float))
    shown = [data[y].to_numpy(dtype=float) * scale]
    ends: dict[str, tuple[float, float]] = {}
    for rank, arm in enumerate(arms):
        part, look = data[data[hue] == arm], style.look(arm)
        across = _beside(part[x].to_numpy(dtype=float), positions, rank, len(arms), log_x)
        middle = part[y].to_numpy(dtype=float) * scale
        layer = 3 + len(arms) - rank
        if points is not None:
            own = points[points[hue] == arm].dropna(subset=[x, y])
            behind = _beside(own[x].to_numpy(dtype=float), positions, rank, len(arms), log_x)
            heights = own[y].to_numpy(dtype=float) * scale
            shown.append(heights)
            ax.scatter(behind, heights, s=5, color=look.colour, alpha=0.35, linewidths=0, zorder=2)
        if lower is not None and upper is not None:
            bounds = part[[lower, upper]].to_numpy(dtype=float) * scale
            ax.vlines(across, bounds[:, 0], bounds[:, 1], color=look.colour, linewidth=0.8, zorder=layer)
        ax.plot(
            across,
            middle,
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markeredgewidth=0.9 if look.line == style.DOTTED else 0,
            label=drawn(look.label),
            zorder=layer,
        )
        ends[arm] = (float(across[-1]), float(middle[-1]))

    bounds = data[[lower, upper]].to_numpy(dtype=float) * scale if lower and upper else np.empty((0, 2))
    ax.set_ylim(*_range(np.concatenate(shown), bounds))
    _x_axis(ax, positions, log_x)
    ax.set_xlabel(drawn(x_label or x.replace("_", " ")))
    ax.set_ylabel(drawn(f"{named.label} (%)" if named.percent else named.label))
    if legend == "direct":
        _write_beside(ax, ends)
    elif legend == "below":
        shared_legend(figure_of(ax))
    return ax


def _beside(x: Floats, positions: Floats, rank: int, count: int, log_x: bool) -> Floats:
    """Shift an arm within four tenths of the smallest gap between positions."""
    if count == 1 or len(positions) == 1:
        return x
    scaled = np.log(positions) if log_x else positions
    shift = 0.4 * float(np.diff(scaled).min()) * (rank / (count - 1) - 0.5)
    return np.exp(np.log(x) + shift) if log_x else x + shift


def _range(shown: Floats, bounds: Floats) -> tuple[float, float]:
    """Limits that hold all that is shown, and of the bounds what lies within one range of it."""
    low, high = float(shown.min()), float(shown.max())
    reach = high - low or abs(high) * 0.1 or 1.0
    bounds = bounds[np.isfinite(bounds).all(axis=1)]
    if len(bounds):
        low, high = max(low - reach, min(low, bounds.min())), min(high + reach, max(high, bounds.max()))
    margin = 0.05 * (high - low or reach)
    return low - margin, high + margin


def _x_axis(ax: Axes, positions: Floats, log_x: bool) -> None:
    if log_x:
        ax.set_xscale("log")
    left, right = ax.get_xlim()  # arms that are next to a position must not leave it outside
    ax.set_xlim(min(left, positions[0]), max(right, positions[-1]))
    unwritten: set[float] = set()
    if len(positions) <= 8:
        ax.xaxis.set_major_locator(FixedLocator(positions.tolist()))
        ax.xaxis.set_minor_locator(NullLocator())
        unwritten = set(positions[~_written(np.log(positions) if log_x else positions)].tolist())
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "" if float(value) in unwritten else f"{value:g}")
    )


def _written(places: Floats) -> npt.NDArray[np.bool_]:
    """Which of ascending ticks have their value written: both ends, and what is not too near to another that has."""
    least = TICK_DISTANCE * float(places[-1] - places[0])
    written = np.zeros(len(places), dtype=bool)
    written[[0, -1]] = True
    last = places[0]
    for at in range(1, len(places) - 1):
        if places[at] - last >= least and places[-1] - places[at] >= least:
            written[at], last = True, places[at]
    return written


def _write_beside(ax: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write the arms' names right of the frame, each joined to the end of its line, none over another."""
    figure = figure_of(ax)
    figure.draw_without_rendering()  # the layout decides how high the frame is
    size = font_size("legend.fontsize")
    step = 1.2 * size * figure.dpi / 72 / ax.get_window_extent().height
    names = sorted(ends, key=lambda arm: ends[arm][1])
    wanted = ax.transAxes.inverted().transform(ax.transData.transform([ends[arm] for arm in names]))[:, 1]
    for arm, height in zip(names, _spread(wanted, step), strict=True):
        look = style.look(arm)
        ax.annotate(
            drawn(look.label),
            xy=ends[arm],
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=size,
            color=_readable(look.colour),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour,
                "linewidth": 0.5,
                "alpha": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 3,
            },
        )


def _spread(wanted: Floats, step: float) -> Floats:
    """Ascending heights near the wanted ones (ascending), at least a step apart and, if they fit, within 0 to 1."""
    heights = wanted.astype(float)
    # Pool neighbours that are too close and centre each pool on the mean of what its members want.
    pools: list[tuple[float, int]] = []
    for height in heights:
        centre, count = float(height), 1
        while pools and centre - pools[-1][0] < step * (count + pools[-1][1]) / 2:
            before, others = pools.pop()
            centre = (centre * count + before * others) / (count + others)
            count += others
        pools.append((centre, count))
    placed = np.concatenate([c + step * (np.arange(n) - (n - 1) / 2) for c, n in pools])
    top = 1.0 - step * np.arange(len(placed))[::-1]
    floor = step * np.arange(len(placed))
    # Too many names for the height hang over its lower end, evenly spaced.
    within: Floats = np.minimum(np.maximum(placed, floor), top)
    return within


def _readable(colour: str) -> tuple[float, float, float]:
    """A colour darkened until small text in it stands out on white (relative luminance at most 0.25)."""
    rgb = np.array(to_rgb(colour))
    luminance = float(np.array([0.2126, 0.7152, 0.0722]) @ rgb**2.2)
    red, green, blue = rgb * min(1.0, (0.25 / luminance) ** (1 / 2.2)) if luminance else rgb
    return float(red), float(green), float(blue)
