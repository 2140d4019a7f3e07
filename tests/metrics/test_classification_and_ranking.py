"""Metrics against scikit-learn, against naive loops, and on cases small enough for paper."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcl_utils import metrics


def random_case(seed, n=30, labels=7, levels=6, missing=0.0):
    """Labels and scores with many ties, an empty row, a full row, a label without positives and one without
    negatives; a share of the entries unobserved."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, labels)) < rng.uniform(0.1, 0.6, labels)).astype(np.int8)
    y[0], y[1], y[:, 0], y[:, 1] = 0, 1, 0, 1
    y[rng.random(y.shape) < missing] = -1
    scores = rng.integers(-levels, levels, y.shape) / 4 + 0.5 * (y == 1)
    return y, scores.astype(np.float32)


def thresholds_at(cut, labels):
    return metrics.Thresholds(cut, np.full(labels, cut), np.zeros(labels, dtype=bool))


seeds = st.integers(0, 2**31)
shapes = {"n": st.integers(4, 40), "labels": st.integers(3, 9), "levels": st.integers(1, 12)}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=seeds, **shapes)
def test_complete_labels_match_scikit_learn(seed, n, labels, levels):
    y, s = random_case(seed, n, labels, levels)
    predictions = s >= 0
    has = (y == 1).any(axis=0)
    rows = (y == 1).any(axis=1) & (y == 0).any(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = metrics.evaluate(y, s, thresholds_at(0.0, labels))
        ap = metrics.average_precision(y, s)
        f1 = metrics.label_f1(y, predictions)
        assert np.isnan(ap[~has]).all()
        assert np.isnan(f1[~has]).all()
        np.testing.assert_allclose(
            ap[has], sk.average_precision_score(y[:, has], s[:, has], average=None), rtol=1e-12
        )
        np.testing.assert_allclose(
            f1[has], sk.f1_score(y[:, has], predictions[:, has], average=None, zero_division=0), rtol=1e-12
        )
        expected = {
            "map": sk.average_precision_score(y[:, has], s[:, has], average="macro"),
            "micro_ap": sk.average_precision_score(y, s, average="micro"),
            "macro_f1": sk.f1_score(y[:, has], predictions[:, has], average="macro", zero_division=0),
            "micro_f1": sk.f1_score(y, predictions, average="micro", zero_division=0),
            "sample_f1": sk.f1_score(y, predictions, average="samples", zero_division=1),
            "hamming_loss": sk.hamming_loss(y, predictions),
            "subset_accuracy": sk.accuracy_score(y, predictions),
        }
        if rows.any():
            expected["lrap"] = sk.label_ranking_average_precision_score(y[rows], s[rows])
            expected["ranking_loss"] = sk.label_ranking_loss(y[rows], s[rows])
            expected["coverage"] = sk.coverage_error(y[rows], s[rows])
            for k in (1, 3, 5):
                if k <= labels:
                    expected[f"ndcg_at_{k}"] = sk.ndcg_score(y[rows], s[rows], k=k)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, rel=1e-10), name
    assert got["labels_evaluated"] == has.sum()
    assert got["labels_without_positive"] == labels - has.sum()
    assert got["examples_ranked"] == rows.sum()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=seeds, missing=st.sampled_from([0.1, 0.5, 0.95]), **shapes)
def test_unobserved_entries_are_as_if_absent(seed, missing, n, labels, levels):
    """By label and by example, scikit-learn on the observed entries alone gives the same."""
    y, s = random_case(seed, n, labels, levels, missing)
    seen = y >= 0
    predictions = s >= 0.25
    ap = metrics.average_precision(y, s)
    f1 = metrics.label_f1(y, predictions)
    for column in range(labels):
        truth, score = y[seen[:, column], column], s[seen[:, column], column]
        if (truth == 1).any():
            assert ap[column] == pytest.approx(sk.average_precision_score(truth, score), rel=1e-12)
            assert f1[column] == pytest.approx(sk.f1_score(truth, score >= 0.25, zero_division=0), rel=1e-12)
        else:
            assert np.isnan(ap[column])
            assert np.isnan(f1[column])

    ranking = metrics.rank_examples(y, s, cutoffs=(1, 2, 3))
    for row in range(n):
        truth, score = y[row, seen[row]], s[row, seen[row]]
        if not ((truth == 1).any() and (truth == 0).any()):
            assert not ranking.ranked[row]
            assert np.isnan(ranking.loss[row])
            continue
        one, of = truth[None], score[None]
        assert ranking.average_precision[row] == pytest.approx(
            sk.label_ranking_average_precision_score(one, of)
        )
        assert ranking.loss[row] == pytest.approx(sk.label_ranking_loss(one, of))
        assert ranking.coverage[row] == pytest.approx(sk.coverage_error(one, of))
        for k in (1, 2, 3):
            if k > len(truth):
                assert np.isnan(ranking.ndcg_at[k][row])
                assert np.isnan(ranking.precision_at[k][row])
            else:
                assert ranking.ndcg_at[k][row] == pytest.approx(sk.ndcg_score(one, of, k=k))

    if (y == 1).any():
        assert metrics.micro_average_precision(y, s) == pytest.approx(
            sk.average_precision_score(y[seen], s[seen])
        )
        assert metrics.micro_f1(y, predictions) == pytest.approx(
            sk.f1_score(y[seen], predictions[seen], zero_division=0)
        )
    if seen.any():
        assert metrics.hamming_loss(y, predictions) == pytest.approx(
            sk.hamming_loss(y[seen], predictions[seen])
        )


def naive_eleven_points(truth, score):
    """Straight from the definition, with the curve at every distinct score."""
    points = []
    for cut in set(score.tolist()):
        chosen = score >= cut
        hits = int((truth[chosen] == 1).sum())
        points.append((hits, hits / chosen.sum()))
    positives = int((truth == 1).sum())
    return np.mean([max(p for hits, p in points if 10 * hits >= t * positives) for t in range(11)])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=seeds, missing=st.sampled_from([0.0, 0.3]), **shapes)
def test_eleven_points_match_the_definition(seed, missing, n, labels, levels):
    y, s = random_case(seed, n, labels, levels, missing)
    got = metrics.eleven_point_average_precision(y, s)
    for column in range(labels):
        seen = y[:, column] >= 0
        if (y[:, column] == 1).any():
            assert got[column] == pytest.approx(naive_eleven_points(y[seen, column], s[seen, column]))
        else:
            assert np.isnan(got[column])


def test_a_case_by_hand():
    y = np.array([[1, 0, 1, 0], [0, 1, -1, 0]], dtype=np.int8)
    s = np.array([[3.0, 2.0, 1.0, 0.0], [1.0, 1.0, 9.0, 0.0]])
    ranking = metrics.rank_examples(y, s, cutoffs=(1, 3))
    # First row: positives at ranks 1 and 3. Second: 3 observed labels, the positive tied with one negative.
    np.testing.assert_allclose(ranking.average_precision, [(1 + 2 / 3) / 2, 1 / 2])
    np.testing.assert_allclose(ranking.loss, [1 / 4, 1 / 2])
    np.testing.assert_allclose(ranking.coverage, [3, 2])
    np.testing.assert_allclose(ranking.precision_at[1], [1, 1 / 2])
    np.testing.assert_allclose(ranking.precision_at[3], [2 / 3, 1 / 3])
    np.testing.assert_allclose(ranking.attainable_at[3], [2 / 3, 1 / 3])
    np.testing.assert_allclose(
        ranking.ndcg_at[3], [(1 + 1 / 2) / (1 + 1 / np.log2(3)), (1 / 2 + 1 / 2 / np.log2(3)) / 1]
    )
    # By label: recall comes at once except for label 1, whose positive is second.
    np.testing.assert_allclose(metrics.average_precision(y, s), [1, 1 / 2, 1, np.nan])
    got = metrics.evaluate(y, s, thresholds_at(1.0, 4))
    # Predicted: all but the last column. TP 1, 1, 1; FP 1, 1, 0.
    assert got["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert got["micro_f1"] == pytest.approx(6 / 8)
    assert got["sample_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert got["hamming_loss"] == pytest.approx(2 / 7)
    assert got["subset_accuracy"] == 0
    assert got["labels_without_positive"] == 1
    assert "precision_at_5" not in got


def test_empty_predictions_for_an_empty_example_are_right():
    y = np.array([[0, 0], [1, 0], [-1, -1]], dtype=np.int8)
    nothing = np.zeros((3, 2), dtype=bool)
    assert metrics.sample_f1(y, nothing) == pytest.approx(0.5)
    assert metrics.subset_accuracy(y, nothing) == pytest.approx(0.5)


def test_metrics_do_not_depend_on_order_nor_on_monotone_rescaling():
    y, s = random_case(3, 40, 8, 4, missing=0.2)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(40), rng.permutation(8)
    before = metrics.evaluate(y, s, thresholds_at(0.5, 8))
    after = metrics.evaluate(y[rows][:, columns], s[rows][:, columns], thresholds_at(0.5, 8))
    assert before == pytest.approx(after, rel=1e-12, nan_ok=True)
    squeezed = metrics.evaluate(y, np.arctan(s.astype(np.float64)), thresholds_at(np.arctan(0.5), 8))
    assert before == pytest.approx(squeezed, rel=1e-12, nan_ok=True)


def test_scores_under_unobserved_entries_do_not_matter():
    y, s = random_case(5, 40, 8, 4, missing=0.3)
    other = np.where(y < 0, 100.0, s)
    assert metrics.evaluate(y, s, thresholds_at(0.5, 8)) == metrics.evaluate(y, other, thresholds_at(0.5, 8))
    np.testing.assert_equal(vars(metrics.tune_thresholds(y, s)), vars(metrics.tune_thresholds(y, other)))


def test_half_precision_scores_are_exact():
    y, s = random_case(6)
    narrow = s.astype(np.float16)
    assert metrics.evaluate(y, narrow, thresholds_at(0.25, 7)) == metrics.evaluate(
        y, narrow.astype(np.float64), thresholds_at(0.25, 7)
    )


def test_means_over_nothing_are_nan_and_do_not_warn():
    y = np.zeros((4, 3), dtype=np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = metrics.evaluate(y, np.zeros((4, 3)), thresholds_at(1.0, 3), bands={"head": np.ones(3, bool)})
        empty = metrics.evaluate(np.full((2, 3), -1, dtype=np.int8), np.zeros((2, 3)), thresholds_at(1.0, 3))
    for name in ("map", "micro_ap", "macro_f1", "micro_f1", "macro_f1_head", "map_head", "lrap", "ndcg_at_1"):
        assert np.isnan(got[name]), name
    assert got["hamming_loss"] == 0
    assert got["labels_evaluated"] == got["examples_ranked"] == 0
    assert np.isnan(empty["hamming_loss"])
    assert np.isnan(empty["sample_f1"])


def test_bands_are_means_over_their_labels():
    counts = [9, 8, 7, 7, 5, 4, 3, 2, 1, 0]
    y = (np.arange(10)[:, None] < np.array(counts)).astype(np.int8)
    position = np.arange(10)
    bands = {"head": position < 4, "medium": (position >= 4) & (position < 7), "tail": position >= 7}
    s = np.random.default_rng(0).normal(size=y.shape)
    got = metrics.evaluate(y, s, thresholds_at(0.0, 10), bands=bands)
    ap, f1 = metrics.average_precision(y, s), metrics.label_f1(y, s >= 0)
    assert got["map_head"] == pytest.approx(ap[:4].mean())
    assert got["macro_f1_medium"] == pytest.approx(f1[4:7].mean())
    assert got["map_tail"] == pytest.approx(ap[7:9].mean())  # the last label has no positive


def test_each_threshold_is_used_where_it_says():
    y = np.array([[1, 1], [0, 1], [0, 0]], dtype=np.int8)
    s = np.array([[3.0, 3.0], [2.0, 2.0], [-1.0, 1.0]])
    chosen = metrics.Thresholds(2.5, np.array([2.5, 1.5]), np.zeros(2, dtype=bool))
    got = metrics.evaluate(y, s, chosen)
    assert got["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert got["macro_f1_per_label"] == got["micro_f1_per_label"] == 1
    assert got["macro_f1_half"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert got["micro_f1_half"] == pytest.approx(6 / 8)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (np.array([[2, 0]]), np.zeros((1, 2)), "labels must be -1, 0 or 1"),
        (np.array([[0.5, 0]]), np.zeros((1, 2)), "fractions"),
        (np.array([1, 0]), np.zeros(2), r"shape \(examples, labels\)"),
        (np.array([[1, 0]]), np.zeros((2, 1)), r"scores have shape \(2, 1\)"),
        (np.array([[1, 0]]), np.array([[np.nan, 0]]), "1 scores are not finite"),
    ],
)
def test_bad_input_is_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(labels, scores, thresholds_at(0.0, 2))


def test_scores_are_not_predictions():
    with pytest.raises(ValueError, match="predictions must be bool, not float64"):
        metrics.macro_f1(np.array([[1, 0]]), np.array([[0.3, 0.2]]))
