"""The focal loss of Lin et al. 2017."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import LogitLoss, focus, hyperparameter


class Focal(LogitLoss):
    """Binary cross-entropy in which entries that are already right count less."""

    name = "focal"
    paper = "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002, eq. 4-5"
    version = 1

    gamma: float = hyperparameter(2.0, "focusing", least=0)
    alpha: float | None = hyperparameter(
        None,
        "weight of the positives, that of the negatives being the rest to 1",
        least=0,
        most=1,
        optional=float,
    )

    def entries(self, positive: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """-α_t (1-p_t)^γ log p_t with p_t = σ(x) for positives and 1-σ(x) for negatives."""
        right = logits.where(positive, -logits)
        entries = -focus((-right).sigmoid(), self.gamma) * F.logsigmoid(right)
        if self.alpha is None:
            return entries
        return entries * (positive * self.alpha + ~positive * (1 - self.alpha))
