"""Figures and tables on disk, each with the data it was made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

# Dates and versions would make every file differ from its last rebuild.
_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
_SAVING: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "mlcl",
    "savefig.bbox": None,
}

DPI = 250


def save(
    figure: Figure, folder: Path | str, name: str, *, data: pd.DataFrame | Mapping[str, pd.DataFrame]
) -> list[Path]:
    """Write a figure as PDF (TrueType fonts), SVG and PNG, with the CSV it is drawn from.

    The same figure gives the same bytes. Each file is whole or absent.

    Args:
        figure: kept at its size, so that it fits the column it was made for.
        folder: made if absent.
        name: of the files, without an ending.
        data: the frame that was drawn, ``<name>.csv``; or several by name, each ``<name>.<key>.csv``.

    Returns:
        The paths written.
    """
    place = _folder(folder)
    written = []
    for ending, metadata in _METADATA.items():
        path = place / f"{name}.{ending}"
        part = path.with_name(f".{path.name}.part")
        with mpl.rc_context(_SAVING):
            figure.savefig(part, format=ending, metadata=metadata, dpi=DPI)
        os.replace(part, path)
        written.append(path)
    frames = {name: data} if isinstance(data, pd.DataFrame) else {f"{name}.{k}": v for k, v in data.items()}
    return written + [_write_csv(place / f"{stem}.csv", frame) for stem, frame in frames.items()]


def save_table(latex: str, folder: Path | str, name: str, *, data: pd.DataFrame) -> list[Path]:
    """Write a table as LaTeX with the CSV that it was made from.

    Args:
        latex: from :func:`mlcl_utils.figures.tables.latex`.
        folder: made if absent.
        name: of the files, without an ending.
        data: the numbers behind it.

    Returns:
        The paths written.
    """
    place = _folder(folder)
    return [_write(place / f"{name}.tex", latex), _write_csv(place / f"{name}.csv", data)]


def _folder(folder: Path | str) -> Path:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _write_csv(path: Path, frame: pd.DataFrame) -> Path:
    return _write(path, frame.to_csv(index=False, lineterminator="\n"))


def _write(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    os.replace(part, path)
    return path
