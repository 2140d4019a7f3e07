"""Bootstrap of test groups, from saved scores: metrics under many weightings of the examples at once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from scipy import sparse

from mlcl_utils import metrics
from mlcl_utils.metrics.arrays import Array, Floats, Labels, checked_labels, checked_scores, ratio

SEGMENTS = 4096
"""Segments of the ranking held at once, each with one number per resample."""


def group_weights(groups: Array, *, resamples: int = 500, seed: int = 0) -> Array:
    """How often each example counts in each resample; whole groups are drawn, never parts of them.

    Each group's count is a Poisson variable of mean 1, the limit of drawing groups with replacement (Hanley
    and MacGibbon, "Creating non-parametric bootstrap samples using Poisson frequencies", 2006). Counts belong
    to the group numbers, not to their order: a group that is in the test part of two replicates counts
    equally often in both, so that overlapping test parts are not taken for independent data, and two arms on
    one split meet the same resamples.

    Args:
        groups: (n,) integers, 0 or more, unique over the whole data set; the group of each test example.
        resamples: number of resamples B.
        seed: another seed gives other resamples.

    Returns:
        (B, n) float32, whole numbers.

    Raises:
        ValueError: there are no examples, a group number is negative, or fewer than one resample is asked
            for.
    """
    if groups.size == 0 or groups.min() < 0:
        raise ValueError("groups must be one or more integers, none negative")
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, not {resamples}")
    # Drawn group by group, so that a group's counts don't depend on which larger numbers occur.
    counts = np.random.default_rng(seed).poisson(1.0, (int(groups.max()) + 1, resamples))
    return np.ascontiguousarray(counts[groups].T, dtype=np.float32)


def resample_metrics(
    labels: Array,
    scores: Array,
    threshold: float,
    weights: Array,
    *,
    bands: Mapping[str, Array] | None = None,
    per_label: Array | None = None,
) -> dict[str, Floats]:
    """The main metrics under every weighting of the examples, by the names of
    :func:`mlcl_utils.metrics.evaluate`.

    With all weights 1 each equals that of ``evaluate``. A whole-number weight stands for as many copies of
    the example. A label whose positives all have weight zero is left out of that resample's macro averages.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite.
        threshold: the overall one, tuned on validation; it is not resampled.
        weights: (B, n), 0 or more.
        bands: name -> (L,) bool mask; each adds ``macro_f1_<name>`` and ``map_<name>``.
        per_label: (L,) thresholds of the labels; they add ``macro_f1_per_label``.

    Returns:
        ``map``, ``macro_f1``, ``micro_f1``, ``lrap``, ``ranking_loss`` and those of the bands, each (B,).

    Raises:
        ValueError: shapes or values are not as stated.
    """
    known = checked_labels(labels)
    values = checked_scores(scores, known)
    if weights.ndim != 2 or weights.shape[1] != len(known):
        raise ValueError(f"weights have shape {weights.shape} but there are {len(known)} examples")
    weight = np.ascontiguousarray(weights, dtype=np.float32)

    precision = _average_precision(known, values, weight)
    # Sums of whole numbers below 2^24 are exact in float32, which halves the time of these products.
    positive, predicted = known == 1, (values >= threshold) & (known >= 0)
    positives, guesses, hits = (
        (weight @ part.astype(np.float32)).astype(np.float64)
        for part in (positive, predicted, positive & predicted)
    )
    f1 = np.where(positives > 0, ratio(2 * hits, guesses + positives), np.nan)

    result = {
        "map": _row_mean(precision),
        "macro_f1": _row_mean(f1),
        "micro_f1": _micro_f1(hits, guesses, positives),
    }
    for name, mask in (bands or {}).items():
        result[f"macro_f1_{name}"] = _row_mean(f1[:, mask])
        result[f"map_{name}"] = _row_mean(precision[:, mask])
    if per_label is not None:
        result["macro_f1_per_label"] = resample_f1(known, values >= per_label, weight, positives)
    ranking = metrics.rank_examples(known, values, cutoffs=())
    for name, example in (("lrap", ranking.average_precision), ("ranking_loss", ranking.loss)):
        counted = weight[:, ranking.ranked].astype(np.float64)
        result[name] = ratio(counted @ example[ranking.ranked], counted.sum(axis=1))
    return result


def resample_f1(labels: Array, predicted: Array, weights: Array, positives: Floats | None = None) -> Floats:
    """Macro-F1 of predictions under every weighting of the examples: (B,).

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        predicted: (n, L) bool.
        weights: (B, n), 0 or more.
        positives: (B, L) the weight of each label's positives, where it is known already.
    """
    known, weight = checked_labels(labels), np.ascontiguousarray(weights, dtype=np.float32)
    positive, guessed = known == 1, predicted & (known >= 0)
    parts = [guessed, positive & guessed, *([positive] if positives is None else [])]
    guesses, hits, *rest = ((weight @ part.astype(np.float32)).astype(np.float64) for part in parts)
    total = rest[0] if positives is None else positives
    return _row_mean(np.where(total > 0, ratio(2 * hits, guesses + total), np.nan))


def _micro_f1(hits: Array, guesses: Array, positives: Array) -> Floats:
    total = positives.sum(axis=1)
    return np.where(total > 0, ratio(2 * hits.sum(axis=1), guesses.sum(axis=1) + total), np.nan)


def _row_mean(values: Array) -> Floats:
    """The mean of what is not NaN in every row; NaN for a row without any."""
    seen = ~np.isnan(values)
    return ratio(np.where(seen, values, 0.0).sum(axis=1), seen.sum(axis=1))


def _average_precision(labels: Labels, scores: Floats, weights: Array) -> Floats:
    """Average precision of every label in every resample, sorting each label once: (B, L).

    Precision is needed only at the positives. Their ranks cut a label's ranking into segments; the weight of
    every segment in every resample is one sparse product, and running sums over a label's segments give the
    weighted numbers of hits and of examples down to each positive.
    """
    keys = np.where(labels.T < 0, np.inf, -scores.T)
    order = np.argsort(keys, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    positive = np.take_along_axis(labels.T, order, axis=1) == 1
    found = np.cumsum(positive, axis=1)
    last = np.ones(keys.shape, dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=last[:, :-1])

    # A segment ends with a group of equal scores that has a positive, so where the count at group ends has grown.
    counted = np.maximum.accumulate(np.where(last, found, 0), axis=1)
    before = np.zeros_like(counted)
    before[:, 1:] = counted[:, :-1]
    closes = last & (found > before)
    segments = closes.sum(axis=1)
    segment: Array = np.cumsum(closes, axis=1) - closes  # the segment of every rank, within its label
    used = segment < segments[:, None]  # ranks after the last positive matter to nothing

    result = np.full((len(weights), labels.shape[1]), np.nan)
    by_example = np.ascontiguousarray(weights.T)
    for chosen in _chunks(segments):
        number = np.cumsum(segments[chosen]) - segments[chosen]
        rows = (segment[chosen] + number[:, None])[used[chosen]]
        columns = order[chosen][used[chosen]]
        hit = positive[chosen][used[chosen]]
        count = int(segments[chosen].sum())
        everyone = _segment_sums(rows, columns, count, by_example)
        hits = _segment_sums(rows[hit], columns[hit], count, by_example)
        starts = number[segments[chosen] > 0]
        precision = ratio(_running(hits, starts), _running(everyone, starts), empty=0.0)
        total = np.add.reduceat(hits, starts, axis=0, dtype=np.float64)
        gained = np.add.reduceat(hits * precision, starts, axis=0)
        result[:, np.arange(labels.shape[1])[chosen][segments[chosen] > 0]] = ratio(gained, total).T
    return result


def _chunks(segments: Array) -> list[slice]:
    """Runs of labels with about SEGMENTS segments each, none without any segment."""
    run = np.cumsum(segments) // SEGMENTS
    edges = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist(), len(segments)]
    slices = [slice(a, b) for a, b in itertools.pairwise(edges)]
    return [part for part in slices if segments[part].any()]


def _segment_sums(rows: Array, columns: Array, count: int, by_example: Array) -> Array:
    """The weight in each segment, for ascending segment numbers: (count, B)."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    ones = np.ones(len(rows), dtype=np.float32)
    members = sparse.csr_array((ones, columns, starts), shape=(count, len(by_example)))
    sums: Array = members @ by_example
    return sums


def _running(sums: Array, starts: Array) -> Floats:
    """Running sums down the segments that begin anew at every start."""
    total = np.cumsum(sums, axis=0, dtype=np.float64)
    before = np.zeros((len(starts), sums.shape[1]))
    before[1:] = total[starts[1:] - 1]
    lengths = np.diff(np.append(starts, len(sums)))
    running: Floats = total - np.repeat(before, lengths, axis=0)
    return running
