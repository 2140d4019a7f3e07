"""Instance discrimination with two views, and its hard-negative variant."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlcl_utils.losses.base import Examples, hyperparameter
from mlcl_utils.losses.contrast import ContrastiveLoss, unit


class Instance(ContrastiveLoss):
    """Each example is told from all others by two views of it; the labels play no part."""

    name = "instance"
    paper = "Wang, Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021, arXiv 2012.09740"
    version = 1
    compares_examples = True

    hard_fraction: float = hyperparameter(
        1.0, "share of the negatives, the nearest, that each anchor keeps; 1: all", above=0, most=1
    )

    def compute(self, labels: Tensor, *, embeddings: Tensor, views: Tensor) -> Tensor:
        """Mean over the examples of -log p of the other view, both directions averaged."""
        there, back = self._both(embeddings, views)
        return (there.mean() + back.mean()) / 2

    def examples(self, labels: Tensor, *, embeddings: Tensor, views: Tensor) -> Examples:
        """The terms of the mean; every example counts."""
        there, back = self._both(embeddings, views)
        return Examples((there + back) / 2, torch.ones_like(there, dtype=torch.bool))

    def _both(self, embeddings: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        similarity = unit(embeddings) @ unit(views).T / self.temperature
        return self._cross_entropy(similarity), self._cross_entropy(similarity.T)

    def _cross_entropy(self, similarity: Tensor) -> Tensor:
        positive = similarity.diagonal()
        if self.hard_fraction < 1:
            negatives = similarity.clone().fill_diagonal_(-torch.inf)
            kept = math.ceil(self.hard_fraction * (len(similarity) - 1))
            similarity = torch.cat([positive[:, None], negatives.topk(kept, dim=1).values], dim=1)
        return similarity.logsumexp(dim=1) - positive
