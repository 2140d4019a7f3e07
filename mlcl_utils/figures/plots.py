"""Plots: functions that take tidy frames and optional axes, and return the axes.

Without ``ax`` a plot makes a figure of its own in the current style (:func:`mlcl_utils.figures.style.use`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Array, Floats
from mlcl_utils.stats import Verdict

INK = "#333333"
SHADE = "#ECECEC"

_VERDICTS: Mapping[Verdict, tuple[str, str, bool]] = {  # colour, marker, filled
    "holds": ("#00785A", "o", True),
    "reversed": ("#C04000", "D", True),
    "no material effect": ("#0072B2", "s", True),
    "undetermined": (INK, "o", False),
    "not judged": ("#999999", "x", True),
}


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure


def _size(setting: Literal["legend.fontsize", "ytick.labelsize"]) -> float:
    """A font size of the current style in points; matplotlib's own settings are words."""
    return float(FontProperties(size=plt.rcParams[setting]).get_size_in_points())


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
    _need(data, given)
    ax = _axes(ax)
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
            label=look.label,
            zorder=layer,
        )
        ends[arm] = (float(across[-1]), float(middle[-1]))

    bounds = data[[lower, upper]].to_numpy(dtype=float) * scale if lower and upper else np.empty((0, 2))
    ax.set_ylim(*_range(np.concatenate(shown), bounds))
    _x_axis(ax, positions, log_x)
    ax.set_xlabel(x_label or x.replace("_", " "))
    ax.set_ylabel(f"{named.label} (%)" if named.percent else named.label)
    if legend == "direct":
        _write_beside(ax, ends)
    elif legend == "below":
        shared_legend(_figure(ax))
    return ax


def _need(data: pd.DataFrame, columns: list[str]) -> None:
    missing = [name for name in columns if name not in data.columns]
    if missing:
        raise ValueError(f"the data have no column {missing}; there are {data.columns.tolist()}")


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
    left, right = ax.get_xlim()  # arms that stand beside a position must not leave it outside
    ax.set_xlim(min(left, positions[0]), max(right, positions[-1]))
    if len(positions) <= 8:
        ax.xaxis.set_major_locator(FixedLocator(positions.tolist()))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _write_beside(ax: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write the arms' names right of the frame, each joined to the end of its line, none over another."""
    figure = _figure(ax)
    figure.draw_without_rendering()  # the layout decides how high the frame is
    size = _size("legend.fontsize")
    step = 1.2 * size * figure.dpi / 72 / ax.get_window_extent().height
    names = sorted(ends, key=lambda arm: ends[arm][1])
    wanted = ax.transAxes.inverted().transform(ax.transData.transform([ends[arm] for arm in names]))[:, 1]
    for arm, height in zip(names, _spread(wanted, step), strict=True):
        look = style.look(arm)
        ax.annotate(
            look.label,
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


def shared_legend(figure: Figure, *, columns: int | None = None) -> Legend:
    """One legend for all axes of a figure, below them and outside; each arm once. The figure grows by its
    height.

    Args:
        figure: with a constrained layout, which makes room.
        columns: of the legend; as many as fit the width if not given.
    """
    handles: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    # A handle and its gaps are about five characters wide, a character about 0.6 of the font size.
    size = _size("legend.fontsize")
    entry = (max(map(len, handles), default=0) + 5) * 0.6 * size / 72
    fitting = max(1, int(figure.get_figwidth() / entry))
    rows = -(-len(handles) // (columns or fitting))
    legend = figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=columns or max(1, -(-len(handles) // max(rows, 1))),
        columnspacing=1.2,
        handlelength=2.4,
        handletextpad=0.5,
    )
    figure.set_figheight(figure.get_figheight() + (rows * 1.45 + 0.2) * size / 72)
    return legend


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

    The thin line with caps is the interval over replicates, the broad one that over test data; either may be
    missing (NaN). The shaded box is what counts as no material effect. A plot takes a whole figure, whose
    height it sets.

    Args:
        data: columns ``estimate``, ``replicate_lower``, ``replicate_upper``, ``bootstrap_lower``,
            ``bootstrap_upper`` and those named below; all in the units of the axis. Rows of a group stand
            together.
        x_label: what the effect is, with its units.
        label: column of short row names, such as tasks, left of the frame.
        group: column of headings, such as claims, written over the rows that share them; None for none.
        margin: column of material margins; None for none.
        verdict: column of verdicts, which colour the row and are written beside it; None for none.
        figure: an empty one to draw on, kept at its width.

    Returns:
        The axes.

    Raises:
        ValueError: a column is missing.
    """
    sides = ["replicate_lower", "replicate_upper", "bootstrap_lower", "bootstrap_upper"]
    optional = [name for name in (group, margin, verdict) if name is not None]
    _need(data, ["estimate", *sides, label, *optional])
    figure = plt.figure() if figure is None else figure
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    size = _size("ytick.labelsize")
    letters = int(figure.get_figwidth() * 72 / (0.58 * size))  # that fit the width
    heights, headings, depth = _rows(data, group, letters)
    wide = int(0.55 * letters)  # of the label below, which is centred on the frame
    step = 1.45 * size / 72  # inches to a line
    figure.set_figheight((depth + 1.2 + 1.6 * (1 + len(x_label) // (wide))) * step)

    for height, (_, row) in zip(heights, data.iterrows(), strict=True):
        word: Verdict = "undetermined" if verdict is None else row[verdict]
        colour, marker, filled = _VERDICTS[word]
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
        if verdict is not None:
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
            text,
            xy=(0.01, height),
            xycoords=("figure fraction", "data"),
            va="center",
            fontsize=size,
            fontweight="bold",
            annotation_clip=False,
        )
        heading.set_in_layout(False)  # it runs over the frame, between the rows
    ax.set_yticks(heights, [str(name) for name in data[label]])
    ax.set_ylim(-depth, 0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(textwrap.fill(x_label, wide))
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
    ax = _axes(ax)
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


def heat(
    data: pd.DataFrame,
    *,
    title: str = "",
    digits: int = 2,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A matrix of numbers as shades, each number printed in its cell; missing ones are left white.

    Args:
        data: rows and columns named by its index and columns.
        title: what the numbers are.
        digits: behind the point.
        limits: numbers of the darkest and the lightest shade; the smallest and largest if not given.
        ax: to draw on.

    Returns:
        The axes.
    """
    ax = _axes(ax)
    numbers = data.to_numpy(dtype=float)
    low, high = limits or (float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    image = ax.imshow(numbers, cmap="cividis", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        if np.isfinite(number):
            red, green, blue = image.cmap(image.norm(number))[:3]
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            ax.text(
                column,
                row,
                f"{number:.{digits}f}".replace("-", "−"),
                ha="center",
                va="center",
                fontsize=_size("legend.fontsize"),
                color="white" if dark else "black",
            )
    slanted = max(map(len, map(str, data.columns)), default=0) > 6
    ax.set_xticks(
        range(data.shape[1]),
        [str(name) for name in data.columns],
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    ax.set_yticks(range(data.shape[0]), [str(name) for name in data.index])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_title(title)
    return ax
