"""Thresholds against an exhaustive search over all cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcl_utils import metrics


def case(seed, n, labels, levels, missing=0.0):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, labels)) < rng.uniform(0.05, 0.6, labels)).astype(np.int8)
    y[rng.random(y.shape) < missing] = -1
    y[0, 0] = 1
    return y, rng.integers(0, levels, y.shape) / 3.0 + (y == 1)


def every_cut(s):
    return np.unique(s)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 40),
    labels=st.integers(1, 5),
    levels=st.integers(1, 30),
    missing=st.sampled_from([0.0, 0.4]),
)
def test_no_cut_is_better(seed, n, labels, levels, missing):
    y, s = case(seed, n, labels, levels, missing)
    chosen = metrics.tune_thresholds(y, s)
    best = max(metrics.macro_f1(y, s >= cut) for cut in every_cut(s))
    assert metrics.macro_f1(y, s >= chosen.overall) == pytest.approx(best, rel=1e-12)

    for label in range(labels):
        column, score = y[:, [label]], s[:, [label]]
        positives = int((column == 1).sum())
        attainable = max((metrics.macro_f1(column, score >= cut) for cut in every_cut(score)), default=0)
        falls_back = positives < 10
        assert chosen.fallback[label] == falls_back
        if falls_back:
            assert chosen.per_label[label] == chosen.overall
        else:
            got = metrics.macro_f1(column, score >= chosen.per_label[label])
            assert got == pytest.approx(attainable, rel=1e-12)


def test_threshold_lies_between_the_scores_it_parts():
    y = np.array([[1], [1], [0], [0]], dtype=np.int8)
    assert metrics.tune_thresholds(y, np.array([[4.0], [3.0], [1.0], [0.0]])).overall == 2.0
    # All are best predicted positive: nothing lies below the lowest score.
    assert metrics.tune_thresholds(np.ones((3, 1), np.int8), np.array([[1.0], [2.0], [3.0]])).overall == 1.0


def test_neighbouring_floats_are_parted():
    low = 1.0
    high = np.nextafter(low, 2)
    y = np.array([[1], [0]], dtype=np.int8)
    chosen = metrics.tune_thresholds(y, np.array([[high], [low]])).overall
    assert low < chosen <= high


def test_fallback_is_by_count_alone():
    rng = np.random.default_rng(0)
    n = 2000
    y = np.zeros((n, 3), dtype=np.int8)
    y[:200, 0] = 1  # well predicted
    y[:9, 1] = 1  # perfectly predicted but one positive short of ten
    y[rng.choice(n, 12, replace=False), 2] = 1  # twelve positives lost in noise
    s = np.stack([y[:, 0] * 4.0, y[:, 1] * 4.0, rng.normal(size=n)], axis=1)
    s[y[:, 2] == 1, 2] = -10.0
    chosen = metrics.tune_thresholds(y, s)
    assert chosen.fallback.tolist() == [False, True, False]
    assert chosen.per_label[1] == chosen.overall
    noise = metrics.tune_thresholds(y, rng.normal(size=s.shape))
    assert noise.fallback.tolist() == chosen.fallback.tolist()  # whatever the model
    tenth = y.copy()
    tenth[9, 1] = 1
    assert not metrics.tune_thresholds(tenth, s).fallback[1]


def test_labels_without_positives_do_not_pull_the_overall_threshold():
    y, s = case(1, 50, 3, 20)
    wide_y = np.concatenate([y, np.zeros((50, 2), np.int8)], axis=1)
    wide_s = np.concatenate([s, np.full((50, 2), s.max() + 5)], axis=1)
    with_empty = metrics.tune_thresholds(wide_y, wide_s)
    alone = metrics.tune_thresholds(y, s)
    # The scores of the empty labels may move the midpoint, not the cut.
    assert np.array_equal(s >= with_empty.overall, s >= alone.overall)
    assert with_empty.fallback[3:].all()


def test_without_a_positive_there_is_nothing_to_tune():
    with pytest.raises(ValueError, match="no label has an observed positive"):
        metrics.tune_thresholds(np.zeros((3, 2), np.int8), np.zeros((3, 2)))
