"""Search spaces: what each hyperparameter may be, read from a file, printed, and drawn from with a seed."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlcl_utils import written, yaml_values
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.paths import shown

Scalar = bool | int | float | str
"""A value of a hyperparameter."""

EDGE = 0.05
"""Share of a range, at either end, that counts as its edge."""


class _Dimension(BaseModel):
    """What every kind of hyperparameter has.

    Attributes:
        when: hyperparameters of kind ``choice`` that stand above in the file, each with a value or a list of values;
            this one is there only where each has such a value.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    when: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)


class _Range(_Dimension):
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> _Range:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} has to be below high {self.high:g}")
        return self

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


class Uniform(_Range):
    """A number between two bounds, all alike."""

    type: Literal["uniform"] = "uniform"

    def at(self, u: float) -> float:
        """The value at a share u in [0, 1) of the range."""
        return self.low + u * (self.high - self.low)

    def position(self, value: float) -> float:
        """The share of the range that lies below a value."""
        return (value - self.low) / (self.high - self.low)


class LogUniform(_Range):
    """A number between two positive bounds, its logarithm uniform."""

    type: Literal["log-uniform"] = "log-uniform"
    low: float = Field(gt=0, allow_inf_nan=False)

    def at(self, u: float) -> float:
        """The value at a share u in [0, 1) of the range."""
        value = math.exp(math.log(self.low) + u * math.log(self.high / self.low))
        return min(max(value, self.low), self.high)

    def position(self, value: float) -> float:
        """The share of the range that lies below a value."""
        return math.log(value / self.low) / math.log(self.high / self.low)


class Integer(_Range):
    """A whole number between two bounds, both included."""

    type: Literal["integer"] = "integer"
    low: int
    high: int

    def at(self, u: float) -> int:
        """The value at a share u in [0, 1) of the range."""
        return self.low + int(u * (self.high - self.low + 1))

    def position(self, value: int) -> float:
        """The share of the range that lies below a value."""
        return (value - self.low) / (self.high - self.low)


class Choice(_Dimension):
    """One of some values."""

    type: Literal["choice"] = "choice"
    values: list[Scalar] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        for index, value in enumerate(self.values):
            if any(value == other and type(value) is type(other) for other in self.values[:index]):
                raise ValueError(f"values has {value!r} twice")
        return self

    def at(self, u: float) -> Scalar:
        """The value at a share u in [0, 1) of the list."""
        return self.values[int(u * len(self.values))]

    def position(self, value: Scalar) -> float:
        """The share of the list that lies before a value."""
        return self.values.index(value) / max(1, len(self.values) - 1)

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers in ascending order, so that the list has ends."""
        numbers = [
            value for value in self.values if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        return len(numbers) == len(self.values) and numbers == sorted(numbers)

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Dimension = LogUniform | Uniform | Integer | Choice
"""What a hyperparameter may be."""

_KINDS: dict[str, type[Dimension]] = {
    "log-uniform": LogUniform,
    "uniform": Uniform,
    "integer": Integer,
    "choice": Choice,
}


@dataclass(frozen=True)
class Space:
    """A search space: a kind and bounds for each hyperparameter, by name.

    Attributes:
        dimensions: hyperparameters, those that others depend on before them.

    Raises:
        UsageError: there is none, or a condition names what is no choice above it or no value of that.
    """

    dimensions: Mapping[str, Dimension]

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise UsageError("a search space needs at least one hyperparameter")
        above: dict[str, Choice] = {}
        for name, dimension in self.dimensions.items():
            for parent, values in dimension.when.items():
                if parent not in above:
                    raise UsageError(f"'{name}' depends on an {unknown('choice above it', parent, above)}")
                for value in _several(values):
                    if value not in above[parent].values:
                        raise UsageError(
                            f"'{name}' is there when {parent} is {value!r}, which is not among {above[parent]}"
                        )
            if isinstance(dimension, Choice):
                above[name] = dimension

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Space:
        """A space from plain values: ``{"learning_rate": {"type": "log-uniform", "low": 1e-4, "high": 1e-1}}``.

        Raises:
            UsageError: an unknown kind or key, a missing or impossible bound; the nearest word is suggested.
        """
        return cls({name: _dimension(name, values) for name, values in stored.items()})

    @classmethod
    def from_file(cls, path: Path) -> Space:
        """A space from a TOML or YAML file: a table for each hyperparameter, with ``type`` and what that takes.

        ``log-uniform``, ``uniform`` and ``integer`` take ``low`` and ``high``, ``choice`` takes ``values``; ``when``
        makes any of them depend on choices above it.

        Raises:
            UsageError: the file is missing or not such a file; one line that names it and the offending word.
        """
        try:
            return cls.from_dict(_parse(path))
        except UsageError as error:
            raise UsageError(f"space '{shown(path)}': {error}") from None

    def as_dict(self) -> dict[str, Any]:
        """The plain values that :meth:`from_dict` takes."""
        return {
            name: each.model_dump(exclude_defaults=True) | {"type": each.type}
            for name, each in self.dimensions.items()
        }

    def choose(self, value_of: Callable[[str, Dimension], Scalar]) -> dict[str, Scalar]:
        """A configuration from a value for each hyperparameter that is there, asked for in order.

        Args:
            value_of: gives the value of a hyperparameter, by its name and what it may be.
        """
        config: dict[str, Scalar] = {}
        for name, dimension in self.dimensions.items():
            if all(
                parent in config and config[parent] in _several(v) for parent, v in dimension.when.items()
            ):
                config[name] = value_of(name, dimension)
        return config

    def draw(self, rng: np.random.Generator) -> dict[str, Scalar]:
        """A configuration at random, by one uniform number for each hyperparameter."""
        return self.choose(lambda _, dimension: dimension.at(rng.random()))

    def sampler(self, seed: int) -> Sampler:
        """Draws of configurations that follow from a seed."""
        return Sampler(self, seed)

    def at_edge(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the values that lie at an end of their range, or first or last among choices that are in order."""
        found = []
        for name, value in config.items():
            dimension = self.dimensions[name]
            if not isinstance(dimension, Choice) or (dimension.ordered and len(dimension.values) > 2):
                position = dimension.position(value)
                if not EDGE < position < 1 - EDGE:
                    found.append(name)
        return tuple(found)

    def __str__(self) -> str:
        rows = [("hyperparameter", "kind", "values", "")]
        for name, dimension in self.dimensions.items():
            conditions = (f"{p} is {' or '.join(map(str, _several(v)))}" for p, v in dimension.when.items())
            condition = " and ".join(conditions)
            rows.append((name, dimension.type, str(dimension), condition and f"when {condition}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


class Sampler:
    """Random configurations of a space, one a call; the same seed draws the same ones.

    Args:
        space: what is drawn from.
        seed: of the draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed
        self._rng = np.random.default_rng(seed)

    def __call__(self) -> dict[str, Scalar]:
        """The next configuration."""
        return self.space.draw(self._rng)

    def settle(self, proposed: dict[str, Scalar]) -> dict[str, Scalar]:
        """The configuration to try for one that a model proposes: itself."""
        return proposed


def _several(values: Scalar | list[Scalar]) -> list[Scalar]:
    return values if isinstance(values, list) else [values]


def _dimension(name: Any, values: Any) -> Dimension:
    if not isinstance(name, str):
        raise UsageError(f"{name!r} should be a word, the name of a hyperparameter")
    if not isinstance(values, Mapping):
        raise UsageError(f"'{name}' should be a table with type and bounds, not {values!r}")
    if "type" not in values:
        raise UsageError(f"'{name}' has no type; give one of {', '.join(_KINDS)}")
    if values["type"] not in _KINDS:
        raise UsageError(f"'{name}': {unknown('type', str(values['type']), _KINDS)}")
    kind = _KINDS[values["type"]]
    fields = kind.model_fields
    for key in values:
        if key not in fields:
            raise UsageError(f"'{name}': {unknown('key', str(key), fields)}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = [str(part) for part in first["loc"] if part in fields]
        if first["type"] == "missing":
            raise UsageError(f"'{name}' has no {keys[0]}") from None
        cause = first.get("ctx", {}).get("error")
        if cause is not None:
            raise UsageError(f"'{name}': {cause}") from None
        raise UsageError(
            f"'{name}', {' '.join(keys)}: {first['input']!r} {first['msg'].removeprefix('Input ')}"
        ) from None


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
    if path.suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"not TOML: {error}") from None
    if path.suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    raise UsageError("its name should end in .toml, .yaml or .yml")


def _parse_yaml(text: str) -> Mapping[str, Any]:
    node = yaml_values.yaml_node(text)
    parsed = None if node is None else yaml_values.yaml_value(node, written.plain)
    if not isinstance(parsed, Mapping):
        raise UsageError("should have a table for each hyperparameter")
    return parsed
