"""The figures of a study: drawn from frames, saved with them, and drawn again from what was saved.

A study's module names the module with its figures; that holds ``FIGURES``, figure name -> function of the frames that
are drawn and of a venue. Nothing else goes into a figure, so that it can be rebuilt in another size without training.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.figures import style
from mlcl_utils.paths import shown
from mlcl_utils.studies.base import Execution, Study

VENUE = "neurips"
"""Whose sizes and fonts the figures of a notebook have."""

Frames = Mapping[str, pd.DataFrame]
Draw = Callable[[Frames, str], Figure]


def drawings(study: Study) -> Mapping[str, Draw]:
    """The figures of a study by name, each a function of its frames and a venue."""
    found: Mapping[str, Draw] = importlib.import_module(study.figures).FIGURES if study.figures else {}
    return found


def draw(study: Execution, name: str, frames: Frames) -> Figure | None:
    """Draws a figure of a study and saves it with the frames it is drawn from; None if the first of them is empty.

    Args:
        study: whose results folder it goes to.
        name: of the figure.
        frames: each is saved as ``<name>.<key>.csv``.
    """
    if next(iter(frames.values())).empty:
        print(f"nothing to draw: no run has what figure '{name}' shows")
        return None
    figure = drawings(study.study)[name](frames, VENUE)
    figures.save(figure, study.folder / "figures", name, data=dict(frames))
    return figure


def redraw(study: Study, folder: Path, out: Path, venue: str) -> list[Path]:
    """Draws all figures of a study's results again, for a venue.

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
        if frames:
            written += figures.save(function(frames, venue), out, name, data=frames)
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
