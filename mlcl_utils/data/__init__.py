"""Data sets that ship with the package, their splits and the tasks made from them.

``names`` lists the sets, ``load`` reads one (every file is checked against its SHA-256), ``task`` cuts a
label space and a train/validation/test triple out of it. The raw texts and images are read only when asked
for.
"""

from __future__ import annotations

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.registry import load, names, verify, version
from mlcl_utils.data.tasks import Part, Task, task

__all__ = ["Dataset", "Part", "Task", "load", "names", "task", "verify", "version"]
