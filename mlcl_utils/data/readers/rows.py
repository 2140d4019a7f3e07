"""Rows and columns of a CSV, TSV or Parquet file, as they stand there."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcl_utils.data.readers.common import read_text
from mlcl_utils.errors import DataError


@dataclass(frozen=True)
class Rows:
    """A table: the columns by name, and where each row stands.

    Attributes:
        path: of the file.
        columns: N values each; of a CSV file strings, of a Parquet file whatever it holds.
        lines: line of each row, from 1; None if the file has no lines.
        separator: between the cells; None if there is none.
    """

    path: Path
    columns: Mapping[str, list[Any]]
    lines: list[int] | None
    separator: str | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def where(self, row: int) -> str:
        """File and line of a row, or file and number of the row from 1."""
        place = f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"
        return f"{self.path}, {place}"


def read_rows(path: Path, encoding: str | None = None) -> Rows:
    """Read a table.

    Args:
        path: ends in ``.csv``, ``.tsv`` or ``.parquet``.
        encoding: of a CSV file; UTF-8 if not given.

    Raises:
        DataError: it is damaged, empty or in another encoding.
    """
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path, encoding)
    if not rows.columns or len(rows) == 0:
        raise DataError(f"{path} holds no row")
    return rows


def _csv(path: Path, encoding: str | None) -> Rows:
    sidecar = path.with_suffix(".toml").name
    advice = f'; name its encoding in {sidecar}, such as: encoding = "latin-1"'
    text = read_text(path, encoding or "utf-8", advice)
    if not text.strip():
        raise DataError(f"{path} is empty")
    first = text.split("\n", 1)[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=first.count)
    before = csv.field_size_limit(sys.maxsize)  # a document may be longer than the module's idea of a field
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = [name.strip() for name in next(reader)]
        for name in header:
            if header.count(name) > 1:
                raise DataError(f"{path}, line 1: there are two columns '{name}'")
        cells: list[list[str]] = []
        lines = []
        start = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(header):
                    raise DataError(f"{path}, line {start}: {len(row)} cells for {len(header)} columns")
                cells.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    finally:
        csv.field_size_limit(before)
    columns = [list(column) for column in zip(*cells, strict=True)] or [[] for _ in header]
    return Rows(path, dict(zip(header, columns, strict=True)), lines, separator)


def _parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is damaged, cut off or not a Parquet file: {reason}") from None
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return Rows(path, columns, None, None)


def cell_text(value: Any) -> str:
    """A cell as text without white space around it; an empty one of a Parquet file is the empty text."""
    return "" if value is None else str(value).strip()
