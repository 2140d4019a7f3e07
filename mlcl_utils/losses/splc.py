"""SPLC, the self-paced loss correction of Zhang et al. 2021."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import LogitLoss, focus, hyperparameter
from mlcl_utils.losses.correction import Correction


class SPLC(Correction, LogitLoss):
    """Focal-margin loss that takes a negative which looks positive for a missed positive."""

    name = "splc"
    paper = (
        "Zhang et al., Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, "
        "arXiv 2112.07368, section 3.3; threshold 0.7 after Ma et al., arXiv 2209.01314 (0.6 in the former)"
    )
    version = 1

    margin: float = hyperparameter(1.0, "subtracted from the logits of observed positives")
    gamma: float = hyperparameter(2.0, "focusing", least=0)

    def entries(self, positive: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """-(1-p_t)^γ log p_t, with the margin on observed positives and, from then on, corrected negatives."""
        shifted = (logits - self.margin).where(positive, logits)
        positive = self.corrected(positive, shifted, epoch)
        right = shifted.where(positive, -shifted)
        return -focus((-right).sigmoid(), self.gamma) * F.logsigmoid(right)
