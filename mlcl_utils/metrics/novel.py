"""Labels that training has not seen, recognised by the mean of a few examples."""

from __future__ import annotations

import numpy as np

from mlcl_utils.metrics import representation
from mlcl_utils.metrics.arrays import Array, Floats, Mask, checked_labels, mean, ratio
from mlcl_utils.metrics.ranking import average_precision, rank_examples


def label_means(
    embeddings: Array, labels: Array, *, shots: int | None = None, rng: np.random.Generator | None = None
) -> Floats:
    """A unit vector for each label: the mean direction of examples that have it.

    Args:
        embeddings: (n, d), finite, none zero; scaled to unit norm here.
        labels: (n, L) in {-1, 0, 1}.
        shots: how many examples of each label are drawn; None for all.
        rng: draws them; None for one of seed 0.

    Returns:
        (L, d); NaN for a label with fewer examples than ``shots``, with none, or whose mean is zero.

    Raises:
        ValueError: shapes that do not fit, a row that is not finite or zero, fewer than one shot.
    """
    positive = checked_labels(labels) == 1
    vectors = representation.unit(embeddings)
    if len(vectors) != len(positive):
        raise ValueError(f"{len(vectors)} embeddings but {len(positive)} rows of labels")
    if shots is not None:
        if shots < 1:
            raise ValueError(f"shots must be at least 1, not {shots}")
        rng = rng or np.random.default_rng(0)
        # the examples of each label with the largest of random numbers; sorted, those without the label come last
        keys = np.where(positive, rng.random(positive.shape), -1.0)
        order = np.argsort(-keys, axis=0, kind="stable")[:shots]
        enough = positive.sum(axis=0) >= shots
        drawn = np.zeros_like(positive)
        np.put_along_axis(drawn, order, values=True, axis=0)
        positive = drawn & positive & enough
    total = positive.T.astype(np.float64) @ vectors
    norms = np.linalg.norm(total, axis=1, keepdims=True)
    return ratio(total, np.where(norms > 1e-12, norms, 0))


def novel_labels(
    embeddings: Array,
    labels: Array,
    means: Array,
    novel: Array,
    *,
    prototypes: Array | None = None,
) -> dict[str, float]:
    """How well labels that training has not seen are told by the means of a few of their examples.

    The evaluation of Pereira et al. (arXiv 2102.03243) for sets of labels. "Novel" is a label that was never
    supervised: training examples may have had it. Scores are cosines to the means. With one label for each example
    ``novel_first`` is the paper's accuracy, and ``joint_first`` that beside the seen classes.

    - ``novel_map``, ``novel_r_precision``: mean over the novel labels of the average precision, and of the precision
      among as many examples as have the label (equal scores in the order of the examples);
    - ``novel_lrap``, ``novel_first``: with an example's labels ranked among the novel ones, the label-ranking average
      precision, and the share of examples whose first label is right, over the examples that have a novel label;
    - ``joint_lrap``, ``joint_first``: the same labels of the same examples, ranked among all labels but the seen ones
      that the example has; ``joint_drop`` is ``novel_lrap`` minus ``joint_lrap``, the bias towards what was seen.

    A novel label without a mean is left out, and so is one without an observed positive, where a mean over labels is
    taken; an unobserved entry is never ranked.

    Args:
        embeddings: (n, d) of the queries, none of them among those of the means; finite, none zero.
        labels: (n, L) in {-1, 0, 1}.
        means: (L, d), see :func:`label_means`; only the rows of novel labels are used.
        novel: (L,) bool, the labels that were not supervised.
        prototypes: (L, d) learned ones, of which only the rows of seen labels are used; None for no joint ranking.

    Raises:
        ValueError: shapes that do not fit, or no novel label with a mean.
    """
    known = checked_labels(labels)
    vectors = representation.unit(embeddings)
    if known.shape != (len(vectors), len(means)) or novel.shape != (len(means),) or novel.dtype != np.bool_:
        shapes = f"{vectors.shape}, {known.shape}, {means.shape} and {novel.shape} ({novel.dtype})"
        raise ValueError(f"embeddings, labels, means and novel do not fit together: {shapes}")
    there = novel & np.isfinite(means).all(axis=1)
    if not there.any():
        raise ValueError("no novel label has a mean: too few examples have one")
    own, scores = known[:, there], vectors @ means[there].T
    precision = average_precision(own, scores)
    result = {
        "novel_map": mean(precision[~np.isnan(precision)]),
        "novel_r_precision": _r_precision(own, scores),
        **_ranked(own, scores, "novel"),
    }
    if prototypes is not None:
        seen = ~novel
        beside = np.concatenate([scores, vectors @ representation.unit(prototypes[seen]).T], axis=1)
        # a seen label that an example has is no mistake: it is taken out of the ranking as if it were unobserved
        others = np.where(known[:, seen] == 1, -1, known[:, seen]).astype(np.int8)
        result |= _ranked(np.concatenate([own, others], axis=1), beside, "joint")
        result["joint_drop"] = result["novel_lrap"] - result["joint_lrap"]
    return result


def _r_precision(labels: Array, scores: Floats) -> float:
    """Mean over the labels of the precision among as many examples as have the label."""
    order = np.argsort(np.where(labels < 0, np.inf, -scores), axis=0, kind="stable")
    right = np.take_along_axis(labels, order, axis=0) == 1
    positives: Array = right.sum(axis=0)
    found = (right & (np.arange(len(labels))[:, None] < positives)).sum(axis=0)
    return mean(ratio(found, positives)[positives > 0])


def _ranked(labels: Array, scores: Floats, name: str) -> dict[str, float]:
    ranking = rank_examples(labels, scores, cutoffs=(1,))
    complete: Mask = (labels == 1).any(axis=1) & ~ranking.ranked  # all labels that are ranked are right
    first = ranking.precision_at.get(1, np.full(len(labels), np.nan))
    return {
        f"{name}_lrap": mean(_with(ranking.average_precision, complete)),
        f"{name}_first": mean(_with(first, complete)),
    }


def _with(values: Floats, complete: Mask) -> Floats:
    """The values of the ranked examples, and 1 for those in which nothing can be wrong."""
    whole = np.where(complete, 1.0, values)
    return whole[~np.isnan(whole)]
