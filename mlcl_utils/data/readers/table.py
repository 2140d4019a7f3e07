"""A plain table, CSV, TSV or Parquet: one row per example, with a text, an image's path or features, and its labels.

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
    encoding = "latin-1"   # of a CSV file; else UTF-8, or what its byte order mark says
    delimiter = ";"        # between the columns of a CSV file
    decimal = ","          # how fractions are written

Rows with the same text, or the same features, are one group. A cell without labels is an example without labels; in a
column of 0 and 1 an empty cell, ``?`` or -1 is an unobserved label. What a cell is, `cells` says for all columns.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.readers import cells
from mlcl_utils.data.readers.cells import MISSING_WORDS, counted, listed, normal, shown
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
from mlcl_utils.data.readers.rows import ODD, Column, Rows, read_csv
from mlcl_utils.data.readers.sidecar import read_sidecar
from mlcl_utils.errors import DataError

# What may part labels, from the one that is least likely to be part of a name.
_SEPARATORS = (";", "|", ",")


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
    _check_writing(source.files[0].with_suffix(".toml"), given)
    rows = _rows(source.files[0], given)
    columns = choose(rows, given)
    names, labels, said = _indicators(rows, columns) if columns.indicators else _listed(rows, columns, given)
    missing = _Missing(rows)
    texts = missing.texts(columns.text) if columns.text is not None else []
    titles = missing.texts(columns.title) if columns.title is not None else [""] * len(texts)
    images = _images(rows, columns.image) if columns.image is not None else []
    features, features_said = (
        _features(rows, columns.features, given.get("decimal")) if columns.features else (None, [])
    )
    empty = sum(not text and not title for text, title in zip(texts, titles, strict=True))
    if texts and empty == len(texts):
        raise DataError(f"{rows.path}: column '{shown(columns.text)}' holds no text")
    keys: list[Sequence[object]] = []
    if columns.group is not None:
        keys.append(_own_where_empty([normal(text) for text in missing.texts(columns.group)]))
    if texts:
        keys.append(_own_where_empty([_comparable(f"{t} {x}") for t, x in zip(titles, texts, strict=True)]))
    if features is not None:
        keys.append([row.tobytes() for row in features])
    return Examples(
        modality="text" if texts else "image" if images else "features",
        ids=_ids(rows, columns, images),
        label_names=names,
        labels=labels,
        part=_parts(rows, columns.split) if columns.split is not None else None,
        group_keys=keys,
        titles=titles,
        texts=texts,
        images=images,
        features=features,
        notes=[
            columns.described(),
            *columns.notes,
            *rows.notes,
            *said,
            *features_said,
            *missing.notes,
            *([f"{empty} texts are empty"] if empty else []),
        ],
    )


def _rows(path: Path, given: Mapping[str, Any]) -> Rows:
    """The rows of the file, of which there has to be one."""
    if path.suffix.lower() == ".parquet":
        from mlcl_utils.data.readers.parquet import read_parquet

        rows = read_parquet(path)
    else:
        rows = read_csv(path, given.get("encoding"), given.get("delimiter"))
    if not (rows.names or rows.twice) or len(rows) == 0:
        raise DataError(f"{path} holds no row")
    return rows


def _check_writing(sidecar: Path, given: Mapping[str, Any]) -> None:
    """Check what the sidecar says of how the table is written."""
    if given.get("separator") == "":
        raise DataError(f"{sidecar}: 'separator' is empty; leave it out if each cell is one label")
    delimiter, decimal = given.get("delimiter", ","), given.get("decimal", ".")
    if len(delimiter) != 1 or delimiter in '"\r\n ':
        raise DataError(f"{sidecar}: 'delimiter' is {delimiter!r}; write one character, such as ';'")
    if decimal not in {".", ","}:
        raise DataError(f"{sidecar}: 'decimal' is {shown(decimal)!r}; write '.' or ','")


class _Missing:
    """Cells of single values whose words for a missing value are taken out, and what is to be said of them."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.notes = rows, list[str]()

    def texts(self, name: str) -> list[str]:
        """The N texts of a column; those that are missing are empty."""
        column = self._rows.use_single(name)
        self.notes += _missing_words(self._rows, [column])
        if MISSING_WORDS.isdisjoint(column.counts):
            return column.texts
        return ["" if text in MISSING_WORDS else text for text in column.texts]


def _missing_words(rows: Rows, columns: Sequence[Column]) -> list[str]:
    """What is to be said of the cells of columns of one use that say with a word that they are missing."""
    with_words = [c for c in columns if c.plain is None and not MISSING_WORDS.isdisjoint(c.counts)]
    if not with_words:
        return []
    words = Counter[str]()
    for column in with_words:
        words.update({word: column.counts[word] for word in column.counts if word in MISSING_WORDS})
    first = min(next(row for row, text in enumerate(c.texts) if text in words) for c in with_words)
    where = f"column{'s' * (len(with_words) > 1)} {listed([column.name for column in with_words], 3)}"
    return [_missing_note(rows, words, first, f"cells in {where}")]


def _missing_note(rows: Rows, words: Mapping[str, int], first: int, what: str) -> str:
    """What is to be said of missing values: ``words`` counts what is written for them, an empty one if nothing is."""
    count, written = sum(words.values()), [word for word in words if word]
    what = what if count > 1 else what.replace("cells", "cell", 1).replace("labels", "label", 1)
    return (
        f"{count} {what} {'are' if count > 1 else 'is'} missing"
        + (f", written as {listed(written)}" if written else "")
        + f", the first at {rows.place(first)}"
        + ("; if that is a name, spell it in another way" if written else "")
    )


def _comparable(text: str) -> str:
    """Equal for texts that differ in case, white space and form of Unicode alone."""
    return " ".join(unicodedata.normalize("NFC", text.lower()).split())


def _own_where_empty(keys: Iterable[str]) -> list[object]:
    """Equal for rows of one group; a row without a key is a group of its own."""
    return [key or (row,) for row, key in enumerate(keys)]


def _ids(rows: Rows, columns: Columns, images: Sequence[str]) -> list[str]:
    """The ids in NFC: of their column, else the images, else the numbers of the rows."""
    if columns.id is None:
        ids = [normal(image) for image in images]
    else:
        column = rows.use_single(columns.id)
        for word in column.counts:
            if cells.is_absent(word):
                is_so = f"has {word!r}, which is missing" if word else "is empty"
                raise DataError(
                    f"{rows.where(column.texts.index(word))}: column '{shown(column.name)}' {is_so}; "
                    "every example has to have an id"
                )
        ids = [normal(text) for text in column.texts]
    check_distinct(ids, rows.where)
    return ids or [str(row + 1) for row in range(len(rows))]


def _parts(rows: Rows, name: str) -> npt.NDArray[np.uint8]:
    column = rows.use_single(name)
    known = {text: PART_WORDS.get(text.lower(), -1) for text in column.counts}
    parts = np.fromiter(map(known.__getitem__, column.texts), dtype=np.int16, count=len(rows))
    for row in np.flatnonzero(parts < 0)[:1]:
        raise DataError(
            f"{rows.where(row)}: '{shown(column.values[row])}' in column '{shown(name)}' "
            "is not train, validation or test"
        )
    return parts.astype(np.uint8)


def _images(rows: Rows, name: str) -> list[str]:
    column = rows.use_single(name)
    for text in column.counts:
        if cells.is_absent(text):
            written = f", but '{text}'" if text else ""
            raise DataError(
                f"{rows.where(column.texts.index(text))}: column '{shown(name)}' names no image{written}"
            )
    return [text.replace("\\", "/") for text in column.texts]


# ---------------------------------------------------------------------------------------------------- features


def _features(
    rows: Rows, names: Sequence[str], decimal: str | None
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """float32 (N, d): the features; and what is to be said of how they are written."""
    columns = [rows.use(name) for name in names]
    if len(columns) == 1 and (columns[0].lists or columns[0].first_is_vector):
        return _vectors(rows, columns[0]), []
    for column in columns:
        if column.lists:
            raise DataError(
                f"{rows.path}: column '{shown(column.name)}' holds lists; "
                "name it alone as features, or columns of numbers"
            )
    read = [column.numbers(decimal) for column in columns]
    styles = {numbers.decimal for numbers in read}
    unsure = next((c for c, numbers in zip(columns, read, strict=True) if numbers.decimal == "?"), None)
    # Other columns may tell: commas that part fractions for sure, and no point anywhere.
    if unsure is not None and ("," not in styles or any("." in text for c in columns for text in c.counts)):
        text = next(text for text in unsure.counts if "," in text)
        raise DataError(
            f"{rows.where(unsure.texts.index(text))}: column '{shown(unsure.name)}' has '{text}'; "
            f"does the comma part decimals or thousands? say so in {rows.path.with_suffix('.toml').name}: "
            'decimal = "," or decimal = "."'
        )
    features = np.empty((len(rows), len(columns)), dtype=np.float32)
    for position, (column, numbers) in enumerate(zip(columns, read, strict=True)):
        for row in np.flatnonzero(~is_finite_array(numbers.values))[:1]:
            raise _no_number(rows, int(row), column, column.texts[row])
        features[:, position] = numbers.values
    commas = [c.name for c, numbers in zip(columns, read, strict=True) if numbers.decimal in {",", "?"}]
    many = "columns" if len(commas) > 1 else "column"
    return features, [f"numbers of {many} {listed(commas)} have decimal commas"] if commas else []


def is_finite_array(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """For each number whether it is neither NaN nor infinite in float32; see :func:`is_finite`."""
    finite: npt.NDArray[np.bool_] = is_finite(values)  # type: ignore[arg-type, assignment]
    return finite


def _vectors(rows: Rows, column: Column) -> npt.NDArray[np.float32]:
    """float32 (N, d): the lists of a column."""
    found = column.vectors()
    if found is None:
        row = next(
            (row for row, text in enumerate(column.texts) if not _is_vector(column.values[row], text)), 0
        )
        raise _no_number(rows, row, column, column.texts[row])
    lengths, values = found
    width = int(lengths[0])
    for row in np.flatnonzero(lengths != width)[:1]:
        raise DataError(f"{rows.where(row)}: {lengths[row]} features, the first row has {width}")
    if width == 0:
        raise DataError(
            f"{rows.where(0)}: column '{shown(column.name)}' is empty; every feature has to be a number"
        )
    for at in np.flatnonzero(~is_finite_array(values))[:1]:
        raise _no_number(rows, int(at) // width, column, str(values[at]))
    return values.reshape(len(rows), width).astype(np.float32)


def _is_vector(value: Any, text: str) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, int | float) for each in value)
    return cells.is_absent(text) or cells.number_list(text) is not None


def _no_number(rows: Rows, row: int, column: Column, text: str) -> DataError:
    what = "is empty" if text == "" else f"has '{shown(text)}'"
    if cells.is_number(text) and "," in text:
        what += ", where others have a decimal point"
    return DataError(
        f"{rows.where(row)}: column '{shown(column.name)}' {what}; every feature has to be a number"
    )


# ------------------------------------------------------------------------------------------------------ labels


def _indicators(rows: Rows, columns: Columns) -> tuple[list[str], npt.NDArray[np.int8], list[str]]:
    """Labels with a column each."""
    labels = np.empty((len(rows), len(columns.labels)), dtype=np.int8)
    used = [rows.use(name) for name in columns.labels]
    for position, column in enumerate(used):
        for row in np.flatnonzero(column.states == ODD)[:1]:
            raise DataError(
                f"{rows.where(row)}: '{shown(column.values[row])}' in label column "
                f"'{shown(column.name)}' is not 0, 1 or empty"
            )
        labels[:, position] = column.states
    unobserved = int((labels == -1).sum())
    return (
        list(columns.labels),
        labels,
        [
            *_missing_words(rows, used),
            *([f"{unobserved} empty labels are unobserved"] if unobserved else []),
        ],
    )


def _listed(
    rows: Rows, columns: Columns, given: Mapping[str, Any]
) -> tuple[list[str], npt.NDArray[np.int8], list[str]]:
    """Labels that one column lists."""
    column = rows.use(columns.labels[0])
    lists, notes = _lists(rows, column), list[str]()
    if lists is None:
        lists, notes = _separated(rows, column, given.get("separator"))
    if _is_matrix(lists):
        raise DataError(
            f"{rows.path}: column '{shown(column.name)}' lists 0 and 1, not labels; "
            "write their names, or give each label a column of 0 and 1"
        )
    found = _Labels(rows, column, lists)
    return found.names, found.matrix(), [*notes, *found.notes()]


class _Labels:
    """The names of labels in lists of them; missing values are none."""

    def __init__(self, rows: Rows, column: Column, lists: Sequence[Sequence[Any]]) -> None:
        self._rows = rows
        self._missing, self._first = Counter[str](), -1
        self._position = dict[str, int]()
        names = dict[Any, str]()
        self._found: list[list[str]] = []
        for row, labels in enumerate(lists):
            here: dict[str, None] = {}
            for label in labels:
                key = label if isinstance(label, str) else (type(label), label)
                name = names.get(key)
                if name is None:
                    name = names[key] = self._name(row, label, column)
                if name in MISSING_WORDS or (not name and not isinstance(label, str)):
                    self._missing[name] += 1
                    self._first = row if self._first < 0 else self._first
                elif name:
                    here[name] = None
            self._found.append(list(here))
        self.names = sorted({label for labels in self._found for label in labels})
        if not self.names:
            raise DataError(f"{rows.path}: column '{shown(column.name)}' holds no label")

    def _name(self, row: int, label: Any, column: Column) -> str:
        """The name of a label; empty for a missing value in a list."""
        name = "" if cells.is_missing(label) else normal(str(label))
        try:
            name.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{self._rows.where(row)}: {name!a} in column '{shown(column.name)}' is half a character"
            ) from None
        return name

    def matrix(self) -> npt.NDArray[np.int8]:
        """int8 (N, L): which row has which label."""
        position = {name: number for number, name in enumerate(self.names)}
        return label_matrix([[position[label] for label in each] for each in self._found], len(self.names))

    def notes(self) -> list[str]:
        """What is to be said of missing values, cells without labels, and HTML."""
        notes = []
        if self._missing:
            notes.append(_missing_note(self._rows, self._missing, self._first, "labels"))
        without = [row for row, each in enumerate(self._found) if not each]
        if without:
            notes.append(
                f"{counted(len(without), 'cell')} without labels, the first at {self._rows.place(without[0])}: "
                f"{'examples' if len(without) > 1 else 'an example'} without labels"
            )
        entities = [name for name in self.names if cells.has_entity(name)]
        if entities:
            notes.append(f"names of labels with HTML in them are taken as they are: {listed(entities, 3)}")
        return notes


def _separated(rows: Rows, column: Column, separator: str | None) -> tuple[list[list[str]], list[str]]:
    """The parts of the cells of a column, and what is to be said of what parts them."""
    notes = []
    if separator is None:
        separator, cells_with = _separator(rows, column)
        for other, texts in cells_with.items():
            if other != separator and texts:
                number = sum(column.counts[text] for text in texts)
                row = min(map(column.texts.index, texts[:100]))
                notes.append(
                    f"{counted(number, 'cell')} of '{shown(column.name)}' with '{other}' too, which is taken for "
                    f"part of a name, the first at {rows.place(row)}: '{shown(column.texts[row])}'"
                )
    notes.insert(
        0,
        f"labels of '{shown(column.name)}' are separated by '{shown(separator) or separator}'"
        if separator
        else f"no separator in '{shown(column.name)}' ({' '.join(_SEPARATORS)}): each cell is one label",
    )
    parts = {text: cells.split_cell(text, separator) if separator else [text] for text in column.counts}
    return [parts[text] for text in column.texts], notes


def _separator(rows: Rows, column: Column) -> tuple[str | None, dict[str, list[str]]]:
    """What parts the labels, which is what most cells use; and the different texts of cells that use each.

    Raises:
        DataError: it is unsure: many cells have a comma, but those with a semicolon or bar tell fewer labels.
    """
    cells_with = {each: [text for text in column.counts if _parted(text, each)] for each in _SEPARATORS}
    number = {each: sum(column.counts[text] for text in texts) for each, texts in cells_with.items()}
    most = max(_SEPARATORS, key=lambda each: number[each])
    if not number[most]:
        return None, {}
    for other in _SEPARATORS[: _SEPARATORS.index(most)]:
        if number[other] * 10 >= number[most] and _vocabulary(column, other) < _vocabulary(column, most):
            row = column.texts.index(cells_with[other][0])
            raise DataError(
                f"{rows.where(row)}: '{shown(column.texts[row])}' in column '{shown(column.name)}': are labels "
                f"separated by '{other}', as in {number[other]} cells, or by '{most}', as in {number[most]}? "
                f'say so in {rows.path.with_suffix(".toml").name}, such as: separator = "{other}"'
            )
    return most, cells_with


def _parted(text: str, separator: str) -> bool:
    return separator in text and len(cells.split_cell(text, separator)) > 1


def _vocabulary(column: Column, separator: str) -> int:
    """How many different labels there are if cells are parted so."""
    return len({part.strip() for text in column.counts for part in cells.split_cell(text, separator)})


def _lists(rows: Rows, column: Column) -> list[list[Any]] | None:
    """The cells as lists, if they are lists, or texts such as ``['a', 'b']`` or ``{'a', 'b'}``."""
    if column.lists:
        lists = [[] if value is None else cells.labels_of(value) for value in column.values]
    else:
        absent = {text for text in column.counts if cells.is_absent(text)}
        bracketed = {text for text in column.counts if text not in absent and cells.is_bracketed(text)}
        written = {text: cells.written_list(text) for text in bracketed}
        some = any(isinstance(label, str) for each in written.values() for label in each or ())
        if not bracketed or (len(bracketed) + len(absent) < len(column.counts) and not some):
            return None
        written |= {text: [text] if text else [] for text in absent}
        lists = [written.get(text) for text in column.texts]
    for row, each in enumerate(lists):
        if each is None:
            raise DataError(
                f"{rows.where(row)}: '{shown(column.values[row])}' in column '{shown(column.name)}' "
                "is not a list of labels; write every cell as ['a', 'b'], or every cell as a; b"
            )
    return [each or [] for each in lists]


def _is_matrix(lists: Sequence[Sequence[Any]]) -> bool:
    """Whether the lists are rows of a matrix of 0 and 1: all of one length, with repetitions, which labels have not."""
    width = len(lists[0])
    return (
        width > 1
        and all(len(each) == width for each in lists)
        and all(cells.state(cells.cell_text(label)) in {0, 1} for each in lists for label in each)
        and any(len({cells.cell_text(label) for label in each}) < width for each in lists)
    )
