"""Groups of examples that belong together, and splits that no group crosses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The parts of a split."""

SPLITS = 10
"""Splits of every data set; replicate r uses split r."""

FRACTIONS = (0.7, 0.1, 0.2)
"""Shares of training, validation and test."""


def join_groups(count: int, pairs: npt.ArrayLike, *keys: Sequence[object]) -> npt.NDArray[np.int32]:
    """Groups of examples linked by a pair or by an equal key (the connected components).

    Args:
        count: number N of examples.
        pairs: (P, 2) positions of examples to be kept together.
        keys: each a sequence of N values; examples with the same value are kept together.

    Returns:
        int32 (N,), groups numbered from 0 in the order in which they first occur.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = [np.asarray(pairs, dtype=np.int64).reshape(-1, 2)]
    for key in keys:
        first: dict[object, int] = {}
        edges.append(
            np.array([(first.setdefault(value, i), i) for i, value in enumerate(key)], dtype=np.int64)
        )
    linked = np.concatenate(edges)
    graph = coo_array(
        (np.ones(len(linked), dtype=np.int8), (linked[:, 0], linked[:, 1])), shape=(count, count)
    )
    component = connected_components(graph, directed=False)[1]
    _, first_seen, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_seen))[inverse].astype(np.int32)


def grouped_splits(
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.int32],
    seed: int,
    test: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Ten splits into training, validation and test examples, stratified over groups by all labels.

    Groups are dealt out one by one, those first that hold much of some label (in a random order of their own for
    each split), each to the part where it raises least the chi-square distance of all numbers of positives and of
    examples from 70/10/20; a second pass moves groups to where they fit better. Label counts are thus balanced as in
    iterative stratification (Sechidis, Tsoumakas, Vlahavas, 2011), but with groups of any size as units. Examples are
    counted apart by the size of their group (1, 2 to 3, 4 to 7, ...), or else the small parts would get the small
    groups. A group with much of some label still nearly always goes to training, since it would overfill the others.

    Args:
        labels: int8 (N, L), 1 for a positive.
        groups: int32 (N,), numbered from 0 without gaps.
        seed: another seed gives other splits; split r is drawn with (seed, r).
        test: bool (N,), an official test part that every split keeps. The other examples are dealt out to training
            and validation at the same proportion to each other, 7 to 1; only there do groups stay together.

    Returns:
        uint8 (10, N): 0 training, 1 validation, 2 test.
    """
    if test is not None and test.any():
        free = np.flatnonzero(~test)
        fractions = np.array(FRACTIONS[:TEST])
        splits = np.full((SPLITS, len(labels)), TEST, dtype=np.uint8)
        splits[:, free] = _dealt(labels[free], _numbered(groups[free]), seed, fractions / fractions.sum())
        return splits
    return _dealt(labels, groups, seed, np.array(FRACTIONS))


def _numbered(groups: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The groups numbered from 0 without gaps."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int32)


def _dealt(
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.int32],
    seed: int,
    fractions: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint8]:
    """Part of each example in ten splits, uint8 (10, N)."""
    from scipy.sparse import csr_array, hstack

    def counts(columns: npt.NDArray[np.int64], values: npt.NDArray[np.int64], width: int) -> csr_array:
        return csr_array((values, (np.arange(len(columns)), columns)), shape=(len(columns), width))

    sizes = np.bincount(groups)
    size_class = np.floor(np.log2(sizes)).astype(np.int64)
    member = csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))))
    positives = csr_array(member @ csr_array((labels == 1).astype(np.float64)))
    totals = csr_array(
        hstack(
            [
                positives,
                counts(size_class, sizes, int(size_class.max()) + 1),
                counts(np.zeros_like(size_class), sizes, 1),
            ]
        )
    )
    totals.sort_indices()
    shares = positives / np.maximum(positives.sum(axis=0), 1)
    largest_share = shares.max(axis=1).toarray().ravel()
    weight = np.ones(totals.shape[1])
    weight[labels.shape[1] :] = 5  # the sizes of the parts count as much as a few labels
    bar = tqdm(range(SPLITS), desc="splits", unit="split", delay=2, disable=None)
    return np.stack(
        [
            _deal(totals, largest_share, weight, fractions, np.random.default_rng([seed, r]))[groups]
            for r in bar
        ]
    )


def _deal(
    totals: Any,
    largest_share: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    fractions: npt.NDArray[np.float64],
    generator: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Part of each group, from its row of counts, sparse (groups, counts), and the largest share it has of a label."""
    wanted = fractions[:, None] * np.maximum(totals.sum(axis=0), 1)
    scale = weight / wanted
    held = np.zeros_like(wanted)
    part = np.full(totals.shape[0], -1)
    bounds, indices, values = totals.indptr, totals.indices, totals.data
    noise = np.exp(generator.standard_normal(totals.shape[0]))
    for order in (np.argsort(-largest_share * noise), generator.permutation(totals.shape[0])):
        for group in order:
            within = slice(bounds[group], bounds[group + 1])
            column, amount = indices[within], values[within]
            if part[group] >= 0:
                held[part[group], column] -= amount
            excess = held[:, column] - wanted[:, column]
            part[group] = np.argmin(((2 * excess + amount) * amount * scale[:, column]).sum(axis=1))
            held[part[group], column] += amount
    return part.astype(np.uint8)
