"""Baselines that a trained representation has to beat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlcl_utils.losses.contrast import unit

BYTES = 2**28
"""Of cosines, or of votes, held at once: 256 MB. The sets that ship need less, so that theirs are one product."""


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
    queries, train, positive = _unit(queries), _unit(train), (train_labels == 1).float()
    asked = min(neighbours, len(positive))
    rows = max(BYTES // (4 * max(len(positive), asked * positive.shape[1])), 1)
    votes = []
    for start in range(0, max(queries.shape[0], 1), rows):
        cosine, nearest = _products(queries[start : start + rows], train).topk(asked, dim=1)
        weight = cosine.clamp_min(1e-6)
        weight = weight / weight.sum(dim=1, keepdim=True)
        votes.append(torch.einsum("mk,mkl->ml", weight, positive[nearest]))
    return torch.logit(torch.cat(votes), eps=1e-3)


def _unit(rows: Any) -> Any:
    """Dense or sparse rows at unit norm."""
    if isinstance(rows, Tensor):
        return unit(rows)
    from sklearn.preprocessing import normalize

    return normalize(rows)


def _products(queries: Any, train: Any) -> Tensor:
    """Products (m, n) of dense or sparse rows (m, d) and (n, d)."""
    products = queries @ train.T
    return products if isinstance(products, Tensor) else torch.from_numpy(products.toarray())
