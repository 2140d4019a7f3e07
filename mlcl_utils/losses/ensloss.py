"""EnsLoss of Dai 2024: another random convex, calibrated loss in each step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, Loss, hyperparameter


class EnsLoss(Loss):
    """Each step draws the derivatives of a loss of the margins that is convex and falls; its value is no loss."""

    name = "ensloss"
    family = "classification"
    paper = (
        "Dai, EnsLoss: Stochastic Calibrated Loss Ensembles for Preventing Overfitting in Classification, "
        "arXiv 2409.00908; the draws over labels are this project's"
    )
    version = 1

    box_cox: float = hyperparameter(
        0.0, "of the inverse Box-Cox transform of the normal draws; 0: exponential", least=-1, most=1
    )
    group: str = hyperparameter(
        "label", "label: a loss drawn for each label; all: one for all entries", choices=("label", "all")
    )
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    def forward(
        self, labels: Tensor, *misplaced: object, normals: Tensor | None = None, **given: object
    ) -> Tensor:
        """As for every loss; in evaluation mode it is binary cross-entropy, which training reports too.

        Args:
            labels, misplaced, given: see :meth:`mlcl_utils.losses.base.Loss.forward`.
            normals: (labels, batch), or for one group (1, batch · labels), what is to be taken for the draw; by default
                drawn from torch's generator of the CPU.
        """
        self._normals = normals
        value: Tensor = super().forward(labels, *misplaced, **given)  # type: ignore[arg-type]
        return value

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """Mean over the examples of the sum over labels of sg(g) · margin, g being the derivatives drawn."""
        observed = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        positive = labels > 0
        examples = observed.any(dim=1).sum().clamp(min=1)
        entropy = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
        plain = entropy.where(observed, 0).sum() / examples
        if not self.training:
            self.reported = None
            return plain
        self.reported = plain.detach()
        margins = logits.where(positive, -logits)
        slopes = self._slopes(margins.detach(), observed)
        return (slopes * margins).where(observed, 0).sum() / examples

    @torch.no_grad()
    def _slopes(self, margins: Tensor, observed: Tensor) -> Tensor:
        """The derivatives (batch, labels) at the margins: below zero, and in a group the higher the margin is."""
        shape = margins.T.shape if self.group == "label" else (1, margins.numel())
        rows, kept = (
            (each.T if self.group == "label" else each).reshape(shape) for each in (margins, observed)
        )
        normals = self._normals
        if normals is None:
            normals = torch.randn(shape, dtype=margins.dtype, device="cpu")
        if normals.shape != shape:
            raise ValueError(f"normals must have shape {tuple(shape)}, was {tuple(normals.shape)}")
        drawn = normals.to(margins, non_blocking=True)
        linear = (1 + self.box_cox * drawn).clamp(min=0)
        steep = drawn.exp() if self.box_cox == 0 else linear ** (1 / self.box_cox)
        # what is not observed comes last in both orders, and is left out
        ordered = (-steep.clamp(max=1)).masked_fill(~kept, torch.inf).sort(dim=1).values
        ranks = rows.masked_fill(~kept, torch.inf).argsort(dim=1, stable=True)
        slopes = torch.zeros_like(rows).scatter(1, ranks, ordered.masked_fill(ordered == torch.inf, 0))
        slopes = torch.where(rows > 1, slopes / rows, slopes) - 1e-6
        return slopes.T if self.group == "label" else slopes.reshape(margins.shape)
