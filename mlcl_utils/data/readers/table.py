"""A plain table, CSV, TSV or Parquet: a row an example, with a text, an image's path or features, and its labels.

Which column is what is guessed from names and values, and said; or named in a file beside the table, of its name with
the ending ``.toml``:

    text = "body"          # or image = "file", or features = ["f*"] (columns of numbers, or one of lists)
    title = "headline"     # stands before the text
    labels = "tags"        # one column that lists labels, or several of 0 and 1: ["tag_*"]
    separator = ";"        # between the labels of a cell
    id = "key"             # else the image's path, or the number of the row
    group = "author"       # rows that are never parted by a split
    split = "part"         # train, validation or test
    images = "photos"      # folder of the images, seen from the table
    encoding = "latin-1"   # of a CSV file; else UTF-8

Rows with the same text, or the same features, are one group. A cell without labels is an example without labels; in a
column of 0 and 1 an empty cell, ``?`` or -1 is an unobserved label.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.readers.columns import KEYS, Columns, choose
from mlcl_utils.data.readers.common import (
    PART_WORDS,
    Examples,
    Source,
    check_distinct,
    is_finite,
    label_matrix,
    resolve,
)
from mlcl_utils.data.readers.rows import Rows, cell_text, read_rows
from mlcl_utils.data.readers.sidecar import read_sidecar
from mlcl_utils.errors import DataError

_SEPARATORS = (";", "|", ",")
# A list, set or tuple as Python writes it: in brackets, and round ones and braces not around parts of the text alone.
_BRACKETED = re.compile(
    r"""\[.*\]|\((?:\s*['"].*|[^()]*)\)|\{(?:\s*['"].*|[^{}]*)\}|(?:frozen)?set\(.*\)""", re.DOTALL
)
_SET = re.compile(r"^(?:frozen)?set\((.*)\)$", re.DOTALL)
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|,|[^\s,'"]+|['"]""", re.DOTALL)
_NO_LABEL = (list, tuple, set, dict, bytes, type(...))
_STATES = {"0": 0, "1": 1, "false": 0, "true": 1, "-1": -1, "?": -1, "": -1}


def find(name: str, root: Path | None) -> Source:
    """A table by its path."""
    path = resolve(name, root)
    sidecar, given = read_sidecar(path, KEYS)
    folders = (given["images"],) if "images" in given else ("", "images")
    files = (path, *([sidecar] if sidecar else []))
    return Source(path.stem, path.parent, files, read, folders, facts={"given": given})


def read(source: Source) -> Examples:
    """The examples of a table."""
    given = source.facts["given"]
    rows = read_rows(source.files[0], given.get("encoding"))
    columns = choose(rows, given)
    names, labels, said = _indicators(rows, columns) if columns.indicators else _listed(rows, columns, given)
    texts = [cell_text(value) for value in rows.columns[columns.text]] if columns.text else []
    titles = (
        [cell_text(value) for value in rows.columns[columns.title]] if columns.title else [""] * len(texts)
    )
    images = _images(rows, columns.image) if columns.image else []
    features = _features(rows, columns.features) if columns.features else None
    notes = [columns.described(), *columns.notes, *said]
    empty = sum(not text and not title for text, title in zip(texts, titles, strict=True))
    if empty:
        notes.append(f"{empty} texts are empty")
    keys: list[Sequence[object]] = [_groups(rows.columns[columns.group])] if columns.group else []
    if texts:
        keys.append(
            [
                " ".join(f"{t} {x}".lower().split()) or f"row {row}"
                for row, (t, x) in enumerate(zip(titles, texts, strict=True))
            ]
        )
    if features is not None:
        keys.append([row.tobytes() for row in features])
    return Examples(
        modality="text" if texts else "image" if images else "features",
        ids=_ids(rows, columns, images),
        label_names=names,
        labels=labels,
        part=_parts(rows, columns.split) if columns.split else None,
        group_keys=keys,
        titles=titles,
        texts=texts,
        images=images,
        features=features,
        notes=notes,
    )


def _ids(rows: Rows, columns: Columns, images: list[str]) -> list[str]:
    ids = [cell_text(value) for value in rows.columns[columns.id]] if columns.id else images
    check_distinct(ids, rows.where)
    return ids or [str(row + 1) for row in range(len(rows))]


def _groups(values: Sequence[Any]) -> list[object]:
    """Equal for rows of one group; a row without a group is one of its own."""
    return [cell_text(value) or (row,) for row, value in enumerate(values)]


def _parts(rows: Rows, column: str) -> npt.NDArray[np.uint8]:
    parts = []
    for row, value in enumerate(rows.columns[column]):
        word = cell_text(value).lower()
        if word not in PART_WORDS:
            raise DataError(
                f"{rows.where(row)}: '{value}' in column '{column}' is not train, validation or test"
            )
        parts.append(PART_WORDS[word])
    return np.array(parts, dtype=np.uint8)


def _images(rows: Rows, column: str) -> list[str]:
    images = [cell_text(value).replace("\\", "/") for value in rows.columns[column]]
    for row, image in enumerate(images):
        if not image:
            raise DataError(f"{rows.where(row)}: column '{column}' names no image")
    return images


def _features(rows: Rows, columns: Sequence[str]) -> npt.NDArray[np.float32]:
    values = [rows.columns[column] for column in columns]
    for column in columns if len(columns) > 1 else ():
        if any(isinstance(cell, list) for cell in rows.columns[column]):
            raise DataError(
                f"{rows.path}: column '{column}' holds lists; name it alone as features, or columns of numbers"
            )
    table = values[0] if isinstance(values[0][0], list) else list(zip(*values, strict=True))
    features = np.empty((len(rows), len(table[0])), dtype=np.float32)
    for row, cells in enumerate(table):
        if cells is None or len(cells) != features.shape[1]:
            raise DataError(
                f"{rows.where(row)}: {len(cells or ())} features, the first row has {features.shape[1]}"
            )
        for position, cell in enumerate(cells):
            column = columns[position] if len(columns) > 1 else columns[0]
            features[row, position] = _number(rows, row, column, cell)
    return features


def _number(rows: Rows, row: int, column: str, cell: Any) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = np.nan
    if not is_finite(value):
        shown = "is empty" if cell_text(cell) == "" else f"has '{cell}'"
        raise DataError(f"{rows.where(row)}: column '{column}' {shown}; every feature has to be a number")
    return value


def _indicators(rows: Rows, columns: Columns) -> tuple[list[str], npt.NDArray[np.int8], list[str]]:
    """Labels with a column each."""
    labels = np.empty((len(rows), len(columns.labels)), dtype=np.int8)
    for position, column in enumerate(columns.labels):
        for row, value in enumerate(rows.columns[column]):
            word = cell_text(value).lower().removesuffix(".0")
            if word not in _STATES:
                raise DataError(
                    f"{rows.where(row)}: '{value}' in label column '{column}' is not 0, 1 or empty"
                )
            labels[row, position] = _STATES[word]
    unobserved = int((labels == -1).sum())
    return list(columns.labels), labels, [f"{unobserved} empty labels are unobserved"] if unobserved else []


def _listed(
    rows: Rows, columns: Columns, given: dict[str, Any]
) -> tuple[list[str], npt.NDArray[np.int8], list[str]]:
    """Labels that one column lists."""
    column = columns.labels[0]
    cells = rows.columns[column]
    lists, separator = _lists(rows, column), given.get("separator")
    notes = []
    if separator == "":
        raise DataError(
            f"{rows.path.with_suffix('.toml')}: 'separator' is empty; leave it out if each cell is one label"
        )
    if lists is None:
        texts = [cell_text(cell) for cell in cells]
        if separator is None:
            separator = next((s for s in _SEPARATORS if any(s in text for text in texts)), None)
        notes.append(
            f"labels of '{column}' are separated by '{separator}'"
            if separator
            else f"no separator in '{column}' ({' '.join(_SEPARATORS)}): each cell is one label"
        )
        lists = [text.split(separator) if separator else [text] for text in texts]
    if _is_matrix(lists):
        raise DataError(
            f"{rows.path}: column '{column}' lists 0 and 1, not labels; "
            "write their names, or give each label a column of 0 and 1"
        )
    found = [list(dict.fromkeys(label for label in map(cell_text, each) if label)) for each in lists]
    names = sorted({label for each in found for label in each})
    if not names:
        raise DataError(f"{rows.path}: column '{column}' holds no label")
    without = [row for row, each in enumerate(found) if not each]
    if without:
        notes.append(
            f"{len(without)} cells without labels, the first at {rows.where(without[0]).rpartition(', ')[2]}: "
            "examples without labels"
        )
    position = {name: number for number, name in enumerate(names)}
    return names, label_matrix([[position[label] for label in each] for each in found], len(names)), notes


def _lists(rows: Rows, column: str) -> list[list[Any]] | None:
    """The cells as lists, if they are lists, or texts such as ``['a', 'b']`` or ``{'a', 'b'}``."""
    cells = rows.columns[column]
    if any(isinstance(cell, list | dict) for cell in cells):
        lists = [[] if cell is None else _labels_of(cell) for cell in cells]
    else:
        texts = [cell_text(cell) for cell in cells]
        bracketed = [text == "" or _BRACKETED.fullmatch(text) is not None for text in texts]
        lists = [_written(text) if here else None for text, here in zip(texts, bracketed, strict=True)]
        if not all(bracketed) and not any(isinstance(label, str) for each in lists for label in each or ()):
            return None
    for row, each in enumerate(lists):
        if each is None:
            shown = " ".join(cell_text(cells[row]).split())[:40]
            raise DataError(
                f"{rows.where(row)}: '{shown}' in column '{column}' is not a list of labels; "
                "write every cell as ['a', 'b'], or every cell as a; b"
            )
    return [each or [] for each in lists]


def _is_matrix(lists: list[list[Any]]) -> bool:
    """Whether the lists are rows of a matrix of 0 and 1: all of one length, with repetitions, which labels have not."""
    texts = [[cell_text(each) for each in cells] for cells in lists]
    return (
        len({len(each) for each in texts}) == 1
        and {text for each in texts for text in each} <= {"0", "1", "0.0", "1.0", "True", "False"}
        and any(len(set(each)) < len(each) for each in texts)
    )


def _written(text: str) -> list[Any] | None:
    """The labels of a text in brackets; None where it is no list of them, or its meaning is unsure."""
    text = _SET.sub(r"\1", text) or "[]"  # an empty set is written set()
    tokens = _TOKEN.findall(text[1:-1])
    if any(one[0] in "'\"" and after != "," for one, after in itertools.pairwise(tokens)):
        # Python would join what no comma parts: it is NumPy's list of texts, or a comma is missing.
        if text[0] != "[" or any(token[0] not in "'\"" for token in tokens):
            return None
        text = f"[{', '.join(tokens)}]"
    try:
        return _labels_of(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _labels_of(value: Any) -> list[Any] | None:
    """The labels of a list, tuple or set; None if it is none of them, or holds what is no label."""
    if value == {}:
        return []
    if not isinstance(value, list | tuple | set):
        return None
    return None if any(isinstance(each, _NO_LABEL) for each in value) else list(value)
