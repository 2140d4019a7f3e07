"""How batches of inputs come to the device: at once where all of it is there, else read ahead by threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor, device

from mlcl_utils.models.encoder import Inputs, Rows

_AHEAD = 4  # batches that are read ahead
_THREADS = 2  # that read them: copying rows leaves the interpreter's lock alone


class Batches:
    """The inputs of one part of a task, to be taken batch by batch.

    A tensor is put on the device whole. :class:`mlcl_utils.models.encoder.Rows`, which may be larger than memory, are
    read by threads some batches ahead, into pinned memory where the device is a GPU, so that copying to it goes on
    beside the arithmetic.

    Args:
        inputs: one row per example.
        where: the device.

    Attributes:
        waited: seconds that whoever took batches has waited for them to be read.
    """

    def __init__(self, inputs: Inputs, where: device) -> None:
        self._rows = inputs if isinstance(inputs, Rows) else None
        self._resident = None if isinstance(inputs, Rows) else inputs.to(where)
        self._size = len(inputs)
        self._device = where
        self.waited = 0.0

    def __len__(self) -> int:
        return self._size

    def over(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """The inputs of one batch after the other, on the device.

        Args:
            batches: int64 positions of their examples, on the CPU.
        """
        if self._resident is not None:
            # one transfer for all of them: each would wait for the device
            there = torch.cat(list(batches)).to(self._device)
            for batch in torch.split(there, [len(batch) for batch in batches]):
                yield self._resident[batch]
            return
        waiting: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            for batch in batches:
                waiting.append(pool.submit(self._read, batch))
                if len(waiting) > _AHEAD:
                    yield self._taken(waiting.popleft())
            while waiting:
                yield self._taken(waiting.popleft())

    def _read(self, batch: Tensor) -> Tensor:
        assert self._rows is not None
        rows = self._rows[batch]
        return rows.pin_memory() if self._device.type == "cuda" else rows

    def _taken(self, future: Future[Tensor]) -> Tensor:
        start = time.perf_counter()
        rows = future.result()
        self.waited += time.perf_counter() - start
        return rows.to(self._device, non_blocking=True)
