"""The figures of the kernel mixture study, from the frames that are saved with them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies.drawing import Draw, Frames


def parts(frames: Frames, venue: str) -> Figure:
    """Every variant against the asymmetric loss of the head alone, with both components of the intervals.

    Args:
        frames: ``differences``, in points, with the columns of :func:`mlcl_utils.figures.plots.forest`.
        venue: whose sizes and fonts.
    """
    with style.use(venue):
        figure = plt.figure(figsize=(style.sizes_of(venue).column, 1))
        figures.plots.forest(
            frames["differences"],
            x_label="difference of mAP to ASL in KMCL (points)",
            label="arm",
            group="dataset",
            verdict=None,
            figure=figure,
        )
    return figure


def calibration(frames: Frames, venue: str) -> Figure:
    """Stated variances against squared deviations; a row of axes a data set, a column a kind of kernels.

    Args:
        frames: ``bins``, rows of :func:`mlcl_utils.studies.kernel_mixture.measures.reliability`.
        venue: whose sizes and fonts.
    """
    rows = frames["bins"]
    datasets, kinds = (list(dict.fromkeys(rows[name])) for name in ("dataset", "kernels"))
    figure, axes = style.figure(len(datasets), len(kinds), venue=venue, ratio=0.75)
    with style.use(venue):
        for row, dataset in enumerate(datasets):
            for column, kind in enumerate(kinds):
                ax = axes[row, column]
                own = rows[(rows["dataset"] == dataset) & (rows["kernels"] == kind)].dropna()
                if own.empty:  # no bin has a deviation
                    ax.set_visible(False)
                    continue
                for arm in style.order(own["loss"].unique().tolist()):
                    part, look = own[own["loss"] == arm].sort_values("stated"), style.look(arm)
                    ax.plot(
                        part["stated"],
                        part["square"],
                        color=look.colour,
                        linestyle=look.line,
                        marker=look.marker,
                        label=drawn(look.label),
                    )
                ends = np.array(
                    [own[["stated", "square"]].min().min(), own[["stated", "square"]].max().max()]
                )
                ax.plot(ends, ends, color=figures.plots.INK, linewidth=0.7, zorder=1)
                ax.set(xscale="log", yscale="log")
                for axis in (ax.xaxis, ax.yaxis):
                    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                    axis.set_minor_locator(NullLocator())
                ax.set_xlabel(drawn(f"stated variance, {kind}"))
                ax.set_ylabel("mean squared deviation")
                if column == 0:
                    ax.set_title(drawn(dataset), loc="left")
        figures.plots.shared_legend(figure)
    return figure


FIGURES: dict[str, Draw] = {"parts": parts, "calibration": calibration}
