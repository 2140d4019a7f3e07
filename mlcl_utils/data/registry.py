"""The data sets there are, by name, and where their files lie."""

from __future__ import annotations

import os
from pathlib import Path

from mlcl_utils.data import dataset as stored
from mlcl_utils.errors import DataError, unknown

EMBEDDED_VARIABLE = "MLCL_EMBEDDED_DATA"
"""Environment variable that names another folder to read the embedded sets from."""

# One line a set: its name is also the name of its folder.
_NAMES = ("debtags", "emoji", "fashion-scenes")


def names() -> tuple[str, ...]:
    """Names of the registered data sets."""
    return _NAMES


def folder(name: str) -> Path:
    """The folder with the files of a registered data set.

    Raises:
        UsageError: no such data set.
        DataError: its folder is missing.
    """
    if name not in _NAMES:
        raise unknown("data set", name, _NAMES)
    given = os.environ.get(EMBEDDED_VARIABLE)
    root = Path(given) if given else Path(__file__).parent / "embedded"
    path = root / name
    if not path.is_dir():
        raise DataError(f"data set '{name}' is not at {path}; restore it with: git checkout -- {path}")
    return path


def load(name: str) -> stored.Dataset:
    """Read a data set after checking every file of it against its SHA-256.

    The arrays are read-only and shared between calls in one process.

    Raises:
        UsageError: no such data set.
        DataError: a file is missing or damaged; the message names it and says how to restore it.
    """
    return stored.read(folder(name))


def verify(name: str) -> None:
    """Check every file of a data set against its SHA-256, without reading the set.

    Raises:
        UsageError: no such data set.
        DataError: a file is missing or damaged; the message names it and says how to restore it.
    """
    stored.verify(folder(name))


def version(name: str) -> str:
    """Version of a data set: its registered integer and a digest of what results can depend on.

    The digest covers label names, features, labels, groups, splits and raw data, not the data card: a run
    stays valid when only the card is rewritten. No data file is read for it.

    Raises:
        UsageError: no such data set.
        DataError: ``dataset.json`` is missing or damaged.
    """
    return stored.read_manifest(folder(name)).identity
