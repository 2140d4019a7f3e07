"""What readers share: what they find, what they read, and how they say what is wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Modality
from mlcl_utils.data.splits import TEST, TRAIN, VALIDATION
from mlcl_utils.errors import DataError, UsageError, unknown
from mlcl_utils.files import known_digest
from mlcl_utils.paths import CHECKOUT, expanded, shown

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Source:
    """The files of a set: found, not yet read.

    Attributes:
        name: short name, without folders and endings.
        folder: the set's own folder, under which what is derived from it is kept.
        files: everything that is read, besides the images.
        read: reads them.
        image_folders: folders, seen from ``folder``, that images are looked for in, in this order.
        whole: examples of the whole public set, where that is known; what is found may be an excerpt.
        facts: what else ``read`` needs to know.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    read: Callable[[Source], Examples]
    image_folders: tuple[str, ...] = ("", "images")
    whole: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over the names and contents of the files."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name} {known_digest(file)}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What a reader makes of a set of N examples and L labels.

    Attributes:
        modality: ``"text"``, ``"image"`` or ``"features"``.
        ids: N different ids.
        label_names: L different names.
        labels: int8 (N, L) in {-1, 0, 1}.
        part: uint8 (N,), the official part of each example (0 training, 1 validation, 2 test); None without.
        group_keys: sequences of N values each; examples with an equal one belong together.
        titles: N titles of texts, or nothing.
        texts: N texts, or nothing.
        images: N paths, seen from one of the source's image folders, or nothing.
        features: float32 (N, d), features of the set's own; None without.
        notes: what was guessed or is to be known of the reading, one sentence each.
    """

    modality: Modality
    ids: Sequence[str]
    label_names: Sequence[str]
    labels: npt.NDArray[np.int8]
    part: npt.NDArray[np.uint8] | None = None
    group_keys: Sequence[Sequence[object]] = ()
    titles: Sequence[str] = ()
    texts: Sequence[str] = ()
    images: Sequence[str] = ()
    features: npt.NDArray[np.float32] | None = None
    notes: Sequence[str] = ()


# ---------------------------------------------------------------------------------------------------- finding


def resolve(name: str, root: Path | None) -> Path:
    """The path of a file that a user named: from the root if there is one, otherwise from the checkout.

    Raises:
        UsageError: there is no such file; the nearest is suggested.
    """
    path = (root or CHECKOUT) / expanded(name)
    if path.is_file():
        return path
    here = Path(name).resolve()
    if here.is_file():
        raise UsageError(
            f"there is no {shown(path)}; did you mean {here}? give it so, or its folder as data_root"
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no {shown(path)}; '{shown(path.parent)}' is not a folder")
    raise unknown("file", shown(path), [shown(file) for file in path.parent.glob(f"*{path.suffix}")])


def places(name: str, root: Path | None, *folders: str) -> Iterator[Path]:
    """The root, and the folders in it of one of these names, whatever their case and punctuation.

    Raises:
        UsageError: there is no root.
    """
    if root is None:
        raise UsageError(
            f"data set '{name}' needs data_root (on the command line --root), the folder that holds it"
        )
    yield root
    wanted = {_plain(folder) for folder in folders}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and _plain(folder.name) in wanted:
            yield folder


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def not_found(name: str, root: Path | None, expected: str) -> UsageError:
    """The error for a named set that is not under the root."""
    return UsageError(f"data set '{name}' is not in {root}: there is no {expected}")


# ---------------------------------------------------------------------------------------------------- reading


def read_text(path: Path, encoding: str = "utf-8", advice: str = "") -> str:
    """The text of a file, without a byte order mark; line ends stay as they are.

    Raises:
        DataError: it is missing or in another encoding; the message names file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DataError(f"{path}, line {line}: byte 0x{byte:02x} is not {encoding}{advice}") from None
    except LookupError:
        raise DataError(f"{path}: there is no encoding '{encoding}'") from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, stripped, with their numbers from 1."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def label_matrix(rows: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.int8]:
    """int8 (rows, width) with 1 where a row lists the column, otherwise 0."""
    labels = np.zeros((len(rows), width), dtype=np.int8)
    for row, columns in enumerate(rows):
        labels[row, list(columns)] = 1
    return labels


# The numbers from here on are infinite in float32; those between its largest number and this one round to that.
_INFINITE = 2.0**128 - 2.0**103


def is_finite(value: float) -> bool:
    """Whether a number is neither NaN nor infinite in float32, which is what features are kept as."""
    return abs(value) < _INFINITE


def check_distinct(ids: Sequence[str], where: Callable[[int], str]) -> None:
    """Check that no two examples have the same id.

    Args:
        ids: the N ids.
        where: says where the example at a position stands.

    Raises:
        DataError: two have; the message names id and places.
    """
    first: dict[str, int] = {}
    for position, example in enumerate(ids):
        before = first.setdefault(example, position)
        if before != position:
            raise DataError(f"{where(position)}: the id '{example}' is already that of {where(before)}")


def parts(*sizes: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Official parts of examples that come part by part: pairs of a part and its number of examples."""
    return np.repeat(*np.array(sizes, dtype=np.int64).T).astype(np.uint8)


PART_WORDS = {
    **dict.fromkeys(("train", "training", "tr"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""Words by which tables name the parts of a split."""
