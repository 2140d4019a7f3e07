"""Static word vectors, one vector a word: where they lie, and which of them a data set has.

A file ``vectors.safetensors`` ships in the folder of `debtags`, beside what the set's identity depends on. Those that
``mlcl features --static`` distilled are kept in ``.mlcl/vectors/<set>-<digest of its texts>/`` in
``<encoder>-<digest of its weights>.safetensors``. A file has ``vectors``, float16 (words, dimensions), and ``words``,
their UTF-8 with line feeds between them; its metadata has the SHA-256 of both.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset, WordVectors, content_digest
from mlcl_utils.data.user_sets import cache
from mlcl_utils.errors import DataError, UsageError, unknown
from mlcl_utils.files import known_digest, whole

DISTILLING_VERSION = 1
"""Raised when the same texts and encoder give other vectors."""

_SUFFIX = ".safetensors"


@functools.lru_cache(maxsize=2)
def read(file: WordVectors) -> tuple[tuple[str, ...], npt.NDArray[np.float16]]:
    """The words of a file, and their vectors (words, dimensions).

    Raises:
        DataError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file.path, "numpy") as stored:
            letters, vectors = stored.get_tensor("words"), stored.get_tensor("vectors")
            digest = stored.metadata()["sha256"]
        words = tuple(letters.tobytes().decode().split("\n"))
        sound = digest == _digest(letters, vectors) and len(words) == len(vectors)
    except (OSError, SafetensorError, KeyError, TypeError, UnicodeDecodeError):
        sound = False
    if not sound:
        raise DataError(f"{file.path} is damaged; remove it and distil the word vectors again")
    vectors.flags.writeable = False
    return words, vectors


def write(path: Path, words: Sequence[str], vectors: npt.NDArray[np.floating]) -> None:
    """Write a file of word vectors, whole or not at all; the same words and vectors give the same bytes.

    Raises:
        OSError: it cannot be written.
    """
    from safetensors.numpy import save

    letters = np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
    values = np.ascontiguousarray(vectors, dtype=np.float16)
    stored = save({"vectors": values, "words": letters}, metadata={"sha256": _digest(letters, values)})
    with whole(path) as temporary:
        temporary.write_bytes(stored)


def place(dataset: Dataset, home: Path, name: str) -> Path:
    """The file of word vectors of that name of a data set whose own folder is ``home``."""
    return _folder(dataset, home) / f"{name}{_SUFFIX}"


def attach(dataset: Dataset, home: Path, command: str) -> Dataset:
    """The data set with the word vectors that were distilled for it; those that ship with it stay.

    Args:
        dataset: the set.
        home: its own folder.
        command: the command that distils word vectors for this set.
    """
    if dataset.modality != "text":
        return dataset
    found = tuple(
        WordVectors(path.stem, path, known_digest(path))
        for path in sorted(_folder(dataset, home).glob(f"*{_SUFFIX}"))
    )
    if not found and dataset.vectors:
        return dataset  # the same object, which may know its ids already
    return dataclasses.replace(dataset, vectors=dataset.vectors + found, vectors_command=command)


def chosen(dataset: Dataset, wanted: str | None) -> WordVectors:
    """The word vectors of a name or of an encoder's name; without one those that ship, or the only ones there are.

    Raises:
        UsageError: there are none of that name; the nearest is suggested.
        DataError: there are none, or several and no name; the message says what to do.
    """
    found = {each.name: each for each in dataset.vectors}
    if dataset.modality != "text":
        raise UsageError(f"'{dataset.name}' has no word vectors: it holds {dataset.modality}s")
    if wanted is None:
        fitting = [found[""]] if "" in found else list(found.values())
    else:
        fitting = [each for name, each in found.items() if wanted in {name, name.rpartition("-")[0]} - {""}]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = [each.name for each in fitting]
        raise DataError(
            f"'{dataset.name}' has several word vectors ({', '.join(names)}); name one behind an @: static@{names[0]}"
        )
    named = [name for name in found if name]
    if wanted is not None and named:
        raise unknown("word vectors", wanted, named)
    which = "no word vectors yet" if wanted is None else f"no word vectors '{wanted}'"
    raise DataError(f"'{dataset.name}' has {which}; distil them with: {dataset.vectors_command}")


def _folder(dataset: Dataset, home: Path) -> Path:
    digest = content_digest([DISTILLING_VERSION, dataset.raw_digest])
    return cache(home) / "vectors" / f"{dataset.name}-{digest[:12]}"


def _digest(words: npt.NDArray[np.uint8], vectors: npt.NDArray[np.float16]) -> str:
    return hashlib.sha256(words.tobytes() + np.ascontiguousarray(vectors).tobytes()).hexdigest()
