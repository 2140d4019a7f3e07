"""What the rebuild scripts share: groups, splits, checks and writing a data set's folder."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mlcl_utils.data import dataset as stored

SPLITS = 10
FRACTIONS = (0.7, 0.1, 0.2)
SHARD_BYTES = 15_500_000


# ----------------------------------------------------------------------------------------------------- groups


def join_groups(count: int, pairs: npt.ArrayLike, *keys: Sequence[object]) -> npt.NDArray[np.int32]:
    """Groups of examples linked by a pair or by an equal key (the connected components).

    Args:
        count: number N of examples.
        pairs: (P, 2) positions of examples to be kept together.
        keys: each a sequence of N values; examples with the same value are kept together.

    Returns:
        int32 (N,), groups numbered from 0 in the order in which they first occur.
    """
    edges = [np.asarray(pairs, dtype=np.int64).reshape(-1, 2)]
    for key in keys:
        first: dict[object, int] = {}
        edges.append(
            np.array([(first.setdefault(value, i), i) for i, value in enumerate(key)], dtype=np.int64)
        )
    linked = np.concatenate(edges)
    graph = coo_array(
        (np.ones(len(linked), dtype=np.int8), (linked[:, 0], linked[:, 1])), shape=(count, count)
    )
    component = connected_components(graph, directed=False)[1]
    _, first_seen, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_seen))[inverse].astype(np.int32)


def similar_pairs(
    features: npt.NDArray[np.floating], threshold: float, block: int = 1024
) -> npt.NDArray[np.int64]:
    """Pairs i < j of rows whose cosine exceeds the threshold, (P, 2)."""
    unit = unit_rows(features)
    found = []
    for start in range(0, len(unit), block):
        rows, columns = np.nonzero(unit[start : start + block] @ unit[start:].T > threshold)
        keep = columns > rows
        found.append(np.column_stack([rows[keep] + start, columns[keep] + start]))
    return np.concatenate(found)


def unit_rows(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Rows scaled to unit norm, float32."""
    values = features.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


# ----------------------------------------------------------------------------------------------------- splits


def grouped_splits(
    labels: npt.NDArray[np.int8], groups: npt.NDArray[np.int32], seed: int
) -> npt.NDArray[np.uint8]:
    """Ten splits into training, validation and test examples, stratified over groups by all labels.

    Groups are dealt out one by one, those first that hold much of some label (in a random order of their own for
    each split), each to the part where it raises least the chi-square distance of all numbers of positives and of
    examples from 70/10/20; a second pass moves groups to where they fit better. Label counts are thus balanced as in
    iterative stratification (Sechidis, Tsoumakas, Vlahavas, 2011), but with groups of any size as units. Examples are
    counted apart by the size of their group (1, 2 to 3, 4 to 7, ...), or else the small parts would get the small
    groups. A group with much of some label still nearly always goes to training, since it would overfill the others.

    Args:
        labels: int8 (N, L), 1 for a positive.
        groups: int32 (N,), numbered from 0 without gaps.
        seed: another seed gives other splits; split r is drawn with (seed, r).

    Returns:
        uint8 (10, N): 0 training, 1 validation, 2 test.
    """
    sizes = np.bincount(groups)
    size_class = np.floor(np.log2(sizes)).astype(np.int64)
    size_counts = np.zeros((len(sizes), size_class.max() + 1))
    size_counts[np.arange(len(sizes)), size_class] = sizes
    label_counts = np.zeros((len(sizes), labels.shape[1]))
    np.add.at(label_counts, groups, labels == 1)
    return np.stack(
        [_deal(label_counts, size_counts, np.random.default_rng([seed, r]))[groups] for r in range(SPLITS)]
    )


def _deal(
    label_counts: npt.NDArray[np.float64],
    size_counts: npt.NDArray[np.float64],
    generator: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Part of each group, from its positives of each label and its examples by size class."""
    totals = np.hstack([label_counts, size_counts, size_counts.sum(axis=1, keepdims=True)])
    wanted = np.array(FRACTIONS)[:, None] * np.maximum(totals.sum(axis=0), 1)
    weight = np.ones(totals.shape[1])
    weight[label_counts.shape[1] :] = 5  # the sizes of the parts count as much as a few labels
    columns = [np.flatnonzero(row) for row in totals]
    amounts = [row[column] for row, column in zip(totals, columns, strict=True)]
    scale = weight / wanted
    held = np.zeros_like(wanted)
    part = np.full(len(totals), -1)
    largest_share = (label_counts / np.maximum(label_counts.sum(axis=0), 1)).max(axis=1)
    noise = np.exp(generator.standard_normal(len(totals)))
    for order in (np.argsort(-largest_share * noise), generator.permutation(len(totals))):
        for group in order:
            column, amount = columns[group], amounts[group]
            if part[group] >= 0:
                held[part[group], column] -= amount
            excess = held[:, column] - wanted[:, column]
            part[group] = np.argmin(((2 * excess + amount) * amount * scale[:, column]).sum(axis=1))
            held[part[group], column] += amount
    return part.astype(np.uint8)


# ---------------------------------------------------------------------------------------------------- writing


def write_dataset(
    folder: Path,
    *,
    name: str,
    modality: Literal["text", "image"],
    version: int,
    label_names: Sequence[str],
    labels: npt.NDArray[np.int8],
    features: npt.NDArray[np.floating],
    groups: npt.NDArray[np.int32],
    splits: npt.NDArray[np.uint8],
    columns: dict[str, list[str] | list[bytes]],
    card: str,
    named: npt.NDArray[np.bool_] | None = None,
    extra_files: Sequence[str] = (),
) -> None:
    """Write a data set's folder and check it by reading it back.

    Args:
        folder: where to; made if missing. Only the files of the set are written or replaced.
        name: registered name.
        modality: what the raw examples are.
        version: integer to be raised when the data change on purpose.
        label_names: L names.
        labels: int8 (N, L), 0 or 1.
        features: (N, d), stored as float16.
        groups: int32 (N,).
        splits: uint8 (10, N).
        columns: raw examples, N values a column: `id` and either `title` and `text`, or `image` (encoded
            bytes).
        card: data card, Markdown.
        named: bool (N, L), positives named in the text.
        extra_files: names of files already in the folder that belong to the set (the contact sheet).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, indices = np.nonzero(labels == 1)
    arrays = {
        "label_indptr": np.concatenate([[0], np.cumsum((labels == 1).sum(axis=1))]).astype(np.int32),
        "label_indices": indices.astype(np.int16),
        "groups": groups.astype(np.int32),
        "splits": splits.astype(np.uint8),
    }
    if named is not None:
        arrays["named"] = named[rows, indices].astype(np.uint8)
    save_file({"features": np.ascontiguousarray(features, dtype=np.float16)}, folder / stored.FEATURES)
    save_file(arrays, folder / stored.LABELS)
    (folder / stored.CARD).write_text(card, encoding="utf-8")
    files = [stored.FEATURES, stored.LABELS, stored.CARD, *extra_files]
    files += _write_raw(
        folder, columns, "examples.parquet" if modality == "text" else "images-{:02d}.parquet"
    )
    for file in files:
        (folder / file).chmod(0o644)  # safetensors writes files that only their owner may read
    content = {
        "name": name,
        "modality": modality,
        "version": version,
        "examples": len(labels),
        "positives": len(indices),
        "label_names": list(label_names),
        "files": {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in sorted(files)},
    }
    content["digest"] = stored.content_digest(content)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / stored.MANIFEST).write_text(text, encoding="utf-8")
    check_dataset(folder)


def _write_raw(folder: Path, columns: dict[str, list[str] | list[bytes]], pattern: str) -> list[str]:
    """Write the raw columns as Parquet, in shards below the limit if there are images, and return the file
    names."""
    table = pa.table(columns)
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
            table.slice(start, end - start), folder / file, compression="zstd", compression_level=19
        )
        written.append(file)
    return written


def reflow(markdown: str, width: int = 110) -> str:
    """Markdown with its paragraphs and list items wrapped anew; headings and tables stay as they are."""
    blocks: list[list[str]] = []
    for line in markdown.split("\n"):
        fixed = not line or line.startswith(("#", "|"))
        if (
            fixed
            or line.startswith("- ")
            or not blocks
            or blocks[-1][0].startswith(("#", "|"))
            or not blocks[-1][0]
        ):
            blocks.append([line])
        else:
            blocks[-1].append(line.strip())
    return "\n".join(
        block[0]
        if block[0].startswith(("#", "|"))
        else textwrap.fill(
            " ".join(block),
            width,
            subsequent_indent="  " if block[0].startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for block in blocks
    )


# ----------------------------------------------------------------------------------------------------- checks


def check_dataset(folder: Path) -> None:
    """Read a folder back and check what every set promises; raises AssertionError that names the promise."""
    data = stored.read(folder)
    count = len(data)
    assert len(data.ids) == len(set(data.ids)) == count, "ids are unique, one an example"
    assert data.features.shape[0] == count, "one feature row an example"
    assert np.isfinite(data.features).all(), "features are finite"
    assert data.splits.shape == (SPLITS, count), "ten splits"
    assert set(np.unique(data.splits)) == {0, 1, 2}, "splits hold training, validation and test"
    assert len(set(data.label_names)) == data.labels.shape[1], "label names are unique"
    assert (data.labels == 1).any(axis=0).all(), "every label has a positive"
    for split in data.splits:
        crossing = len(np.unique(np.column_stack([data.groups, split]), axis=0)) - len(np.unique(data.groups))
        assert crossing == 0, "no group crosses a split"
        assert (data.labels[split == 0] == 1).any(axis=0).all(), "every label has a training positive"
    for file in data.raw_files:
        assert (folder / file).stat().st_size < 16_000_000, f"{file} is under 16 MB"


def check_features(
    folder: Path,
    count: int,
    encode: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]],
    seed: int = 0,
) -> None:
    """Encode random examples again and compare them with the shipped features to float16 rounding.

    Args:
        folder: the data set's folder.
        count: number of random examples.
        encode: gives float32 features (n, d) of the examples at given positions, from their source.
        seed: of the choice.

    Raises:
        SystemExit: an example differs by more than half a unit in the last place plus 1e-5.
    """
    data = stored.read(folder)
    chosen = np.sort(np.random.default_rng(seed).choice(len(data), size=min(count, len(data)), replace=False))
    shipped = data.features[chosen]
    again = encode(chosen)
    # Half a unit of float16 is the rounding itself; 1e-5 is what float32 sums in another order may move.
    allowed = np.abs(np.spacing(shipped)).astype(np.float32) / 2 + 1e-5 * (1 + np.abs(again))
    difference = np.abs(again - shipped.astype(np.float32))
    worst = float((difference / allowed).max())
    print(f"{data.name}: {len(chosen)} examples encoded again, largest difference {difference.max():.2e}")
    if worst > 1:
        bad = [data.ids[chosen[i]] for i in np.flatnonzero((difference > allowed).any(axis=1))]
        raise SystemExit(f"{data.name}: features of {len(bad)} examples differ, such as {', '.join(bad[:3])}")


def split_quality(
    labels: npt.NDArray[np.int8], splits: npt.NDArray[np.uint8], minimum: int = 10
) -> dict[str, float | int]:
    """How near the splits come to 70/10/20, over examples and over the positives of each label.

    Args:
        labels: int8 (N, L).
        splits: uint8 (10, N).
        minimum: labels with fewer positives than this in the whole set are left out of the label shares.

    Returns:
        largest deviation of a part's share of the examples; mean and largest deviation of a part's share of a
        label's positives; smallest number of positives of a label in each part, over all splits and labels.
    """
    positive = labels == 1
    counts = positive.sum(axis=0)
    frequent = counts >= minimum
    fractions = np.array(FRACTIONS)
    shares = np.stack([[(split == p).mean() for p in range(3)] for split in splits])
    positives = np.stack([[positive[split == p].sum(axis=0) for p in range(3)] for split in splits])
    deviation = np.abs(positives[:, :, frequent] / counts[frequent] - fractions[None, :, None])
    return {
        "examples_max_deviation": float(np.abs(shares - fractions).max()),
        "label_mean_deviation": float(deviation.mean()),
        "label_max_deviation": float(deviation.max()),
        "min_positives_train": int(positives[:, 0].min()),
        "min_positives_validation": int(positives[:, 1].min()),
        "min_positives_test": int(positives[:, 2].min()),
    }
