"""One data set on disk: manifest with checksums, frozen features, sparse labels, groups, splits, raw
examples.

A folder holds ``dataset.json`` (the manifest), ``labels.safetensors``, the raw examples in Parquet files and,
where there are any, ``features.safetensors``, ``card.md`` and a contact sheet of images. The manifest lists the
SHA-256 of every other file and, under ``digest``, that of its own remaining content, so that no byte of the
folder goes unchecked. Sets that ship are kept so, and so is what was read of a set that a user brought.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.images import Encoded, Scaled, decode, rgb, together
from mlcl_utils.errors import DataError
from mlcl_utils.files import known_digest

MANIFEST = "dataset.json"
FEATURES = "features.safetensors"
LABELS = "labels.safetensors"
CARD = "card.md"
VECTORS = "vectors.safetensors"

Modality = Literal["text", "image", "features"]
"""What the raw examples are; ``"features"`` where there are none but numbers."""


@dataclass(frozen=True)
class Manifest:
    """What ``dataset.json`` says.

    Attributes:
        name: name of the data set.
        modality: ``"text"``, ``"image"`` or ``"features"``.
        version: integer raised when the data change on purpose.
        label_names: names of the labels, in the order of the label indices.
        files: SHA-256 of every other file of the folder, by file name.
        digest: SHA-256 of all of the above and below.
        content: digest of all that results can depend on, where it is not that of the files; None for sets that ship.
        inputs: digest of what an encoder would see of the raw examples, likewise.
        notes: how a set that a user brought was read.
    """

    name: str
    modality: Modality
    version: int
    label_names: tuple[str, ...]
    files: dict[str, str]
    digest: str
    content: str | None = None
    inputs: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Version and digest of everything results can depend on (not the card), such as
        ``"1-0f3a5c7e9b1d"``.

        Word vectors do not count: they are part of what a run is whose encoder starts from them, and of no other."""
        data = {
            name: sha
            for name, sha in self.files.items()
            if name.endswith((".safetensors", ".parquet")) and name != VECTORS
        }
        content = self.content or content_digest({"labels": self.label_names, "files": data})
        return f"{self.version}-{content[:12]}"

    @property
    def raw_digest(self) -> str:
        """Digest of what an encoder would see of the raw examples."""
        return self.inputs or content_digest({name: self.files[name] for name in self.raw_files})

    @property
    def raw_files(self) -> tuple[str, ...]:
        """Names of the Parquet files with the raw examples, in order."""
        return tuple(sorted(name for name in self.files if name.endswith(".parquet")))


@dataclass(frozen=True)
class WordVectors:
    """A file of static word vectors, one vector a word.

    Attributes:
        name: ``<encoder>-<8 hex digits of the weights' digest>``; empty for those that ship with a set.
        path: of the file.
        sha256: of the file.
    """

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """A multi-label data set of N examples and L labels.

    All arrays are read-only. Data sets of the same name, version and word vectors are equal.

    Attributes:
        name: name of the data set.
        modality: ``"text"``, ``"image"`` or ``"features"``.
        version: integer and digest of all that results can depend on, see ``mlcl_utils.data.version``.
        label_names: the L label names.
        labels: int8 (N, L): 1 positive, 0 negative, -1 unobserved.
        groups: int32 (N,), examples of one group never lie in training and in another part of a split, unless an
            official test part has parted them.
        splits: uint8 (10, N): 0 training, 1 validation, 2 test.
        named: bool (N, L), positives whose label is named in the text; None where there is no text.
        card: the data card, Markdown; empty for a set that a user brought.
        notes: how a set that a user brought was read, one sentence each.
        folder: where the files lie; of a user's set that was read before, those that are kept of it.
        raw_digest: digest of what an encoder would see of the raw examples.
        home: a user's set's own folder, beside whose files everything is kept that is derived from it; None for a set
            that ships.
        vectors: the static word vectors that there are for it, see :mod:`mlcl_utils.data.vectors`.
    """

    name: str
    modality: Modality
    version: str
    label_names: tuple[str, ...]
    labels: npt.NDArray[np.int8]
    groups: npt.NDArray[np.int32]
    splits: npt.NDArray[np.uint8]
    named: npt.NDArray[np.bool_] | None
    card: str
    notes: tuple[str, ...]
    folder: Path
    raw_digest: str
    stored_features: npt.NDArray[np.floating] | None = field(repr=False)
    raw_files: tuple[str, ...] = field(default=(), repr=False)
    held: Mapping[str, Sequence[Any]] | None = field(
        default=None, repr=False
    )  # raw columns that are in memory
    home: Path | None = None
    image_folders: tuple[Path, ...] = field(default=(), repr=False)  # where the column `image` has paths
    no_features: str = field(default="", repr=False)  # why there are none, and what to do
    vectors: tuple[WordVectors, ...] = ()
    vectors_command: str = field(default="", repr=False)  # what distils them

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and self._compared == other._compared

    def __hash__(self) -> int:
        return hash(self._compared)

    @property
    def _compared(self) -> tuple[Any, ...]:
        return self.name, self.version, self.vectors

    @property
    def features(self) -> npt.NDArray[np.floating]:
        """A frozen encoder's output (N, d), not standardised, or the set's own features; may be a memory map.

        Raises:
            DataError: there are none yet; the message says which command extracts them.
        """
        if self.stored_features is None:
            raise DataError(self.no_features)
        return self.stored_features

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        """The N example ids."""
        return tuple(cast("list[str]", self.column("id")))

    def column(self, name: str) -> list[Any]:
        """One column of the raw examples as a list of N values.

        Raises:
            DataError: the raw examples have no such column.
        """
        if self.held is not None:
            if name not in self.held:
                raise DataError(f"'{self.name}' has no column '{name}'; columns: {', '.join(self.held)}")
            return list(self.held[name])
        import pyarrow.parquet as pq

        values: list[Any] = []
        for file in self.raw_files:
            path = self.folder / file
            table = pq.ParquetFile(path)
            if name not in table.schema_arrow.names:
                raise DataError(
                    f"{path} has no column '{name}'; columns: {', '.join(table.schema_arrow.names)}"
                )
            values.extend(table.read(columns=[name]).column(name).to_pylist())
        return values

    def texts(self) -> list[str]:
        """The raw texts: title, a newline, and the text of each of the N examples.

        Raises:
            DataError: the set holds no texts.
        """
        titles, bodies = self.column("title"), self.column("text")
        return [
            f"{title}\n{body}" if title and body else title or body
            for title, body in zip(titles, bodies, strict=True)
        ]

    def encoded_images(self) -> list[Encoded | Scaled]:
        """The N raw images as they are kept, for :func:`mlcl_utils.data.images.decode`.

        Each is the bytes of an image file, or the path of one; with it comes the scale that is the same in all the set
        where the file has more than 8 bits a channel.

        Raises:
            DataError: the set holds no images, a file is missing, or one of more than 8 bits cannot be decoded.
        """
        files = [self.place(image) if isinstance(image, str) else image for image in self.column("image")]
        return together(files, self.ids)

    def place(self, image: str) -> Path:
        """The file of an image that the column `image` names by its path; it may lie in one of several folders.

        Raises:
            DataError: it is missing, cannot be reached, or is no file.
        """
        found = located(self.image_folders, image)
        if found is not None:
            return found
        reason = "is missing"
        for path in (folder / image for folder in self.image_folders):
            try:
                if path.exists():
                    reason = "is a folder" if path.is_dir() else "is not a file"
                elif path.is_symlink():
                    reason = f"is a link to {path.readlink()}, which is missing"
            except OSError as error:  # such as a name that is too long, or a folder that may not be read
                reason = f"cannot be reached: {error.strerror}"
        raise DataError(f"image {self.image_folders[0] / image} {reason}")

    def each_image(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The raw images one after the other, uint8 (height, width), or (height, width, channels) unless grey.

        Those of a user's set all have three channels.

        Raises:
            DataError: the set holds no images, or one cannot be decoded.
        """
        for example, source in zip(self.ids, self.encoded_images(), strict=True):
            image = decode(source, example)
            yield np.asarray(rgb(image) if self.image_folders else image, dtype=np.uint8)

    def images(self) -> npt.NDArray[np.uint8]:
        """The raw images: uint8 (N, height, width) if grey, (N, height, width, channels) otherwise.

        Raises:
            DataError: the set holds no images, one cannot be decoded, or they differ in size.
        """
        images = list(self.each_image())
        if len({image.shape for image in images}) > 1:
            raise DataError(f"the images of '{self.name}' differ in size; take them one by one")
        return np.stack(images)


def located(folders: Sequence[Path], image: str) -> Path | None:
    """The file of an image in the first of several folders that has it; None if none has.

    A name is looked for as it is written, then in NFC and in NFD: systems differ in which of them they make of a name
    with accents, and archives carry the names over.
    """
    forms = [image, *(unicodedata.normalize(form, image) for form in ("NFC", "NFD") if not image.isascii())]
    for folder in folders:
        for form in forms:
            if os.path.isfile(folder / form):  # pathlib's raises where a name is too long for the file system
                return folder / form
    return None


def content_digest(content: object) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; restore it with: git checkout -- {path}")


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a data set's folder.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise _damaged(path, "is missing") from None
    except ValueError:
        raise _damaged(path, "is damaged (not JSON)") from None
    digest = content.pop("digest", None) if isinstance(content, dict) else None
    if digest is None or content_digest(content) != digest:
        raise _damaged(path, "is damaged (SHA-256 differs)")
    return Manifest(
        name=content["name"],
        modality=content["modality"],
        version=content["version"],
        label_names=tuple(content["label_names"]),
        files=content["files"],
        digest=digest,
        content=content.get("content"),
        inputs=content.get("inputs"),
        notes=tuple(content.get("notes", ())),
    )


def verify(folder: Path) -> Manifest:
    """Check every file of a data set's folder against the manifest and return the manifest.

    Raises:
        DataError: a file is missing or damaged.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            actual = known_digest(path)
        except FileNotFoundError:
            raise _damaged(path, "is missing") from None
        if actual != expected:
            raise _damaged(path, "is damaged (SHA-256 differs)")
    return manifest


def read(folder: Path) -> Dataset:
    """Read a data set from its folder after verifying it.

    What was read stays in memory: a second call checks the files again and returns the same object.

    Raises:
        DataError: a file is missing or damaged.
    """
    return _read(folder, verify(folder).digest)


@functools.lru_cache(maxsize=4)
def _read(folder: Path, digest: str) -> Dataset:
    """Read a verified folder; the digest stands for the content in the cache's key."""
    from safetensors.numpy import load_file

    manifest = read_manifest(folder)
    arrays = load_file(folder / LABELS)
    shape = (len(arrays["groups"]), len(manifest.label_names))
    rows, columns = _entries(arrays, "label")
    labels = np.zeros(shape, dtype=np.int8)
    labels[rows, columns] = 1
    if "unobserved_indptr" in arrays:
        labels[_entries(arrays, "unobserved")] = -1
    named = None
    if "named" in arrays:
        named = np.zeros(shape, dtype=np.bool_)
        named[rows, columns] = arrays["named"] != 0
    features = load_file(folder / FEATURES)["features"] if FEATURES in manifest.files else None
    for array in (labels, features, arrays["groups"], arrays["splits"], named):
        if array is not None:
            array.flags.writeable = False
    return Dataset(
        name=manifest.name,
        modality=manifest.modality,
        version=manifest.identity,
        label_names=manifest.label_names,
        labels=labels,
        groups=arrays["groups"],
        splits=arrays["splits"],
        named=named,
        card=(folder / CARD).read_text(encoding="utf-8") if CARD in manifest.files else "",
        notes=manifest.notes,
        folder=folder,
        raw_digest=manifest.raw_digest,
        stored_features=features,
        raw_files=manifest.raw_files,
        vectors=(WordVectors("", folder / VECTORS, manifest.files[VECTORS]),)
        if VECTORS in manifest.files
        else (),
        vectors_command=f"mlcl features {manifest.name} --encoder ENCODER --static --root FOLDER",
    )


def _entries(
    arrays: Mapping[str, npt.NDArray[Any]], kind: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.integer]]:
    """Rows and columns of the entries of one kind, which are kept as a compressed sparse matrix."""
    starts = arrays[f"{kind}_indptr"]
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts)), arrays[f"{kind}_indices"]
