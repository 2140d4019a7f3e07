"""What is particular to the `emoji` set: every concept is drawn by several families of artists."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.tasks import Part, Task
from mlcl_utils.errors import unknown

FAMILIES = ("noto", "twemoji", "openmoji", "fluent")
"""The drawing families, in the order of the numbers that ``drawing_family`` gives."""


def drawing_family(dataset: Dataset) -> npt.NDArray[np.int8]:
    """Family of each of the N drawings, int8 (N,), a position in ``FAMILIES``."""
    number = {family: position for position, family in enumerate(FAMILIES)}
    return np.array([number[family] for family in dataset.column("family")], dtype=np.int8)


def leave_family_out(task: Task, dataset: Dataset, family: str) -> Task:
    """The task with one drawing family kept for the test alone.

    Training and validation parts lose the family's drawings, the test part keeps nothing else; label space
    and split stay. Groups still never cross: the concepts tested are not drawn in training by any family.

    Args:
        task: a task cut from the data set.
        dataset: the `emoji` set.
        family: one of ``FAMILIES``.

    Raises:
        UsageError: no such family.
    """
    if family not in FAMILIES:
        raise unknown("drawing family", family, FAMILIES)
    held_out = drawing_family(dataset) == FAMILIES.index(family)
    return dataclasses.replace(
        task,
        train=_select(task.train, ~held_out[task.train.index]),
        validation=_select(task.validation, ~held_out[task.validation.index]),
        test=_select(task.test, held_out[task.test.index]),
    )


def _select(part: Part, keep: npt.NDArray[np.bool_]) -> Part:
    """The examples of a part where ``keep`` is true."""
    return Part(
        features=part.features[keep],
        labels=part.labels[keep],
        groups=part.groups[keep],
        index=part.index[keep],
        named=None if part.named is None else part.named[keep],
    )
