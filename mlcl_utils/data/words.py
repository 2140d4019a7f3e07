"""The words of texts: what counts as one, and which texts hold which."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset

WORD = re.compile(r"[^\W_][^\W_]*[+#]*")
"""A run of letters and digits of a text in lower case, with the ``+`` and ``#`` behind it, as in ``c++``."""

MIN_TEXTS = 2
"""A word is known if this many texts hold it."""


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Which texts hold which words, each word of a text once, in the order in which they come.

    Attributes:
        rows: int64 (n,), numbers of the texts, ascending.
        words: int64 (n,), numbers of the words.
        vocabulary: the words by number.
    """

    rows: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    vocabulary: tuple[str, ...]


@functools.lru_cache(maxsize=2)
def occurrences(dataset: Dataset) -> Occurrences:
    """All different words of every text of a data set."""
    return _occurrences(dataset.texts())


def known_words(texts: Sequence[str]) -> list[str]:
    """The words that :data:`MIN_TEXTS` of some texts hold, in alphabetical order."""
    found = _occurrences(texts)
    counts = np.bincount(found.words, minlength=len(found.vocabulary))
    return sorted(found.vocabulary[word] for word in np.flatnonzero(counts >= MIN_TEXTS))


def _occurrences(texts: Sequence[str]) -> Occurrences:
    number: dict[str, int] = {}
    rows, words = [], []
    for row, text in enumerate(texts):
        different = dict.fromkeys(WORD.findall(text.lower()))
        rows += [row] * len(different)
        words += [number.setdefault(word, len(number)) for word in different]
    return Occurrences(np.array(rows, dtype=np.int64), np.array(words, dtype=np.int64), tuple(number))
