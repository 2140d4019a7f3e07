"""The images of a data set, decoded once and kept as pixels, so that training reads rows and decodes nothing."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mlcl_utils import processes
from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.growing import Growing
from mlcl_utils.data.images import Encoded, Scaled, decode, rgb
from mlcl_utils.data.user_sets import cache
from mlcl_utils.errors import UsageError
from mlcl_utils.locks import Lock
from mlcl_utils.paths import CHECKOUT

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
    folder = cache(dataset.home or CHECKOUT) / "pixels"
    path = folder / f"{dataset.name}-{dataset.raw_digest[:12]}" / f"{side}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path.with_suffix(".lock"))
        while not path.is_file():
            if not lock.acquire():
                time.sleep(_LOOK_SECONDS)
                continue
            try:
                if not path.is_file():
                    _decode(dataset, side, path)
            finally:
                lock.release()
    except OSError as error:
        raise UsageError(
            f"pixels cannot be written to {path.parent} ({error.strerror or error}); name another folder in the "
            "environment variable MLCL_CACHE"
        ) from None
    # read-only: a mapping that could be written to would count as memory, of which there may be less
    pixels: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return pixels


def _decode(dataset: Dataset, side: int, path: Path) -> None:
    """Decode all images into a file, which has its name when it is whole."""
    from PIL import Image

    def pixels_of(example: tuple[str, Encoded | Scaled]) -> npt.NDArray[np.uint8]:
        image = rgb(decode(example[1], example[0])).resize((side, side), Image.Resampling.BILINEAR)
        return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)

    examples = list(zip(dataset.ids, dataset.encoded_images(), strict=True))
    temporary = path.with_suffix(".writing.npy")
    growing = Growing(temporary, len(examples))
    matrix = growing.matrix
    if matrix is None or matrix.shape[1:] != (3, side, side) or matrix.dtype != np.uint8:
        matrix = growing.create((3, side, side), np.uint8)
    with (
        ThreadPoolExecutor(processes.cores()) as pool,
        tqdm(total=len(examples), initial=growing.done, desc="images", unit="image", disable=None) as bar,
    ):
        for first in range(growing.done, len(examples), _CHUNK):
            chunk = examples[first : first + _CHUNK]
            for row, pixels in enumerate(pool.map(pixels_of, chunk), start=first):
                matrix[row] = pixels
                bar.update()
            growing.keep(first + len(chunk))
    del matrix
    growing.finish()
    os.replace(temporary, path)
