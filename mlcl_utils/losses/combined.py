"""A sum of losses."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlcl_utils.errors import unknown
from mlcl_utils.losses.base import Loss
from mlcl_utils.losses.info import LossInfo


class Combined(nn.Module):
    """The sum of some losses, each of which is given the tensors that it takes."""

    def __init__(self, classes: Mapping[str, type[Loss]], hyperparameters: Mapping[str, object]) -> None:
        """Create the parts.

        Args:
            classes: the parts by name.
            hyperparameters: a mapping for each part that is not to have its defaults.

        Raises:
            UsageError: an unknown part or hyperparameter.
            ValueError: a value out of range.
        """
        super().__init__()
        self.parts = nn.ModuleDict()
        for name in hyperparameters:
            if name not in classes:
                raise unknown(f"part of {'+'.join(classes)}", name, classes)
        for name, cls in classes.items():
            given = hyperparameters.get(name, {})
            if not isinstance(given, Mapping):
                raise ValueError(f"{name} must be a mapping of hyperparameters, was {given!r}")
            self.parts[name] = cls(**given)
        self._part_tensors = {name: cls.info().tensors for name, cls in classes.items()}
        self.tensors = _union(self._part_tensors.values())
        first = next(iter(self.parts))
        if hasattr(self.parts[first], "scores"):
            self.scores = functools.partial(self._scores_of, first)

    def _scores_of(self, part: str, **tensors: Tensor) -> Tensor:
        """The scores (batch, labels) of the own head of a part, from the tensors of the sum."""
        scorer: Any = self.parts[part].scores
        scores: Tensor = scorer(**{name: tensors[name] for name in self._part_tensors[part]})
        return scores

    def forward(self, labels: Tensor, *, epoch: int = 0, **tensors: Tensor) -> Tensor:
        """The sum of the parts; see :meth:`mlcl_utils.losses.base.Loss.forward`.

        Raises:
            ValueError: other tensors than the parts take together, or what a part refuses.
        """
        if set(tensors) != set(self.tensors):
            given = ", ".join(tensors) or "none of them"
            raise ValueError(f"{'+'.join(self.parts)} takes {', '.join(self.tensors)}, was given {given}")
        values = [
            part(labels, epoch=epoch, **{name: tensors[name] for name in self._part_tensors[key]})
            for key, part in self.parts.items()
        ]
        return torch.stack(values).sum()


def combined_info(parts: Sequence[LossInfo]) -> LossInfo:
    """The description of a sum: the family is that of the first part."""
    return LossInfo(
        name="+".join(part.name for part in parts),
        family=parts[0].family,
        tensors=_union(part.tensors for part in parts),
        hyperparameters={
            f"{part.name}.{name}": field for part in parts for name, field in part.hyperparameters.items()
        },
        summary=" ".join(part.summary for part in parts),
        paper="; ".join(part.paper for part in parts),
        version=sum(part.version for part in parts),
    )


def _union(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in names for name in part))
