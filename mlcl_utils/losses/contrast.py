"""The arithmetic that the contrastive losses share.

Five of them have one form, a weighted cross-entropy of a softmax over similarities,

    -(1/A) Σ_i Σ_j w_ij log p_ij,    log p_ij = s_ij/τ - log Σ_{k≠i} b_k exp(s_ik/τ),

and differ only in the weights and in what the anchors i and the candidates j are. :func:`contrast` computes
it, with its gradient in the same pass, for some rows of anchors at a time, so that neither the similarities
nor the weights need ever be held whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlcl_utils.losses.base import Loss, hyperparameter

BLOCK_BYTES = 2**28  # of one array of (anchors, candidates) above which it is cut into blocks of rows


class ContrastiveLoss(Loss):
    """A loss on the similarities of embeddings; unobserved labels are simply not positive."""

    family = "contrastive"
    temperature: float = hyperparameter(0.1, "divides the similarities", above=0)


class PairwiseLoss(ContrastiveLoss):
    """A contrastive loss in the form of :func:`contrast`, which can work in blocks of rows."""

    takes_sparse_labels: ClassVar[bool] = True
    block: int | None = hyperparameter(
        None, "anchors at a time; none: all of them where the memory allows", least=1, optional=int
    )


def unit(vectors: Tensor) -> Tensor:
    """Rows scaled to unit norm; a row of zeros stays zero and passes a finite gradient."""
    rows = vectors / _scale(vectors)
    return rows / _lengths(rows)


@torch.no_grad()
def _scale(vectors: Tensor) -> Tensor:
    """What to divide each row by before its squares are summed, as a column: 1 unless these leave the type's range.

    Squares of float32 are infinite from 1.8e19 on and zero below 1e-23: a row of such numbers would have the norm of
    none, and count as a row of zeros.
    """
    limits = torch.finfo(vectors.dtype)
    largest = torch.linalg.vector_norm(vectors, ord=torch.inf, dim=-1, keepdim=True)
    small = (largest < limits.tiny**0.5 * 1024) & (largest >= limits.tiny)
    scale: Tensor = largest.where(small | (largest > limits.max**0.5 / 1024), 1)
    return scale


def _lengths(vectors: Tensor) -> Tensor:
    """The norms of the rows as a column, 1 for rows of zeros."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return norms.where(norms > 0, 1)


def positives(labels: Tensor, like: Tensor) -> Tensor:
    """The indicator of the positive labels (batch, labels), in the type of ``like``."""
    return (labels > 0).to(like.dtype)


def contrast(
    vectors: Tensor,
    weights: Callable[[slice], Tensor],
    *,
    anchors: int,
    temperature: float,
    block: int | None,
    total: Tensor | None = None,
    log_bias: Tensor | None = None,
    regularise: bool = False,
) -> Tensor:
    """The weighted cross-entropy described at the top of this module.

    Args:
        vectors: (candidates, dim) the candidates, the first of which are the anchors; scaled to unit norm here.
        weights: gives the weights w_ij, not negative, of some rows of anchors as a new array (rows,
            candidates); what it has for self-pairs is ignored. The arrays are overwritten.
        anchors: the number of anchors.
        temperature: τ.
        block: the number of anchors at a time, by default as many as :data:`BLOCK_BYTES` allows.
        total: the number A of which the loss is a mean; by default the number of anchors with a positive
            weight.
        log_bias: (candidates,) the logarithms of the b_j; by default all zero.
        regularise: add -(1/A) Σ_ij sg(max(p_ij - w_ij, 0)) [w_ij ≠ 0] s_ij/τ, sg being without gradient,
            which takes away the part of the gradient that pushes positives away.

    Returns:
        A scalar.
    """
    with torch.no_grad():
        scale = _scale(vectors)
        candidates = vectors / scale
        lengths = _lengths(candidates)
        candidates /= lengths
        needs_gradient = vectors.requires_grad
        rows = block or max(1, BLOCK_BYTES // (candidates.shape[0] * candidates.element_size()))
        value = candidates.new_zeros(())
        count = candidates.new_zeros(())
        gradient = torch.zeros_like(candidates)
        for start in range(0, anchors, rows):
            part = slice(start, min(start + rows, anchors))
            scaled = candidates[part] / temperature
            block_value, active, slope = _block(
                scaled @ candidates.T, weights(part), start, log_bias, regularise
            )
            value += block_value
            count += active
            if not needs_gradient:
                continue
            if rows >= len(candidates) == anchors:  # each pair is there twice: one product instead of two
                gradient.addmm_(slope + slope.T, scaled)
            else:
                gradient[part].addmm_(slope, candidates, alpha=1 / temperature)
                gradient.addmm_(slope.T, scaled)
        mean = 1 / (count if total is None else total).clamp(min=1)
        # by the unit vectors; along them there is nothing to gain
        gradient -= candidates * (gradient * candidates).sum(dim=1, keepdim=True)
        gradient *= mean / lengths / scale
    return with_gradient(vectors, value * mean, gradient)


def _block(
    similarity: Tensor, weight: Tensor, start: int, log_bias: Tensor | None, regularise: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, number of anchors with a positive, and gradient by the similarities, of one block of rows.

    Args:
        similarity: (rows, candidates) s_ij/τ.
        weight: (rows, candidates) w_ij.
        start: the number of the first row among the anchors.
        log_bias: (candidates,) or none.
        regularise: see :func:`contrast`.
    """
    weight.diagonal(offset=start).zero_()
    mass = weight.sum(dim=1, keepdim=True)
    similarity.diagonal(offset=start).fill_(-torch.inf)
    logits = similarity if log_bias is None else similarity + log_bias
    # finite, so that an anchor without candidates does not turn into inf - inf
    highest = logits.amax(dim=1, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)
    exponentials = (logits - highest).exp_()
    normaliser = exponentials.sum(dim=1, keepdim=True).clamp(min=torch.finfo(logits.dtype).tiny)
    value = (mass * (highest + normaliser.log())).sum()
    similarity.diagonal(offset=start).zero_()
    value -= torch.dot(weight.flatten(), similarity.flatten())
    slope = exponentials.mul_(mass / normaliser)  # mass · p: none for an anchor without positives
    slope -= weight
    if regularise:
        excess = slope.clamp(min=0).mul_(weight.sign_())
        value -= torch.dot(excess.flatten(), similarity.flatten())
        slope -= excess
    return value, (mass > 0).sum(), slope


def with_gradient(x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """A scalar whose gradient with respect to ``x`` is already known.

    Args:
        x: of any shape.
        value: the scalar.
        gradient: of the scalar, in the shape of ``x``.
    """
    result: Tensor = _WithGradient.apply(x, value, gradient)
    return result


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None
