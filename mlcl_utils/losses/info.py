"""What a loss says about itself: readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlcl_utils.written import finite

Family = Literal["classification", "contrastive", "structure", "kernel"]


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter: its default, what it does and which values it may take.

    Attributes:
        default: the value when none is given; its type is the type that is accepted.
        description: one line.
        above: exclusive lower bound of a number.
        least: inclusive lower bound of a number.
        most: inclusive upper bound of a number.
        choices: the words a string may be.
        optional: the type that is accepted besides ``None``, for a default of ``None``.
        part_of: the word of another hyperparameter without which this one says nothing. Tables and searches that know
            only the defaults leave it out.
    """

    default: bool | int | float | str | None
    description: str
    above: float | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    optional: type[int] | type[float] | None = None
    part_of: str = ""

    @property
    def range(self) -> str:
        """The values it may take, in words."""
        if isinstance(self.default, bool):
            return "true or false"
        if self.choices:
            return ", ".join(self.choices[:-1]) + f" or {self.choices[-1]}"
        whole = "a whole number" if self._type is int else "a number"
        bounds = [
            *([f"above {self.above:g}"] if self.above is not None else []),
            *([f"at least {self.least:g}"] if self.least is not None else []),
            *([f"at most {self.most:g}"] if self.most is not None else []),
        ]
        none = ", or none" if self.optional else ""
        return " ".join([whole, " and ".join(bounds)]).strip() + none

    @property
    def _type(self) -> type:
        return self.optional or type(self.default)

    def check(self, name: str, value: Any) -> Any:
        """The value as it will be used, an integer turned into a number where a number is asked for.

        Raises:
            ValueError: the value is of another type or out of range; says which argument, and what it was.
        """
        if value is None and self.optional:
            return None
        wrong = ValueError(f"{name} must be {self.range}, was {value!r}")
        if isinstance(self.default, bool):
            valid = isinstance(value, bool)
        elif self.choices:
            valid = value in self.choices
        else:
            numbers = int if self._type is int else (int, float)
            if not isinstance(value, numbers) or isinstance(value, bool) or not finite(value):
                raise wrong
            value = self._type(value)
            valid = (
                (self.above is None or value > self.above)
                and (self.least is None or value >= self.least)
                and (self.most is None or value <= self.most)
            )
        if not valid:
            raise wrong
        return value


@dataclass(frozen=True)
class LossInfo:
    """What a loss needs and where it comes from.

    Attributes:
        name: the name that creates it.
        family: what it works on: ``classification`` on logits, ``contrastive`` on embeddings, ``structure``
            on the rank of the features, ``kernel`` on a mixture head.
        tensors: the tensors it takes beside the labels, by keyword.
        hyperparameters: by name; of a combination, named ``part.hyperparameter``.
        summary: one line.
        paper: the original paper.
        version: raised whenever the values of the loss change.
    """

    name: str
    family: Family
    tensors: tuple[str, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    summary: str
    paper: str
    version: int
