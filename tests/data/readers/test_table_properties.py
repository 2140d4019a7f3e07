"""Random tables whose labels are known: either all of them are read, or one line says why not."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcl_utils.data.readers import Examples, table
from mlcl_utils.errors import UsageError

MISSING = ("nan", "NaN", "NA", "<NA>", "None", "NULL", "null")
# A name begins with what is part of no number, list or word for 0, 1 or nothing, and has no separator in it.
NAME = st.builds(
    lambda first, rest: f"L{first}{rest}".strip(),
    st.sampled_from(["a", "é", "e\u0301", "ß", "中", "\U0001f600"]),
    st.text("abé0 \u0301&'\"\\/()[]{}#:._-\u00a0\n", max_size=6)
    | st.sampled_from(["&amp;D", "&#39;s", " (old)", "NA", " nan", ".5", "=1", "\ttab"]),
)
VOCABULARY = st.lists(NAME, min_size=2, max_size=5, unique_by=lambda name: normal(name))
# Columns that nobody asks for.
UNUSED = {
    "stars": [str(i % 5 + 1) for i in range(30)],
    "city": ["Paris, or; so|"] * 30,
    "note": [""] * 30,
    "price": [f"{i},5" for i in range(30)],
    "seen": ["yes", "NA", "0"] * 10,
}


def normal(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


@st.composite
def truths(draw: st.DrawFn) -> list[list[str]]:
    """The labels of 6 to 20 examples, one at least with a label."""
    names = draw(VOCABULARY)
    lists = draw(st.lists(st.lists(st.sampled_from(names), max_size=3, unique=True), min_size=6, max_size=20))
    return [names[:2], *lists]


def read(path: Path, content: bytes) -> Examples | None:
    """What is read of a file; None if one line refuses it that names the file."""
    path.write_bytes(content)
    try:
        source = table.find(path.name, path.parent)
        return source.read(source)
    except UsageError as error:
        said = str(error)
    assert "\n" not in said
    assert str(path) in said
    return None


def holds(examples: Examples | None, truth: list[list[str]]) -> None:
    """Whether all labels of the truth are those that were read, unless nothing was."""
    if examples is None:
        return
    found = [{examples.label_names[label] for label in np.flatnonzero(row == 1)} for row in examples.labels]
    assert found == [{normal(name) for name in names} for names in truth]
    assert len(examples.label_names) == len({normal(name) for names in truth for name in names})


def csv_bytes(draw: st.DrawFn, columns: dict[str, list[str]]) -> bytes:
    """A CSV file in one of many dialects."""
    stream = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    writer = csv.writer(
        stream,
        delimiter=draw(st.sampled_from(",;\t|")),
        lineterminator=end,  # what else ends lines is quoted only if all is
        quoting=csv.QUOTE_ALL if end == "\r" else draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    trailing = [""] * draw(st.integers(0, 2))
    writer.writerow([*columns, *trailing])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([*row, *trailing])
        if draw(st.integers(0, 9)) == 0:
            writer.writerow([])
    return stream.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


def unused(draw: st.DrawFn, count: int) -> dict[str, list[str]]:
    names = draw(st.lists(st.sampled_from(sorted(UNUSED)), unique=True, max_size=3))
    return {name: UNUSED[name][:count] for name in names}


def texts(draw: st.DrawFn, count: int) -> list[str]:
    odd = st.sampled_from(["nan", "", "a; b, c|d", 'a "quoted"\nline', "0,5", "[a]", "é" * 30])
    between = range(1, count - 1)
    return [
        draw(odd) if i in between and draw(st.integers(0, 5)) == 0 else f"words, {i}" for i in range(count)
    ]


@st.composite
def lists_in_csv(draw: st.DrawFn) -> tuple[bytes, list[list[str]], bool]:
    """A CSV file of texts whose labels are listed in cells, its truth, and whether it has to be read."""
    truth = draw(truths())
    form = draw(st.sampled_from([", ", ";", " | ", "python", "json", "array", "tuple"]))
    cells = []
    for names in truth:
        if form == "python":
            cells.append(str(names))
        elif form == "json":
            cells.append(json.dumps(names, ensure_ascii=draw(st.booleans())))
        elif form == "array":
            cells.append(f"array({names}, dtype=object)")
        elif form == "tuple":
            cells.append(str(tuple(names)))
        else:
            cells.append(form.join(names))
        if not names and draw(st.booleans()):
            cells[-1] = draw(st.sampled_from(MISSING))
    columns = {"text": texts(draw, len(truth)), "tags": cells, **unused(draw, len(truth))}
    return csv_bytes(draw, columns), truth, form not in {"python", "tuple", "array"}


@settings(deadline=None, max_examples=100)
@given(lists_in_csv())
def test_labels_listed_in_a_csv(case: tuple[bytes, list[list[str]], bool]) -> None:
    content, truth, plain = case
    with tempfile.TemporaryDirectory() as folder:
        examples = read(Path(folder) / "t.csv", content)
    assert examples is not None or not plain
    holds(examples, truth)


SPELLINGS = ("01", ("no", "yes"), ("FALSE", "TRUE"), ("0.0", "1.0"), "nY", ("f", "t"), ("False", "True"))


@st.composite
def columns_in_csv(draw: st.DrawFn) -> tuple[bytes, list[str], np.ndarray, bool]:
    """A CSV file with a column for each label, spelled in many ways, its truth, and whether odd values are in some."""
    odd = False
    names = draw(st.lists(NAME, min_size=2, max_size=4, unique_by=normal))
    count = draw(st.integers(6, 20))
    truth = np.array([[draw(st.sampled_from([0, 1, 0, 1, -1])) for _ in names] for _ in range(count)])
    truth[0], truth[1] = 0, 1
    columns: dict[str, list[str]] = {"text": [f"words, number {i}" for i in range(count)]}
    for name, values in zip(names, truth.T, strict=True):
        spelling = draw(st.sampled_from(SPELLINGS))
        absent = draw(st.sampled_from(["", "?", "NA", "nan", "-1"]))
        columns[name] = [spelling[value] if value >= 0 else absent for value in values]
        if draw(st.integers(0, 4)) == 0:
            odd = True
            columns[name][draw(st.integers(2, count - 1))] = draw(
                st.sampled_from(["maybe", "2", "0,5", "x\ny"])
            )
    return csv_bytes(draw, columns), names, truth, odd


@settings(deadline=None, max_examples=100)
@given(columns_in_csv())
def test_labels_with_a_column_each_in_a_csv(case: tuple[bytes, list[str], np.ndarray, bool]) -> None:
    content, names, truth, odd = case
    with tempfile.TemporaryDirectory() as folder:
        examples = read(Path(folder) / "t.csv", content)
    assert (examples is None) == odd
    if examples is not None:
        assert list(examples.label_names) == [normal(name) for name in names]
        assert np.array_equal(examples.labels, truth)


def types_of_lists() -> st.SearchStrategy[pa.DataType]:
    inner = st.sampled_from(
        [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
    )
    return st.builds(lambda outer, kind: outer(kind), st.sampled_from([pa.list_, pa.large_list]), inner)


@st.composite
def parquets(draw: st.DrawFn) -> tuple[bytes, list[list[str]], bool]:
    """A Parquet file of texts and lists of labels, with nulls, odd types and broken columns; whether the texts are."""
    truth = draw(truths())
    count = len(truth)
    kind = draw(types_of_lists())
    cells: list[Any] = []
    for names in truth:
        cell: list[str | None] | None = list(names)
        if draw(st.integers(0, 5)) == 0:
            cell = [*names, None] if names else None
        cells.append(cell)
    if pa.types.is_dictionary(kind.value_type):
        labels = pa.array(cells, pa.list_(pa.string())).cast(pa.list_(pa.string()))
    else:
        encoded = kind.value_type == pa.binary()
        labels = pa.array(
            [
                None if c is None else [x.encode() if encoded and x is not None else x for x in c]
                for c in cells
            ],
            kind,
        )
    words = [text.encode() for text in texts(draw, count)]
    damaged = draw(st.integers(0, 4)) == 0
    if damaged:
        words[draw(st.integers(0, count - 1))] = b"caf\xe9"
    columns: list[tuple[str, pa.Array]] = [
        ("text", pa.array(words, pa.binary()).view(pa.string())),
        ("tags", labels),
    ]
    others = [
        ("note", pa.array([b"\xff"] * count, pa.binary()).view(pa.string())),
        ("note", pa.array(range(count))),
        ("stars", pa.array([None, *range(1, count)], pa.float64())),
        ("place", pa.array([{"x": 1}] * count)),
        ("when", pa.array(range(count), pa.timestamp("us", tz="No/Where"))),
    ]
    columns += draw(st.lists(st.sampled_from(others), max_size=3, unique_by=id))
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([c for _, c in columns], names=[n for n, _ in columns]), stream)
    return stream.getvalue(), truth, damaged


@settings(deadline=None, max_examples=100)
@given(parquets())
def test_labels_in_parquet(case: tuple[bytes, list[list[str]], bool]) -> None:
    content, truth, damaged = case
    with tempfile.TemporaryDirectory() as folder:
        examples = read(Path(folder) / "t.parquet", content)
    assert (examples is None) == damaged
    holds(examples, truth)
