"""What is common to all sets that a user brings: splits, identity, what is kept, and how features are found."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.data import features, registry, user_sets
from mlcl_utils.data.splits import grouped_splits
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.files import file_digest
from mlcl_utils.runs import RunConfig
from mlcl_utils.runs.execute import task_for


def write_table(folder: Path, count: int = 80, name: str = "notes.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f'n{i},"a note on subject {i}","{"abc"[i % 3]};{"xyz"[i % 2]}"' for i in range(count)]
    path = folder / name
    path.write_text("id,text,labels\n" + "\n".join(rows) + "\n")
    return path


def write_features(
    dataset: data.Dataset, home: Path, name: str = "toy-0123abcd", seed: int = 0
) -> np.ndarray:
    """Features as `mlcl features` leaves them."""
    folder = features.folder_of(dataset, home) / name
    folder.mkdir(parents=True)
    matrix = np.random.default_rng(seed).normal(size=(len(dataset), 5)).astype(np.float16)
    np.save(folder / features.MATRIX, matrix)
    description = {"encoder": name.rpartition("-")[0], "weights": "0" * 64, "shape": list(matrix.shape)}
    description["sha256"] = file_digest(folder / features.MATRIX)
    (folder / features.DESCRIPTION).write_text(json.dumps(description))
    return matrix


def config(root: Path, name: str = "notes.csv") -> RunConfig:
    return RunConfig(
        dataset=name, num_labels=3, base_labels=3, replicate=0, loss="prior", seed=0, data_root=str(root)
    )


def test_an_official_test_part_is_kept_and_the_rest_dealt_out() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 8)) < 0.2).astype(np.int8)
    groups = np.repeat(np.arange(200), 2).astype(np.int32)
    test = np.arange(400) % 5 == 4
    splits = grouped_splits(labels, groups, seed=3, test=test)
    assert np.array_equal(splits == 2, np.tile(test, (10, 1)))
    for split in splits:
        for group in np.unique(groups):
            assert len(set(split[(groups == group) & ~test])) <= 1
        assert (split[~test] == 1).mean() == pytest.approx(1 / 8, abs=0.02)
    assert len({split.tobytes() for split in splits}) == 10
    assert np.array_equal(splits, grouped_splits(labels, groups, seed=3, test=test))


def test_too_little_to_split_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, 3)
    with pytest.raises(DataError, match="'notes' has 3 examples in 3 groups: too few"):
        data.load("notes.csv", tmp_path)


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_set_without_a_training_row_is_refused(tmp_path: Path, part: str) -> None:
    path = write_table(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},split", *(f"{line},{part}" for line in lines[1:])]))
    with pytest.raises(DataError, match="'notes' has no training row: all 80 are of the official test or"):
        data.load("notes.csv", tmp_path)


def write_arff(folder: Path) -> str:
    rows = "\n".join(f"{i % 2},{i // 2 % 2},{i / 4}" for i in range(40))
    head = "@relation x\n@attribute a {0,1}\n@attribute b {0,1}\n@attribute size real\n@data\n"
    (folder / "x.arff").write_text(head + rows)
    (folder / "x.xml").write_text('<labels><label name="a"/><label name="b"/><label name="a"/></labels>')
    return "x.arff"


def write_list(folder: Path) -> str:
    (folder / "x.txt").write_text("\n".join(f"{i}.jpg,{i % 3}" for i in range(40)))
    (folder / "classes.txt").write_text("a\nb\na\n")
    return "x.txt"


def write_instances(folder: Path) -> str:
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(40)]
    categories = [{"id": i, "name": "aba"[i]} for i in range(3)]
    annotations = [{"id": i, "image_id": i, "category_id": i % 3} for i in range(40)]
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train2017.json").write_text(
        json.dumps({"images": images, "categories": categories, "annotations": annotations})
    )
    return "coco2017"


@pytest.mark.parametrize("written", [write_arff, write_list, write_instances])
def test_two_labels_of_one_name_are_refused(tmp_path: Path, written: Callable[[Path], str]) -> None:
    name = written(tmp_path)
    with pytest.raises(DataError, match="has two labels 'a'; give each a name of its own"):
        data.load(name, tmp_path)


def test_identity_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    path = write_table(tmp_path / "here")
    write_features(data.load("notes.csv", tmp_path / "here"), tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    here, there = config(tmp_path / "here"), config(tmp_path / "there")
    direct = dataclasses.replace(here, dataset=str(path), data_root=None)
    assert here.id == there.id == direct.id
    path.write_text(path.read_text().replace("n3,", "n03,"))
    assert config(tmp_path / "here").id != there.id


@pytest.mark.parametrize("change", [("a note on subject 9", "a note on subject nine"), ("a;y", "b;y")])
def test_texts_and_labels_count(tmp_path: Path, change: tuple[str, str]) -> None:
    path = write_table(tmp_path)
    before = data.version("notes.csv", tmp_path)
    path.write_text(path.read_text().replace(*change, 1))
    assert data.version("notes.csv", tmp_path) != before


def test_another_way_to_write_the_same_is_the_same(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    before = data.load("notes.csv", tmp_path)
    path.write_text(path.read_text().replace("\n", "\r\n"))
    assert data.load("notes.csv", tmp_path) == before


def test_loading_writes_nothing_and_keeping_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path)
    fresh = data.load("notes.csv", tmp_path)
    data.keep("notes.csv", tmp_path)  # reading was quick: not worth it
    assert [file.name for file in tmp_path.iterdir()] == ["notes.csv"]
    monkeypatch.setattr(user_sets, "WORTH_KEEPING", 0.0)
    data.keep("notes.csv", tmp_path)
    (kept,) = (tmp_path / ".mlcl" / "read").iterdir()
    again = data.load("notes.csv", tmp_path)
    assert again.folder == kept
    assert again == fresh
    for name in ("labels", "groups", "splits", "named"):
        assert np.array_equal(getattr(again, name), getattr(fresh, name))
    assert (again.ids, again.texts(), again.notes) == (fresh.ids, fresh.texts(), fresh.notes)
    assert again.raw_digest == fresh.raw_digest
    # What is kept and damaged is not used.
    labels = kept / "labels.safetensors"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\1")
    assert np.array_equal(data.load("notes.csv", tmp_path).labels, fresh.labels)


def test_features_and_unobserved_labels_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_sets, "WORTH_KEEPING", 0.0)
    rows = [f"{i / 7},{-i},{i % 2},{'?' if i == 5 else (i + 1) % 2}" for i in range(50)]
    (tmp_path / "t.csv").write_text("f1,f2,a,b\n" + "\n".join(rows) + "\n")
    fresh = data.load("t.csv", tmp_path)
    data.keep("t.csv", tmp_path)
    again = data.load("t.csv", tmp_path)
    assert again.folder != fresh.folder
    assert again.features.dtype == np.float32
    assert np.array_equal(again.features, fresh.features)
    assert np.array_equal(again.labels, fresh.labels)
    assert again.labels[5].tolist() == [1, -1]


def test_extracted_features_are_mapped_and_only_their_rows_read(tmp_path: Path) -> None:
    write_table(tmp_path)
    bare = data.load("notes.csv", tmp_path)
    with pytest.raises(DataError, match=r"mlcl features notes\.csv --encoder ENCODER --root "):
        _ = bare.features
    matrix = write_features(bare, tmp_path)
    dataset = data.load("notes.csv", tmp_path)
    assert isinstance(dataset.features, np.memmap)
    assert np.array_equal(dataset.features, matrix)
    assert dataset.version.startswith(f"{bare.version}-")
    task = task_for(config(tmp_path))
    assert np.array_equal(task.train.features, matrix[task.train.index].astype(np.float32))
    data.verify("notes.csv", tmp_path)


def test_of_several_features_one_is_named(tmp_path: Path) -> None:
    write_table(tmp_path)
    bare = data.load("notes.csv", tmp_path)
    first = write_features(bare, tmp_path, "bert-base-0123abcd", seed=1)
    second = write_features(bare, tmp_path, "minilm-4567cdef", seed=2)
    with pytest.raises(
        DataError, match=r"several features \(bert-base-0123abcd, minilm-4567cdef\); name one behind an @"
    ):
        _ = data.load("notes.csv", tmp_path).features
    assert np.array_equal(data.load("notes.csv@bert-base", tmp_path).features, first)
    assert np.array_equal(data.load("notes.csv@minilm-4567cdef", tmp_path).features, second)
    with pytest.raises(UsageError, match=r"unknown features 'minilmm'; did you mean 'minilm-4567cdef'"):
        data.load("notes.csv@minilmm", tmp_path)
    assert config(tmp_path, "notes.csv@minilm").id != config(tmp_path, "notes.csv@bert-base").id


def test_damaged_features_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path)
    dataset = data.load("notes.csv", tmp_path)
    write_features(dataset, tmp_path)
    (matrix,) = tmp_path.rglob(features.MATRIX)
    matrix.write_bytes(matrix.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"features\.npy is damaged; remove .* and extract"):
        data.load("notes.csv", tmp_path)
    (matrix.parent / features.DESCRIPTION).write_text("{")
    with pytest.raises(DataError, match=r"features\.json is damaged"):
        data.load("notes.csv", tmp_path)


def test_features_outlive_a_change_of_labels_but_not_of_texts(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    matrix = write_features(data.load("notes.csv", tmp_path), tmp_path)
    path.write_text(path.read_text().replace("a;y", "b;y", 1))
    assert np.array_equal(data.load("notes.csv", tmp_path).features, matrix)
    path.write_text(path.read_text().replace("subject 9", "subject nine", 1))
    with pytest.raises(DataError, match="has no features yet"):
        _ = data.load("notes.csv", tmp_path).features


def test_a_set_that_ships_takes_extracted_features_too(tmp_path: Path) -> None:
    own = data.load("fashion-scenes")
    matrix = write_features(own, tmp_path)
    assert np.array_equal(data.load("fashion-scenes@toy", tmp_path).features, matrix)
    assert data.load("fashion-scenes", tmp_path) == own
    with pytest.raises(UsageError, match="'fashion-scenes@toy' needs data_root"):
        data.load("fashion-scenes@toy")
    assert registry.home("fashion-scenes", tmp_path) == tmp_path


def test_the_folder_of_what_is_kept_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "set")
    monkeypatch.setenv(user_sets.CACHE_VARIABLE, str(tmp_path / "elsewhere"))
    dataset = data.load("notes.csv", tmp_path / "set")
    matrix = write_features(dataset, tmp_path / "set")
    assert not (tmp_path / "set" / ".mlcl").exists()
    assert np.array_equal(data.load("notes.csv", tmp_path / "set").features, matrix)


def test_a_task_without_features_has_none(tmp_path: Path) -> None:
    write_table(tmp_path)
    task = data.task("notes.csv", num_labels=3, root=tmp_path)
    assert task.train.features.shape == (len(task.train), 0)
    assert task.dataset.texts()[0] == "a note on subject 0"


def test_names_with_and_without_an_at(tmp_path: Path) -> None:
    assert registry.parted("debtags") == ("debtags", None)
    assert registry.parted("coco@resnet50") == ("coco", "resnet50")
    assert registry.parted("/data/a@b/reviews.csv") == ("/data/a@b/reviews.csv", None)
    assert registry.parted("/data/a@b/reviews.csv@minilm") == ("/data/a@b/reviews.csv", "minilm")
    assert registry.parted("mulan:emotions") == ("mulan:emotions", None)
    with pytest.raises(UsageError, match="unknown data set 'debtag@x'"):
        registry.parted("debtag@x")


def test_a_run_is_found_again_where_its_data_have_moved(tmp_path: Path) -> None:
    from mlcl_utils import runs

    write_table(tmp_path / "here")
    write_features(data.load("notes.csv", tmp_path / "here"), tmp_path / "here")
    (first,) = runs.carry_out([config(tmp_path / "here")], results=tmp_path / "results", progress=False).runs
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = config(tmp_path / "there")
    grid = runs.carry_out([moved], results=tmp_path / "results", progress=False)
    assert grid.existed == 1
    assert grid.runs[0].metrics == first.metrics
    assert grid.runs[0].config == moved
    assert "data_root" not in grid.runs[0].row()
