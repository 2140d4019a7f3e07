"""Lists of partial labels, alone and beside the complete set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.data import readers
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_coco, write_image


def write_list(path: Path, count: int = 40, first: int = 0) -> list[str]:
    """Image i has label i % 4, and every third one label 4."""
    lines = [
        f"{i:04}_m.jpg,{' ' if i % 2 else ''}{i % 4}{' 4' if i % 3 == 0 else ''}"
        for i in range(first, first + count)
    ]
    path.write_text("\n".join(lines) + "\n")
    return lines


def test_a_list_alone(tmp_path: Path) -> None:
    write_list(tmp_path / "nus_train.txt")
    for i in range(40):
        write_image(tmp_path / "images" / f"{i:04}_m.jpg", i)
    dataset = data.load("nus_train.txt", tmp_path)
    assert dataset.label_names == ("0", "1", "2", "3", "4")
    expected = [[i % 4 == c for c in range(4)] + [i % 3 == 0] for i in range(40)]
    assert dataset.labels.tolist() == np.array(expected).astype(int).tolist()
    assert all(path.is_file() for path in dataset.encoded_images())
    (tmp_path / "classes.txt").write_text("airport\nanimal\nbeach\nbear\nbirds\n")
    assert data.load("nus_train.txt", tmp_path).label_names[4] == "birds"


def test_a_sidecar_names_test_list_labels_and_images(tmp_path: Path) -> None:
    write_list(tmp_path / "train.txt")
    write_list(tmp_path / "val.txt", 20, first=100)
    (tmp_path / "names.lst").write_text("a\nb\nc\nd\ne\nf\n")
    (tmp_path / "train.toml").write_text('test = "val.txt"\nlabels = "names.lst"\nimages = "photos"\n')
    dataset = data.load("train.txt", tmp_path)
    assert dataset.label_names == tuple("abcdef")
    assert (dataset.splits[0] == 2).tolist() == [False] * 40 + [True] * 20
    with pytest.raises(DataError, match=r"photos/0000_m\.jpg is missing"):
        dataset.encoded_images()


def test_beside_the_complete_set_hidden_labels_are_unobserved(tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", "2014", train=24)
    whole = data.load("coco2014", tmp_path)
    lines = []
    for row in range(24):
        first = int(np.flatnonzero(whole.labels[row] == 1)[0])
        lines.append(f"{Path(whole.ids[row]).name},{first}")
    (tmp_path / "single.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "single.toml").write_text('set = "coco2014"\n')
    dataset = data.load("single.txt", tmp_path)
    assert dataset.label_names == whole.label_names
    assert dataset.ids == whole.ids
    hidden = (whole.labels == 1) & (dataset.labels != 1)
    assert hidden[:24].sum() == 6 == (dataset.labels == -1).sum()
    assert (dataset.labels[hidden] == -1).all()
    assert np.array_equal(dataset.labels[24:], whole.labels[24:])
    assert np.array_equal(dataset.splits == 2, whole.splits == 2)
    assert [path.name for path in dataset.encoded_images()] == [Path(i).name for i in whole.ids]


def test_a_list_that_contradicts_the_complete_set(tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", "2014")
    (tmp_path / "single.toml").write_text('set = "coco2014"\n')
    path = tmp_path / "single.txt"
    path.write_text("000000000100.jpg,1\n000000000101.jpg,0\n")
    with pytest.raises(
        DataError, match=r"single\.txt, line 2: label 0 is 'person', which 000000000101\.jpg does not have"
    ):
        data.load("single.txt", tmp_path)
    path.write_text("000000000500.jpg,1\n")
    with pytest.raises(DataError, match=r"line 1: 000000000500\.jpg is not a training image of coco2014"):
        data.load("single.txt", tmp_path)
    path.write_text("000000000100.jpg,9\n")
    with pytest.raises(DataError, match="line 1: label 9 is outside the 4 labels of coco2014"):
        data.load("single.txt", tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0003_m.jpg,1 7", r"line 4: label 7 is outside the 5 labels of classes\.txt, from 0"),
        ("0003_m.jpg 1 2", "line 4: '0003_m.jpg 1 2' is not an image, a comma and label indices"),
        ("0003_m.jpg,1 99999999999", "line 4: label 99999999999 is no index; a list has fewer than 1000000"),
        ("0003_m.jpg,dog", "line 4: '0003_m.jpg,dog' is not an image, a comma and label indices"),
        ("0002_m.jpg,1", r"line 4: the id '0002_m\.jpg' is already that of .*line 3"),
    ],
    ids=["outside", "no comma", "high", "word", "twice"],
)
def test_lines_that_do_not_fit(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "train.txt"
    lines = write_list(path)
    lines[3] = line
    path.write_text("\n".join(lines))
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    with pytest.raises(DataError, match=said):
        data.load("train.txt", tmp_path)


def test_a_sidecar_that_does_not_fit(tmp_path: Path) -> None:
    write_list(tmp_path / "train.txt")
    sidecar = tmp_path / "train.toml"
    sidecar.write_text('tests = "val.txt"\n')
    with pytest.raises(DataError, match=r"train\.toml: unknown key 'tests'; did you mean 'test'\?"):
        data.load("train.txt", tmp_path)
    sidecar.write_text('test = "val.txt"\n')
    with pytest.raises(DataError, match=r"val\.txt, which .*train\.toml names, is missing"):
        data.load("train.txt", tmp_path)
    sidecar.write_text("test = 3\n")
    with pytest.raises(DataError, match="'test' is 3, which is not of its type"):
        data.load("train.txt", tmp_path)
    sidecar.write_text("test = \n")
    with pytest.raises(DataError, match=r"train\.toml: .*line 1"):
        data.load("train.txt", tmp_path)


@pytest.mark.parametrize("index", ["1000000", "99999999999", "9" * 5000], ids=["million", "id", "long"])
def test_an_index_that_no_list_has_is_refused_without_names_of_labels_too(tmp_path: Path, index: str) -> None:
    path = tmp_path / "train.txt"
    path.write_text("\n".join([*write_list(path), f"last.jpg,{index}"]))
    with pytest.raises(DataError) as caught:
        data.load("train.txt", tmp_path)
    assert str(caught.value).startswith(f"{path}, line 41: label {index[:20]} is no index")


def test_a_complete_set_that_is_none(tmp_path: Path) -> None:
    for name in ("train.txt", "other.txt"):
        write_list(tmp_path / name)
        (tmp_path / name).with_suffix(".toml").write_text('set = "train.txt"\n')
        with pytest.raises(
            DataError, match=r"\.toml, key 'set': 'train\.txt' is a list; name the set that has"
        ):
            data.load(name, tmp_path)
    (tmp_path / "train.toml").write_text('set = "coco2015"\n')
    said = r"train\.toml, key 'set': unknown data set 'coco2015'; did you mean 'coco201[47]'\?"
    with pytest.raises(DataError, match=said):
        data.load("train.txt", tmp_path)


@pytest.mark.parametrize("name", ["coco2015", "emoji", ""])
def test_a_name_that_no_reader_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown data set '{name}'"):
        readers.find(name, tmp_path)
