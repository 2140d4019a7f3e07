"""Features that ``mlcl features`` extracted: where they lie, and which of them a data set gets.

They are kept in ``.mlcl/features/<set>-<digest of its raw examples>/<encoder>-<digest of its weights>/``: a float16
matrix in ``features.npy``, which is mapped into memory and not read, and ``features.json``, which says what it is and
is written last.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.user_sets import cache
from mlcl_utils.errors import DataError, unknown

MATRIX = "features.npy"
DESCRIPTION = "features.json"


@dataclass(frozen=True)
class Extracted:
    """Extracted features, as ``features.json`` describes them.

    Attributes:
        folder: where they lie; its name is ``<encoder>-<8 hex digits of the weights' digest>``.
        encoder: its name.
        weights: SHA-256 of its weights and of how examples are prepared for it.
        shape: examples and dimensions.
        sha256: of ``features.npy``.
    """

    folder: Path
    encoder: str
    weights: str
    shape: tuple[int, int]
    sha256: str

    def open(self) -> npt.NDArray[np.float16]:
        """The matrix, mapped into memory.

        Raises:
            DataError: the file is missing or not of the size it should have.
        """
        path = self.folder / MATRIX
        try:
            matrix: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
            whole = matrix.shape == self.shape and matrix.dtype == np.float16
        except (OSError, ValueError):
            whole = False
        if not whole:
            raise DataError(f"{path} is damaged; remove {self.folder} and extract the features again")
        return matrix


def folder_of(dataset: Dataset, home: Path) -> Path:
    """The folder of all features of a data set whose own folder is ``home``."""
    return cache(home) / "features" / f"{dataset.name}-{dataset.raw_digest[:12]}"


def available(folder: Path) -> dict[str, Extracted]:
    """All complete features in a folder, by name.

    Raises:
        DataError: a description is damaged; the message says what to remove.
    """
    found = {}
    for path in sorted(folder.glob(f"*/{DESCRIPTION}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found[path.parent.name] = Extracted(
                path.parent,
                content["encoder"],
                content["weights"],
                tuple(content["shape"]),
                content["sha256"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(
                f"{path} is damaged; remove {path.parent} and extract the features again"
            ) from None
    return found


def attach(dataset: Dataset, home: Path, wanted: str | None, command: str) -> Dataset:
    """The data set with extracted features: those named, or the only ones there are, or its own.

    Where there is no telling, it has none, and says when asked for them what to do.

    Args:
        dataset: the set.
        home: its own folder.
        wanted: name of an encoder or of features; None if the user named none.
        command: the command that extracts features of this set.

    Raises:
        UsageError: there are no features of that name; the nearest is suggested.
    """
    found = available(folder_of(dataset, home))
    if wanted is not None:
        chosen = [f for name, f in found.items() if wanted in {name, f.folder.name.rpartition("-")[0]}]
        if not chosen and found:
            raise unknown("features", wanted, found)
    else:
        if dataset.stored_features is not None:
            return dataset
        chosen = list(found.values())
    if len(chosen) == 1:
        (features,) = chosen
        matrix = features.open()
        version = f"{dataset.version}-{features.sha256[:12]}"
        return dataclasses.replace(dataset, stored_features=matrix, version=version)
    if chosen:
        names = [features.folder.name for features in chosen]
        reason = f"'{dataset.name}' has several features ({', '.join(names)}); name one behind an @: ...@{names[0]}"
    else:
        reason = f"'{dataset.name}' has no features yet; extract them with: {command}"
    return dataclasses.replace(dataset, stored_features=None, no_features=reason)
