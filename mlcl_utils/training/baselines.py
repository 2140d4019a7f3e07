"""Baselines that a trained representation has to beat."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def prior(train_labels: Tensor, examples: int) -> Tensor:
    """Scores (examples, labels): the logit of each label's share of training positives, for every example alike.

    Args:
        train_labels: (n, labels) in {-1, 0, 1}.
        examples: number of rows wanted.
    """
    share = (train_labels == 1).float().mean(dim=0)
    return torch.logit(share, eps=1e-4).expand(examples, -1)


def nearest_neighbours(
    train: Tensor, train_labels: Tensor, queries: Tensor, *, neighbours: int = 20
) -> Tensor:
    """Scores (m, labels): the logit of the cosine-weighted share of nearest training examples that have the label.

    Args:
        train: (n, d) inputs of the training part.
        train_labels: (n, labels) in {-1, 0, 1}.
        queries: (m, d).
        neighbours: how many are asked, at most n.
    """
    train, queries = F.normalize(train, dim=1), F.normalize(queries, dim=1)
    cosine, nearest = (queries @ train.T).topk(min(neighbours, len(train)), dim=1)
    weight = cosine.clamp_min(1e-6)
    weight = weight / weight.sum(dim=1, keepdim=True)
    votes = torch.einsum("mk,mkl->ml", weight, (train_labels == 1).float()[nearest])
    return torch.logit(votes, eps=1e-3)
