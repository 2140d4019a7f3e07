"""MulSupCon, supervised contrast label by label."""

from __future__ import annotations

from torch import Tensor

from mlcl_utils.losses.contrast import PairwiseLoss, Problem, positives


class MulSupCon(PairwiseLoss):
    """Supervised contrast once for each label of each anchor, so that many labels weigh more."""

    name = "mulsupcon"
    paper = "Zhang, Wu, Multi-Label Supervised Contrastive Learning, AAAI 2024, arXiv 2402.01613"
    version = 1

    def problem(self, labels: Tensor, *, embeddings: Tensor, anchors: int | None = None) -> Problem:
        """Mean over all pairs (i, l ∈ y_i), also those that no other example shares, which count as zero.

        The sum over l in w_ij = Σ_l y_il y_jl / (number of others with l) is a product of matrices.
        """
        positive = positives(labels, embeddings)
        others = (positive.sum(dim=0) - 1).clamp(min=1)
        return Problem(
            embeddings,
            lambda rows: (positive[rows] / others) @ positive.T,
            anchors=len(embeddings) if anchors is None else anchors,
            total=positive[:anchors].sum(),
        )
