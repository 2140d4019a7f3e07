"""The figures of the temperature study, from the frames that are saved with them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies.drawing import Draw, Frames

RANKS = {
    1: ("most frequent label", "#0072B2"),
    2: ("2nd label", "#D55E00"),
    3: ("3rd label", "#009E73"),
    4: ("4th label", "#CC79A7"),
}
"""Labels whose examples stand out in pictures of embeddings: rank by frequency -> name and colour."""


def panels(frames: Frames, venue: str, *, baseline: str | None = None) -> Figure:
    """Quantities against temperature: a row of axes a place, a column a quantity.

    Args:
        frames: ``intervals`` and ``points``, rows of the summary with columns ``place``, ``panel`` and ``arm``.
        venue: whose sizes and fonts.
        baseline: name of an arm without a temperature that is drawn as a level; its rows are in ``levels``.
    """
    intervals, points = frames["intervals"], frames["points"]
    places, columns = list(dict.fromkeys(intervals["place"])), list(dict.fromkeys(intervals["panel"]))
    figure, axes = style.figure(len(places), len(columns), venue=venue, ratio=0.9)
    with style.use(venue):
        for row, place in enumerate(places):
            for column, panel in enumerate(columns):
                ax = axes[row, column]
                here = _part(intervals, place, panel)
                if here.empty:
                    ax.set_visible(False)
                    continue
                figures.plots.lines_with_intervals(
                    here,
                    x="temperature",
                    y="estimate",
                    hue="arm",
                    points=_part(points, place, panel),
                    metric=str(here["metric"].iloc[0]),
                    x_label="temperature τ",
                    log_x=True,
                    legend="none",
                    ax=ax,
                )
                ax.set_ylabel("")
                if row < len(places) - 1:
                    ax.set_xlabel("")
                if row == 0:
                    ax.set_title(drawn(panel))
                if column == 0:
                    ax.set_ylabel(drawn(place))
                if baseline is not None:
                    _level(ax, _part(frames["levels"], place, panel), baseline)
        figure.align_ylabels(axes[:, 0])
        figures.plots.shared_legend(figure)
    return figure


def _part(rows: pd.DataFrame, place: str, panel: str) -> pd.DataFrame:
    return rows[(rows["place"] == place) & (rows["panel"] == panel)]


def _level(ax: Axes, rows: pd.DataFrame, name: str) -> None:
    """A horizontal line at a baseline's mean, if it lies within one vertical range of what is drawn."""
    if rows.empty:
        return
    look, level = style.look(name), 100 * float(rows["estimate"].iloc[0])
    low, high = ax.get_ylim()
    if not 2 * low - high < level < 2 * high - low:
        return
    margin = 0.05 * (high - low)
    ax.set_ylim(min(low, level - margin), max(high, level + margin))
    ax.axhline(
        level, color=look.colour, linestyle=look.line, linewidth=0.8, label=drawn(look.label), zorder=1.5
    )


def embeddings(frames: Frames, venue: str) -> Figure:
    """The projection of the test examples at a low, a middle and a high temperature, in two rows a place.

    Above, the first two principal components, examples that have just one of the labels in :data:`RANKS` in colour;
    below, histograms of the cosines of pairs that share a label and of pairs that share none.

    Args:
        frames: ``plane``: a row an example, with columns ``place``, ``temperature``, ``x``, ``y`` and ``rank`` of that
            label, 0 for the others; ``similarities``: a row a bin, with ``place``, ``temperature``, ``low``,
            ``high`` and the densities ``share`` and ``none``.
        venue: whose sizes and fonts.
    """
    plane, similarities = frames["plane"], frames["similarities"]
    places = list(dict.fromkeys(similarities["place"]))
    temperatures = sorted(similarities["temperature"].unique())
    figure, axes = style.figure(2 * len(places), len(temperatures), venue=venue, ratio=0.8)
    with style.use(venue):
        for at, place in enumerate(places):
            for column, temperature in enumerate(temperatures):
                scatter, histogram = axes[2 * at, column], axes[2 * at + 1, column]
                shown = _at(similarities, place, temperature)
                if shown.empty:  # its run has failed
                    scatter.set_visible(False)
                    histogram.set_visible(False)
                    continue
                _scatter(scatter, _at(plane, place, temperature))
                _histogram(histogram, shown)
                scatter.set_title(f"τ {temperature:g}")
                histogram.set_xlabel("cosine of a pair")
            axes[2 * at, 0].set_ylabel(drawn(place))
            axes[2 * at + 1, 0].set_ylabel("density of pairs")
        figure.align_ylabels(axes[:, 0])
        figures.plots.shared_legend(figure)
    return figure


def _at(rows: pd.DataFrame, place: str, temperature: float) -> pd.DataFrame:
    return rows[(rows["place"] == place) & (rows["temperature"] == temperature)]


def _scatter(ax: Axes, rows: pd.DataFrame) -> None:
    others = rows[rows["rank"] == 0]
    ax.scatter(others["x"], others["y"], s=1.5, color="#CFCFCF", linewidths=0, rasterized=True)
    for rank, (words, colour) in RANKS.items():
        own = rows[rows["rank"] == rank]
        ax.scatter(own["x"], own["y"], s=3, color=colour, linewidths=0, label=words, rasterized=True)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)


def _histogram(ax: Axes, rows: pd.DataFrame) -> None:
    edges = np.append(rows["low"].to_numpy(), rows["high"].to_numpy()[-1])
    for kind, words, colour in (
        ("none", "pairs that share no label", "#8C8C8C"),
        ("share", "pairs that share a label", "#111111"),
    ):
        ax.stairs(rows[kind].to_numpy(), edges, color=colour, linewidth=0.9, label=words)
    shown = rows[(rows["share"] > 0) | (rows["none"] > 0)]
    ax.set_xlim(float(shown["low"].min()), float(shown["high"].max()))
    ax.set_ylim(bottom=0)


FIGURES: dict[str, Draw] = {
    "scores": partial(panels, baseline="random_encoder"),
    "geometry": panels,
    "control": panels,
    "embeddings": embeddings,
}
