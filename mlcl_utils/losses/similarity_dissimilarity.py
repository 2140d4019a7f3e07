"""The similarity-dissimilarity loss of Huang et al. 2024."""

from __future__ import annotations

from torch import Tensor

from mlcl_utils.losses.contrast import PairwiseLoss, Problem, positives


class SimilarityDissimilarity(PairwiseLoss):
    """Supervised contrast in which positives weigh less the fewer labels they share and the more they add.

    Where the weight stands with respect to the logarithm is left open by the paper's text. Inside it would be
    an additive constant without any effect on the gradient; here it multiplies the log-probability.
    """

    name = "similarity_dissimilarity"
    paper = (
        "Huang, Long, Luo, Similarity-Dissimilarity Loss for Multi-label Supervised Contrastive Learning, "
        "arXiv 2410.13439"
    )
    version = 1

    def problem(self, labels: Tensor, *, embeddings: Tensor, anchors: int | None = None) -> Problem:
        """Mean over the anchors with a positive of the mean over their positives of -(weight · log p)."""
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)

        def weights(rows: slice) -> Tensor:
            shared = positive[rows] @ positive.T
            shared.diagonal(offset=rows.start).zero_()
            similarity = shared / sizes[rows, None].clamp(min=1)
            number = (shared > 0).sum(dim=1, keepdim=True).clamp(min=1)
            return similarity.div_((1 + sizes - shared).mul_(number))

        return Problem(
            embeddings,
            weights,
            anchors=len(embeddings) if anchors is None else anchors,
        )
