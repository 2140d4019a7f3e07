"""MSC, the multi-label supervised contrastive loss with prototypes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlcl_utils.losses.base import hyperparameter
from mlcl_utils.losses.contrast import PairwiseLoss, Problem, positives


class MSC(PairwiseLoss):
    """Contrast of each example with the others and with the prototypes, balanced over its labels."""

    name = "msc"
    paper = (
        "Audibert, Gauffre, Amini, Exploring Contrastive Learning for Long-Tailed Multi-Label Text "
        "Classification, arXiv 2404.08720"
    )
    version = 1

    alpha: float = hyperparameter(1.0, "weight of the examples as positives", least=0)
    beta: float = hyperparameter(0.1, "weight of the examples in the denominator", least=0)

    def problem(
        self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor, anchors: int | None = None
    ) -> Problem:
        """Mean over the examples with a label.

        The sum over shared labels in w_ij = Σ_l α y_il y_jl / (N_il |y_i∪y_j|) factors: the union does not
        depend on l, and Σ_l (y_il/N_il) y_jl is a product of (batch, labels) matrices; so is N_il.
        """
        batch = len(embeddings)
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)

        def weights(rows: slice) -> Tensor:
            own = positive[rows]
            shared = own @ positive.T
            closeness = self.alpha / (sizes[rows, None] + sizes - shared).clamp_(min=1)
            closeness.diagonal(offset=rows.start).zero_()
            share = own / (1 + closeness @ positive) / sizes[rows, None].clamp(min=1)
            return torch.cat([closeness.mul_(share @ positive.T), share], dim=1)

        log_beta = math.log(self.beta) if self.beta > 0 else -math.inf
        log_bias = positive.new_zeros(batch + len(prototypes))
        log_bias[:batch] = log_beta
        return Problem(
            torch.cat([embeddings, prototypes]),
            weights,
            anchors=batch if anchors is None else anchors,
            log_bias=log_bias,
        )
