"""MS-COCO 2014 and 2017, from the instances files.

The folder holds ``annotations/instances_train2017.json`` and ``instances_val2017.json`` (or 2014) and, beside
``annotations`` or in ``images``, the folders ``train2017`` and ``val2017``. The labels are the categories, in the order
of their ids; an image has those of all its annotations, crowds included. The labels of the official test part are not
public: as in the literature, the validation part is the test part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcl_utils.data.readers.common import (
    Examples,
    Source,
    check_distinct,
    label_matrix,
    not_found,
    parts,
    places,
    read_text,
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
        files = tuple(file for file in instances if file.is_file())
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
    rows: list[set[int]] = []
    sizes = []
    for file in source.files:
        content = _instances(file)
        named: dict[int | str, str] = {}
        for entry in content["categories"]:
            named[_new_id(file, "categories", entry, named)] = str(_value(file, "categories", entry, "name"))
        if len({isinstance(category, str) for category in named}) > 1:
            raise DataError(
                f"{file}: some ids of 'categories' are numbers and some are texts; write them alike"
            )
        if categories and named != categories:
            raise DataError(f"{file}: its categories are not those of {source.files[0]}")
        categories = named
        column = {category: number for number, category in enumerate(sorted(categories))}
        folder = file.stem.removeprefix("instances_")
        row_of: dict[int | str, int] = {}
        for image in content["images"]:
            row_of[_new_id(file, "images", image, row_of)] = len(images)
            images.append(f"{folder}/{_value(file, 'images', image, 'file_name')}")
            rows.append(set())
        for annotation in content["annotations"]:
            image, category = (
                _id(file, "annotations", annotation, key) for key in ("image_id", "category_id")
            )
            which = f"{file}: annotation {annotation.get('id')}"
            if image not in row_of:
                raise DataError(f"{which} is of image {image}, which 'images' does not list")
            if category not in column:
                raise DataError(f"{which} has category {category}, which 'categories' does not list")
            rows[row_of[image]].add(column[category])
        sizes.append(len(content["images"]))
    check_distinct(images, lambda position: f"{source.folder}, image {position + 1}")
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


def _instances(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Images, annotations and categories; what else an entry holds (most of the file) is dropped while parsing."""
    try:
        content = json.loads(
            read_text(file), object_hook=lambda entry: {k: entry[k] for k in _KEPT & entry.keys()}
        )
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file}, line {error.lineno}, character {error.colno}: damaged or cut off ({error.msg})"
        ) from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{file}: the list '{key}' is missing")
    result: dict[str, list[dict[str, Any]]] = content
    return result


def _value(file: Path, kind: str, entry: Mapping[str, Any], key: str) -> Any:
    if not isinstance(entry, dict) or key not in entry:
        raise DataError(f"{file}: an entry of '{kind}' has no '{key}': {str(entry)[:60]}")
    return entry[key]


def _id(file: Path, kind: str, entry: Mapping[str, Any], key: str) -> Any:
    value = _value(file, kind, entry, key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f"{file}: '{key}' of an entry of '{kind}' is not a number or text: {str(value)[:60]}")
    return value


def _new_id(file: Path, kind: str, entry: Mapping[str, Any], known: Mapping[Any, Any]) -> Any:
    """An id that no entry before has: files that were put together may number theirs alike."""
    value = _id(file, kind, entry, "id")
    if value in known:
        raise DataError(f"{file}: two entries of '{kind}' have the id {value!r}; give each its own")
    return value
