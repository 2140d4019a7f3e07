"""REG, the regularised multi-label contrastive loss with prototypes."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import hyperparameter
from mlcl_utils.losses.contrast import PairwiseLoss, Problem, positives


class REG(PairwiseLoss):
    """Contrast of examples and prototypes alike, without the gradient that pushes positives away."""

    name = "reg"
    paper = (
        "Audibert, Gauffre, Amini, Multi-Label Contrastive Learning: A Comprehensive Study, arXiv 2412.00101"
    )
    version = 1

    anchors_are_examples = False
    alpha: float = hyperparameter(
        0.0, "preference for positives with few other labels; below 0, only subsets"
    )
    regularise: bool = hyperparameter(True, "cancel the gradient that pushes positives away")

    def problem(
        self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor, anchors: int | None = None
    ) -> Problem:
        """Mean over the examples and prototypes with a positive.

        The weights w_ij = (1/|y_i|) Σ_{l∈y_i∩y_j} r_ij/D_il with D_il = Σ_{k≠i, l∈y_k} r_ik need no sum over
        l for each pair: r_ij leaves the sum, and Σ_l (y_il/D_il) y_jl and D are products of matrices. A
        prototype has one label, so that its own weights are columns of the label matrix, scaled; prototypes
        share none.
        """
        batch, classes = len(embeddings), len(prototypes)
        own_anchors = batch if anchors is None else anchors  # the prototypes are anchors too
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)
        # r_ij for an anchor that is a prototype: |y_i∩y_j| is 1 wherever it counts
        rarity = sizes.clamp(min=1) ** -self.alpha if self.alpha >= 0 else (sizes == 1).to(positive.dtype)
        by_label = positive * rarity[:, None]
        by_label /= by_label.sum(dim=0).clamp_(min=torch.finfo(positive.dtype).tiny)

        def weights(rows: slice) -> Tensor:
            examples = slice(min(rows.start, own_anchors), min(rows.stop, own_anchors))
            prototypes_ = slice(
                max(rows.start, own_anchors) - own_anchors, max(rows.stop, own_anchors) - own_anchors
            )
            own = positive[examples]
            own_sizes = sizes[examples, None].clamp(min=1)
            if self.alpha == 0:  # r is 1 wherever it counts: D_il is the number of examples with the label
                share = own / positive.sum(dim=0).clamp_(min=1) / own_sizes
                to_examples = share @ positive.T
            else:
                shared = own @ positive.T
                if self.alpha > 0:
                    preference = (shared / sizes.clamp(min=1)) ** self.alpha
                else:
                    preference = (shared == sizes).to(shared.dtype)
                preference.diagonal(offset=rows.start).zero_()
                share = own / (1 + preference @ positive) / own_sizes
                to_examples = preference * (share @ positive.T)
            # columns: the anchors among the examples, the prototypes, the other examples
            result = positive.new_zeros(rows.stop - rows.start, batch + classes)
            result[: len(own), :own_anchors] = to_examples[:, :own_anchors]
            result[: len(own), own_anchors : own_anchors + classes] = share
            result[: len(own), own_anchors + classes :] = to_examples[:, own_anchors:]
            result[len(own) :, :own_anchors] = by_label[:own_anchors, prototypes_].T
            result[len(own) :, own_anchors + classes :] = by_label[own_anchors:, prototypes_].T
            return result

        return Problem(
            torch.cat([embeddings[:own_anchors], prototypes, embeddings[own_anchors:]]),
            weights,
            anchors=own_anchors + classes,
            regularise=self.regularise,
            prototypes=classes,
        )
