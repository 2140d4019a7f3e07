"""Prototypes that do not train: unit vectors that are as far from each other as their number allows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_TOLERANCE = 1e-4  # by which the largest cosine may exceed what is asked for, as in the released code
_ABOVE_LEAST = 1.2  # the coherence that is aimed at where none is given, over the least one possible


def least_coherence(labels: int, dim: int) -> float:
    """The largest cosine that some two of so many unit vectors have at the least: the bound of Welch (1974)."""
    return 0.0 if labels <= dim else float(((labels - dim) / (dim * (labels - 1))) ** 0.5)


def excess(prototypes: Tensor, threshold: float = 0.0) -> Tensor:
    """Σ_{k≠l} [|cos(v_k, v_l)| - threshold]₊ over ordered pairs of rows (labels, dim), with its gradient."""
    vectors = F.normalize(prototypes, dim=1)
    cosines = (vectors @ vectors.T).abs()
    return F.relu(cosines - threshold).sum() - F.relu(cosines.diagonal() - threshold).sum()


def equiangular(
    labels: int,
    dim: int,
    *,
    coherence: float | None = None,
    steps: int = 1000,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Unit vectors of which no two have a cosine much above or below zero.

    Shen et al., Equiangular Basis Vectors (CVPR 2023, arXiv 2303.11637). They lower Σ [|v_k·v_l| - α]₊ by gradient
    steps from random directions; here its square is lowered, whose steps do not overshoot. Up to ``dim`` of them are
    orthogonal, and made by a decomposition.

    Args:
        labels: how many, at least 1.
        dim: their dimension, at least 1.
        coherence: α, the largest absolute cosine, to be reached within 1e-4. None: 1.2 times the least possible is
            aimed at, and what the steps come to is taken.
        steps: at most so many.
        generator: of the random directions; None for torch's own.

    Returns:
        (labels, dim), float32.

    Raises:
        ValueError: a coherence that so many vectors cannot have, or that the steps did not come to.
    """
    least = least_coherence(labels, dim)
    if coherence is not None and coherence < least:
        raise ValueError(
            f"coherence must be at least {least:.4f} for {labels} vectors in {dim} dimensions, was {coherence:g}"
        )
    if labels <= dim:
        orthogonal: Tensor = torch.linalg.qr(torch.randn(dim, labels, generator=generator)).Q
        return orthogonal.T.contiguous()
    wanted = _ABOVE_LEAST * least if coherence is None else coherence
    vectors = F.normalize(torch.randn(labels, dim, generator=generator), dim=1)
    largest = 1.0
    for _ in range(steps):
        cosines = (vectors @ vectors.T).fill_diagonal_(0)
        largest = float(cosines.abs().max())
        if largest <= wanted + _TOLERANCE:
            return vectors
        beyond = cosines - cosines.clamp(-0.98 * wanted, 0.98 * wanted)
        vectors = F.normalize(vectors - dim / (4 * labels) * beyond @ vectors, dim=1)
    if coherence is not None:
        raise ValueError(
            f"{labels} vectors in {dim} dimensions came to a coherence of {largest:.4f} in {steps} steps and not to "
            f"{coherence:g}; ask for more steps or a larger coherence"
        )
    return vectors
