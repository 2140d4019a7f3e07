"""Correction of missing labels, which several losses share, and BCE on corrected labels, a control."""

from __future__ import annotations

from torch import Tensor

from mlcl_utils.losses.base import hyperparameter
from mlcl_utils.losses.bce import BCE


class Correction:
    """Part of a loss that takes likely labels for missed positives, once the model knows something.

    The rule of Zhang et al. (arXiv 2112.07368, section 3.3), which Ma et al. (arXiv 2209.01314) took over.
    """

    change_epoch: int = hyperparameter(1, "first epoch with corrected labels", least=0)
    threshold: float = hyperparameter(0.7, "probability above which a label is corrected", least=0, most=1)

    def corrected(self, labels: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """The labels (batch, labels) as bool, from ``change_epoch`` on with those of σ(x) > ``threshold`` added."""
        positive = labels > 0
        return positive if epoch < self.change_epoch else positive | (logits.sigmoid() > self.threshold)


class CorrectedBCE(Correction, BCE):
    """BCE on corrected labels: a control that has the label correction of SPLC and CLML and nothing else of them."""

    name = "corrected_bce"
    paper = "a control; the correction is that of Ma et al., arXiv 2209.01314"
    version = 1

    def entries(self, positive: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """The entries of BCE; no gradient flows through the correction."""
        return super().entries(self.corrected(positive, logits, epoch), logits, epoch)
