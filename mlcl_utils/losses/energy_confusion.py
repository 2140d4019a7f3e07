"""The energy confusion of Chen and Deng 2019: examples without a common label are drawn together, against the loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import positives, unit
from mlcl_utils.losses.pairs import relations

_SMALLEST = 1e-6  # added to an energy: the logarithm of none has no finite slope


class EnergyConfusion(Loss):
    """A term that draws examples without a common label together, from which the last layer alone learns."""

    name = "energy_confusion"
    family = "contrastive"
    paper = "Chen, Deng, Energy Confused Adversarial Metric Learning, AAAI 2019, arXiv 1901.07169"
    version = 1

    weight: float = hyperparameter(1.0, "of the term", least=0)
    pairs: str = hyperparameter(
        "negative",
        "negative: those that share no label; all: also those that do, by how much",
        choices=("negative", "all"),
    )
    normalise: bool = hyperparameter(
        False, "whether embeddings are scaled to unit norm, without which the term shrinks them all"
    )
    head_only: bool = hyperparameter(
        True,
        "whether the last layer alone learns from it, as published; else it takes the ordinary embeddings",
    )

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters, which decide whether it takes ``confused`` or ``embeddings``."""
        super().__init__(**hyperparameters)
        if not self.head_only:
            self.tensors = ("embeddings",)

    def _keywords_for(self, tensors: dict[str, Tensor], epoch: int, anchors: int | None) -> dict[str, Any]:
        (vectors,) = tensors.values()
        return {"confused": vectors}

    def compute(self, labels: Tensor, *, confused: Tensor) -> Tensor:
        """The logarithm of the mean energy, half the squared distance, of the pairs; 0 where there are none."""
        index, negative = relations(positives(labels, confused))
        vectors = unit(confused) if self.normalise else confused
        squares = vectors.square().sum(dim=1)
        energy = ((squares[:, None] + squares) / 2 - vectors @ vectors.T).clamp(min=0)
        number = negative.sum()
        mean = energy.where(negative, 0).sum() / number.clamp(min=1)
        there = number > 0
        if self.pairs == "all":
            total = index.sum()
            mean = mean + (index * energy).sum() / total.clamp(min=torch.finfo(total.dtype).tiny)
            there = there | (total > 0)
        return self.weight * (mean + _SMALLEST).log().where(there, mean * 0)
