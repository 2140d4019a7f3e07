"""Comp-sum losses of Mao, Mohri and Zhong 2023, of which cross-entropy is one."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, TAU, Examples, Loss, comp_sum, hyperparameter, softplus
from mlcl_utils.losses.zlpr import log_one_plus


class CompSum(Loss):
    """One parameter runs from sum-exponential over cross-entropy to the mean absolute error."""

    name = "comp_sum"
    family = "classification"
    paper = (
        "Mao, Mohri, Zhong, Cross-Entropy Loss Functions: Theoretical Analysis and Applications, arXiv 2304.07288, "
        "section 2; the multi-label forms are this project's"
    )
    version = 1

    tau: float = TAU
    over: str = hyperparameter(
        "threshold",
        "what is compared: threshold: labels with a virtual label at zero, as in zlpr; labels: each on its own, as in "
        "bce; positives: each with the negatives, which leaves a row's level free",
        choices=("threshold", "labels", "positives"),
    )
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """Mean over the examples; over those with a positive where positives are compared."""
        each = self.examples(labels, logits=logits)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, logits: Tensor) -> Examples:
        """The terms of the mean: with Φ(u) = ((1+u)^{1-τ} - 1)/(1-τ),

        Φ(Σ_n e^{x_n}) + Φ(Σ_p e^{-x_p}); Σ_l Φ(e^{∓x_l}); or the mean over the positives p of Φ(Σ_n e^{x_n - x_p}).
        """
        observed = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        positive = labels > 0
        negative = observed & ~positive
        if self.over == "labels":
            entries = comp_sum(softplus(logits.where(negative, -logits)), self.tau)
            return Examples(entries.where(observed, 0).sum(dim=1), observed.any(dim=1))
        if self.over == "threshold":
            both = log_one_plus(logits, negative), log_one_plus(-logits, positive)
            return Examples(comp_sum(both[0], self.tau) + comp_sum(both[1], self.tau), observed.any(dim=1))
        compared = positive & negative.any(dim=1, keepdim=True)  # without a negative nothing is lost
        # finite where there is no negative, so that no gradient is inf - inf
        lowest = torch.finfo(logits.dtype).min / 4
        level = logits.masked_fill(~negative, lowest).logsumexp(dim=1, keepdim=True)
        entries = comp_sum(softplus((level - logits).masked_fill(~compared, 0)), self.tau)
        number = positive.sum(dim=1)
        return Examples(entries.where(compared, 0).sum(dim=1) / number.clamp(min=1), number > 0)
