"""What the plots share: the axes they draw on, sizes of letters, the check of columns, the legend of a figure."""

from __future__ import annotations

from typing import Any, Literal

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend

INK = "#333333"
SHADE = "#ECECEC"


def axes_or_own(ax: Axes | None) -> Axes:
    """The axes given, or those of a new figure in the current style."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes stand in.

    Raises:
        ValueError: they stand in none.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure


def font_size(setting: Literal["legend.fontsize", "ytick.labelsize"]) -> float:
    """A font size of the current style in points; matplotlib's own settings are words."""
    return float(FontProperties(size=plt.rcParams[setting]).get_size_in_points())


def need_columns(data: pd.DataFrame, columns: list[str]) -> None:
    """Refuse data that lack a column.

    Raises:
        ValueError: one is missing; the message names those that are there.
    """
    missing = [name for name in columns if name not in data.columns]
    if missing:
        raise ValueError(f"the data have no column {missing}; there are {data.columns.tolist()}")


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
    size = font_size("legend.fontsize")
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
