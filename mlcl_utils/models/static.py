"""The encoder ``static``: word vectors that were distilled from a sentence encoder, summed, and trained on."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from mlcl_utils.data import vectors
from mlcl_utils.data.dataset import WordVectors
from mlcl_utils.data.words import occurrences
from mlcl_utils.models.bag import BagOfWords, idf, numbered
from mlcl_utils.models.encoder import PARTS, Rows

if TYPE_CHECKING:
    from mlcl_utils.data import Dataset, Task


@dataclass(frozen=True)
class Words(Rows):
    """Numbers of the words of texts, with the vectors that the words start from.

    Attributes:
        vectors: float16 (words, dimensions); number 1 is the first word, 0 is padding.
    """

    vectors: Tensor = field(kw_only=True)


class StaticWords(BagOfWords):
    """A bag of words that starts from word vectors; all of them are trained with the loss.

    Unlike ``bag`` it knows every word that has a vector, whether or not a training text holds it. A word weighs its
    inverse document frequency in the training texts.

    Attributes:
        wanted: name of the word vectors, or of the encoder that they were distilled from; None for those that ship with
            the data set, or the only ones there are.
    """

    wanted: ClassVar[str | None] = None

    @classmethod
    def inputs(cls, task: Task) -> dict[str, Words]:
        """Numbers (n, words) int32 of the different words of each text, padded with 0.

        Raises:
            DataError: there are no such word vectors for the data set; the message says what distils them.
        """
        store, table = _numbers(task.dataset, vectors.chosen(task.dataset, cls.wanted))
        return {
            name: Words(store, torch.from_numpy(getattr(task, name).index).long(), padding=0, vectors=table)
            for name in PARTS
        }

    @classmethod
    def create(cls, train: Any, *, width: int, dropout: float, augment: str) -> Self:
        """Starts from the vectors; of a smaller width from their first dimensions, which vary most."""
        table = train.vectors[:, :width].float()
        encoder = cls(idf(train.store[train.index], len(table)), width=table.shape[1], dropout=dropout)
        with torch.no_grad():
            encoder.words.weight[1:] = table
        return encoder


@functools.lru_cache(maxsize=2)
def _numbers(dataset: Dataset, file: WordVectors) -> tuple[Tensor, Tensor]:
    """Word numbers of all texts, int32 (N, words), and the vectors of the words."""
    words, table = vectors.read(file)
    number = {word: place for place, word in enumerate(words, start=1)}
    found = occurrences(dataset)
    numbers = np.array([number.get(word, 0) for word in found.vocabulary], dtype=np.int64)[found.words]
    known = numbers > 0
    store = numbered(found.rows[known], numbers[known], len(dataset))
    return torch.from_numpy(store), torch.from_numpy(table.copy())
