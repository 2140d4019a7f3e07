"""The Hill loss of Zhang et al. 2021."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import LogitLoss, focus, hyperparameter


class Hill(LogitLoss):
    """Loss for missing labels: a negative that looks very positive is pushed less, not more."""

    name = "hill"
    paper = (
        "Zhang et al., Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, "
        "arXiv 2112.07368, section 3.2"
    )
    version = 1

    lamb: float = hyperparameter(
        1.5, "λ in the negatives' (λ - p) p², which falls again where p exceeds 2λ/3"
    )
    margin: float = hyperparameter(1.0, "subtracted from the logits of positives")
    gamma: float = hyperparameter(2.0, "focusing of the positives", least=0)

    def entries(self, positive: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """-(1-p_m)^γ log p_m with p_m = σ(x - margin) for positives, (λ - p) p² for negatives."""
        shifted = logits - self.margin
        of_positives = -focus((-shifted).sigmoid(), self.gamma) * F.logsigmoid(shifted)
        probability = logits.sigmoid()
        return of_positives.where(positive, (self.lamb - probability) * probability**2)
