"""The figures of a study: views of its frames, saved with what they show, and drawn again from what was saved.

The module ``views`` of a study holds ``FIGURES``, figure name -> function of the frames that are drawn and of a venue.
Nothing else goes into a figure, so that it can be rebuilt in another size without training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlcl_utils import figures
from mlcl_utils.errors import DataError, UsageError, unknown
from mlcl_utils.figures import plots, style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.paths import shown
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.execution import Execution

VENUE = "neurips"
"""Whose sizes and fonts the figures of a notebook have."""

Frames = Mapping[str, pd.DataFrame]
Draw = Callable[[Frames, str], Figure | None]


def drawings(study: Study) -> Mapping[str, Draw]:
    """The figures of a study by name, each a function of its frames and a venue."""
    found: Mapping[str, Draw] = study.part("views").FIGURES
    return found


def draw(study: Execution, name: str, frames: Frames) -> Figure | None:
    """Draw a figure of a study and save it with the frames it is drawn from; None if the first of them is empty.

    Args:
        study: whose results folder it goes to.
        name: of the figure.
        frames: each is saved as ``<name>.<key>.csv``.

    Raises:
        UsageError: the study has no figure of that name.
    """
    if next(iter(frames.values())).empty:
        print(f"nothing to draw: no run has what figure '{name}' shows")
        return None
    if name not in drawings(study.study):
        raise unknown("figure", name, drawings(study.study))
    figure = drawings(study.study)[name](frames, VENUE)
    if figure is not None:
        figures.save(figure, study.folder / "figures", name, data=dict(frames))
    return figure


def redraw(study: Study, folder: Path, out: Path, venue: str) -> list[Path]:
    """Draw all figures of a study's results again, for a venue.

    Args:
        study: the study.
        folder: its results.
        out: where the figures go.
        venue: a name of :data:`mlcl_utils.figures.style.VENUES`.

    Returns:
        The paths written.

    Raises:
        UsageError: no such venue, or a study without figures.
        DataError: the results hold no figure, or the data of one cannot be read.
    """
    style.sizes_of(venue)
    if not drawings(study):
        raise UsageError(f"study '{study.name}' has no figures")
    written: list[Path] = []
    for name, function in drawings(study).items():
        frames = _frames(folder / "figures", name)
        figure = function(frames, venue) if frames else None
        if figure is not None:
            written += figures.save(figure, out, name, data=frames)
    if not written:
        raise DataError(f"no figures in '{shown(folder)}'; make them with: mlcl run {study.name}")
    return written


def _frames(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    frames = {}
    for path in sorted(folder.glob(f"{name}.*.csv")):
        try:
            frames[path.name.removeprefix(f"{name}.").removesuffix(".csv")] = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise DataError(f"'{shown(path)}' cannot be read: {error}") from error
    return frames


def forest(
    rows: pd.DataFrame,
    *,
    x_label: str = "",
    label: Sequence[str] = ("compared",),
    group: str | None = "task",
    venue: str = VENUE,
    wide: bool = True,
) -> Figure | None:
    """A forest plot of rows of the frame of comparisons: effects with both components of their intervals.

        figures.forest(study.comparisons.query("name == 'kmcl_contrast'"))

    Args:
        rows: of one unit; those without a result are left out. Verdicts colour those that are claims.
        x_label: what the effect is; not given: the metric with its unit.
        label: columns whose words name a row.
        group: column whose words head the rows that share them; None for none.
        venue: whose sizes and fonts.
        wide: whether the figure is as wide as a page, or as a column.

    Returns:
        The figure; None where no row has a result.
    """
    rows = rows[rows["estimate"].notna()]
    if rows.empty:
        print("nothing to draw: no row has a result")
        return None
    metric = style.metric(str(rows["metric"].iloc[0]))
    words = rows[list(label)].agg(": ".join, axis=1)
    rows = rows.assign(_label=words, margin=rows["margin"].astype(float))
    claims = "verdict" in rows and rows["verdict"].fillna("").ne("").any()
    what = "difference of " * bool(rows["compared"].str.contains(" − ").all()) if "compared" in rows else ""
    sizes = style.sizes_of(venue)
    with style.use(venue):
        figure = plt.figure(figsize=(sizes.page if wide else sizes.column, 3))
        plots.forest(
            rows,
            x_label=x_label or f"{what}{metric.label}" + " (points)" * metric.percent,
            label="_label",
            group=group,
            verdict="verdict" if claims else None,
            figure=figure,
        )
    return figure


def facets(
    frames: Frames,
    venue: str,
    *,
    x: str,
    x_label: str,
    row: Sequence[str] = ("dataset",),
    column: str = "metric",
    hue: str = "loss",
    log_x: bool = False,
    margins: Mapping[str, float] | None = None,
    titles: bool = False,
    ratio: float = 0.95,
    each: Callable[[Axes, pd.DataFrame, Frames], Any] = lambda ax, rows, frames: None,
) -> Figure:
    """Lines with intervals in a grid of axes: a row per value of some columns, a column per value of another.

    Args:
        frames: ``intervals``, rows of the frame of scores or of comparisons as fractions, with ``metric``,
            ``estimate`` and, where they are known, ``lower`` and ``upper``; ``points``, the replicates behind them, if
            there are any. Where intervals have ``tick``, these are the labels of the values of ``x``.
        venue: whose sizes and fonts.
        x: column of the horizontal axis.
        x_label: of that axis.
        row: columns whose values name a row of axes.
        column: the column whose values name a column of axes; ``metric`` labels them by its name.
        hue: column of arms.
        log_x: whether the horizontal axis is logarithmic.
        margins: of paired differences, by metric: points that matter, shaded; None where nothing is a difference.
        titles: whether names stand over the columns and beside the rows, instead of on each vertical axis.
        ratio: height over width of one cell.
        each: what else is drawn, from the axes, the rows on them and all frames.
    """
    intervals, points = frames["intervals"], frames.get("points")
    rows = list(intervals[list(row)].drop_duplicates().itertuples(index=False, name=None))
    columns = list(dict.fromkeys(intervals[column]))
    bounds = ("lower", "upper") if "lower" in intervals else (None, None)
    figure, axes = style.figure(len(rows), len(columns), venue=venue, ratio=ratio)
    with style.use(venue):
        for at, place in enumerate(rows):
            for across, name in enumerate(columns):
                ax = axes[at, across]
                here = part(intervals, {**dict(zip(row, place, strict=True)), column: name})
                if here.empty:  # its runs have failed
                    ax.set_visible(False)
                    continue
                metric = str(here["metric"].iloc[0])
                own = {**dict(zip(row, place, strict=True)), column: name}
                plots.lines_with_intervals(
                    here,
                    x=x,
                    y="estimate",
                    lower=bounds[0],
                    upper=bounds[1],
                    hue=hue,
                    points=None if points is None else part(points, own),
                    metric=metric,
                    x_label=x_label,
                    log_x=log_x,
                    legend="none",
                    ax=ax,
                )
                if column != "metric":
                    ax.set_ylabel("" if titles else drawn(str(name)))
                if "tick" in here:
                    _ticks(ax, here, x)
                elif not log_x:
                    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
                if margins is not None:
                    ax.axhline(0, color="black", linewidth=0.6, zorder=1.5)
                    if metric in margins:
                        reach = margins[metric]
                        ax.axhspan(-reach, reach, color=plots.SHADE, linewidth=0, zorder=0.5)
                if titles:
                    _titles(ax, at, across, len(rows), ", ".join(map(str, place)), str(name))
                elif across == 0:
                    ax.set_title(drawn(", ".join(map(str, place))), loc="left")
                each(ax, here, frames)
        if titles:
            figure.align_ylabels(axes[:, 0])
        plots.shared_legend(figure)
    return figure


def part(rows: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that have these values in these columns."""
    keep = np.ones(len(rows), dtype=bool)
    for name, value in values.items():
        keep &= (rows[name] == value).to_numpy()
    return rows[keep]


def _titles(ax: Axes, at: int, across: int, count: int, place: str, name: str) -> None:
    if at == 0:
        ax.set_title(drawn(name))
    if at < count - 1:
        ax.set_xlabel("")
    if across == 0:
        ax.set_ylabel(drawn(place))


def _ticks(ax: Axes, rows: pd.DataFrame, x: str) -> None:
    """Ticks named by ``tick``; what is no share is not joined to the shares by a line."""
    named = rows.drop_duplicates(x).sort_values(x)
    # without the sign, which the axis has: labels of neighbours would touch
    ax.set_xticks(named[x].tolist(), named["tick"].str.removesuffix("%").map(drawn).tolist())
    apart = named[x][~named["tick"].str.endswith("%")]
    for line in ax.lines if len(apart) else ():
        across, up = (np.asarray(each, dtype=float) for each in line.get_data())
        if len(across) > 1 and across[-1] > apart.min() - 0.5:
            line.set_data(np.insert(across, -1, np.nan), np.insert(up, -1, np.nan))
