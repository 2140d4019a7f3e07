"""Searches over real trainings: the space of a loss, exact continuation through the store, failures, and a kill."""

from __future__ import annotations

import functools
import io
import operator
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from mlcl_utils import losses, runs, search
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig, Store
from mlcl_utils.search import Space
from mlcl_utils.search.trainings import Trainings, check_space, check_value, trial, usual_space

BASE = RunConfig(
    dataset="debtags", num_labels=10, base_labels=10, replicate=0, train_fraction=0.05, loss="reg", seed=0
)
VALUES = {"learning_rate": 2e-3, "weight_decay": 1e-2, "dropout": 0.3, "batch_size": 128, "temperature": 0.1}


@pytest.mark.parametrize("loss", [*losses.names(), "splc+clml"])
def test_the_usual_space_of_every_loss_is_possible(loss):
    space = usual_space(loss)
    check_space(space, loss)
    assert {"learning_rate", "weight_decay", "dropout", "batch_size"} <= space.dimensions.keys()
    assert ("temperature" in space.dimensions) == ("temperature" in losses.info(loss).hyperparameters)
    sample = space.sampler(0)
    for _ in range(20):
        config = trial(RunConfig(**{**vars(BASE), "loss": loss}), sample(), 1, 3)
        losses.create(loss, **config.hyperparameters)


def test_values_go_to_the_recipe_and_to_the_loss_and_its_parts():
    config = trial(
        RunConfig(**{**vars(BASE), "loss": "splc+clml"}),
        {
            "learning_rate": 0.5,
            "batch_size": 64,
            "splc.gamma": 1.5,
            "clml.weight": 0.2,
            "splc.threshold": 0.6,
        },
        3,
        9,
    )
    assert config.recipe is not None
    assert (config.recipe.learning_rate, config.recipe.batch_size) == (0.5, 64)
    assert (config.recipe.epochs, config.recipe.min_steps, config.stop) == (9, 0, 3)
    assert config.hyperparameters == {"splc": {"gamma": 1.5, "threshold": 0.6}, "clml": {"weight": 0.2}}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("temprature", 0.1, "unknown hyperparameter of reg 'temprature'; did you mean 'temperature'?"),
        ("learning_rte", 0.1, "did you mean 'learning_rate'?"),
        ("epochs", 3, "unknown hyperparameter of reg 'epochs'"),
        ("temperature", 0.0, "of reg: temperature must be a number above 0, was 0.0"),
        ("temperature", "warm", "was 'warm'"),
        ("dropout", 1.0, "dropout must be a number of at least 0 and below 1, was 1.0"),
        ("learning_rate", -1, "learning_rate must be a number of at least 0, was -1"),
        ("batch_size", 2.5, "batch_size must be a whole number of at least 1, was 2.5"),
        ("batch_size", True, "batch_size"),
    ],
)
def test_impossible_values(name, value, said):
    with pytest.raises(UsageError) as refusal:
        check_value(name, value, "reg")
    assert said in str(refusal.value)


def test_both_ends_of_a_range_are_checked():
    with pytest.raises(UsageError, match=r"dropout must be .* was 1.5"):
        check_space(Space.from_dict({"dropout": {"type": "uniform", "low": 0, "high": 1.5}}), "bce")


def test_a_loss_without_a_head_cannot_be_searched(tmp_path):
    with pytest.raises(UsageError, match="loss 'jaccard_supcon' has no head of its own"):
        Trainings(RunConfig(**{**vars(BASE), "loss": "jaccard_supcon"}), 9, results=tmp_path)


@pytest.fixture
def objective(tmp_path):
    return functools.partial(Trainings, BASE, 9, workers=1, progress=False)


def test_three_epochs_and_six_more_are_nine_to_the_bit(tmp_path, objective):
    """Through the store: what is continued has the history, scores and weights of what was trained in one go."""
    whole, parts = objective(results=tmp_path / "a"), objective(results=tmp_path / "b")
    score, _ = whole.evaluate(VALUES, 9, None)
    early, checkpoint = parts.evaluate(VALUES, 3, None)
    assert (parts._store.folder / parts.config(VALUES, 3).id / "checkpoint.pt").is_file()
    assert parts.evaluate(VALUES, 9, checkpoint) == (score, 9)
    assert early != score
    config = whole.config(VALUES, 9)
    one, other = whole._store.read(config), parts._store.read(config)
    assert one.history == other.history
    assert [row["epoch"] for row in other.history] == list(range(9))
    assert one.history[2] == parts._store.read(parts.config(VALUES, 3)).history[-1]
    for name, scores in one.scores().items():
        assert (scores == other.scores()[name]).all()
    assert one.metrics == {
        "direct_validation_map": one.history[-1]["validation_map"],
        "direct_map": one.history[-1]["test_map"],
    }
    # it really went on: what it trained took a part of the time
    assert other.history[-1]["learning_rate"] < other.history[3]["learning_rate"] < VALUES["learning_rate"]


def test_a_search_leaves_scores_and_no_weights(tmp_path, objective):
    trainings = objective(results=tmp_path)
    sample = usual_space("reg").sampler(1)
    kept = []
    result = search.successive_halving(
        9,
        3,
        sample,
        trainings.evaluate,
        map=trainings.map,
        watch=lambda _: kept.append(len(list(tmp_path.rglob("checkpoint.pt")))),
    )
    assert len(result.evaluations) == 13
    assert result.trained == 21
    assert kept[8] == 9
    assert kept[11] == 3  # those that stopped at the first rung are gone
    trainings.finish(result)
    assert not list(tmp_path.rglob("checkpoint.pt"))
    shutil.rmtree(trainings.run(result.best).folder)
    assert trainings.run(result.best).metrics["direct_validation_map"] == result.best.score
    for each in result.evaluations:
        run = trainings.run(each)
        assert run.metrics["direct_validation_map"] == each.score
        assert len(run.history) == each.resource
        assert each.time_seconds == run.timings["time_total"] or each == result.best
    again = objective(results=tmp_path)
    search.successive_halving(9, 3, usual_space("reg").sampler(1), again.evaluate, map=again.map)
    assert (trainings.existed, again.existed) == (0, 13)


def test_a_training_that_fails_counts_as_worst_and_is_recorded(tmp_path, objective):
    trainings = objective(results=tmp_path)
    draws = iter([VALUES, {**VALUES, "learning_rate": 1e30}, {**VALUES, "dropout": 0.1}])
    result = search.successive_halving(3, 3, lambda: next(draws), trainings.evaluate, map=trainings.map)
    (failed,) = result.failures
    assert failed.trial == 1
    assert "not finite in epoch 0" in failed.error
    assert failed.trained == 1
    failure = Store(tmp_path).failure(trainings.config(failed.config, 1))
    assert failure is not None
    assert failed.time_seconds == failure[1] > 0
    assert result.best.trial in (0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_a_search_is_the_same_whatever_carries_it_out(tmp_path, name):
    """Checkpoints go to the workers and come back: the same scores to the bit as in this process."""
    if name == "ray":
        pytest.importorskip("ray")

    def searched(engine, results):
        trainings = Trainings(BASE, 3, results=results, engine=engine, progress=False)
        sample = usual_space("reg").sampler(2)
        return search.successive_halving(3, 3, sample, trainings.evaluate, map=trainings.map)

    with (
        closing(runs.open_engine(workers=1)) as here,
        closing(runs.open_engine(name, workers=2)) as beside,
    ):
        alone, spread = searched(here, tmp_path / "alone"), searched(beside, tmp_path / "beside")
    facts = operator.attrgetter("trial", "config", "resource", "trained", "score", "error")
    assert list(map(facts, spread.evaluations)) == list(map(facts, alone.evaluations))
    assert [each.resource for each in spread.evaluations] == [1, 1, 1, 3]
    assert spread.trained == 5  # the last one went on from its first epoch


MLCL = Path(sys.executable).with_name("mlcl")
SEARCH = [
    "search", "debtags", "--loss", "reg", "--method", "successive_halving", "--resource", "9", "--num-labels", "10",
    "--train-fraction", "0.05", "--seed", "0", "--workers", "1",
]  # fmt: skip


def finished(results: Path) -> int:
    """Trainings that are stored."""
    return len(list(results.glob("runs/[!.]*/run.json")))


@pytest.mark.slow
def test_a_real_search_killed_three_times_is_the_undisturbed_one(tmp_path, objective):
    trainings = objective(results=tmp_path / "whole")
    sample = usual_space("reg").sampler(0)
    whole = search.successive_halving(9, 3, sample, trainings.evaluate, map=trainings.map)
    trainings.finish(whole)

    results = tmp_path / "killed"
    command = [str(MLCL), *SEARCH, "--results", str(results)]
    for count in (2, 6, 11):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 120
            while finished(results) < count:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert count <= finished(results) < 13
    last = subprocess.run(command, capture_output=True, text=True, check=True)

    (folder,) = results.glob("search/*")
    compared = [name for name in whole.table().columns if name != "time_seconds"]
    found = pd.read_csv(folder / "trials.csv", keep_default_na=False)
    expected = pd.read_csv(io.StringIO(whole.table().to_csv(index=False)), keep_default_na=False)
    pd.testing.assert_frame_equal(found[compared], expected[compared])
    assert {path.parent.name for path in results.glob("runs/*/run.json")} == set(found["run"])
    stored = tomllib.loads((folder / "best.toml").read_text())
    assert stored == {"loss": "reg", "encoder": "frozen", "values": whole.best.config}
    assert f"validation mAP {100 * whole.best.score:.1f}%" in last.stdout
    assert len((folder / "journal.jsonl").read_text().splitlines()) == 14
    assert finished(results) == 13
    assert not list(results.rglob("checkpoint.pt"))
