"""How a representation lies on the unit sphere, and how that follows the labels.

Embeddings are scaled to unit norm here; s_ij is the cosine of examples i and j. Pairs are i < j. Two examples
share a label if both have it as an observed positive, so with missing labels "share none" includes pairs that
may share one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlcl_utils.metrics.arrays import Array, Floats, Labels, Mask, array, checked_labels, mean

BLOCK = 512
"""Rows of the similarity matrix held at once."""

MOST = 20_000
"""Embeddings whose pairs are compared, at most: the time grows with the square of their number."""


def describe_representation(
    embeddings: Array, labels: Array, *, temperature: float = 0.1
) -> dict[str, float]:
    """Every representation metric by name.

    - ``uniformity``: -log E exp(-2 |z_i - z_j|^2) over all pairs; larger is more uniform, the sign in which
      Wang and Liu (arXiv 2012.09740) report it.
    - ``tolerance``: E[s | share a label] (there, for single labels); ``tolerance_gap``: that minus
      E[s | share none].
    - ``jaccard_slope``: least-squares slope of s on the Jaccard index of the label sets.
    - ``alignment``: E |z_i - z_j|^2 over pairs that share a label (Wang and Isola, arXiv 2005.10242), which
      is 2 - 2 * tolerance.
    - ``effective_rank``: exponential of the entropy of the normalised singular values of the centred vectors
      (Roy and Vetterli 2007), between 1 and the dimension; NaN if all vectors are equal.
    - ``penalty_entropy``: mean over anchors of the entropy (natural logarithm) of the relative penalties
      e^{s_ij / temperature} / sum, over the j that share no label with i (2012.09740); small if few hard
      negatives take all of the penalty.

    Examples without an observed positive count for uniformity and effective rank only. A zero embedding, such as
    that of a text without a known word, has no direction and is left out. Of more than 20,000 (``MOST``) others a
    random choice is described, the same one for every representation of as many. What has no pair to stand on is NaN.

    Args:
        embeddings: (n, d), finite, n at least 2.
        labels: (n, L) in {-1, 0, 1}.
        temperature: above 0; used by the penalties alone.

    Raises:
        ValueError: shapes that do not fit, a non-finite embedding, a temperature that is not positive.
    """
    if len(embeddings) < 2:
        raise ValueError("a representation needs at least two embeddings")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    vectors, known, _ = directions(embeddings, labels)
    if len(vectors) > MOST:
        vectors, known = _chosen(vectors, known)

    spread = 0.0
    for _, similarity, upper in blocks(vectors):
        spread += float(np.exp(4 * similarity[upper] - 4).sum())  # |z_i - z_j|^2 = 2 - 2 s_ij
    pairs = len(vectors) * (len(vectors) - 1) / 2
    result = {
        "uniformity": -float(np.log(spread / pairs)) if pairs else float("nan"),
        "effective_rank": _effective_rank(vectors) if pairs else float("nan"),
    }
    labelled = (known == 1).any(axis=1)
    result.update(_by_labels(vectors[labelled], known[labelled], temperature))
    return result


def view_alignment(embeddings: Array, views: Array) -> float:
    """Mean squared distance between the unit vectors of two views of each example (arXiv 2005.10242), 0 to 4.

    Args:
        embeddings: (n, d), finite, none zero.
        views: (n, d), the other view of each.

    Raises:
        ValueError: shapes differ, or a row is not finite or zero.
    """
    first, second = unit(embeddings), unit(views)
    if first.shape != second.shape:
        raise ValueError(f"embeddings have shape {first.shape} but views have shape {second.shape}")
    return mean(((first - second) ** 2).sum(axis=1))


BINS = 64
"""Bins of the histograms of similarities, evenly over [-1, 1]."""


def picture_embeddings(embeddings: Array, labels: Array) -> dict[str, Array]:
    """What is needed to draw embeddings, scaled to unit norm here.

    Args:
        embeddings: (n, d), finite, d at least 2.
        labels: (n, L) in {-1, 0, 1}.

    Returns:
        ``plane``: float16 (n, 2), their first two principal components, each with the sign that makes its largest
        entry positive, NaN for a zero embedding; ``similarities``: int64 (2, BINS), how many pairs of examples with a
        label each that share a label, and that share none, have a cosine in each bin. Pairs are those of
        :func:`describe_representation`.

    Raises:
        ValueError: shapes that do not fit, or a non-finite embedding.
    """
    vectors, known, given = directions(embeddings, labels)
    plane = np.full((len(embeddings), 2), np.nan)
    if len(vectors) > 1:
        plane[given] = _plane(vectors)
    if len(vectors) > MOST:
        vectors, known = _chosen(vectors, known)
    labelled = (known == 1).any(axis=1)
    positive = (known[labelled] == 1).astype(np.float32)
    counts = np.zeros((2, BINS), dtype=np.int64)
    for rows, similarity, upper in blocks(vectors[labelled]):
        share = positive[rows] @ positive.T > 0
        for kind, chosen in enumerate((upper & share, upper & ~share)):
            counts[kind] += np.histogram(similarity[chosen].clip(-1, 1), bins=BINS, range=(-1, 1))[0]
    return {"plane": plane.astype(np.float16), "similarities": counts}


def _plane(vectors: Floats) -> Floats:
    """The first two principal components (n, 2) of unit vectors."""
    centred = vectors - vectors.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    plane: Floats = left[:, :2] * singular[:2]
    plane *= np.sign(plane[np.abs(plane).argmax(axis=0), np.arange(plane.shape[1])])
    return plane


def _by_labels(vectors: Floats, labels: Array, temperature: float) -> dict[str, float]:
    """The metrics that compare similarities with labels; every example has a positive."""
    positive = (labels == 1).astype(np.float32)
    sizes = positive.sum(axis=1)
    pairs = shared = 0
    total = total_shared = 0.0
    jaccard_sum = jaccard_square = product = 0.0
    entropies = []
    for rows, similarity, upper in blocks(vectors):
        overlap = positive[rows] @ positive.T
        union = sizes[rows, None] + sizes - overlap
        share = overlap > 0
        s = similarity[upper]
        jaccard = overlap[upper].astype(np.float64) / union[upper]
        together = share[upper]
        pairs += s.size
        shared += int(together.sum())
        total += float(s.sum())
        total_shared += float(s[together].sum())
        jaccard_sum += float(jaccard.sum())
        jaccard_square += float(jaccard @ jaccard)
        product += float(jaccard @ s)
        entropies.append(_entropy(similarity / temperature, ~share))

    def over(numerator: float, denominator: float) -> float:
        return numerator / denominator if denominator > 0 else float("nan")

    tolerance = over(total_shared, shared)
    deviation = over(jaccard_square, pairs) - over(jaccard_sum, pairs) ** 2
    covariance = over(product, pairs) - over(jaccard_sum, pairs) * over(total, pairs)
    return {
        "tolerance": tolerance,
        "tolerance_gap": tolerance - over(total - total_shared, pairs - shared),
        # Equal Jaccard indices leave a deviation of rounding errors, and a slope of nothing over nothing.
        "jaccard_slope": over(covariance, deviation) if deviation > 1e-12 else float("nan"),
        "alignment": 2 - 2 * tolerance,
        "penalty_entropy": mean(np.concatenate(entropies)) if entropies else float("nan"),
    }


def _entropy(logits: Floats, negative: Array) -> Floats:
    """Entropy of the softmax over the negatives of every row that has some."""
    some = negative.any(axis=1)
    masked = np.where(negative[some], logits[some], -np.inf)
    masked -= masked.max(axis=1, keepdims=True)
    weight = np.exp(masked)
    total = weight.sum(axis=1)
    # sum of p log p with 0 log 0 = 0: entries of weight 0 drop out before -inf can meet them.
    inner = (weight * np.where(weight > 0, masked, 0.0)).sum(axis=1)
    entropy: Floats = np.log(total) - inner / total
    return entropy


def coherence(prototypes: Array, *, threshold: float = 0.0) -> dict[str, float]:
    """How far prototypes are from being equiangular (Shen et al., arXiv 2303.11637), of absolute cosines of two labels.

    - ``coherence_max`` and ``coherence_mean``: the largest and the mean;
    - ``coherence_excess``: the sum over ordered pairs of what they have beyond the threshold, which is what makes fixed
      prototypes equiangular if it is lowered to 0.

    Args:
        prototypes: (L, d), finite, none zero; scaled to unit norm here.
        threshold: at least 0.

    Returns:
        The three by name; maximum and mean NaN with fewer than two labels.

    Raises:
        ValueError: a row that is not finite or zero, or a negative threshold.
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, not {threshold}")
    vectors = unit(prototypes)
    pairs, largest, total, excess = 0, float("nan"), 0.0, 0.0
    for _, cosines, upper in blocks(vectors):
        sizes = np.abs(cosines[upper])
        pairs += sizes.size
        total += float(sizes.sum())
        excess += 2 * float(np.maximum(sizes - threshold, 0).sum())
        if sizes.size:
            largest = float(np.fmax(largest, sizes.max()))
    return {
        "coherence_max": largest,
        "coherence_mean": total / pairs if pairs else float("nan"),
        "coherence_excess": excess,
    }


def _effective_rank(vectors: Floats) -> float:
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    values = values[values > values.max(initial=0.0) * 1e-12]
    if values.sum() < 1e-9:
        return float("nan")
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def directions(embeddings: Array, labels: Array) -> tuple[Floats, Labels, Mask]:
    """Unit vectors of the embeddings that are not zero, the labels of these, and which they are of all."""
    known = checked_labels(labels)
    embeddings = array(embeddings)
    check_shape(embeddings)
    if len(embeddings) != len(known):
        raise ValueError(f"{len(embeddings)} embeddings but {len(known)} rows of labels")
    given: Mask = (embeddings != 0).any(axis=1)
    if given.all():
        return unit(embeddings), known, given
    return unit(embeddings[given]), known[given], given


def _chosen(vectors: Floats, labels: Labels) -> tuple[Floats, Labels]:
    """``MOST`` of the rows, in their order."""
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), MOST, replace=False))
    return vectors[rows], labels[rows]


def check_embeddings(embeddings: Array, examples: int) -> None:
    """Whether embeddings are a finite matrix with a row for each example.

    Raises:
        ValueError: they are not.
    """
    check_shape(embeddings)
    if len(embeddings) != examples:
        raise ValueError(f"{len(embeddings)} embeddings but {examples} rows of labels")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite")


def check_shape(embeddings: Array) -> None:
    """Whether embeddings are a matrix.

    Raises:
        ValueError: they are not.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings must have shape (examples, dimensions), not {embeddings.shape}")


def unit(embeddings: Array) -> Floats:
    """The rows as unit vectors in float64.

    Raises:
        ValueError: they are no matrix, or a row is not finite or zero.
    """
    check_shape(embeddings)
    vectors = embeddings.astype(np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise ValueError("embeddings must be finite and none of them zero")
    unit: Floats = vectors / norms
    return unit


def blocks(vectors: Floats) -> Iterator[tuple[slice, Floats, Mask]]:
    """Blocks of rows of the similarity matrix, each with the mask of its entries i < j."""
    columns = np.arange(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, min(start + BLOCK, len(vectors)))
        yield rows, vectors[rows] @ vectors.T, columns[None, :] > columns[rows, None]
