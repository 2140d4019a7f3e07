"""Archives: what travels, what is taken from them instead of training, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import runs, studies
from mlcl_utils.errors import DataError
from mlcl_utils.runs import Store, archive
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import archives
from mlcl_utils.studies.execution import begin
from tests.runs.test_runs import config

RESAMPLED = ("probe_map", "own_macro_f1_half")
TWO = [config(loss="bce"), config(loss="bce", replicate=1, seed=1)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A results folder with two runs, both archived in one shard."""
    results = tmp_path_factory.mktemp("made")
    grid = runs.carry_out(
        [config(loss="bce"), config(loss="bce", replicate=1, seed=1)], results=results, progress=False
    )
    path = archive.write(results / "02_label_space" / "quick" / archive.FOLDER, grid.runs, RESAMPLED)
    assert path is not None
    return results, path


def elsewhere(made: tuple[Path, Path], folder: Path) -> tuple[Path, Path]:
    """The archive alone, in another place."""
    results, path = made
    other = folder / path.relative_to(results)
    other.parent.mkdir(parents=True)
    shutil.copy(path, other)
    return folder, other


def test_a_run_is_taken_from_an_archive_as_it_was(made: tuple[Path, Path], tmp_path: Path) -> None:
    before = Store(made[0]).read(config(loss="bce"))
    results, _ = elsewhere(made, tmp_path)
    grid = runs.carry_out(
        [config(loss="bce"), config(loss="bce", replicate=1, seed=1)], results=results, progress=False
    )
    assert grid.existed == 2
    after = grid.runs[0]
    for name in ("config", "metrics", "timings", "facts", "history", "environment"):
        assert getattr(after, name) == getattr(before, name), name
    stored, again = before.resamples(), after.resamples()
    assert set(again) == set(RESAMPLED)
    for name in RESAMPLED:
        np.testing.assert_allclose(again[name], stored[name], atol=5e-4)
        assert again[name].dtype == np.float32
    with pytest.raises(DataError, match="has no scores: it is from an archive"):
        after.scores()


def test_a_run_that_no_archive_holds_is_trained(made: tuple[Path, Path], tmp_path: Path) -> None:
    results, _ = elsewhere(made, tmp_path)
    grid = runs.carry_out([config(loss="bce"), config(loss="asl")], results=results, progress=False)
    assert grid.existed == 1
    assert [run.config.loss for run in grid.runs] == ["bce", "asl"]
    assert "probe.test" in grid.runs[1].scores()


def test_a_flipped_byte_is_refused_by_the_name_of_the_archive(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    results, path = elsewhere(made, tmp_path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match=f"the archive '.*{path.name}' is damaged") as refusal:
        runs.carry_out([config(loss="bce")], results=results, progress=False)
    assert "\n" not in str(refusal.value)
    path.unlink()  # as the message says
    assert runs.carry_out([config(loss="bce")], results=results, progress=False).existed == 0


def test_shards_are_added_and_never_changed(made: tuple[Path, Path], tmp_path: Path) -> None:
    results, path = elsewhere(made, tmp_path)
    content = path.read_bytes()
    grid = runs.carry_out([config(loss="bce"), config(loss="asl")], results=results, progress=False)
    second = archive.write(path.parent, grid.runs, RESAMPLED)
    assert second is not None
    assert second != path
    assert path.read_bytes() == content
    assert archive.write(path.parent, grid.runs, RESAMPLED) is None  # nothing is new
    assert len(archive.shards(results)) == 2
    # the same runs give the same bytes
    again = archive.write(
        tmp_path / "again", [run for run in grid.runs if run.config.loss == "asl"], RESAMPLED
    )
    assert again is not None
    assert again.name == second.name


def test_a_run_of_before_both_readings_is_no_run(tmp_path: Path) -> None:
    (run,) = runs.carry_out([config(loss="bce")], results=tmp_path, progress=False).runs
    path = run.folder / "run.json"
    stored = json.loads(path.read_text())
    del stored["metrics"]["linear_macro_f1_half"]
    path.write_text(json.dumps(stored))
    store = Store(tmp_path)
    assert not store.has(run.config)
    again = runs.carry_out([config(loss="bce")], results=tmp_path, progress=False)
    assert again.existed == 0
    assert again.runs[0].metrics == run.metrics


def test_a_study_is_archived_and_executed_elsewhere_without_training(tmp_path: Path) -> None:
    study = studies.get("06_kernel_mixture")
    given = {"preset": "smoke", "workers": 1, "datasets": "fashion-scenes"}
    first = begin(study, {**given, "results": str(tmp_path / "a")})
    first.run()
    path, count = archives.make(study, first.parameters)
    assert path is not None
    assert count == len({run.config.id for run in first.trained.grid.runs})
    other = tmp_path / "b" / path.relative_to(tmp_path / "a")
    other.parent.mkdir(parents=True)
    shutil.copy(path, other)
    second = begin(study, {**given, "results": str(tmp_path / "b")})
    second.run()
    assert second.trained.compute["existed"] == second.trained.compute["runs"] == count
    numbers = ["estimate", "replicate_lower", "replicate_upper"]
    pd.testing.assert_frame_equal(second.scores[numbers], first.scores[numbers])
    pd.testing.assert_frame_equal(second.comparisons[numbers], first.comparisons[numbers])
    np.testing.assert_allclose(second.scores["bootstrap_upper"], first.scores["bootstrap_upper"], atol=1e-3)

    table = pd.read_parquet(first.folder / archives.PER_LABEL)
    run = next(run for run in first.trained.grid.runs if run.config.loss == "asl")
    own = table[table["run"] == run.config.id]
    task = task_for(run.config)
    assert own["label"].tolist() == list(task.label_names)
    assert own["positives"].tolist() == (task.test.labels == 1).sum(axis=0).tolist()
    assert own["ap"].mean() == pytest.approx(run.metrics["probe_map"], abs=1e-6)
    assert own["f1"].mean() == pytest.approx(run.metrics["probe_macro_f1_per_label"], abs=1e-6)
    again, _ = archives.make(study, first.parameters)
    assert again is None
    assert len(pd.read_parquet(first.folder / archives.PER_LABEL)) == len(table)
