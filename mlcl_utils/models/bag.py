"""The encoder ``bag``: word embeddings of the raw text, learned from nothing and summed."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcl_utils.data.words import MIN_TEXTS, occurrences
from mlcl_utils.models.encoder import PARTS, Encoder, Inputs

if TYPE_CHECKING:
    from mlcl_utils.data import Task

MAX_WORDS = 128
"""Different words of a text that are read, from its beginning."""


class BagOfWords(Encoder):
    """The sum of the embeddings of a text's different words, weighted by their rarity.

    A word weighs its inverse document frequency in the training texts, and the weights of a text have unit norm. In
    training words are dropped, and the weights of the rest are scaled up. Embeddings start small, so that a
    representation holds what was learnt and little of what was drawn; a layer above the sum was tried and cost BCE four
    points of mAP on validation.

    Args:
        idf: (words + 1,) weight of every word; entry 0 is padding.
        width: of the representation.
        dropout: probability of dropping a word, in [0, 1).
    """

    idf: Tensor

    def __init__(self, idf: Tensor, *, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("idf", idf)
        self.width, self.dropout = width, dropout
        self.words = nn.EmbeddingBag(len(idf), width, mode="sum", sparse=True, padding_idx=0)
        nn.init.normal_(self.words.weight, std=0.1 / math.sqrt(width))
        with torch.no_grad():
            self.words.weight[0] = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation (batch, width) of word numbers (batch, words); 0 is padding."""
        weight = self.idf[inputs]
        if self.training and self.dropout:
            weight = weight * (torch.rand_like(weight) >= self.dropout)
        out: Tensor = self.words(inputs, per_sample_weights=F.normalize(weight, dim=1))
        return out

    @staticmethod
    def inputs(task: Task) -> Mapping[str, Inputs]:
        """Numbers (n, words) int32 of the different words of each text, padded with 0."""
        return _inputs(task)

    @staticmethod
    def raw(task: Task) -> dict[str, Any]:
        """TF-IDF of the known words: sparse float32 (n, words) with rows of unit norm."""
        from scipy.sparse import csr_matrix

        inputs = _inputs(task)
        rarity = idf(inputs["train"]).numpy()
        raw = {}
        for name, ids in inputs.items():
            rows, places = np.nonzero(ids.numpy())
            columns = ids.numpy()[rows, places]
            weight = rarity[columns]
            weight = weight / np.sqrt(np.bincount(rows, weight**2, minlength=len(ids)))[rows]
            raw[name] = csr_matrix((weight, (rows, columns)), shape=(len(ids), len(rarity)), dtype=np.float32)
        return raw

    @classmethod
    def create(cls, train: Any, *, width: int, dropout: float, augment: str) -> Self:
        """Knows the words of the training texts, and how rare they are."""
        return cls(idf(train), width=width, dropout=dropout)


def idf(train: Tensor, words: int = 0) -> Tensor:
    """Inverse document frequency (words + 1,) in the texts whose word numbers (n, length) these are; 0 is padding.

    Args:
        train: word numbers.
        words: how many there are at least, those that no text holds included.
    """
    texts = torch.bincount(train.flatten(), minlength=words + 1)
    weight = torch.log(len(train) / texts.clamp_min(1)).float() + 1  # as smooth as scikit-learn's
    weight[0] = 0
    return weight


def numbered(rows: npt.NDArray[np.int64], words: npt.NDArray[np.int64], texts: int) -> npt.NDArray[np.int32]:
    """The first :data:`MAX_WORDS` word numbers of every text (texts, longest), padded with 0.

    Args:
        rows: numbers of the texts, ascending.
        words: number of a word of each, from 1.
        texts: how many there are.
    """
    starts = np.searchsorted(rows, np.arange(texts + 1))
    place = np.arange(len(rows)) - starts[rows]
    kept = place < MAX_WORDS
    numbers = np.zeros((texts, min(MAX_WORDS, int(np.diff(starts).max(initial=1)))), dtype=np.int32)
    numbers[rows[kept], place[kept]] = words[kept]
    return numbers


@functools.lru_cache(maxsize=4)
def _inputs(task: Task) -> dict[str, Tensor]:
    found = occurrences(task.dataset)
    train = np.zeros(len(task.dataset), dtype=np.bool_)
    train[task.train.index] = True
    texts = np.bincount(found.words[train[found.rows]], minlength=int(found.words.max(initial=0)) + 1)
    known = texts >= MIN_TEXTS
    number = np.where(known, np.cumsum(known), 0)
    there = known[found.words]
    ids = numbered(found.rows[there], number[found.words[there]], len(task.dataset))
    return {name: torch.from_numpy(ids[getattr(task, name).index]) for name in PARTS}
