"""Decision thresholds, chosen on validation scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlcl_utils.metrics.arrays import Array, Floats, Mask, checked_labels, checked_scores

HALF = 0.0
"""The score of a probability of one half, scores being logits."""

FALLBACK_POSITIVES = 10
"""A label with fewer validation positives than this takes the overall threshold."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds on the scale of the scores; an entry is predicted positive if its score reaches them.

    Attributes:
        overall: one for all labels; the primary F1 uses it.
        per_label: (L,) one for each label, equal to ``overall`` where the label fell back to it.
        fallback: (L,) bool, the labels that fell back.
    """

    overall: float
    per_label: Floats
    fallback: Mask


def tune_thresholds(labels: Array, scores: Array) -> Thresholds:
    """Choose thresholds on validation data; both searches are exact over all cuts between distinct scores.

    ``overall`` maximises macro-F1: the mean F1 of the labels that have an observed positive. It is used for
    micro- and sample-F1 as well. ``per_label`` maximises each label's own F1 and falls back to ``overall``
    where the label has fewer than 10 observed positives: rare labels would otherwise be given thresholds
    fitted to a handful of examples, which predict them far too often on test data. Scores have no say in
    it, so that the same labels fall back whatever model is read.

    A threshold lies halfway between the two scores that it parts (at the lowest score if all are predicted
    positive); of equally good cuts (up to rounding) the highest is taken.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite.

    Raises:
        ValueError: no label has an observed positive.
    """
    known = checked_labels(labels).T
    values = checked_scores(scores, known.T).T
    positives = np.count_nonzero(known == 1, axis=1)
    if not positives.any():
        raise ValueError("thresholds cannot be tuned: no label has an observed positive")

    keys = np.where(known < 0, -np.inf, values)
    order = np.argsort(-keys, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    hits = np.cumsum(np.take_along_axis(known, order, axis=1) == 1, axis=1)
    predicted = np.arange(1, known.shape[1] + 1)
    f1 = np.where(positives[:, None] > 0, 2 * hits / (predicted + positives[:, None]), 0.0)

    overall = _best_overall(keys, f1)
    fallback = positives < FALLBACK_POSITIVES
    per_label = np.where(fallback, overall, _best_per_label(keys, f1))
    return Thresholds(overall=overall, per_label=per_label, fallback=fallback)


def _best_overall(keys: Floats, f1: Floats) -> float:
    """The cut through all labels at once with the largest sum of F1.

    Lowering a common threshold past one score changes one label's F1 by the difference of its neighbours in
    that label's order. Sorted by score over all labels, the running sum of these differences is the sum of
    F1.
    """
    gain = np.diff(f1, axis=1, prepend=0.0)
    seen = np.isfinite(keys)
    flat = keys[seen]
    order = np.argsort(-flat)
    ranked = flat[order]
    total = np.cumsum(gain[seen][order])
    following = np.append(ranked[1:], -np.inf)
    total[ranked == following] = -np.inf
    best = int(np.argmax(total))
    return float(_between(ranked[best], following[best]))


def _best_per_label(keys: Floats, f1: Floats) -> Floats:
    """The cut with the best F1 of every label; keys (L, n) in descending order."""
    labels = np.arange(len(keys))
    following = np.full_like(keys, -np.inf)
    following[:, :-1] = keys[:, 1:]
    # No cut between equal scores, nor after unobserved ones.
    at_cut = np.where(keys == following, -np.inf, f1)
    best = np.argmax(at_cut, axis=1)
    return _between(keys[labels, best], following[labels, best])


def _between(upper: Array, lower: Array) -> Array:
    """Halfway between two scores; the upper one where there is no lower, or nothing lies between."""
    middle = np.where(np.isfinite(lower), upper / 2 + lower / 2, upper)
    return np.where(middle > lower, middle, upper)
