"""Training with mixtures of two examples, an option of the recipe (Zhang et al., mixup, 1710.09412).

Each example of a batch is mixed with one other, x_j with the share λ and x_π(j) with 1 - λ, before the encoder or
behind it. Losses that contrast examples with mixtures are given both (Metrix, 2106.04990); other losses are given the
mixtures in the place of the examples, with their label sets mixed, which is the control for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mlcl_utils.errors import UsageError
from mlcl_utils.losses.base import INDEX, Loss
from mlcl_utils.losses.combined import Combined
from mlcl_utils.losses.metrix import drawn_share, random_partners
from mlcl_utils.training import parallel
from mlcl_utils.training.recipe import Recipe


class Draw(NamedTuple):
    """What is mixed in a batch.

    Attributes:
        partners: (batch,) int64, the example that each is mixed with.
        mixing: the share of the first, a scalar.
    """

    partners: Tensor
    mixing: Tensor


def draws(
    sizes: Sequence[int], recipe: Recipe, generator: torch.Generator, device: torch.device
) -> list[Draw]:
    """What is mixed in each of some batches, sent to the device at once.

    An example is mixed with one that is encoded together with it: of the same process, and of the same part of a batch
    that is encoded in parts. One that is encoded alone is mixed with itself.

    Args:
        sizes: of the batches.
        recipe: says how shares are drawn, and in how many parts batches are encoded.
        generator: of the CPU, the same in every process.
        device: where they are put.
    """
    alpha = torch.full((2,), recipe.mix_alpha)
    partners, shares = [], []
    for size in sizes:
        blocks = [
            block + random_partners(torch.rand(number, generator=generator))
            for block, number in _together(size, recipe.accumulate)
        ]
        partners.append(torch.cat(blocks))
        shares.append(drawn_share(alpha, generator))
    there = torch.split(torch.cat(partners).to(device), list(sizes))
    return [Draw(*each) for each in zip(there, torch.stack(shares).to(device).unbind(), strict=True)]


def _together(size: int, accumulate: int) -> Iterator[tuple[int, int]]:
    """The first example, and the number, of those of a batch that are encoded together."""
    for share in torch.arange(size).tensor_split(parallel.size()):
        for part in share.tensor_split(max(1, min(accumulate, len(share)))):
            if len(part):
                yield int(part[0]), len(part)


class Mixup(nn.Module):
    """A loss of mixtures by the label sets of both partners: λ ℓ(y_j) + (1-λ) ℓ(y_π(j)), ℓ being the loss.

    Where the loss is linear in the labels, as binary cross-entropy is, this is its value at the targets
    λ y_j + (1-λ) y_π(j). Without mixtures it is the loss itself.

    Args:
        criterion: a mean or a sum over examples that does not contrast them with each other.
        recipe: says what is mixed.
        loss: its name.

    Attributes:
        tensors, starts_at_half: those of the loss.
        reported: None; the value is what is to be reported.

    Raises:
        UsageError: the loss is none of mixtures.
    """

    def __init__(self, criterion: Loss | Combined, recipe: Recipe, *, loss: str) -> None:
        super().__init__()
        _check(criterion, recipe, loss)
        self.criterion, self.tensors = criterion, criterion.tensors
        self.starts_at_half = criterion.starts_at_half
        self.takes_mixtures = False  # embedded beside the examples
        self.reported: Tensor | None = None
        self.scores = getattr(criterion, "scores", None)

    def forward(
        self,
        labels: Tensor,
        *,
        partners: Tensor | None = None,
        mixing: Tensor | None = None,
        **given: Any,
    ) -> Tensor:
        """The loss of mixtures of the examples that have the labels, each with its partner."""
        value: Tensor = self.criterion(labels, **given)
        if partners is None or mixing is None:
            return value
        other: Tensor = self.criterion(labels[partners], **given)
        return mixing * value + (1 - mixing) * other

    def expect(self, examples: int) -> None:
        """Make room in the loss; see :meth:`mlcl_utils.losses.base.Loss.expect`."""
        self.criterion.expect(examples)


def _check(criterion: Loss | Combined, recipe: Recipe, loss: str) -> None:
    parts = [part for part in criterion.modules() if isinstance(part, Loss)]
    reason = ""
    if any(part.compares_examples for part in parts):
        reason = "contrasts examples with each other; metrix and metrix_supcon are losses that take mixtures"
    elif INDEX in criterion.tensors:
        reason = "keeps something of each training example, and a mixture is none of them"
    elif not criterion.by_example:
        reason = "is no mean over examples"
    if reason:
        raise UsageError(f"mix={recipe.mix} mixes examples, and the loss '{loss}' {reason}")


def for_mixtures(criterion: Loss | Combined, recipe: Recipe, *, loss: str) -> Loss | Combined | Mixup:
    """A loss as it is trained with mixtures: itself, where it contrasts examples with them.

    Raises:
        UsageError: the loss is none of mixtures, or has hyperparameters of mixtures that it would make itself; or
            the recipe weighs examples by their loss.
    """
    if recipe.reweight != "none":
        raise UsageError(
            f"mix={recipe.mix} does not go with reweight={recipe.reweight}; leave one of them out"
        )
    if not criterion.takes_mixtures:
        return Mixup(criterion, recipe, loss=loss)
    for part in criterion.modules():
        if isinstance(part, Loss):
            declared = part.info().hyperparameters
            for name in part.of_own_mixtures:
                if getattr(part, name) != declared[name].default:
                    raise UsageError(
                        f"mix={recipe.mix} makes the mixtures of '{loss}', with a share by mix_alpha; leave {name} out"
                    )
    return criterion
