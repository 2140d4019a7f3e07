"""ZLPR, the zero-bounded log-sum-exp and pairwise rank loss of Su et al. 2022."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, TAU, Examples, Loss, comp_sum


class ZLPR(Loss):
    """Positives are ranked above zero and negatives below it, by soft maxima over the labels."""

    name = "zlpr"
    family = "classification"
    paper = "Su et al., ZLPR: A Novel Loss for Multi-label Classification, arXiv 2208.02955, eq. 5"
    version = 1

    tau: float = TAU
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """Mean over the examples of log(1 + Σ_{l∉y} e^{x_l}) + log(1 + Σ_{l∈y} e^{-x_l})."""
        each = self.examples(labels, logits=logits)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, logits: Tensor) -> Examples:
        """The terms of the mean, each logarithm in the form that τ asks for.

        An example without an observed entry has 0 and does not count.
        """
        observed = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        positive = labels > 0
        below = log_one_plus(logits, observed & ~positive)
        values = comp_sum(below, self.tau) + comp_sum(log_one_plus(-logits, positive), self.tau)
        return Examples(values, observed.any(dim=1))


def log_one_plus(logits: Tensor, kept: Tensor) -> Tensor:
    """log(1 + Σ_l e^{x_l}) over the kept entries of each row."""
    zero = logits.new_zeros(len(logits), 1)
    return torch.cat([zero, logits.masked_fill(~kept, -torch.inf)], dim=1).logsumexp(dim=1)
