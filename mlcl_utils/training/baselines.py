"""Baselines that a trained representation has to beat."""

from __future__ import annotations

from typing import Any

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


def nearest_neighbours(train: Any, train_labels: Tensor, queries: Any, *, neighbours: int = 20) -> Tensor:
    """Scores (m, labels): the logit of the cosine-weighted share of nearest training examples that have the label.

    Args:
        train: (n, d) inputs of the training part, a tensor or a sparse SciPy matrix.
        train_labels: (n, labels) in {-1, 0, 1}.
        queries: (m, d), of the same kind.
        neighbours: how many are asked, at most n.
    """
    cosines = _cosines(queries, train)
    cosine, nearest = cosines.topk(min(neighbours, cosines.shape[1]), dim=1)
    weight = cosine.clamp_min(1e-6)
    weight = weight / weight.sum(dim=1, keepdim=True)
    votes = torch.einsum("mk,mkl->ml", weight, (train_labels == 1).float()[nearest])
    return torch.logit(votes, eps=1e-3)


def _cosines(queries: Any, train: Any) -> Tensor:
    """Cosines (m, n) of dense or sparse rows (m, d) and (n, d)."""
    if isinstance(train, Tensor):
        return F.normalize(queries, dim=1) @ F.normalize(train, dim=1).T
    from sklearn.preprocessing import normalize

    return torch.from_numpy((normalize(queries) @ normalize(train).T).toarray())
