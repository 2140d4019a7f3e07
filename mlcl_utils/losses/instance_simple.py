"""Instance discrimination without awareness of hardness: similarities in place of a softmax of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlcl_utils.losses.base import Examples, Loss, hyperparameter
from mlcl_utils.losses.contrast import unit


class InstanceSimple(Loss):
    """Two views of an example are drawn together and all others pushed away alike: a control for ``instance``."""

    name = "instance_simple"
    family = "contrastive"
    paper = "Wang, Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021, arXiv 2012.09740, eq. 4"
    version = 1
    compares_examples = True

    weight: float = hyperparameter(
        1.0,
        "weight of the sum of the similarities of an anchor's negatives; 1 over their number for a mean",
        least=0,
    )
    hard_fraction: float = hyperparameter(
        1.0, "share of the negatives, the nearest, that each anchor keeps; 1: all", above=0, most=1
    )

    def compute(self, labels: Tensor, *, embeddings: Tensor, views: Tensor) -> Tensor:
        """Mean over the examples of -s_ii plus the weighted negatives, both directions averaged."""
        return self.examples(labels, embeddings=embeddings, views=views).values.mean()

    def examples(self, labels: Tensor, *, embeddings: Tensor, views: Tensor) -> Examples:
        """The terms of the mean; all examples count."""
        similarity = unit(embeddings) @ unit(views).T
        pushed = (self._negatives(similarity) + self._negatives(similarity.T)) / 2
        counted = torch.ones(len(similarity), dtype=torch.bool, device=similarity.device)
        return Examples(self.weight * pushed - similarity.diagonal(), counted)

    def _negatives(self, similarity: Tensor) -> Tensor:
        """For each anchor, a row, the sum of the similarities of the negatives that are kept."""
        others = len(similarity) - 1
        kept = math.ceil(self.hard_fraction * others)
        if kept == others:
            return similarity.sum(dim=1) - similarity.diagonal()
        negatives = similarity.clone().fill_diagonal_(-torch.inf)
        return negatives.topk(kept, dim=1).values.sum(dim=1)
