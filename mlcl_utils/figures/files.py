"""Figures and tables on disk, each with the data it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mlcl_utils.figures import style
from mlcl_utils.files import whole, write_csv, write_text

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
        with whole(path) as temporary, style.settings(_SAVING):
            figure.savefig(temporary, format=ending, metadata=metadata, dpi=DPI)
        written.append(path)
    frames = {name: data} if isinstance(data, pd.DataFrame) else {f"{name}.{k}": v for k, v in data.items()}
    for stem, frame in frames.items():
        write_csv(place / f"{stem}.csv", frame)
        written.append(place / f"{stem}.csv")
    return written


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
    written = [place / f"{name}.tex", place / f"{name}.csv"]
    write_text(written[0], latex)
    write_csv(written[1], data)
    return written


def _folder(folder: Path | str) -> Path:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return place
