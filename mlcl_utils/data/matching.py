"""Two tasks of two data sets made alike: as many examples and labels, equal cardinality and label frequencies."""

from __future__ import annotations

import functools
import zlib

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.registry import load
from mlcl_utils.data.tasks import Part, Task, task
from mlcl_utils.errors import UsageError

PARTS = ("train", "validation", "test")

FEWEST = 5
"""Training examples per label that a matched task has at least."""

_TIE = 1e-3  # what a random preference of an example weighs beside one example more


def matched_task(
    dataset: Dataset | str, other: Dataset | str, *, num_labels: int, replicate: int = 0
) -> Task:
    """A task of one data set that is matched to a task of another; the other one is had by swapping the two.

    Labels: of the set in which labels are rarer, the ``num_labels`` most frequent in training; of the other, for each
    of these in turn, the label that is not taken yet with the nearest number of training positives (by ratio). Labels
    of the same rank correspond. Examples: in each part, the largest subsets of the examples that have one of the
    labels, of equal size and with as many positives of each rank in both. That is a linear programme; its few
    fractional choices are rounded, so that counts may differ by a few. Which of many such subsets is taken is random,
    fixed by the data sets and the replicate.

    Args:
        dataset: the data set of the task, or its name.
        other: the data set that it is matched to, or its name.
        num_labels: number of labels of both tasks.
        replicate: number of the stored split, in both.

    Returns:
        The task; its labels are in the order of their ranks, and ``frequency`` counts the matched training part.

    Raises:
        UsageError: a set is matched to itself, has too few labels, or the two have too little in common.
    """
    own, others = (load(each) if isinstance(each, str) else each for each in (dataset, other))
    if own.name == others.name:
        raise UsageError(f"matched_to '{own.name}': a data set is matched to another one")
    first, second = sorted((own, others), key=lambda each: each.name)
    tasks = _matched(first, second, num_labels, replicate)
    return tasks[0 if own is first else 1]


@functools.lru_cache(maxsize=8)
def _matched(first: Dataset, second: Dataset, num_labels: int, replicate: int) -> tuple[Task, Task]:
    for each in (first, second):
        if num_labels > len(each.label_names):
            raise UsageError(
                f"num_labels={num_labels}: {each.name} has {len(each.label_names)} labels; ask for no more"
            )
    whole = tuple(
        task(each, num_labels=len(_supported(each, replicate)), replicate=replicate)
        for each in (first, second)
    )
    labels = _corresponding(whole[0].frequency, whole[1].frequency, num_labels)
    seed = [zlib.crc32(first.name.encode()), zlib.crc32(second.name.encode()), replicate]
    generator = np.random.default_rng(seed)
    chosen: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {}
    for name in PARTS:
        positives = [getattr(each, name).labels[:, own] == 1 for each, own in zip(whole, labels, strict=True)]
        chosen[name] = _largest_alike(positives[0], positives[1], generator)
    if len(chosen["train"][0]) < FEWEST * num_labels:
        raise UsageError(
            f"{first.name} and {second.name} have {len(chosen['train'][0])} training examples with {num_labels} labels"
            " in common frequency; ask for fewer labels"
        )
    one, two = (
        _cut(each, own, {name: chosen[name][at] for name in PARTS})
        for at, (each, own) in enumerate(zip(whole, labels, strict=True))
    )
    return one, two


def _supported(dataset: Dataset, replicate: int) -> npt.NDArray[np.int64]:
    """The labels that have a training positive."""
    train = dataset.labels[dataset.splits[replicate] == 0]
    return np.flatnonzero((train == 1).any(axis=0))


def _corresponding(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of labels of the same rank, from the numbers of training positives, falling, in two sets."""
    if min(len(first), len(second)) < count:
        raise UsageError(
            f"num_labels={count}: one of the sets has fewer labels with training positives; ask for fewer"
        )
    if first[:count].sum() > second[:count].sum():
        there, here = _corresponding(second, first, count)
        return here, there
    logs, taken = np.log(second), np.zeros(len(second), dtype=np.bool_)
    nearest = []
    for wanted in np.log(first[:count]):
        at = int(np.where(taken, np.inf, np.abs(logs - wanted)).argmin())
        taken[at] = True
        nearest.append(at)
    return np.arange(count), np.array(nearest)


def _largest_alike(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of two indicators (examples, labels) whose column sums agree, as many of each as there can be."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    rows = [np.flatnonzero(each.any(axis=1)) for each in (first, second)]
    parts = [each[own].astype(np.float64) for each, own in zip((first, second), rows, strict=True)]
    counted = [np.column_stack([part, np.ones(len(part))]).T for part in parts]
    equal = hstack([csr_array(counted[0]), csr_array(-counted[1])]).tocsr()
    gain = 1 + _TIE * generator.random(sum(map(len, parts)))
    solved = linprog(-gain, A_eq=equal, b_eq=np.zeros(equal.shape[0]), bounds=(0, 1), method="highs-ds")
    share = np.split(solved.x, [len(parts[0])])
    # as many rows in both: the largest shares, which are all but a few of them 0 or 1
    size = round(min(part.sum() for part in share))
    one, two = (
        np.sort(own[np.argsort(-part, kind="stable")[:size]]) for own, part in zip(rows, share, strict=True)
    )
    return one, two


def _cut(whole: Task, labels: npt.NDArray[np.int64], rows: dict[str, npt.NDArray[np.int64]]) -> Task:
    """The task with some of its labels and, in each part, some of its examples."""

    def part(own: Part, chosen: npt.NDArray[np.int64]) -> Part:
        named = None if own.named is None else own.named[np.ix_(chosen, labels)]
        return Part(
            features=own.features[chosen],
            labels=own.labels[np.ix_(chosen, labels)],
            groups=own.groups[chosen],
            index=own.index[chosen],
            named=named,
        )

    parts = {name: part(getattr(whole, name), rows[name]) for name in PARTS}
    return Task(
        name=whole.name,
        modality=whole.modality,
        label_names=tuple(whole.label_names[label] for label in labels),
        label_index=whole.label_index[labels],
        frequency=(parts["train"].labels == 1).sum(axis=0),
        **parts,
        replicate=whole.replicate,
        dataset=whole.dataset,
    )
