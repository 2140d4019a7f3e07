"""Intervals, pairing and aggregates by hand and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcl_utils import stats
from mlcl_utils.stats import Replicates


def made(values, resamples=None, ratio=20 / 70):
    values = np.asarray(values, dtype=float)
    return Replicates(tuple(range(len(values))), values, resamples, ratio)


def noisy(seed, count=5, draws=60, ratio=0.3):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count)
    return made(values, values[:, None] + rng.normal(0.3, 1, (count, draws)), ratio)


def test_corrected_interval_by_hand():
    # Values 1, 2, 3: mean 2, variance 1; 1/3 + 2/3 = 1, so the standard error is 1; t(0.975, 2) = 4.302653.
    got = stats.interval(made([1, 2, 3], ratio=2 / 3))
    assert got.replicate == pytest.approx((2 - 4.302653, 2 + 4.302653), abs=1e-6)
    assert (got.lower, got.upper) == got.replicate
    assert (got.estimate, got.n, got.level) == (2, 3, 0.95)
    assert all(math.isnan(bound) for bound in got.bootstrap)


def test_without_overlap_it_is_students_interval():
    values = np.array([0.3, 0.5, 0.45, 0.6])
    got = stats.interval(made(values, ratio=0.0), level=0.9)
    expected = scipy.stats.t.interval(0.9, 3, values.mean(), scipy.stats.sem(values))
    assert got.replicate == pytest.approx(expected)


def test_bootstrap_interval_is_of_the_mean_over_replicates():
    draws = np.array([[0.0, 2.0, 4.0], [0.0, 0.0, 3.0]])  # means 0, 1, 3.5
    got = stats.interval(made([1.0, 1.0], draws))
    half = 1.959964 * np.std([0, 1, 3.5], ddof=1)
    assert got.bootstrap == pytest.approx((1 - half, 1 + half), abs=1e-5)
    assert got.replicate == (1, 1)
    assert (got.lower, got.upper) == got.bootstrap


def test_undefined_resamples_are_left_out():
    draws = np.array([[0.0, 2.0, np.nan, 4.0]])
    assert made([1.0], draws).bootstrap_error == pytest.approx(2.0)


def test_one_replicate_has_the_bootstrap_alone():
    got = stats.interval(made([1.0], np.array([[0.0, 1.0, 2.0]])))
    assert all(math.isnan(bound) for bound in got.replicate)
    assert (got.lower, got.upper) == got.bootstrap
    nothing = stats.interval(made([1.0]))
    assert math.isnan(nothing.lower)
    assert math.isnan(nothing.upper)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 8), level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_invariants(seed, count, level):
    parts = noisy(seed, count)
    got = stats.interval(parts, level=level)
    assert got.lower <= got.estimate <= got.upper
    widths = [b - a for a, b in (got.replicate, got.bootstrap) if not math.isnan(a)]
    assert got.upper - got.lower == pytest.approx(max(widths))
    assert stats.interval(parts, level=(1 + level) / 2).lower < got.lower
    # The p-value is below half of what the level leaves exactly where the interval clears the bound.
    for bound in np.linspace(got.lower - 1, got.upper + 1, 9):
        assert (stats.p_above(parts, bound) < (1 - level) / 2) == (got.lower > bound)
        assert (stats.p_below(parts, bound) < (1 - level) / 2) == (got.upper < bound)


def test_same_numbers_same_interval():
    assert stats.interval(noisy(1)) == stats.interval(noisy(1))
    assert stats.interval(noisy(1)) != stats.interval(noisy(2))


def test_p_value_against_scipy():
    values = np.array([0.3, 0.5, 0.45, 0.6])
    expected = scipy.stats.ttest_1samp(values, 0.4, alternative="greater").pvalue
    assert stats.p_above(made(values, ratio=0.0), 0.4) == pytest.approx(expected)
    assert stats.p_below(made(values, ratio=0.0), 0.4) == pytest.approx(1 - expected)


def test_without_any_spread_the_value_is_certain():
    assert stats.p_above(made([1.0, 1.0]), 0.5) == 0
    assert stats.p_above(made([1.0, 1.0]), 1.0) == 1


def test_pairing_removes_what_both_share():
    rng = np.random.default_rng(0)
    shared, common = rng.normal(size=5), rng.normal(size=(5, 80))
    first = made(shared + 1.0, common + 1.0)
    second = made(shared, common)
    got = stats.interval(stats.difference(first, second))
    assert got.lower == pytest.approx(1)
    assert got.upper == pytest.approx(1)
    itself = stats.interval(stats.difference(first, first))
    assert (itself.lower, itself.estimate, itself.upper) == (0, 0, 0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Replicates((0, 2), np.zeros(2)), r"replicates \[0, 2\] cannot be paired with \[0, 1\]"),
        (Replicates((0, 1), np.zeros(2), None, 0.5), "test ratios 0.5 and"),
        (Replicates((0, 1), np.zeros(2), np.zeros((2, 9))), "differ in number"),
    ],
)
def test_what_cannot_be_paired(other, message):
    with pytest.raises(ValueError, match=message):
        stats.difference(made([0.0, 1.0]), other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), np.zeros(0)), "0 replicates but values"),
        (((0, 1), np.zeros(3)), "2 replicates but values"),
        (((4, 7), np.array([0.0, np.nan])), r"not finite in replicates \[7\]"),
        (((0, 1), np.zeros(2), np.zeros((3, 5))), "2 replicates but resamples"),
        (((0,), np.zeros(1), None, -1.0), "test_ratio must be 0 or more"),
    ],
)
def test_replicates_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Replicates(*arguments)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_is_checked(level):
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        stats.interval(made([1.0, 2.0]), level=level)


def test_interaction_is_a_difference_of_differences():
    a, b, c, d = (noisy(seed) for seed in range(4))
    got = stats.combine([a, b, c, d], lambda part: part[0] - part[1] - part[2] + part[3])
    expected = stats.difference(stats.difference(a, b), stats.difference(c, d))
    np.testing.assert_allclose(got.values, expected.values)
    np.testing.assert_allclose(got.resamples, expected.resamples)


def test_slope_and_rank_correlation_against_scipy():
    rng = np.random.default_rng(0)
    x = np.array([0.05, 0.1, 0.1, 0.3, 1.0])
    values = rng.integers(0, 4, (5, 7)).astype(float)
    slopes, correlations = stats.slope(x, values), stats.spearman(x, values)
    for column in range(7):
        assert slopes[column] == pytest.approx(scipy.stats.linregress(x, values[:, column]).slope)
        assert correlations[column] == pytest.approx(scipy.stats.spearmanr(x, values[:, column]).statistic)


def test_rank_correlation_of_a_constant_is_undefined():
    got = stats.spearman(np.array([1.0, 2.0]), np.array([[1.0, 1.0], [1.0, 2.0]]))
    assert np.isnan(got[0])
    assert got[1] == pytest.approx(1)


@pytest.mark.parametrize("function", [stats.slope, stats.spearman])
def test_axis_is_checked(function):
    with pytest.raises(ValueError, match="two different values"):
        function(np.array([1.0, 1.0]), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="x has shape"):
        function(np.array([1.0, 2.0]), np.zeros((3, 3)))


def test_rank_correlation_over_arms():
    arms = [made([v, v + 1.0], np.array([[v, -v], [v, -v]])) for v in (1.0, 2.0, 3.0)]
    got = stats.combine(arms, lambda part: stats.spearman(np.array([0.1, 0.2, 0.4]), part))
    assert got.values == pytest.approx([1, 1])
    np.testing.assert_allclose(got.resamples, [[1, -1], [1, -1]])


def test_interquartile_mean():
    assert stats.interquartile_mean(np.array([[100.0, 1.0], [2.0, -50.0]])) == pytest.approx(1.5)
    values = np.random.default_rng(0).normal(size=(5, 3))
    assert stats.interquartile_mean(values) == pytest.approx(np.sort(values.ravel())[3:12].mean())


def test_probability_of_improvement():
    first = np.array([[3.0, 0.0], [1.0, 0.0]])
    second = np.array([[2.0, 0.0], [0.0, 1.0]])
    # First task: 3 of 4 pairs; second: two ties and two losses.
    assert stats.probability_of_improvement(first, second) == pytest.approx((3 / 4 + 1 / 4) / 2)
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, (9, 1)), rng.normal(0, 1, (7, 1))
    statistic = scipy.stats.mannwhitneyu(a[:, 0], b[:, 0]).statistic
    assert stats.probability_of_improvement(a, b) == pytest.approx(statistic / 63)
    assert stats.probability_of_improvement(a, b) + stats.probability_of_improvement(b, a) == pytest.approx(1)
    with pytest.raises(ValueError, match="same tasks"):
        stats.probability_of_improvement(np.zeros((2, 2)), np.zeros((2, 3)))


def test_the_interval_of_a_mean_is_the_usual_one():
    rng = np.random.default_rng(9)
    one = Replicates(tuple(range(5)), rng.normal(size=5), rng.normal(0, 3, (5, 60)))
    usual = stats.interval(one, level=0.9)
    found = stats.interval_of([one], lambda part: part.mean(axis=(0, 1)), level=0.9)
    for name in ("estimate", "lower", "upper", "n", "level"):
        assert getattr(found, name) == pytest.approx(getattr(usual, name))
    assert found.replicate == pytest.approx(usual.replicate)
    assert found.bootstrap == pytest.approx(usual.bootstrap)
    other = Replicates(one.index, rng.normal(size=5), rng.normal(0, 1, (5, 60)))
    paired = stats.interval_of([one, other], lambda part: (part[0] - part[1]).mean(axis=0))
    expected = stats.interval(stats.difference(one, other))
    assert (paired.lower, paired.upper) == pytest.approx((expected.lower, expected.upper))


def test_an_undefined_component_of_a_statistic_is_left_out():
    rng = np.random.default_rng(10)
    two = [Replicates((0, 1), rng.normal(size=2), rng.normal(0, 1, (2, 40))) for _ in range(3)]

    def halves(part):
        if part.shape[1] < 2:
            return np.full(part.shape[2], np.nan)
        return stats.rank_correlations(part[:, 0], part[:, 1])

    found = stats.interval_of(two, halves)
    assert np.isnan(found.replicate).all()
    assert (found.lower, found.upper) == found.bootstrap
    with pytest.raises(ValueError, match="cannot be paired"):
        stats.interval_of([two[0], Replicates((0, 2), np.zeros(2))], halves)
    with pytest.raises(ValueError, match="level"):
        stats.interval_of(two, halves, level=1.0)


def test_rank_correlations_of_columns_against_scipy():
    rng = np.random.default_rng(11)
    first, second = rng.integers(0, 4, (9, 6)).astype(float), rng.normal(size=(9, 6))
    second[:, 5] = 1.0
    found = stats.rank_correlations(first, second)
    for at in range(5):
        assert found[at] == pytest.approx(scipy.stats.spearmanr(first[:, at], second[:, at]).statistic)
    assert np.isnan(found[5])
    with pytest.raises(ValueError, match="not those of two equal matrices"):
        stats.rank_correlations(first, second[:, :3])
