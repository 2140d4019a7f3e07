"""A study that tunes, carried out: what is run with which configuration, and what its table of tuning says."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.runs import Grid
from mlcl_utils.studies import base, runs, tables, tuning
from mlcl_utils.training import BASELINES


@pytest.fixture(scope="module")
def execution(tmp_path_factory: pytest.TempPathFactory) -> base.Execution:
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
    return base.begin(studies.get("02_label_space"), given)


@pytest.fixture(scope="module")
def carried(execution: base.Execution) -> runs.Carried:
    return runs.carry_out(execution)


def trained(grid):
    return [run for run in grid.runs if run.config.loss not in BASELINES]


def test_the_default_stands_beside_the_choice_where_all_data_are_learnt_from(carried):
    assert {(run.config.train_fraction, run.config.replicate) for run in trained(carried.default)} == {
        (1, 0),
        (1, 1),
    }
    assert {(run.config.train_fraction, run.config.replicate) for run in trained(carried.grid)} == {
        (share, replicate) for share in (0.2, 1) for replicate in (0, 1)
    }
    assert [run.config.replicate for run in carried.trials.runs] == [0, 0]
    (choice,) = carried.choices.values()
    scores = [run.metrics["probe_validation_map"] for run in carried.trials.runs]
    assert (choice.score, choice.default) == (max(scores), scores[0])
    chosen = carried.trials.runs[scores.index(max(scores))].config
    assert {run.config.recipe for run in trained(carried.grid)} == {chosen.recipe}


def test_runs_of_every_column_are_written_once(execution, carried):
    rows = pd.read_csv(execution.folder / "runs.csv")
    assert rows["run"].is_unique
    assert len(rows) == len({run.config.id for part in carried.parts for run in part.runs})
    assert set(rows["column"]) <= {"default", "trial", "tuned"}


def test_the_table_of_tuning_has_the_gain_on_test_too(execution, carried):
    (row,) = tables.choices_table(execution, carried).reset_index().to_dict("records")
    for name, grid in (("test_map", carried.grid), ("default_test_map", carried.default)):
        whole = [run.metrics["probe_map"] for run in trained(grid) if tuning.is_whole(run.config)]
        assert len(whole) == 2
        assert row[name] == pytest.approx(sum(whole) / 2, rel=1e-12)
    assert (row["trials"], row["replicates"]) == (2, 2)
    assert (execution.folder / "tables" / "choices.tex").is_file()


def test_what_was_lost_by_one_is_taken_from_the_gain_of_both(execution, carried):
    kept = [run for run in carried.default.runs if run.config.is_baseline or run.config.replicate == 1]
    without = dataclasses.replace(carried, default=Grid(kept, [], 0))
    (row,) = tables.choices_table(execution, without).reset_index().to_dict("records")
    (tuned,) = (
        run.metrics["probe_map"]
        for run in trained(carried.grid)
        if run.config.replicate == 1 and tuning.is_whole(run.config)
    )
    assert (row["test_map"], row["replicates"]) == (tuned, 1)


def test_a_run_counts_once_in_the_compute(carried):
    rows = {run.config.id for part in carried.parts for run in part.runs}
    assert carried.compute["runs"] == len(rows) < sum(len(part.runs) for part in carried.parts)
    assert carried.compute["existed"] == 0
    config = carried.grid.runs[-1].config
    failing = [dataclasses.replace(part, failures=[(config, "lost", 1.0)]) for part in carried.parts]
    twice = dataclasses.replace(carried, default=failing[0], grid=failing[2])
    assert twice.compute["failed"] == 1
