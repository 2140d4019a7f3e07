"""What lies around an embedding: whether its neighbours share its labels, and whether there is anything near."""

from __future__ import annotations

import numpy as np

from mlcl_utils.metrics import representation
from mlcl_utils.metrics.arrays import Array, Floats, checked_labels

_SMALL = 1e-7  # added to denominators, as in the released code


def icnn_score(
    embeddings: Array, labels: Array, *, neighbours: int = 4, horizon: int | None = None
) -> dict[str, float]:
    """How far the nearest neighbours of an example share its labels, and are nearer than those that share none.

    Méndez-Ruiz et al., arXiv 2305.09062, with the Jaccard index of two label sets as the degree to which they are
    alike. Distances are √(‖x - y‖² + 1e-6), on embeddings as they are; the scores hardly depend on the scale.

    - ``icnn_near``: 1 minus the mean distance of alike neighbours, over that of the nearest that shares none;
    - ``icnn_far``: the mean distance of unlike neighbours, over the largest of those that share nothing; 1 where there
      are none;
    - ``icnn_share``: how alike an example and its neighbours are, in the mean;
    - ``icnn_score``: the mean of ``icnn_share`` and the mean of the other two.

    Larger is better. With one label for each example all are at most 1; a neighbour that shares a little and is farther
    than all strangers can lift ``icnn_far`` above it. Examples without an observed positive are left out.

    Args:
        embeddings: (n, d), finite.
        labels: (n, L) in {-1, 0, 1}.
        neighbours: k at least 1; with fewer than k + 3 examples, all but one, and a share of 1.
        horizon: how many nearest examples are looked through for the nearest that shares none, at least k; None for
            k + 1.

    Returns:
        The four by name; all NaN with fewer than three examples that have a label.

    Raises:
        ValueError: shapes that do not fit, embeddings that are not finite, numbers out of range.
    """
    known = checked_labels(labels)
    representation.check_embeddings(embeddings, len(known))
    if neighbours < 1 or (horizon is not None and horizon < neighbours):
        raise ValueError(
            f"neighbours and horizon must be 1 <= neighbours <= horizon, not {neighbours} and {horizon}"
        )
    labelled = (known == 1).any(axis=1)
    vectors, positive = embeddings[labelled].astype(np.float64), (known[labelled] == 1).astype(np.float64)
    count = len(vectors)
    names = ("icnn_near", "icnn_far", "icnn_share", "icnn_score")
    if count < 3:
        return dict.fromkeys(names, float("nan"))
    few = neighbours + 2 >= count
    k = count - 2 if few else neighbours
    distance, alike = _nearest(
        vectors, positive, max(k + 1 if horizon is None else min(horizon, count - 1), k)
    )
    stranger = np.where(alike == 0, distance, np.inf).min(axis=1, keepdims=True)
    distance, alike = distance[:, :k], alike[:, :k]
    same = alike.sum(axis=1)

    relative = distance / (stranger + _SMALL)
    relative /= np.maximum(1, relative.max(axis=1, keepdims=True))
    near = (alike * relative).sum(axis=1) / (same + _SMALL)
    near_score = 1 - near.sum() / (np.count_nonzero(same > 0) + _SMALL)
    unlike = alike == 0
    far_score = 1.0
    if unlike.any():
        reach = distance / (distance[unlike].max() + _SMALL)
        far = ((1 - alike) * reach).sum(axis=1) / (k - same + _SMALL)
        far_score = far.sum() / (np.count_nonzero(same < k) + _SMALL)
    share = 1.0 if few else float((same / k).mean())
    score = ((near_score + far_score) / 2 + share) / 2
    return dict(zip(names, map(float, (near_score, far_score, share, score)), strict=True))


def _nearest(vectors: Floats, positive: Floats, count: int) -> tuple[Floats, Floats]:
    """Of each example the nearest others, in order: their distances and Jaccard indices, (n, count) each."""
    squares, sizes = (vectors**2).sum(axis=1), positive.sum(axis=1)
    distance, alike = np.empty((len(vectors), count)), np.empty((len(vectors), count))
    for start in range(0, len(vectors), representation.BLOCK):
        rows = slice(start, start + representation.BLOCK)
        between = squares[rows, None] + squares - 2 * vectors[rows] @ vectors.T
        between[np.arange(len(between)), np.arange(start, start + len(between))] = np.inf
        order = np.argsort(between, axis=1, kind="stable")[:, :count]
        distance[rows] = np.sqrt(np.maximum(np.take_along_axis(between, order, axis=1), 0) + 1e-6)
        shared = np.take_along_axis(positive[rows] @ positive.T, order, axis=1)
        alike[rows] = shared / (sizes[rows, None] + sizes[order] - shared)
    return distance, alike


def utilisation(queries: Array, references: Array, labels: Array | None = None) -> dict[str, float]:
    """How near explored space is: mean squared distance of each query to the nearest reference, as unit vectors.

    Venkataramanan et al. (arXiv 2106.04990); queries are of the test part, references of the training part or mixtures
    of it. Smaller is better, 0 to 4. No query may be among the references.

    Args:
        queries: (n, d), finite, none zero.
        references: (m, d), likewise, m at least 1.
        labels: (n, L) in {-1, 0, 1} of the queries, for means by the number of their observed positives; None for none.

    Returns:
        ``utilisation``, NaN without a query; with labels also ``utilisation_<k>`` for every number k of labels that a
        query has.

    Raises:
        ValueError: shapes that do not fit, no reference, a row that is not finite or zero.
    """
    wanted, there = representation.unit(queries), representation.unit(references)
    if wanted.shape[1] != there.shape[1] or not len(there):
        raise ValueError(f"queries have shape {queries.shape} but references have shape {references.shape}")
    blocks = range(0, len(wanted), representation.BLOCK)
    highest = [(wanted[start : start + representation.BLOCK] @ there.T).max(axis=1) for start in blocks]
    squares = np.maximum(2 - 2 * np.concatenate(highest), 0) if highest else np.empty(0)
    result = {"utilisation": float(squares.mean()) if squares.size else float("nan")}
    if labels is not None:
        sizes = np.count_nonzero(checked_labels(labels) == 1, axis=1)
        if len(sizes) != len(squares):
            raise ValueError(f"{len(squares)} queries but {len(sizes)} rows of labels")
        result |= {f"utilisation_{k}": float(squares[sizes == k].mean()) for k in np.unique(sizes)}
    return result
