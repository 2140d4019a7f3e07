"""Metrics over the batches of a loop, with the methods of torchmetrics: what that library lacks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mlcl_utils.metrics.arrays import Array, array
from mlcl_utils.metrics.consistency import opis_pairs
from mlcl_utils.metrics.thresholds import Thresholds, tune_thresholds


class _OverBatches:
    """What was given batch by batch; on the CPU, without gradient."""

    def __init__(self) -> None:
        self._given: list[tuple[Array, Array]] = []

    def update(self, preds: Any, target: Any) -> None:
        """Take a batch.

        Args:
            preds: (n, ...) scores or embeddings.
            target: (n, L) labels in {-1, 0, 1}.

        Raises:
            ValueError: their numbers of rows differ.
        """
        rows, labels = (
            np.array(array(preds)),
            np.array(array(target)),
        )  # copied: a loop may write over its own
        if len(rows) != len(labels):
            raise ValueError(f"{len(rows)} rows of preds but {len(labels)} of target")
        self._given.append((rows, labels))

    def reset(self) -> None:
        """Forget all batches."""
        self._given.clear()

    def _all(self) -> tuple[Array, Array]:
        if not self._given:
            raise ValueError("nothing was given: call update(preds, target) before compute()")
        rows, labels = zip(*self._given, strict=True)
        return np.concatenate(rows), np.concatenate(labels)


class LabelPairOPIS(_OverBatches):
    """:func:`mlcl_utils.metrics.opis_pairs` of the embeddings of all batches.

    Args:
        low, high, steps, even: as the function takes them.
    """

    def __init__(
        self,
        *,
        low: float = 0.01,
        high: float = 0.1,
        steps: int = 101,
        even: Literal["score", "rate"] = "score",
    ) -> None:
        super().__init__()
        self.low, self.high, self.steps, self.even = low, high, steps, even

    def compute(self) -> float:
        """The value over all batches since the last reset; nothing is forgotten."""
        embeddings, labels = self._all()
        even: Literal["score", "rate"] = self.even
        return opis_pairs(embeddings, labels, low=self.low, high=self.high, steps=self.steps, even=even)


class TunedThresholds(_OverBatches):
    """:func:`mlcl_utils.metrics.tune_thresholds` of the scores of all batches of the validation part."""

    def compute(self) -> Thresholds:
        """The thresholds for all batches since the last reset; nothing is forgotten."""
        scores, labels = self._all()
        return tune_thresholds(labels, scores)
