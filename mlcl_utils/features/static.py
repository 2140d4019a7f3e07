"""Static word vectors: what a sentence encoder says of each word alone, in few dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from mlcl_utils.data import vectors
from mlcl_utils.data.dataset import Dataset, WordVectors
from mlcl_utils.data.words import MIN_TEXTS, known_words
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features.base import FeatureEncoder
from mlcl_utils.features.extraction import BATCH
from mlcl_utils.features.transformer import TextEncoder
from mlcl_utils.files import known_digest, why

DIMENSIONS = 256
"""Dimensions of a word vector, at most."""

NORM = 4.0
"""Root mean square norm of the vectors of a vocabulary: the sum over a text has the same then, about, since the weights
of a text have unit norm."""

_NOTHING = 1e-10  # share of the largest variance below which a direction is nothing but rounding


def distil(
    dataset: Dataset, home: Path, encoder: FeatureEncoder, *, batch_size: int = BATCH, shown: bool = True
) -> WordVectors:
    """Distil word vectors for a data set of texts, unless they are there already.

    Args:
        dataset: the set; its words are those that two of its texts hold.
        home: the folder beside whose files the vectors are kept.
        encoder: a sentence encoder, ready.
        batch_size: words encoded at once.
        shown: whether to show progress.

    Raises:
        UsageError: the set holds no texts, or nothing can be written there.
        DataError: there are too few words, or the encoder gives no use of them.
    """
    if dataset.modality != "text":
        raise UsageError(f"static word vectors are of texts, and '{dataset.name}' holds {dataset.modality}s")
    name = f"{encoder.name}-{encoder.digest()[:8]}"
    path = vectors.place(dataset, home, name)
    if not path.is_file():
        words = known_words(dataset.texts())
        if len(words) < 2:
            raise DataError(
                f"'{dataset.name}' has {len(words)} words that {MIN_TEXTS} texts hold: too few for word vectors"
            )
        values = distilled(words, encoder, batch_size=batch_size, shown=shown)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            vectors.write(path, words, values)
        except OSError as error:
            raise UsageError(
                f"word vectors cannot be written to {path.parent} ({why(error)}); name another folder in the "
                "environment variable MLCL_CACHE"
            ) from None
    return WordVectors(name, path, known_digest(path))


def distilled(
    words: Sequence[str], encoder: FeatureEncoder, *, batch_size: int = BATCH, shown: bool = True
) -> npt.NDArray[np.float16]:
    """The vectors of words, (words, dimensions): each encoded alone, then the largest directions of variance.

    At most :data:`DIMENSIONS` of them, the largest first, scaled together so that the root mean square norm of a vector
    is :data:`NORM`.

    Raises:
        DataError: the encoder gives a word numbers that are not finite, or all words the same.
    """
    values = _encoded(words, encoder, batch_size, shown).astype(np.float64)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        word = words[int(np.argmin(finite))]
        raise DataError(f"encoder '{encoder.name}' gives the word '{word}' a vector that is not finite")
    values -= values.mean(axis=0)
    variances, directions = np.linalg.eigh(values.T @ values / len(values))  # in ascending order
    if variances[-1] <= 0:
        raise DataError(f"encoder '{encoder.name}' gives all words the same vector")
    kept = min(DIMENSIONS, int((variances > _NOTHING * variances[-1]).sum()))
    directions = directions[:, ::-1][:, :kept]
    # an eigenvector has either sign: the one that makes its largest entry positive
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    values = values @ (directions * np.sign(largest))
    scale = NORM / np.sqrt((values**2).sum(axis=1).mean())
    scaled: npt.NDArray[np.float16] = (scale * values).astype(np.float16)
    return scaled


def _encoded(
    words: Sequence[str], encoder: FeatureEncoder, batch_size: int, shown: bool
) -> npt.NDArray[np.float32]:
    """What an encoder gives for each word alone, float32 (words, dimensions); words of as many tokens go together."""
    tokens = [len(numbers) for numbers in cast("TextEncoder", encoder).numbers(words)]
    order = sorted(range(len(words)), key=tokens.__getitem__)
    found: list[npt.NDArray[np.float32]] = []
    with tqdm(
        total=len(words),
        desc="word vectors",
        unit="word",
        dynamic_ncols=True,
        disable=None if shown else True,
    ) as bar:
        for _, group in groupby(order, key=tokens.__getitem__):
            alike = list(group)
            for start in range(0, len(alike), batch_size):
                batch = alike[start : start + batch_size]
                with torch.inference_mode():
                    found.append(
                        encoder.encode(encoder.prepare([(words[i], words[i]) for i in batch])).cpu().numpy()
                    )
                bar.update(len(batch))
    values = np.empty((len(words), found[0].shape[1]), dtype=np.float32)
    values[order] = np.concatenate(found)
    return values
