"""What readers share: what they find, what they read, and how they say what is wrong."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import reprlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils import units
from mlcl_utils.data.dataset import Modality
from mlcl_utils.data.readers.cells import label_name
from mlcl_utils.data.splits import TEST, TRAIN, VALIDATION
from mlcl_utils.errors import DataError, UsageError, unknown
from mlcl_utils.files import known_digest
from mlcl_utils.paths import CHECKOUT, expanded, shown

IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"),
    *(".pgm", ".ppm"),
)


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
        splits: uint8 (10, N), the part of each example in each split, where examples are independent draws; None for
            stratified ones, which are dealt out.
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
    splits: npt.NDArray[np.uint8] | None = None
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
    if os.path.isfile(path):  # pathlib's raises where a name is too long for the file system
        return path
    here = Path(os.path.abspath(name))
    if os.path.isfile(here):
        raise UsageError(
            f"there is no {shown(path)}; did you mean {here}? give it so, or its folder as data_root"
        )
    if not os.path.isdir(path.parent):
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
    try:
        within = sorted(root.iterdir()) if os.path.isdir(root) else []
    except OSError as error:
        raise UsageError(f"{root} cannot be read: {error.strerror}") from None
    for folder in within:
        if _plain(folder.name) in wanted and os.path.isdir(folder):
            yield folder


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def not_found(name: str, root: Path | None, expected: str) -> UsageError:
    """The error for a named set that is not under the root."""
    return UsageError(f"data set '{name}' is not in {root}: there is no {expected}")


# ---------------------------------------------------------------------------------------------------- reading


_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, encoding: str = "utf-8", advice: str = "") -> str:
    """The text of a file, without a byte order mark; line ends stay as they are.

    Raises:
        DataError: it is missing or in another encoding; the message names file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    utf8 = encoding.lower() in {"utf-8", "utf8"}
    try:
        return data.decode("utf-8-sig" if utf8 else encoding)
    except UnicodeDecodeError as error:
        line = len(split_lines(data[: error.start].decode("latin-1")))
        byte = data[error.start]
        other = "; it is UTF-16, save it as UTF-8" if utf8 and data[:2] in _UTF16 else advice
        raise DataError(f"{path}, line {line}: byte 0x{byte:02x} is not {encoding}{other}") from None
    except UnicodeError as error:  # of codecs that are more than a table of characters
        raise DataError(f"{path} is not {encoding}: {quoted(str(error))}") from None
    except (LookupError, ValueError):
        raise DataError(f"{path}: there is no encoding '{quoted(encoding)}'") from None


_LINE_END = re.compile(r"\r\n|\n|\r")


def split_lines(text: str) -> list[str]:
    """The lines of a text as editors number them: they end with LF, CR LF or CR.

    What else ``str.splitlines`` takes for a line's end (U+2028, U+0085, form feeds) is part of a value here.
    """
    return _LINE_END.split(text)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, stripped, with their numbers from 1."""
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        if line.strip():
            yield number, line.strip()


def read_names(path: Path) -> list[str]:
    """The names of labels that a file lists, one a line; a label's number is that of its line.

    Raises:
        DataError: the file cannot be read, a line is blank, which would move all names behind it, or two names are
            equal.
    """
    lines = split_lines(read_text(path).rstrip())
    names = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise DataError(f"{path}, line {number}: is blank; every line names a label")
        names.append(label_name(line, f"{path}, line {number}"))
    check_names(path, names, lambda position: f"line {position + 1}")
    return names


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist = 3, 6, 4


def quoted(value: object, most: int = 60) -> str:
    """A value of a user's file as a message shows it: on one line, cut, without what a terminal would obey."""
    text = (value if isinstance(value, str) else _REPR.repr(value))[:most]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_names(path: Path, names: Sequence[str], where: Callable[[int], str]) -> None:
    """Check that no two labels have the same name.

    Args:
        path: of the file that names them.
        names: of the labels.
        where: says where in the file the name at a position stands.

    Raises:
        DataError: two have; the message names both places.
    """
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        before = first.setdefault(name, position)
        if before != position:
            raise DataError(
                f"{path} has two labels '{quoted(name)}'; give each a name of its own ({where(before)} and "
                f"{where(position)})"
            )


def read_json(path: Path, kept: frozenset[str] | None = None) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        kept: the keys that matter; what else an object holds is dropped while parsing. None for all.

    Raises:
        DataError: it is damaged, not UTF-8, nested too deeply, holds a number too long to be one, or an object has one
            of the keys twice; the message names file and place.
    """

    def entry(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        there = pairs if kept is None else [pair for pair in pairs if pair[0] in kept]
        made = dict(there)
        if len(made) < len(there):
            keys = [key for key, _ in there]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"{path}: '{quoted(twice)}' is there twice in {quoted(made)}")
        return made

    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=entry)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, character {error.colno}: damaged or cut off ({error.msg})"
        ) from None
    except RecursionError:
        raise DataError(f"{path}, {_json_place(text, _DEEP)}: nested too deeply") from None
    except DataError:
        raise
    except ValueError:  # Python reads integers of up to 4,300 digits
        raise DataError(f"{path}, {_json_place(text, _LONG)}: a number of thousands of digits") from None


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]|-?\d+')
_DEEP = 500
_LONG = 4_000


def _json_place(text: str, limit: int) -> str:
    """Line and character where a JSON text first is nested deeper, or has an integer longer, than a limit."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        long = len(token[0]) > limit == _LONG and token[0][0] != '"'
        if long or (limit == _DEEP and depth > limit):
            before = split_lines(text[: token.start()])
            return f"line {len(before)}, character {len(before[-1]) + 1}"
    return "line 1"


def valid_text(value: object, where: str, what: str) -> str:
    """A text that a user's file has to give, as it stands there.

    Args:
        value: as it was read.
        where: file and place, for the error.
        what: what it should be, such as ``"the name of a label"``.

    Raises:
        DataError: it is no text, shows nothing, or holds what no file name and no UTF-8 can hold.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: {what} is {quoted(value)}, not a text")
    bad = next((c for c in value if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if bad is not None:
        reason = "a NUL" if bad == "\0" else "half a character, a surrogate"
        raise DataError(f"{where}: {what} '{quoted(value)}' holds {reason}; write it anew")
    if all(unicodedata.category(c)[0] == "Z" or unicodedata.category(c) in {"Cc", "Cf"} for c in value):
        raise DataError(f"{where}: {what} is empty" + (f" ('{quoted(value)}')" if value.strip() else ""))
    return value


def check_fits(path: Path, examples: int, columns: int, what: str, each: int) -> None:
    """Check that a dense matrix fits into memory, with a copy of it.

    Args:
        path: of the file, for the error.
        examples: its rows.
        columns: its columns.
        what: they are, in the plural.
        each: bytes of an entry.

    Raises:
        DataError: it does not; the message gives both sizes.
    """
    needed, there = 2 * examples * columns * each, memory()
    if there is not None and needed > there:
        raise DataError(
            f"{path}: {examples:,} examples with {columns:,} {what} take {units.size(needed)} of memory as they are "
            f"read, and this machine has {units.size(there)}; bring fewer examples or {what}"
        )


def memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def label_matrix(rows: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.int8]:
    """int8 (rows, width) with 1 where a row lists the column, otherwise 0."""
    labels = np.zeros((len(rows), width), dtype=np.int8)
    sizes = [len(columns) for columns in rows]
    flat = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int64, count=sum(sizes))
    labels[np.repeat(np.arange(len(rows)), sizes), flat] = 1
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
            raise DataError(
                f"{where(position)}: the id '{quoted(example, 200)}' is already that of {where(before)}"
            )


def parts(*sizes: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Official parts of examples that come part by part: pairs of a part and its number of examples."""
    return np.repeat(*np.array(sizes, dtype=np.int64).T).astype(np.uint8)


PART_WORDS = {
    **dict.fromkeys(("train", "training", "tr"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""Words by which tables name the parts of a split."""
