"""The study of images versus text: its grid, rank correlations with their ceiling, and a reading that follows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import tuning
from mlcl_utils.studies.vision_text import Pair, reading
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

STUDY = studies.get("03_vision_text")
LOSSES = ("bce", "asl", "cosine_bce", "prototype", "msc", "reg")
PAIR = Pair("debtags", "emoji")


def test_both_tasks_of_every_pair_have_every_arm():
    configs = STUDY.grid(STUDY.resolve({"preset": "quick", "datasets": "emoji,debtags,fashion-scenes"}))
    assert len({config.id for config in configs}) == len(configs)
    sides = {(config.dataset, config.matched_to, config.num_labels) for config in configs}
    assert sides == {
        ("debtags", "emoji", 30),
        ("emoji", "debtags", 30),
        ("debtags", "fashion-scenes", 10),
        ("fashion-scenes", "debtags", 10),
    }
    losses = set(STUDY.resolve({"preset": "quick"}).losses)
    for own in sides:
        found = {c.loss for c in configs if (c.dataset, c.matched_to, c.num_labels) == own}
        assert found - set(BASELINES) == losses
        assert {"logistic_regression", "random_encoder", "prior"} <= found


def test_trials_are_those_of_the_label_space_study():
    here = STUDY.grid(STUDY.resolve({"preset": "standard"}))
    there = studies.get("02_label_space")
    theirs = there.resolve({"preset": "standard"})
    shared = set(STUDY.resolve({"preset": "standard"}).losses) & set(theirs.losses)
    own = tuning.trials([config for config in here if config.loss in shared], 8)
    tasks = {tuning.task(config) for config in own}
    same = [config for config in there.grid(theirs) if config.replicate == 0 and tuning.task(config) in tasks]
    others = {config.id for config in tuning.trials(same, 8)}
    assert len(own) == 2 * 8 * len(shared)
    assert {config.id for config in own} <= others


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"datasets": "debtags"}, "name a set of texts and a set of images"),
        ({"datasets": "emoji,fashion-scenes"}, "name a set of texts and a set of images"),
        ({"losses": "bce,reg"}, "at least three"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_correlations_by_hand():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10, 4))  # five losses in two modalities, four replicates
    text, image = values[:5], values[5:]
    between, within = [], []
    for half in itertools.combinations(range(4), 2):
        rest = [at for at in range(4) if at not in half]
        between.append(spearmanr(text[:, half].mean(axis=1), image[:, rest].mean(axis=1)).statistic)
        within.append(spearmanr(text[:, half].mean(axis=1), text[:, rest].mean(axis=1)).statistic)
    both = np.stack([values, rng.normal(size=values.shape)], axis=2)  # columns don't meddle with each other
    assert reading._between(both)[0] == pytest.approx(np.mean(between))
    assert reading._within(both, 0)[0] == pytest.approx(np.mean(within))
    assert reading._between(both[:, :1])[0] == pytest.approx(spearmanr(text[:, 0], image[:, 0]).statistic)
    assert np.isnan(reading._within(both[:, :1], 1)).all()
    # an odd number of replicates: halves of one and two
    assert [len(half) for half, _ in reading._halves(3)] == [1, 1, 1]
    assert all(sorted(one + other) == [0, 1, 2] for one, other in reading._halves(3))


def test_equally_noisy_orders_reach_the_ceiling():
    """Where both modalities have one true order, the correlation between them is the ceiling, however noisy."""
    rng = np.random.default_rng(1)
    truth = np.linspace(0, 1, 8)
    values = np.concatenate([truth, truth])[:, np.newaxis, np.newaxis] + rng.normal(0, 0.5, (16, 4, 300))
    between = reading._between(values).mean()
    ceiling = np.mean([reading._within(values, side) for side in (0, 1)])
    assert ceiling < 0.9  # noisy enough that the naive expectation of 1 would mislead
    assert between == pytest.approx(ceiling, abs=0.04)


def made_summary(folder, text, image, *, noise=0.001, replicates=5, baseline=0.1):
    """Scores of the losses on both sides; the validation score is that of the test."""
    rng, runs = np.random.default_rng(3), []
    for (dataset, other), scores in ((PAIR, text), (PAIR[::-1], image)):
        for replicate in range(replicates):
            split = 0.02 * replicate  # what all losses share
            for loss in (*LOSSES, "logistic_regression", "random_encoder"):
                config = RunConfig(
                    dataset=dataset,
                    matched_to=other,
                    num_labels=10,
                    base_labels=10,
                    replicate=replicate,
                    loss=loss,
                    seed=replicate,
                    recipe=None if loss in BASELINES else Recipe(epochs=1),
                )
                value = baseline if loss in BASELINES else scores[LOSSES.index(loss)]
                value += split + noise * float(rng.normal())
                metrics = {"probe_map": value, "probe_macro_f1": value, "probe_ranking_loss": 1 - value}
                runs.append(made.run(folder, config, {**metrics, "probe_validation_map": value}))
    return reading.summarise(made.carried(runs))


UP = (0.50, 0.51, 0.52, 0.53, 0.54, 0.55)
DOWN = UP[::-1]


def test_the_reading_follows_the_numbers(tmp_path):
    same = made_summary(tmp_path / "a", UP, UP)
    assert {each.verdict for each in reading.carry_overs(same)} == {"carries over"}
    lines = reading.sentences(same)
    assert any(
        "mAP" in line and "order of 6 losses carries over as far as it can be known" in line for line in lines
    )
    assert any("ranking loss" in line and "rank correlation +1.00" in line for line in lines)
    assert any(
        "(REG − Cosine BCE) is ahead on texts (+3.0" in line and "ahead on images (+3.0" in line
        for line in lines
    )
    assert any(
        "of 5 losses beside the reference, 5 differ from it in the same direction" in line for line in lines
    )

    opposite = made_summary(tmp_path / "b", UP, DOWN)
    assert {each.verdict for each in reading.carry_overs(opposite)} == {"does not carry over"}
    lines = reading.sentences(opposite)
    assert any("does not carry over, though it repeats within a modality" in line for line in lines)
    assert any("5 in opposite ones" in line for line in lines)
    assert any("ahead on texts" in line and "behind on images" in line for line in lines)

    noisy = made_summary(tmp_path / "c", (0.5,) * 6, (0.5,) * 6, noise=0.02)
    assert {each.verdict for each in reading.carry_overs(noisy)} == {"cannot be told"}
    assert any("cannot be said to carry over or not" in line for line in reading.sentences(noisy))

    few = reading.sentences(made_summary(tmp_path / "d", UP, UP, replicates=2))
    assert any("With 2 replicates" in line for line in few)


def test_a_part_of_the_order_carries_over_in_part(tmp_path):
    image = (0.50, 0.52, 0.51, 0.55, 0.53, 0.54)
    found = [
        each
        for each in reading.carry_overs(made_summary(tmp_path, UP, image, noise=0.0002))
        if each.head == "probe"
    ]
    assert {each.verdict for each in found} == {"carries over in part"}
    assert found[0].between.estimate == pytest.approx(spearmanr(UP, image).statistic, abs=0.05)


def test_degenerate_losses_are_left_out_of_the_order(tmp_path):
    summary = made_summary(tmp_path, UP, UP, baseline=0.515)
    found = reading.carry_overs(summary)
    assert {each.left_out for each in found} == {("bce", "asl")}
    assert {each.losses for each in found} == {("cosine_bce", "reg", "msc", "prototype")}
    assert any("(without BCE, ASL, degenerate)" in line for line in reading.sentences(summary))
    none = reading.sentences(made_summary(tmp_path / "none", UP, UP, baseline=0.545))
    assert any("fewer than three" in line for line in none)


def test_a_loss_that_lost_a_replicate_is_compared_with_none(tmp_path):
    summary = made_summary(tmp_path, UP, UP)
    task = summary.pairs[PAIR][1]
    whole = reading.carry_overs(summary)
    del summary.arms[task.but(loss="msc")][0]
    found = reading.carry_overs(summary)
    assert len(found) == len(whole) > 0
    assert {(each.lost, "msc" in each.losses) for each in found} == {(("msc",), False)}
    assert {len(each.losses) for each in found} == {5}
    assert any("(without MSC, of failed runs)" in line for line in reading.sentences(summary))
    assert all(each.first != "msc" for each in reading.leads(summary))
    reading.sentences(summary)
