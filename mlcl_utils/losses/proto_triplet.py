"""Proto-Triplet: each example nearer to the prototypes of its labels than to any other, by a margin."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import Examples, Loss, hyperparameter
from mlcl_utils.losses.pairs import distances


class _Targets(NamedTuple):
    """What examples are compared with, each (batch, labels): distances, and which are to be small or large."""

    distance: Tensor
    near: Tensor
    far: Tensor


class ProtoTriplet(Loss):
    """Each example is nearer to the prototypes of its labels than to the nearest other one, by a margin."""

    name = "proto_triplet"
    family = "contrastive"
    paper = "Méndez-Ruiz et al., SuSana Distancia is all you need, arXiv 2305.09062"
    version = 1

    margin: float = hyperparameter(0.5, "by which the own prototypes are to be nearer", least=0)
    positive: str = hyperparameter(
        "mean", "mean: over an example's labels; max: its farthest own prototype", choices=("mean", "max")
    )
    centroids: bool = hyperparameter(
        False,
        "whether the means of the batch's examples of each label, but the one itself, are its prototypes",
    )

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters; with ``centroids`` it takes no prototypes, and has no scores of its own."""
        super().__init__(**hyperparameters)
        self.scores = None if self.centroids else self._scores
        if self.centroids:
            self.tensors = tuple(name for name in self.tensors if name != "prototypes")

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor | None = None) -> Tensor:
        """Mean over the examples with a label and a label that they lack; nothing is scaled to unit norm."""
        each = self.examples(labels, embeddings=embeddings, prototypes=prototypes)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor | None = None) -> Examples:
        """The terms of the mean."""
        own = labels > 0
        if prototypes is None:
            distance, near, far = _to_centroids(own, embeddings)
        else:
            distance, near, far = distances(embeddings, prototypes), own, ~own
        counted = near.any(dim=1) & far.any(dim=1)
        nearest = distance.masked_fill(~far, torch.inf).amin(dim=1).where(counted, 0)
        hinges = F.relu(distance - nearest[:, None] + self.margin) * (near & counted[:, None])
        averaged = hinges.sum(dim=1) / near.sum(dim=1).clamp(min=1)
        return Examples(hinges.amax(dim=1) if self.positive == "max" else averaged, counted)

    @staticmethod
    def _scores(*, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Scores (batch, labels) of the loss's own head: the distances to the prototypes, negative."""
        return -distances(embeddings, prototypes)


def _to_centroids(own: Tensor, embeddings: Tensor) -> _Targets:
    """The distances to the means of the examples of each label, without the one that is compared.

    Without z, the mean of n examples moves away from it to n / (n - 1) times the distance. A label that nobody else in
    the batch has is no target.
    """
    number = own.sum(dim=0)
    means = own.T.to(embeddings.dtype) @ embeddings / number.clamp(min=1)[:, None]
    others = number - own.long()
    factors = number / others.clamp(min=1)
    known = others > 0
    return _Targets(distances(embeddings, means, factors.to(embeddings.dtype)), own & known, ~own & known)
