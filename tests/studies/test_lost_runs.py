"""What a notebook shows when some of its runs have failed: everything is called, for every way to lose runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mlcl_utils import runs, studies
from mlcl_utils.runs import Grid, RunConfig
from mlcl_utils.studies import claims, drawing, scores, tables
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.ledger import report as ledger_report
from mlcl_utils.studies.temperature import report as temperature_report
from mlcl_utils.training import Recipe
from tests.studies.losing import (
    KINDS,
    NO_NUMBER,
    REPLICATES,
    Shown,
    arm,
    carried_without,
    runs_of,
    task_for,
    ways,
)


def texts(shown: Any) -> Iterator[str]:
    """All texts of what a cell shows."""
    if isinstance(shown, pd.DataFrame):
        yield from (cell for column in shown for cell in shown[column] if isinstance(cell, str))
    elif hasattr(shown, "data"):
        yield from str(shown.data).splitlines()


@pytest.fixture(autouse=True)
def _tasks_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(tables, "task_for", task_for)
    monkeypatch.setattr(temperature_report, "task_for", task_for)


@pytest.fixture
def frames(monkeypatch) -> dict[str, drawing.Frames]:
    """What would be drawn, by figure: drawing takes long."""
    drawn: dict[str, drawing.Frames] = {}
    monkeypatch.setattr(drawing, "draw", lambda study, name, given: drawn.update({name: given}))
    return drawn


def execution(name: str, results: Path, **given: Any) -> Execution:
    """An execution of a study at the preset smoke, with nothing in its folder."""
    study = studies.get(name)
    parameters = study.resolve({"preset": "smoke", "results": results, **given})
    folder = study.folder(parameters)
    folder.mkdir(parents=True)
    return Execution(study, parameters, folder)


def says_no_number(shown: Shown) -> list[str]:
    return [text for cell in shown for text in texts(cell) if NO_NUMBER.search(text)]


def compare(name: str, whole: pd.DataFrame, less: pd.DataFrame, way: str) -> None:
    """Every effect is as it was, or in its place stands what is not judged, with the reason."""
    for _, row in whole[whole["verdict"] != "not judged"].iterrows():
        now = less[(less["claim"] == row["claim"]) & (less["task"] == row["task"])]
        same = now[(now["arms"] == row["arms"]) & (now["replicates"] == row["replicates"])]
        same = same[np.isclose(same["estimate"].astype(float), row["estimate"])]
        refused = now[(now["verdict"] == "not judged") & (now["reason"] != "")]
        assert len(same) + len(refused), f"{name} without {way}: {row['claim']} on {row['task']}"
    if way == "baselines":  # without the untrained encoder nobody knows what is degenerate
        assert set(less["verdict"]) <= {"not judged"}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_breaks_or_is_judged_on_less_when_runs_are_lost(name, tmp_path, frames):
    kind = KINDS[name]
    study = execution(name, tmp_path, **{"replicates": REPLICATES, **kind.given})
    whole_grid = runs_of(study.study.grid(study.parameters))
    shown, found = kind.show(study, carried_without(whole_grid, lambda config: False))
    assert says_no_number(shown) == []
    assert set(frames) >= set(drawing.drawings(study.study)) - ABSENT
    whole = claims.judged(name, found)
    for way, lost in ways([run.config for run in whole_grid], single=3, much=3):
        try:
            shown, found = kind.show(study, carried_without(whole_grid, lost))
        except Exception as error:
            raise AssertionError(f"{name} without {way}") from error
        assert says_no_number(shown) == [], f"{name} without {way}"
        compare(name, whole, claims.judged(name, found), way)


def test_arms_are_compared_with_baselines_and_each_other_in_the_same_replicates():
    def configs(loss: str, numbers: Sequence[int]) -> list[RunConfig]:
        recipe = None if loss == "random_encoder" else Recipe(epochs=1)
        task = {"dataset": "debtags", "num_labels": 10, "base_labels": 10, "loss": loss, "recipe": recipe}
        return [RunConfig(**task, replicate=number, seed=number) for number in numbers]

    def found(given: dict[str, dict[int, float]]) -> scores.Arms:
        made = [
            dataclasses.replace(run, metrics={"probe_map": given[run.config.loss][run.config.replicate]})
            for loss, by_number in given.items()
            for run in runs_of(configs(loss, list(by_number)))
        ]
        return study_runs.arms(Grid(made, [], 0))

    # the second split is the harder one: the mean of the untrained encoder over both is below that of the loss
    arms = found({"bce": {0: 0.5}, "random_encoder": {0: 0.6, 1: 0.2}})
    trained = next(each for each in arms if each.loss == "bce")
    assert scores.remark(arms, trained) == "degenerate"

    def placed(given: dict[str, dict[int, float]]) -> dict[str, str]:
        arms = found(given)
        return {
            each.loss: word
            for each, word in scores.standings(arms, "probe", "map", higher_is_better=True).items()
        }

    # losses are ranked in the replicates that all have, however good one looks in another
    assert (
        placed({"bce": {0: 0.5, 1: 0.3}, "reg": {0: 0.6, 1: 0.4}, "msc": {0: 0.55, 2: 0.9}})["reg"] == "best"
    )
    # the one without failures is not out because others have lost the same replicate
    whole, short = dict.fromkeys(range(5), 0.9), dict.fromkeys(range(4), 0.5)
    assert placed({"reg": whole, "bce": short, "asl": dict.fromkeys(range(4), 0.4)})["reg"] == "best"
    # nor does what is run once decide which replicates are compared
    once = {0: 0.99}
    assert placed({"reg": whole, "bce": short, "asl": once, "zlpr": once}) == {
        "reg": "best", "bce": "worse", "asl": "worse", "zlpr": "worse",
    }  # fmt: skip
    # nothing is best where nothing can be compared
    assert set(placed({"bce": {0: 0.5, 1: 0.3}, "reg": {2: 0.6, 3: 0.4}}).values()) == {"worse"}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "02_label_space"])
def test_figures_are_drawn_of_what_is_left(name, tmp_path):
    kind = KINDS[name]
    study = execution(name, tmp_path, **{"replicates": 2, **kind.given})
    whole = runs_of(study.study.grid(study.parameters))
    first = next(arm(run.config) for run in whole if not run.config.is_baseline)
    kind.show(study, carried_without(whole, lambda config: arm(config) == first))
    assert any((study.folder / "figures").glob("*.pdf"))
    plt.close("all")


def test_a_study_of_which_no_training_is_left_stops(tmp_path, monkeypatch):
    study = execution("06_kernel_mixture", tmp_path)
    whole = runs_of(study.study.grid(study.parameters))
    for lost in (lambda config: True, lambda config: not config.is_baseline):
        grid = carried_without(whole, lost).grid
        monkeypatch.setattr(runs, "carry_out", lambda configs, grid=grid, **given: grid)
        with pytest.raises(RuntimeError, match="no training of this study succeeded"):
            study_runs.carry_out(study)


def test_the_ledger_names_what_runs_have_failed_of(tmp_path, frames):
    for name in ("01_missing_labels", "04_temperature"):
        kind = KINDS[name]
        study = execution(name, tmp_path)
        grid = study.study.grid(study.parameters)
        failed = {"01_missing_labels": "bce+clml", "04_temperature": "instance"}[name]
        carried = carried_without(runs_of(grid), lambda config, failed=failed: config.loss == failed)
        claims.table(study, kind.show(study, carried)[1])
        study_runs.finish(study, carried)
    execution_ = execution("00_claims", tmp_path)
    ledger = ledger_report.read(execution_)
    rows = ledger.rows
    own = rows[(rows["study"] == "01_missing_labels") & (rows["dataset"] == "fashion-scenes")]
    assert "runs have failed: BCE + CLML" in own["reason"].tolist()
    own = rows[(rows["claim"] == "uniformity_falls") & (rows["dataset"] == "debtags")]
    assert len(own) == 2  # one an encoder
    assert own["reason"].str.startswith("runs have failed: Instance, τ").all()
    shown = [ledger_report.sources_table(ledger), ledger_report.overall_table(execution_, ledger)]
    shown += [ledger_report.effects_table(ledger), ledger_report.not_judged_table(ledger)]
    shown += [ledger_report.reading(ledger), ledger_report.reviewers_list(execution_, ledger)]
    assert says_no_number(shown) == []
    assert ledger_report.plot(execution_, ledger) == []


ABSENT = {"base_labels", "matched_frequency", "fractions"}
"""Figures for which the presets here are too small."""
