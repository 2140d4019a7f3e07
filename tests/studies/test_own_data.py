"""Every study takes a user's sets, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data, models, runs, studies
from mlcl_utils.data import vectors
from mlcl_utils.data.words import known_words
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import hyperband, tuning
from tests.data.readers.conftest import write_image
from tests.data.test_user_sets import write_features, write_table

STUDIES = [name for name in studies.names() if name != "00_claims"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of texts and one of images, both with features."""
    root = tmp_path_factory.mktemp("sets")
    write_table(root, 120)
    lines = [f"{i}.png,{'pqr'[i % 3]};{'uv'[i % 2]}" for i in range(120)]
    (root / "photos.csv").write_text("file,labels\n" + "\n".join(lines) + "\n")
    for i in range(120):
        write_image(root / f"{i}.png", i, (40 + i % 3, 30))
    for seed, name in enumerate(("notes.csv", "photos.csv")):
        write_features(data.load(name, root), root, seed=seed)
    return root


def given(study: str, root: Path) -> dict[str, object]:
    """Parameters of a study at smoke size that fit the two small sets."""
    fields = studies.get(study).Parameters.model_fields
    small = {"num_labels": [2, 3] if study == "02_label_space" else 3, "end_to_end_num_labels": [3]}
    return {
        "preset": "smoke",
        "datasets": ["notes.csv", "photos.csv"],
        "data_root": str(root),
        **{name: value for name, value in small.items() if name in fields},
    }


@pytest.mark.parametrize("name", STUDIES)
def test_a_grid_over_them(name: str, root: Path, tmp_path: Path) -> None:
    study = studies.get(name)
    grid = study.grid(study.resolve(given(name, root)))
    assert {config.dataset for config in grid} == {"notes.csv", "photos.csv"}
    assert {config.data_root for config in grid} == {str(root)}
    for dataset in ("notes.csv", "photos.csv"):
        first = next(config for config in grid if config.dataset == dataset)
        task = task_for(first)
        assert len(task.label_names) == (2 if name == "02_label_space" else 3)
        assert task.train.features.shape[1] == 5
    config = next(config for config in grid if not config.is_baseline)
    (run,) = runs.carry_out([config], results=tmp_path, progress=False).runs
    assert run.config == config


@pytest.mark.parametrize("name", STUDIES)
def test_sets_without_features_are_refused(name: str, tmp_path: Path) -> None:
    write_table(tmp_path)
    with pytest.raises(
        DataError, match=r"'notes' has no features yet; extract them with: mlcl features notes\.csv"
    ):
        studies.get(name).resolve({**given(name, tmp_path), "datasets": ["notes.csv"]})
    with pytest.raises(UsageError, match=r"unknown file '.*photos\.csv'"):
        studies.get(name).resolve({**given(name, tmp_path), "datasets": ["photos.csv"]})


def test_what_is_trained_on_raw_examples_needs_no_features(tmp_path: Path) -> None:
    write_table(tmp_path)
    study = studies.get("02_label_space")
    parameters = study.resolve(
        {
            **given("02_label_space", tmp_path),
            "datasets": ["notes.csv"],
            "encoders": ["bag"],
            "losses": ["bce"],
        }
    )
    grid = runs.carry_out(study.grid(parameters), results=tmp_path / "results", progress=False, workers=1)
    assert not grid.failures


def write_vectors(root: Path, name: str, seed: int) -> vectors.WordVectors:
    """Word vectors for the notes, as if they had been distilled."""
    dataset = data.load("notes.csv", root)
    path = vectors.place(dataset, root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    words = known_words(dataset.texts())
    vectors.write(path, words, np.random.default_rng(seed).normal(size=(len(words), 8)))
    return vectors.chosen(data.load("notes.csv", root), name)


@pytest.mark.parametrize(
    "name", ["01_missing_labels", "02_label_space", "04_temperature", "06_kernel_mixture"]
)
def test_a_study_whose_encoder_starts_from_word_vectors(name: str, tmp_path: Path) -> None:
    write_table(tmp_path)
    study = studies.get(name)
    encoder = "encoders" if "encoders" in study.Parameters.model_fields else "encoder"
    own = {**given(name, tmp_path), "datasets": ["notes.csv"], encoder: "static"}
    with pytest.raises(DataError, match="'notes' has no word vectors yet; distil them with: mlcl features"):
        study.grid(study.resolve(own))[0].id  # noqa: B018
    file = write_vectors(tmp_path, "made-0123abcd", 0)
    parameters = study.resolve(own)
    trained = next(each for each in study.grid(parameters) if not each.is_baseline)
    (run,) = runs.carry_out([trained], results=tmp_path / "results", progress=False).runs
    assert run.config.encoder == "static"
    digests, ids = [study.digest(parameters)], [trained.id]
    file.path.unlink()
    write_vectors(tmp_path, "made-0123abcd", 1)
    digests.append(study.digest(parameters))
    ids.append(trained.id)
    assert len(set(digests)) == len(set(ids)) == 2
    other = write_vectors(tmp_path, "other-0123abcd", 0)
    parameters = study.resolve({**own, encoder: "static@other"})
    named = next(each for each in study.grid(parameters) if each.loss == trained.loss)
    assert named.id == ids[0]  # what counts is the vectors, not what they are called
    assert models.encoder_class("static@other").inputs(task_for(named))["train"].vectors.shape == (
        len(vectors.read(other)[0]),
        8,
    )
    with pytest.raises(DataError, match="several word vectors"):
        trained.id  # noqa: B018


def test_photographs_of_any_size_are_read_by_the_small_network(root: Path, tmp_path: Path) -> None:
    study = studies.get("02_label_space")
    parameters = study.resolve(
        {**given("02_label_space", root), "datasets": ["photos.csv"], "encoders": ["cnn"], "losses": ["bce"]}
    )
    grid = runs.carry_out(study.grid(parameters), results=tmp_path, progress=False, workers=1)
    assert not grid.failures


def test_sets_of_one_name_in_two_folders_have_results_of_their_own(tmp_path: Path) -> None:
    study = studies.get("02_label_space")
    folders = []
    for place, count in (("one", 120), ("other", 126), ("copy", 120)):
        path = write_table(tmp_path / place, count)
        write_features(data.load(str(path)), tmp_path / place)
        own = {
            **given(study.name, tmp_path / place),
            "datasets": "notes.csv",
            "results": tmp_path / "results",
        }
        folders.append(study.folder(study.resolve(own)))
    one, other, copy = folders
    assert one.parent == other.parent
    assert one != other
    assert one == copy  # what counts is the content, not the place


def test_features_of_ones_own_for_a_set_that_ships_have_results_of_their_own(tmp_path: Path) -> None:
    study = studies.get("02_label_space")
    folders = []
    for seed in (0, 1):
        root = tmp_path / str(seed)
        write_features(data.load("fashion-scenes"), root, seed=seed)
        own = {"preset": "smoke", "data_root": root, "num_labels": 4, "losses": "bce"}
        folders.append(
            [study.folder(study.resolve({**own, "datasets": f"fashion-scenes{at}"})) for at in ("", "@toy")]
        )
    assert folders[0][0] == folders[1][0]
    assert folders[0][1] != folders[1][1]


def test_what_is_tried_does_not_depend_on_where_a_set_lies(root: Path) -> None:
    tried = []
    for name, where in (("notes.csv", root), (str(root / "notes.csv"), None)):
        own = {"datasets": name, "data_root": where, "num_labels": 3, "losses": "reg"}
        study = studies.get("02_label_space")
        grid = study.runs(study.resolve({**own, "preset": "smoke", "encoders": "frozen"}))
        config = next(config for config in grid if not config.is_baseline)
        searched = studies.get("05_hyperband").resolve({**own, "preset": "smoke"})
        (task,) = hyperband.tasks(searched)
        pool = hyperband.configurations(searched, task)
        tried.append(([each.id for each in tuning.candidates(config, 8)], pool))
    assert tried[0] == tried[1]
