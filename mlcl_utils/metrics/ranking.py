"""Metrics of the order of scores: average precision by label, and rankings of the labels of an example.

Everything comes from one sort per direction. Ties are grouped: an item's rank is the last rank of the items
that share its score, as in scikit-learn, so that no metric depends on the order in which equal scores are
stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlcl_utils.metrics.arrays import Array, Floats, Labels, Mask, checked_labels, checked_scores, ratio


@dataclass(frozen=True)
class _Ranking:
    """Rows of items in descending order of score, unobserved items last.

    Attributes:
        end: (rows, items) for every rank (0-based) the last rank of its group of equal scores.
        found: (rows, items) number of positives up to and including a rank.
        observed: (rows,) number of observed items.
        positives: (rows,) number of observed positives.
        row: (positives,) row of every positive, in ascending order.
        rank: (positives,) its 1-based rank, ties counted as the last of their group.
        hits: (positives,) number of positives up to that rank.
    """

    end: Array
    found: Array
    observed: Array
    positives: Array
    row: Array
    rank: Array
    hits: Array

    def sum(self, values: Array) -> Floats:
        """Sum over the positives of every row: (rows,)."""
        total: Floats = np.bincount(self.row, weights=values, minlength=len(self.observed)).astype(np.float64)
        return total


def _rank(labels: Labels, scores: Floats) -> _Ranking:
    """Sort every row of (rows, items) matrices."""
    # An unobserved item gets a key behind every finite one, and so can share a group with no observed item.
    keys = np.where(labels < 0, np.inf, -scores)
    order = np.argsort(keys, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    positive = np.take_along_axis(labels, order, axis=1) == 1
    items = labels.shape[1]
    last = np.ones(labels.shape, dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=last[:, :-1])
    end = np.where(last, np.arange(items, dtype=np.int32), np.int32(items))
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
    found = np.cumsum(positive, axis=1, dtype=np.int32)
    row, column = np.nonzero(positive)
    group_end = end[row, column]
    return _Ranking(
        end=end,
        found=found,
        observed=np.count_nonzero(labels >= 0, axis=1),
        positives=np.count_nonzero(positive, axis=1),
        row=row,
        rank=group_end.astype(np.int64) + 1,
        hits=found[row, group_end].astype(np.int64),
    )


def _row_average_precision(ranking: _Ranking) -> Floats:
    return ratio(ranking.sum(ranking.hits / ranking.rank), ranking.positives)


def average_precision(labels: Array, scores: Array) -> Floats:
    """Non-interpolated average precision of every label, ties grouped.

    The sum over distinct scores, in descending order, of the precision times the gain in recall
    (scikit-learn's definition). mAP is its mean over the labels that are not NaN.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite.

    Returns:
        (L,) in (0, 1]; NaN for a label without an observed positive.
    """
    known = checked_labels(labels)
    return _row_average_precision(_rank(known.T, checked_scores(scores, known).T))


def eleven_point_average_precision(labels: Array, scores: Array) -> Floats:
    """Interpolated average precision of every label at recall 0, 0.1, ..., 1, as PASCAL VOC 2007 defines it.

    The mean over these eleven levels of the largest precision at that recall or more (Everingham et al., "The
    PASCAL Visual Object Classes Challenge", IJCV 2010, section 4.2). It is not comparable with
    :func:`average_precision`. Levels are compared in integers, so that no recall misses its level by
    rounding.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite; ties grouped.

    Returns:
        (L,) in (0, 1]; NaN for a label without an observed positive.
    """
    known = checked_labels(labels)
    ranking = _rank(known.T, checked_scores(scores, known).T)
    # Precision only falls between one positive and the next, so the maximum lies at a positive.
    precision = ranking.hits / ranking.rank
    total = np.zeros(known.shape[1])
    for tenth in range(11):
        reached = 10 * ranking.hits >= tenth * ranking.positives[ranking.row]
        best = np.zeros_like(total)
        np.maximum.at(best, ranking.row[reached], precision[reached])
        total += best
    return np.where(ranking.positives > 0, total / 11, np.nan)


def micro_average_precision(labels: Array, scores: Array) -> float:
    """Average precision of all observed entries pooled into one ranking, ties grouped; NaN without a
    positive.

    Args:
        labels: (n, L) in {-1, 0, 1}.
        scores: (n, L) finite and on one scale for all labels.
    """
    known = checked_labels(labels)
    checked = checked_scores(scores, known)
    seen = known >= 0
    return float(_row_average_precision(_rank(known[seen][None], checked[seen][None]))[0])


def roc_auc(labels: Array, scores: Array) -> Floats:
    """Area under the ROC curve of every label: the share of pairs (positive, negative) in the right order.

    Pairs of equal scores count half, as in scikit-learn.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite.

    Returns:
        (L,) in [0, 1]; NaN for a label without an observed positive or without an observed negative.
    """
    known = checked_labels(labels)
    return _row_auc(known.T, checked_scores(scores, known).T)


def micro_roc_auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve of all observed entries pooled; NaN without a positive or without a negative.

    Args:
        labels: (n, L) in {-1, 0, 1}.
        scores: (n, L) finite and on one scale for all labels.
    """
    known = checked_labels(labels)
    checked = checked_scores(scores, known)
    seen = known >= 0
    return float(_row_auc(known[seen][None], checked[seen][None])[0])


def _row_auc(labels: Labels, scores: Floats) -> Floats:
    ranking = _rank(labels, scores)
    negatives = ranking.observed - ranking.positives
    # Of each positive: the negatives down to the end of its group of equal scores, less those of the group, halved.
    rows = np.arange(len(labels))[:, None]
    opens = np.ones(ranking.end.shape, dtype=bool)
    np.not_equal(ranking.end[:, 1:], ranking.end[:, :-1], out=opens[:, 1:])
    start = np.maximum.accumulate(np.where(opens, np.arange(ranking.end.shape[1]), 0), axis=1)
    through = ranking.end + 1 - ranking.found[rows, ranking.end]
    before = np.where(start > 0, start - ranking.found[rows, start - 1], 0)
    above = (through + before) / 2
    positive = np.diff(ranking.found, axis=1, prepend=0) > 0
    misplaced = (above * positive).sum(axis=1)
    return 1 - ratio(misplaced, ranking.positives * negatives)


@dataclass(frozen=True)
class ExampleRanking:
    """How well the labels of each example are ordered; every array has one entry per example, NaN if left
    out.

    Attributes:
        ranked: (n,) bool, the examples that count: at least one observed positive and one observed negative.
        average_precision: (n,) label-ranking average precision: the mean over positives of the share of
            positives among the labels ranked at least as high.
        loss: (n,) ranking loss: the share of pairs (positive, negative) in which the negative scores at least
            as high.
        coverage: (n,) number of labels down to the last positive, so 1 at best.
        precision_at: k -> (n,) positives among the k highest labels, divided by k (never by fewer).
        attainable_at: k -> (n,) the largest precision that the number of positives allows.
        ndcg_at: k -> (n,) discounted gain (1 / log2(1 + rank)) of the k highest labels over the largest
            possible.
    """

    ranked: Mask
    average_precision: Floats
    loss: Floats
    coverage: Floats
    precision_at: dict[int, Floats]
    attainable_at: dict[int, Floats]
    ndcg_at: dict[int, Floats]


def rank_examples(labels: Array, scores: Array, *, cutoffs: tuple[int, ...] = (1, 3, 5)) -> ExampleRanking:
    """Rank the labels of every example.

    Examples whose observed labels are all negative or all positive are left out; scikit-learn scores them as
    perfect in most of these metrics. Ties: the rank is the last of the group, and in the cut metrics a group
    that the cut divides counts with its expected number of positives (as scikit-learn's nDCG does). A cut is
    skipped where it exceeds the labels: it is not among the keys if there are fewer labels, and NaN for an
    example with fewer observed ones.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite and on one scale for all labels.
        cutoffs: the k of precision and nDCG, each at least 1.
    """
    known = checked_labels(labels)
    ranking = _rank(known, checked_scores(scores, known))
    positives, observed = ranking.positives, ranking.observed
    ranked = (positives > 0) & (positives < observed)

    def kept(values: Floats, also: Mask | None = None) -> Floats:
        return np.where(ranked if also is None else ranked & also, values, np.nan)

    misordered = ranking.sum(ranking.rank - ranking.hits)
    deepest = np.zeros(len(known))
    np.maximum.at(deepest, ranking.row, ranking.rank)

    cuts = [k for k in cutoffs if k <= known.shape[1]]
    depth = max(cuts, default=0)
    gains = _expected_gains(ranking, depth)
    discounts = 1 / np.log2(np.arange(2, depth + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    return ExampleRanking(
        ranked=ranked,
        average_precision=kept(_row_average_precision(ranking)),
        loss=kept(ratio(misordered, positives * (observed - positives))),
        coverage=kept(deepest),
        precision_at={k: kept(gains[:, :k].sum(axis=1) / k, observed >= k) for k in cuts},
        attainable_at={k: kept(np.minimum(positives, k) / k, observed >= k) for k in cuts},
        ndcg_at={
            k: kept(ratio(gains[:, :k] @ discounts[:k], ideal[np.minimum(positives, k)]), observed >= k)
            for k in cuts
        },
    )


def _expected_gains(ranking: _Ranking, depth: int) -> Floats:
    """Expected positives at each of the first ranks if equal scores came in random order: (rows, depth)."""
    end = ranking.end[:, :depth]
    rank = np.arange(depth)
    opens = np.ones(end.shape, dtype=bool)
    np.not_equal(end[:, 1:], end[:, :-1], out=opens[:, 1:])
    start = np.maximum.accumulate(np.where(opens, rank, 0), axis=1)
    rows = np.arange(len(end))[:, None]
    before = np.where(start > 0, ranking.found[rows, start - 1], 0)
    expected: Floats = (ranking.found[rows, end] - before) / (end - start + 1)
    return expected
