"""What the rebuild scripts share: groups, splits, checks and writing a data set's folder."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from mlcl_utils.data import dataset as stored
from mlcl_utils.data.splits import FRACTIONS, SPLITS
from mlcl_utils.data.writing import Content, write

# ----------------------------------------------------------------------------------------------------- groups


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


# ---------------------------------------------------------------------------------------------------- writing


def write_dataset(folder: Path, *, card: str, **content: Unpack[Content]) -> None:
    """Write the folder of a set that ships and check it by reading it back.

    Args:
        folder: where to; made if missing. Only the files of the set are written or replaced.
        card: data card, Markdown.
        content: see `mlcl_utils.data.writing.Content`.
    """
    write(folder, card=card, **content)
    check_dataset(folder)


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
        SystemExit: an example differs by more than half a unit in the last place plus 5e-5.
    """
    data = stored.read(folder)
    chosen = np.sort(np.random.default_rng(seed).choice(len(data), size=min(count, len(data)), replace=False))
    shipped = data.features[chosen]
    again = encode(chosen)
    # Half a unit of float16 is the rounding itself; another processor or attention kernel may move float32 by 5e-5.
    allowed = np.abs(np.spacing(shipped)).astype(np.float32) / 2 + 5e-5 * (1 + np.abs(again))
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
