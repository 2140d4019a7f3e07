"""Plots: functions that take tidy frames and optional axes, and return the axes.

Without ``ax`` a plot makes a figure of its own in the current style (:func:`mlcl_utils.figures.style.use`).
"""

from __future__ import annotations

from mlcl_utils.figures.plots.common import INK, SHADE, shared_legend
from mlcl_utils.figures.plots.counts import label_frequencies
from mlcl_utils.figures.plots.effects import forest, verdicts
from mlcl_utils.figures.plots.lines import lines_with_intervals
from mlcl_utils.figures.plots.matrices import heat

__all__ = [
    "INK",
    "SHADE",
    "forest",
    "heat",
    "label_frequencies",
    "lines_with_intervals",
    "shared_legend",
    "verdicts",
]
