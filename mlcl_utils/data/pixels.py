"""The images of a data set, decoded once and kept as pixels, so that training reads rows and decodes nothing."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mlcl_utils import processes
from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.growing import Growing
from mlcl_utils.data.images import Encoded, Scaled, decode, rgb
from mlcl_utils.data.user_sets import cache
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.locks import Lock
from mlcl_utils.paths import CHECKOUT

BATCH = 64
"""Images that something is derived from at once."""

Example = tuple[str, Encoded | Scaled]
"""The id of an image, and the image as it is kept."""

_CHUNK = 1024  # images after which what is done is written down
_LOOK_SECONDS = 0.5  # how often to look whether another process has decoded them


def decoded(dataset: Dataset, side: int) -> npt.NDArray[np.uint8]:
    """The images in red, green and blue, scaled to a square: uint8 (N, 3, side, side), mapped into memory.

    They are decoded once, by threads, and kept in ``.mlcl/pixels/`` beside the set's files (for sets that ship, in the
    checkout). A decoding that was interrupted goes on from where it was; of several processes one decodes and the
    others wait. Scaling changes the aspect, as is usual for several labels: nothing of an image is cut off.

    Args:
        dataset: a set of images.
        side: height and width.

    Raises:
        DataError: an image is missing or cannot be decoded.
        UsageError: nothing can be written there.
    """
    return kept(dataset, "pixels", str(side), functools.partial(square, side=side))


def square(example: Example, side: int) -> npt.NDArray[np.uint8]:
    """An image in red, green and blue, scaled to a square: uint8 (3, side, side).

    Raises:
        DataError: it is missing or cannot be decoded.
    """
    from PIL import Image

    image = rgb(decode(example[1], example[0])).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def kept(
    dataset: Dataset,
    kind: str,
    name: str,
    read: Callable[[Example], npt.NDArray[Any]],
    derive: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
) -> npt.NDArray[Any]:
    """What is made of every image of a set, one row an image, made once and mapped into memory; see :func:`decoded`.

    Args:
        dataset: a set of images.
        kind: what it is, in a word; its folder in ``.mlcl`` is called so.
        name: of the file.
        read: gives a row of an image; runs in threads.
        derive: gives rows of at most `BATCH` such rows; they are what is kept if it is not given.

    Raises:
        DataError: an image is missing or cannot be decoded, or the file is damaged.
        UsageError: nothing can be written there.
    """
    folder = cache(dataset.home or CHECKOUT) / kind
    path = folder / f"{dataset.name}-{dataset.raw_digest[:12]}" / f"{name}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path.with_suffix(".lock"))
        while not path.is_file():
            if not lock.acquire():
                time.sleep(_LOOK_SECONDS)
                continue
            try:
                if not path.is_file():
                    _make(dataset, path, kind, read, derive)
            finally:
                lock.release()
    except OSError as error:
        raise UsageError(
            f"{kind} cannot be written to {path.parent} ({error.strerror or error}); name another folder in the "
            "environment variable MLCL_CACHE"
        ) from None
    try:
        # read-only: a mapping that could be written to would count as memory, of which there may be less
        rows: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = len(rows) == len(dataset.ids)
    except (ValueError, EOFError):
        whole = False
    if not whole:
        raise DataError(f"{path} is damaged; remove it, and it is made again")
    return rows


def _make(
    dataset: Dataset,
    path: Path,
    kind: str,
    read: Callable[[Example], npt.NDArray[Any]],
    derive: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None,
) -> None:
    """Make the rows of all images into a file, which has its name when it is whole."""
    examples = list(zip(dataset.ids, dataset.encoded_images(), strict=True))
    temporary = path.with_suffix(".writing.npy")
    growing = Growing(temporary, len(examples))
    with (
        ThreadPoolExecutor(processes.cores()) as pool,
        tqdm(total=len(examples), initial=growing.done, desc=kind, unit="image", disable=None) as bar,
    ):
        first = growing.done
        while first < len(examples):
            end = min(first + BATCH, first - first % _CHUNK + _CHUNK, len(examples))
            rows = np.stack(list(pool.map(read, examples[first:end])))
            rows = rows if derive is None else derive(rows)
            matrix = growing.matrix
            if matrix is None or matrix.shape[1:] != rows.shape[1:] or matrix.dtype != rows.dtype:
                matrix = growing.create(rows.shape[1:], rows.dtype)
                bar.reset()
                if first:  # what was begun is not of this kind
                    first = 0
                    continue
            matrix[first:end] = rows
            bar.update(len(rows))
            first = end
            if first % _CHUNK == 0 or first == len(examples):
                growing.keep(first)
        del matrix
    growing.finish()
    os.replace(temporary, path)
