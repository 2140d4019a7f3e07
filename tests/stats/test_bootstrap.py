"""Resampled metrics against the plain metrics on copied examples."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcl_utils import metrics, stats
from mlcl_utils.stats import bootstrap


def case(seed, n=40, labels=9, levels=8, missing=0.15):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, labels)) < rng.uniform(0.02, 0.5, labels)).astype(np.int8)
    y[0, 0], y[0, 1:] = 1, 0
    y[rng.random(y.shape) < missing] = -1
    scores = (rng.integers(-levels, levels, y.shape) / 4 + 0.5 * (y == 1)).astype(np.float16)
    return y, scores


def plain(y, s, threshold, bands):
    chosen = metrics.Thresholds(threshold, np.full(y.shape[1], threshold), np.zeros(y.shape[1], dtype=bool))
    return metrics.evaluate(y, s, chosen, bands=bands)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(2, 40),
    labels=st.integers(3, 9),
    levels=st.integers(1, 30),
    missing=st.sampled_from([0.0, 0.3]),
)
def test_a_weight_is_a_number_of_copies(seed, n, labels, levels, missing):
    y, s = case(seed, n, labels, levels, missing)
    bands = {"head": np.arange(labels) < 2, "tail": np.arange(labels) >= 2}
    weights = np.random.default_rng(seed).poisson(1.0, (6, n)).astype(np.float32)
    weights[0], weights[1] = 1, 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = stats.resample_metrics(y, s, 0.25, weights, bands=bands)
    for b, counts in enumerate(weights.astype(int)):
        expected = plain(np.repeat(y, counts, axis=0), np.repeat(s, counts, axis=0), 0.25, bands)
        for name, values in got.items():
            assert values[b] == pytest.approx(expected[name], rel=1e-10, nan_ok=True), name


def test_the_names_are_those_of_evaluate():
    y, s = case(0)
    bands = {"head": np.arange(9) < 3}
    names = set(stats.resample_metrics(y, s, 0.0, np.ones((2, 40)), bands=bands))
    assert names == {"map", "macro_f1", "micro_f1", "lrap", "ranking_loss", "map_head", "macro_f1_head"}
    assert names < set(plain(y, s, 0.0, bands))


def test_pieces_do_not_change_the_result(monkeypatch):
    y, s = case(1, n=60, labels=20)
    weights = stats.group_weights(np.arange(60), resamples=7)
    whole = stats.resample_metrics(y, s, 0.0, weights)
    for size in (1, 13):
        monkeypatch.setattr(bootstrap, "SEGMENTS", size)
        np.testing.assert_equal(stats.resample_metrics(y, s, 0.0, weights), whole)


def test_no_label_with_a_positive():
    y = np.zeros((5, 3), dtype=np.int8)
    got = stats.resample_metrics(y, np.zeros((5, 3)), 0.0, np.ones((2, 5)))
    assert all(np.isnan(values).all() for values in got.values())


def test_weights_that_do_not_fit():
    y, s = case(2)
    with pytest.raises(ValueError, match=r"weights have shape \(3, 39\) but there are 40 examples"):
        stats.resample_metrics(y, s, 0.0, np.ones((3, 39)))


def test_groups_are_drawn_whole_and_belong_to_their_numbers():
    groups = np.array([3, 0, 3, 7, 0])
    weights = stats.group_weights(groups, resamples=400, seed=5)
    assert weights.shape == (400, 5)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert not np.array_equal(weights[:, 0], weights[:, 1])
    # The test part of another replicate: group 3 is drawn as often there, whatever else it holds.
    other = stats.group_weights(np.array([1, 3, 900]), resamples=400, seed=5)
    assert np.array_equal(other[:, 1], weights[:, 0])


def test_seeds():
    groups = np.arange(50)
    assert np.array_equal(stats.group_weights(groups, seed=1), stats.group_weights(groups, seed=1))
    assert not np.array_equal(stats.group_weights(groups, seed=1), stats.group_weights(groups, seed=2))


def test_counts_have_mean_and_variance_one():
    weights = stats.group_weights(np.arange(1000), resamples=300)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("groups", [np.array([], dtype=int), np.array([0, -1])])
def test_bad_groups_are_refused(groups):
    with pytest.raises(ValueError, match="groups must be one or more integers"):
        stats.group_weights(groups)


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="resamples must be 1 or more, not 0"):
        stats.group_weights(np.arange(3), resamples=0)


def test_spread_is_that_of_fresh_test_data():
    """The bootstrap's standard error of each metric against its spread over independent test sets."""
    rng = np.random.default_rng(0)
    shares = np.array([0.3, 0.2, 0.1, 0.05])

    def draw():
        y = (rng.random((300, 4)) < shares).astype(np.int8)
        return y, rng.normal(size=y.shape) + 1.5 * y

    drawn = [draw() for _ in range(150)]
    seen = [plain(y, s, 1.0, None) for y, s in drawn]
    weights = stats.group_weights(np.arange(300), resamples=200)
    estimated = [stats.resample_metrics(y, s, 1.0, weights) for y, s in drawn[:30]]
    for name in ("map", "macro_f1", "micro_f1", "lrap", "ranking_loss"):
        truth = np.std([values[name] for values in seen])
        guess = np.mean([np.nanstd(values[name]) for values in estimated])
        assert guess == pytest.approx(truth, rel=0.2), name


def test_whole_groups_are_less_certain_than_single_examples():
    """Ten copies of every example carry the information of one."""
    y, s = case(3, n=60, missing=0.0)
    tenfold = [np.repeat(part, 10, axis=0) for part in (y, s)]
    grouped = stats.group_weights(np.repeat(np.arange(60), 10), resamples=200)
    single = stats.group_weights(np.arange(600), resamples=200)
    once = stats.resample_metrics(y, s, 0.0, stats.group_weights(np.arange(60), resamples=200))
    whole = stats.resample_metrics(*tenfold, 0.0, grouped)
    naive = stats.resample_metrics(*tenfold, 0.0, single)
    np.testing.assert_allclose(whole["lrap"], once["lrap"])
    assert naive["lrap"].std() < 0.5 * whole["lrap"].std()
