"""Cells and columns of tables that are not what they look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlcl_utils import data
from mlcl_utils.data.readers.common import is_finite
from mlcl_utils.errors import DataError
from tests.data.readers.tables import TAGS, expected_labels, reviews, tags, write_csv


def a_set(labels: list[str]) -> str:
    return str(set(labels)) if labels else "set()"


@pytest.mark.parametrize(
    "form",
    [
        a_set,
        lambda labels: str(tuple(labels)),
        lambda labels: str(frozenset(labels)),
        lambda labels: str(np.array(labels, dtype=object)),
    ],
    ids=["set", "tuple", "frozenset", "numpy"],
)
def test_lists_in_other_brackets(tmp_path: Path, form: Callable[[list[str]], str]) -> None:
    rows = reviews(tags=[form(tags(i)) for i in range(60)])
    rows[8]["tags"], rows[30]["tags"] = form([]), ""
    rows[9]["tags"] = form(["it's", "a, b", "long"])
    write_csv(tmp_path / "t.csv", rows)
    dataset = data.load("t.csv", tmp_path)
    assert dataset.label_names == ("a, b", *TAGS[:1], "it's", *TAGS[1:])
    assert dataset.labels[:8, [1, 3, 4, 5]].tolist() == expected_labels()[:8].tolist()
    assert not dataset.labels[[8, 30]].any()
    assert dataset.labels[9].tolist() == [1, 0, 1, 1, 0, 0]


def test_brackets_within_labels_are_no_lists(tmp_path: Path) -> None:
    rows = reviews(tags=[f"(old) {tags(i)[0]}; two (b)" for i in range(60)])
    write_csv(tmp_path / "t.csv", rows)
    assert data.load("t.csv", tmp_path).label_names == (*(f"(old) {tag}" for tag in TAGS), "two (b)")


@pytest.mark.parametrize(
    "cell",
    [
        "{'funny': 1, 'slow': 0}",
        "['funny' 'slow', 'long']",
        "('funny' 'slow')",
        "['funny'\n ... 'slow']",
        "[['funny'], ['slow']]",
        "{funny,slow}",
        "(1)",
        "funny",
    ],
    ids=["dict", "comma missing", "no tuple", "left out", "nested", "words", "number", "plain"],
)
def test_label_cells_whose_meaning_is_unsure(tmp_path: Path, cell: str) -> None:
    rows = reviews(tags=[str(tags(i)) for i in range(60)])
    rows[4]["tags"] = cell
    path = write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(DataError) as caught:
        data.load("t.csv", tmp_path)
    assert str(caught.value) == (
        f"{path}, line 6: '{' '.join(cell.split())}' in column 'tags' is not a list of labels; "
        "write every cell as ['a', 'b'], or every cell as a; b"
    )


@pytest.mark.parametrize(
    "cell",
    [{"funny": 1, "slow": 0}, [{"name": "funny"}], [["funny"], ["slow"]]],
    ids=["struct", "structs", "lists"],
)
def test_parquet_cells_that_are_no_lists_of_labels(tmp_path: Path, cell: Any) -> None:
    texts = [f"a text with the number {i}" for i in range(60)]
    pq.write_table(pa.table({"text": texts, "labels": [None, *[cell] * 59]}), tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r"t\.parquet, row 2: '.*' in column 'labels' is not a list of labels"
    ):
        data.load("t.parquet", tmp_path)


def test_several_columns_of_lists_are_no_features(tmp_path: Path) -> None:
    columns = {name: [[float(i), 1.0] for i in range(60)] for name in ("emb_a", "emb_b")}
    table = pa.table({"number": list(range(60)), **columns, "labels": [tags(i) for i in range(60)]})
    pq.write_table(table, tmp_path / "t.parquet")
    for named in ('["emb_*"]', '["number", "emb_a"]'):
        (tmp_path / "t.toml").write_text(f"features = {named}\n")
        with pytest.raises(DataError, match=r"t\.parquet: column 'emb_a' holds lists; name it alone"):
            data.load("t.parquet", tmp_path)
    (tmp_path / "t.toml").write_text('features = ["emb_b"]\n')
    assert data.load("t.parquet", tmp_path).features[7].tolist() == [7, 1]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "Index"])
def test_the_numbers_of_rows_are_no_feature(tmp_path: Path, name: str) -> None:
    rows = [
        {name: str(i), "size": str(i % 7), "weight": str(i / 4), "labels": "ab"[i // 30]} for i in range(60)
    ]
    write_csv(tmp_path / "t.csv", rows)
    dataset = data.load("t.csv", tmp_path)
    assert dataset.features.tolist() == [[i % 7, i / 4] for i in range(60)]
    assert (
        f"column '{name}' is not used: such a column numbers the rows; if not, name it in t.toml"
        in dataset.notes
    )
    (tmp_path / "t.toml").write_text(f'features = ["{name}", "size"]\n')
    named = data.load("t.csv", tmp_path)
    assert named.features.tolist() == [[i, i % 7] for i in range(60)]
    assert not any("is not used" in note for note in named.notes)


def test_the_index_that_pandas_leaves_in_a_parquet_file_is_no_feature(tmp_path: Path) -> None:
    frame = pd.DataFrame({"size": [float(i % 7) for i in range(60)], "labels": [tags(i) for i in range(60)]})
    frame.sort_values("size").to_parquet(tmp_path / "t.parquet")
    dataset = data.load("t.parquet", tmp_path)
    assert dataset.features.tolist() == sorted([i % 7] for i in range(60))
    assert any("column '__index_level_0__' is not used" in note for note in dataset.notes)


@pytest.mark.parametrize("name", ["split", "split_name"])
def test_a_split_with_an_unknown_word_is_refused(tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path / "t.csv", reviews(**{name: [*["train"] * 40, *["test"] * 19, "unlabeled"]}))
    with pytest.raises(DataError) as caught:
        data.load("t.csv", tmp_path)
    assert str(caught.value) == (
        f"{path}, line 61: 'unlabeled' in column '{name}' is not train, validation or test"
    )


@pytest.mark.parametrize("name", ["fold", "split", "subset"])
def test_folds_are_neither_split_nor_label_nor_feature(tmp_path: Path, name: str) -> None:
    said = f"column '{name}' is not used as a split, nor guessed to be a label or feature: "
    rows = [
        {"text": f"a text with the number {i}", "x": str(i % 2), "y": str(i // 2 % 2), name: str(i // 30)}
        for i in range(60)
    ]
    write_csv(tmp_path / "t.csv", rows)
    dataset = data.load("t.csv", tmp_path)
    assert dataset.label_names == ("x", "y")
    assert any(note.startswith(said) for note in dataset.notes)
    rows = [{"size": str(i / 4), name: str(i // 20), "labels": "ab"[i % 2]} for i in range(60)]
    write_csv(tmp_path / "t.csv", rows)
    dataset = data.load("t.csv", tmp_path)
    assert dataset.features.tolist() == [[i / 4] for i in range(60)]
    assert any(note.startswith(said) for note in dataset.notes)


def test_a_usual_name_of_a_split_may_mean_something_else(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "t.csv",
        reviews(part=["train", "wing", "tail"] * 20, subset=["test"] * 20 + ["train"] * 40),
    )
    dataset = data.load("t.csv", tmp_path)
    assert any("split 'subset'" in note for note in dataset.notes)
    assert any("column 'part' is not used as a split" in note for note in dataset.notes)
    assert all((split == 2).tolist() == [i < 20 for i in range(60)] for split in dataset.splits)


def test_features_are_finite_in_float32(tmp_path: Path) -> None:
    rows = [{"f1": str(i), "f2": str(i / 4), "labels": "ab"[i % 2]} for i in range(60)]
    rows[3]["f2"], rows[4]["f2"] = str(np.finfo(np.float32).max), "-3.4028235e38"
    path = write_csv(tmp_path / "t.csv", rows)
    features = data.load("t.csv", tmp_path).features
    assert features[3:5, 1].tolist() == [np.finfo(np.float32).max, np.finfo(np.float32).min]
    rows[5]["f2"] = "1e39"
    write_csv(path, rows)
    with pytest.raises(DataError) as caught:
        data.load("t.csv", tmp_path)
    assert str(caught.value) == f"{path}, line 7: column 'f2' has '1e39'; every feature has to be a number"


@pytest.mark.parametrize(
    "value", [3.4e38, 3.4028235e38, 3.4028235677973362e38, 3.40282356779733e38, 1e39, np.inf, np.nan]
)
def test_what_is_finite_is_so_in_numpy_too(value: float) -> None:
    with np.errstate(over="ignore"):
        for each in (value, -value):
            assert is_finite(each) == np.isfinite(np.float32(each))


@pytest.mark.parametrize("one", ["1", "1.0", "True"])
def test_rows_of_a_matrix_are_no_lists_of_labels(tmp_path: Path, one: str) -> None:
    zero = {"1": "0", "1.0": "0.0", "True": "False"}[one]
    present = [[one if tag in tags(i) else zero for tag in TAGS] for i in range(60)]
    write_csv(tmp_path / "t.csv", reviews(tags=[f"[{', '.join(row)}]" for row in present]))
    with pytest.raises(DataError, match=r"column 'tags' lists 0 and 1, not labels; write their names"):
        data.load("t.csv", tmp_path)
