"""LibSVM's multi-label format, and the Extreme Classification Repository's header."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from mlcl_utils import data
from mlcl_utils.data import readers
from mlcl_utils.data.readers import Examples
from mlcl_utils.errors import DataError, UsageError


def read(path: Path) -> Examples:
    source = readers.find(str(path), None)
    return source.read(source)


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), newline="")
    return path


def lines_of(count: int, first: int = 0) -> list[str]:
    """Example i has the labels 1 + i % 3 and, every second one, 7, and the features 1 + i % 4 and 6."""
    return [
        f"{1 + i % 3}{',7' if i % 2 else ''} {1 + i % 4}:{i / 4} 6:-1e-3" for i in range(first, first + count)
    ]


def features_of(examples: Examples) -> np.ndarray:
    assert examples.features is not None
    return examples.features


@pytest.mark.parametrize("ending", [".svm", ".libsvm", ".SVM"])
def test_a_file_alone(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"made{ending}", lines_of(40))
    examples = read(path)
    assert examples.label_names == ["1", "2", "3", "7"]
    assert examples.labels.tolist() == [[int(i % 3 == c) for c in range(3)] + [i % 2] for i in range(40)]
    expected = np.zeros((40, 6), dtype=np.float32)
    for i in range(40):
        expected[i, i % 4] = i / 4
        expected[i, 5] = -1e-3
    assert np.array_equal(features_of(examples), expected)
    assert list(examples.notes)[:2] == [
        "features count from 1, since none has the number 0",
        "labels are named by their numbers",
    ]
    dataset = data.load(str(path))
    assert (dataset.name, dataset.modality, dataset.features.dtype) == ("made", "features", np.float32)


@pytest.mark.parametrize("zero_based", [True, False])
def test_what_scikit_learn_writes_and_reads(tmp_path: Path, zero_based: bool) -> None:
    generator = np.random.default_rng(0)
    features = np.where(generator.random((50, 9)) < 0.4, generator.normal(size=(50, 9)), 0).astype(np.float32)
    features[:, [0, -1]] = 1
    labels = generator.random((50, 5)) < 0.3
    path = tmp_path / "written.svm"
    dump_svmlight_file(
        features, labels.astype(int), str(path), zero_based=zero_based, multilabel=True, comment="made up"
    )
    examples = read(path)
    assert np.array_equal(features_of(examples), features)
    assert np.array_equal(examples.labels == 1, labels)
    there, sets = load_svmlight_file(str(path), multilabel=True, zero_based=zero_based, dtype=np.float32)
    assert np.array_equal(features_of(examples), there.toarray())
    assert [tuple(np.flatnonzero(row).astype(float)) for row in examples.labels] == sets


def test_the_header_says_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "data.txt", ["6 5 4", "0,3 0:1 4:2", " 1:3", "1:3", "2", "", "3 0:.5"])
    examples = read(path)
    assert examples.label_names == ["0", "1", "2", "3"]
    assert examples.labels.tolist() == [[1, 0, 0, 1], [0] * 4, [0] * 4, [0, 0, 1, 0], [0] * 4, [0, 0, 0, 1]]
    assert features_of(examples).tolist() == [
        [1, 0, 0, 0, 2], [0, 3, 0, 0, 0], [0, 3, 0, 0, 0], [0] * 5, [0] * 5, [0.5, 0, 0, 0, 0]
    ]  # fmt: skip
    assert examples.notes[0] == "features count from 0, as under every header line"


def test_a_list_of_partial_labels_is_still_one(tmp_path: Path) -> None:
    path = write(tmp_path / "data.txt", [f"{i} 2 3.jpg,{i % 2}" for i in range(40)])
    assert read(path).modality == "image"
    write(path, ["# a comment", "40 6 3"])
    with pytest.raises(DataError, match=r"data\.txt, line 1: '# a comment' is not an image, a comma and"):
        read(path)


@pytest.mark.parametrize(
    ("train", "test", "name"),
    [
        ("yeast_train.svm", "yeast_test.svm", "yeast"),
        ("yeast-train.svm", "yeast-test.svm", "yeast"),
        ("yeast.train.libsvm", "yeast.test.libsvm", "yeast"),
        ("Yeast_Train.svm", "Yeast_Test.svm", "Yeast"),
        ("train.svm", "test.svm", "here"),
    ],
)
def test_two_parts_are_the_official_split(tmp_path: Path, train: str, test: str, name: str) -> None:
    (tmp_path / "here").mkdir()
    first = write(tmp_path / "here" / train, lines_of(40))
    second = write(tmp_path / "here" / test, [f"7,9 {8 + i % 2}:{i}" for i in range(10)])
    dataset = data.load(str(first))
    assert data.load(str(second)).version == dataset.version
    assert dataset.name == name
    assert dataset.label_names == ("1", "2", "3", "7", "9")
    assert dataset.features.shape == (50, 9)
    assert all((split == 2).tolist() == [False] * 40 + [True] * 10 for split in dataset.splits)
    assert dataset.ids[40] == f"{second.stem} 1"
    second.unlink()
    assert len(data.load(str(first))) == 40


@pytest.mark.parametrize("name", ["contest.svm", "latest.svm", "strain.svm"])
def test_other_names_have_no_parts(tmp_path: Path, name: str) -> None:
    for file in ("contrain.svm", "latrain.svm", "stest.svm"):
        write(tmp_path / file, lines_of(4))
    assert len(read(write(tmp_path / name, lines_of(40))).labels) == 40


def test_one_zero_in_either_part_counts_for_both(tmp_path: Path) -> None:
    path = write(tmp_path / "a_train.svm", ["1 1:1", "2 2:1"])
    write(tmp_path / "a_test.svm", ["1 0:5", "2 2:1"])
    examples = read(path)
    assert features_of(examples).tolist() == [[0, 1, 0], [0, 0, 1], [5, 0, 0], [0, 0, 1]]
    assert examples.notes[0] == "features count from 0, since one has this number"


def test_comments_queries_and_other_ways_of_writing(tmp_path: Path) -> None:
    rows = ["# made up", "+1,2.0\tqid:7 2:+.5 1:1e-3 # 3:4", "", "  3:4", "01 002:5", "# the end"]
    path = tmp_path / "odd.svm"
    path.write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8", newline="")
    examples = read(path)
    assert examples.label_names == ["1", "2"]
    assert examples.labels.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert np.array_equal(features_of(examples), np.array([[1e-3, 0.5, 0], [0, 0, 4], [0, 5, 0]], np.float32))
    assert "1 examples have a qid, which is left out" in examples.notes


@pytest.mark.parametrize(
    ("first", "header", "names"),
    [(0, False, "abcd"), (1, False, "abcd"), (0, True, "abcd"), (1, True, "zabcd")],
)
def test_names_of_labels(tmp_path: Path, first: int, header: bool, names: str) -> None:
    rows = [f"{first + i % 4} 1:{i}" for i in range(40)]
    path = write(tmp_path / "set.svm", [*([f"40 2 {first + 4}"] if header else []), *rows])
    (tmp_path / "set.toml").write_text('labels = "names.txt"')
    write(tmp_path / "names.txt", list(names))
    examples = read(path)
    assert examples.label_names == list(names)
    for i in range(40):
        assert [examples.label_names[c] for c in np.flatnonzero(examples.labels[i])] == ["abcd"[i % 4]]


def test_names_that_could_count_from_either_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "set_train.svm", [f"{1 + i % 2} 1:{i}" for i in range(40)])
    write(tmp_path / "set_test.svm", [f"{1 + i % 2} 1:{i}" for i in range(4)])
    (tmp_path / "set.toml").write_text('labels = "names.txt"')
    names = write(tmp_path / "names.txt", list("abc"))
    with pytest.raises(DataError, match=r"names\.txt: is the first name that of label 0 or of label 1\?"):
        read(path)
    write(names, list("a"))
    with pytest.raises(DataError, match=r"names\.txt: 1 names, and set_train\.svm has label 2"):
        read(path)
    write(names, ["a", "", "b"])
    with pytest.raises(DataError, match=r"names\.txt, line 2: is blank"):
        read(path)
    names.unlink()
    with pytest.raises(DataError, match=r"names\.txt, which .*set\.toml names, is missing"):
        read(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 2", "'2' is not a feature's number, a colon and a value"),
        ("1 two:3", "'two:3' is not a feature's number, a colon and a value"),
        ("1 -2:3", "'-2:3' is not a feature's number, a colon and a value"),
        ("1 ²:3", "'²:3' is not a feature's number, a colon and a value"),
        ("1 2:", "'' for feature 2 is not a number"),
        ("1 2: 3", "'' for feature 2 is not a number"),
        ("1 2:x", "'x' for feature 2 is not a number"),
        ("1 2:nan", "'nan' for feature 2 is not a number"),
        ("1 2:1e39", "'1e39' for feature 2 is not a number"),
        ("1 2:1_0", "'1_0' for feature 2 is not a number"),
        ("1 2:3:4", "'3:4' for feature 2 is not a number"),
        ("1 2:3 2:4", "feature 2 is there twice"),
        ("1,1.0 2:3", "a label is there twice in '1,1.0'"),
        ("1, 2:3", "'' is not the number of a label"),
        ("1,,2 2:3", "'' is not the number of a label"),
        ("-1 2:3", "'-1' is not the number of a label; a line begins with the labels that are there"),
        ("0.5 2:3", "'0.5' is not the number of a label"),
        ("cat 2:3", "'cat' is not the number of a label"),
        ("1;2 2:3", "'1;2' is not the number of a label"),
        ("1 " + "9" * 5000 + ":3", "is too large a number for one"),
        ("9" * 5000 + " 1:3", "is too large a number for one"),
        ("1 2:3\u20284:5", "'3\\u20284:5' for feature 2 is not a number"),
        ("1\x00 2:3", "'1\\x00' is not the number of a label"),
    ],
)
@pytest.mark.parametrize("header", [True, False])
def test_odd_lines_name_file_and_line(tmp_path: Path, line: str, said: str, header: bool) -> None:
    rows = [*lines_of(7), line, *lines_of(30)]
    path = write(tmp_path / "odd.svm", ["38 7 8", *rows] if header else rows)
    if header and "too large" in said:
        said = "is too large a number for one"
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line {8 + header}: ")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no example"),
        (["# nothing", ""], "holds no example"),
        (["2 5 3", "1 1:2"], ": 1 examples, and its first line counts 2"),
        (["1 5 3", "1 5:2"], ", line 2: feature 5 is outside the 5 of the first line, from 0"),
        (["1 5 3", "3 1:2"], ", line 2: label 3 is outside the 3 of the first line, from 0"),
        (["0 5 3"], ", line 1: 0 examples cannot be"),
        (["1 0 3", "1"], ", line 1: 0 features cannot be"),
        (["9" * 5000 + " 5 3"], "examples cannot be"),
        (["900000000 900000000 3", "1 1:2"], "900,000,000 examples with 900,000,000 features take "),
        (["1 1:2", "2 899999999:1"] * 9999, "19,998 examples with 899,999,999 features take "),
        (["1 5 3", " 1:2"], "no example has a label"),
        (["1", "2"], "no example has a feature"),
        (["1:1", "2:1"], "no example has a label"),
    ],
    ids=[
        "empty", "comments", "count", "feature", "label", "no examples", "no features", "digits", "size",
        "size found", "no label", "nothing", "features alone",
    ],
)  # fmt: skip
def test_files_that_cannot_be(tmp_path: Path, lines: list[str], said: str) -> None:
    path = write(tmp_path / "odd.svm", lines)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_parts_that_contradict_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a_train.txt", ["1 5 3", "1 1:2"])
    write(tmp_path / "a_test.txt", ["1 6 3", "1 1:2"])
    with pytest.raises(DataError, match=r"a_test\.txt, line 1: the numbers of features and labels are not"):
        read(path)
    write(tmp_path / "a_test.txt", ["1 1:2"])
    with pytest.raises(DataError, match=r"a_test\.txt, line 1: the numbers of features and labels are not"):
        read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "yeast.svm", lines_of(4))
    with pytest.raises(UsageError, match=r"unknown file '.*yaest\.svm'; did you mean '.*yeast\.svm'"):
        data.load("yaest.svm", tmp_path)


NUMBER = st.integers(0, 6)
VALUE = st.floats(width=32) | st.sampled_from(["1e39", "nan", "", "x", "+1", "1_0", "\u2028"])
ROW = st.tuples(
    st.lists(NUMBER | st.sampled_from(["-1", "1.0", "1.5", "", "a"]), max_size=3, unique_by=str),
    st.dictionaries(NUMBER, VALUE, max_size=3),
)


def good(value: float | str) -> bool:
    try:
        return "_" not in str(value) and abs(float(value)) < 3.4028235e38
    except ValueError:
        return False


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(ROW, min_size=1, max_size=5),
    header=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_file(rows: list[tuple[list[int | str], dict[int, float | str]]], header: bool, end: str) -> None:
    lines = [
        " ".join([",".join(map(str, labels)), *(f"{index}:{value}" for index, value in features.items())])
        for labels, features in rows
    ]
    whole = [f"{len(rows)} 7 7", *lines] if header else lines
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.svm"
        path.write_text(end.join(whole) + end, newline="", encoding="utf-8")
        try:
            examples = read(path)
        except DataError as error:
            message = str(error)
            examples = None
    if examples is None:
        assert message.startswith(str(path))
        assert message.isprintable()
        whole_numbers = all(isinstance(label, int) for labels, _ in rows for label in labels)
        numbers = all(good(value) for _, features in rows for value in features.values())
        there = any(labels for labels, _ in rows) and any(features for _, features in rows)
        blank = any(not labels and not features for labels, features in rows)
        assert not whole_numbers or not numbers or not there or (blank and header)
        return
    kept = [row for row in rows if header or row[0] or row[1]]
    truth = [{str(int(float(label))) for label in labels} for labels, _ in kept]
    found = [{examples.label_names[c] for c in np.flatnonzero(row)} for row in examples.labels]
    assert found == truth
    base = 0 if header or any(0 in features for _, features in kept) else 1
    for row, (_, features) in enumerate(kept):
        expected = {index - base: np.float32(value) for index, value in features.items()}
        there_is = {int(c): features_of(examples)[row, c] for c in np.flatnonzero(features_of(examples)[row])}
        assert there_is == {column: value for column, value in expected.items() if value != 0}
