"""Sets that a user brings: read, grouped, split, and, where that takes long, kept beside their files.

What was read is kept in ``.mlcl/read/<name>-<digest>`` in the set's own folder, in the layout of the sets that ship;
the digest is that of the files it was read from. Splits are those of `mlcl_utils.data.splits`: ten, stratified, no
group across; an official test part is kept in all of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mlcl_utils.data import dataset as stored
from mlcl_utils.data.dataset import Dataset, content_digest
from mlcl_utils.data.debtags import names_in_texts
from mlcl_utils.data.images import DECODING_VERSION
from mlcl_utils.data.readers import Examples, Source
from mlcl_utils.data.splits import TEST, TRAIN, VALIDATION, grouped_splits, join_groups
from mlcl_utils.data.writing import write
from mlcl_utils.errors import DataError
from mlcl_utils.paths import expanded

CACHE_VARIABLE = "MLCL_CACHE"
"""Environment variable that names a folder to keep things in, instead of ``.mlcl`` in the set's own folder."""

READING_VERSION = 3
"""Raised when the same files are read, grouped or split in another way."""

WORTH_KEEPING = 2.0
"""Seconds of reading from which on what was read is kept."""

_SPLIT_SEED = 0
# The latest few that this process read, and the seconds it took.
_HELD: dict[Path, tuple[Dataset, float]] = {}
_HELD_SETS = 4


def cache(home: Path) -> Path:
    """The folder in which everything is kept that is derived from a set in the folder ``home``."""
    given = os.environ.get(CACHE_VARIABLE)
    return expanded(given) if given else home / ".mlcl"


def read(source: Source) -> Dataset:
    """The data set of a source, without features unless it has its own; nothing is written.

    Raises:
        DataError: its files are damaged or not in the stated layout.
    """
    folder = _kept(source)
    dataset = _HELD[folder][0] if folder in _HELD else None
    if dataset is None and (folder / stored.MANIFEST).is_file():
        with contextlib.suppress(DataError):  # if what is kept is damaged, it is read from the source again
            dataset = stored.read(folder)
    if dataset is None:
        while len(_HELD) >= _HELD_SETS:
            del _HELD[next(iter(_HELD))]
        start = time.perf_counter()
        dataset = dataclasses.replace(assemble(source.name, source.read(source)), folder=source.folder)
        _HELD[folder] = dataset, time.perf_counter() - start
    folders = tuple(source.folder / each for each in source.image_folders)
    return dataclasses.replace(dataset, home=source.folder, image_folders=folders)


def keep(source: Source) -> None:
    """Keep what is read of a source, so that other processes need not read it again; whole, or not at all.

    Nothing is kept where reading is quick, or nothing can be written.
    """
    folder = _kept(source)
    dataset = read(source)
    if folder not in _HELD or _HELD[folder][1] < WORTH_KEEPING:
        return
    assert dataset.held is not None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    except OSError:
        return
    made = (
        temporary / "made"
    )  # the folder above is its owner's alone; who may read this one is for the umask to say
    try:
        made.mkdir()
        write(
            made,
            name=dataset.name,
            modality=dataset.modality,
            version=READING_VERSION,
            label_names=dataset.label_names,
            labels=dataset.labels,
            groups=dataset.groups,
            splits=dataset.splits,
            columns=dataset.held,
            features=dataset.stored_features,
            named=dataset.named,
            facts={"content": _content(dataset), "inputs": dataset.raw_digest, "notes": list(dataset.notes)},
            compression_level=3,
        )
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)
    except OSError:
        return  # the disk is full, for instance
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _HELD.pop(folder, None)


def _kept(source: Source) -> Path:
    digest = content_digest([READING_VERSION, DECODING_VERSION, source.name, source.digest])
    return cache(source.folder) / "read" / f"{source.name}-{digest[:12]}"


def assemble(name: str, examples: Examples) -> Dataset:
    """The data set of a reader's examples: groups, splits, and the positives that a text names.

    Raises:
        DataError: there is too little to be split, nothing to train on, or two labels have the same name.
    """
    labels = examples.labels
    twice = next((each for each, count in Counter(examples.label_names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"'{name}' has two labels '{twice}'; give each a name of its own")
    groups = join_groups(len(labels), np.empty((0, 2)), *examples.group_keys)
    test, notes = _test_part(examples.part)
    if test is not None and test.all():
        raise DataError(
            f"'{name}' has no training row: all {len(test)} are of the official test or validation part; add some, "
            "or leave the parts out"
        )
    splits = grouped_splits(labels, groups, _SPLIT_SEED, test) if examples.splits is None else examples.splits
    for split in splits:
        if set(np.unique(split)) != {TRAIN, VALIDATION, TEST}:
            raise DataError(
                f"'{name}' has {len(labels)} examples in {groups.max() + 1} groups: too few for training, validation "
                "and test"
            )
    if len(labels) > groups.max() + 1:
        notes.append(f"{len(labels)} examples in {groups.max() + 1} groups, which no split parts")
    if test is not None:
        parted = len(np.intersect1d(groups[test], groups[~test]))
        if parted:
            notes.append(f"{parted} groups have members in the official test part and outside it")
    unseen = [
        name for name, seen in zip(examples.label_names, _trainable(labels, test), strict=True) if not seen
    ]
    if unseen:
        shown = ", ".join(unseen[:5]) + (f" and {len(unseen) - 5} more" if len(unseen) > 5 else "")
        notes.append(f"labels without a positive to train on, which no task has: {shown}")
    named = None
    columns: dict[str, Sequence[Any]] = {"id": list(examples.ids)}
    if examples.modality == "text":
        columns |= {"title": list(examples.titles), "text": list(examples.texts)}
        named = _named(examples, labels == 1)
    elif examples.modality == "image":
        columns["image"] = list(examples.images)
    for array in (labels, groups, splits, named, examples.features):
        if array is not None:
            array.flags.writeable = False
    dataset = Dataset(
        name=name,
        modality=examples.modality,
        version="",
        label_names=tuple(examples.label_names),
        labels=labels,
        groups=groups,
        splits=splits,
        named=named,
        card="",
        notes=(*examples.notes, *notes),
        folder=Path(),
        raw_digest=_inputs(examples, columns),
        stored_features=examples.features,
        held=columns,
    )
    return dataclasses.replace(dataset, version=f"{READING_VERSION}-{_content(dataset)[:12]}")


def _test_part(part: npt.NDArray[np.uint8] | None) -> tuple[npt.NDArray[np.bool_] | None, list[str]]:
    """The examples that are test in every split, and what is to be said of it."""
    if part is None or not (part != TRAIN).any():
        return None, ["no official test part: ten splits of 70/10/20"]
    official = TEST if (part == TEST).any() else VALIDATION
    word = "test" if official == TEST else "validation (there is no test part)"
    return part == official, [
        f"test is the official {word} part in all ten splits; training and validation are drawn from the rest, 7 to 1"
    ]


def _trainable(labels: npt.NDArray[np.int8], test: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """Which labels have a positive outside the test part."""
    seen: npt.NDArray[np.bool_] = (labels == 1 if test is None else labels[~test] == 1).any(axis=0)
    return seen


def _named(examples: Examples, positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    texts = [f"{title}\n{text}" for title, text in zip(examples.titles, examples.texts, strict=True)]
    bar = tqdm(texts, desc="labels named in texts", unit="text", delay=2, disable=None)
    return names_in_texts(bar, examples.label_names) & positive


def _inputs(examples: Examples, columns: Mapping[str, Sequence[Any]]) -> str:
    """Digest of what an encoder would see: texts, or names of images and how they are decoded; of features where there
    is nothing else."""
    seen: dict[str, Any] = {name: list(column) for name, column in columns.items() if name != "id"}
    if not seen:
        assert examples.features is not None
        return _array_digest(examples.features)
    if examples.modality == "image":
        seen["decoding"] = DECODING_VERSION
    return content_digest(seen)


def _content(dataset: Dataset) -> str:
    """Digest of all that results can depend on, whatever the files it came from."""
    arrays = (dataset.labels, dataset.groups, dataset.splits, dataset.stored_features)
    return content_digest(
        {
            "labels": dataset.label_names,
            "ids": dataset.ids,
            "arrays": [_array_digest(array) for array in arrays if array is not None],
            "inputs": dataset.raw_digest,
        }
    )


def _array_digest(array: npt.NDArray[Any]) -> str:
    header = f"{array.dtype.str} {array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()
