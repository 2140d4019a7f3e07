"""The asymmetric loss of Ridnik et al. 2021."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import ClassificationLoss, hyperparameter


class ASL(ClassificationLoss):
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
        # the power of an exact zero has no finite slope for exponents below 1
        wrong = (1 - right).clamp(min=torch.finfo(logits.dtype).tiny)
        focus = (wrong**self.gamma_pos).where(positive, wrong**self.gamma_neg)
        return -focus * right.clamp(min=self.eps).log()
