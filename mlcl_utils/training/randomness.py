"""The random state of a training, apart from that of whoever calls it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class RandomState:
    """What random numbers are drawn from, on the CPU and on a GPU.

    Args:
        device: of the training.
        seed: that it begins with.

    Attributes:
        kept: the states in which the training was left, the CPU's first, as bytes of generators.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self._cuda = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._cuda):
            torch.manual_seed(seed)
            self.kept = self.now()

    def now(self) -> list[Tensor]:
        """The states as they are at the moment, whoever has drawn from them."""
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._cuda)]

    def set(self, states: Sequence[Tensor]) -> None:
        """Draw from these states on."""
        torch.set_rng_state(states[0])
        for device, state in zip(self._cuda, states[1:], strict=True):
            torch.cuda.set_rng_state(state, device)

    @contextmanager
    def used(self) -> Iterator[None]:
        """The training's own states in place of the caller's, kept from one use to the next."""
        with torch.random.fork_rng(devices=self._cuda):
            self.set(self.kept)
            yield
            self.kept = self.now()
