"""A matrix of numbers as shades."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mlcl_utils.figures.fonts import drawn
from mlcl_utils.figures.plots.common import axes_or_own, font_size


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
    ax = axes_or_own(ax)
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
                fontsize=font_size("legend.fontsize"),
                color="white" if dark else "black",
            )
    slanted = max(map(len, map(str, data.columns)), default=0) > 6
    ax.set_xticks(
        range(data.shape[1]),
        [drawn(str(name)) for name in data.columns],
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    ax.set_yticks(range(data.shape[0]), [drawn(str(name)) for name in data.index])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_title(drawn(title))
    return ax
