"""COCO: the genuine excerpt, and a made-up set in the same layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_coco


def test_the_genuine_excerpt(shared: Path) -> None:
    root = shared / "coco_tiny"
    dataset = data.load("coco", root)
    assert (dataset.name, dataset.modality, dataset.labels.shape) == ("coco2017", "image", (38, 80))
    for part, parts in (("train", (0, 1)), ("val", (2,))):
        content = json.loads((root / "annotations" / f"instances_{part}2017.json").read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        for image in content["images"]:
            row = dataset.ids.index(f"{part}2017/{image['file_name']}")
            expected = {
                names[a["category_id"]] for a in content["annotations"] if a["image_id"] == image["id"]
            }
            found = {dataset.label_names[i] for i in np.flatnonzero(dataset.labels[row] == 1)}
            assert found == expected
            assert all(split[row] in parts for split in dataset.splits)
    assert [path.name for path in dataset.encoded_images()] == [Path(i).name for i in dataset.ids]
    assert all(path.is_file() for path in dataset.encoded_images())
    assert dataset.label_names[0] == "person"
    assert dataset.label_names[-1] == "toothbrush"


def test_categories_are_columns_in_the_order_of_their_ids(tmp_path: Path) -> None:
    write_coco(tmp_path / "MS-COCO")
    dataset = data.load("coco2017", tmp_path)
    assert dataset.label_names == ("person", "bicycle", "car", "toothbrush")
    numbers = [int(Path(example).stem) for example in dataset.ids]
    expected = np.array([[i % 3 == 0, i % 3 == 1, i % 3 == 2, i % 4 == 0] for i in numbers])
    assert np.array_equal(dataset.labels, expected.astype(np.int8))
    assert np.array_equal(dataset.splits == 2, np.tile(np.array(numbers) >= 500, (10, 1)))


def test_the_year_that_is_there_is_taken(tmp_path: Path) -> None:
    write_coco(tmp_path, "2014")
    assert data.load("coco", tmp_path).name == "coco2014"
    with pytest.raises(UsageError, match=r"'coco2017' is not in .*instances_train2017\.json"):
        data.load("coco2017", tmp_path)
    write_coco(tmp_path, "2017")
    with pytest.raises(UsageError, match="holds coco2014 and coco2017; name one"):
        data.load("coco", tmp_path)


def test_one_part_alone_is_split_as_a_whole(tmp_path: Path) -> None:
    write_coco(tmp_path, train=40)
    (tmp_path / "annotations" / "instances_val2017.json").unlink()
    dataset = data.load("coco", tmp_path)
    assert len(dataset) == 40
    assert set(np.unique(dataset.splits[0])) == {0, 1, 2}
    assert "only instances_train2017.json is there" in dataset.notes


def broken(root: Path, **changes: object) -> Path:
    file = root / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return file


def test_truncated_json_names_file_and_line(tmp_path: Path) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_val2017.json"
    text = json.dumps(json.loads(file.read_text()), indent=0)
    cut = text[: len(text) // 2]
    file.write_text(cut)
    with pytest.raises(DataError) as caught:
        data.load("coco", tmp_path)
    assert str(file) in str(caught.value)
    line = int(str(caught.value).split("line ")[1].split(",")[0])
    assert abs(line - (cut.count("\n") + 1)) <= 1
    assert "damaged or cut off" in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations": [{"id": 7, "image_id": 999, "category_id": 1}]}, "annotation 7 is of image 999"),
        ({"annotations": [{"id": 7, "image_id": 100, "category_id": 44}]}, "annotation 7 has category 44"),
        ({"annotations": [{"id": 7, "image_id": 100}]}, "an entry of 'annotations' has no 'category_id'"),
        ({"categories": None}, "the list 'categories' is missing"),
        ({"categories": [{"id": 1, "name": "person"}], "annotations": []}, "its categories are not those of"),
        (
            {"images": [{"id": i, "file_name": "twice.jpg"} for i in (1, 2)], "annotations": []},
            "train2017/twice.jpg",
        ),
        (
            {"images": [{"id": 4, "file_name": f"{i}.jpg"} for i in (1, 2)], "annotations": []},
            "instances_train2017.json: two entries of 'images' have the id 4",
        ),
        (
            {"categories": [{"id": 7, "name": name} for name in ("person", "car")]},
            "instances_train2017.json: two entries of 'categories' have the id 7",
        ),
        (
            {"categories": [{"id": i, "name": f"name {i}"} for i in (1, "2")]},
            "some ids of 'categories' are numbers and some are texts",
        ),
        (
            {"categories": [{"id": [1], "name": "person"}]},
            "'id' of an entry of 'categories' is not a number or text: [1]",
        ),
        (
            {"images": [{"id": {"key": 1}, "file_name": "a.jpg"}]},
            "'id' of an entry of 'images' is not a number or text",
        ),
        (
            {"annotations": [{"id": 7, "image_id": [100], "category_id": 1}]},
            "'image_id' of an entry of 'annotations' is not a number or text: [100]",
        ),
        (
            {"annotations": [{"id": 7, "image_id": 100, "category_id": None}]},
            "'category_id' of an entry of 'annotations' is not a number or text: None",
        ),
    ],
    ids=[
        "unknown image", "unknown category", "no category", "no list", "other categories", "image twice",
        "image id twice", "category id twice", "mixed ids", "list as category", "object as image",
        "image of list", "category of none",
    ],
)  # fmt: skip
def test_what_does_not_fit_names_file_and_key(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    write_coco(tmp_path)
    broken(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        data.load("coco", tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_set_without_its_root_is_refused() -> None:
    with pytest.raises(UsageError, match="'coco' needs data_root"):
        data.load("coco")
