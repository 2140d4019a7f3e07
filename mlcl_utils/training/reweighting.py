"""Examples weighed by their own loss, an option of the recipe over any loss that has values of examples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mlcl_utils.errors import UsageError
from mlcl_utils.losses.base import LogitLoss, Loss
from mlcl_utils.losses.combined import Combined
from mlcl_utils.training.recipe import Recipe


def weights(values: Tensor, counted: Tensor, shape: str, spread: float) -> Tensor:
    """The weights of the examples of a batch, or of each column's entries, by their losses (Sow et al., 2502.06733).

    h runs from -1, at the smallest loss, to 1, at the largest; the weights are a softmax of f(h)/spread, with f by
    ``shape``: ``linupper`` min(h + 1, 1), which makes the lower half count less; ``quadratic`` 1 - h², for losses in
    the middle; ``extremes`` |h|; ``upper`` (h + 1)/2.

    Args:
        values: (batch,) losses, or (batch, labels), each column on its own; no gradient flows through them.
        counted: bool of the same shape, those that are weighed.
        shape: of f.
        spread: above 0; the larger, the more equal the weights.

    Returns:
        The same shape, with a sum of 1 along the batch, or of 0 where none counts; 0 for those that do not count.
    """
    with torch.no_grad():
        low = values.masked_fill(~counted, torch.inf).amin(dim=0)
        high = values.masked_fill(~counted, -torch.inf).amax(dim=0)
        any_counted = counted.any(dim=0)
        low, high = low.where(any_counted, 0), high.where(any_counted, 0)
        h = (2 * values - (high + low)) / (high - low).clamp(min=1e-6)
        match shape:
            case "linupper":
                f = (h + 1).clamp(max=1)
            case "quadratic":
                f = 1 - h**2
            case "extremes":
                f = h.abs()
            case "upper":
                f = (h + 1) / 2
            case _:
                raise ValueError(f"shape must be linupper, quadratic, extremes or upper, was {shape!r}")
        # finite, so that a batch without examples that count is no inf - inf
        lowest = torch.finfo(f.dtype).min
        return (f / spread).masked_fill(~counted, lowest).softmax(dim=0) * counted


class Reweighted(nn.Module):
    """A loss whose examples are weighed by their own loss in training; in evaluation mode it is the loss itself.

    With ``reweight_unit=entry`` the entries of every label are weighed among each other instead.

    Args:
        criterion: a mean or a sum over examples.
        recipe: says how they are weighed.
        after: steps that are made before, with the plain loss.

    Attributes:
        tensors, starts_at_half: those of the loss.
        reported: after a step in training, the plain loss of the batch.

    Raises:
        UsageError: the loss has no values of examples, or of entries; or there is a queue, whose embeddings are
            candidates alone.
    """

    steps: Tensor

    def __init__(self, criterion: Loss | Combined, recipe: Recipe, *, loss: str, after: int) -> None:
        super().__init__()
        if not criterion.by_example:
            raise UsageError(
                f"reweight={recipe.reweight} weighs examples, and the loss '{loss}' is no mean over examples"
            )
        if recipe.queue:
            raise UsageError(
                f"reweight={recipe.reweight} does not go with queue={recipe.queue}; leave one of them out"
            )
        if recipe.reweight_unit == "entry" and not isinstance(criterion, LogitLoss):
            raise UsageError(
                f"reweight_unit=entry weighs the entries of every label, and the loss '{loss}' is no sum over entries;"
                " leave reweight_unit out"
            )
        self.criterion, self.tensors = criterion, criterion.tensors
        self.starts_at_half = criterion.starts_at_half
        self.scores = getattr(criterion, "scores", None)
        self.reported: Tensor | None = None
        self._shape, self._spread, self._after = recipe.reweight, recipe.reweight_spread, after
        self._by_entry = recipe.reweight_unit == "entry"
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._made = 0  # the same number, which can be looked at without waiting for a device

    def forward(self, labels: Tensor, *, epoch: int = 0, **tensors: Tensor) -> Tensor:
        """The weighted mean over the examples that count; times their number where the loss is a sum."""
        self.reported = None
        if self.training:
            self._made += 1
            self.steps.fill_(self._made)
        if not self.training or self._made <= self._after:
            plain: Tensor = self.criterion(labels, epoch=epoch, **tensors)
            return plain
        if self._by_entry:
            return self._entries(labels, epoch=epoch, **tensors)
        each = self.criterion.example_values(labels, epoch=epoch, **tensors)
        number = each.counted.sum()
        scale = number if self.criterion.is_sum else number.clamp(max=1)
        self.reported = each.values.detach().sum() * scale / number.clamp(min=1)
        return (weights(each.values, each.counted, self._shape, self._spread) * each.values).sum() * scale

    def _entries(self, labels: Tensor, *, logits: Tensor, epoch: int) -> Tensor:
        """The loss with the weighted mean of a label's entries in place of their mean."""
        assert isinstance(self.criterion, LogitLoss)
        entries = self.criterion.entries(labels > 0, logits, epoch)
        counted = self.criterion.counted(labels)
        weighed = weights(entries, counted, self._shape, self._spread) * counted.sum(dim=0)
        self.reported = self.criterion.reduce(labels, entries).detach()
        return self.criterion.reduce(labels, weighed * entries)

    def expect(self, examples: int) -> None:
        """Make room in the loss; see :meth:`mlcl_utils.losses.base.Loss.expect`."""
        self.criterion.expect(examples)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Go on from a state, the number of steps included."""
        found = super().load_state_dict(*args, **options)
        self._made = int(self.steps)
        return found
