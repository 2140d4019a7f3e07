"""The Z-loss of de Brébisson and Vincent 2016: a softplus of standardised logits."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, Examples, Loss, hyperparameter, softplus

_SMALLEST = 1e-12  # added to a variance: logits that are all equal, as at a start from zero, have none


class ZLoss(Loss):
    """The logits of the positives exceed the others of their example, in units of their standard deviation."""

    name = "z_loss"
    family = "classification"
    paper = (
        "de Brébisson, Vincent, The Z-loss: a shift and scale invariant classification loss belonging to the Spherical "
        "Family, arXiv 1604.08859; the mean over positives is this project's"
    )
    version = 1

    sharpness: float = hyperparameter(1.0, "how sharp the bend of the softplus is at the location", above=0)
    location: float = hyperparameter(
        0.0, "standardised logit that positives are to exceed; also the threshold of an answer"
    )
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """Mean over the examples with a positive."""
        each = self.examples(labels, logits=logits)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, logits: Tensor) -> Examples:
        """The mean over an example's positives p of sp(a (b - z_p)) / a."""
        observed = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        positive = labels > 0
        entries = softplus(self.sharpness * (self.location - _standardised(logits, observed)))
        number = positive.sum(dim=1)
        values = (entries * positive).sum(dim=1) / number.clamp(min=1) / self.sharpness
        return Examples(values, number > 0)

    def scores(self, *, logits: Tensor) -> Tensor:
        """Scores (batch, labels) of the loss's own head: the standardised logits less the location."""
        return _standardised(logits, torch.ones_like(logits, dtype=torch.bool)) - self.location


def _standardised(logits: Tensor, observed: Tensor) -> Tensor:
    """The logits of each row less their mean, over their standard deviation; 0 where not observed."""
    number = observed.sum(dim=1, keepdim=True).clamp(min=1)
    mean = logits.where(observed, 0).sum(dim=1, keepdim=True) / number
    centred = (logits - mean).where(observed, 0)
    variance = centred.square().sum(dim=1, keepdim=True) / number
    return centred / (variance + _SMALLEST).sqrt()
