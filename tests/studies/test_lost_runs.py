"""What a notebook shows when some of its runs have failed: everything is called, for every way to lose runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mlcl_utils import runs
from mlcl_utils.runs import Grid, RunConfig
from mlcl_utils.studies import figures, judgements, reviewers, scores
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.ledger import measures as ledger_measures
from mlcl_utils.studies.ledger import views as ledger_views
from mlcl_utils.studies.temperature import views as temperature_views
from mlcl_utils.training import Recipe
from tests.studies.losing import (
    GIVEN,
    NO_NUMBER,
    REPLICATES,
    arm,
    execution,
    runs_of,
    shown,
    task_for,
    trained_without,
    ways,
    with_runs,
)


def texts(shown: Any) -> Iterator[str]:
    """All texts of what a cell shows."""
    if isinstance(shown, pd.DataFrame):
        yield from (cell for column in shown for cell in shown[column] if isinstance(cell, str))
    elif hasattr(shown, "data"):
        yield from str(shown.data).splitlines()


@pytest.fixture(autouse=True)
def _tasks_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(reviewers, "task_for", task_for)
    monkeypatch.setattr(temperature_views, "task_for", task_for)


@pytest.fixture
def frames(monkeypatch) -> dict[str, figures.Frames]:
    """What would be drawn, by figure: drawing takes long."""
    drawn: dict[str, figures.Frames] = {}
    monkeypatch.setattr(figures, "draw", lambda study, name, given: drawn.update({name: given}))
    return drawn


def says_no_number(cells: Sequence[Any]) -> list[str]:
    return [text for cell in cells for text in texts(cell) if NO_NUMBER.search(text)]


def compare(name: str, whole: pd.DataFrame, less: pd.DataFrame, way: str) -> None:
    """Every effect is as it was, or in its place stands what is not judged, with the reason."""
    for _, row in whole[whole["verdict"] != "not judged"].iterrows():
        now = less[(less["claim"] == row["claim"]) & (less["task"] == row["task"])]
        same = now[(now["arms"] == row["arms"]) & (now["replicates"] == row["replicates"])]
        same = same[np.isclose(same["estimate"].astype(float), row["estimate"])]
        refused = now[(now["verdict"] == "not judged") & (now["reason"] != "")]
        assert len(same) + len(refused), f"{name} without {way}: {row['claim']} on {row['task']}"


@pytest.mark.parametrize("name", GIVEN)
def test_nothing_breaks_or_is_judged_on_less_when_runs_are_lost(name, tmp_path, frames):
    study = execution(name, tmp_path, **{"replicates": REPLICATES, **GIVEN[name]})
    whole_grid = runs_of(study.study.grid(study.parameters))
    complete = with_runs(study, trained_without(whole_grid, lambda config: False))
    assert says_no_number(shown(complete)) == []
    assert set(frames) >= set(figures.drawings(study.study)) - ABSENT
    whole = judgements.of(name, complete.comparisons)
    for way, lost in ways([run.config for run in whole_grid], single=3, much=3):
        part = with_runs(study, trained_without(whole_grid, lost))
        try:
            cells = shown(part)
        except Exception as error:
            raise AssertionError(f"{name} without {way}") from error
        assert says_no_number(cells) == [], f"{name} without {way}"
        compare(name, whole, judgements.of(name, part.comparisons), way)


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
    assert scores.flag(arms, trained) == scores.UNTRAINED

    def placed(given: dict[str, dict[int, float]]) -> dict[str, str]:
        arms = found(given)
        measured = {each: scores.quantity(members, "probe_map") for each, members in arms.items()}
        ranked = scores.ranks(measured, lambda each: each.task, higher_is_better=True)
        return {each.loss: word for each, word in ranked.items()}

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


@pytest.mark.parametrize("name", [name for name in GIVEN if name != "02_label_space"])
def test_figures_are_drawn_of_what_is_left(name, tmp_path):
    study = execution(name, tmp_path, **{"replicates": 2, **GIVEN[name]})
    whole = runs_of(study.study.grid(study.parameters))
    first = next(arm(run.config) for run in whole if not run.config.is_baseline)
    shown(with_runs(study, trained_without(whole, lambda config: arm(config) == first)))
    assert any((study.folder / "figures").glob("*.pdf"))
    plt.close("all")


def test_a_study_of_which_no_training_is_left_stops(tmp_path, monkeypatch):
    study = execution("06_kernel_mixture", tmp_path)
    whole = runs_of(study.study.grid(study.parameters))
    for lost in (lambda config: True, lambda config: not config.is_baseline):
        grid = trained_without(whole, lost).grid
        monkeypatch.setattr(runs, "carry_out", lambda configs, grid=grid, **given: grid)
        with pytest.raises(RuntimeError, match="no training of this study succeeded"):
            study.run()


def test_the_ledger_names_what_runs_have_failed_of(tmp_path, frames):
    for name, failed in (("01_missing_labels", "bce+clml"), ("04_temperature", "instance")):
        study = execution(name, tmp_path)
        made = runs_of(study.study.grid(study.parameters))
        part = with_runs(study, trained_without(made, lambda config, failed=failed: config.loss == failed))
        shown(part)
        part.finish()
    ledger = execution("00_claims", tmp_path)
    rows = ledger_measures.claims(ledger)
    own = rows[(rows["study"] == "01_missing_labels") & (rows["dataset"] == "fashion-scenes")]
    assert "runs have failed: BCE + CLML" in own["reason"].tolist()
    own = rows[(rows["claim"] == "uniformity_falls") & (rows["dataset"] == "debtags")]
    assert len(own) == 2  # one per encoder
    assert own["reason"].str.startswith("runs have failed: Instance τ").all()
    cells = [view(ledger) for view in LEDGER]
    assert says_no_number(cells) == []
    ledger_views.forests(ledger)
    assert frames["missing_labels"]["effects"]["arms"].tolist() == ["SPLC + CLML − SPLC"]


LEDGER = (
    *(ledger_views.sources, ledger_views.overall, ledger_views.effects, ledger_views.not_judged),
    *(ledger_views.summary, ledger_views.checklist),
)


ABSENT = {"base_labels", "matched_frequency", "fractions", "phases"}
"""Figures for which the presets here are too small."""
