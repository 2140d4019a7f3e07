"""Sets in the format of MULAN and MEKA: ARFF, dense or sparse, with the labels named in an XML file or a header.

``mulan:NAME`` reads ``NAME-train.arff`` and ``NAME-test.arff``, the official split, or else ``NAME.arff``; the path
of an ``.arff`` file reads that file, together with its other part if its name ends in ``-train`` or ``-test``. The
labels are those of ``NAME.xml``, or, as in MEKA, the first C attributes where the relation's name holds ``-C C`` (the
last where C is negative). Every other attribute is a feature: numbers and nominals with the values 0 and 1 as they are,
other nominals as one column a value. A label that is missing (``?``) is unobserved; a feature that is missing is an
error, since no value stands for it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    is_finite,
    not_found,
    parts,
    places,
    read_text,
    resolve,
)
from mlcl_utils.data.splits import TEST, TRAIN
from mlcl_utils.errors import DataError

_FORM = re.compile(r"(?P<base>.+?)(?:-(?:train|test))?\.arff", re.IGNORECASE)


def find(name: str, root: Path | None) -> Source:
    """A set of a name, or of a path.

    Raises:
        UsageError: it is not there.
    """
    if not name.lower().endswith(".arff"):
        wanted = name.partition(":")[2]
        for folder in places(name, root, wanted, "mulan", f"mulan{wanted}"):
            for file in (f"{wanted}-train.arff", f"{wanted}.arff"):
                if wanted and (folder / file).is_file():
                    return _source(folder / file)
        raise not_found(name, root, f"{wanted}-train.arff or {wanted}.arff")
    return _source(resolve(name, root))


def _source(path: Path) -> Source:
    form = _FORM.fullmatch(path.name)
    assert form is not None
    base = form["base"]
    both = [path.with_name(f"{base}-{part}{path.suffix}") for part in ("train", "test")]
    files = both if path in both and all(file.is_file() for file in both) else [path]
    named = [file for file in (path.with_name(f"{base}.xml"), path.with_suffix(".xml")) if file.is_file()]
    return Source(base, path.parent, (*files, *named[:1]), read)


def read(source: Source) -> Examples:
    """Features and labels of the ARFF files.

    Raises:
        DataError: a file is damaged or says not which attributes are labels; the message names file and line.
    """
    tables = [_read_arff(file) for file in source.files if file.suffix.lower() == ".arff"]
    first = tables[0]
    for table in tables[1:]:
        if table.attributes != first.attributes:
            raise DataError(f"{table.path}: its attributes are not those of {first.path.name}")
    xml = next((file for file in source.files if file.suffix == ".xml"), None)
    label_names = _named_labels(xml, first) if xml else _leading_labels(first)
    columns = {attribute.name: attribute for attribute in first.attributes}
    wanted = [columns[name] for name in label_names]
    features = [attribute for attribute in first.attributes if attribute.name not in set(label_names)]
    if not features:
        raise DataError(f"{first.path}: every attribute is a label; there are no features")
    labels = np.concatenate([_labels(table, wanted) for table in tables])
    values = np.concatenate([_features(table, features) for table in tables])
    sizes = [len(table.values) for table in tables]
    unobserved = int((labels == -1).sum())
    return Examples(
        modality="features",
        ids=[f"{table.path.stem} {row + 1}" for table in tables for row in range(len(table.values))],
        label_names=label_names,
        labels=labels,
        part=parts((TRAIN, sizes[0]), (TEST, sizes[1])) if len(tables) == 2 else None,
        group_keys=[[row.tobytes() for row in values]],
        features=values,
        notes=[
            f"{len(label_names)} labels named by {xml.name if xml else 'the header of ' + first.path.name}, "
            f"{values.shape[1]} columns of features from {len(features)} attributes",
            *([f"{unobserved} labels that are missing (?) are unobserved"] if unobserved else []),
        ],
    )


# ------------------------------------------------------------------------------------------------------- ARFF


@dataclass(frozen=True)
class _Attribute:
    """One attribute: its column, and the values it may have if it is nominal."""

    name: str
    column: int
    nominal: tuple[str, ...] | None

    @functools.cached_property
    def binary(self) -> bool:
        return self.nominal is not None and set(self.nominal) <= {"0", "1"}

    @property
    def default(self) -> float:
        """What a sparse row means by leaving the attribute out: 0, or the first value of a nominal."""
        return float(self.nominal[0]) if self.nominal is not None and self.binary else 0


@dataclass(frozen=True)
class _Table:
    """One ARFF file. Of a nominal that is not of 0 and 1, ``values`` holds the position of its value; NaN is ``?``."""

    path: Path
    relation: str
    attributes: tuple[_Attribute, ...]
    values: npt.NDArray[np.float32]
    lines: tuple[int, ...]


_WORD = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE = re.compile(rf"@attribute\s+(?P<name>{_WORD}|\S+)\s+(?P<type>\{{.*\}}|\S+).*", re.IGNORECASE)
_VALUE = re.compile(rf"\s*({_WORD}|[^,]*?)\s*(?:,|$)")
_SPARSE_VALUE = re.compile(rf"\s*(\d+)\s+({_WORD}|[^,\s]+)\s*(?:,|$)")


def _read_arff(path: Path) -> _Table:
    lines = [
        (number, line)
        for number, line in enumerate(map(str.strip, read_text(path).splitlines()), start=1)
        if line and not line.startswith("%")
    ]
    relation, attributes = "", list[_Attribute]()
    for position, (number, line) in enumerate(lines):
        word = line.split(maxsplit=1)[0].lower()
        if word == "@relation":
            relation = line[len(word) :].strip()
        elif word == "@attribute":
            attributes.append(_attribute(path, number, line, len(attributes)))
        elif word == "@data":
            rows = lines[position + 1 :]
            break
        else:
            raise DataError(f"{path}, line {number}: '{line[:60]}' is not part of a header")
    else:
        raise DataError(f"{path}: there is no @data; cut off, or not an ARFF file")
    if not rows:
        raise DataError(f"{path}: there is no example after @data")
    names = [attribute.name for attribute in attributes]
    twice = (
        next((name for name in names if names.count(name) > 1), None)
        if len(set(names)) < len(names)
        else None
    )
    if twice is not None:
        raise DataError(f"{path}: there are two attributes '{twice}'")
    values = np.tile(
        np.array([attribute.default for attribute in attributes], dtype=np.float32), (len(rows), 1)
    )
    for row, (number, line) in enumerate(tqdm(rows, desc=path.name, unit="row", delay=2, disable=None)):
        if line.startswith("{"):
            _sparse(path, number, line, attributes, values[row])
        else:
            _dense(path, number, line, attributes, values[row])
    return _Table(path, relation, tuple(attributes), values, tuple(number for number, _ in rows))


def _attribute(path: Path, number: int, line: str, column: int) -> _Attribute:
    found = _ATTRIBUTE.fullmatch(line)
    if found is None:
        raise DataError(f"{path}, line {number}: '{line[:60]}' is not an attribute with its type")
    name, kind = _unquoted(found["name"]), found["type"]
    if kind.startswith("{"):
        return _Attribute(name, column, tuple(_values(path, number, kind[1:-1])))
    if kind.lower() not in {"numeric", "real", "integer"}:
        raise DataError(
            f"{path}, line {number}: attribute '{name}' is of type {kind}, which no feature can be made of"
        )
    return _Attribute(name, column, None)


def _unquoted(word: str) -> str:
    quoted = len(word) > 1 and word[0] in "'\"" and word[-1] == word[0]
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if quoted else word


def _values(path: Path, number: int, text: str) -> Iterator[str]:
    """The values of a list with commas between them, which may be quoted."""
    position = 0
    while True:
        found = _VALUE.match(text, position)
        if found is None:
            raise DataError(f"{path}, line {number}: '{text[position : position + 40]}' is not a value")
        yield _unquoted(found[1])
        position = found.end()
        if not found[0].endswith(","):
            return


def _dense(
    path: Path,
    number: int,
    line: str,
    attributes: Sequence[_Attribute],
    row: npt.NDArray[np.float32],
) -> None:
    words = line.split(",") if "'" not in line and '"' not in line else list(_values(path, number, line))
    if len(words) != len(attributes):
        raise DataError(f"{path}, line {number}: {len(words)} values for {len(attributes)} attributes")
    for attribute, word in zip(attributes, words, strict=True):
        row[attribute.column] = _number(path, number, attribute, word.strip())


def _sparse(
    path: Path, number: int, line: str, attributes: Sequence[_Attribute], row: npt.NDArray[np.float32]
) -> None:
    if not line.endswith("}"):
        raise DataError(f"{path}, line {number}: the closing brace is missing; cut off?")
    text, position = line[1:-1].strip(), 0
    while position < len(text):
        found = _SPARSE_VALUE.match(text, position)
        if found is None:
            raise DataError(
                f"{path}, line {number}: '{text[position : position + 40].strip()}' is not a column and a value"
            )
        if int(found[1]) >= len(attributes):
            raise DataError(
                f"{path}, line {number}: column {found[1]} of {len(attributes)} attributes, from 0"
            )
        attribute = attributes[int(found[1])]
        row[attribute.column] = _number(path, number, attribute, _unquoted(found[2]))
        position = found.end()


def _number(path: Path, number: int, attribute: _Attribute, word: str) -> float:
    """A value as it is kept."""
    if word == "?":
        return np.nan
    try:
        if attribute.nominal is not None and not attribute.binary:
            return attribute.nominal.index(word)
        value = float(word)
        if is_finite(value) and (attribute.nominal is None or value in (0, 1)):
            return value
    except ValueError:
        pass
    valid = "a number" if attribute.nominal is None else f"one of {', '.join(attribute.nominal[:5])}"
    raise DataError(f"{path}, line {number}: '{word[:40]}' for attribute '{attribute.name}' is not {valid}")


# -------------------------------------------------------------------------------------------- labels, features


def _named_labels(xml: Path, table: _Table) -> list[str]:
    """The labels that an XML file names, in its order; it may nest them."""
    try:
        tree = ElementTree.parse(xml)
    except ElementTree.ParseError as error:
        line, _ = error.position
        raise DataError(f"{xml}, line {line}: damaged or cut off ({error})") from None
    found = [str(e.get("name")) for e in tree.iter() if e.tag.rpartition("}")[2] == "label"]
    known = {attribute.name for attribute in table.attributes}
    for name in found:
        if name not in known:
            raise DataError(f"{xml}: label '{name}' is not an attribute of {table.path.name}")
    if not found:
        raise DataError(f"{xml} names no label")
    return found


def _leading_labels(table: _Table) -> list[str]:
    """The labels that MEKA's header counts."""
    found = re.search(r"-C\s+(-?\d+)", table.relation)
    count = int(found[1]) if found else 0
    if not 0 < abs(count) <= len(table.attributes):
        raise DataError(
            f"{table.path}: which attributes are the labels? there is neither an XML file beside it nor '-C NUMBER' "
            "in its relation"
        )
    chosen = table.attributes[:count] if count > 0 else table.attributes[count:]
    return [attribute.name for attribute in chosen]


def _labels(table: _Table, attributes: Sequence[_Attribute]) -> npt.NDArray[np.int8]:
    for attribute in attributes:
        if attribute.nominal is not None and not attribute.binary:
            raise DataError(
                f"{table.path}: label '{attribute.name}' has the values {', '.join(attribute.nominal)}, not 0 and 1"
            )
    values = table.values[:, [attribute.column for attribute in attributes]]
    for row, column in np.argwhere(~np.isin(values, (0, 1)) & ~np.isnan(values)):
        found = f"label '{attributes[column].name}' is {values[row, column]:g}"
        raise DataError(f"{table.path}, line {table.lines[row]}: {found}, not 0 or 1")
    return np.nan_to_num(values, nan=-1).astype(np.int8)


def _features(table: _Table, attributes: Sequence[_Attribute]) -> npt.NDArray[np.float32]:
    for row, column in np.argwhere(np.isnan(table.values[:, [attribute.column for attribute in attributes]])):
        raise DataError(
            f"{table.path}, line {table.lines[row]}: attribute '{attributes[column].name}' is missing (?); give it a "
            "value, or leave the example out"
        )
    columns = []
    for attribute in attributes:
        values = table.values[:, attribute.column]
        if attribute.nominal is None or attribute.binary:
            columns.append(values)
        else:
            columns += [(values == position).astype(np.float32) for position in range(len(attribute.nominal))]
    return np.stack(columns, axis=1)
