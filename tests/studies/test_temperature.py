"""The temperature study: its grid, its learning rates, its effects, and a reading that follows the numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mlcl_utils import losses, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, RunConfig
from mlcl_utils.studies import claims
from mlcl_utils.studies.temperature import (
    RATE_FACTORS,
    WITH_TEMPERATURE,
    rates,
    reading,
    report,
    sweeps,
    variant,
)
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

STUDY = studies.get("04_temperature")
TAUS = (0.02, 0.3, 1.0)


def grid(**given):
    return STUDY.grid(STUDY.resolve(given))


def test_what_is_trained_where():
    configs = grid(preset="standard")
    assert len({config.id for config in configs}) == len(configs)
    found = {
        (c.dataset, c.encoder, c.loss, variant(c), c.hyperparameters["temperature"])
        for c in configs
        if not c.is_baseline
    }
    taus = set(STUDY.resolve({"preset": "standard"}).temperatures)
    places = {("debtags", "frozen"), ("debtags", "bag"), ("emoji", "frozen"), ("emoji", "cnn")}
    expected = {(*place, "instance", "", t) for place in places for t in taus}
    expected |= {(d, e, "instance", "hard", t) for d, e in places if e != "frozen" for t in taus}
    expected |= {("debtags", "frozen", "reg", "", t) for t in taus}
    expected |= {("debtags", "frozen", "instance", "scaled", t) for t in taus - {1.0}}
    assert found == expected
    scaled = {
        c.hyperparameters["temperature"]: c.recipe.loss_scale for c in configs if variant(c) == "scaled"
    }
    assert all(scale == temperature for temperature, scale in scaled.items())
    assert all(config.read_projection != config.is_baseline for config in configs)


def test_known_losses_are_those_with_a_temperature():
    found = {name for name in losses.names() if "temperature" in losses.info(name).hyperparameters}
    assert set(WITH_TEMPERATURE) <= found - {"kmcl"}  # kmcl has no projection to read


def test_baselines_are_the_runs_of_the_label_space_study():
    own = {
        config.id
        for config in grid(preset="quick")
        if config.is_baseline and config.loss != "shuffled_labels"
    }
    other = studies.get("02_label_space")
    assert own <= {
        config.id
        for config in other.grid(other.resolve({"preset": "quick", "encoders": ["frozen", "bag", "cnn"]}))
    }
    assert len(own) > 10


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"losses": ["bce"]}, "loss 'bce' has no temperature"),
        ({"losses": ["splc+clml"]}, r"loss 'splc\+clml' has no temperature"),
        ({"temperatures": [0.1]}, "at least two"),
        ({"temperatures": [0.1, 0.0]}, "temperatures"),
        ({"hard_fraction": 0}, "hard_fraction"),
        ({"trials": 4}, "trials 4: there are 3 learning rates"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_each_temperature_has_its_learning_rate_and_the_control_that_of_the_plain_loss(tmp_path):
    configs = grid(preset="smoke", replicates=2, trials=3)
    trials = rates.trials_of(configs, 3)
    assert {config.replicate for config in trials} == {0}
    assert {variant(config) for config in trials} == {"", "hard"}
    by_arm: dict = {}
    for config in trials:
        by_arm.setdefault((config.encoder, rates.describe(config)), []).append(config)
    assert all(len(several) == len(RATE_FACTORS) for several in by_arm.values())

    # the best of each is another one: the higher the temperature, the higher the rate
    def score(config):
        wanted = {0.07: 1.0, 1.0: 4.0}[config.hyperparameters["temperature"]]
        factor = config.recipe.learning_rate / Recipe.of(config.encoder, epochs=1).learning_rate
        return 0.5 - abs(np.log(factor / wanted)) / 10

    runs = [made.run(tmp_path, config, {"probe_validation_map": score(config)}) for config in trials]
    choices = rates.choose(Grid(runs, [], 0), configs)
    tuned = rates.chosen(configs, choices)
    assert [config.is_baseline for config in tuned] == [config.is_baseline for config in configs]
    for before, after in zip(configs, tuned, strict=True):
        if before.is_baseline:
            assert after == before
            continue
        factor = 4.0 if before.hyperparameters["temperature"] == 1 else 1.0
        assert after.recipe.learning_rate == pytest.approx(factor * before.recipe.learning_rate)
        assert after.recipe.table_rate == pytest.approx(factor * before.recipe.table_rate)
        assert after.recipe.loss_scale == before.recipe.loss_scale
    edges = {key[2]: choice.at_edge for key, choice in choices.items()}
    assert edges["Instance, τ 1"] == ("learning_rate",)
    assert edges["Instance, τ 0.07"] == ()
    assert all(choice.default <= choice.score for choice in choices.values())


def made_summary(folder, *, scores, uniformity, hard=None, scaled=0.0, baseline=0.1, replicates=5, taus=TAUS):
    """Instance discrimination on `bag` with given scores and uniformity by temperature; tolerance is 1 minus it."""

    def config(loss, replicate, **more):
        recipe = None if loss in BASELINES else Recipe(epochs=1)
        given = {
            "dataset": "debtags",
            "num_labels": 10,
            "base_labels": 10,
            "encoder": "bag",
            "recipe": recipe,
        }
        return RunConfig(**given | {"loss": loss, "replicate": replicate, "seed": replicate} | more)

    runs = []
    for replicate in range(replicates):
        wobble = 0.0005 * replicate
        for at, temperature in enumerate(taus):
            own = {"temperature": temperature}

            def metrics(score, spread, wobble=wobble):
                heads = {f"{head}_map": score + wobble for head in ("probe", "projection", "neighbours")}
                heads |= {"projection_map": 0.5 + 2 * (score - 0.5) + wobble}
                return {
                    **heads,
                    "probe_macro_f1": score,
                    "probe_validation_map": score,
                    "uniformity": spread + 3 * wobble,
                    "tolerance": 1 - spread / 4 + wobble,
                    "tolerance_gap": 0.1,
                    "effective_rank": 9.0,
                    "penalty_entropy": 2.0,
                }

            plain = config("instance", replicate, hyperparameters=own)
            runs.append(made.run(folder, plain, metrics(scores[at], uniformity[at])))
            if hard is not None:
                nearest = config("instance", replicate, hyperparameters={**own, "hard_fraction": 0.1})
                runs.append(made.run(folder, nearest, metrics(scores[at], hard[at])))
            if temperature != 1:
                changed = dataclasses.replace(
                    plain, recipe=dataclasses.replace(plain.recipe, loss_scale=temperature)
                )
                runs.append(made.run(folder, changed, metrics(scores[at] + scaled, uniformity[at])))
        for loss in ("logistic_regression", "random_encoder"):
            runs.append(made.run(folder, config(loss, replicate), {"probe_map": baseline + wobble}))
    return sweeps.summarise(made.carried(runs))


AS_PUBLISHED = {"scores": (0.40, 0.55, 0.50), "uniformity": (3.8, 3.4, 2.9), "hard": (3.8, 3.78, 3.75)}
OPPOSITE = {"scores": (0.55, 0.54, 0.50), "uniformity": (2.9, 3.4, 3.8), "hard": (3.8, 2.9, 2.0)}


def verdicts(summary):
    rows = claims.judged("04_temperature", sweeps.effects(summary))
    return rows[rows["dataset"] == "debtags"].groupby("claim")["verdict"].agg(list).to_dict()


def test_verdicts_follow_the_numbers(tmp_path):
    assert verdicts(made_summary(tmp_path / "a", **AS_PUBLISHED)) == {
        "uniformity_falls": ["holds"],
        "tolerance_rises": ["holds"],
        "intermediate_best": ["holds", "holds"],
        "hard_negatives_uniform": ["holds"],
    }
    assert verdicts(made_summary(tmp_path / "b", **OPPOSITE)) == {
        "uniformity_falls": ["reversed"],
        "tolerance_rises": ["reversed"],
        "intermediate_best": ["no material effect", "holds"],  # the lowest temperature is the best itself
        "hard_negatives_uniform": ["reversed"],
    }


def test_nothing_rests_on_degenerate_arms(tmp_path):
    found = verdicts(made_summary(tmp_path, baseline=0.45, **AS_PUBLISHED))
    # the arm at the lowest temperature is below the untrained encoder
    assert found["intermediate_best"] == ["not judged", "holds"]
    assert found["uniformity_falls"] == ["not judged"]


def test_the_reading_follows_the_numbers(tmp_path):
    lines = reading.sentences(made_summary(tmp_path / "a", **AS_PUBLISHED))
    assert any("uniformity falls with τ (rank correlation -1.00" in line for line in lines)
    assert any("tolerance rises with τ" in line for line in lines)
    assert any("validation prefers τ 0.3" in line and "ahead of τ 0.02 (+15.0" in line for line in lines)
    assert any(
        "15.0 points read from the representation and by 30.0" in line and "more there" in line
        for line in lines
    )
    assert any("by 0.05, less than with all negatives (0.90" in line for line in lines)
    assert any("times τ: cannot be told from the loss itself" in line for line in lines)
    assert not any("below" in line and "none of" not in line for line in lines)
    assert not any("no verdict" in line for line in lines)

    lines = reading.sentences(made_summary(tmp_path / "b", scaled=0.03, baseline=0.52, **OPPOSITE))
    assert any("uniformity rises with τ" in line and "tolerance falls with τ" in line for line in lines)
    assert any(
        "validation prefers τ 0.02, the lowest of the range, ahead of τ 1 (+5.0" in line for line in lines
    )
    assert any("more than with all negatives" in line for line in lines)
    assert any("times τ: differs from the loss" in line and "+3.0" in line for line in lines)
    (remark,) = [line for line in lines if "below the untrained encoder" in line]
    assert "Instance at τ 1 (debtags, 10 labels, bag)" in remark

    few = reading.sentences(made_summary(tmp_path / "c", replicates=2, **AS_PUBLISHED))
    assert any("2 replicates" in line and "no verdict" in line for line in few)


def test_without_the_temperatures_that_the_source_has_not(tmp_path):
    """Uniformity collapses at 0.02 alone: the trend of three points is lost, that of the source's two is not."""
    collapsing = {
        "taus": (0.02, 0.07, 0.3, 1.0),
        "scores": (0.40, 0.55, 0.55, 0.50),
        "uniformity": (2.0, 3.8, 3.4, 2.9),
        "hard": (2.0, 3.8, 3.8, 3.78),
    }
    summary = made_summary(tmp_path / "a", **collapsing)
    assert report.PUBLISHED["temperature"].min() == sweeps.LOWEST_OF_SOURCE
    found = {each.words: each for each in sweeps.comparisons(summary)}
    assert [each.below for each in found.values()] == [[0.02]] * 3
    falls, hard = found["−ρ(τ, uniformity)"], found["range of plain − range of hard"]
    assert (falls.everywhere.estimate, falls.source.estimate) == (pytest.approx(-0.2), pytest.approx(1.0))
    assert (hard.everywhere.estimate, hard.source.estimate) == (pytest.approx(0.0), pytest.approx(0.88))
    lines = reading.sentences(summary)
    assert any(
        "without τ 0.02" in line and "hard is +0.88 [+0.88, +0.88] from τ 0.07 on" in line for line in lines
    )
    # judged over all temperatures, whatever the others say
    assert verdicts(summary)["uniformity_falls"] == ["no material effect"]
    # what the arms of the source's temperatures lack stands beside it
    degenerate = made_summary(tmp_path / "b", baseline=0.52, **collapsing)
    assert {each.impediment for each in sweeps.comparisons(degenerate)} == {"degenerate: Instance"}


def test_what_the_source_has_too_is_not_compared(tmp_path):
    summary = made_summary(tmp_path, **AS_PUBLISHED)
    # the source has two of the three temperatures, and any two have a perfect trend
    assert [each.words for each in sweeps.comparisons(summary)] == ["range of plain − range of hard"]
    assert not any("without τ" in line for line in reading.sentences(summary))  # both ranges say the same
    kept = [sweep.above(0.07) for sweep in summary.sweeps]
    assert sweeps.comparisons(dataclasses.replace(summary, sweeps=kept)) == []


def test_an_arm_that_lost_a_replicate_is_left_out(tmp_path):
    summary = made_summary(tmp_path, **AS_PUBLISHED)
    plain = next(sweep for sweep in summary.sweeps if not sweep.variant)
    del summary.arms[plain.arms[0.3]][2]
    assert sweeps.quantities(summary, plain, "probe_map") is None
    found = sweeps.effects(summary)
    assert {claim for claim, several in found.items() if several} == set()
    reading.sentences(summary)


def test_a_weak_trend_is_not_called_one(tmp_path):
    summary = made_summary(tmp_path, scores=(0.4, 0.5, 0.4), uniformity=(3.0, 3.6, 3.2))
    assert any(
        "uniformity has no clear trend with τ (rank correlation +0.50" in line
        for line in reading.sentences(summary)
    )


def test_a_constant_has_no_trend(tmp_path):
    summary = made_summary(tmp_path, scores=(0.4, 0.5, 0.4), uniformity=(3.0, 3.0, 3.0))
    plain = next(sweep for sweep in summary.sweeps if not sweep.variant)
    assert sweeps.trend(summary, plain, "uniformity") is None
    assert sweeps.effects(summary)["uniformity_falls"] == []
