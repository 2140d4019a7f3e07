"""One data set on disk: manifest with checksums, frozen features, sparse labels, groups, splits, raw
examples.

A folder holds ``dataset.json`` (the manifest), ``features.safetensors``, ``labels.safetensors``, the raw
examples in Parquet files, ``card.md`` and, for images, a contact sheet. The manifest lists the SHA-256 of
every other file and, under ``digest``, that of its own remaining content, so that no byte of the folder goes
unchecked.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from mlcl_utils.errors import DataError

MANIFEST = "dataset.json"
FEATURES = "features.safetensors"
LABELS = "labels.safetensors"
CARD = "card.md"

Modality = Literal["text", "image"]


@dataclass(frozen=True)
class Manifest:
    """What ``dataset.json`` says.

    Attributes:
        name: name of the data set.
        modality: ``"text"`` or ``"image"``.
        version: integer raised when the data change on purpose.
        label_names: names of the labels, in the order of the label indices.
        files: SHA-256 of every other file of the folder, by file name.
        digest: SHA-256 of all of the above.
    """

    name: str
    modality: Modality
    version: int
    label_names: tuple[str, ...]
    files: dict[str, str]
    digest: str

    @property
    def identity(self) -> str:
        """Version and digest of everything results can depend on (not the card), such as
        ``"1-0f3a5c7e9b1d"``."""
        data = {name: sha for name, sha in self.files.items() if name.endswith((".safetensors", ".parquet"))}
        return f"{self.version}-{content_digest({'labels': self.label_names, 'files': data})[:12]}"

    @property
    def raw_files(self) -> tuple[str, ...]:
        """Names of the Parquet files with the raw examples, in order."""
        return tuple(sorted(name for name in self.files if name.endswith(".parquet")))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A multi-label data set of N examples and L labels with frozen features of d dimensions.

    All arrays are read-only.

    Attributes:
        name: name of the data set.
        modality: ``"text"`` or ``"image"``.
        version: registered integer and digest, see ``mlcl_utils.data.version``.
        label_names: the L label names.
        labels: int8 (N, L): 1 positive, 0 negative, -1 unobserved.
        features: float16 (N, d), the frozen encoder's output, not standardised.
        groups: int32 (N,), examples of one group never lie in different parts of a split.
        splits: uint8 (10, N): 0 training, 1 validation, 2 test.
        named: bool (N, L), positives whose label is named in the text; None for images.
        card: the data card, Markdown.
        folder: where the files lie.
    """

    name: str
    modality: Modality
    version: str
    label_names: tuple[str, ...]
    labels: npt.NDArray[np.int8]
    features: npt.NDArray[np.float16]
    groups: npt.NDArray[np.int32]
    splits: npt.NDArray[np.uint8]
    named: npt.NDArray[np.bool_] | None
    card: str
    folder: Path
    raw_files: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        """The N example ids."""
        return tuple(cast("list[str]", self.column("id")))

    def column(self, name: str) -> list[Any]:
        """One column of the raw examples as a list of N values.

        Raises:
            DataError: the raw examples have no such column.
        """
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
        return [f"{title}\n{body}" if body else title for title, body in zip(titles, bodies, strict=True)]

    def images(self) -> npt.NDArray[np.uint8]:
        """The raw images: uint8 (N, height, width) if grey, (N, height, width, channels) otherwise.

        Raises:
            DataError: the set holds no images, or one cannot be decoded.
        """
        from PIL import Image, UnidentifiedImageError

        decoded = []
        for example, data in zip(self.ids, self.column("image"), strict=True):
            try:
                with Image.open(io.BytesIO(data)) as image:
                    decoded.append(np.asarray(image, dtype=np.uint8))
            except (UnidentifiedImageError, OSError) as error:
                raise DataError(f"image '{example}' in {self.folder} cannot be decoded: {error}") from error
        return np.stack(decoded)


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
            with path.open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
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
    rows = np.repeat(np.arange(shape[0]), np.diff(arrays["label_indptr"]))
    columns = arrays["label_indices"]
    labels = np.zeros(shape, dtype=np.int8)
    labels[rows, columns] = 1
    named = None
    if "named" in arrays:
        named = np.zeros(shape, dtype=np.bool_)
        named[rows, columns] = arrays["named"] != 0
    features = load_file(folder / FEATURES)["features"]
    for array in (labels, features, arrays["groups"], arrays["splits"], named):
        if array is not None:
            array.flags.writeable = False
    return Dataset(
        name=manifest.name,
        modality=manifest.modality,
        version=manifest.identity,
        label_names=manifest.label_names,
        labels=labels,
        features=features,
        groups=arrays["groups"],
        splits=arrays["splits"],
        named=named,
        card=(folder / CARD).read_text(encoding="utf-8"),
        folder=folder,
        raw_files=manifest.raw_files,
    )
