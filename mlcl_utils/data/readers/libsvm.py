"""Sets in LibSVM's multi-label format, with or without the header line of the Extreme Classification Repository.

A line is an example: its labels with commas between them, then its features, as in ``1,3,7 5:0.2 9:1``. A line that
begins with a feature has no label; what a line does not give is 0; ``#`` begins a comment. The files are those that end
in ``.svm`` or ``.libsvm``, and those that end in ``.txt`` and begin with the header ``EXAMPLES FEATURES LABELS``.

Under a header, labels and features count from 0, and all that it counts are there, used or not. Without one the labels
are the numbers that occur, and features count from 1, as LibSVM wants it, unless one has the number 0.

``NAME_train.svm`` and ``NAME_test.svm`` are read together, the official split, whichever of them is named; so are
those with ``-`` or ``.`` in place of ``_``, and ``train.txt`` and ``test.txt``, which are named by their folder. A file
of the training file's name, or of ``NAME``, that ends in ``.toml`` may say where the names of the labels are:

    labels = "labels.txt"    # one a line, in the order of the labels' numbers (else these numbers)

scikit-learn's ``load_svmlight_file`` says of a damaged file neither line nor place, takes labels for real numbers, and
knows no header, so that the lines are read here.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_fits,
    is_finite,
    label_matrix,
    parts,
    quoted,
    read_names,
    read_text,
    resolve,
    split_lines,
)
from mlcl_utils.data.readers.sidecar import read_sidecar
from mlcl_utils.data.splits import TEST, TRAIN
from mlcl_utils.errors import DataError

_KEYS = {"labels": str}
_PART = re.compile(r"(?P<base>.*?)(?P<between>[-_.]?)(?P<part>train|test)", re.IGNORECASE | re.DOTALL)
_OTHER = {
    "train": "test",
    "test": "train",
    "Train": "Test",
    "Test": "Train",
    "TRAIN": "TEST",
    "TEST": "TRAIN",
}
_HEADER = re.compile(r"([0-9]+)[ \t]+([0-9]+)[ \t]+([0-9]+)")
_LABEL = re.compile(r"\+?([0-9]+)(?:\.0*)?")
_MOST_DIGITS = 9  # of a number of a label or feature; a dense matrix holds no more


def find(name: str, root: Path | None) -> Source:
    """A set by the path of its file, or of one of its two parts.

    Raises:
        UsageError: there is no such file.
        DataError: the sidecar is damaged, or a file that it names is missing.
    """
    path = resolve(name, root)
    base, files = _files(path)
    for told in dict.fromkeys((files[0], path.with_name(f"{base}{path.suffix}"))):
        sidecar, given = read_sidecar(told, _KEYS)
        if sidecar is not None:
            break
    named = path.parent / given["labels"] if "labels" in given else None
    if named is not None and not os.path.isfile(named):
        raise DataError(f"{path.parent / quoted(given['labels'])}, which {sidecar} names, is missing")
    others = [file for file in (named, sidecar) if file is not None]
    return Source(base, path.parent, (*files, *others), read, facts={"parts": files, "names": named})


def _files(path: Path) -> tuple[str, list[Path]]:
    """The name of the set of a file, and its files: training and test, or this one alone."""
    found = _PART.fullmatch(path.stem)
    if found is None or (found["base"] and not found["between"]) or found["part"] not in _OTHER:
        return path.stem, [path]
    base, part = found["base"], found["part"]
    other = path.with_name(f"{base}{found['between']}{_OTHER[part]}{path.suffix}")
    if not os.path.isfile(other):
        return path.stem, [path]
    return base or path.parent.name or path.stem, [path, other] if part.lower() == "train" else [other, path]


def has_header(path: Path) -> bool:
    """Whether the first line of a file is the header of the Extreme Classification Repository."""
    try:
        with path.open("rb") as stream:
            first = next((line for line in iter(lambda: stream.readline(1000), b"") if line.strip()), b"")
    except OSError:
        return False  # who reads it says why
    return _HEADER.fullmatch(first.decode("utf-8-sig", "replace").strip()) is not None


def read(source: Source) -> Examples:
    """Features and labels of the files.

    Raises:
        DataError: a file is damaged, its parts contradict each other, or it does not fit into memory.
    """
    tables = [_read(file) for file in source.facts["parts"]]
    first = tables[0]
    for table in tables[1:]:
        if (table.header is None) != (first.header is None) or table.widths != first.widths:
            raise DataError(
                f"{table.path}, line 1: the numbers of features and labels are not those of {first.path.name}"
            )
    base, width = _columns(tables)
    used = sorted({label for table in tables for each in table.labels for label in each})
    names, numbers, said = _names(source, tables, used)
    count = sum(len(table.labels) for table in tables)
    check_fits(first.path, count, width, "features", 4)
    check_fits(first.path, count, len(names), "labels", 1)
    features = np.zeros((count, width), dtype=np.float32)
    start = 0
    for table in tables:
        rows = np.repeat(np.arange(start, start + len(table.labels)), table.lengths)
        features[rows, np.array(table.indices, dtype=np.int64) - base] = table.values
        start += len(table.labels)
    position = {number: column for column, number in enumerate(numbers)}
    queries = sum(table.queries for table in tables)
    labels = [[position[label] for label in each] for table in tables for each in table.labels]
    sizes = [len(table.labels) for table in tables]
    return Examples(
        modality="features",
        ids=[f"{table.path.stem} {row + 1}" for table in tables for row in range(len(table.labels))],
        label_names=names,
        labels=label_matrix(labels, len(names)),
        part=parts((TRAIN, sizes[0]), (TEST, sizes[1])) if len(tables) == 2 else None,
        group_keys=[[row.tobytes() for row in features]],
        features=features,
        notes=[
            f"features count from {base}" + _reason(tables, base),
            said,
            *([f"{queries} examples have a qid, which is left out"] if queries else []),
        ],
    )


# -------------------------------------------------------------------------------------------------- one file


@dataclass
class _Table:
    """One file: the labels of each example and, one behind the other, the numbers and values of its features."""

    path: Path
    header: tuple[int, int, int] | None
    labels: list[tuple[int, ...]] = field(default_factory=list)
    lengths: array[int] = field(default_factory=lambda: array("q"))
    indices: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("f"))
    queries: int = 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of features and labels, if there is a header."""
        return () if self.header is None else self.header[1:]


def _read(path: Path) -> _Table:
    lines = list(enumerate((line.partition("#")[0] for line in split_lines(read_text(path))), start=1))
    while lines and not lines[-1][1].strip():
        lines.pop()
    there = [(number, line) for number, line in lines if line.strip()]
    if not there:
        raise DataError(f"{path} holds no example")
    table = _Table(path, None)
    found = _HEADER.fullmatch(there[0][1].strip())
    if found is not None:
        table.header = _header(path, there[0][0], found.groups())
        lines = [(number, line) for number, line in lines if number > there[0][0]]
        # An example without labels and features is a blank line; where the header counts it, it is one.
        there = lines if len(there) - 1 != table.header[0] == len(lines) else there[1:]
        if len(there) != table.header[0]:
            raise DataError(f"{path}: {len(there)} examples, and its first line counts {table.header[0]}")
    for number, line in tqdm(there, desc=path.name, unit="row", delay=2, disable=None):
        _example(table, f"{path}, line {number}", line)
    return table


def _header(path: Path, number: int, words: Sequence[str]) -> tuple[int, int, int]:
    counts = [int(word) if len(word) <= _MOST_DIGITS else 0 for word in words]
    for word, count, what in zip(words, counts, ("examples", "features", "labels"), strict=True):
        if count == 0:
            raise DataError(f"{path}, line {number}: {word[:20]} {what} cannot be")
    check_fits(path, counts[0], counts[1], "features", 4)
    check_fits(path, counts[0], counts[2], "labels", 1)
    return counts[0], counts[1], counts[2]


def _example(table: _Table, where: str, line: str) -> None:
    """Put an example behind those of a table."""
    words = [word for word in re.split("[ \t]+", line) if word]
    listed = words[0].split(",") if words and ":" not in words[0] else []
    labels = tuple(_label(table, where, word) for word in listed)
    if len(set(labels)) < len(labels):
        raise DataError(f"{where}: a label is there twice in '{quoted(words[0])}'")
    begin = len(table.indices)
    for word in words[1:] if listed else words:
        if word.startswith("qid:"):
            table.queries += 1
        else:
            index, number = _feature(table, where, word)
            table.indices.append(index)
            table.values.append(number)
    own = table.indices[begin:]
    if len(set(own)) < len(own):
        twice = next(index for index in own if own.count(index) > 1)
        raise DataError(f"{where}: feature {twice} is there twice")
    table.labels.append(labels)
    table.lengths.append(len(own))


def _label(table: _Table, where: str, word: str) -> int:
    found = _LABEL.fullmatch(word)
    if found is None:
        raise DataError(
            f"{where}: '{quoted(word)}' is not the number of a label; "
            "a line begins with the labels that are there, such as 1,3,7"
        )
    return _within(where, found[1], "label", table.widths[1] if table.header else None)


def _feature(table: _Table, where: str, word: str) -> tuple[int, float]:
    name, colon, value = word.partition(":")
    if not (colon and name.isascii() and name.isdecimal()):
        raise DataError(f"{where}: '{quoted(word)}' is not a feature's number, a colon and a value")
    index = _within(where, name, "feature", table.widths[0] if table.header else None)
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not is_finite(number) or "_" in value:
        raise DataError(f"{where}: '{quoted(value)}' for feature {index} is not a number")
    return index, number


def _within(where: str, word: str, what: str, count: int | None) -> int:
    """A number that is one of those that the header counts, or that can be one."""
    digits = word.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:
        raise DataError(f"{where}: {what} {digits[:20]} is too large a number for one")
    if count is not None and int(digits) >= count:
        raise DataError(f"{where}: {what} {digits} is outside the {count} of the first line, from 0")
    return int(digits)


# ---------------------------------------------------------------------------------------- features and labels


def _columns(tables: Sequence[_Table]) -> tuple[int, int]:
    """The number of the first feature, and how many there are."""
    if tables[0].header is not None:
        return 0, tables[0].widths[0]
    numbers = [table.indices for table in tables if table.indices]
    if not numbers:
        raise DataError(f"{tables[0].path}: no example has a feature")
    base = 0 if min(map(min, numbers)) == 0 else 1
    return base, max(map(max, numbers)) + 1 - base


def _reason(tables: Sequence[_Table], base: int) -> str:
    if tables[0].header is not None:
        return ", as under every header line"
    return ", since one has this number" if base == 0 else ", since none has the number 0"


def _names(
    source: Source, tables: Sequence[_Table], used: Sequence[int]
) -> tuple[list[str], Sequence[int], str]:
    """Names of the labels, the number of each, and what is to be said of them."""
    if not used:
        raise DataError(f"{tables[0].path}: no example has a label")
    header = tables[0].header
    numbers: Sequence[int] = used if header is None else range(header[2])
    file: Path | None = source.facts["names"]
    if file is None:
        return [str(number) for number in numbers], numbers, "labels are named by their numbers"
    names = read_names(file)
    if header is not None:
        if len(names) != header[2]:
            raise DataError(f"{file}: {len(names)} names, and {tables[0].path.name} has {header[2]} labels")
        first = 0
    elif used[0] == 0 or used[-1] >= len(names):
        first = 0 if used[0] == 0 else 1
    else:
        raise DataError(
            f"{file}: is the first name that of label 0 or of label 1? no example has label 0 or {len(names)}; give "
            f"{tables[0].path.name} the first line 'EXAMPLES FEATURES LABELS', under which all count from 0"
        )
    if used[-1] >= first + len(names):
        raise DataError(f"{file}: {len(names)} names, and {tables[0].path.name} has label {used[-1]}")
    return names, range(first, first + len(names)), f"labels are named by {file.name}, from {first}"
