"""TCM, threshold-consistent margins: similarities on the right side of two fixed cosines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import positives, unit
from mlcl_utils.losses.pairs import relations


class Margins(Loss):
    """A term on cosines: positives below one cosine, and negatives above another, cost what they lack."""

    family = "contrastive"
    paper = (
        "Zhang et al., Threshold-Consistent Margin Loss for Open-World Deep Metric Learning, ICLR 2024, "
        "arXiv 2307.04047"
    )

    positive_margin: float = hyperparameter(0.9, "cosine that positives are to reach", least=-1, most=1)
    negative_margin: float = hyperparameter(0.5, "cosine that negatives are not to exceed", least=-1, most=1)
    positive_weight: float = hyperparameter(1.0, "weight of the positives", least=0)
    negative_weight: float = hyperparameter(1.0, "weight of the negatives", least=0)

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters.

        Raises:
            ValueError: besides what others refuse, margins in the wrong order.
        """
        super().__init__(**hyperparameters)
        if self.positive_margin <= self.negative_margin:
            margins = f"{self.positive_margin:g} and {self.negative_margin:g}"
            raise ValueError(f"positive_margin must be above negative_margin, was {margins}")

    def term(self, similarity: Tensor, weight: Tensor, wanted: Tensor | float, negative: Tensor) -> Tensor:
        """Weighted means over the positives and negatives that are on the wrong side.

        Args:
            similarity: cosines, of any shape.
            weight: of each as a positive, 0 where it is none.
            wanted: the cosine that a positive is to reach.
            negative: which of them are negatives.
        """
        active = weight * (similarity <= wanted)
        lacking = (active * F.relu(wanted - similarity)).sum() / active.sum().clamp(
            min=torch.finfo(active.dtype).tiny
        )
        above = negative & (similarity >= self.negative_margin)
        excess = F.relu(similarity - self.negative_margin).where(above, 0).sum() / above.sum().clamp(min=1)
        return self.positive_weight * lacking + self.negative_weight * excess


class TCM(Margins):
    """Pairs of examples that share labels reach one cosine, and pairs that share none stay below another."""

    name = "tcm"
    version = 1

    graded: bool = hyperparameter(
        True, "whether a pair is to reach a cosine between the two margins by how much it shares"
    )

    def compute(self, labels: Tensor, *, embeddings: Tensor) -> Tensor:
        """The term over all pairs i ≠ j of examples with a label; it is added to a loss that says what is alike."""
        index, negative = relations(positives(labels, embeddings))
        vectors = unit(embeddings)
        similarity = vectors @ vectors.T
        if not self.graded:
            return self.term(similarity, index, self.positive_margin, negative)
        wanted = self.negative_margin + (self.positive_margin - self.negative_margin) * index
        return self.term(similarity, (index > 0).to(index.dtype), wanted, negative)


class TCMPrototypes(Margins):
    """Examples reach one cosine to the prototypes of their labels, and stay below another to all others."""

    name = "tcm_prototypes"
    version = 1

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """The term over all (example, prototype) of the examples with a label: one threshold for all labels."""
        positive = positives(labels, embeddings)
        negative = (positive == 0) & (positive > 0).any(dim=1, keepdim=True)
        similarity = unit(embeddings) @ unit(prototypes).T
        return self.term(similarity, positive, self.positive_margin, negative)
