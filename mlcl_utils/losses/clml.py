"""CLML, the label-structure preserving loss of Ma et al. 2022."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import with_gradient
from mlcl_utils.losses.correction import Correction

_RANK = 1e-6  # singular values below this do not count
_BUCKET = 8  # sizes are rounded up to a multiple of this, so that few different ones are decomposed


class CLML(Correction, Loss):
    """Each label's examples are drawn to a subspace of low rank, all of them together away from one.

    A term beside a classification loss: ``losses.create("splc+clml", clml={"weight": 0.1})``. The published
    training sums the base loss over the batch and uses weight 1; beside a loss averaged over a batch of N
    that is weight 1/N.

    On a GPU this loss, and its control below, wait for the device: the sizes of the decompositions depend on the
    labels.
    """

    name = "clml"
    family = "structure"
    paper = (
        "Ma, Li, Mao, Chen, Label Structure Preserving Contrastive Embedding for Multi-Label Learning with Missing "
        "Labels, arXiv 2209.01314"
    )
    version = 1

    weight: float = hyperparameter(1.0, "weight of the term", least=0)
    margin: float = hyperparameter(1.0, "of observed positives, as published; changes no corrected label")
    exclude_unlabelled: bool = hyperparameter(
        True, "leave out rows without any corrected label, which make the second term unbounded"
    )
    excluded: Tensor

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters; ``excluded`` counts the rows that were left out so far."""
        super().__init__(**hyperparameters)
        self.register_buffer("excluded", torch.zeros((), dtype=torch.int64), persistent=False)

    def compute(self, labels: Tensor, *, features: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """(weight/N) [Σ_l max(1, ‖X_l‖_*) - ‖X‖_*]; no gradient flows to the logits."""
        with torch.no_grad():
            corrected = self.corrected(labels, logits, epoch)
            kept = corrected.any(dim=1) if self.exclude_unlabelled else torch.ones_like(corrected[:, 0])
            self.excluded = self.excluded.to(kept.device) + (~kept).sum()
            rows = features.detach().to(torch.float64)
            members = torch.cat([corrected, kept[:, None]], dim=1).T
            value, slope = _contrast_of_norms(rows @ rows.T, members)
            factor = self.weight / len(rows) * kept.any().to(rows.dtype)
        gradient = (factor * slope).to(features.dtype) @ features.detach()
        return self.term(features, kept, (factor * value).to(features.dtype), gradient)

    def term(self, features: Tensor, kept: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """The value of the term with its gradient by the features.

        Args:
            features: (batch, width).
            kept: (batch,) bool, rows that count.
            value: a scalar.
            gradient: (batch, width).
        """
        return with_gradient(features, value, gradient)


class NormPenalty(CLML):
    """A plain norm in place of CLML's: a control that shrinks the features as strongly, whatever their labels.

    s ‖X‖_F with the Frobenius norm of the rows that count, and for s, without a gradient, the norm of CLML's gradient
    on the same batch: a step as long, in the direction of the features themselves.
    """

    name = "norm_penalty"
    paper = "a control"
    version = 1

    def term(self, features: Tensor, kept: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """The penalty, of the size of the gradient that it replaces."""
        rows = features.detach() * kept[:, None]
        size, norm = gradient.norm(), rows.norm()
        return with_gradient(features, size * norm, rows * (size / norm.where(norm > 0, 1)))


def _contrast_of_norms(gram: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_l max(1, ‖X_l‖_*) - ‖X‖_* from XXᵀ, and the matrix S for which its subgradient by X is SX.

    With the eigenvectors U and eigenvalues λ of X_l X_lᵀ, ‖X_l‖_* = Σ √λ, and U diag(1/√λ) Uᵀ X_l is its
    subgradient. In float64, since a singular value of 1e-6 is an eigenvalue of 1e-12.

    Args:
        gram: (batch, batch) XXᵀ, float64.
        members: (labels + 1, batch) the rows of each X_l, and last those of X.
    """
    sizes = members.sum(dim=1)
    rows_first = members.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    value = (sizes[:-1] == 0).sum().to(gram.dtype)
    slope = torch.zeros_like(gram)
    padded = (sizes + _BUCKET - 1) // _BUCKET * _BUCKET
    for size in sorted(set(padded.tolist()) - {0}):
        which = (padded == size).nonzero().squeeze(1)
        size = min(size, len(gram))
        rows = rows_first[which, :size]
        real = torch.arange(size, device=gram.device) < sizes[which, None]
        at = (rows[:, :, None], rows[:, None, :])
        squares, vectors = torch.linalg.eigh(gram[at] * (real[:, :, None] & real[:, None, :]))
        noise = size * torch.finfo(gram.dtype).eps * squares[:, -1:]
        counts = squares > noise.clamp(min=_RANK**2)
        values = squares.clamp(min=0).sqrt() * counts
        norms = values.sum(dim=1)
        everything = which == len(members) - 1
        value += norms.clamp(min=1).where(~everything, -norms).sum()
        factor = (norms > 1).to(gram.dtype).where(~everything, -1)
        scaled = vectors * (factor[:, None] / values.where(counts, torch.inf))[:, None, :]
        slope.index_put_(at, scaled @ vectors.mT * (real[:, :, None] & real[:, None, :]), accumulate=True)
    return value, slope
