"""Writing a data set's folder in the layout of :mod:`mlcl_utils.data.dataset`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from mlcl_utils.data import dataset as stored

SHARD_BYTES = 15_500_000


class Content(TypedDict):
    """What a data set's folder holds.

    Attributes:
        name: registered or short name.
        modality: what the raw examples are.
        version: integer to be raised when the data change on purpose.
        label_names: L names.
        labels: int8 (N, L), 1, 0 or -1.
        groups: int32 (N,).
        splits: uint8 (10, N).
        columns: raw examples, N values a column: `id` and either `title` and `text`, or `image` (encoded bytes, or
            paths), or nothing else.
        features: (N, d), stored as float16 unless they are float32 already; not there if there are none.
        named: bool (N, L), positives named in the text.
        extra_files: names of files already in the folder that belong to the set (the contact sheet).
        facts: what else the manifest says, see `mlcl_utils.data.dataset.Manifest`.
        compression_level: of the Parquet files (zstd, 19).
    """

    name: str
    modality: stored.Modality
    version: int
    label_names: Sequence[str]
    labels: npt.NDArray[np.int8]
    groups: npt.NDArray[np.int32]
    splits: npt.NDArray[np.uint8]
    columns: Mapping[str, Sequence[str] | Sequence[bytes]]
    features: NotRequired[npt.NDArray[np.floating] | None]
    named: NotRequired[npt.NDArray[np.bool_] | None]
    extra_files: NotRequired[Sequence[str]]
    facts: NotRequired[Mapping[str, Any]]
    compression_level: NotRequired[int]


def write(folder: Path, *, card: str | None = None, **content: Unpack[Content]) -> None:
    """Write a data set's folder; the manifest, which makes it whole, comes last.

    Args:
        folder: where to; made if missing. Only the files of the set are written or replaced.
        card: data card, Markdown; None for none.
        content: see `Content`.
    """
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    files = [stored.LABELS, *content.get("extra_files", ())]
    (folder / stored.LABELS).write_bytes(save(_arrays(content)))
    features = content.get("features")
    if features is not None:
        kept = features if features.dtype == np.float32 else features.astype(np.float16)
        (folder / stored.FEATURES).write_bytes(save({"features": np.ascontiguousarray(kept)}))
        files.append(stored.FEATURES)
    if card is not None:
        (folder / stored.CARD).write_text(card, encoding="utf-8")
        files.append(stored.CARD)
    pattern = "images-{:02d}.parquet" if content["modality"] == "image" else "examples.parquet"
    files += _write_raw(folder, content["columns"], pattern, content.get("compression_level", 19))
    manifest = {
        "name": content["name"],
        "modality": content["modality"],
        "version": content["version"],
        "examples": len(content["labels"]),
        "positives": int((content["labels"] == 1).sum()),
        "label_names": list(content["label_names"]),
        "files": {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in sorted(files)},
        **content.get("facts", {}),
    }
    _write_manifest(folder, manifest)


def register(folder: Path, *names: str) -> None:
    """Make files of a data set's folder part of it that were added or changed since its manifest was written.

    Args:
        folder: of the data set.
        names: of the files.

    Raises:
        DataError: the manifest is missing or damaged.
    """
    stored.read_manifest(folder)
    manifest = json.loads((folder / stored.MANIFEST).read_bytes())
    del manifest["digest"]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    manifest["files"] = dict(sorted((manifest["files"] | digests).items()))
    _write_manifest(folder, manifest)


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    digest = stored.content_digest(manifest)
    text = json.dumps({**manifest, "digest": digest}, indent=1, ensure_ascii=False) + "\n"
    (folder / stored.MANIFEST).write_text(text, encoding="utf-8")


def _arrays(content: Content) -> dict[str, npt.NDArray[Any]]:
    labels, named = content["labels"], content.get("named")
    arrays: dict[str, npt.NDArray[Any]] = {
        **_entries("label", labels == 1),
        "groups": content["groups"].astype(np.int32),
        "splits": content["splits"].astype(np.uint8),
    }
    if (labels == -1).any():
        arrays |= _entries("unobserved", labels == -1)
    if named is not None:
        arrays["named"] = named[labels == 1].astype(np.uint8)
    return arrays


def _entries(kind: str, there: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
    """Positions of the entries of one kind, as a compressed sparse matrix."""
    columns = np.nonzero(there)[1]
    width = np.int16 if there.shape[1] <= np.iinfo(np.int16).max else np.int32
    return {
        f"{kind}_indptr": np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32),
        f"{kind}_indices": columns.astype(width),
    }


def _write_raw(
    folder: Path, columns: Mapping[str, Sequence[str] | Sequence[bytes]], pattern: str, level: int
) -> list[str]:
    """Write the raw columns as Parquet, in shards below the limit if there are images, and return the file
    names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: list(values) for name, values in columns.items()})
    starts = [0]
    if "image" in columns:
        size = 0
        for position, image in enumerate(columns["image"]):
            if size + len(image) > SHARD_BYTES:
                starts.append(position)
                size = 0
            size += len(image)
    written = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(table)], strict=True)):
        file = pattern.format(number)
        # Images are compressed already; text gains by a high level and costs nothing to read.
        pq.write_table(
            table.slice(start, end - start), folder / file, compression="zstd", compression_level=level
        )
        written.append(file)
    return written
