"""Data sets, those that ship with the package and those that a user brings, their splits and the tasks made from them.

``names`` lists the sets that ship, ``load`` reads one (every file is checked against its SHA-256) or a user's own,
``task`` cuts a label space and a train/validation/test triple out of it. The raw texts and images are read only when
asked for.
"""

from __future__ import annotations

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.matching import matched_task
from mlcl_utils.data.missing import lose_positives
from mlcl_utils.data.registry import keep, load, names, short_name, verify, version
from mlcl_utils.data.tasks import Part, Task, supported_labels, task

__all__ = [
    "Dataset",
    "Part",
    "Task",
    "keep",
    "load",
    "lose_positives",
    "matched_task",
    "names",
    "short_name",
    "supported_labels",
    "task",
    "verify",
    "version",
]
