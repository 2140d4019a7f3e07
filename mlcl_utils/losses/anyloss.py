"""AnyLoss of Han, Moniz and Chawla 2024: one minus a metric of an amplified confusion matrix."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, Examples, Loss, hyperparameter


class AnyLoss(Loss):
    """The metric itself is optimised, with answers that are all but 0 or 1 in the place of 0 and 1."""

    name = "anyloss"
    family = "classification"
    paper = (
        "Han, Moniz, Chawla, AnyLoss: Transforming Classification Metrics into Loss Functions, arXiv 2405.14745; the "
        "averages over labels and examples are this project's"
    )
    version = 1
    starts_at_half: ClassVar[bool] = True

    metric: str = hyperparameter(
        "fbeta", "what is optimised", choices=("fbeta", "accuracy", "gmean", "balanced_accuracy")
    )
    beta: float = hyperparameter(1.0, "weight of recall in fbeta", above=0)
    amplification: float = hyperparameter(73.0, "how close to 0 and 1 the answers are", above=0)
    average: str = hyperparameter(
        "macro",
        "macro: a metric for each label, averaged; micro: one for all entries; samples: one for each example",
        choices=("macro", "micro", "samples"),
    )
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    @property
    def by_example(self) -> bool:
        """Whether the groups are the examples."""
        return self.average == "samples"

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """Mean over the groups for which the metric is defined."""
        each = self._groups(labels, logits)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, logits: Tensor) -> Examples:
        """One minus the metric of each example, where each is a group."""
        return self._groups(labels, logits)

    def _groups(self, labels: Tensor, logits: Tensor) -> Examples:
        """One minus the metric of each label or example or of all entries, and for which of them it is defined."""
        observed = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        positive = labels > 0
        # a (p - ½) = (a/2) tanh(x/2); both sides, since 1 - σ would be 0 in float32 where σ(-·) is not
        amplified = self.amplification / 2 * (logits / 2).tanh()
        yes, no = amplified.sigmoid(), (-amplified).sigmoid()
        axes = {"macro": (0,), "micro": (0, 1), "samples": (1,)}[self.average]

        def total(entries: Tensor, kept: Tensor) -> Tensor:
            return entries.where(kept, 0).sum(dim=axes).reshape(-1)

        ones = torch.ones_like(yes)
        negative = observed & ~positive
        positives, negatives = total(ones, positive), total(ones, negative)
        hits, rejections = total(yes, positive), total(no, negative)
        if self.metric == "fbeta":
            counted = positives > 0
            square = self.beta**2
            whole = square * positives + total(yes, observed)
            found = (1 + square) * hits / whole.where(counted, 1)
        elif self.metric == "accuracy":
            counted = positives + negatives > 0
            found = (hits + rejections) / (positives + negatives).clamp(min=1)
        else:
            counted = (positives > 0) & (negatives > 0)
            rates = hits / positives.clamp(min=1), rejections / negatives.clamp(min=1)
            if self.metric == "gmean":  # the root has no finite slope at 0
                found = (rates[0] * rates[1]).clamp(min=1e-12).sqrt()
            else:
                found = (rates[0] + rates[1]) / 2
        return Examples((1 - found).where(counted, 0), counted)
