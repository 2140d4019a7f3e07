"""Representation metrics against loops over pairs, and where they are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlcl_utils import metrics
from mlcl_utils.metrics import representation


def naive(z, y, temperature):
    """Every metric by a loop over pairs, from its definition."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    sets = [set(np.flatnonzero(row == 1)) for row in y]
    apart, shared, alone, jaccard, cosine, distance = [], [], [], [], [], []
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            apart.append(math.exp(-2 * float(((z[i] - z[j]) ** 2).sum())))
            if not sets[i] or not sets[j]:
                continue
            s = float(z[i] @ z[j])
            common = len(sets[i] & sets[j])
            (shared if common else alone).append(s)
            if common:
                distance.append(float(((z[i] - z[j]) ** 2).sum()))
            jaccard.append(common / len(sets[i] | sets[j]))
            cosine.append(s)
    entropies = []
    for i in range(len(z)):
        negatives = [j for j in range(len(z)) if sets[i] and sets[j] and j != i and not sets[i] & sets[j]]
        if negatives:
            weight = np.exp(np.array([z[i] @ z[j] for j in negatives]) / temperature)
            p = weight / weight.sum()
            entropies.append(float(-(p * np.log(p)).sum()))
    centred = z - z.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False)
    p = values / values.sum()
    p = p[p > 1e-12]
    return {
        "uniformity": -math.log(np.mean(apart)),
        "tolerance": np.mean(shared),
        "tolerance_gap": np.mean(shared) - np.mean(alone),
        "jaccard_slope": np.polyfit(jaccard, cosine, 1)[0],
        "alignment": np.mean(distance),
        "effective_rank": math.exp(-(p * np.log(p)).sum()),
        "penalty_entropy": np.mean(entropies),
    }


@pytest.mark.parametrize("block", [5, 512])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_matches_loops_over_pairs(monkeypatch, block, temperature):
    monkeypatch.setattr(representation, "BLOCK", block)
    rng = np.random.default_rng(4)
    y = (rng.random((23, 6)) < 0.25).astype(np.int8)
    y[rng.random(y.shape) < 0.1] = -1
    y[3] = 0  # without a label
    z = rng.normal(size=(23, 5)) + (y == 1) @ rng.normal(size=(6, 5))
    got = metrics.describe_representation(z, y, temperature=temperature)
    assert got == pytest.approx(naive(z, y, temperature), rel=1e-9)


def test_scale_does_not_matter():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(20, 4)), (rng.random((20, 3)) < 0.4).astype(np.int8)
    scaled = z * rng.uniform(0.1, 9, (20, 1))
    assert metrics.describe_representation(z, y) == pytest.approx(metrics.describe_representation(scaled, y))


def test_collapsed_and_orthogonal():
    y = np.eye(4, dtype=np.int8)
    y[1] = y[0]
    same = metrics.describe_representation(np.ones((4, 3)), y)
    assert same["uniformity"] == pytest.approx(0)
    assert same["tolerance"] == pytest.approx(1)
    assert same["tolerance_gap"] == pytest.approx(0, abs=1e-12)
    assert same["alignment"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(same["effective_rank"])
    apart = metrics.describe_representation(np.eye(4), y)
    assert apart["uniformity"] == pytest.approx(4)  # all squared distances are 2
    assert apart["effective_rank"] == pytest.approx(3)  # centring takes one of four equal directions
    # Anchors 0 and 1 have two negatives, 2 and 3 have three, all equally near.
    assert apart["penalty_entropy"] == pytest.approx((math.log(2) + math.log(3)) / 2)


def test_low_temperature_puts_the_penalty_on_one_negative():
    y = np.eye(3, dtype=np.int8)
    z = np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
    cold = metrics.describe_representation(z, y, temperature=1e-4)["penalty_entropy"]
    hot = metrics.describe_representation(z, y, temperature=1e4)["penalty_entropy"]
    assert cold == pytest.approx(0, abs=1e-9)
    assert hot == pytest.approx(math.log(2), abs=1e-6)


def test_undefined_ones_are_nan():
    z = np.random.default_rng(0).normal(size=(5, 3))
    alone = metrics.describe_representation(z, np.eye(5, dtype=np.int8))
    assert np.isnan(alone["tolerance"])
    assert np.isnan(alone["jaccard_slope"])
    assert np.isfinite(alone["penalty_entropy"])
    together = metrics.describe_representation(z, np.ones((5, 1), dtype=np.int8))
    assert np.isnan(together["tolerance_gap"])
    assert np.isnan(together["penalty_entropy"])
    assert np.isnan(together["jaccard_slope"])
    unlabelled = metrics.describe_representation(z, np.zeros((5, 2), dtype=np.int8))
    assert np.isfinite(unlabelled["uniformity"])
    assert np.isnan(unlabelled["tolerance"])


def with_zeros(z, y):
    """The embeddings with two that are zero and have the labels of others, and which are not."""
    given = ~np.isin(np.arange(len(z) + 2), [0, 7])
    return np.insert(z, [0, 6], 0, axis=0), np.insert(y, [0, 6], y[[3, 5]], axis=0), given


def test_zero_embeddings_are_left_out():
    rng = np.random.default_rng(2)
    z, y = rng.normal(size=(20, 4)), (rng.random((20, 3)) < 0.4).astype(np.int8)
    some, labels, given = with_zeros(z, y)
    assert not some[~given].any()
    assert metrics.describe_representation(some, labels) == metrics.describe_representation(z, y)
    found, expected = metrics.picture_embeddings(some, labels), metrics.picture_embeddings(z, y)
    np.testing.assert_array_equal(found["similarities"], expected["similarities"])
    np.testing.assert_array_equal(found["plane"][given], expected["plane"])
    assert np.isnan(found["plane"][~given]).all()


@pytest.mark.parametrize("left", [0, 1])
def test_where_hardly_an_embedding_is_not_zero_nothing_is_defined(left):
    z, y = np.zeros((4, 3)), np.ones((4, 2), dtype=np.int8)
    z[:left] = 1
    found = metrics.describe_representation(z, y)
    assert len(found) == 7
    assert np.isnan(list(found.values())).all()
    pictured = metrics.picture_embeddings(z, y)
    assert pictured["plane"].shape == (4, 2)
    assert np.isnan(pictured["plane"]).all()
    assert pictured["similarities"].sum() == 0


def test_of_many_embeddings_a_fixed_choice_is_compared(monkeypatch):
    rng = np.random.default_rng(3)
    z, y = rng.normal(size=(900, 4)) + 0.5, (rng.random((900, 3)) < 0.4).astype(np.int8)
    y[~y.any(axis=1), 0] = 1  # every pair is counted
    whole, plane = metrics.describe_representation(z, y), metrics.picture_embeddings(z, y)["plane"]
    monkeypatch.setattr(representation, "MOST", 600)
    found = metrics.describe_representation(z, y)
    assert found == metrics.describe_representation(z, y)
    assert found != whole
    assert found["uniformity"] == pytest.approx(whole["uniformity"], rel=0.05)
    assert found["tolerance"] == pytest.approx(whole["tolerance"], rel=0.1)
    # labels stay with their embeddings: the choice is described as it is alone
    rows, kept = representation._chosen(z, y)
    assert len(rows) == 600
    assert found == metrics.describe_representation(rows, kept)
    pictured = metrics.picture_embeddings(z, y)
    assert pictured["similarities"].sum() == 600 * 599 / 2
    np.testing.assert_array_equal(pictured["plane"], plane)


def test_view_alignment():
    z = np.array([[2.0, 0.0], [0.0, 3.0]])
    assert metrics.view_alignment(z, 5 * z) == pytest.approx(0)
    assert metrics.view_alignment(z, -z) == pytest.approx(4)
    assert metrics.view_alignment(z, z[::-1]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("z", "y", "temperature", "message"),
    [
        (np.full((3, 2), np.inf), np.ones((3, 1), np.int8), 0.1, "finite"),
        (np.array([[0, 0], [1, 0], [np.nan, 0]]), np.ones((3, 1), np.int8), 0.1, "finite"),
        (np.ones(3), np.ones((3, 1), np.int8), 0.1, "must have shape"),
        (np.ones((3, 2)), np.ones((2, 1), np.int8), 0.1, "3 embeddings but 2 rows"),
        (np.ones((3, 2)), np.ones((3, 1), np.int8), 0.0, "temperature must be positive, not 0.0"),
        (np.ones((1, 2)), np.ones((1, 1), np.int8), 0.1, "at least two"),
    ],
)
def test_bad_input_is_refused(z, y, temperature, message):
    with pytest.raises(ValueError, match=message):
        metrics.describe_representation(z, y, temperature=temperature)


@pytest.mark.parametrize("block", [5, 512])
def test_picture_against_loops(monkeypatch, block):
    monkeypatch.setattr(representation, "BLOCK", block)
    rng = np.random.default_rng(5)
    z = rng.normal(size=(21, 6)) + 1
    y = (rng.random((21, 4)) < 0.3).astype(np.int8)
    y[2] = 0
    found = metrics.picture_embeddings(z, y)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    edges = np.linspace(-1, 1, representation.BINS + 1)
    counts = np.zeros((2, representation.BINS), dtype=int)
    for i in range(21):
        for j in range(i + 1, 21):
            if y[i].any() and y[j].any():
                at = min(
                    int(np.searchsorted(edges, unit[i] @ unit[j], side="right")) - 1, representation.BINS - 1
                )
                counts[0 if (y[i] & y[j]).any() else 1, at] += 1
    np.testing.assert_array_equal(found["similarities"], counts)
    # the plane is that of the largest variance: no other pair of directions has more
    values = np.linalg.eigvalsh(np.cov(unit.T, bias=True))[::-1]
    np.testing.assert_allclose(found["plane"].astype(float).var(axis=0), values[:2], rtol=1e-2)
    assert (found["plane"][np.abs(found["plane"]).argmax(axis=0), [0, 1]] > 0).all()
    # a rotation changes nothing
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    again = metrics.picture_embeddings(z @ rotation, y)
    np.testing.assert_allclose(again["plane"].astype(float), found["plane"].astype(float), atol=2e-3)
    np.testing.assert_array_equal(again["similarities"], counts)
