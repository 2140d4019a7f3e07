"""Verdicts and probabilities of rule 2, by hand and by simulation: how often they err, and what they say of that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as distributions

from mlcl_utils import stats
from mlcl_utils.stats import Replicates

RNG = np.random.default_rng


def exact(centre: float, error: float, count: int = 5) -> Replicates:
    """Replicates with the given mean and corrected standard error."""
    values = np.linspace(-1, 1, count)
    values *= error / np.sqrt((1 / count + 2 / 7) * values.var(ddof=1))
    return Replicates(tuple(range(count)), centre + values)


T95, T90 = distributions.t.ppf([0.975, 0.95], 4)


@pytest.mark.parametrize(
    ("centre", "verdict"),
    [
        (1 + 1.01 * T95, "holds"),
        (1 + 0.99 * T95, "open"),
        (-1 - 1.01 * T95, "opposite"),
        (
            -1 - 0.99 * T95,
            "does not hold",
        ),  # one-sided it is below the margin, two-sided not below the negative
        (1 - 1.01 * T90, "does not hold"),
        (1 - 0.99 * T90, "open"),
    ],
)
def test_bounds_decide(centre: float, verdict: str) -> None:
    assert stats.decide(exact(centre, 1.0), 1.0) == verdict


def test_what_is_small_both_ways_is_immaterial_before_it_does_not_hold() -> None:
    assert stats.decide(exact(0.0, 0.99 / T90), 1.0) == "no material effect"
    assert stats.decide(exact(0.0, 1.01 / T90), 1.0) == "open"
    assert stats.decide(exact(-0.2, 1.01 / T90), 1.0) == "does not hold"
    assert stats.decide(exact(-3.0, 0.1), 1.0) == "opposite"


def test_without_a_margin_nothing_is_immaterial() -> None:
    assert stats.decide(exact(0.0, 1e-9), 0.0) in ("open", "does not hold", "holds")
    assert stats.decide(exact(1e-3, 1e-6), 0.0) == "holds"
    assert stats.decide(exact(-1e-3, 1e-6), 0.0) == "opposite"


@pytest.mark.parametrize(
    ("centre", "verdict"),
    [
        (0.0, "holds"),  # not behind by more than the margin
        (-1 + 1.01 * T95, "holds"),
        (-1 + 0.99 * T95, "open"),
        (-1 - 1.01 * T90, "does not hold"),
        (-1 - 1.01 * T95, "opposite"),
    ],
)
def test_non_superiority_mirrors_it(centre: float, verdict: str) -> None:
    error = 0.01 if centre == 0 else 1.0
    assert stats.decide(exact(centre, error), 1.0, test="non-superiority") == verdict


def test_a_ratio_of_three_is_not_tenfold_and_no_band_makes_it_immaterial() -> None:
    threefold = exact(math.log(3), 0.1)
    assert stats.decide(threefold, math.log(10), test="ratio") == "does not hold"
    assert stats.decide(exact(math.log(30), 0.1), math.log(10), test="ratio") == "holds"
    assert stats.decide(exact(-math.log(30), 0.1), math.log(10), test="ratio") == "opposite"
    assert stats.decide(threefold, 0.0, test="ratio") == "holds"


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be 0 or more"):
        stats.decide(exact(0, 1), margin)


def test_probabilities_are_those_of_students_t() -> None:
    found = stats.evidence(exact(1.5, 0.7), 1.0)
    spread = distributions.t(4, loc=1.5, scale=0.7)
    assert (found.above, found.below) == pytest.approx((spread.sf(1), spread.cdf(-1)))
    assert found.above + found.within + found.below == pytest.approx(1)
    assert found.claim() == found.above
    assert found.claim("non-superiority") == pytest.approx(1 - found.below)


def test_probabilities_are_by_the_wider_component() -> None:
    base = exact(1.5, 0.1)
    noise = RNG(0).normal(size=400)
    wide = Replicates(base.index, base.values, base.values[:, None] + 2 * noise / noise.std(ddof=1))
    assert wide.bootstrap_error == pytest.approx(2.0)
    assert wide.error == pytest.approx(2.0)
    assert stats.evidence(wide, 1.0).above == pytest.approx(distributions.t(4, 1.5, 2.0).sf(1))
    single = Replicates((0,), np.array([1.5]), 1.5 + noise[None] / noise.std(ddof=1))
    assert stats.evidence(single, 1.0).above == pytest.approx(distributions.norm(1.5, 1).sf(1))
    nothing = stats.evidence(Replicates((0,), np.array([1.5])), 1.0)
    assert math.isnan(nothing.above)
    certain = stats.evidence(Replicates((0, 1), np.array([1.5, 1.5])), 1.0)
    assert (certain.above, certain.within, certain.below) == (1, 0, 0)


def test_where_test_data_are_shared_the_components_add() -> None:
    base = exact(0.0, 0.3)
    noise = RNG(0).normal(size=400)
    resamples = base.values[:, None] + 0.4 * noise / noise.std(ddof=1)
    apart = Replicates(base.index, base.values, resamples)
    shared = Replicates(base.index, base.values, resamples, shared_test=True)
    assert apart.error == pytest.approx(0.4)
    assert shared.error == pytest.approx(0.5)
    found = stats.interval(shared)
    assert found.upper == pytest.approx(math.hypot(T95 * 0.3, 1.959964 * 0.4))
    assert stats.difference(shared, shared.only(range(5))).shared_test
    with pytest.raises(ValueError, match="share one test part"):
        stats.difference(shared, apart)
    alone = Replicates(
        base.index, base.values, shared_test=True
    )  # without resamples one component is all there is
    assert stats.interval(alone).upper == pytest.approx(T95 * 0.3)


def test_seeds_are_averaged_within_splits() -> None:
    values = np.array([1.0, 4.0, 3.0, 6.0])
    found = Replicates.over_seeds(
        [0, 2, 0, 2], values, np.stack([values, values + 1], axis=1), test_ratio=0.0
    )
    assert found.index == (0, 2)
    assert found.values.tolist() == [2.0, 5.0]
    assert found.resamples is not None
    assert found.resamples.tolist() == [[2.0, 3.0], [5.0, 6.0]]
    assert found.replicate_error == pytest.approx(np.std([2, 5], ddof=1) / math.sqrt(2))
    with pytest.raises(ValueError, match=r"splits \[0, 1\] have \[2, 1\] trainings"):
        Replicates.over_seeds([0, 0, 1], values[:3])


def test_expected_errors_and_grades() -> None:
    assert stats.expected_errors([0.99, 0.95, 0.9]) == pytest.approx(0.16)
    assert stats.expected_errors([]) == 0
    assert [stats.grade(p) for p in (0.96, 0.95, 0.94, 0.8, 0.79, 0.1)] == [
        "strong", "strong", "leaning", "leaning", "unclear", "unclear",
    ]  # fmt: skip


def test_false_discovery_rates_are_scipys_and_leave_out_what_was_not_tested() -> None:
    p_values = RNG(0).uniform(size=20) ** 2
    assert stats.false_discovery_rates(p_values) == pytest.approx(
        distributions.false_discovery_control(p_values)
    )
    with_gap = np.insert(p_values, 3, math.nan)
    found = stats.false_discovery_rates(with_gap)
    assert math.isnan(found[3])
    assert np.delete(found, 3) == pytest.approx(distributions.false_discovery_control(p_values))
    assert len(stats.false_discovery_rates(np.array([]))) == 0


def test_pooling_against_quadrature() -> None:
    means, errors, margin = np.array([1.0, 2.5, -0.5]), np.array([0.4, 0.6, 0.5]), 1.0
    parts = [exact(mean, error, count=40) for mean, error in zip(means, errors, strict=True)]
    found = stats.pool(parts, margin)
    scale = distributions.t.ppf(0.975, 39) / distributions.norm.ppf(0.975)

    def density(spread: float, centre: float) -> float:
        likelihood = distributions.norm.pdf(means, centre, np.hypot(errors * scale, spread)).prod()
        return float(likelihood * distributions.halfnorm.pdf(spread, scale=margin))

    def moment(power: int, of_spread: bool = False) -> float:
        def weighed(spread: float, centre: float) -> float:
            return (spread if of_spread else centre) ** power * density(spread, centre)

        return float(integrate.dblquad(weighed, -6, 8, 0, 8, epsabs=1e-4)[0])

    whole = moment(0)
    assert found.estimate == pytest.approx(moment(1) / whole, abs=5e-3)
    assert found.spread == pytest.approx(moment(1, of_spread=True) / whole, abs=1e-2)
    assert found.lower < found.estimate < found.upper
    assert (found.n, found.prior) == (3, margin)
    assert 0 < found.below < found.above < 1


def test_pooling_shrinks_the_interval_of_data_sets_that_agree_and_not_of_those_that_do_not() -> None:
    alike = stats.pool([exact(1.0, 0.3)] * 6, 0.5)
    apart = stats.pool([exact(value, 0.3) for value in (-3, -1, 1, 1, 3, 5)], 0.5)
    assert (
        alike.upper - alike.lower
        < stats.interval(exact(1.0, 0.3)).upper - stats.interval(exact(1.0, 0.3)).lower
    )
    assert apart.upper - apart.lower > 2 * (alike.upper - alike.lower)
    assert apart.spread > 3 * alike.spread
    with pytest.raises(ValueError, match="2 data sets, 3 are needed"):
        stats.pool([exact(1, 1)] * 2, 0.5)
    with pytest.raises(ValueError, match="margin must be above 0"):
        stats.pool([exact(1, 1)] * 3, 0.0)
    with pytest.raises(ValueError, match="error of a data set is unknown"):
        stats.pool([Replicates((0,), np.array([1.0]))] * 3, 0.5)


# --- calibration


class Design(NamedTuple):
    """How a setting is measured, and what its variance is made of."""

    splits: int
    seeds: int
    seed_share: float
    shared_test: bool


DESIGNS = [
    Design(splits, seeds, share, shared)
    for splits, seeds in ((10, 2), (5, 1))
    for share in (0.45, 0.8)
    for shared in (False, True)
]
DELTA = 1.0
TRIALS = 300
TEST_RATIO, VALIDATION_RATIO = 2 / 7, 1 / 7


def simulated(design: Design, truths: np.ndarray, deviation: float, seed: int) -> Iterator[Replicates]:
    """Effects as they are measured, around true ones, with the given standard deviation of one training.

    Splits overlap, so that what differs between them by their data is correlated by n_test / (n_test + n_train); seeds
    are independent. A shared test part adds an error that is the same in all splits, which resampling of it shows.
    """
    rng = RNG(seed)
    ratio = VALIDATION_RATIO if design.shared_test else TEST_RATIO
    correlation = ratio / (1 + ratio)
    data = deviation * math.sqrt(1 - design.seed_share)
    own = deviation * math.sqrt(design.seed_share)
    test = 0.5 * deviation
    for truth in truths:
        common, apart = rng.normal(size=1), rng.normal(size=design.splits)
        by_split = data * (math.sqrt(correlation) * common + math.sqrt(1 - correlation) * apart)
        values = truth + by_split[:, None] + own * rng.normal(size=(design.splits, design.seeds))
        draws = rng.normal(size=100)
        if design.shared_test:
            values = values + test * rng.normal()
            noise = np.broadcast_to(test * draws, (design.splits, 100))
        else:  # part of what differs between splits
            noise = 0.3 * data * rng.normal(size=(design.splits, 100))
        splits = np.repeat(np.arange(design.splits), design.seeds)
        resamples = values.reshape(-1, 1) + np.repeat(noise, design.seeds, axis=0)
        yield Replicates.over_seeds(
            splits.tolist(), values.ravel(), resamples, test_ratio=ratio, shared_test=design.shared_test
        )


def at_most(rate: float, trials: int) -> float:
    """A rate and three Monte Carlo errors of it."""
    return rate + 3 * math.sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_verdicts_err_no_more_than_they_may_and_intervals_cover(design: Design) -> None:
    for truth in (0.0, DELTA, -DELTA):
        found = list(simulated(design, np.full(TRIALS, truth), deviation=0.5, seed=int(10 * truth) + 50))
        verdicts = [stats.decide(each, DELTA) for each in found]
        if truth <= DELTA:
            assert verdicts.count("holds") / TRIALS <= at_most(0.025, TRIALS)
        if truth >= DELTA:
            wrong = sum(
                verdict in ("does not hold", "opposite", "no material effect") for verdict in verdicts
            )
            assert wrong / TRIALS <= at_most(0.05, TRIALS)
        covered = sum((bounds := stats.interval(each)).lower <= truth <= bounds.upper for each in found)
        assert 1 - covered / TRIALS <= at_most(0.05, TRIALS)


@pytest.mark.parametrize("reach", [1.0, 2.0])
@pytest.mark.parametrize("design", [each for each in DESIGNS if each.seed_share == 0.45], ids=str)
def test_probabilities_are_never_overconfident_and_few_decisions_are_wrong(
    design: Design, reach: float
) -> None:
    truths = RNG(int(reach)).normal(scale=reach * DELTA, size=2 * TRIALS)
    found = list(simulated(design, truths, deviation=0.5, seed=7))
    claimed = np.array([stats.evidence(each, DELTA).above for each in found])
    held = truths > DELTA
    # where the claim is called probable it holds at least as often as is said, where improbable at most as often
    for low in (0.8, 0.95):
        for said, true in ((claimed, held), (1 - claimed, ~held)):
            part = said >= low
            if part.sum() >= 20:
                mean = said[part].mean()
                assert true[part].mean() >= mean - 3 * math.sqrt(max(mean * (1 - mean), 0.01) / part.sum())
    verdicts = np.array([stats.decide(each, DELTA) for each in found])
    wrong = (verdicts == "holds") & ~held
    wrong |= np.isin(verdicts, ["does not hold", "opposite", "no material effect"]) & held
    decided = (verdicts != "open").sum()
    assert decided > TRIALS / 2
    assert wrong.sum() / decided < at_most(0.02, int(decided))
