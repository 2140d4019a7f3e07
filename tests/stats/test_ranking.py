"""Ranks by hand, and how often verdicts are wrong where examples are resampled and the truth is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats as distributions

from mlcl_utils import stats
from mlcl_utils.stats import Replicates


def effect(centre, error, count=5):
    """Five replicates with the given mean and corrected standard error (t quantiles 2.776 at 95, 2.132 at 90)."""
    values = np.linspace(-1, 1, count)
    values *= error / np.sqrt((1 / count + 2 / 7) * values.var(ddof=1))
    return Replicates(tuple(range(count)), centre + values)


def test_the_bootstrap_can_stop_a_verdict():
    sure = effect(4.0, 0.1)
    assert stats.decide(sure, 1.0) == "holds"
    noise = np.random.default_rng(0).normal(0, 9, (5, 100))
    assert stats.decide(Replicates(sure.index, sure.values, noise), 1.0) == "open"


def test_holm_by_hand():
    got = stats.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    # Sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, then never falling.
    np.testing.assert_allclose(got, [0.03, 0.06, 0.06, 0.02])
    assert stats.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert stats.holm(np.array([])).shape == (0,)


def simulate(rng, weights, *, true_effect, training_noise, example_noise=1.0, arms=1):
    """Differences of arms on five overlapping splits of one data set: what examples have in common over
    replicates, and what each training adds."""
    count = weights.shape[1]
    examples = rng.normal(true_effect, example_noise, (arms, count))
    values, resamples = np.empty((arms, 5)), np.empty((arms, 5, len(weights)))
    for replicate in range(5):
        test = rng.permutation(count)[: count // 5]
        seen = examples[:, test] + rng.normal(0, training_noise, (arms, 1))
        weight = weights[:, test]
        values[:, replicate] = seen.mean(axis=1)
        resamples[:, replicate] = seen @ weight.T / weight.sum(axis=1)
    return [Replicates(tuple(range(5)), v, r) for v, r in zip(values, resamples, strict=True)]


@pytest.fixture(scope="module")
def weights():
    return stats.group_weights(np.arange(400), resamples=150)


@pytest.mark.parametrize("training_noise", [0.0, 0.05, 0.3])
def test_without_any_effect_few_verdicts_are_given(weights, training_noise):
    """At most the nominal 5% (and 2.5% each way), whichever source of noise prevails."""
    rng = np.random.default_rng(1)
    counts = Counter(
        stats.decide(simulate(rng, weights, true_effect=0.0, training_noise=training_noise)[0], 0.0)
        for _ in range(600)
    )
    # Three standard errors of a share of 5% in 600 are 2.7%, of 2.5% they are 1.9%.
    assert 0 < counts["holds"] + counts["opposite"] <= 0.077 * 600
    assert max(counts["holds"], counts["opposite"]) <= 0.044 * 600


def test_at_the_margin_few_verdicts_are_given(weights):
    rng = np.random.default_rng(2)
    verdicts = [
        stats.decide(simulate(rng, weights, true_effect=0.5, training_noise=0.1)[0], 0.5) for _ in range(400)
    ]
    assert verdicts.count("holds") <= 0.044 * 400
    assert verdicts.count("no material effect") <= 0.077 * 400
    assert verdicts.count("opposite") == 0


@pytest.mark.parametrize(
    ("true_effect", "margin", "verdict"),
    [(0.6, 0.1, "holds"), (-0.6, 0.1, "opposite"), (0.0, 0.5, "no material effect")],
)
def test_a_clear_truth_is_found(weights, true_effect, margin, verdict):
    rng = np.random.default_rng(4)
    found = sum(
        stats.decide(simulate(rng, weights, true_effect=true_effect, training_noise=0.1)[0], margin)
        == verdict
        for _ in range(100)
    )
    assert found >= 90


def test_coverage(weights):
    """The 95% interval holds the truth at least that often."""
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(400):
        bounds = stats.interval(simulate(rng, weights, true_effect=0.7, training_noise=0.05)[0])
        inside += bounds.lower <= 0.7 <= bounds.upper
    assert inside >= 0.92 * 400


def test_standings():
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(0, 1, 5), rng.normal(0, 0.1, (5, 60))

    def arm(level):
        values = level + shared + rng.normal(0, 0.05, 5)
        return Replicates(tuple(range(5)), values, values[:, None] + noise)

    arms = {"good": arm(1.02), "equal": arm(1.0), "poor": arm(0.0)}
    # The replicates differ far more from each other than the arms do: only pairing can tell them apart.
    assert stats.standings(arms) == {"good": "best", "equal": "not worse", "poor": "worse"}
    losses = {name: stats.combine([part], lambda v: -v[0]) for name, part in arms.items()}
    assert stats.standings(losses, higher_is_better=False) == stats.standings(arms)
    single = {name: Replicates((0,), part.values[:1]) for name, part in arms.items()}
    assert stats.standings(single) == {"good": "best", "equal": "not worse", "poor": "not worse"}


@pytest.mark.parametrize("true_effect", [0.0, 1.0, 2.0, 3.0])
def test_power_is_that_of_the_noncentral_t(true_effect):
    """With independent replicates the rate of *holds* is known in closed form, for no effect and for any."""
    rng = np.random.default_rng(6)
    count, ratio, rounds = 5, 20 / 70, 1000
    held = sum(
        stats.decide(Replicates(tuple(range(count)), rng.normal(true_effect, 1.0, count)), 0.0) == "holds"
        for _ in range(rounds)
    )
    # the corrected error is larger than that of independent draws by this factor
    threshold = distributions.t.ppf(0.975, count - 1) * np.sqrt(1 + count * ratio)
    expected = distributions.nct.sf(threshold, count - 1, true_effect * np.sqrt(count))
    assert abs(held / rounds - expected) < 3.5 * np.sqrt(max(expected * (1 - expected), 1 / rounds) / rounds)
    assert (0.0 < expected < 0.025) == (true_effect == 0.0)


def test_a_lead_at_the_margin_gives_few_verdicts_either_way(weights):
    rng = np.random.default_rng(7)
    verdicts = [
        stats.decide(
            simulate(rng, weights, true_effect=-0.5, training_noise=0.1)[0], 0.5, test="non-superiority"
        )
        for _ in range(400)
    ]
    assert verdicts.count("holds") <= 0.044 * 400
    assert verdicts.count("opposite") + verdicts.count("does not hold") <= 0.083 * 400


def test_one_seed_gives_one_interval_and_another_seed_another():
    """From scores to the interval: every draw hangs on the seed that is given, and on nothing else."""
    rng = np.random.default_rng(8)
    labels = (rng.random((120, 6)) < 0.3).astype(np.int8)
    labels[:, 0] = np.arange(120) % 2
    scores = labels + rng.normal(0, 1, labels.shape)

    def bounds(seed):
        drawn = stats.group_weights(np.arange(120), resamples=100, seed=seed)
        found = stats.resample_metrics(labels, scores, 0.5, drawn)["map"]
        one = stats.interval(Replicates((0,), np.array([0.6]), found[None]))
        return one.lower, one.upper

    np.random.seed(1)  # noqa: NPY002  (the global state must not matter)
    first = bounds(3)
    np.random.seed(2)  # noqa: NPY002
    assert bounds(3) == first
    assert bounds(4) != first
