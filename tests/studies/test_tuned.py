"""A study that tunes: what is run with which configuration, and what its table of tuning says."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.studies import tables
from mlcl_utils.studies.execution import Execution, begin
from mlcl_utils.studies.runs import Trained
from mlcl_utils.training import BASELINES


@pytest.fixture(scope="module")
def execution(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    given = {
        "preset": "smoke",
        "datasets": "debtags",
        "encoders": "frozen",
        "losses": ["bce"],
        "num_labels": [10],
        "train_fractions": [0.2, 1.0],
        "label_draws": 0,
        "replicates": 2,
        "epochs": 1,
        "trials": 2,
        "results": str(tmp_path_factory.mktemp("results")),
        "workers": 1,
    }
    study = begin(studies.get("02_label_space"), given)
    study.run()
    return study


@pytest.fixture(scope="module")
def trained(execution: Execution) -> Trained:
    return execution.trained


def losses_of(grid):
    return [run for run in grid.runs if run.config.loss not in BASELINES]


def test_what_is_chosen_on_two_splits_is_used_at_every_point_of_the_sweep(trained):
    assert {(run.config.train_fraction, run.config.replicate) for run in losses_of(trained.grid)} == {
        (share, replicate) for share in (0.2, 1) for replicate in (0, 1)
    }
    # two configurations on two splits, compared by their means
    assert [run.config.replicate for run in trained.trials.runs] == [0, 0, 1, 1]
    assert [run.config.seed for run in trained.trials.runs] == [0, 0, 1, 1]
    (choice,) = trained.choices.values()
    found = [run.metrics["probe_validation_map"] for run in trained.trials.runs]
    scores = [(found[at] + found[at + 2]) / 2 for at in (0, 1)]
    assert (choice.score, choice.default, choice.trials) == (max(scores), scores[0], 2)
    chosen = trained.trials.runs[scores.index(max(scores))].config
    assert {run.config.recipe for run in losses_of(trained.grid)} == {chosen.recipe}


def test_runs_of_every_column_are_written_once(execution, trained):
    rows = pd.read_csv(execution.folder / "runs.csv")
    assert rows["run"].is_unique
    assert len(rows) == len({run.config.id for part in trained.parts.values() for run in part.runs})
    assert set(rows["column"]) == {"trial", "tuned"}


def test_the_table_of_tuning_has_the_gain_over_the_default(execution, trained):
    assert tables.choices(execution) is not None
    (row,) = pd.read_csv(execution.folder / "tables" / "choices.csv").to_dict("records")
    (choice,) = trained.choices.values()
    assert (row["validation_map"], row["default_validation_map"]) == (choice.score, choice.default)
    assert row["trials"] == 2
    assert (execution.folder / "tables" / "choices.tex").is_file()


def test_a_run_counts_once_in_the_compute(trained):
    rows = {run.config.id for part in trained.parts.values() for run in part.runs}
    assert trained.compute["runs"] == len(rows) < sum(len(part.runs) for part in trained.parts.values())
    assert trained.compute["existed"] == 0
    config = trained.grid.runs[-1].config
    failing = [dataclasses.replace(part, failures=[(config, "lost", 1.0)]) for part in trained.parts.values()]
    twice = dataclasses.replace(trained, trials=failing[0], grid=failing[1])
    assert twice.compute["failed"] == 1
