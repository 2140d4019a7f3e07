"""The label-space study: its grid, and a reading that follows the numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.studies import scores, tuning
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.label_space import reading, reference_labels
from mlcl_utils.studies.runs import Carried
from mlcl_utils.training import BASELINES, Recipe

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


def made_run(
    folder: Path, loss: str, k: int, replicate: int, scores: dict[str, float], draw: int | None = None
) -> Run:
    """A stored run with given metrics of the probe, and resamples that scatter a little around them."""
    config = RunConfig(
        dataset="debtags",
        num_labels=k,
        base_labels=10,
        replicate=replicate,
        loss=loss,
        seed=replicate,
        label_draw=draw,
        label_pool=None if draw is None else 100,
        recipe=None if loss in BASELINES else Recipe(epochs=1),
    )
    metrics = {f"probe_{name}": value for name, value in scores.items()}
    place = folder / config.id
    place.mkdir(parents=True)
    noise = 0.002 * np.random.default_rng([k, replicate, 9 if draw is None else draw]).normal(size=50)
    save_file(
        {name: (value + noise).astype(np.float32) for name, value in metrics.items()},
        place / "resamples.safetensors",
    )
    facts = {"steps": 1, "parameters": 1}
    timings = {"time_total": 1.0, "time_training": 1.0, "mem_peak_bytes": 1.0}
    return Run(config, metrics, timings, facts, [], {"device": "cpu", "threads": 1}, place)


def made_summary(folder: Path, *, lead: dict[int, float], baseline: float = 0.3, replicates: int = 5):
    """BCE at 50% everywhere, REG ahead of it by ``lead`` at each size, MSC behind; REG is best on validation."""
    runs = []
    for k, ahead in lead.items():
        for replicate in range(replicates):
            wobble = 0.001 * replicate
            for loss, value in (("bce", 0.5), ("reg", 0.5 + ahead), ("msc", 0.45)):
                scores = {
                    "map": value + wobble,
                    "macro_f1": value + wobble,
                    "ranking_loss": 0.5 - value + wobble,
                }
                scores["validation_map"] = {"bce": 0.5, "reg": 0.6, "msc": 0.4}[loss]
                runs.append(made_run(folder, loss, k, replicate, scores))
            for loss in ("logistic_regression", "random_encoder"):
                runs.append(made_run(folder, loss, k, replicate, {"map": baseline, "macro_f1": baseline}))
    grid = Grid(runs, [], 0)
    return reading.summarise(Carried(grid, grid, Grid([], [], 0), {}))


def test_the_reading_follows_the_numbers(tmp_path):
    ahead = reading.sentences(made_summary(tmp_path / "a", lead={10: 0.02, 100: 0.06}))
    assert "REG" in ahead[0]
    assert "is ahead of BCE" in ahead[0]
    assert "+2.0" in ahead[0]
    assert any("lead of contrastive losses grows" in line and "+4.0" in line for line in ahead)
    assert any("mAP: contrastive losses are ahead at 10, 100 labels" in line for line in ahead)
    assert any("ranking loss: contrastive losses are ahead at 10, 100 labels" in line for line in ahead)

    behind = reading.sentences(made_summary(tmp_path / "b", lead={10: -0.02, 100: -0.06}))
    assert "is behind BCE" in behind[0]
    assert any("lead of contrastive losses shrinks" in line and "-4.0" in line for line in behind)
    assert any("mAP: contrastive losses are behind at 10, 100 labels" in line for line in behind)

    level = reading.sentences(made_summary(tmp_path / "c", lead={10: 0.0, 100: 0.0}))
    assert "cannot be told apart from BCE" in level[0]
    assert any("neither clearly grows nor clearly shrinks" in line for line in level)


def test_arms_below_a_baseline_are_named_in_the_reading(tmp_path):
    fine = reading.sentences(made_summary(tmp_path / "a", lead={10: 0.02}))
    assert "Read with the probe, no trained arm is below logistic regression on the input." in fine
    summary = made_summary(tmp_path / "b", lead={10: 0.02}, baseline=0.48)
    (remark,) = [line for line in reading.sentences(summary) if "below the untrained encoder" in line]
    assert "MSC (debtags, 10 labels)" in remark
    assert "REG" not in remark
    assert scores.remark(summary.arms, Arm("debtags", "frozen", 10, "msc")) == "degenerate"


def test_few_replicates_carry_no_verdict(tmp_path):
    few = reading.sentences(made_summary(tmp_path / "a", lead={10: 0.02}, replicates=2))
    assert any("2 replicates" in line and "no verdict" in line for line in few)
    enough = reading.sentences(made_summary(tmp_path / "b", lead={10: 0.02}))
    assert not any("no verdict" in line for line in enough)


def test_contrasts_choose_on_validation_and_are_oriented(tmp_path):
    found = reading.contrasts(made_summary(tmp_path, lead={10: 0.02}))
    assert {(each.first, each.second) for each in found} == {("reg", "bce")}
    by_metric = {each.metric: each.interval.estimate for each in found if each.head == "probe"}
    assert by_metric == pytest.approx({"map": 0.02, "macro_f1": 0.02, "ranking_loss": 0.02})


def test_differences_are_paired_and_leave_out_the_reference(tmp_path):
    summary = made_summary(tmp_path, lead={10: 0.02, 100: 0.06})
    rows = reading.differences(summary, "bce", ("map",)).set_index(["loss", "num_labels"])["estimate"]
    assert rows["reg"].to_dict() == pytest.approx({10: 0.02, 100: 0.06})
    assert rows["msc"].to_dict() == pytest.approx({10: -0.05, 100: -0.05})
    assert "bce" not in rows.index.get_level_values("loss")


def test_intervals_hold_their_points(tmp_path):
    summary = made_summary(tmp_path, lead={10: 0.02, 100: 0.06})
    arm = list(scores.COLUMNS)
    merged = pd.merge(summary.points, summary.intervals, on=[*arm, "head", "metric"], suffixes=("", "_mean"))
    means = merged.groupby([*arm, "metric"], dropna=False)[["estimate", "estimate_mean"]].mean()
    assert np.allclose(means["estimate"], means["estimate_mean"])
    assert (summary.intervals["lower"] <= summary.intervals["estimate"]).all()


def test_draws_of_labels_are_averaged_and_joined_by_the_largest_size(tmp_path):
    runs = [
        made_run(tmp_path, "bce", 10, replicate, {"map": 0.5 + 0.1 * draw}, draw=draw)
        for replicate in range(3)
        for draw in range(3)
    ]
    runs += [
        made_run(tmp_path, "bce", k, replicate, {"map": 0.4}) for k in (10, 100) for replicate in range(3)
    ]
    grid = Grid(runs, [], 0)
    summary = reading.summarise(Carried(grid, grid, Grid([], [], 0), {}))
    found = reading.matched(summary, ("map",))
    assert found is not None
    rows = found["intervals"].set_index("num_labels")
    assert rows["estimate"].to_dict() == pytest.approx({10: 0.6, 100: 0.4})
    assert rows["draws"].to_dict() == {10: 3, 100: 1}
    assert len(found["points"]) == 6


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
