"""A task: the label space, the examples and the training, validation and test parts that one run sees."""

from __future__ import annotations

import functools
import itertools
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.registry import load
from mlcl_utils.data.splits import TEST, TRAIN, VALIDATION
from mlcl_utils.errors import UsageError

HEAD_MINIMUM = 200
"""Head labels have at least this many training positives."""

TAIL_MAXIMUM = 50
"""Tail labels have fewer than this many training positives; medium labels lie between."""


@dataclass(frozen=True, eq=False)
class Part:
    """Training, validation or test part of a task: n examples, k labels.

    Attributes:
        features: float32 (n, d), not standardised; (n, 0) if the data set has none (yet).
        labels: int8 (n, k) in {-1, 0, 1}.
        groups: int32 (n,), for resampling by group.
        index: int64 (n,), positions in the data set.
        named: bool (n, k), positives whose label is named in the text; None for images.
        truth: int8 (n, k), the labels before positives were lost (:func:`mlcl_utils.data.lose_positives`); None where
            none were.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    groups: npt.NDArray[np.int32]
    index: npt.NDArray[np.int64]
    named: npt.NDArray[np.bool_] | None
    truth: npt.NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def apparent(self) -> npt.NDArray[np.int8]:
        """The labels as they look to whoever does not know what was lost: int8 (n, k), a lost positive is negative.

        Whatever is chosen on a part is chosen by these. To leave the lost positives out would be to know which they
        are.
        """
        if self.truth is None:
            return self.labels
        return np.where((self.labels == -1) & (self.truth == 1), 0, self.labels).astype(np.int8)


@dataclass(frozen=True, eq=False)
class Task:
    """One label space on one split of a data set.

    Attributes:
        name: name of the data set.
        modality: ``"text"``, ``"image"`` or ``"features"``.
        label_names: the k labels, most frequent first.
        label_index: int64 (k,), their positions in the data set.
        frequency: int64 (k,), positives in the whole training part, whatever the training fraction.
        train: training part.
        validation: validation part.
        test: test part.
        replicate: number of the stored split.
        dataset: the data set it was cut from, for its raw texts and images.
    """

    name: str
    modality: str
    label_names: tuple[str, ...]
    label_index: npt.NDArray[np.int64]
    frequency: npt.NDArray[np.int64]
    train: Part
    validation: Part
    test: Part
    replicate: int
    dataset: Dataset = field(repr=False)

    def bands(self) -> dict[str, npt.NDArray[np.int64]]:
        """Positions of the head, medium and tail labels, by positives in the whole training part.

        Head labels have at least ``HEAD_MINIMUM`` (200) of them, tail labels fewer than ``TAIL_MAXIMUM``
        (50). The cut-offs are counts, not ranks, so that a band means the same at every number of labels; a
        band may be empty.
        """
        head = self.frequency >= HEAD_MINIMUM
        tail = self.frequency < TAIL_MAXIMUM
        return {
            "head": np.flatnonzero(head),
            "medium": np.flatnonzero(~head & ~tail),
            "tail": np.flatnonzero(tail),
        }

    def describe(self, batch_size: int = 128) -> dict[str, Any]:
        """Numbers that say how large and how sparse the task is.

        Args:
            batch_size: size of the random training batches that the expected numbers of positives are for.

        Returns:
            ``num_labels``; for every part ``examples_*``, ``groups_*`` and ``min_positives_*`` (positives of
            its rarest label); over the training part ``cardinality`` (mean positives of an example),
            ``density`` (that over k), ``unlabelled_share`` (examples without a positive); expected in a
            batch, ``positives_per_batch`` (entries), ``positives_per_label`` (mean over labels),
            ``positives_rarest_label``, ``partners_per_anchor`` (other examples that share a label); and the
            number of labels of each band.
        """
        labels = self.train.labels == 1
        counts = labels.sum(axis=0)
        cardinality = float(labels.sum(axis=1).mean())
        described: dict[str, Any] = {"num_labels": len(self.label_names)}
        for name, part in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            described[f"examples_{name}"] = len(part)
            described[f"groups_{name}"] = len(np.unique(part.groups))
            described[f"min_positives_{name}"] = int((part.labels == 1).sum(axis=0).min())
        described |= {
            "cardinality": cardinality,
            "density": cardinality / len(self.label_names),
            "unlabelled_share": float((~labels.any(axis=1)).mean()),
            "batch_size": batch_size,
            "positives_per_batch": batch_size * cardinality,
            "positives_per_label": float(batch_size * counts.mean() / len(labels)),
            "positives_rarest_label": float(batch_size * counts.min() / len(labels)),
            "partners_per_anchor": (batch_size - 1) * _share_of_partners(labels),
        }
        return described | {f"labels_{band}": len(positions) for band, positions in self.bands().items()}


def _share_of_partners(labels: npt.NDArray[np.bool_], anchors: int = 1000) -> float:
    """Share of the other examples that share a label with an example, over evenly spaced anchors."""
    if len(labels) < 2:
        return 0.0
    chosen = np.unique(np.linspace(0, len(labels) - 1, min(anchors, len(labels))).astype(np.int64))
    values = labels.astype(np.float32)
    sharing = int(np.count_nonzero(values[chosen] @ values.T)) - int(labels[chosen].any(axis=1).sum())
    return sharing / (len(chosen) * (len(labels) - 1))


def task(
    dataset: Dataset | str,
    *,
    num_labels: int,
    base_labels: int | None = None,
    replicate: int = 0,
    train_fraction: float = 1.0,
    label_draw: int | None = None,
    label_pool: int | None = None,
    root: str | Path | None = None,
) -> Task:
    """Cut a task out of a data set.

    The examples used are those with at least one of the ``base_labels`` labels most frequent in the training
    part. Of these examples' labels the ``num_labels`` most frequent in the training part are kept, most
    frequent first (ties in the data set's order). A sweep over ``num_labels`` that passes its smallest value
    as ``base_labels`` therefore keeps examples fixed and label spaces nested: the first k labels are the same
    at every larger size.

    With ``label_draw`` the labels are drawn at matched frequency instead: the ``label_pool`` most frequent
    labels, ranked, are cut into ``num_labels`` runs of equal length, and one label of each run is drawn.
    Large and small spaces then have the same distribution of frequencies, and only the number of labels
    differs. Examples are used as above, so some may have none of the drawn labels.

    Args:
        dataset: a data set or the name of one.
        num_labels: number k of labels.
        base_labels: number of labels that decide which examples are used; ``num_labels`` (or ``label_pool``)
            if not given, and 0 for all examples, those without a label included.
        replicate: number of the stored split.
        train_fraction: share of the training examples, in (0, 1]: whole groups in one random order fixed by
            data set and replicate, so that smaller fractions are subsets of larger ones. Label space and
            examples are chosen on the full training part.
        label_draw: number of the draw of labels at matched frequency.
        label_pool: number of labels to draw from; needed with ``label_draw``.
        root: the folder that holds a user's sets, where the data set is given by name.

    Raises:
        UsageError: a number out of range, or a part without an example.
    """
    if isinstance(dataset, str):
        dataset = load(dataset, root)
    available = len(dataset.label_names)
    if not 1 <= num_labels <= available:
        raise UsageError(
            f"num_labels={num_labels} is not between 1 and {available}, the labels of {dataset.name}"
        )
    if (label_draw is None) != (label_pool is None):
        raise UsageError(
            "label_draw and label_pool go together: the number of the draw and the labels to draw from"
        )
    if label_draw is not None and label_draw < 0:
        raise UsageError(f"label_draw={label_draw} is negative; draws count from 0")
    largest = num_labels if label_pool is None else label_pool
    if not num_labels <= largest <= available:
        raise UsageError(f"label_pool={label_pool} is not between num_labels={num_labels} and {available}")
    if base_labels is None:
        base_labels = largest
    if not 0 <= base_labels <= largest:
        raise UsageError(f"base_labels={base_labels} is not between 0 and {largest}, the largest label space")
    if not 0 <= replicate < len(dataset.splits):
        raise UsageError(
            f"replicate={replicate} is not between 0 and {len(dataset.splits) - 1}, the stored splits"
        )
    if not 0 < train_fraction <= 1:
        raise UsageError(f"train_fraction={train_fraction} is not above 0 and at most 1")

    split = dataset.splits[replicate]
    used = _used(dataset, base_labels, replicate)
    train, validation, test = (
        np.flatnonzero(used & (split == number)) for number in (TRAIN, VALIDATION, TEST)
    )
    for name, index in (("training", train), ("validation", validation), ("test", test)):
        if not len(index):
            raise UsageError(
                f"replicate={replicate}: no example in the {name} part of {dataset.name} has one of the {base_labels}"
                " labels; ask for more labels, or bring more examples that have one"
            )
    positive = dataset.labels[train] == 1
    counts = positive.sum(axis=0)
    labels = _most_frequent(positive)[:largest]
    if counts[labels[-1]] == 0:
        supported = np.count_nonzero(counts)
        raise UsageError(
            f"num_labels={largest}: only {supported} labels of {dataset.name} have training positives; ask for no more"
        )
    if label_draw is not None:
        generator = np.random.default_rng([_seed(dataset.name), replicate, label_draw])
        edges = np.linspace(0, largest, num_labels + 1).round().astype(np.int64)
        labels = labels[[int(generator.integers(*run)) for run in itertools.pairwise(edges)]]

    features = dataset.stored_features
    if features is None:
        features = np.empty((len(dataset), 0), dtype=np.float32)

    def part(index: npt.NDArray[np.int64]) -> Part:
        named = None if dataset.named is None else dataset.named[np.ix_(index, labels)]
        return Part(
            features=features[index].astype(np.float32),
            labels=dataset.labels[np.ix_(index, labels)],
            groups=dataset.groups[index],
            index=index,
            named=named,
        )

    return Task(
        name=dataset.name,
        modality=dataset.modality,
        label_names=tuple(dataset.label_names[label] for label in labels),
        label_index=labels,
        frequency=counts[labels],
        train=part(_training_subset(dataset, train, replicate, train_fraction)),
        validation=part(validation),
        test=part(test),
        replicate=replicate,
        dataset=dataset,
    )


@functools.lru_cache(maxsize=64)
def supported_labels(dataset: Dataset, *, base_labels: int = 0, replicates: int) -> int:
    """Largest ``num_labels`` that a task can have in every one of the first splits.

    A set that a user brings may have labels without a positive in a training part, which no task can have.

    Args:
        dataset: the data set.
        base_labels: number of labels that decide which examples are used; 0 for all examples.
        replicates: number of splits.
    """
    supported = []
    for replicate in range(replicates):
        train = _used(dataset, base_labels, replicate) & (dataset.splits[replicate] == TRAIN)
        supported.append(int((dataset.labels[train] == 1).any(axis=0).sum()))
    return min(supported)


def _used(dataset: Dataset, base_labels: int, replicate: int) -> npt.NDArray[np.bool_]:
    """Which examples have one of the labels that are most frequent in the training part; all of them for 0 labels."""
    if base_labels == 0:
        return np.ones(len(dataset), dtype=np.bool_)
    positive = dataset.labels == 1
    base = _most_frequent(positive[dataset.splits[replicate] == TRAIN])[:base_labels]
    used: npt.NDArray[np.bool_] = positive[:, base].any(axis=1)
    return used


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())


def _most_frequent(positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Label positions by falling number of positives, ties in the order of the positions."""
    return np.argsort(-positive.sum(axis=0), kind="stable")


def _training_subset(
    dataset: Dataset, train: npt.NDArray[np.int64], replicate: int, fraction: float
) -> npt.NDArray[np.int64]:
    """Training examples of the first groups, in an order fixed by data set and replicate."""
    # The order is drawn over all groups, so that it does not depend on which examples are used.
    order = np.random.default_rng([_seed(dataset.name), replicate]).permutation(int(dataset.groups.max()) + 1)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    ranks = rank[dataset.groups[train]]
    last = np.sort(ranks)[max(int(np.ceil(fraction * len(train))), 1) - 1]
    subset: npt.NDArray[np.int64] = train[ranks <= last]
    return subset
