"""The lists that papers on missing labels publish: a line has the file of an image, a comma, and its label indices.

Lines read ``COCO_train2014_000000050518.jpg,8 41``; indices count from 0. A file of the list's name that ends in
``.toml`` may say what the list itself does not:

    set = "coco2014"         # the set with all labels whose training images these are
    labels = "classes.txt"   # names of the labels, one a line (else classes.txt beside the list, else the indices)
    test = "nus_val.txt"     # a list whose images are the test part
    images = "nus_images"    # folder of the images (else the list's own, or images in it)

Alone, a list cannot tell a missing label from a negative: what is not listed is negative, as the papers' losses take
it. With ``set``, names, images and the test part come from the complete set, and a label that is not listed but true
there is unobserved.

A ``.txt`` file whose first line is three numbers and nothing else is no list: :mod:`.libsvm` reads it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlcl_utils.data import readers
from mlcl_utils.data.readers import libsvm
from mlcl_utils.data.readers.cells import normal
from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_distinct,
    check_fits,
    label_matrix,
    parts,
    quoted,
    read_lines,
    read_names,
    resolve,
    valid_text,
)
from mlcl_utils.data.readers.sidecar import read_sidecar
from mlcl_utils.data.splits import TEST, TRAIN
from mlcl_utils.errors import DataError, unknown

_TOO_MANY = 1_000_000  # labels; a larger index, from an id in its place, would take all memory
_KEYS = {"set": str, "labels": str, "test": str, "images": str}


class _Line(NamedTuple):
    """A line of a list: where it stands, the image, its labels."""

    file: Path
    number: int
    image: str
    labels: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


def find(name: str, root: Path | None) -> Source:
    """A list by its path, with what its sidecar names.

    Raises:
        UsageError: there is no such list.
        DataError: the sidecar is damaged, or a file that it names is missing.
    """
    path = resolve(name, root)
    if libsvm.has_header(path):  # a list has a comma in every line, so that it cannot be taken for one
        return libsvm.find(name, root)
    sidecar, given = read_sidecar(path, _KEYS)
    for key in {"labels", "test"} & given.keys():
        if not os.path.isfile(path.parent / given[key]):
            raise DataError(f"{path.parent / quoted(given[key])}, which {sidecar} names, is missing")
    complete = _complete(given["set"], root, sidecar) if "set" in given else None
    classes = path.parent / given.get("labels", "classes.txt")
    lists = [path, *([path.parent / given["test"]] if "test" in given else [])]
    others = [file for file in (classes, sidecar) if file is not None and os.path.isfile(file)]
    if complete is not None:
        folders = tuple(str(complete.folder / each) for each in complete.image_folders)
        read, files = _read_beside, (path, *others, *complete.files)
    else:
        folders = (given["images"],) if "images" in given else ("", "images")
        read, files = _read_alone, (*lists, *others)
    facts = {"lists": lists, "classes": classes if os.path.isfile(classes) else None, "complete": complete}
    return Source(path.stem, path.parent, files, read, folders, facts=facts)


def _complete(name: str, root: Path | None, sidecar: Path | None) -> Source:
    """The complete set of a name, which is no list: one tells no more than this one, and might be it."""
    module = readers.reader(name)
    if module is None:
        raise DataError(f"{sidecar}, key 'set': {unknown('data set', name, readers.names())}")
    if module == readers.reader(".txt"):
        raise DataError(
            f"{sidecar}, key 'set': '{name}' is a list; name the set that has all labels, such as coco2014"
        )
    return readers.find(name, root)


def _read_alone(source: Source) -> Examples:
    """Images of the list or lists, and the labels they have there."""
    lists = [_lines(file) for file in source.facts["lists"]]
    lines = [line for each in lists for line in each]
    classes: Path | None = source.facts["classes"]
    if classes is not None:
        names = read_names(classes)
        for line in lines:
            _check_range(line, names, classes.name)
    else:
        names = [str(label) for label in range(1 + max(label for line in lines for label in line.labels))]
    check_distinct([line.image for line in lines], lambda position: str(lines[position]))
    check_fits(source.files[0], len(lines), len(names), "labels", 1)
    return Examples(
        modality="image",
        ids=[line.image for line in lines],
        label_names=names,
        labels=label_matrix([line.labels for line in lines], len(names)),
        part=parts((TRAIN, len(lists[0])), (TEST, len(lists[1]))) if len(lists) == 2 else None,
        images=[line.image for line in lines],
        notes=[
            "what a line does not list is negative: the list cannot tell it from a missing label",
            f"labels are named by {classes.name}" if classes else "labels are named by their indices",
        ],
    )


def _read_beside(source: Source) -> Examples:
    """Images of the list with the labels they have there, and the test part of the complete set."""
    complete: Source = source.facts["complete"]
    whole = complete.read(complete)
    held = None if whole.part is None else whole.part != TRAIN
    if held is None or not held.any():
        raise DataError(f"{source.files[0]}: {complete.name} has no test part here")
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, image in enumerate(whole.images):
        if not held[row]:
            rows_of[normal(Path(image).name)].append(row)
    lines = _lines(source.files[0])
    rows = []
    labels = whole.labels.copy()
    for line in lines:
        candidates = rows_of.get(normal(Path(line.image).name), [])
        if len(candidates) != 1:
            count = f"{len(candidates)} training images" if candidates else "not a training image"
            raise DataError(f"{line}: {quoted(line.image)} is {count} of {complete.name}")
        row = candidates[0]
        _check_range(line, whole.label_names, complete.name)
        for label in line.labels:
            if whole.labels[row, label] == 0:
                name = whole.label_names[label]
                raise DataError(
                    f"{line}: label {label} is '{quoted(name)}', which {quoted(line.image)} does not have in "
                    f"{complete.name}"
                )
        listed = label_matrix([line.labels], labels.shape[1])[0]
        labels[row] = [
            1 if here else -1 if true else 0 for here, true in zip(listed, labels[row], strict=True)
        ]
        rows.append(row)
    check_distinct([str(row) for row in rows], lambda position: str(lines[position]))
    test = np.flatnonzero(held)
    chosen = [*rows, *test]
    return Examples(
        modality="image",
        ids=[whole.ids[row] for row in chosen],
        label_names=whole.label_names,
        labels=labels[chosen],
        part=parts((TRAIN, len(rows)), (TEST, len(test))),
        images=[whole.images[row] for row in chosen],
        notes=[
            f"{int((labels[rows] == -1).sum())} labels that {complete.name} has and the list has not are unobserved",
            f"test is that of {complete.name}, with all its labels",
        ],
    )


def _lines(file: Path) -> list[_Line]:
    lines = []
    for number, text in read_lines(file):
        image, comma, labels = text.rpartition(",")
        words = [word for word in re.split("[ \\t]+", labels) if word]
        if not comma or not all(word.isascii() and word.isdecimal() for word in words):
            raise DataError(
                f"{file}, line {number}: '{quoted(text)}' is not an image, a comma and label indices"
            )
        if "," in image and image.rpartition(",")[2].strip().isdecimal():
            raise DataError(
                f"{file}, line {number}: '{quoted(text)}' has commas between labels; write blanks"
            )
        indices = [word.lstrip("0") or "0" for word in words]
        high = next((word for word in indices if len(word) > 9 or int(word) >= _TOO_MANY), None)
        if high is not None:
            raise DataError(
                f"{file}, line {number}: label {high[:20]} is no index; a list has fewer than {_TOO_MANY} labels"
            )
        name = valid_text(image.strip(), f"{file}, line {number}", "the name of the image")
        lines.append(_Line(file, number, name, tuple(map(int, indices))))
    if not any(line.labels for line in lines):
        raise DataError(f"{file} lists no label")
    return lines


def _check_range(line: _Line, names: Sequence[str], origin: str) -> None:
    if line.labels and max(line.labels) >= len(names):
        raise DataError(
            f"{line}: label {max(line.labels)} is outside the {len(names)} labels of {origin}, from 0"
        )
