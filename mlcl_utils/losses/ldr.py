"""Label-distributionally robust losses of Zhu, Ying and Yang 2023: LDR, and ALDR, which adapts to each example."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, INDEX, Examples, Loss, hyperparameter, softplus
from mlcl_utils.losses.moving import Kept

_PAPER = (
    "Zhu, Ying, Yang, Label Distributionally Robust Losses for Multi-class Classification, arXiv 2112.14869"
)
_NORMALISATIONS = ("none", "softplus", "l1", "softplus_l1")


class _Rows(NamedTuple):
    """The rows of a batch: normalised logits, that of a virtual label at zero (rows, 1), and which entries are what."""

    logits: Tensor
    zero: Tensor
    observed: Tensor
    positive: Tensor


class LDR(Loss):
    """Each positive against the worst distribution over the negatives, less a penalty on its distance from uniform."""

    name = "ldr"
    family = "classification"
    paper = _PAPER
    version = 1

    strength: float = hyperparameter(
        1.0, "of the penalty: small, the worst negative counts; large, all alike", above=0
    )
    margin: float = hyperparameter(2.0, "by which a positive is to exceed a negative", least=0)
    normalise: str = hyperparameter(
        "softplus",
        "of a row of logits: by its mean absolute value (l1), after a softplus (softplus, softplus_l1), or none",
        choices=_NORMALISATIONS,
    )
    threshold: bool = hyperparameter(
        False, "a virtual label at zero, among the negatives of each positive and a positive itself"
    )
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """Mean over the examples with a positive."""
        return _mean(self.examples(labels, logits=logits))

    def examples(self, labels: Tensor, *, logits: Tensor) -> Examples:
        """The mean over an example's positives p of λ log((1 + Σ_n e^{(x_n - x_p + margin)/λ}) / (1 + negatives))."""
        rows = self._rows(labels, logits)
        return self._robust(rows, torch.full_like(rows.zero, self.strength))

    def _rows(self, labels: Tensor, logits: Tensor) -> _Rows:
        observed = labels >= 0 if self.ignore_unobserved else torch.ones_like(labels, dtype=torch.bool)
        zero = torch.zeros_like(logits[:, :1])
        if self.normalise.startswith("softplus"):
            logits, zero = softplus(logits), softplus(zero)
        if self.normalise != "none":
            number = observed.sum(dim=1, keepdim=True).clamp(min=1)
            size = logits.abs().where(observed, 0).sum(dim=1, keepdim=True) / number
            size = size.clamp(min=1e-6)  # where all logits are near zero
            logits, zero = logits / size, zero / size
        return _Rows(logits, zero, observed, labels > 0)

    def _robust(self, rows: _Rows, strength: Tensor) -> Examples:
        """The loss of each row with strengths (rows, 1) of their own."""
        negative = rows.observed & ~rows.positive
        scaled, own = rows.logits / strength, rows.positive
        # finite where there is no negative, so that no gradient is inf - inf
        lowest = torch.finfo(scaled.dtype).min / 4
        rivals = scaled.masked_fill(~negative, lowest)
        number = negative.sum(dim=1, keepdim=True).to(scaled.dtype)
        counted = own.any(dim=1)
        against_all = self._terms(rivals, number, scaled, strength)
        if self.threshold:  # against the negatives; and among them, against the positives
            level = rows.zero / strength
            with_level = torch.cat([rivals, level], dim=1)
            terms = self._terms(with_level, number + 1, scaled, strength).where(own, 0).sum(dim=1)
            alone = self._terms(rivals, number, level, strength).squeeze(1)
            counted = rows.observed.any(dim=1)
            return Examples(((terms + alone) / (1 + own.sum(dim=1))).where(counted, 0), counted)
        total = against_all.where(own, 0).sum(dim=1)
        return Examples(total / own.sum(dim=1).clamp(min=1), counted)

    def _terms(self, rivals: Tensor, number: Tensor, own: Tensor, strength: Tensor) -> Tensor:
        """λ log((1 + Σ_n e^{(x_n - x + margin)/λ}) / (1 + number)) of positives x (rows, some), all divided by λ."""
        level = rivals.logsumexp(dim=1, keepdim=True)
        gap = (level - own + self.margin / strength).where(number > 0, 0)
        return (strength * (softplus(gap) - (1 + number).log())).where(number > 0, 0)


class ALDR(LDR):
    """LDR with a strength for each example: small where the model is sure of it, large where it is not."""

    name = "aldr"
    paper = _PAPER
    version = 1

    strength: float = hyperparameter(1.0, "of the penalty, where the model knows nothing", above=0)
    margin: float = hyperparameter(0.1, "by which a positive is to exceed a negative", least=0)
    normalise: str = hyperparameter("l1", "of a row of logits; see ldr", choices=_NORMALISATIONS)
    adaptivity: float = hyperparameter(2.0, "α; the larger, the less strengths differ", above=1)
    iterations: int = hyperparameter(1, "times that a strength is adapted at each visit", least=1)
    memory: bool = hyperparameter(
        False, "whether a training example goes on from the strength of its last visit; takes index"
    )

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters; with ``memory`` the logarithms of the strengths are in ``strengths``."""
        super().__init__(**hyperparameters)
        self.strengths = Kept() if self.memory else None
        if self.strengths is not None:
            self.tensors += (INDEX,)

    def compute(self, labels: Tensor, *, logits: Tensor, **given: Any) -> Tensor:
        """Mean over the examples with a positive."""
        return _mean(self.examples(labels, logits=logits, **given))

    def examples(self, labels: Tensor, *, logits: Tensor, **given: Any) -> Examples:
        """LDR with an example's strength λ_i, less ½ (α log K / λ) (λ_i - λ)², with K the number of its labels."""
        rows = self._rows(labels, logits)
        number = rows.observed.sum(dim=1, keepdim=True).to(logits.dtype)
        strength = self._adapted(rows, number, given.get(INDEX))
        values, counted = self._robust(rows, strength)
        log_number = number.clamp(min=1).log()
        constant = self.adaptivity * log_number / (2 * self.strength) * (strength - self.strength) ** 2
        return Examples((values - constant.squeeze(1)).where(counted, 0), counted)

    @torch.no_grad()
    def _adapted(self, rows: _Rows, number: Tensor, index: Tensor | None) -> Tensor:
        """The strengths (rows, 1): λ (1 - KL(p ‖ uniform) / (α log K)) for p the softmax by the one before."""
        strength = torch.full_like(rows.zero, self.strength)
        if self.strengths is not None and index is not None:
            self.strengths.make_room(index, 0)
            kept = self.strengths.logs[index, None].exp().to(strength.dtype)
            strength = kept.where(kept > 0, strength)
        log_number = number.clamp(min=1).log()
        for _ in range(self.iterations):
            scores = (rows.logits / strength).masked_fill(
                ~rows.observed, torch.finfo(rows.logits.dtype).min / 4
            )
            share = (scores.softmax(dim=1) + 1e-5).where(rows.observed, 0)
            share = share / share.sum(dim=1, keepdim=True).clamp(min=1e-5)
            divergence = log_number + torch.special.xlogy(share, share).sum(dim=1, keepdim=True)
            # one label is no distribution: its strength stays
            share_of_most = divergence / (self.adaptivity * log_number).where(number > 1, 1)
            strength = self.strength * (1 - share_of_most.where(number > 1, 0))
        if self.strengths is not None and index is not None:
            log = strength.squeeze(1).log().to(self.strengths.logs.dtype)
            self.strengths.put(index, log, rows.observed.any(dim=1))
        return strength

    def expect(self, examples: int) -> None:
        """Make room for the strengths of so many training examples."""
        if self.strengths is not None:
            self.strengths.expect(examples)


def _mean(each: Examples) -> Tensor:
    return each.values.sum() / each.counted.sum().clamp(min=1)
