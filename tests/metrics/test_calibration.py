"""Stated variances beside the squares that they are about."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from mlcl_utils.metrics import describe_variances, reliability


def test_variances_that_are_right_have_ratio_one_and_lie_on_the_diagonal():
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.5, 8, size=20_000)
    squares = (rng.normal(size=(64, 20_000)) ** 2).mean(axis=0) * stated
    found = describe_variances(stated, squares)
    assert found["variance_ratio"] == pytest.approx(1, abs=0.01)
    assert found["variance_rank"] == pytest.approx(spearmanr(stated, squares).statistic)
    assert found["variance_rank"] > 0.9
    bins = reliability(stated, squares)
    assert bins.shape == (10, 3)
    assert bins[:, 2].tolist() == [2000] * 10
    assert (np.diff(bins[:, 0]) > 0).all()
    assert bins[:, 1] == pytest.approx(bins[:, 0], rel=0.02)
    assert describe_variances(4 * stated, squares)["variance_ratio"] == pytest.approx(0.25, abs=0.01)


def test_by_hand():
    stated, squares = np.array([4.0, 1.0, 2.0]), np.array([2.0, 3.0, 1.0])
    found = describe_variances(stated, squares)
    assert found == pytest.approx({"variance_ratio": (0.5 + 3 + 0.5) / 3, "variance_rank": -0.5})
    bins = reliability(stated, squares, bins=2)
    assert bins.tolist() == [[1, 3, 1], [3, 1.5, 2]]
    few = reliability(stated, squares, bins=5)
    assert np.isnan(few[:2, :2]).all()
    assert few[2:].tolist() == [[1, 3, 1], [2, 1, 1], [4, 2, 1]]


def test_what_cannot_be_told():
    assert np.isnan(describe_variances(np.ones(3), np.arange(3.0))["variance_rank"])
    with pytest.raises(ValueError, match="shape"):
        describe_variances(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="smallest is 0"):
        describe_variances(np.array([0.0, 1.0]), np.ones(2))
