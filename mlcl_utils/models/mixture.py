"""Mixtures of examples, as training makes them before the heads."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor


class Mixture(NamedTuple):
    """How the examples of a batch are mixed, each with one other of it.

    Attributes:
        partners: (n,) int64, with which; each comes once.
        mixing: a scalar in [0, 1], the share of the first.
        level: what is mixed: the encoder's ``input``, or its representation, the ``feature``.
        beside: whether the mixtures are embedded beside the examples, as ``mixed``, or take their place.
    """

    partners: Tensor
    mixing: Tensor
    level: Literal["input", "feature"]
    beside: bool

    def of(self, values: Tensor) -> Tensor:
        """The mixtures of the rows of values (n, ...)."""
        share = self.mixing.to(values.dtype)
        return share * values + (1 - share) * values[self.partners]
