"""What goes slowly along with a trained model: an average of its weights, and a queue of its embeddings."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mlcl_utils.losses.contrast import unit
from mlcl_utils.models import Model


class Average:
    """A copy of a model whose weights are an exponential moving average of those of the model; buffers are copied.

    Args:
        model: what is averaged; the average starts with its weights.
        decay: share of the average that a step leaves, in (0, 1).

    Attributes:
        model: the copy.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model: Model = copy.deepcopy(model).requires_grad_(False)
        self._update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take a step after the model."""
        self._update(list(self.model.parameters()), list(model.parameters()), None)
        for own, new in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(new)


class MomentumQueue:
    """Embeddings of past batches, with their labels, as further candidates of a contrastive loss.

    They come from a slowly moving average of the model, so that old ones still fit the new (He et al., MoCo,
    1911.05722, section 3.2; with several labels Zhang and Wu, MulSupCon, 2402.01613). A batch enters after its own
    step: with a length of zero the loss is the plain one.

    Args:
        model: being trained.
        length: embeddings that are kept.
        momentum: decay of the average, in (0, 1).
    """

    def __init__(self, model: Model, length: int, momentum: float) -> None:
        self._length, self._average = length, Average(model, momentum)
        self._embeddings: Tensor | None = None
        self._labels: Tensor | None = None

    def joined(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A batch, (n, dim) embeddings and (n, labels), with what is in the queue behind it."""
        if self._embeddings is None or self._labels is None:
            return embeddings, labels
        return torch.cat([embeddings, self._embeddings.to(embeddings.dtype)]), torch.cat(
            [labels, self._labels]
        )

    @torch.no_grad()
    def embed(self, inputs: Tensor, model: Model) -> Tensor:
        """Follow the model a step, and give the average's unit embeddings of a batch."""
        self._average.follow(model)
        self._average.model.train()  # as the model: its batch normalisation sees the same batch
        return unit(self._average.model(inputs)["embeddings"].float())

    def push(self, embeddings: Tensor, labels: Tensor) -> None:
        """Put a batch in front; the oldest examples fall out behind."""
        before = (
            [] if self._embeddings is None or self._labels is None else [(self._embeddings, self._labels)]
        )
        both = zip((embeddings, labels), *before, strict=True)
        self._embeddings, self._labels = (torch.cat(parts)[: self._length] for parts in both)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs."""
        return {
            "average": self._average.model.state_dict(),
            "embeddings": self._embeddings,
            "labels": self._labels,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._average.model.load_state_dict(state["average"])
        device = next(self._average.model.parameters()).device
        found = (state["embeddings"], state["labels"])
        self._embeddings, self._labels = (part if part is None else part.to(device) for part in found)
