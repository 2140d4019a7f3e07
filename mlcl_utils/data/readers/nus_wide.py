"""NUS-WIDE with its 81 concepts.

The folder holds ``ImageList/TrainImagelist.txt`` and ``TestImagelist.txt`` (one image a line, with a backslash between
folder and file), ``Groundtruth/TrainTestLabels/Labels_<concept>_Train.txt`` and ``_Test.txt`` (0 or 1 a line),
``Concepts81.txt`` (itself or in ``ConceptsList``), and the images in ``Flickr``, ``images`` or the folder itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_distinct,
    not_found,
    parts,
    places,
    quoted,
    read_lines,
    read_names,
    valid_text,
)
from mlcl_utils.data.splits import TEST, TRAIN
from mlcl_utils.errors import DataError

_PARTS = ("Train", "Test")


def find(name: str, root: Path | None) -> Source:
    """NUS-WIDE, in the root or a folder of its name.

    Raises:
        UsageError: it is not under the root.
        DataError: one of its files is missing.
    """
    for folder in places(name, root, "nuswide"):
        lists = [folder / "ImageList" / f"{part}Imagelist.txt" for part in _PARTS]
        if not os.path.isfile(lists[0]):
            continue
        concepts = next(
            (
                f
                for f in (folder / "ConceptsList" / "Concepts81.txt", folder / "Concepts81.txt")
                if os.path.isfile(f)
            ),
            None,
        )
        if concepts is None:
            raise DataError(f"{folder}/ConceptsList/Concepts81.txt is missing; unpack NUS-WIDE again")
        truth = folder / "Groundtruth" / "TrainTestLabels"
        names = read_names(concepts)
        written = [line for _, line in read_lines(concepts)]  # as in the names of the files
        files = (concepts, *lists, *(truth / f"Labels_{c}_{part}.txt" for part in _PARTS for c in written))
        for file in files:
            if not os.path.isfile(file):
                raise DataError(f"{file} is missing; unpack NUS-WIDE again")
        return Source(
            "nus-wide",
            folder,
            files,
            read,
            ("Flickr", "images", ""),
            whole=161_789 + 107_859,
            facts={"names": names},
        )
    raise not_found(name, root, "ImageList/TrainImagelist.txt in it or in NUS-WIDE")


def read(source: Source) -> Examples:
    """Images of the lists and their concepts."""
    names: list[str] = source.facts["names"]
    images: list[str] = []
    blocks = []
    for which, listed in enumerate(source.files[1:3]):
        here = [
            valid_text(line, f"{listed}, line {number}", "the name of the image").replace("\\", "/")
            for number, line in read_lines(listed)
        ]
        start = 3 + which * len(names)
        columns = [_column(file, len(here), listed) for file in source.files[start : start + len(names)]]
        images += here
        blocks.append(np.stack(columns, axis=1))
    check_distinct(images, lambda position: f"{source.files[1].parent}, image {position + 1}")
    return Examples(
        modality="image",
        ids=images,
        label_names=names,
        labels=np.concatenate(blocks).astype(np.int8),
        part=parts((TRAIN, len(blocks[0])), (TEST, len(blocks[1]))),
        images=images,
    )


def _column(file: Path, count: int, listed: Path) -> npt.NDArray[np.bool_]:
    """Which images of a list have a concept."""
    lines = list(read_lines(file))
    for number, word in lines:
        if word not in ("0", "1"):
            raise DataError(f"{file}, line {number}: '{quoted(word)}' is neither 0 nor 1")
    if len(lines) != count:
        raise DataError(f"{file} has {len(lines)} lines, {listed.name} has {count}")
    return np.array([word == "1" for _, word in lines])
