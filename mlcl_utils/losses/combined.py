"""A sum of losses."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlcl_utils.errors import unknown
from mlcl_utils.losses.base import MIXTURES, Examples, Loss, check_call, check_names
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
        self._part_tensors = {name: part.tensors for name, part in self._named()}
        self.tensors = _union(self._part_tensors.values())
        self.reported: Tensor | None = None
        first = next(iter(self.parts))
        if getattr(self.parts[first], "scores", None) is not None:
            self.scores = functools.partial(self._scores_of, first)

    def _scores_of(self, part: str, **tensors: Tensor) -> Tensor:
        """The scores (batch, labels) of the own head of a part, from the tensors of the sum."""
        scorer: Any = self.parts[part].scores
        scores: Tensor = scorer(**{name: tensors[name] for name in self._part_tensors[part]})
        return scores

    def forward(self, labels: Tensor, *misplaced: object, epoch: int = 0, **tensors: Tensor) -> Tensor:
        """The sum of the parts; see :meth:`mlcl_utils.losses.base.Loss.forward`.

        Raises:
            TypeError: tensors without their names.
            ValueError: other tensors than the parts take together, or what a part refuses.
        """
        check_call("+".join(self.parts), misplaced, self.tensors)
        given = [name for name in tensors if not (self.takes_mixtures and name in MIXTURES)]
        check_names("+".join(self.parts), given, self.tensors, self.training)
        values = [
            part(labels, epoch=epoch, **self._of_part(name, tensors)) for name, part in self.parts.items()
        ]
        reported = [part.reported for _, part in self._named()]
        self.reported = None
        if any(each is not None for each in reported):
            self.reported = torch.stack(
                [v.detach() if r is None else r for v, r in zip(values, reported, strict=True)]
            ).sum()
        return torch.stack(values).sum()

    def _of_part(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        part = self.parts[name]
        mixtures = MIXTURES if isinstance(part, Loss) and part.takes_mixtures else ()
        return {key: tensors[key] for key in (*self._part_tensors[name], *mixtures) if key in tensors}

    def _named(self) -> list[tuple[str, Loss]]:
        return [(name, part) for name, part in self.parts.items() if isinstance(part, Loss)]

    @property
    def takes_mixtures(self) -> bool:
        """Whether a part contrasts examples with mixtures; it alone is given them."""
        return any(part.takes_mixtures for _, part in self._named())

    @property
    def by_example(self) -> bool:
        """Whether all parts are means or sums over the examples."""
        return all(part.by_example for _, part in self._named())

    @property
    def is_sum(self) -> bool:
        """Whether all parts are sums over the examples."""
        return all(part.is_sum for _, part in self._named())

    @property
    def starts_at_half(self) -> bool:
        """Whether all parts would have the logits start near 0."""
        return all(part.starts_at_half for _, part in self._named())

    def per_example(self, labels: Tensor, *, epoch: int = 0, **tensors: Tensor) -> Tensor:
        """The values of the examples; see :meth:`mlcl_utils.losses.base.Loss.per_example`."""
        return self.example_values(labels, epoch=epoch, **tensors).values

    def example_values(self, labels: Tensor, *, epoch: int = 0, **tensors: Tensor) -> Examples:
        """The sums of the parts' values, so scaled that their mean over all that count in any part is the loss.

        Raises:
            ValueError: a part has no values of examples; other tensors than the parts take together.
        """
        check_names("+".join(self.parts), tensors, self.tensors, self.training)
        found = [
            part.example_values(labels, epoch=epoch, **self._of_part(name, tensors))
            for name, part in self._named()
        ]
        counted = torch.stack([each.counted for each in found]).any(dim=0)
        total = counted.sum()
        values = []
        for each, (_, part) in zip(found, self._named(), strict=True):
            scale = each.values.new_ones(()) if part.is_sum else 1 / each.counted.sum().clamp(min=1)
            values.append(each.values * scale * (1 if self.is_sum else total))
        return Examples(torch.stack(values).sum(dim=0), counted)

    def expect(self, examples: int) -> None:
        """Make room in every part; see :meth:`mlcl_utils.losses.base.Loss.expect`."""
        for _, part in self._named():
            part.expect(examples)


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
