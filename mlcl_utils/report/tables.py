"""Tables of numbers and words from CSV files, as pages show them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

MOST_ROWS = 5000
"""What a page shows of one table; the rest is in its file."""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: their names.
        rows: as many cells each; numbers are rounded to four significant digits.
        numeric: for each column, whether it holds numbers.
        left_out: how many rows are only in the file.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    left_out: int = 0

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column."""
        at = self.columns.index(name)
        return tuple(row[at] for row in self.rows)


def read(path: Path) -> Table:
    """The table in a CSV file; without columns if the file is empty or cannot be read.

    Short rows are filled up, and what is beyond the last column is dropped: a report shows what there is.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as stream:
            head, *body = list(csv.reader(stream)) or [[]]
    except (OSError, csv.Error):
        head, body = [], []
    width = len(head)
    cells = [tuple((row + [""] * width)[:width]) for row in body[:MOST_ROWS]]
    numeric = tuple(all(number(row[at]) is not None for row in cells if row[at]) for at in range(width))
    rows = [tuple(rounded(cell) if numeric[at] else cell for at, cell in enumerate(row)) for row in cells]
    return Table(tuple(head), tuple(rows), numeric, max(0, len(body) - MOST_ROWS))


def number(cell: str) -> float | None:
    """A cell as a number; None if it is none."""
    try:
        return float(cell)
    except ValueError:
        return None


def rounded(cell: str, digits: int = 4) -> str:
    """A number in a cell at so many significant digits; whole numbers and empty cells stay as they are."""
    value = number(cell)
    if value is None or not math.isfinite(value):
        return "" if value is not None and math.isnan(value) else cell
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value)}"
    return f"{value:.{digits}g}"
