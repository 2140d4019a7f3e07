"""The figures of the study of missing labels, from the frames that are saved with them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies.drawing import Draw, Frames

MARGINS = {"map": 0.5, "macro_f1": 1.0}
"""Points that matter, by metric, shaded where differences are drawn."""


def panels(
    frames: Frames,
    venue: str,
    *,
    x: str = "position",
    x_label: str = "positives kept (%)",
    difference: bool = False,
) -> Figure:
    """A row of axes a data set, a column a quantity.

    Args:
        frames: ``intervals`` with the columns ``dataset``, ``quantity`` (the label of the vertical axis), ``metric``,
            ``loss``, ``estimate`` and, where they are known, ``lower`` and ``upper``; and ``points``, the replicates
            behind them, if there are any. Over conditions also ``position`` and ``tick``, its label.
        venue: whose sizes and fonts.
        x: column of the horizontal axis.
        x_label: of that axis.
        difference: whether the values are paired differences.
    """
    intervals, points = frames["intervals"], frames.get("points")
    rows = list(dict.fromkeys(intervals["dataset"]))
    columns = list(dict.fromkeys(intervals["quantity"]))
    bounds = ("lower", "upper") if "lower" in intervals else (None, None)
    figure, axes = style.figure(len(rows), len(columns), venue=venue, ratio=0.95 if len(columns) > 2 else 0.7)
    with style.use(venue):
        for row, dataset in enumerate(rows):
            for column, quantity in enumerate(columns):
                ax = axes[row, column]
                own = _part(intervals, dataset, quantity)
                if own.empty:  # its runs have failed
                    ax.set_visible(False)
                    continue
                figures.plots.lines_with_intervals(
                    own,
                    x=x,
                    y="estimate",
                    lower=bounds[0],
                    upper=bounds[1],
                    points=None if points is None else _part(points, dataset, quantity),
                    metric=str(own["metric"].iloc[0]),
                    x_label=x_label,
                    legend="none",
                    ax=ax,
                )
                ax.set_ylabel(drawn(quantity))
                if x == "position":
                    _conditions(ax, own)
                else:
                    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
                if difference:
                    ax.axhline(0, color="black", linewidth=0.6, zorder=1.5)
                    margin = MARGINS[str(own["metric"].iloc[0])]
                    ax.axhspan(-margin, margin, color=figures.plots.SHADE, linewidth=0, zorder=0.5)
                if column == 0:
                    ax.set_title(drawn(dataset), loc="left")
        figures.plots.shared_legend(figure)
    return figure


def _part(rows: pd.DataFrame, dataset: str, quantity: str) -> pd.DataFrame:
    return rows[(rows["dataset"] == dataset) & (rows["quantity"] == quantity)]


def _conditions(ax: Axes, rows: pd.DataFrame) -> None:
    """Ticks named by condition; what is no share of the positives is not joined to the shares by a line."""
    named = rows.drop_duplicates("position").sort_values("position")
    # without the sign, which the axis has: labels of neighbours would touch
    ax.set_xticks(named["position"].tolist(), named["tick"].str.removesuffix("%").map(drawn).tolist())
    apart = named["position"][~named["tick"].str.endswith("%")]
    for line in ax.lines if len(apart) else ():
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        if len(x) > 1 and x[-1] > apart.min() - 0.5:
            line.set_data(np.insert(x, -1, np.nan), np.insert(y, -1, np.nan))


FIGURES: dict[str, Draw] = {
    "conditions": panels,
    "differences": partial(panels, difference=True),
    "correction": partial(panels, x="epoch", x_label="epoch"),
    "rank": panels,
}
