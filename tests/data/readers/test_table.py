"""Plain tables: columns guessed and named, and cells that are awkward."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlcl_utils import data
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_image
from tests.data.readers.tables import TAGS, expected_labels, reviews, tags, write_csv


def test_a_csv_of_texts_is_guessed_and_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "reviews.csv", reviews())
    dataset = data.load("reviews.csv", tmp_path)
    assert (dataset.name, dataset.modality, dataset.label_names) == ("reviews", "text", TAGS)
    assert np.array_equal(dataset.labels, expected_labels())
    assert dataset.texts()[7] == "This review, number 7, is about film 7."
    assert dataset.ids[7] == "8"
    assert "columns: text 'body', labels 'tags'" in dataset.notes
    assert "labels of 'tags' are separated by ';'" in dataset.notes
    with pytest.raises(
        DataError, match=r"has no features yet; extract them with: mlcl features reviews\.csv --encoder"
    ):
        _ = dataset.features


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("t.csv", {"delimiter": ";"}),
        ("t.csv", {"delimiter": "\t"}),
        ("t.tsv", {"delimiter": "\t"}),
        ("t.csv", {"quoting": csv.QUOTE_ALL, "lineterminator": "\r\n"}),
        ("t.csv", {"encoding": "utf-8-sig"}),
    ],
    ids=["semicolons", "tabs", "tsv", "quoted", "byte order mark"],
)
def test_forms_of_a_csv(tmp_path: Path, name: str, form: dict[str, Any]) -> None:
    rows = reviews(tags=[" | ".join(tags(i)) for i in range(60)])
    rows[5]["body"] = 'Two lines,\nand "quotes"; all in one cell, with é.'
    write_csv(tmp_path / name, rows, **form)
    dataset = data.load(name, tmp_path)
    assert np.array_equal(dataset.labels, expected_labels())
    assert dataset.texts()[5] == rows[5]["body"]


def test_columns_are_named_in_a_sidecar(tmp_path: Path) -> None:
    rows = reviews(
        tags=["/".join(tags(i)) for i in range(60)],
        part=["Train"] * 40 + ["dev"] * 8 + ["test"] * 12,
        author=[f"author {i // 2}" for i in range(60)],
        text=["not this one, though it is long enough"] * 60,
    )
    write_csv(tmp_path / "reviews.csv", rows, encoding="latin-1")
    (tmp_path / "reviews.toml").write_text(
        'text = "body"\nlabels = "tags"\nseparator = "/"\nid = "key"\ngroup = "author"\nsplit = "part"\n'
        'encoding = "latin-1"\n'
    )
    dataset = data.load("reviews.csv", tmp_path)
    assert np.array_equal(dataset.labels, expected_labels())
    assert dataset.ids[3] == "r3"
    assert all((split == 2).tolist() == [i >= 48 for i in range(60)] for split in dataset.splits)
    assert np.array_equal(dataset.groups[::2], dataset.groups[1::2])
    for split in dataset.splits:
        assert np.array_equal(split[:48:2], split[1:48:2])
    assert any("text 'body', id 'key', group 'author', split 'part'" in note for note in dataset.notes)


def test_indicator_columns(tmp_path: Path) -> None:
    rows = [
        {
            "text": f"a text with the number {i}",
            **{f"is_{name}": str(int(name in tags(i))) for name in ("funny", "long")},
        }
        for i in range(60)
    ]
    rows[2]["is_long"], rows[3]["is_long"] = "", "?"
    write_csv(tmp_path / "t.csv", rows)
    dataset = data.load("t.csv", tmp_path)
    assert dataset.label_names == ("is_funny", "is_long")
    assert dataset.labels[:5].tolist() == [[1, 0], [0, 1], [0, -1], [0, -1], [1, 0]]
    assert "2 empty labels are unobserved" in dataset.notes
    (tmp_path / "t.toml").write_text('labels = ["is_f*"]\n')
    assert data.load("t.csv", tmp_path).label_names == ("is_funny",)


def test_a_table_of_features(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(60, 3)).astype(np.float32)
    rows = [
        {"f1": str(v[0]), "f2": str(v[1]), "f3": str(v[2]), "labels": "|".join(tags(i))}
        for i, v in enumerate(values)
    ]
    write_csv(tmp_path / "t.csv", rows)
    dataset = data.load("t.csv", tmp_path)
    assert dataset.modality == "features"
    assert np.array_equal(dataset.features, values)
    table = pa.table(
        {"embedding": [list(map(float, v)) for v in values], "labels": [tags(i) for i in range(60)]}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    lists = data.load("t.parquet", tmp_path)
    assert np.array_equal(lists.features, values)
    assert np.array_equal(lists.labels, dataset.labels)


def test_a_table_of_images(tmp_path: Path) -> None:
    rows = [
        {"file": f"photos/{i}.png", "split_name": "train" if i < 40 else "val", "label": str(tags(i))}
        for i in range(60)
    ]
    write_csv(tmp_path / "photos.csv", rows)
    for i in range(60):
        write_image(tmp_path / "photos" / f"{i}.png", i)
    dataset = data.load("photos.csv", tmp_path)
    assert (dataset.modality, dataset.ids[3]) == ("image", "photos/3.png")
    assert np.array_equal(dataset.labels, expected_labels())
    assert dataset.images()[3, 0, 0].tolist() == [252] * 3
    assert all((split == 2).tolist() == [i >= 40 for i in range(60)] for split in dataset.splits)
    assert any("official validation (there is no test part) part" in note for note in dataset.notes)


def test_parquet_of_texts(tmp_path: Path) -> None:
    rows = reviews()
    columns = {
        "doc_id": [int(row["key"][1:]) for row in rows],
        "title": [f"Film {i}" for i in range(60)],
        "abstract": [row["body"] for row in rows],
        "topics": [tags(i) for i in range(60)],
    }
    pq.write_table(pa.table(columns), tmp_path / "reviews.parquet")
    dataset = data.load("reviews.parquet", tmp_path)
    assert np.array_equal(dataset.labels, expected_labels())
    assert dataset.texts()[4] == "Film 4\nThis review, number 4, is about film 4."
    assert dataset.ids[4] == "4"


def test_a_title_alone_is_the_text(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"headline": f"Short {i}", "tags": ";".join(tags(i))} for i in range(60)])
    dataset = data.load("t.csv", tmp_path)
    assert dataset.modality == "text"
    assert dataset.texts()[5] == "Short 5"


def test_an_empty_label_cell_is_an_example_without_labels(tmp_path: Path) -> None:
    rows = reviews()
    rows[8]["tags"], rows[30]["tags"] = "", " ; "
    write_csv(tmp_path / "reviews.csv", rows)
    dataset = data.load("reviews.csv", tmp_path)
    assert not dataset.labels[[8, 30]].any()
    assert np.array_equal(
        np.delete(dataset.labels, [8, 30], axis=0), np.delete(expected_labels(), [8, 30], axis=0)
    )
    assert "2 cells without labels, the first at line 10: examples without labels" in dataset.notes


def test_a_label_that_only_the_test_part_has_is_said_and_never_learnt(tmp_path: Path) -> None:
    rows = reviews(split=["train"] * 40 + ["test"] * 20)
    rows[50]["tags"] += "; brand new"
    write_csv(tmp_path / "reviews.csv", rows)
    dataset = data.load("reviews.csv", tmp_path)
    assert "labels without a positive to train on, which no task has: brand new" in dataset.notes
    assert data.supported_labels(dataset, base_labels=2, replicates=10) == 4
    assert "brand new" not in data.task(dataset, num_labels=4).label_names
    with pytest.raises(UsageError, match="num_labels=5: only 4 labels of reviews have training positives"):
        data.task(dataset, num_labels=5)


def test_equal_texts_are_one_group(tmp_path: Path) -> None:
    rows = reviews()
    rows[10]["body"] = "  This Review, number 3,   is about film 3."
    write_csv(tmp_path / "reviews.csv", rows)
    dataset = data.load("reviews.csv", tmp_path)
    assert dataset.groups[10] == dataset.groups[3]
    assert len(np.unique(dataset.groups)) == 59
    assert (dataset.splits[:, 10] == dataset.splits[:, 3]).all()


def test_positives_that_the_text_names(tmp_path: Path) -> None:
    rows = reviews()
    rows[2]["body"] = "A slow one, Sci Fi at its worst."
    write_csv(tmp_path / "reviews.csv", rows)
    dataset = data.load("reviews.csv", tmp_path)
    assert dataset.named is not None
    assert np.argwhere(dataset.named).tolist() == [
        [2, TAGS.index("sci fi")]
    ]  # slow is named, but not a label


def test_a_wrong_encoding_names_the_line_and_what_to_do(tmp_path: Path) -> None:
    rows = reviews()
    rows[20]["body"] = "Un film d'été, très long."
    path = write_csv(tmp_path / "reviews.csv", rows, encoding="latin-1")
    with pytest.raises(DataError) as caught:
        data.load("reviews.csv", tmp_path)
    assert str(caught.value) == (
        f'{path}, line 22: byte 0xe9 is not utf-8; name its encoding in reviews.toml, such as: encoding = "latin-1"'
    )
    (tmp_path / "reviews.toml").write_text('encoding = "latin-1"\n')
    assert data.load("reviews.csv", tmp_path).texts()[20] == rows[20]["body"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("text,labels\n", "holds no row"),
        ("text,labels\na,b\nc\n", "line 3: 1 cells for 2 columns"),
        ('text,labels\na,b\n"c\nd,e\n', "line 4: unexpected end of data"),
        ("text,text\na,b\n", "line 1: there are two columns 'text'"),
        ("id,text,labels\n1,a,x\n2,b,x\n1,c,x\n", "line 4: the id '1' is already that of"),
        ("text,stuff\nsome words,x\n", "which column has the labels?"),
        ("short,labels\nab,x\n", "which column has the text, image path or features?"),
        ("text,labels\nsome words,\n", "column 'labels' holds no label"),
        ("f1,f2,labels\n1,2,x\n3,,y\n", "line 3: column 'f2' is empty; every feature has to be a number"),
        ("file,labels\na.png,x\nb.png,y\na.png,y\n", "line 4: the id 'a.png' is already that of"),
    ],
    ids=[
        "empty", "header", "short row", "open quote", "column twice", "id twice", "no labels", "no text",
        "only empty labels", "hole in features", "image twice",
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        data.load("t.csv", tmp_path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        ('text = "boddy"', r"t\.toml, key 'text': unknown column 'boddy'; did you mean 'body'\?"),
        ('txt = "body"', r"t\.toml: unknown key 'txt'; did you mean 'text'\?"),
        ("labels = 3", r"t\.toml: 'labels' is 3, which is not of its type"),
        ('split = "key"', r"t\.csv, line 2: 'r0' in column 'key' is not train, validation or test"),
        (
            'features = ["stars", "key"]',
            r"t\.csv, line 2: column 'key' has 'r0'; every feature has to be a number",
        ),
        ('labels = ["stars", "key"]', r"t\.csv, line 2: '3' in label column 'stars' is not 0, 1 or empty"),
        ('encoding = "klingon"', r"t\.csv: there is no encoding 'klingon'"),
        ('separator = ""', r"t\.toml: 'separator' is empty"),
        ('text = "body"\nimage = "key"', "names both a text and an image"),
    ],
)
def test_sidecars_that_do_not_fit(tmp_path: Path, sidecar: str, said: str) -> None:
    write_csv(tmp_path / "t.csv", reviews())
    (tmp_path / "t.toml").write_text(sidecar)
    with pytest.raises(DataError, match=said):
        data.load("t.csv", tmp_path)


def test_a_list_that_is_none_names_the_line(tmp_path: Path) -> None:
    rows = reviews(tags=[str(tags(i)) for i in range(60)])
    write_csv(tmp_path / "t.csv", rows)
    assert np.array_equal(data.load("t.csv", tmp_path).labels, expected_labels())
    rows[4]["tags"] = "[funny, 'slow']"
    write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(
        DataError, match=r"t\.csv, line 6: '\[funny, 'slow'\]' in column 'tags' is not a list"
    ):
        data.load("t.csv", tmp_path)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "labels": ["b"]}), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"t\.parquet is damaged, cut off or not a Parquet file"):
        data.load("t.parquet", tmp_path)


def test_a_path_is_taken_from_the_root_or_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "reviews.csv", reviews())
    assert data.load(str(tmp_path / "reviews.csv")) == data.load("reviews.csv", tmp_path)
    with pytest.raises(UsageError, match=r"unknown file '.*review\.csv'; did you mean '.*reviews\.csv'"):
        data.load("review.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"there is no reviews\.csv; did you mean .*/reviews\.csv\?"):
        data.load("reviews.csv")
