"""Rows and columns of a CSV, TSV or Parquet file, as they stand there."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.readers import cells
from mlcl_utils.data.readers.cells import cell_text, normal, shown
from mlcl_utils.data.readers.common import read_text
from mlcl_utils.errors import DataError

ODD = -2
"""In :attr:`Column.states`, a cell that says neither 0 nor 1, nor that it is missing."""


class Column:
    """The N cells of a column of a CSV file, which are texts.

    Attributes:
        name: of the column, in NFC.
        flaw: what is known to be wrong with the column, with the place; empty if nothing is.
    """

    def __init__(self, name: str, values: list[Any]) -> None:
        self.name, self.flaw = name, ""
        self._values = values

    @property
    def values(self) -> list[Any]:
        """The cells, as they are."""
        return self._values

    @cached_property
    def texts(self) -> list[str]:
        """The cells as texts without white space around them; a missing one is empty."""
        return list(map(str.strip, self.values))

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each text occurs."""
        return Counter(self.texts)

    @property
    def lists(self) -> bool:
        """Whether the cells are lists, or other values that hold several."""
        return False

    def head(self, rows: int) -> list[str]:
        """The texts of the first few rows, without the others being decoded."""
        return [cell_text(value) for value in self.values[:rows]]

    @cached_property
    def plain(self) -> npt.NDArray[np.float64] | None:
        """The cells as numbers, if all are such by their type or with a decimal point; NaN for a real missing one."""
        return cells.plain_numbers(self.texts)

    @cached_property
    def states(self) -> npt.NDArray[np.int8]:
        """What the cells say of a label: 1, 0, -1 (unobserved) or :data:`ODD`."""
        if self.plain is not None:
            known = np.select([self.plain == 1, self.plain == 0, self.plain == -1], [1, 0, -1], ODD)
            return np.where(np.isnan(self.plain), -1, known).astype(np.int8)
        state = {text: cells.state(text) for text in self.counts}
        codes = {text: ODD if value is None else value for text, value in state.items()}
        return np.fromiter(map(codes.__getitem__, self.texts), dtype=np.int8, count=len(self.texts))

    @cached_property
    def are_states(self) -> bool:
        """Whether all cells that are there say 0 or 1, and one is there."""
        return self.present and not bool((self.states == ODD).any())

    @cached_property
    def present(self) -> bool:
        """Whether a cell is there."""
        if self.plain is not None:
            return not bool(np.isnan(self.plain).all())
        return not all(map(cells.is_absent, self.counts))

    def nearly_states(self) -> cells.Fit | None:
        """The fit of cells that say 0 or 1 but for a few odd ones; None if they are of another kind."""
        odd = int((self.states == ODD).sum())
        return cells.nearly_states(self.counts) if 0 < 2 * odd < len(self.states) else None

    def fit_numbers(self) -> cells.Fit:
        """How well the cells fit numbers; the words for 0 and 1 are numbers too where a column holds only them."""
        if self.plain is not None and not np.isnan(self.plain).any():
            return cells.Fit(len(self.plain), len(self.plain), ())
        return cells.fit_numbers(self.counts)

    def numbers(self, decimal: str | None) -> cells.Numbers:
        """The cells as numbers; see :func:`cells.numbers`."""
        if self.plain is not None and decimal != ",":
            return cells.Numbers(self.plain, ".")
        return cells.numbers(self.texts, decimal)

    def vectors(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
        """The cells as lists of numbers: N lengths, and all numbers in a row; None if they are no such lists.

        The length of a missing cell is 0.
        """
        lists: list[list[float]] = []
        for text in self.texts:
            numbers = [] if cells.is_absent(text) else cells.number_list(text)
            if numbers is None:
                return None
            lists.append(numbers)
        lengths = np.array([len(each) for each in lists], dtype=np.int64)
        return lengths, np.fromiter(itertools.chain.from_iterable(lists), dtype=np.float64)

    @cached_property
    def first_is_vector(self) -> bool:
        """Whether the first cell that is there is the text of a list of numbers."""
        first = next((text for text in self.texts if not cells.is_absent(text)), "")
        return cells.number_list(first) is not None

    @property
    def kind(self) -> str:
        """What it holds, as far as that is known without decoding it; as ``content``, or a type of the file."""
        return self.content

    @cached_property
    def content(self) -> str:
        """What the cells hold: ``"nothing"``, ``"0 and 1"``, ``"numbers"``, ``"lists"`` or ``"text"``."""
        if not self.present:
            return "nothing"
        if self.are_states:
            return "0 and 1"
        if self.plain is not None or self.fit_numbers().whole:
            return "numbers"
        if self.lists or all(cells.is_absent(text) or cells.is_bracketed(text) for text in self.counts):
            return "lists"
        return "text"


class Rows:
    """A table: its columns by name, read when they are asked for, and where each row stands.

    Attributes:
        path: of the file.
        names: of the columns, all different, in NFC.
        twice: names that several columns have, which therefore cannot be asked for.
        notes: what is to be known of the file, one sentence each.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        count: int,
        load: Callable[[int], Column],
        lines: Sequence[int] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        number_of = Counter(names)
        self.path, self.notes = path, notes
        self.names = tuple(name for name in names if number_of[name] == 1)
        self.twice = tuple(name for name, number in number_of.items() if number > 1)
        self._position = {name: at for at, name in enumerate(names)}
        self._count, self._load, self._lines = count, load, lines
        self._loaded: dict[str, Column] = {}

    def __len__(self) -> int:
        return self._count

    def place(self, row: int) -> str:
        """The line of a row or, if the file has no lines, its number from 1."""
        return f"row {row + 1}" if self._lines is None else f"line {self._lines[row]}"

    def where(self, row: int) -> str:
        """File and place of a row."""
        return f"{self.path}, {self.place(row)}"

    def column(self, name: str) -> Column:
        """A column to look at; it may have a flaw."""
        if name not in self._loaded:
            self._loaded[name] = self._load(self._position[name])
        return self._loaded[name]

    def use(self, name: str) -> Column:
        """A column to be used.

        Raises:
            DataError: it is damaged; the message names the place.
        """
        column = self.column(name)
        _ = column.values
        if column.flaw:
            raise DataError(f"{self.path}, {column.flaw}")
        return column

    def use_single(self, name: str) -> Column:
        """A column to be used, each cell of which is one value.

        Raises:
            DataError: it has a flaw, or holds lists or the like.
        """
        column = self.use(name)
        if column.lists:
            raise DataError(f"{self.path}: column '{shown(name)}' holds {column.kind}, not single values")
        return column

    def refuse_twice(self, names: Sequence[str] | None = None) -> None:
        """Refuse columns of one name, among which there is no telling which is meant.

        Args:
            names: of the columns that matter; all if not given.

        Raises:
            DataError: there are such columns.
        """
        for name in self.twice:
            if names is None or name in names:
                place = ", line 1" if self._lines is not None else ""
                raise DataError(
                    f"{self.path}{place}: there are two columns '{shown(name)}'; give each a name of its own"
                )


# ----------------------------------------------------------------------------------------------------------- CSV

_DELIMITERS = ",;\t|"
_SEEN = 1 << 20  # characters that the delimiter is judged by
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EXCEL_HINT = re.compile(
    r'"?sep=(.)"?[\r\n]', re.IGNORECASE
)  # a first line by which Excel is told the delimiter


def read_csv(path: Path, encoding: str | None, delimiter: str | None) -> Rows:
    """The table of a CSV file.

    Args:
        path: of the file.
        encoding: if the user named it.
        delimiter: likewise.

    Raises:
        DataError: it is damaged, empty or in another encoding.
    """
    text = _text(path, encoding)
    before = csv.field_size_limit(sys.maxsize)  # a document may be longer than the module's idea of a field
    try:
        hint = _EXCEL_HINT.match(text)
        delimiter = delimiter or (hint[1] if hint else _delimiter(path, text))
        return _cells(path, text, delimiter, skip=hint is not None)
    finally:
        csv.field_size_limit(before)


def _text(path: Path, encoding: str | None) -> str:
    """The text of a CSV file; a byte order mark says which form of Unicode it is in."""
    sidecar = path.with_suffix(".toml").name
    advice = f'; name its encoding in {sidecar}, such as: encoding = "latin-1"'
    zero = advice.replace("latin-1", "utf-16-le")
    if encoding is None:
        start = _start(path)
        encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
        if encoding == "utf-8" and b"\0" in start:
            line = start.count(b"\n", 0, start.index(b"\0")) + 1
            why = (
                f"so it is not utf-8{zero}" if 3 * start.count(0) > len(start) else "so it is no file of text"
            )
            raise DataError(f"{path}, line {line}: a zero byte, {why}")
    try:
        text = read_text(path, encoding, advice).removeprefix("\ufeff")
    except DataError:
        raise
    except ValueError:  # of codecs that are none of texts
        raise DataError(f"{path} cannot be read as '{shown(encoding)}'{advice}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: a zero byte, so it is not {encoding}{zero}")
    if not text.strip():
        raise DataError(f"{path} is empty")
    return text


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1000)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _reader(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)


def _delimiter(path: Path, text: str) -> str:
    """The delimiter of columns: the one by which all rows have as many cells as the header, quotes understood.

    Raises:
        DataError: there are two such.
    """
    tried = {each: _tried(text, each) for each in _DELIMITERS}
    if path.suffix.lower() == ".tsv" and tried["\t"][0] > 1:
        return "\t"
    possible = {each: fits for each, (width, fits) in tried.items() if width > 1}
    whole = [each for each, fits in possible.items() if fits == 1]
    if len(whole) > 1:
        first, second = (repr(each).strip("'") for each in whole[:2])
        raise DataError(
            f"{path}, line 1: are the columns separated by '{first}' or by '{second}'? "
            f'say so in {path.with_suffix(".toml").name}, such as: delimiter = "{first}"'
        )
    if whole:
        return whole[0]
    return max(possible, key=lambda each: (possible[each], tried[each][0]), default=",")


def _tried(text: str, delimiter: str) -> tuple[int, float]:
    """Cells of the header by a delimiter, and the share of the next rows that have as many."""
    reader, rows = _reader(text[:_SEEN], delimiter), list[int]()
    try:
        for row in itertools.islice(reader, 1000):
            if any(map(str.strip, row)):
                rows.append(len(row))
    except csv.Error:
        if len(text) <= _SEEN:  # else it was cut
            rows.append(0)
    if len(text) > _SEEN and len(rows) > 2:
        rows.pop()
    if not rows:
        return 0, 0
    return rows[0], sum(width == rows[0] for width in rows) / len(rows)


def _cells(path: Path, text: str, delimiter: str, skip: bool) -> Rows:
    reader = _reader(text, delimiter)
    try:
        header, start = _header(reader, skip)
        width = len(header)
        named = width - sum(1 for _ in itertools.takewhile(lambda name: not name, reversed(header)))
        rows, lines, longer, several = list[list[str]](), list[int](), list[int](), list[int]()
        for row in reader:
            here, start = start, reader.line_num + 1
            if not row or (len(row) == 1 < width and not row[0].strip()):
                continue
            if len(row) != width:
                if len(row) < max(named, 1) or any(map(str.strip, row[width:])):
                    raise DataError(f"{path}, line {here}: {len(row)} cells for {width} columns")
                longer += [here] if len(row) > width else []
                row = [*row[:width], *[""] * (width - len(row))]
            rows.append(row)
            lines.append(here)
            if start > here + 1:
                several.append(here)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {shown(error, 80)}") from None
    empty = sum(1 for _ in itertools.takewhile(lambda row: not any(map(str.strip, row)), reversed(rows)))
    rows, lines = rows[: len(rows) - empty], lines[: len(lines) - empty]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    while len(columns) > named and not any(map(str.strip, columns[-1])):
        columns.pop()
    notes = [
        *([f"the columns are separated by '{shown(delimiter)}'"] if delimiter not in ",\t" else []),
        *([f"{cells.counted(empty, 'row')} of empty cells at the end left out"] if empty else []),
        *_first_of(longer, "with empty cells that have no column"),
        *_first_of(several, "with line breaks in a cell"),
    ]
    names = header[: len(columns)]
    return Rows(path, names, len(rows), lambda at: Column(names[at], columns[at]), lines, notes)


def _first_of(lines: Sequence[int], what: str) -> list[str]:
    return [f"{cells.counted(len(lines), 'row')} {what}, the first at line {lines[0]}"] if lines else []


def _header(reader: Any, skip: bool) -> tuple[list[str], int]:
    """The names of the columns, and the line after them."""
    if skip:
        next(reader)
    header: list[str] = next((row for row in reader if any(map(str.strip, row))), [])
    return [normal(name) for name in header], reader.line_num + 1
