"""Missing labels: observed positives are turned into unobserved ones, the truth is kept beside."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.tasks import Part, Task
from mlcl_utils.errors import UsageError


def lose_positives(
    task: Task,
    *,
    kept_share: float = 1.0,
    one_positive: bool = False,
    clean_validation: bool = False,
    seed: int,
) -> Task:
    """The task with positives of training and validation lost at random; the test part stays as it is.

    Every entry of the data set's label matrix has one uniform number, fixed by data set and seed. A positive is kept
    where its number is below the share, so that what is kept at a smaller share is a subset of what is kept at a larger
    one, whatever the label space. With ``one_positive`` each example keeps that positive of the task's labels whose
    number is smallest: the one that it loses last as the share falls. Label space, order of the labels and their
    frequencies stay those of the true labels.

    Args:
        task: a task with its data set.
        kept_share: expected share of the positives that are kept, in (0, 1].
        one_positive: keep exactly one positive of every example that has any; the share must then be 1.
        clean_validation: leave the validation part as it is; what is chosen on it knows what nobody knows.
        seed: of the numbers.

    Returns:
        The task, whose training part, and validation part if it is not clean, have -1 for every lost positive and a
        ``truth``; the same task if nothing is to be lost.

    Raises:
        UsageError: a share out of range, or given together with ``one_positive``.
    """
    if not 0 < kept_share <= 1:
        raise UsageError(f"kept_share={kept_share} is not above 0 and at most 1")
    if one_positive and kept_share < 1:
        raise UsageError(f"kept_share={kept_share} and one_positive exclude each other; give one of them")
    if kept_share == 1 and not one_positive:
        return task
    generator = np.random.default_rng([zlib.crc32(task.name.encode()), seed, zlib.crc32(b"missing labels")])
    numbers = generator.random(task.dataset.labels.shape, dtype=np.float32)[:, task.label_index]

    def lose(part: Part) -> Part:
        positive, own = part.labels == 1, numbers[part.index]
        if one_positive:
            smallest = np.where(positive, own, np.inf).argmin(axis=1)
            kept: npt.NDArray[np.bool_] = np.arange(own.shape[1]) == smallest[:, None]
        else:
            kept = own < kept_share
        labels = np.where(positive & ~kept, -1, part.labels).astype(np.int8)
        return dataclasses.replace(part, labels=labels, truth=part.labels)

    validation = task.validation if clean_validation else lose(task.validation)
    return dataclasses.replace(task, train=lose(task.train), validation=validation)
