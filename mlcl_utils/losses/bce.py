"""Binary cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import TAU, LogitLoss, comp_sum


class BCE(LogitLoss):
    """Binary cross-entropy: each label is its own problem."""

    name = "bce"
    paper = "the maximum likelihood of independent labels"
    version = 1

    tau: float = TAU

    def entries(self, positive: Tensor, logits: Tensor, epoch: int) -> Tensor:
        """-[y log σ(x) + (1-y) log(1-σ(x))] for each entry; with τ ≠ 1 the comp-sum loss in its place."""
        target = positive.to(logits.dtype)
        return comp_sum(F.binary_cross_entropy_with_logits(logits, target, reduction="none"), self.tau)
