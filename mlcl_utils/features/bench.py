"""How fast features are extracted from image files, beside the bare encoder on batches that are in memory already."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from mlcl_utils import data
from mlcl_utils.data.dataset import Dataset
from mlcl_utils.features.base import FeatureEncoder
from mlcl_utils.features.encoders import open_encoder
from mlcl_utils.features.extraction import BATCH, extract

SIZE = (500, 375)
"""Width and height of the image files, those of many photographs of VOC."""

_TURN = 8  # batches after which it is the other's turn


def features(
    encoder: str = "efficientnet_b0", images: int = 5_000, device: str = "cpu", threads: int | None = None
) -> dict[str, float]:
    """Measure and print both rates, with random weights.

    The images are those of `emoji`, scaled to :data:`SIZE`, with noise, as JPEG files. Extraction and the bare encoder
    take turns of a few hundred images, so that what else the machine does falls on both.

    Args:
        encoder: a model of torchvision.
        images: number of files, at least; whole turns are made of them.
        device: ``cpu`` or ``cuda``.
        threads: of the arithmetic on the CPU; torch's own number if not given.

    Returns:
        ``bare`` and ``extraction`` in images per second of all turns together, their ``ratio``, ``ratio_turn``, the
        median of the turns, and ``ratio_cpu``, that of the processor time.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    ready = open_encoder(encoder, "image", weights="random", device=device)
    size = _TURN * BATCH
    turns = -(-images // size)
    seconds = np.zeros((turns, 2))
    processor = np.zeros((turns, 2))
    with tempfile.TemporaryDirectory(prefix="mlcl-bench-") as folder:
        sets = [_written(Path(folder), f"turn{turn}", size) for turn in range(turns)]
        files = list(zip(sets[0].ids, sets[0].encoded_images(), strict=True))
        held = [ready.prepare(files[first : first + BATCH]) for first in range(0, size, BATCH)]
        _bare(ready, held)  # the first batches pay for what is set up once
        for turn, dataset in enumerate(tqdm(sets, desc="turns", disable=None)):
            for column, step in enumerate(
                (partial(_bare, ready, held), partial(_extract, ready, dataset, folder))
            ):
                start = time.perf_counter(), time.process_time()
                step()
                seconds[turn, column] = time.perf_counter() - start[0]
                processor[turn, column] = time.process_time() - start[1]
    bare, extraction = turns * size / seconds.sum(axis=0)
    result = {
        "bare": float(bare),
        "extraction": float(extraction),
        "ratio": float(extraction / bare),
        "ratio_turn": float(np.median(seconds[:, 0] / seconds[:, 1])),
        "ratio_cpu": float(processor[:, 0].sum() / processor[:, 1].sum()),
    }
    print(
        f"{encoder} on {device}, {torch.get_num_threads()} threads, {turns * size} JPEG files of "
        f"{SIZE[0]} x {SIZE[1]}: bare {bare:.1f} images/s, extraction {extraction:.1f} images/s, ratio "
        f"{result['ratio']:.2f} (median of {turns} turns {result['ratio_turn']:.2f}, of processor time "
        f"{result['ratio_cpu']:.2f})"
    )
    return result


def _bare(encoder: FeatureEncoder, held: list[torch.Tensor]) -> None:
    """The encoder on batches in memory."""
    with torch.inference_mode():
        for batch in held:
            encoder.encode(batch).cpu()


def _extract(encoder: FeatureEncoder, dataset: Dataset, folder: str) -> None:
    """The same number of images from files to files."""
    extract(dataset, Path(folder), encoder, shown=False)


def _written(folder: Path, turn: str, count: int) -> Dataset:
    """A data set of image files in a folder."""
    emoji = data.load("emoji")
    drawings = emoji.images()
    generator = np.random.default_rng([*turn.encode()])
    noise = generator.integers(
        -20, 21, (SIZE[1], SIZE[0], 3), dtype=np.int16
    )  # so that decoding is not too easy
    names = [f"{turn}-{number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        image = Image.fromarray(drawings[generator.integers(len(drawings))]).resize(SIZE)
        noisy = np.clip(np.asarray(image, dtype=np.int16) + np.roll(noise, number, axis=0), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / name, "JPEG", quality=90)
    return dataclasses.replace(
        emoji,
        name=turn,
        raw_digest=turn,
        raw_files=(),
        held={"id": names, "image": names},
        image_folders=(folder,),
    )
