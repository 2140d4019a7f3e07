"""The asymmetric loss of Ridnik et al. 2021."""

from __future__ import annotations

from torch import Tensor

from mlcl_utils.losses.base import LogitLoss, focus, hyperparameter


class ASL(LogitLoss):
    """Asymmetric loss: easy negatives count less than easy positives, and the easiest not at all."""

    name = "asl"
    paper = (
        "Ridnik et al., Asymmetric Loss For Multi-Label Classification, ICCV 2021, arXiv 2009.14119, eq. 4-7"
    )
    version = 1

    gamma_neg: float = hyperparameter(4.0, "focusing of the negatives", least=0)
    gamma_pos: float = hyperparameter(1.0, "focusing of the positives", least=0)
    clip: float = hyperparameter(0.05, "probability below which a negative counts nothing", least=0, most=1)
    eps: float = hyperparameter(1e-5, "lower bound of a probability under a logarithm", above=0, most=0.5)

    def entries(self, positive: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """-[y (1-p)^γ+ log p + (1-y) (1-q)^γ- log q] with p = σ(x), q = min(1-p+clip, 1)."""
        right = logits.sigmoid().where(positive, ((-logits).sigmoid() + self.clip).clamp(max=1))
        weight = focus(1 - right, self.gamma_pos).where(positive, focus(1 - right, self.gamma_neg))
        return -weight * right.clamp(min=self.eps).log()
