"""Metrics of predicted label sets: F1 in its averages, Hamming loss, subset accuracy.

All take labels (n, L) in {-1, 0, 1} and predictions (n, L) bool; unobserved entries (-1) count nowhere.
"""

from __future__ import annotations

import numpy as np

from mlcl_utils.metrics.arrays import (
    Array,
    Floats,
    Mask,
    checked_labels,
    checked_predictions,
    mean,
    ratio,
)


def _counts(labels: Array, predictions: Array, axis: int) -> tuple[Array, Array, Array]:
    """True positives, observed predictions and positives, summed over an axis."""
    known = checked_labels(labels)
    predicted = checked_predictions(predictions, known)
    positive = known == 1
    return (
        np.count_nonzero(positive & predicted, axis=axis),
        np.count_nonzero((known >= 0) & predicted, axis=axis),
        np.count_nonzero(positive, axis=axis),
    )


def label_f1(labels: Array, predictions: Array) -> Floats:
    """F1 of every label: 2 TP / (2 TP + FP + FN).

    Args:
        labels: (n, L) in {-1, 0, 1}.
        predictions: (n, L) bool.

    Returns:
        (L,) in [0, 1]; NaN for a label without an observed positive, whatever is predicted, so that the
        labels that count in a macro average are the same for every model.
    """
    hits, predicted, positives = _counts(labels, predictions, axis=0)
    return np.where(positives > 0, ratio(2 * hits, predicted + positives), np.nan)


def macro_f1(labels: Array, predictions: Array) -> float:
    """The mean of :func:`label_f1` over the labels that have an observed positive."""
    values = label_f1(labels, predictions)
    return mean(values[~np.isnan(values)])


def micro_f1(labels: Array, predictions: Array) -> float:
    """F1 of all observed entries pooled, labels without a positive included; NaN without any positive."""
    hits, predicted, positives = (int(part.sum()) for part in _counts(labels, predictions, axis=0))
    return 2 * hits / (predicted + positives) if positives else float("nan")


def sample_f1(labels: Array, predictions: Array) -> float:
    """The mean over examples of the F1 of their label sets.

    An example without a positive scores 1 if nothing is predicted and 0 otherwise (scikit-learn's
    ``zero_division=1``); one without any observed entry is left out.
    """
    hits, predicted, positives = _counts(labels, predictions, axis=1)
    return mean(ratio(2 * hits, predicted + positives, empty=1.0)[_with_observed(labels)])


def hamming_loss(labels: Array, predictions: Array) -> float:
    """The share of observed entries that are predicted wrongly."""
    known = checked_labels(labels)
    wrong = (known == 1) != checked_predictions(predictions, known)
    return mean(wrong[known >= 0])


def subset_accuracy(labels: Array, predictions: Array) -> float:
    """The share of examples whose observed entries are all right; those without any are left out."""
    known = checked_labels(labels)
    wrong = ((known == 1) != checked_predictions(predictions, known)) & (known >= 0)
    return mean(~wrong.any(axis=1)[_with_observed(known)])


def _with_observed(labels: Array) -> Mask:
    return np.asarray((checked_labels(labels) >= 0).any(axis=1))
