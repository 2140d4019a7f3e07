"""ARFF with its labels: the genuine dense and sparse files, and files made to be awkward."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import arff

from mlcl_utils import data
from mlcl_utils.errors import DataError, UsageError

# Of the matrices, int8 labels and float32 features, in the order of training and test files.
GENUINE = {
    "emotions": (
        (593, 6, 72),
        1108,
        "c997ec669a905fa29ec8c7e5452262b968d794d9b686f369bce3aeee72cc6c6f",
        "64a68f7a68579bce583835184a44b83f400a0162866156c813463cae84500574",
    ),
    "medical": (
        (978, 45, 1449),
        1218,
        "5d4b76102385a99152fd613dcca812f62da0c0611ff5c8483f45ff08944fbbee",
        "bd52264d2f6b5b7db7939940f07f0b7683c7503208281e999467abdc946afc27",
    ),
}


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_files(shared: Path, name: str) -> None:
    shape, positives, labels, features = GENUINE[name]
    dataset = data.load(f"mulan:{name}", shared)
    assert (*dataset.labels.shape, dataset.features.shape[1]) == shape
    assert int((dataset.labels == 1).sum()) == positives
    assert hashlib.sha256(dataset.labels.tobytes()).hexdigest() == labels
    assert hashlib.sha256(dataset.features.tobytes()).hexdigest() == features
    assert dataset.features.dtype == np.float32
    train = {"emotions": 391, "medical": 333}[name]
    assert all((split == 2).tolist() == [row >= train for row in range(shape[0])] for split in dataset.splits)
    assert data.load(str(shared / "mulan" / f"{name}-test.arff")).version == dataset.version


def test_the_dense_file_is_what_scipy_reads(shared: Path) -> None:
    dataset = data.load("mulan:emotions", shared)
    rows = np.concatenate(
        [arff.loadarff(shared / "mulan" / f"emotions-{part}.arff")[0] for part in ("train", "test")]
    )
    names = rows.dtype.names
    assert names is not None
    for column, name in enumerate(dataset.label_names):
        assert np.array_equal(dataset.labels[:, column], rows[name].astype(np.int8))
    rest = [name for name in names if name not in dataset.label_names]
    expected = np.stack([rows[name] for name in rest], axis=1).astype(np.float32)
    assert np.array_equal(dataset.features, expected)


def test_the_sparse_file_is_what_its_braces_say(shared: Path) -> None:
    dataset = data.load("mulan:medical", shared)
    text = (shared / "mulan" / "medical-train.arff").read_text()
    names = re.findall(r"^@attribute (\S+) ", text, re.MULTILINE)
    column = {name: i for i, name in enumerate(name for name in names if name not in dataset.label_names)}
    label = {name: i for i, name in enumerate(dataset.label_names)}
    for row, line in enumerate(re.findall(r"^\{(.*)\}", text, re.MULTILINE)):
        there = [names[int(entry.split()[0])] for entry in line.split(",")]
        assert set(np.flatnonzero(dataset.labels[row])) == {label[n] for n in there if n in label}
        assert set(np.flatnonzero(dataset.features[row])) == {column[n] for n in there if n in column}


HEADER = """% a comment
@RELATION  'made up: -C {count}'
@attribute 'my label, quoted' {{0,1}}
@attribute second {{0, 1}}
@attribute\tsize   REAL
@attribute 'it\\'s nominal' {{'very low', "high,er", mid}}
@attribute flag {{0,1}}

@DATA
"""


def write(path: Path, rows: list[str], count: int = 2) -> Path:
    path.write_text(HEADER.format(count=count) + "\n".join(rows) + "\n")
    return path


def rows_of(count: int) -> list[str]:
    kinds = ("'very low'", '"high,er"', "mid")
    return [f"{i % 2},{1 - i % 2},{i / 4},{kinds[i % 3]},{i % 2}" for i in range(count)]


def test_quoted_nominals_and_names(tmp_path: Path) -> None:
    path = write(tmp_path / "made.arff", rows_of(40))
    dataset = data.load(str(path))
    assert dataset.label_names == ("my label, quoted", "second")
    assert dataset.labels.tolist() == [[i % 2, 1 - i % 2] for i in range(40)]
    expected = [[i / 4, i % 3 == 0, i % 3 == 1, i % 3 == 2, i % 2] for i in range(40)]
    assert np.array_equal(dataset.features, np.array(expected, dtype=np.float32))


def test_labels_at_the_end_and_in_an_xml_file(tmp_path: Path) -> None:
    path = write(tmp_path / "end.arff", rows_of(40), count=-1)
    assert data.load(str(path)).label_names == ("flag",)
    (tmp_path / "end.xml").write_text(
        '<labels xmlns="http://mulan.sourceforge.net/labels"><label name="flag">'
        '<label name="second"/></label></labels>'
    )
    assert data.load(str(path)).label_names == ("flag", "second")
    (tmp_path / "end.xml").write_text('<labels><label name="flaq"/></labels>')
    with pytest.raises(DataError, match=r"end\.xml: label 'flaq' is not an attribute of end\.arff"):
        data.load(str(path))
    (tmp_path / "end.xml").write_text('<labels><label name="flag"/>')
    with pytest.raises(DataError, match=r"end\.xml, line 1: damaged or cut off"):
        data.load(str(path))


def test_sparse_rows_leave_out_the_first_value(tmp_path: Path) -> None:
    path = write(tmp_path / "sparse.arff", ["{0 1, 2 7.5, 3 'high,er'}", "{1 1,4 1}", "{ }", *rows_of(40)])
    dataset = data.load(str(path))
    assert dataset.labels[:3].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert dataset.features[:3].tolist() == [[7.5, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 1, 0, 0, 0]]


def test_a_missing_label_is_unobserved(tmp_path: Path) -> None:
    rows = rows_of(40)
    rows[3] = "?" + rows[3][1:]
    dataset = data.load(str(write(tmp_path / "missing.arff", rows)))
    assert dataset.labels[3].tolist() == [-1, 0]
    assert "1 labels that are missing (?) are unobserved" in dataset.notes


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,0,?,mid,0", "line 14: attribute 'size' is missing (?)"),
        ("1,0,big,mid,0", "line 14: 'big' for attribute 'size' is not a number"),
        ("1,0,nan,mid,0", "line 14: 'nan' for attribute 'size' is not a number"),
        ("1,0,-1e39,mid,0", "line 14: '-1e39' for attribute 'size' is not a number"),
        ("{2 1e39}", "line 14: '1e39' for attribute 'size' is not a number"),
        ("1,0,1e99999,mid,0", "line 14: '1e99999' for attribute 'size' is not a number"),
        (
            "1,0,1,middle,0",
            "line 14: 'middle' for attribute 'it's nominal' is not one of very low, high,er, mid",
        ),
        ("1,2,1,mid,0", "line 14: '2' for attribute 'second' is not one of 0, 1"),
        ("1,0,1,mid", "line 14: 4 values for 5 attributes"),
        ("{0 1, 9 1}", "line 14: column 9 of 5 attributes, from 0"),
        ("{0 1, 2", "line 14: the closing brace is missing"),
        ("{0 1, two}", "line 14: 'two' is not a column and a value"),
    ],
    ids=[
        "missing",
        "word",
        "nan",
        "float32",
        "sparse float32",
        "infinite",
        "nominal",
        "label",
        "short",
        "column",
        "cut off",
        "no value",
    ],
)
def test_what_cannot_be_read_names_file_and_line(tmp_path: Path, row: str, said: str) -> None:
    rows = rows_of(20)
    rows[4] = row
    path = write(tmp_path / "wrong.arff", rows)
    with pytest.raises(DataError) as caught:
        data.load(str(path))
    assert f"{path}, {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@relation x\n@attribute a numeric\n", "there is no @data; cut off, or not an ARFF file"),
        ("@relation x\n@attribute a numeric\n@data\n", "there is no example after @data"),
        ("@relation x\n@attribute a string\n@data\nx\n", "line 2: attribute 'a' is of type string"),
        (
            "@relation x\n@attribute a numeric\n@attribute a numeric\n@data\n1,2\n",
            "there are two attributes 'a'",
        ),
        ("@relation x\n@attribute a numeric\n@data\n1\n", "which attributes are the labels?"),
        ("@relation 'x: -C 1'\n@attribute a {0,1}\n@data\n1\n", "every attribute is a label"),
        (
            "@relation 'x: -C 1'\n@attribute a {y,n}\n@attribute b real\n@data\ny,1\n",
            "label 'a' has the values y, n",
        ),
        (
            "@relation 'x: -C 1'\n@attribute a real\n@attribute b real\n@data\n3,1\n",
            "line 5: label 'a' is 3, not 0 or 1",
        ),
        ("hello\n", "line 1: 'hello' is not part of a header"),
    ],
    ids=["cut off", "empty", "string", "twice", "no labels", "no features", "yes and no", "number", "other"],
)
def test_headers_that_do_not_fit(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.arff"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        data.load(str(path))
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "latin.arff", rows_of(20))
    path.write_bytes(path.read_bytes().replace(b"a comment", b"d\xe9j\xe0 vu"))
    with pytest.raises(DataError, match=r"latin\.arff, line 1: byte 0xe9 is not utf-8"):
        data.load(str(path))


def test_a_set_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'mulan:yeast' is not in .*yeast-train\.arff or yeast\.arff"):
        data.load("mulan:yeast", tmp_path)
    write(tmp_path / "yeast.arff", rows_of(20))
    with pytest.raises(UsageError, match=r"unknown file '.*yeats\.arff'; did you mean '.*yeast\.arff'"):
        data.load("yeats.arff", tmp_path)
