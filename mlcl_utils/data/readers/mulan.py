"""Sets in the format of MULAN and MEKA: ARFF, dense or sparse, with the labels named in an XML file or a header.

``mulan:NAME`` reads ``NAME-train.arff`` and ``NAME-test.arff``, the official split, or else ``NAME.arff``; the path
of an ``.arff`` file reads that file, together with its other part if its name ends in ``-train`` or ``-test``. The
labels are those of ``NAME.xml``, or, as in MEKA, the first C attributes where the relation's name holds ``-C C`` (the
last where C is negative). Every other attribute is a feature: numbers and nominals with the values 0 and 1 as they are,
other nominals as one column a value. A label that is missing (``?``) is unobserved; a feature that is missing is an
error, since no value stands for it.

Lines are read as Weka reads them, but for what it would lose: a ``%`` outside quotes begins a comment at the beginning
of a line or behind white space; the values of a row without commas have white space between them; a weight (``{5}``)
at the end of a row is left out, and a note says so.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mlcl_utils.data.readers.cells import label_name, normal
from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_fits,
    check_names,
    is_finite,
    not_found,
    parts,
    places,
    quoted,
    read_text,
    resolve,
    split_lines,
    valid_text,
)
from mlcl_utils.data.splits import TEST, TRAIN
from mlcl_utils.errors import DataError

_FORM = re.compile(r"(?P<base>.+?)(?:-(?:train|test))?\.arff", re.IGNORECASE | re.DOTALL)


def find(name: str, root: Path | None) -> Source:
    """A set of a name, or of a path.

    Raises:
        UsageError: it is not there.
    """
    if not name.lower().endswith(".arff"):
        wanted = name.partition(":")[2]
        for folder in places(name, root, wanted, "mulan", f"mulan{wanted}"):
            for file in (f"{wanted}-train.arff", f"{wanted}.arff"):
                if wanted and os.path.isfile(folder / file):
                    return _source(folder / file)
        raise not_found(name, root, f"{wanted}-train.arff or {wanted}.arff")
    return _source(resolve(name, root))


def _source(path: Path) -> Source:
    form = _FORM.fullmatch(path.name)
    assert form is not None
    base = form["base"]
    both = [path.with_name(f"{base}-{part}{path.suffix}") for part in ("train", "test")]
    files = both if path in both and all(map(os.path.isfile, both)) else [path]
    named = [
        file for file in (path.with_name(f"{base}.xml"), path.with_suffix(".xml")) if os.path.isfile(file)
    ]
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
            raise DataError(
                f"{table.path}: its attributes are not those of {first.path.name}{_other(table, first)}"
            )
    xml = next((file for file in source.files if file.suffix == ".xml"), None)
    wanted = _named_labels(xml, first) if xml else _leading_labels(first)
    label_names = _label_names(first, wanted)
    taken = {attribute.column for attribute in wanted}
    features = [attribute for attribute in first.attributes if attribute.column not in taken]
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
            *(
                f"{table.path.name}: {table.weighted} rows have a weight, which is left out"
                for table in tables
                if table.weighted
            ),
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
    weighted: int


_BLANK = " \t\v\f"  # no white space of Unicode's: it may be part of a value
_WORD = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE = re.compile(
    rf"@attribute\s+(?P<name>{_WORD}|\S+)\s+(?:(?P<list>\{{)|(?P<type>\w+))", re.IGNORECASE | re.ASCII
)
# Behind a type: a range, as old files have it, or the weight of an attribute.
_BEHIND_TYPE = re.compile(r"\s*(?:\[[^\]]*\]|\{\s*[-+.\deE]+\s*\})?\s*", re.ASCII)
_VALUE = re.compile(rf"[ \t\v\f]*({_WORD}|[^,]*?)[ \t\v\f]*(?:,|$)")
_LISTED = re.compile(rf"[ \t\v\f]*(?:(?P<word>{_WORD})[ \t\v\f]*(?=[,}}])|(?P<plain>[^,}}]*))(?P<end>[,}}])")
_PARTED = re.compile(rf"(?:{_WORD}|[^ \t\v\f,'\"]+)(?=[ \t\v\f]|$)")
_SPARSE_VALUE = re.compile(rf"[ \t\v\f]*([0-9]+)[ \t\v\f]+({_WORD}|[^, \t\v\f]+)[ \t\v\f]*(?:,|$)")
_WEIGHT = re.compile(r"[, \t\v\f]+\{[ \t]*[-+.0-9eE]+[ \t]*\}$")
_COMMENT = re.compile(rf"(?<![^ \t\v\f,{{])(?:{_WORD})|(?P<comment>(?:^|[ \t\v\f])%)")
_MOST_DIGITS = 9  # of a column or a count of labels; more are none, and int() has a limit


def _without_comment(line: str) -> str:
    """A line without white space around it, and without a comment, which begins with a % that is not in quotes."""
    if "%" in line:
        begins = next((found for found in _COMMENT.finditer(line) if found["comment"]), None)
        line = line[: begins.start()] if begins else line
    return line.strip(_BLANK)


def _read_arff(path: Path) -> _Table:
    lines = [
        (number, line)
        for number, line in enumerate(map(_without_comment, split_lines(read_text(path))), start=1)
        if line
    ]
    relation, attributes, where = "", list[_Attribute](), list[int]()
    for position, (number, line) in enumerate(lines):
        word = re.split(r"[ \t\v\f]", line, maxsplit=1)[0].lower()
        if word == "@relation":
            relation = line[len(word) :].strip(_BLANK)
        elif word == "@attribute":
            attributes.append(_attribute(path, number, line, len(attributes)))
            where.append(number)
        elif word == "@data":
            if line[len(word) :]:
                raise DataError(f"{path}, line {number}: the rows begin in the line behind @data")
            rows = lines[position + 1 :]
            break
        else:
            raise DataError(f"{path}, line {number}: '{quoted(line)}' is not part of a header")
    else:
        raise DataError(f"{path}: there is no @data; cut off, or not an ARFF file")
    if not attributes:
        raise DataError(f"{path}: there is no attribute before @data")
    if not rows:
        raise DataError(f"{path}: there is no example after @data")
    first: dict[str, int] = {}
    for attribute, number in zip(attributes, where, strict=True):
        if first.setdefault(attribute.name, number) != number:
            raise DataError(
                f"{path}: there are two attributes '{quoted(attribute.name)}', in lines {first[attribute.name]} and "
                f"{number}"
            )
    check_fits(path, len(rows), len(attributes), "attributes", 4)
    values = np.tile(
        np.array([attribute.default for attribute in attributes], dtype=np.float32), (len(rows), 1)
    )
    weighted = 0
    for row, (number, line) in enumerate(tqdm(rows, desc=path.name, unit="row", delay=2, disable=None)):
        if line.endswith("}") and (weight := _WEIGHT.search(line)):
            weighted += 1
            line = line[: weight.start()]
        if line.startswith("{"):
            _sparse(path, number, line, attributes, values[row])
        else:
            _dense(path, number, line, attributes, values[row])
    return _Table(path, relation, tuple(attributes), values, tuple(number for number, _ in rows), weighted)


def _other(table: _Table, first: _Table) -> str:
    """Which attribute of a table is the first that another table has not."""
    pairs = zip(table.attributes, first.attributes, strict=False)
    differs = next((mine for mine, its in pairs if mine != its), None)
    if differs is None:
        return f": {len(table.attributes)} and {len(first.attributes)}"
    return f", from '{quoted(differs.name)}' on"


def _attribute(path: Path, number: int, line: str, column: int) -> _Attribute:
    found = _ATTRIBUTE.match(line)
    if found is None:
        raise DataError(f"{path}, line {number}: '{quoted(line)}' is not an attribute with its type")
    name, kind, position = _unquoted(found["name"]), found["type"], found.end()
    nominal = None
    if found["list"]:
        nominal, position = _listed_values(path, number, line, position)
    elif kind.lower() not in {"numeric", "real", "integer"}:
        raise DataError(
            f"{path}, line {number}: attribute '{quoted(name)}' is of type {kind}, which no feature can be made of"
        )
    if not _BEHIND_TYPE.fullmatch(line, position):
        raise DataError(
            f"{path}, line {number}: '{quoted(line[position:].strip(_BLANK))}' stands behind the type of attribute "
            f"'{quoted(name)}'"
        )
    return _Attribute(name, column, nominal)


def _listed_values(path: Path, number: int, line: str, position: int) -> tuple[tuple[str, ...], int]:
    """The values of a nominal whose brace opens before a position, and the position behind the brace that closes."""
    values = []
    while found := _LISTED.match(line, position):
        plain = found["plain"]
        values.append(_unquoted(found["word"] if plain is None else plain.strip(_BLANK)))
        position = found.end()
        if found["end"] == "}":
            return tuple(values), position
    raise DataError(f"{path}, line {number}: the list of values has no closing brace; cut off?")


_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def _unquoted(word: str) -> str:
    within = len(word) > 1 and word[0] in "'\"" and word[-1] == word[0]
    return re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), word[1:-1]) if within else word


def _values(path: Path, number: int, text: str) -> Iterator[str]:
    """The values of a row with commas between them, as they are written."""
    position = 0
    while True:
        found = _VALUE.match(text, position)
        if found is None:
            raise DataError(f"{path}, line {number}: '{quoted(text[position:], 40)}' is not a value")
        yield found[1]
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
    if "'" in line or '"' in line:
        words = list(_values(path, number, line))
    else:
        words = [word.strip(_BLANK) for word in line.split(",")]
    if len(words) != len(attributes):
        parted = _PARTED.findall(line)
        if len(parted) != len(attributes) or _PARTED.sub("", line).strip(_BLANK):
            raise DataError(f"{path}, line {number}: {len(words)} values for {len(attributes)} attributes")
        words = parted
    for attribute, word in zip(attributes, words, strict=True):
        row[attribute.column] = _number(path, number, attribute, word)


def _sparse(
    path: Path, number: int, line: str, attributes: Sequence[_Attribute], row: npt.NDArray[np.float32]
) -> None:
    if not line.endswith("}"):
        raise DataError(f"{path}, line {number}: the closing brace is missing; cut off?")
    text, position, filled = line[1:-1].strip(_BLANK), 0, set[int]()
    while position < len(text):
        found = _SPARSE_VALUE.match(text, position)
        if found is None:
            rest = quoted(text[position:].strip(_BLANK), 40)
            raise DataError(f"{path}, line {number}: '{rest}' is not a column and a value")
        column = int(found[1]) if len(found[1]) <= _MOST_DIGITS else len(attributes)
        if column >= len(attributes):
            raise DataError(
                f"{path}, line {number}: column {found[1][:20]} of {len(attributes)} attributes, from 0"
            )
        if column in filled:
            raise DataError(f"{path}, line {number}: column {column} is there twice")
        filled.add(column)
        row[column] = _number(path, number, attributes[column], found[2])
        position = found.end()


def _number(path: Path, number: int, attribute: _Attribute, word: str) -> float:
    """A value, which may be in quotes, as it is kept."""
    if word == "?":
        return np.nan
    if word[:1] in ("'", '"'):
        word = _unquoted(word)
    try:
        if attribute.nominal is not None and not attribute.binary:
            return attribute.nominal.index(word)
        value = float(word)
        # Python's own idea of a number, 1_000, is nobody else's
        if is_finite(value) and "_" not in word and (attribute.nominal is None or value in (0, 1)):
            return value
    except ValueError:
        pass
    valid = (
        "a number" if attribute.nominal is None else f"one of {quoted(', '.join(attribute.nominal[:5]), 200)}"
    )
    raise DataError(
        f"{path}, line {number}: '{quoted(word, 40)}' for attribute '{quoted(attribute.name)}' is not {valid}"
    )


# -------------------------------------------------------------------------------------------- labels, features


def _named_labels(xml: Path, table: _Table) -> list[_Attribute]:
    """The attributes that an XML file names as labels, in its order; it may nest them."""
    exact = {attribute.name: attribute for attribute in table.attributes}
    alike: dict[str, list[_Attribute]] = {}
    for attribute in table.attributes:
        alike.setdefault(normal(attribute.name), []).append(attribute)
    found: dict[_Attribute, int] = {}
    for line, given in _names_in(xml):
        where = f"{xml}, line {line}"
        name = label_name(valid_text(given, where, "the name of a label"), where)
        same = [exact[name]] if name in exact else alike.get(name, [])
        if len(same) != 1:
            reason = "is two attributes" if same else "is not an attribute"
            raise DataError(f"{xml}: label '{quoted(name)}' {reason} of {table.path.name} (line {line})")
        if same[0] in found:
            raise DataError(
                f"{xml} has two labels '{quoted(name)}'; give each a name of its own (lines {found[same[0]]} and "
                f"{line})"
            )
        found[same[0]] = line
    if not found:
        raise DataError(f"{xml} names no label")
    return list(found)


def _names_in(xml: Path) -> list[tuple[int, str | None]]:
    """Line and name of each element ``label`` of an XML file, whatever its namespace.

    No entity is expanded, and nothing that the file refers to is opened.
    """
    text = _xml_text(xml)
    found: list[tuple[int, str | None]] = []
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")

    def element(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(" ")[2] == "label":
            found.append((parser.CurrentLineNumber, attributes.get("name")))

    def entity(name: str, *_: object) -> None:
        raise DataError(
            f"{xml}, line {parser.CurrentLineNumber}: declares the entity '{quoted(name)}'; "
            "write out what it stands for"
        )

    parser.StartElementHandler = element
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise DataError(
            f"{xml}, line {error.lineno}: damaged or cut off ({expat.ErrorString(error.code)})"
        ) from None
    foreign = re.search(r"&(?!(?:amp|lt|gt|quot|apos|#\w+);)\w*", text) if "<!DOCTYPE" in text else None
    if foreign is not None:  # of a DTD in another file: the parser would leave it out without a word
        line = len(split_lines(text[: foreign.start()]))
        raise DataError(
            f"{xml}, line {line}: '{quoted(foreign[0])}' stands for something that is not in this file"
        )
    return found


_XML_ENCODING = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"'>]*)[\"']")


def _xml_text(xml: Path) -> str:
    """The text of an XML file in the encoding that it names itself; UTF-8 if it names none."""
    try:
        head = xml.read_bytes()[:1000]
    except OSError as error:
        raise DataError(f"{xml} cannot be read: {error.strerror}") from None
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return read_text(xml, "utf-16")
    found = _XML_ENCODING.match(head.removeprefix(b"\xef\xbb\xbf"))
    return read_text(xml, found[1].decode("latin-1") if found else "utf-8")


def _leading_labels(table: _Table) -> list[_Attribute]:
    """The labels that MEKA's header counts."""
    found = re.search(r"-C\s+(-?)([0-9]+)", table.relation)
    count = int(found[2]) if found and len(found[2]) <= _MOST_DIGITS else 0
    if not 0 < count <= len(table.attributes):
        raise DataError(
            f"{table.path}: which attributes are the labels? there is neither an XML file beside it nor '-C NUMBER' "
            "in its relation"
        )
    assert found is not None
    return list(table.attributes[-count:] if found[1] else table.attributes[:count])


def _label_names(table: _Table, attributes: Sequence[_Attribute]) -> list[str]:
    """The names of the labels, no two of which may be alike."""
    names = []
    for attribute in attributes:
        where = f"{table.path}, attribute {attribute.column + 1}"
        names.append(label_name(valid_text(attribute.name, where, "the name of a label"), where))
    check_names(table.path, names, lambda position: f"attribute {attributes[position].column + 1}")
    return names


def _labels(table: _Table, attributes: Sequence[_Attribute]) -> npt.NDArray[np.int8]:
    for attribute in attributes:
        if attribute.nominal is not None and not attribute.binary:
            raise DataError(
                f"{table.path}: label '{quoted(attribute.name)}' has the values "
                f"{quoted(', '.join(attribute.nominal), 200)}, not 0 and 1"
            )
    values = table.values[:, [attribute.column for attribute in attributes]]
    for row, column in np.argwhere(~np.isin(values, (0, 1)) & ~np.isnan(values)):
        found = f"label '{quoted(attributes[column].name)}' is {values[row, column]:g}"
        raise DataError(f"{table.path}, line {table.lines[row]}: {found}, not 0 or 1")
    return np.nan_to_num(values, nan=-1).astype(np.int8)


def _features(table: _Table, attributes: Sequence[_Attribute]) -> npt.NDArray[np.float32]:
    for row, column in np.argwhere(np.isnan(table.values[:, [attribute.column for attribute in attributes]])):
        raise DataError(
            f"{table.path}, line {table.lines[row]}: attribute '{quoted(attributes[column].name)}' is missing (?); "
            "give it a value, or leave the example out"
        )
    columns = []
    for attribute in attributes:
        values = table.values[:, attribute.column]
        if attribute.nominal is None or attribute.binary:
            columns.append(values)
        else:
            columns += [(values == position).astype(np.float32) for position in range(len(attribute.nominal))]
    return np.stack(columns, axis=1)
