"""Proto-Triplet: each example nearer to the prototypes of its labels than to any other, by a margin."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.pairs import distances


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

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Mean over the examples with a label and a label that they lack; nothing is scaled to unit norm."""
        own = labels > 0
        counted = own.any(dim=1) & ~own.all(dim=1)
        distance = distances(embeddings, prototypes)
        nearest = distance.masked_fill(own, torch.inf).amin(dim=1).where(counted, 0)
        hinges = F.relu(distance - nearest[:, None] + self.margin) * (own & counted[:, None])
        averaged = hinges.sum(dim=1) / own.sum(dim=1).clamp(min=1)
        per_example = hinges.amax(dim=1) if self.positive == "max" else averaged
        return per_example.sum() / counted.sum().clamp(min=1)

    def scores(self, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Scores (batch, labels) of the loss's own head: the distances to the prototypes, negative."""
        return -distances(embeddings, prototypes)
