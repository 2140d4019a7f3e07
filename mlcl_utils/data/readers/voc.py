"""PASCAL VOC 2007 and 2012, from the lists of the classification task.

The folder (``VOC2007``, as in ``VOCdevkit``) holds ``ImageSets/Main/<class>_<set>.txt`` and ``JPEGImages``. A line
gives an image and 1, -1 or 0: the class is there, is not, or is there in difficult instances alone. The last is read
as unobserved, since VOC's own evaluation leaves such images out. Test is the official test set (2007) or, where its
labels are not public, the validation set (2012).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_distinct,
    not_found,
    parts,
    places,
    quoted,
    read_lines,
    valid_text,
)
from mlcl_utils.data.splits import TEST, TRAIN, VALIDATION
from mlcl_utils.errors import DataError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_SETS = {"2007": ("trainval", "test"), "2012": ("train", "val")}
_WHOLE = {"2007": 5_011 + 4_952, "2012": 5_717 + 5_823}
_STATES = {"1": 1, "-1": 0, "0": -1}
_LINE = re.compile(r"(?P<image>.+?)[ \t]+(?P<state>1|-1|0)")


def find(name: str, root: Path | None) -> Source:
    """VOC of a year.

    Raises:
        UsageError: it is not under the root.
        DataError: one of its files is missing.
    """
    year = name[-4:]
    for place in places(name, root, f"voc{year}", "voc", "vocdevkit", "pascalvoc"):
        for folder in (place, place / f"VOC{year}", place / "VOCdevkit" / f"VOC{year}"):
            lists = folder / "ImageSets" / "Main"
            sets = [each for each in _SETS[year] if os.path.isfile(lists / f"{CLASSES[0]}_{each}.txt")]
            if sets:
                files = tuple(lists / f"{label}_{each}.txt" for each in sets for label in CLASSES)
                for file in files:
                    if not os.path.isfile(file):
                        raise DataError(f"{file} is missing; unpack VOC{year} again")
                return Source(name, folder, files, read, whole=_WHOLE[year], facts={"sets": sets})
    raise not_found(name, root, f"VOCdevkit/VOC{year}/ImageSets/Main/{CLASSES[0]}_{_SETS[year][0]}.txt")


def read(source: Source) -> Examples:
    """Images and classes of the lists.

    Raises:
        DataError: a list is damaged or lists other images; the message names it.
    """
    sets: list[str] = source.facts["sets"]
    ids: list[str] = []
    blocks = []
    for start in range(0, len(source.files), len(CLASSES)):
        files = source.files[start : start + len(CLASSES)]
        first, _ = _states(files[0])
        block = np.zeros((len(first), len(CLASSES)), dtype=np.int8)
        for column, file in enumerate(files):
            images, states = _states(file)
            if images != first:
                raise DataError(f"{file} lists other images than {files[0].name}")
            block[:, column] = states
        ids += first
        blocks.append(block)
    check_distinct(ids, lambda position: f"{source.files[0].parent}, image {position + 1}")
    labels = np.concatenate(blocks)
    sizes = [len(block) for block in blocks]
    both = len(sets) == 2
    other = {"test": TEST, "val": VALIDATION}
    return Examples(
        modality="image",
        ids=ids,
        label_names=CLASSES,
        labels=labels,
        part=parts((TRAIN, sizes[0]), (other[sets[1]], sizes[1])) if both else None,
        images=[f"JPEGImages/{example}.jpg" for example in ids],
        notes=[
            f"{int((labels == -1).sum())} entries with difficult instances alone are unobserved",
            *([] if both else [f"only the lists of '{sets[0]}' are there"]),
        ],
    )


def _states(file: Path) -> tuple[list[str], list[int]]:
    """Images of a list and the states of its class."""
    images, states = [], []
    for number, line in read_lines(file):
        found = _LINE.fullmatch(line)
        if found is None:
            raise DataError(f"{file}, line {number}: '{quoted(line)}' is not an image and 1, 0 or -1")
        images.append(valid_text(found["image"], f"{file}, line {number}", "the name of the image"))
        states.append(_STATES[found["state"]])
    return images, states
