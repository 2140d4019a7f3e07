"""Pairs of examples by their label sets, for the losses that contrast them without a softmax over all."""

from __future__ import annotations

import torch
from torch import Tensor


def relations(positive: Tensor) -> tuple[Tensor, Tensor]:
    """How much each two examples share, and which pairs are negative.

    Args:
        positive: (batch, labels) the indicator of the positive labels, floating point.

    Returns:
        The Jaccard index of the label sets (batch, batch), 0 on the diagonal, and a mask (batch, batch) of the pairs
        that both have a label and share none. An example without a label is in no pair.
    """
    sizes = positive.sum(dim=1)
    shared = positive @ positive.T
    index = shared / (sizes[:, None] + sizes - shared).clamp(min=1)
    index.diagonal().zero_()
    labelled = sizes > 0
    return index, (shared == 0) & labelled[:, None] & labelled


def nonzero_mean(values: Tensor) -> Tensor:
    """The mean of the values that are above zero, 0 if there are none; no gradient flows through their number."""
    return values.sum() / (values > 0).sum().clamp(min=1)


def distances(left: Tensor, right: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    """√(f²‖x - y‖² + 1e-6) of each row x of one matrix to each row y of another, as a matrix; f by default 1."""
    squares = left.square().sum(dim=1)[:, None] + right.square().sum(dim=1) - 2 * left @ right.T
    return (squares.clamp(min=0) * factors**2 + 1e-6).sqrt()


def logsumexp(values: Tensor, kept: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """log Σ e^x over the kept values; a number near the lowest there is where none is kept, with a gradient of zero.

    Unlike -inf, that number can be subtracted from and passed on: what it is added to in a further logarithm of
    exponentials stays as it is, and a softplus of it is zero.
    """
    lowest = torch.finfo(values.dtype).min / 4
    return values.masked_fill(~kept, lowest).logsumexp(dim=dim)
