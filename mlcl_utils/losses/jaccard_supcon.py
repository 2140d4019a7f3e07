"""Supervised contrastive loss with pairs weighted by the Jaccard index of their label sets."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.contrast import PairwiseLoss, Problem, positives


class JaccardSupCon(PairwiseLoss):
    """Supervised contrast in which a pair weighs as much as its label sets overlap."""

    name = "jaccard_supcon"
    paper = (
        "the base loss of Audibert, Gauffre, Amini, Multi-Label Contrastive Learning: A Comprehensive Study, "
        "arXiv 2412.00101; after Khosla et al., Supervised Contrastive Learning, arXiv 2004.11362"
    )
    version = 1

    def problem(self, labels: Tensor, *, embeddings: Tensor, anchors: int | None = None) -> Problem:
        """Mean over the anchors with a positive; w_ij is the Jaccard index, normalised over j."""
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)

        def weights(rows: slice) -> Tensor:
            shared = positive[rows] @ positive.T
            jaccard = shared / (sizes[rows, None] + sizes - shared).clamp_(min=1)
            jaccard.diagonal(offset=rows.start).zero_()
            return jaccard.div_(jaccard.sum(dim=1, keepdim=True).clamp(min=torch.finfo(jaccard.dtype).tiny))

        return Problem(
            embeddings,
            weights,
            anchors=len(embeddings) if anchors is None else anchors,
        )
