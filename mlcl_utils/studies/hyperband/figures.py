"""The figures of the Hyperband study, from the frames that are saved with them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mlcl_utils.figures import plots, style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies.drawing import Draw, Frames

TASK = ["dataset", "loss", "replicate"]


def _tasks(frame: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(frame[TASK].drop_duplicates().itertuples(index=False, name=None))


def _of(frame: pd.DataFrame, task: tuple[str, str, int]) -> pd.DataFrame:
    part: pd.DataFrame = frame[(frame[TASK] == list(task)).all(axis=1)]
    return part


def _title(task: tuple[str, str, int]) -> str:
    dataset, loss, replicate = task
    return drawn(f"{dataset}, {style.look(loss).label}" + (f", split {replicate}" if replicate else ""))


def _log_axis(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def incumbents(frames: Frames, venue: str) -> Figure:
    """The incumbent's scores against the epochs trained: a row a task, a column a score.

    Args:
        frames: ``means``, of :func:`mlcl_utils.studies.hyperband.reading.incumbents`, and ``searches``, the incumbents
            of real searches.
        venue: whose sizes and fonts.
    """
    means, real = frames["means"], frames["searches"]
    tasks = _tasks(means)
    figure, axes = style.figure(len(tasks), 2, venue=venue, ratio=0.75)
    with style.use(venue):
        for row, task in zip(axes, tasks, strict=True):
            for ax, score in zip(row, ("validation", "test"), strict=True):
                part = _of(means, task)
                _curves(ax, part[part["score"] == score])
                for number, search in _of(real, task).groupby("number"):
                    ax.step(
                        search["epochs"],
                        100 * search[score],
                        where="post",
                        color=plots.INK,
                        linewidth=0.7,
                        linestyle=(0, (2, 1.5)),
                        label="a real search by Hyperband" if number == 0 else None,
                    )
                ax.set_xlabel("epochs trained in all")
                ax.set_ylabel(f"{score} mAP (%)")
            row[0].set_title(_title(task), loc="left")
        plots.shared_legend(figure)
    return figure


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    methods = style.order(rows["method"].unique().tolist())
    for method in methods:
        part, look = rows[rows["method"] == method].sort_values("epochs"), style.look(method)
        ax.fill_between(
            part["epochs"],
            100 * part["lower"],
            100 * part["upper"],
            step="post",
            color=look.colour,
            alpha=0.2,
            linewidth=0,
        )
        ax.step(
            part["epochs"],
            100 * part["estimate"],
            where="post",
            color=look.colour,
            linestyle=look.line,
            label=drawn(look.label),
        )
    _log_axis(ax)
    # the first epochs of those that start low would leave no room for what is compared
    begun = rows.groupby("method")["epochs"].min().max()
    late = rows[rows["epochs"] >= min(2 * begun, rows["epochs"].max())]
    low, high = 100 * late["estimate"].min(), 100 * late["estimate"].max()
    reach = high - low or 1.0  # a pool of which one configuration is left has a single score
    low, high = low - 0.1 * reach, high + 0.05 * reach
    ax.set_ylim(low, high)
    ax.set_xlim(left=rows.loc[100 * rows["estimate"] >= low, "epochs"].min())


def speed_ups(frames: Frames, venue: str) -> Figure:
    """Ratios of epochs with their intervals: a row a data set, a column a score, a line a rival, a mark a loss.

    A ratio whose target was not reached is drawn at its bound as an arrow to the left.

    Args:
        frames: ``ratios``, with ``ratio``, ``lower``, ``upper`` (0 where the target was not reached) and ``bound``.
        venue: whose sizes and fonts.
    """
    ratios = frames["ratios"]
    datasets, losses = ratios["dataset"].unique(), style.order(ratios["loss"].unique().tolist())
    rivals = style.order(ratios["rival"].unique().tolist())[::-1]
    figure, axes = style.figure(len(datasets), 2, venue=venue, ratio=0.75, sharex=True, sharey=True)
    with style.use(venue):
        for row, dataset in zip(axes, datasets, strict=True):
            for ax, score in zip(row, ("validation", "test"), strict=True):
                for rank, loss in enumerate(losses):
                    part = ratios[
                        (ratios["dataset"] == dataset) & (ratios["score"] == score) & (ratios["loss"] == loss)
                    ]
                    _ratios(ax, part, rivals, loss, (rank + 1) / (len(losses) + 1) - 0.5)
                for value, line in ((1, "-"), (10, (0, (3, 3)))):
                    ax.axvline(value, color=plots.INK, linewidth=0.6, linestyle=line, zorder=1)
                _log_axis(ax)
                ax.set_yticks(range(len(rivals)), [drawn(style.look(rival).label) for rival in rivals])
                ax.set_ylim(-0.6, len(rivals) - 0.4)
                ax.set_title(drawn(f"{dataset}, {score}"), loc="left")
        for ax in axes[-1]:
            ax.set_xlabel("ratio of epochs")
        plots.shared_legend(figure)
    return figure


def _ratios(ax: Axes, part: pd.DataFrame, rivals: list[str], loss: str, shift: float) -> None:
    look = style.look(loss)
    heights = np.array([rivals.index(rival) for rival in part["rival"]]) + 0.7 * shift
    reached = part["ratio"].to_numpy() > 0
    low, middle, high = (
        np.where(part[name] > 0, part[name], part["bound"]) for name in ("lower", "ratio", "upper")
    )
    ax.hlines(heights, low, high, color=look.colour, linewidth=0.8)
    ax.scatter(
        middle[reached],
        heights[reached],
        s=14,
        color=look.colour,
        marker=MarkerStyle(look.marker),
        label=drawn(look.label),
        zorder=3,
    )
    ax.scatter(
        middle[~reached],
        heights[~reached],
        s=16,
        color=look.colour,
        marker="<",
        facecolors="white",
        label="not reached: below this" if (~reached).any() else None,
        zorder=3,
    )


def learning_curves(frames: Frames, venue: str) -> Figure:
    """The validation curves of the pools, the better in the end the lighter: a panel a task.

    Args:
        frames: ``curves``: one row a configuration and epoch, with ``configuration``, ``epoch``, ``validation`` and
            ``rank``, the share of the pool that ends below.
        venue: whose sizes and fonts.
    """
    curves = frames["curves"]
    tasks = _tasks(curves)
    columns = min(3, max(2, len(tasks)))
    rows = -(-len(tasks) // columns)
    figure, axes = style.figure(rows, columns, venue=venue, ratio=0.85)
    with style.use(venue):
        for ax in axes.flat[len(tasks) :]:
            ax.set_visible(False)
        for ax, task in zip(axes.flat, tasks, strict=False):
            for _, curve in _of(curves, task).groupby("configuration"):
                shade = plt.get_cmap("cividis")(curve["rank"].iloc[0])
                ax.plot(curve["epoch"], 100 * curve["validation"], color=shade, linewidth=0.6)
            _log_axis(ax)
            ax.set_title(_title(task), loc="left")
            ax.set_xlabel("epoch")
            ax.set_ylabel("validation mAP (%)")
    return figure


FIGURES: dict[str, Draw] = {
    "learning_curves": learning_curves,
    "incumbents": incumbents,
    "speed_ups": speed_ups,
}
