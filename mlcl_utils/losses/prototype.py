"""Softmax over label prototypes: contrastive optimisation without interaction between examples."""

from __future__ import annotations

from torch import Tensor

from mlcl_utils.losses.base import Examples
from mlcl_utils.losses.contrast import ContrastiveLoss, positives, unit


class Prototype(ContrastiveLoss):
    """Softmax over the prototypes: each example is drawn to those of its labels."""

    name = "prototype"
    paper = (
        "Audibert, Gauffre, Amini, Multi-Label Contrastive Learning: A Comprehensive Study, arXiv 2412.00101"
    )
    version = 1

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Mean over the examples with a label of the mean over their labels of -log p."""
        each = self.examples(labels, embeddings=embeddings, prototypes=prototypes)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Examples:
        """The terms of the mean; an example without a label has 0 and does not count."""
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)
        logits = unit(embeddings) @ unit(prototypes).T / self.temperature
        per_example = logits.logsumexp(dim=1) - (positive * logits).sum(dim=1) / sizes.clamp(min=1)
        labelled = sizes > 0
        return Examples(per_example.where(labelled, 0), labelled)
