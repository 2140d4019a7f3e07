"""PASCAL VOC and NUS-WIDE, in the layouts in which they are distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.data.readers.voc import CLASSES
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_image


def write_voc(root: Path, year: str, parts: dict[str, int]) -> Path:
    """Image i has class i % 20, with difficult instances alone of class (i + 1) % 20."""
    folder = root / "VOCdevkit" / f"VOC{year}"
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    first = 0
    for part, count in parts.items():
        numbers = range(first, first + count)
        first += count
        for column, name in enumerate(CLASSES):
            state = {column: " 1", (column - 1) % 20: " 0"}
            lines = [f"{i:06} {state.get(i % 20, '-1')}" for i in numbers]
            (lists / f"{name}_{part}.txt").write_text("\n".join(lines) + "\n")
        for i in numbers:
            write_image(folder / "JPEGImages" / f"{i:06}.jpg", i)
    return lists


@pytest.mark.parametrize(("year", "parts"), [("2007", ("trainval", "test")), ("2012", ("train", "val"))])
def test_voc(tmp_path: Path, year: str, parts: tuple[str, str]) -> None:
    write_voc(tmp_path, year, {parts[0]: 60, parts[1]: 30})
    dataset = data.load(f"voc{year}", tmp_path)
    expected = np.zeros((90, 20), dtype=np.int8)
    for i in range(90):
        expected[i, i % 20] = 1
        expected[i, (i + 1) % 20] = -1
    assert dataset.label_names == CLASSES
    assert np.array_equal(dataset.labels, expected)
    assert dataset.ids[61] == "000061"
    assert all((split == 2).tolist() == [i >= 60 for i in range(90)] for split in dataset.splits)
    assert all(path.is_file() for path in dataset.encoded_images())
    assert dataset.images().shape == (90, 30, 40, 3)
    assert data.load(f"voc{year}", tmp_path / "VOCdevkit").version == dataset.version


def test_voc_without_its_test_lists_is_split_as_a_whole(tmp_path: Path) -> None:
    write_voc(tmp_path, "2007", {"trainval": 100})
    dataset = data.load("voc2007", tmp_path)
    assert set(np.unique(dataset.splits[0])) == {0, 1, 2}
    assert "only the lists of 'trainval' are there" in dataset.notes


def test_voc_lists_that_do_not_fit(tmp_path: Path) -> None:
    lists = write_voc(tmp_path, "2007", {"trainval": 60, "test": 20})
    dog = lists / "dog_test.txt"
    text = dog.read_text()
    dog.write_text(text.replace("000064 -1", "000064 2"))
    with pytest.raises(DataError, match=r"dog_test\.txt, line 5: '000064 2' is not an image and 1, 0 or -1"):
        data.load("voc2007", tmp_path)
    dog.write_text(text.replace("000064", "000164"))
    with pytest.raises(DataError, match=r"dog_test\.txt lists other images"):
        data.load("voc2007", tmp_path)
    dog.unlink()
    with pytest.raises(DataError, match=r"dog_test\.txt is missing"):
        data.load("voc2007", tmp_path)
    with pytest.raises(UsageError, match="'voc2012' is not in"):
        data.load("voc2012", tmp_path)


NAMES = ("airport", "animal", "sky")


def write_nus_wide(folder: Path, train: int = 40, test: int = 20) -> None:
    """Image i has concept i % 3, and every fifth one all of them."""
    (folder / "ImageList").mkdir(parents=True)
    (folder / "ConceptsList").mkdir()
    truth = folder / "Groundtruth" / "TrainTestLabels"
    truth.mkdir(parents=True)
    (folder / "ConceptsList" / "Concepts81.txt").write_text("\n".join(NAMES) + "\n")
    for part, numbers in (("Train", range(train)), ("Test", range(train, train + test))):
        lines = [f"{NAMES[i % 3]}\\{i:04}_{1000 + i}.jpg" for i in numbers]
        (folder / "ImageList" / f"{part}Imagelist.txt").write_text("\r\n".join(lines) + "\r\n")
        for column, name in enumerate(NAMES):
            states = [str(int(i % 3 == column or i % 5 == 0)) for i in numbers]
            (truth / f"Labels_{name}_{part}.txt").write_text("\n".join(states) + "\n")
        for i in numbers:
            write_image(folder / "Flickr" / NAMES[i % 3] / f"{i:04}_{1000 + i}.jpg", i)


def test_nus_wide(tmp_path: Path) -> None:
    write_nus_wide(tmp_path / "NUS-WIDE")
    dataset = data.load("nus-wide", tmp_path)
    expected = [[i % 3 == c or i % 5 == 0 for c in range(3)] for i in range(60)]
    assert dataset.label_names == NAMES
    assert dataset.labels.tolist() == np.array(expected).astype(int).tolist()
    assert dataset.ids[4] == "animal/0004_1004.jpg"
    assert (dataset.splits[3] == 2).tolist() == [i >= 40 for i in range(60)]
    assert all(path.is_file() for path in dataset.encoded_images())


def test_nus_wide_files_that_do_not_fit(tmp_path: Path) -> None:
    write_nus_wide(tmp_path)
    file = tmp_path / "Groundtruth" / "TrainTestLabels" / "Labels_sky_Test.txt"
    lines = file.read_text().split()
    file.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"Labels_sky_Test\.txt has 19 lines, TestImagelist\.txt has 20"):
        data.load("nus-wide", tmp_path)
    file.write_text("\n".join([*lines[:6], "yes", *lines[7:]]))
    with pytest.raises(DataError, match=r"Labels_sky_Test\.txt, line 7: 'yes' is neither 0 nor 1"):
        data.load("nus-wide", tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=r"Labels_sky_Test\.txt is missing"):
        data.load("nus-wide", tmp_path)
