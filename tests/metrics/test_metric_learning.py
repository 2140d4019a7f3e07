"""OPIS, ICNN, utilisation, coherence, the area under the ROC curve and novel labels: against loops and known values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlcl_utils import metrics
from mlcl_utils.metrics import consistency, representation

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("losses", "metric_learning.json").read_text())
ICNN = [(case, row) for case in GOLDEN["cases"] for row in case["expected"] if row["loss"] == "icnn"]


def problem(seed=0, n=40, count=6, dim=5, density=0.3):
    """Embeddings, labels in three states and scores; a label without a positive, one without a negative."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, count)) < density).astype(np.int8)
    y[rng.random(y.shape) < 0.1] = -1
    y[:, 0] = np.minimum(y[:, 0], 0)
    y[:, 1] = np.where(y[:, 1] == 0, 1, y[:, 1])
    y[2] = 0
    z = rng.normal(size=(n, dim)) + np.maximum(y, 0) @ rng.normal(size=(count, dim))
    return z, y, rng.normal(size=y.shape) + 2 * (y == 1)


def one_each(seed=0, n=30, count=4, dim=5):
    rng = np.random.default_rng(seed)
    y = np.eye(count, dtype=np.int8)[rng.integers(count, size=n)]
    return rng.normal(size=(n, dim)) + y @ rng.normal(size=(count, dim)), y


# golden values


@pytest.mark.parametrize("case", GOLDEN["metrics"], ids=lambda case: case["name"])
def test_metrics_of_the_shared_problems(case):
    y, z, s = (np.array(case[key]) for key in ("labels", "embeddings", "scores"))
    found = {
        "opis_scores": metrics.opis_scores(y, s),
        "opis_pairs": metrics.opis_pairs(z, y),
        "utilisation": metrics.utilisation(z[:10], z[10:])["utilisation"],
    }
    assert found == pytest.approx({row["metric"]: row["value"] for row in case["expected"]}, rel=1e-9)


@pytest.mark.parametrize(("case", "row"), ICNN)
def test_icnn_is_the_released_loss(case, row):
    z, y = np.array(case["inputs"]["embeddings"]), np.array(case["labels"])
    found = metrics.icnn_score(z, y, **row["hyperparameters"])
    assert -math.log(found["icnn_score"]) == pytest.approx(row["value"], rel=1e-9)


# OPIS


def harmonic(a, b):
    return 2 * a * b / (a + b) if a + b else 0.0


def naive_opis(classes, pooled, thresholds):
    """From (positive scores, negative scores) of each class."""
    rows = utilities_of(classes, thresholds)
    return float(((rows - rows.mean(axis=0)) ** 2).mean())


def utilities_of(classes, thresholds):
    """One row per class that has both, one column per threshold."""
    utilities = []
    for positives, negatives in classes:
        if positives and negatives:
            utilities.append(
                [
                    harmonic(np.mean([v >= t for v in positives]), 1 - np.mean([v >= t for v in negatives]))
                    for t in thresholds
                ]
            )
    return np.array(utilities)


def thresholds_of(pooled, low, high, steps, even):
    ordered = sorted(pooled, reverse=True)
    if even == "rate":
        return [ordered[int(rate * len(ordered))] for rate in np.linspace(high, low, steps)]
    return np.linspace(ordered[int(high * len(ordered))], ordered[int(low * len(ordered))], steps)


@pytest.mark.parametrize("extremes", [0.1, 0.3, 0.5])
def test_opis_of_extremes_is_the_gap_between_the_best_and_the_worst(extremes):
    generator = np.random.default_rng(5)
    y = (generator.random((60, 7)) < 0.3).astype(int)
    s = y * np.linspace(0, 2, 7) + generator.normal(size=y.shape)
    pooled = [*s[y == 0]]
    classes = [([*s[y[:, k] == 1, k]], [*s[y[:, k] == 0, k]]) for k in range(7)]
    means = sorted(utilities_of(classes, thresholds_of(pooled, 0.01, 0.1, 101, "score")).mean(axis=1))
    few = {0.1: 1, 0.3: 3, 0.5: 4}[extremes]
    expected = (np.mean(means[-few:]) - np.mean(means[:few])) ** 2
    assert metrics.opis_scores(y, s, extremes=extremes) == pytest.approx(expected)
    assert metrics.opis_scores(y[:, [2]], s[:, [2]], extremes=extremes) == 0  # one label is both


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("even", ["score", "rate"])
@pytest.mark.parametrize(("low", "high", "steps"), [(0.01, 0.1, 101), (0.0, 0.5, 7)])
def test_opis_of_scores_is_a_loop(seed, even, low, high, steps):
    _, y, s = problem(seed)
    s = np.round(s, 1)  # ties
    pooled = [s[i, k] for i, k in np.argwhere(y == 0)]
    classes = [([*s[y[:, k] == 1, k]], [*s[y[:, k] == 0, k]]) for k in range(y.shape[1])]
    expected = naive_opis(classes, pooled, thresholds_of(pooled, low, high, steps, even))
    assert metrics.opis_scores(y, s, low=low, high=high, steps=steps, even=even) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [7, 512])
@pytest.mark.parametrize("even", ["score", "rate"])
def test_opis_of_pairs_is_a_loop(seed, block, even, monkeypatch):
    monkeypatch.setattr(representation, "BLOCK", block)
    z, y, _ = problem(seed)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    sets = [set(np.flatnonzero(row == 1)) for row in y]
    pooled, classes = [], [([], []) for _ in range(y.shape[1])]
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            s = float(unit[i] @ unit[j])
            for label in sets[i] & sets[j]:
                classes[label][0].append(s)
            if sets[i] and sets[j] and not sets[i] & sets[j]:
                pooled.append(s)
                for label in sets[i] | sets[j]:
                    classes[label][1].append(s)
    expected = naive_opis(classes, pooled, thresholds_of(pooled, 0.01, 0.1, 101, even))
    # thresholds that are themselves cosines may be missed by the rounding of a product in blocks
    tolerance = 1e-9 if even == "score" else 1e-3
    assert metrics.opis_pairs(z, y, even=even) == pytest.approx(expected, abs=tolerance)


def test_opis_is_zero_where_one_threshold_serves_all_alike():
    scores = np.linspace(0, 1, 30)[:, None].repeat(4, axis=1)
    y = (scores > 0.6).astype(np.int8)
    assert metrics.opis_scores(y, scores) == 0
    assert metrics.opis_scores(y, scores + np.array([0, 0, 0, 0.4])) > 0.01


def test_opis_does_not_change_with_scale_nor_even_in_rate_with_shape():
    _, y, s = problem()
    assert metrics.opis_scores(y, 3 * s - 1) == pytest.approx(metrics.opis_scores(y, s))
    assert metrics.opis_scores(y, s**3, even="rate") == metrics.opis_scores(y, s, even="rate")
    assert metrics.opis_scores(y, s**3) != metrics.opis_scores(y, s)


def test_opis_without_anything_to_compare_is_nan():
    assert np.isnan(metrics.opis_scores(np.ones((4, 2), int), np.zeros((4, 2))))
    assert np.isnan(metrics.opis_scores(np.array([[1, 0], [1, 0]]), np.zeros((2, 2))))
    assert np.isnan(metrics.opis_pairs(np.eye(3), np.ones((3, 1), int)))
    assert np.isnan(metrics.opis_pairs(np.eye(3), np.zeros((3, 1), int)))
    assert np.isnan(metrics.opis_pairs(np.eye(3), np.eye(3, dtype=int)))


def test_opis_of_many_pairs_looks_at_a_choice(monkeypatch):
    z, y, _ = problem(n=60)
    whole = metrics.opis_pairs(z, y)
    monkeypatch.setattr(consistency, "MOST_PAIRED", 30)
    part = metrics.opis_pairs(z, y)
    assert part == metrics.opis_pairs(z, y) != whole


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"low": 0.2}, "low and high must be shares with 0 <= low < high < 1, not 0.2 and 0.1"),
        ({"high": 1.0}, "not 0.01 and 1"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"even": "rank"}, "even must be score or rate, not 'rank'"),
        ({"extremes": 0.0}, "extremes must be a share above 0 and at most 0.5, not 0"),
        ({"extremes": 0.6}, "not 0.6"),
    ],
)
def test_opis_refuses(given, words):
    z, y, s = problem()
    with pytest.raises(ValueError, match=words):
        metrics.opis_scores(y, s, **given)
    with pytest.raises(ValueError, match=words):
        metrics.opis_pairs(z, y, **given)


# ICNN


def naive_icnn(z, y, k, horizon):
    kept = [i for i in range(len(z)) if (y[i] == 1).any()]
    z, sets = z[kept], [set(np.flatnonzero(y[i] == 1)) for i in kept]
    n = len(z)
    few = k + 2 >= n
    horizon = k + 1 if horizon is None else horizon
    k = n - 2 if few else k
    around, farthest = [], 0.0
    for i in range(n):
        d = {j: math.sqrt(((z[i] - z[j]) ** 2).sum() + 1e-6) for j in range(n) if j != i}
        order = sorted(d, key=d.get)
        w = {j: len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for j in order}
        strangers = [d[j] for j in order[: max(horizon, k)] if w[j] == 0]
        farthest = max([farthest, *(d[j] for j in order[:k] if w[j] == 0)])
        around.append(([(d[j], w[j]) for j in order[:k]], min(strangers, default=math.inf)))
    near, far, shares, with_near, with_far = 0.0, 0.0, [], 0, 0
    for neighbours, radius in around:
        a = [d / (radius + 1e-7) for d, _ in neighbours]
        a = [value / max(1, *a) for value in a]
        same = sum(w for _, w in neighbours)
        near += sum(w * value for (_, w), value in zip(neighbours, a, strict=True)) / (same + 1e-7)
        with_near += same > 0
        far += sum((1 - w) * d / (farthest + 1e-7) for d, w in neighbours) / (k - same + 1e-7)
        with_far += same < k
        shares.append(same / k)
    near = 1 - near / (with_near + 1e-7)
    far = far / (with_far + 1e-7) if farthest else 1.0
    share = 1.0 if few else float(np.mean(shares))
    return {
        "icnn_near": near, "icnn_far": far, "icnn_share": share, "icnn_score": ((near + far) / 2 + share) / 2
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [7, 512])
@pytest.mark.parametrize(("k", "horizon"), [(4, None), (1, 1), (3, 12), (100, None)])
def test_icnn_is_a_loop(seed, block, k, horizon, monkeypatch):
    monkeypatch.setattr(representation, "BLOCK", block)
    z, y, _ = problem(seed)
    found = metrics.icnn_score(z, y, neighbours=k, horizon=horizon)
    assert found == pytest.approx(naive_icnn(z, y, k, horizon), rel=1e-7)


def test_icnn_of_clusters_that_are_far_apart_is_high_and_of_noise_is_low():
    rng = np.random.default_rng(0)
    y = np.eye(3, dtype=np.int8).repeat(8, axis=0)
    tight = metrics.icnn_score(y * 100.0 + rng.normal(size=y.shape) * 0.01, y)
    assert tight["icnn_share"] == 1
    assert tight["icnn_far"] == 1  # no unlike neighbour
    noise = metrics.icnn_score(rng.normal(size=(24, 3)), y)
    assert tight["icnn_score"] > noise["icnn_score"] + 0.2


def test_icnn_does_not_change_with_scale():
    z, y, _ = problem()
    assert metrics.icnn_score(1000 * z, y) == pytest.approx(metrics.icnn_score(10 * z, y), rel=1e-4)


def test_icnn_at_the_edge():
    assert np.isnan(list(metrics.icnn_score(np.eye(2), np.ones((2, 1), int)).values())).all()
    together = metrics.icnn_score(np.eye(6), np.ones((6, 1), int), neighbours=2)
    assert together["icnn_share"] == together["icnn_far"] == 1
    with pytest.raises(ValueError, match="1 <= neighbours <= horizon, not 4 and 2"):
        metrics.icnn_score(np.eye(6), np.ones((6, 1), int), horizon=2)
    with pytest.raises(ValueError, match="6 embeddings but 5 rows of labels"):
        metrics.icnn_score(np.eye(6), np.ones((5, 1), int))
    with pytest.raises(ValueError, match="embeddings must be finite"):
        metrics.icnn_score(np.full((6, 2), np.nan), np.ones((6, 1), int))


# utilisation and coherence


def test_utilisation_by_number_of_labels_is_a_loop(monkeypatch):
    monkeypatch.setattr(representation, "BLOCK", 7)
    z, y, _ = problem()
    queries, there = z[:25] / np.linalg.norm(z[:25], axis=1)[:, None], z[25:]
    there = there / np.linalg.norm(there, axis=1)[:, None]
    squares = [min(((q - x) ** 2).sum() for x in there) for q in queries]
    sizes = (y[:25] == 1).sum(axis=1)
    expected = {"utilisation": np.mean(squares)}
    expected |= {
        f"utilisation_{k}": np.mean([d for d, n in zip(squares, sizes, strict=True) if n == k]) for k in sizes
    }
    assert metrics.utilisation(3 * queries, there, y[:25]) == pytest.approx(expected)


def test_utilisation_at_the_edge():
    assert metrics.utilisation(np.eye(3), np.eye(3))["utilisation"] == 0
    assert metrics.utilisation(np.eye(2), -np.ones((1, 2)))["utilisation"] == pytest.approx(2 + math.sqrt(2))
    assert np.isnan(metrics.utilisation(np.empty((0, 3)), np.eye(3))["utilisation"])
    with pytest.raises(ValueError, match=r"queries have shape \(3, 3\) but references have shape \(0, 3\)"):
        metrics.utilisation(np.eye(3), np.empty((0, 3)))
    with pytest.raises(ValueError, match="3 queries but 2 rows of labels"):
        metrics.utilisation(np.eye(3), np.eye(3), np.ones((2, 1), int))


def test_mixtures_of_the_training_part_lower_utilisation():
    z, _, _ = problem(n=80)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    mixed = np.concatenate([unit[20:], 0.6 * unit[20:50] + 0.4 * unit[50:]])
    assert (
        metrics.utilisation(z[:20], mixed)["utilisation"] < metrics.utilisation(z[:20], z[20:])["utilisation"]
    )


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_coherence_is_the_released_sum(threshold):
    from mlcl_utils.models.prototypes import excess

    torch = pytest.importorskip("torch")
    z = np.random.default_rng(0).normal(size=(9, 4))
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosines = [abs(float(unit[i] @ unit[j])) for i in range(9) for j in range(9) if i != j]
    found = metrics.coherence(z, threshold=threshold)
    assert found["coherence_max"] == pytest.approx(max(cosines))
    assert found["coherence_mean"] == pytest.approx(np.mean(cosines))
    assert found["coherence_excess"] == pytest.approx(sum(max(c - threshold, 0) for c in cosines))
    assert found["coherence_excess"] == pytest.approx(float(excess(torch.from_numpy(z), threshold)))


def test_coherence_at_the_edge():
    assert metrics.coherence(np.eye(4)) == {"coherence_max": 0, "coherence_mean": 0, "coherence_excess": 0}
    alone = metrics.coherence(np.ones((1, 3)))
    assert np.isnan([alone["coherence_max"], alone["coherence_mean"]]).all()
    with pytest.raises(ValueError, match="threshold must be at least 0, not -1"):
        metrics.coherence(np.eye(3), threshold=-1)


# the area under the ROC curve


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digits", [0, 1, 8])
def test_roc_auc_is_that_of_scikit_learn(seed, digits):
    _, y, s = problem(seed)
    s = np.round(s, digits)
    found = metrics.roc_auc(y, s)
    for label in range(y.shape[1]):
        seen = y[:, label] >= 0
        if len(set(y[seen, label])) < 2:
            assert np.isnan(found[label])
        else:
            assert found[label] == pytest.approx(roc_auc_score(y[seen, label], s[seen, label]))
    seen = y >= 0
    assert metrics.micro_roc_auc(y, s) == pytest.approx(roc_auc_score(y[seen], s[seen]))


def test_roc_auc_at_the_edge():
    y = np.array([[1, 0], [0, 0], [-1, 0]])
    assert metrics.roc_auc(y, np.zeros((3, 2)))[0] == 0.5
    assert np.isnan(metrics.roc_auc(y, np.zeros((3, 2)))[1])
    assert np.isnan(metrics.micro_roc_auc(np.ones((2, 2), int), np.zeros((2, 2))))
    assert np.isnan(metrics.micro_roc_auc(np.full((2, 2), -1), np.zeros((2, 2))))


# novel labels


def test_means_of_labels_are_those_of_their_examples():
    z, y, _ = problem()
    found = metrics.label_means(z, y)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    for label in range(y.shape[1]):
        rows = unit[y[:, label] == 1]
        if not len(rows):
            assert np.isnan(found[label]).all()
        else:
            assert found[label] == pytest.approx(rows.sum(axis=0) / np.linalg.norm(rows.sum(axis=0)))


@pytest.mark.parametrize("shots", [1, 5])
def test_shots_are_examples_of_the_label(shots):
    z, y, _ = problem()
    z = np.eye(40)  # what was drawn can be read from the mean
    found = metrics.label_means(z, y, shots=shots, rng=np.random.default_rng(3))
    for label, row in enumerate(found):
        if (y[:, label] == 1).sum() < shots:
            assert np.isnan(row).all()
        else:
            drawn = np.flatnonzero(row)
            assert len(drawn) == shots
            assert (y[drawn, label] == 1).all()
    again = metrics.label_means(z, y, shots=shots, rng=np.random.default_rng(3))
    other = metrics.label_means(z, y, shots=shots, rng=np.random.default_rng(4))
    assert np.array_equal(found, again, equal_nan=True)
    assert not np.array_equal(found, other, equal_nan=True)


def test_novel_labels_with_one_label_each_is_the_accuracy_of_the_nearest_mean():
    z, y = one_each(n=120, count=6)
    support, queries = z[:60], z[60:]
    novel = np.array([False, True, True, False, True, False])
    means = metrics.label_means(support, y[:60])
    prototypes = metrics.label_means(z, y)
    found = metrics.novel_labels(queries, y[60:], means, novel, prototypes=prototypes)
    classes = y[60:].argmax(axis=1)
    mine = novel[classes]
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    alone = np.where(novel, unit @ means.T, -np.inf).argmax(axis=1)
    joint = (unit @ np.where(novel[:, None], means, prototypes).T).argmax(axis=1)
    assert found["novel_first"] == pytest.approx((alone == classes)[mine].mean())
    assert found["joint_first"] == pytest.approx((joint == classes)[mine].mean())
    assert found["joint_drop"] == pytest.approx(found["novel_lrap"] - found["joint_lrap"])
    assert found["joint_drop"] > 0


def test_novel_labels_are_loops_over_labels_and_examples():
    z, y, _ = problem(4, n=50)
    novel = np.array([True, True, True, False, True, False])
    means = metrics.label_means(z[:20], y[:20])
    prototypes = np.random.default_rng(1).normal(size=means.shape)
    z, y = z[20:], y[20:]
    found = metrics.novel_labels(z, y, means, novel, prototypes=prototypes)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    learned = prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)
    there = [label for label in range(6) if novel[label] and not np.isnan(means[label]).any()]
    precisions, at_r = [], []
    for label in there:
        seen = np.flatnonzero(y[:, label] >= 0)
        order = sorted(seen, key=lambda i, label=label: -(unit[i] @ means[label]))
        right = [y[i, label] == 1 for i in order]
        if any(right):
            precisions.append(np.mean([np.mean(right[: r + 1]) for r, hit in enumerate(right) if hit]))
            at_r.append(np.mean(right[: sum(right)]))
    assert found["novel_map"] == pytest.approx(np.mean(precisions))
    assert found["novel_r_precision"] == pytest.approx(np.mean(at_r))
    for name, beside in (("novel", []), ("joint", [label for label in range(6) if not novel[label]])):
        lrap, first = [], []
        for i in range(len(z)):
            own = [label for label in there if y[i, label] == 1]
            if not own:
                continue
            scores = {label: unit[i] @ means[label] for label in there if y[i, label] >= 0}
            scores |= {label: unit[i] @ learned[label] for label in beside if y[i, label] == 0}
            order = sorted(scores, key=lambda label, scores=scores: -scores[label])
            places = [order.index(label) for label in own]
            lrap.append(np.mean([sum(p <= place for p in places) / (place + 1) for place in places]))
            first.append(order[0] in own)
        assert found[f"{name}_lrap"] == pytest.approx(np.mean(lrap))
        assert found[f"{name}_first"] == pytest.approx(np.mean(first))


def test_novel_labels_refuses_what_does_not_fit():
    z, y = one_each()
    means = metrics.label_means(z, y)
    with pytest.raises(ValueError, match="embeddings, labels, means and novel do not fit together"):
        metrics.novel_labels(z, y, means[1:], np.ones(4, dtype=bool))
    with pytest.raises(ValueError, match="do not fit together"):
        metrics.novel_labels(z, y, means, np.ones(4))
    with pytest.raises(ValueError, match="no novel label has a mean"):
        metrics.novel_labels(z, y, means, np.zeros(4, dtype=bool))
    with pytest.raises(ValueError, match="shots must be at least 1, not 0"):
        metrics.label_means(z, y, shots=0)
