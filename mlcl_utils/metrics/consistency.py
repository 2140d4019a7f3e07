"""OPIS: how differently one threshold treats the labels (Zhang et al., ICLR 2024, arXiv 2307.04047).

At a threshold t the utility of a class is the harmonic mean of its sensitivity, the accepted share of its positives,
and its specificity, the rejected share of its negatives; an entry is accepted if its score reaches t. OPIS is the mean
over classes and thresholds of the squared distance of a class's utility from the mean over the classes: 0 if one
threshold serves all alike. The thresholds go evenly from the one at which a share ``high`` of all negatives is accepted
to that of ``low``: with the M negatives in descending order, the entry ``⌊share · M⌋``, counted from 0.

It does not change with the scale of the scores, but with their shape: compare models on probabilities or cosines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from mlcl_utils.metrics import representation
from mlcl_utils.metrics.arrays import Array, Floats, checked_labels, checked_scores, mean

MOST_PAIRED = 5_000
"""Examples whose pairs :func:`opis_pairs` looks at, at most."""


def opis_scores(
    labels: Array,
    scores: Array,
    *,
    low: float = 0.01,
    high: float = 0.1,
    steps: int = 101,
    even: Literal["score", "rate"] = "score",
    extremes: float | None = None,
) -> float:
    """OPIS of the scores of labels: a class is a label, its positives and negatives are the observed entries.

    It measures what one threshold for all labels costs beside one for each.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite and on one scale for all labels.
        low: least share of negatives accepted, at least 0.
        high: largest share, below 1 and above ``low``.
        steps: thresholds.
        even: whether thresholds are evenly apart in score or in the share of negatives that they accept; the latter
            does not change with any increasing function of the scores.
        extremes: a share of labels, such as 0.1: ε-OPIS then, the squared gap between the mean utility of the best such
            share and of the worst, one label each at least; a mean over labels hides few that one threshold fails.

    Returns:
        At least 0; NaN if no label has both an observed positive and a negative. Labels without are left out.

    Raises:
        ValueError: shapes that differ, scores that are not finite, shares or steps out of range.
    """
    _check(low, high, steps, extremes)
    known = checked_labels(labels)
    values = checked_scores(scores, known)
    negatives = values[known == 0]
    if not negatives.size:
        return float("nan")
    thresholds = _thresholds(negatives, low, high, steps, even)
    # the number of thresholds that a score reaches; counted by label, it says how many reach each
    reached = np.searchsorted(thresholds, values, side="right")
    cells = reached + (steps + 1) * np.arange(known.shape[1])
    counts = [
        np.bincount(cells[known == state], minlength=(steps + 1) * known.shape[1]).reshape(-1, steps + 1)
        for state in (1, 0)
    ]
    return _inconsistency(counts[0], counts[1], extremes)


def opis_pairs(
    embeddings: Array,
    labels: Array,
    *,
    low: float = 0.01,
    high: float = 0.1,
    steps: int = 101,
    even: Literal["score", "rate"] = "score",
    extremes: float | None = None,
) -> float:
    """OPIS of the cosines of pairs: the published metric, for sets of labels.

    The positives of a label are the pairs of examples that both have it, its negatives the pairs of which one has it
    and that share no label. An example without an observed positive is in no pair; a zero embedding is left out. Of
    more than 5,000 (``MOST_PAIRED``) examples a random choice is looked at, the same for every model.

    Args:
        embeddings: (n, d), finite; scaled to unit norm here.
        labels: (n, L) in {-1, 0, 1}.
        low: see :func:`opis_scores`, and so the others.
        high: of the negative pairs.
        steps: thresholds.
        even: what they are even in.
        extremes: a share of labels for ε-OPIS.

    Returns:
        At least 0; NaN if no label has both a positive and a negative pair. Labels without are left out.

    Raises:
        ValueError: shapes that do not fit, embeddings that are not finite, shares or steps out of range.
    """
    _check(low, high, steps, extremes)
    vectors, known, _ = representation.directions(embeddings, labels)
    labelled = (known == 1).any(axis=1)
    vectors, positive = vectors[labelled], (known[labelled] == 1).astype(np.float64)
    if len(vectors) > MOST_PAIRED:
        chosen = np.sort(np.random.default_rng(0).choice(len(vectors), MOST_PAIRED, replace=False))
        vectors, positive = vectors[chosen], positive[chosen]
    pooled = [cosines[apart & upper] for _, cosines, apart, upper in _blocks(vectors, positive)]
    negatives = np.concatenate(pooled) if pooled else np.empty(0)
    if not negatives.size:
        return float("nan")
    thresholds = _thresholds(negatives, low, high, steps, even)
    accepted = np.zeros((2, positive.shape[1], steps + 1), dtype=np.int64)
    for rows, cosines, apart, upper in _blocks(vectors, positive):
        reached = np.searchsorted(thresholds, cosines, side="right")
        # A negative pair counts for all labels of its one example: a histogram for each, added up by label.
        cells = reached + (steps + 1) * np.arange(len(reached))[:, None]
        by_example = np.bincount(cells[apart], minlength=cells.shape[0] * (steps + 1)).reshape(-1, steps + 1)
        accepted[1] += (positive[rows].T @ by_example).astype(np.int64)
        for label, members in enumerate(positive.T > 0):
            own = members[rows]
            pairs = (upper & members)[own]
            accepted[0, label] += np.bincount(reached[own][pairs], minlength=steps + 1)
    return _inconsistency(accepted[0], accepted[1], extremes)


def _check(low: float, high: float, steps: int, extremes: float | None = None) -> None:
    if extremes is not None and not 0 < extremes <= 0.5:
        raise ValueError(f"extremes must be a share above 0 and at most 0.5, not {extremes:g}")
    if not 0 <= low < high < 1:
        raise ValueError(f"low and high must be shares with 0 <= low < high < 1, not {low:g} and {high:g}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")


def _thresholds(negatives: Array, low: float, high: float, steps: int, even: str) -> Floats:
    """The thresholds in ascending order."""
    descending = -np.sort(-negatives)
    if even == "rate":
        rates = np.linspace(high, low, steps)
        result: Floats = descending[(rates * len(descending)).astype(np.int64)]
        return result
    if even != "score":
        raise ValueError(f"even must be score or rate, not {even!r}")
    first, last = (descending[int(share * len(descending))] for share in (high, low))
    return np.linspace(first, last, steps)


def _blocks(vectors: Floats, positive: Floats) -> Iterator[tuple[slice, Floats, Array, Array]]:
    """Blocks of rows: cosines, which pairs share no label, and which come before the diagonal's mirror image."""
    for rows, cosines, upper in representation.blocks(vectors):
        yield rows, cosines, positive[rows] @ positive.T == 0, upper


def _inconsistency(positives: Array, negatives: Array, extremes: float | None) -> float:
    """OPIS or ε-OPIS from how many positives and negatives of each class reach how many thresholds.

    Both (classes, steps + 1).
    """
    counted = (positives.sum(axis=1) > 0) & (negatives.sum(axis=1) > 0)
    sensitivity, acceptance = (
        counts[counted, ::-1].cumsum(axis=1)[:, ::-1][:, 1:] / counts[counted].sum(axis=1, keepdims=True)
        for counts in (positives, negatives)
    )
    specificity = 1 - acceptance
    total = sensitivity + specificity
    utility = np.divide(2 * sensitivity * specificity, total, out=np.zeros_like(total), where=total > 0)
    if not counted.any():
        return float("nan")
    if extremes is None:
        return mean((utility - utility.mean(axis=0, keepdims=True)) ** 2)
    ranked = np.sort(utility.mean(axis=1))
    few = max(1, math.ceil(extremes * len(ranked) - 1e-9))
    return (mean(ranked[-few:]) - mean(ranked[:few])) ** 2
