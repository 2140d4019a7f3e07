"""The label-space study: its grid, its contrasts, and how it is tuned."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.studies import figures, judgements, scores, sentences, tuning
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.label_space import reference_labels, views
from mlcl_utils.studies.label_space.measures import matched
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

STUDY = studies.get("02_label_space")


def grid(**given):
    return STUDY.grid(STUDY.resolve(given))


def test_every_arm_is_there_at_every_size_encoder_and_replicate():
    parameters = STUDY.resolve({"preset": "quick", "encoders": ["frozen", "bag", "cnn"]})
    configs = STUDY.grid(parameters)
    assert len({config.id for config in configs}) == len(configs)
    whole = [c for c in configs if c.train_fraction == 1 and c.label_draw is None and c.held_out is None]
    sizes = {"debtags": {10, 100}, "emoji": {10, 100}, "fashion-scenes": {10}}
    own = {"debtags": "bag", "emoji": "cnn", "fashion-scenes": "cnn"}
    assert {(c.dataset, c.encoder, c.num_labels) for c in whole} == {
        *((name, "frozen", k) for name in sizes for k in sizes[name]),
        *((name, own[name], max(sizes[name])) for name in sizes),
    }
    for task in {(c.dataset, c.encoder, c.num_labels, c.replicate) for c in whole}:
        found = {c.loss for c in whole if (c.dataset, c.encoder, c.num_labels, c.replicate) == task}
        left_out = set() if task[0] == "debtags" else {"name_matching"}
        left_out |= {"shuffled_labels"} if task[-1] else set()
        assert found == {*parameters.losses, *BASELINES} - left_out
    assert {config.base_labels for config in configs} == {min(parameters.num_labels)}
    assert {config.seed - config.replicate for config in configs} == {0}
    smaller = [config for config in configs if config.train_fraction < 1]
    assert {(c.dataset, c.num_labels) for c in smaller} == {
        ("debtags", 100),
        ("emoji", 100),
        ("fashion-scenes", 10),
    }
    assert {config.train_fraction for config in smaller} == set(parameters.train_fractions) - {1.0}
    held = {(c.dataset, c.num_labels, c.held_out) for c in configs if c.held_out}
    assert held == {("emoji", 100, family) for family in parameters.held_out}


def test_an_untrained_baseline_is_the_same_run_whatever_the_number_of_epochs():
    short, long = (
        {c.id for c in grid(epochs=epochs) if not c.recipe or not c.recipe.epochs} for epochs in (2, 3)
    )
    assert short == long
    assert len(short) > 20
    assert not {c.id for c in grid(epochs=2) if not c.is_baseline} & {c.id for c in grid(epochs=3)}


def test_longer_training_is_declared_rows_of_their_own(tmp_path):
    usual = grid(preset="quick")
    configs = grid(preset="quick", long_epochs=30)
    assert grid(preset="quick", long_epochs=10) == usual  # as long as all others
    longer = configs[len(usual) :]
    assert configs[: len(usual)] == usual
    assert {config.recipe.epochs for config in longer} == {30}
    assert {(c.dataset, c.encoder, c.num_labels) for c in longer} == {
        (c.dataset, c.encoder, c.num_labels)
        for c in usual
        if c.train_fraction == 1 and c.label_draw is None and c.held_out is None
    }
    assert not any(config.is_baseline for config in longer)

    short = led(tmp_path, {10: 0.02, 100: 0.06})
    again = []
    for run in short.trained.grid.runs:
        if run.config.loss in ("bce", "reg", "msc"):
            recipe = dataclasses.replace(run.config.recipe, epochs=30)
            ahead = 0.1 * (run.config.loss == "bce")
            metrics = {name: value + ahead for name, value in run.metrics.items()}
            again.append(made.run(tmp_path, dataclasses.replace(run.config, recipe=recipe), metrics))
    parameters = STUDY.resolve({"preset": "smoke", "datasets": "debtags", "long_epochs": 30})
    study = made.execution(STUDY, parameters, tmp_path, [*short.trained.grid.runs, *again])
    found = study.comparisons.query("name == 'many_labels'").set_index("task")
    assert found["compared"].to_dict() == dict.fromkeys(
        ["debtags, 100 labels", "debtags, 100 labels, 30 epochs"], "REG − BCE"
    )
    assert found["estimate"].to_dict() == pytest.approx(
        {"debtags, 100 labels": 6.0, "debtags, 100 labels, 30 epochs": -4.0}
    )
    # what else is shown is of the usual length
    assert views.results(study).shape == views.results(short).shape
    assert set(study.scores["length"]) == {"", "30 epochs"}


def test_the_temperature_reaches_the_losses_that_have_one():
    configs = grid(preset="smoke", temperature=0.3)
    assert {config.loss for config in configs if config.hyperparameters} == {"reg"}
    assert all(dict(config.hyperparameters) in ({}, {"temperature": 0.3}) for config in configs)


def test_more_labels_than_a_set_has_or_replicates_than_splits_are_refused():
    with pytest.raises(UsageError, match=r"num_labels.*5000.*debtags"):
        STUDY.resolve({"num_labels": [10, 5000]})
    with pytest.raises(UsageError, match="replicates"):
        STUDY.resolve({"replicates": 11})


@pytest.mark.parametrize(
    ("sizes", "reference"), [((10, 30, 100, 300), 100), ((10, 30), 30), ((200, 300), 200), ((100,), 100)]
)
def test_the_size_at_which_data_are_varied(sizes, reference):
    assert reference_labels(sizes) == reference


def execution(
    folder: Path, values: Mapping[tuple[str, int, int | None, float], dict[str, float]], replicates: int = 5
) -> Execution:
    """An execution with metrics of the probe by loss, size of the label space and draw, more each replicate."""
    runs = []
    for (loss, size, draw, share), scores_ in values.items():
        for replicate in range(replicates):
            config = RunConfig(
                dataset="debtags",
                num_labels=size,
                base_labels=10,
                replicate=replicate,
                loss=loss,
                seed=replicate,
                train_fraction=share,
                label_draw=draw,
                label_pool=None if draw is None else 100,
                recipe=None if loss in BASELINES else Recipe(epochs=1),
            )
            metrics = {
                name if name.startswith("direct_") else f"probe_{name}": value + 0.001 * replicate
                for name, value in scores_.items()
            }
            runs.append(made.run(folder, config, metrics))
    return made.execution(STUDY, STUDY.resolve({"preset": "smoke", "datasets": "debtags"}), folder, runs)


def led(
    folder: Path,
    lead: dict[int, float],
    *,
    baseline: float = 0.3,
    replicates: int = 5,
    own: Mapping[str, float] = MappingProxyType({}),
) -> Execution:
    """BCE at 50% everywhere, REG ahead of it by ``lead`` at each size, MSC behind; REG is best on validation.

    ``own`` are metrics of the head of MSC.
    """
    validation = {"bce": 0.5, "reg": 0.6, "msc": 0.4}
    values = {}
    for size, ahead in lead.items():
        for loss, value in (("bce", 0.5), ("reg", 0.5 + ahead), ("msc", 0.45)):
            values[loss, size, None, 1.0] = {
                "map": value,
                "macro_f1": value,
                "macro_f1_per_label": value,
                "ranking_loss": 0.5 - value,
                "validation_map": validation[loss],
            }
        values["msc", size, None, 1.0] |= own
        for loss in ("logistic_regression", "random_encoder", "prior"):
            values[loss, size, None, 1.0] = {"map": baseline, "macro_f1": baseline}
    return execution(folder, values, replicates)


def rows(study: Execution, name: str) -> pd.DataFrame:
    """The rows of a comparison, read with the probe, and the side of zero that their intervals lie on."""
    own = study.comparisons.query("name == @name and heads == 'probe'")
    return own.assign(side=[sentences.side(row) for _, row in own.iterrows()])


@pytest.mark.parametrize(
    ("lead", "side", "growth"),
    [
        ({10: 0.02, 100: 0.06}, "above", (4.0, "above")),
        ({10: -0.02, 100: -0.06}, "below", (-4.0, "below")),
        ({10: 0.0, 100: 0.0}, "across", (0.0, "across")),
    ],
)
def test_contrasts_follow_the_numbers(lead, side, growth, tmp_path):
    study = led(tmp_path, lead)
    found = rows(study, "contrast").query("head == 'probe'")
    assert set(found["compared"]) == {"REG − BCE"}  # the best on validation, whatever MSC is on test
    assert set(found["side"]) == {side}
    for metric in ("map", "macro_f1", "ranking_loss"):  # whichever end is better
        own = found[found["metric"] == metric].set_index("num_labels")["estimate"]
        assert own.to_dict() == pytest.approx({size: 100 * ahead for size, ahead in lead.items()})
    (row,) = rows(study, "growth").to_dict("records")
    assert (row["estimate"], row["side"]) == (pytest.approx(growth[0], abs=1e-9), growth[1])
    assert row["change"] == "from 10 to 100 labels"


def test_each_is_read_with_the_head_that_validation_prefers(tmp_path):
    own = {
        "map": 0.7,
        "macro_f1": 0.4,
        "ranking_loss": 0.2,
        "validation_map": 0.9,
    }  # the best of all on validation
    study = led(tmp_path, {10: 0.02}, own={f"direct_{name}": value for name, value in own.items()})
    found = study.comparisons.query("name == 'contrast' and metric == 'macro_f1'").set_index("head")
    assert found["compared"].to_dict() == {"probe": "REG − BCE", "best": "MSC − BCE"}
    assert found["heads"].to_dict() == {"probe": "probe", "best": "direct, probe"}
    assert found["estimate"].to_dict() == pytest.approx({"probe": 2.0, "best": -10.0})


def test_nothing_is_measured_where_it_is_not_known_which_would_be_the_best(tmp_path):
    study = led(tmp_path, {10: 0.02, 100: 0.06})
    lost = next(arm for arm in study.arms if arm.loss == "msc" and arm.num_labels == 10)
    study.trained.grid.failures.append((study.arms[lost][0].config, "diverged", 1.0))
    found = study.comparisons[study.comparisons["name"].isin(["contrast", "lead_grows", "many_labels"])]
    here = (found["num_labels"] == 10) | (found["name"] == "lead_grows")
    assert found["estimate"].isna().tolist() == here.tolist()
    assert set(found[here]["compared"]) == {""}
    assert set(found[found["num_labels"] == 10]["reason"]) == {"runs have failed: MSC"}
    grows = found[found["name"] == "lead_grows"]
    assert grows["reason"].tolist() == ["runs have failed: MSC (debtags, 10 labels)"]
    shown = views.contrasts(study)
    assert (shown.loc["debtags, 10 labels"] == "runs have failed: MSC").all(axis=None)
    read = views.readings(study).loc["debtags, 10 labels"]
    assert read.index.get_level_values("reading").tolist() == ["equal", "source"]
    assert (read == "runs have failed: MSC").all(axis=None)


def test_arms_below_a_baseline_are_flagged(tmp_path):
    study = led(tmp_path / "a", {10: 0.02})
    assert set(study.scores["flag"]) == {""}
    study = led(tmp_path / "b", {10: 0.02}, baseline=0.48)
    flags = study.scores.query("metric == 'map'").set_index("loss")["flag"]
    assert flags[flags != ""].to_dict() == {"msc": scores.UNTRAINED}


def test_few_replicates_carry_no_verdict(tmp_path):
    few = judgements.of(STUDY.name, led(tmp_path / "a", {10: 0.02}, replicates=2).comparisons)
    measured = few[few["estimate"].notna()]
    assert measured["claim"].tolist() == ["few_labels"]
    assert measured["verdict"].tolist() == ["not judged"]
    assert "2 replicates" in measured["reason"].iloc[0]
    enough = judgements.of(STUDY.name, led(tmp_path / "b", {10: 0.02}).comparisons)
    assert enough[enough["estimate"].notna()]["verdict"].tolist() == ["opposite"]


def test_differences_are_paired_and_leave_out_the_reference(tmp_path):
    study = led(tmp_path, {10: 0.02, 100: 0.06})
    own = rows(study, "difference").query("metric == 'map'").set_index(["loss", "num_labels"])["estimate"]
    assert own["reg"].to_dict() == pytest.approx({10: 2.0, 100: 6.0})
    assert own["msc"].to_dict() == pytest.approx({10: -5.0, 100: -5.0})
    # nor are baselines drawn that are far from the rest
    assert set(own.index.get_level_values("loss")) == {"reg", "msc", "logistic_regression", "random_encoder"}


def test_differences_are_drawn_as_fractions(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "draw", lambda study, name, frames: drawn.update({name: frames}))
    views.differences(led(tmp_path, {10: 0.02, 100: 0.06}))
    own = drawn["differences"]["intervals"].query("metric == 'ranking_loss' and loss == 'reg'")
    assert own["estimate"].tolist() == pytest.approx([-0.02, -0.06])
    assert (own["lower"] <= own["estimate"]).all()
    assert set(own["reference"]) == {"bce"}


def test_intervals_hold_their_points(tmp_path):
    study = led(tmp_path, {10: 0.02, 100: 0.06})
    arm = list(scores.COLUMNS)
    merged = pd.merge(study.points, study.scores, on=[*arm, "head", "metric"], suffixes=("", "_mean"))
    means = merged.groupby([*arm, "metric"], dropna=False)[["estimate", "estimate_mean"]].mean()
    assert len(means) == len(study.scores)
    assert np.allclose(means["estimate"], means["estimate_mean"])
    assert (study.scores["lower"] <= study.scores["estimate"]).all()


def test_draws_of_labels_are_averaged_and_joined_by_the_largest_size(tmp_path):
    drawn = {("bce", 10, draw, 1.0): {"map": 0.5 + 0.1 * draw} for draw in range(3)}
    whole = {("bce", size, None, 1.0): {"map": 0.4} for size in (10, 100)}
    whole |= {("bce", 100, None, 0.1): {"map": 0.1}}  # little data is no part of it
    study = execution(tmp_path, drawn | whole, replicates=3)
    found = matched(study)
    own = found["intervals"].set_index("num_labels")
    assert own["estimate"].to_dict() == pytest.approx({10: 0.601, 100: 0.401})
    assert own["draws"].to_dict() == {10: 3, 100: 1}
    assert len(found["points"]) == 6
    assert matched(execution(tmp_path / "none", whole, replicates=3))["intervals"].empty
    # draws are averaged in the replicates that all have
    study.arms[next(arm for arm in study.arms if arm["label_draw"] == 1)].pop()
    assert matched(study)["intervals"]["num_labels"].tolist() == [100]


def test_families_held_out_stand_next_to_all_families(tmp_path):
    parameters = STUDY.resolve({"preset": "smoke", "datasets": "emoji", "encoders": "frozen"})
    values = {("noto", 1.0): 0.4, (None, 1.0): 0.6, (None, 0.2): 0.2}
    runs = [
        made.run(tmp_path, config, {"probe_map": values[config.held_out, config.train_fraction]})
        for config in STUDY.grid(parameters)
        if config.loss in ("bce", "random_encoder") and config.label_draw is None
    ]
    for run in runs:
        run.facts["examples_test"] = 9
    shown = views.held_out_table(made.execution(STUDY, parameters, tmp_path, runs))
    assert shown.index.tolist() == [("emoji", 30, "noto", label) for label in ("Random encoder", "BCE")]
    assert shown["mAP, held out"].tolist() == ["40.0", "40.0"]
    assert shown["mAP, all families"].tolist() == ["60.0", "60.0"]
    saved = pd.read_csv(tmp_path / "tables" / "held_out.csv")
    assert saved["loss"].tolist() == ["random_encoder", "bce"]
    assert views.held_out_table(led(tmp_path / "none", {10: 0.02})).empty


def test_positives_that_the_text_names_are_counted_apart(tmp_path):
    named = {"recall_named": 0.8, "recall_unnamed": 0.5, "map": 0.6, "map_unnamed": 0.4}
    study = execution(tmp_path, {("bce", size, None, 1.0): named for size in (10, 30)}, replicates=1)
    shown = views.named_table(study)
    assert shown.index.tolist() == [("debtags", "frozen", "BCE", "probe")]
    assert shown.iloc[0].tolist() == ["80.0", "50.0", "60.0", "40.0"]
    assert views.named_table(led(tmp_path / "none", {10: 0.02, 30: 0.02})).empty


def test_tuning_gives_every_arm_as_many_trials_and_the_default_first():
    configs = grid(preset="smoke")
    tried = tuning.trials(configs, 8)
    by_task: dict = {}
    for config in tried:
        by_task.setdefault(tuning.task(config), []).append(config)
    assert {len(each) for each in by_task.values()} == {8}
    assert set(by_task) == {tuning.task(config) for config in configs if not config.is_baseline}
    assert {config.replicate for config in tried} == {0}
    assert {config.train_fraction for config in tried} == {1.0}
    default = {config.id for config in configs}
    for several in by_task.values():
        assert several[0].id in default
        assert len({config.id for config in several}) == 8
    assert tuning.trials(configs, 8) == tried


def test_all_losses_of_a_task_are_tried_with_the_same_draws():
    configs = grid(
        preset="smoke", losses=["bce", "reg", "msc", "asl"], num_labels=[10, 30], encoders="frozen"
    )
    tried: dict = {}
    for config in tuning.trials(configs, 8):
        tried.setdefault((config.dataset, config.num_labels), {}).setdefault(config.loss, []).append(config)
    drawn = set()
    for by_loss in tried.values():
        recipes = {loss: [config.recipe for config in several[1:]] for loss, several in by_loss.items()}
        assert recipes["bce"] == recipes["reg"] == recipes["msc"] == recipes["asl"]
        assert len(set(recipes["bce"])) == 7
        temperatures = [
            [config.hyperparameters["temperature"] for config in by_loss[loss][1:]] for loss in ("reg", "msc")
        ]
        assert temperatures[0] == temperatures[1]
        drawn.add((*recipes["bce"], *temperatures[0]))
    assert len(drawn) == len(tried) == 4  # every task has draws of its own


def test_more_trials_than_recipes_are_refused():
    config = next(c for c in grid(preset="smoke") if c.loss == "bce" and c.encoder == "frozen")
    assert len({each.id for each in tuning.candidates(config, 60)}) == 60
    with pytest.raises(ValueError, match="61 trials, but the space of frozen has 60 recipes"):
        tuning.candidates(config, 61)


def test_tuning_takes_the_best_on_validation_and_flags_the_edges(tmp_path):
    given = {"num_labels": [10], "train_fractions": [1.0], "datasets": "debtags", "encoders": "frozen"}
    (default,) = [config for config in grid(preset="smoke", **given) if config.loss == "reg"]
    tried = tuning.candidates(default, 6)
    scores = [0.1, 0.2, 0.6, 0.3, 0.1, 0.5]
    runs = []
    for config, score in zip(tried, scores, strict=True):
        metrics = {"probe_validation_map": score, "probe_map": 1 - score}
        runs.append(Run(config, metrics, {"time_total": 1.0}, {}, [], {}, tmp_path))
    (choice,) = tuning.choose(Grid(runs, [], 0), tried).values()
    assert (choice.score, choice.default, choice.trials) == (0.6, 0.1, 6)
    (without,) = tuning.choose(Grid(runs[1:], [], 0), tried).values()  # the default trial failed
    assert math.isnan(without.default)
    assert (without.score, without.trials) == (0.6, 5)
    (tuned,) = tuning.tuned([default], {tuning.task(default): choice})
    assert tuned.id == tried[2].id
    for name, value in choice.values.items():
        ends = tuning.space("reg")[name][0], tuning.space("reg")[name][-1]
        assert (name in choice.at_edge) == (value in ends)
    baseline = next(config for config in grid(preset="smoke") if config.is_baseline)
    assert tuning.tuned([baseline], {tuning.task(default): choice}) == [baseline]
