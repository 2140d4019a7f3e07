"""MS-COCO 2014 and 2017, from the instances files.

The folder holds ``annotations/instances_train2017.json`` and ``instances_val2017.json`` (or 2014) and, beside
``annotations`` or in ``images``, the folders ``train2017`` and ``val2017``. The labels are the categories, in the order
of their ids; an image has those of all its annotations, crowds included. The labels of the official test part are not
public: as in the literature, the validation part is the test part.

A ``file_name`` is seen from the folder of its part. One that carries the folder (``train2017/0001.png``), or is seen
from the folder of the set, or is absolute and lies in it, is taken where the image is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcl_utils.data.dataset import located
from mlcl_utils.data.readers.cells import label_name
from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_distinct,
    check_fits,
    check_names,
    label_matrix,
    not_found,
    parts,
    places,
    quoted,
    read_json,
    valid_text,
)
from mlcl_utils.data.splits import TRAIN, VALIDATION
from mlcl_utils.errors import DataError, UsageError

_WHOLE = {"2014": 82_783 + 40_504, "2017": 118_287 + 5_000}
_KEPT = frozenset(
    {"id", "image_id", "category_id", "file_name", "name", "images", "annotations", "categories"}
)


def find(name: str, root: Path | None) -> Source:
    """COCO of a year, or of whichever year is there.

    Raises:
        UsageError: it is not under the root, or both years are and none is named.
    """
    years = [name[-4:]] if name[-4:] in _WHOLE else sorted(_WHOLE)
    found = [source for year in years if (source := _of_year(year, name, root))]
    if len(found) > 1:
        raise UsageError(f"{root} holds coco2014 and coco2017; name one of them")
    if not found:
        raise not_found(
            name, root, f"annotations/instances_train{years[-1]}.json in it, in coco or coco{years[-1]}"
        )
    return found[0]


def _of_year(year: str, name: str, root: Path | None) -> Source | None:
    for folder in places(name, root, "coco", f"coco{year}", "mscoco", f"mscoco{year}"):
        instances = [folder / "annotations" / f"instances_{part}{year}.json" for part in ("train", "val")]
        files = tuple(file for file in instances if os.path.isfile(file))
        if files:
            return Source(f"coco{year}", folder, files, read, whole=_WHOLE[year])
    return None


def read(source: Source) -> Examples:
    """Images and categories of the instances files.

    Raises:
        DataError: a file is damaged, or files contradict each other; the message names file and entry.
    """
    categories: dict[int | str, str] = {}
    images: list[str] = []
    where: list[str] = []
    rows: list[set[int]] = []
    sizes = []
    for file in source.files:
        content = _instances(file)
        named = _categories(file, content["categories"])
        if categories and named != categories:
            raise DataError(f"{file}: its categories are not those of {source.files[0]}")
        categories = named
        column = {category: number for number, category in enumerate(sorted(categories))}
        folder = file.stem.removeprefix("instances_")
        row_of: dict[int | str, int] = {}
        for number, image in enumerate(content["images"]):
            place = f"{file}, images[{number}]"
            row_of[_new_id(file, "images", number, image, row_of)] = len(images)
            name = valid_text(_value(file, "images", number, image, "file_name"), place, "'file_name'")
            images.append(_seen_from(source, folder, name, place))
            where.append(place)
            rows.append(set())
        for number, annotation in enumerate(content["annotations"]):
            image, category = (
                _id(file, "annotations", number, annotation, key) for key in ("image_id", "category_id")
            )
            which = f"{file}: annotation {quoted(annotation.get('id', f'number {number + 1}'))}"
            if image not in row_of:
                raise DataError(f"{which} is of image {_shown(image)}, which 'images' does not list")
            if category not in column:
                raise DataError(f"{which} has category {_shown(category)}, which 'categories' does not list")
            rows[row_of[image]].add(column[category])
        sizes.append(len(content["images"]))
    if not images:
        raise DataError(f"{source.files[0]}: the list 'images' is empty")
    check_distinct(images, lambda position: where[position])
    check_fits(source.files[0], len(images), len(categories), "categories", 1)
    both = len(source.files) == 2
    return Examples(
        modality="image",
        ids=images,
        label_names=[categories[category] for category in sorted(categories)],
        labels=label_matrix([sorted(row) for row in rows], len(categories)),
        part=parts((TRAIN, sizes[0]), (VALIDATION, sizes[1])) if both else None,
        images=images,
        notes=[
            "an image has the categories of all its annotations, crowds included",
            *([] if both else [f"only {source.files[0].name} is there"]),
        ],
    )


def _categories(file: Path, entries: list[dict[str, Any]]) -> dict[int | str, str]:
    """Names of the categories by their ids."""
    named: dict[int | str, str] = {}
    for number, entry in enumerate(entries):
        place = f"{file}, categories[{number}]"
        key = _new_id(file, "categories", number, entry, named)
        what = "the name of a category"
        named[key] = label_name(
            valid_text(_value(file, "categories", number, entry, "name"), place, what), place
        )
    if not named:
        raise DataError(f"{file}: the list 'categories' is empty")
    if len({isinstance(category, str) for category in named}) > 1:
        raise DataError(f"{file}: some ids of 'categories' are numbers and some are texts; write them alike")
    check_names(file, list(named.values()), lambda position: f"categories[{position}]")
    return named


_ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:[/\\]")


def _seen_from(source: Source, folder: str, name: str, where: str) -> str:
    """The path of an image as it is kept: seen from one of the source's folders of images.

    Args:
        source: the set.
        folder: of the images of this part, such as ``train2017``.
        name: what the file says, byte for byte.
        where: it says so, for the error.

    Raises:
        DataError: the path leads out of the set's folder.
    """
    if "/" not in name and "\\" not in name:
        return f"{folder}/{name}"
    bases = [source.folder / each for each in source.image_folders]
    forward = name.replace("\\", "/")  # as Windows writes it, unless there is a file of this very name
    if _ABSOLUTE.match(name):
        for base in (os.path.abspath(source.folder), os.path.realpath(source.folder)):
            within = os.path.relpath(name, base) if name.startswith("/") else ".."
            if not within.startswith("..") and located(bases, within):
                return within
        raise DataError(
            f"{where}: no image of {source.folder} has the absolute path '{quoted(name, 200)}'; write 'file_name' as "
            f"it is seen from {folder}"
        )
    if os.path.normpath(f"{folder}/{forward}").startswith(".."):
        raise DataError(f"{where}: 'file_name' leads out of the folder: '{quoted(name, 200)}'")
    for path in (f"{folder}/{name}", f"{folder}/{forward}", forward):
        if located(bases, path):
            return path
    return forward if forward.startswith(f"{folder}/") else f"{folder}/{name}"


def _instances(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Images, annotations and categories; what else an entry holds (most of the file) is dropped while parsing."""
    content = read_json(file, _KEPT)
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{file}: the list '{key}' is missing")
    result: dict[str, list[dict[str, Any]]] = content
    return result


def _value(file: Path, kind: str, number: int, entry: Mapping[str, Any], key: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{file}, {kind}[{number}]: an entry of '{kind}' has no '{key}': {quoted(entry)}")
    return entry[key]


def _id(file: Path, kind: str, number: int, entry: Mapping[str, Any], key: str) -> Any:
    """An id: a text, or a whole number, which may be written as 7.0."""
    value = _value(file, kind, number, entry, key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        reason = "is not a number or text"
    elif isinstance(value, float) and not value.is_integer():
        reason = "is not a whole number or a text"
    else:
        return value
    raise DataError(f"{file}, {kind}[{number}]: '{key}' of an entry of '{kind}' {reason}: {quoted(value)}")


def _shown(value: object) -> str:
    """An id with the quotes that tell the text '7' from the number."""
    return f"'{quoted(value)}'" if isinstance(value, str) else quoted(value)


def _new_id(file: Path, kind: str, number: int, entry: Mapping[str, Any], known: Mapping[Any, Any]) -> Any:
    """An id that no entry before has: files that were put together may number theirs alike."""
    value = _id(file, kind, number, entry, "id")
    if value in known:
        raise DataError(f"{file}: two entries of '{kind}' have the id {_shown(value)}; give each its own")
    return value
