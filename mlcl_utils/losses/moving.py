"""What a loss keeps of each training example, such as the moving mean of its denominator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Kept(nn.Module):
    """A table of positive numbers, one for each training example, kept as logarithms: e^{s/τ} overflows in float32.

    Attributes:
        logs: (rows,) the logarithms, in float64; -inf for a row that has not been seen.
    """

    logs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("logs", torch.full((0,), -math.inf, dtype=torch.float64))
        self._expected: int | None = None

    def expect(self, rows: int) -> None:
        """Make room for so many rows, and refuse others."""
        self._expected = rows
        self._grow(rows)

    def _grow(self, rows: int) -> None:
        if rows > len(self.logs):
            more = self.logs.new_full((rows - len(self.logs),), -math.inf)
            self.logs = torch.cat([self.logs, more])

    def make_room(self, index: Tensor, first: int) -> None:
        """Make room for the rows of a batch's examples.

        Args:
            index: (n,) int64 positions of the examples, from 0.
            first: rows that stand before those of the examples.

        Raises:
            ValueError: a position beyond those expected; on the CPU alone.
        """
        if self._expected is None:
            if len(index):
                self._grow(first + int(index.max()) + 1)
            return
        self._grow(first + self._expected)
        looks = index.device.type == "cpu" and not torch.compiler.is_compiling() and len(index)
        if looks and (highest := int(index.max())) >= self._expected:
            raise ValueError(
                f"index must be below the {self._expected} examples that are expected, was {highest}"
            )

    def put(self, rows: Tensor, logs: Tensor, active: Tensor) -> None:
        """Keep logarithms (n,) for the rows (n,) that are active; the others are left as they are."""
        self.logs = self.logs.index_put((rows,), logs.where(active, self.logs[rows]))

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """As torch does, with as many rows as are stored."""
        stored = state.get(f"{prefix}logs")
        if stored is not None:
            self.logs = self.logs.new_full(stored.shape, -math.inf)
        super()._load_from_state_dict(state, prefix, *rest)


class MovingMeans(Kept):
    """Moving means of positive numbers, one for each row.

    A row that has not been seen takes its first number as it is (Yuan et al., SogCLR, 2202.12387; the estimator of
    MECO, 2306.07485).
    """

    @torch.no_grad()
    def step(self, rows: Tensor, log_new: Tensor, rate: float, active: Tensor) -> Tensor:
        """The logarithms of (1 - rate) · old + rate · new, which are kept for the rows that are active.

        Args:
            rows: (n,) int64, all different.
            log_new: (n,) logarithms of the new numbers.
            rate: weight of the new, in (0, 1].
            active: (n,) bool, rows that are moved; the others are left as they are.

        Returns:
            (n,) in the type of ``log_new``.
        """
        old, new = self.logs[rows], log_new.to(self.logs.dtype)
        faded = old + (math.log1p(-rate) if rate < 1 else -math.inf)
        moved = torch.logaddexp(faded, new + math.log(rate)).where(old > -math.inf, new)
        self.put(rows, moved, active)
        return moved.to(log_new.dtype)
