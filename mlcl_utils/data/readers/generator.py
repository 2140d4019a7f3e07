"""Made-up sets whose truth is known: ``generator``, with settings behind colons, as in ``generator:labels=30:seed=2``.

A world has latent factors. An example draws them, and dimensions of no meaning beside them, from normal distributions;
what is seen of it, its features, is what a random network makes of both. A label is a direction in the space of the
factors: an example has the label where its projection, with some noise, is above the label's threshold. So a label is
linear in the factors and not in the features, the chance of every label is known exactly (:func:`world`), and what
varies in other sets together varies here alone:

=================  =====================================================================================
``labels``         how many (100)
``examples``       how many, of which 70% are for training (4000)
``cardinality``    labels an example has in the mean (3)
``imbalance``      ``none``, every label as frequent as another, or ``zipf``, frequency falling with the rank
``correlation``    of the projections of two labels of one of the :data:`CLUSTERS` clusters, in [0, 1) (0)
``seed``           of the world (0)
=================  =====================================================================================

Worlds of one seed agree in all that their settings leave alone: more examples or labels are added to those there are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.readers.common import Examples, Source
from mlcl_utils.data.splits import FRACTIONS, SPLITS, TEST
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.written import MOST_SEED

NAME = "generator"

FACTORS, NUISANCE = 6, 4
"""Latent dimensions that labels depend on, and others."""

HIDDEN, FEATURES, SEES = 128, 64, 2
"""Hidden units and outputs of the random network, and the latent dimensions that a hidden unit sees. Were it all of
them, a few thousand examples would not do to learn more than what is linear."""

CLUSTERS = 10
"""Clusters of labels, dealt out in turn, so that each has frequent and rare ones."""

NOISE = 0.3
"""Share of a projection's variance that is noise."""

_GAIN = 3.0  # of the hidden units' inputs: the larger, the less linear is what is seen
_STEP = 1e-3  # features are rounded to it, so that every machine makes the same ones
_MOST_FREQUENT = 0.5  # no label is there more often
_MOST_ENTRIES = 50_000_000  # of the label matrix

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What a world is like; see the module.

    Raises:
        UsageError: a value that it cannot have.
    """

    labels: int = 100
    examples: int = 4000
    cardinality: float = 3.0
    imbalance: str = "none"
    correlation: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole: tuple[tuple[str, int, int], ...] = (
            ("labels", 2, 10_000),
            ("examples", 50, 1_000_000),
            ("seed", 0, MOST_SEED),
        )
        for name, least, most in whole:
            if not least <= getattr(self, name) <= most:
                raise _refused(name, getattr(self, name), f"a whole number from {least} to {most}")
        if self.imbalance not in ("none", "zipf"):
            raise _refused("imbalance", self.imbalance, "none or zipf")
        if not 0 <= self.correlation < 1:
            raise _refused("correlation", self.correlation, "a number of at least 0 and below 1")
        half = self.labels * _MOST_FREQUENT
        if not 0 < self.cardinality <= half:
            raise _refused("cardinality", self.cardinality, f"above 0 and at most {half:g}, half the labels")
        if self.labels * self.examples > _MOST_ENTRIES:
            raise _refused(
                "labels x examples",
                self.labels * self.examples,
                f"at most {_MOST_ENTRIES:,}, to fit into memory",
            )

    @property
    def name(self) -> str:
        """The name of the set, its settings in one order and without those that are usual."""
        differing = [
            f"{each.name}={_written(getattr(self, each.name))}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        ]
        return ":".join([NAME, *differing])


@dataclass(frozen=True)
class World:
    """A world of N examples and L labels.

    Attributes:
        features: float32 (N, :data:`FEATURES`), what is seen.
        labels: bool (N, L).
        factors: (N, :data:`FACTORS`), what is behind.
        chance: (N, L), the chance of every label given the factors: no scores can rank better but by luck.
        frequency: (L,), the chance of every label, falling.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.bool_]
    factors: _Array
    chance: _Array
    frequency: _Array


def find(name: str, root: Path | None) -> Source:
    """The set of a name; there is nothing to find.

    Raises:
        UsageError: an unknown setting or an impossible value.
    """
    settings = parse(name)
    return Source(settings.name, root or CHECKOUT, (), read, facts={"settings": settings})


def read(source: Source) -> Examples:
    """The features and labels of a world, and notes that say what it is."""
    settings: Settings = source.facts["settings"]
    made = world(settings)
    digits = len(str(settings.labels - 1))
    return Examples(
        modality="features",
        ids=[str(example) for example in range(settings.examples)],
        label_names=[f"label {label:0{digits}}" for label in range(settings.labels)],
        labels=made.labels.astype(np.int8),
        features=made.features,
        splits=_splits(settings),
        notes=[
            f"made up: {FACTORS} factors and {NUISANCE} dimensions of no meaning behind a random network",
            ", ".join(f"{each.name} {_written(getattr(settings, each.name))}" for each in fields(settings)),
        ],
    )


def _splits(settings: Settings) -> npt.NDArray[np.uint8]:
    """Ten plain random splits: examples are independent, and dealing them out would take longer than making them."""
    at = np.cumsum([round(share * settings.examples) for share in FRACTIONS[:TEST]])
    parts = np.searchsorted(at, np.arange(settings.examples), side="right").astype(np.uint8)
    return np.stack([np.random.default_rng([settings.seed, r]).permutation(parts) for r in range(SPLITS)])


def parse(name: str) -> Settings:
    """The settings in a name such as ``generator:labels=30:imbalance=zipf``.

    Raises:
        UsageError: an unknown setting, one that comes twice, or an impossible value.
    """
    kinds: dict[str, type] = {each.name: type(getattr(Settings, each.name)) for each in fields(Settings)}
    given: dict[str, Any] = {}
    for part in name.split(":")[1:]:
        setting, equals, value = part.partition("=")
        if setting not in kinds:
            raise unknown(f"setting of {NAME}", setting, kinds)
        if setting in given:
            raise UsageError(f"data set '{name}' says {setting} twice; give it once")
        try:
            given[setting] = kinds[setting](value) if equals else None
        except ValueError:
            given[setting] = None
        if given[setting] is None:
            whole = "a whole number" if kinds[setting] is int else "a number"
            raise _refused(setting, value, "none or zipf" if kinds[setting] is str else whole)
    return Settings(**given)


def world(settings: Settings) -> World:
    """The world of some settings, with its truth."""
    from scipy.special import ndtri

    count, labels = settings.examples, settings.labels
    factors = _drawn(settings, "factors", count, FACTORS)
    nuisance = _drawn(settings, "nuisance", count, NUISANCE)
    directions = _directions(settings)
    frequency = frequencies(settings)
    threshold = ndtri(1 - frequency)
    projection = np.sqrt(1 - NOISE) * factors @ directions.T
    noise = np.stack([_drawn(settings, f"noise {label}", count) for label in range(labels)], axis=1)
    return World(
        features=_seen(settings, np.concatenate([factors, nuisance], axis=1)),
        labels=projection + np.sqrt(NOISE) * noise > threshold,
        factors=factors,
        chance=_upper_tail((threshold - projection) / np.sqrt(NOISE)),
        frequency=frequency,
    )


def frequencies(settings: Settings) -> _Array:
    """The chance of each label (L,), the most frequent first, which add up to the cardinality."""
    ranks = np.arange(1, settings.labels + 1)
    weight = np.ones(settings.labels) if settings.imbalance == "none" else 1 / ranks
    capped = 0
    while True:  # those that would be too frequent are so often as is allowed, the others share the rest
        left = settings.cardinality - _MOST_FREQUENT * capped
        scale = left / weight[capped:].sum() if capped < settings.labels else 0.0
        over = int((scale * weight[capped:] > _MOST_FREQUENT * (1 + 1e-12)).sum())
        if not over:
            return np.concatenate([np.full(capped, _MOST_FREQUENT), scale * weight[capped:]])
        capped += over


def _directions(settings: Settings) -> _Array:
    """A unit vector a label (L, factors); those of a cluster share a part, which makes the correlation."""
    shared = _unit(_drawn(settings, "clusters", CLUSTERS, FACTORS))[np.arange(settings.labels) % CLUSTERS]
    own = _drawn(settings, "directions", settings.labels, FACTORS)
    own = _unit(own - (own * shared).sum(axis=1, keepdims=True) * shared)
    joined: _Array = np.sqrt(settings.correlation) * shared + np.sqrt(1 - settings.correlation) * own
    return joined


def _seen(settings: Settings, latent: _Array) -> npt.NDArray[np.float32]:
    order = _drawn(settings, "what a hidden unit sees", HIDDEN, latent.shape[1]).argsort(axis=1)
    first = np.where(order < SEES, _drawn(settings, "first layer", HIDDEN, latent.shape[1]), 0)
    second = _drawn(settings, "second layer", HIDDEN, FEATURES) / np.sqrt(HIDDEN)
    hidden = np.tanh(_GAIN * latent @ _unit(first).T + _drawn(settings, "offsets", HIDDEN))
    seen: npt.NDArray[np.float32] = (np.round(hidden @ second / _STEP) * _STEP).astype(np.float32)
    return seen


def _drawn(settings: Settings, what: str, *shape: int) -> _Array:
    """Standard normal numbers, a stream of their own for each thing that is drawn."""
    return np.random.default_rng([settings.seed, *what.encode()]).normal(size=shape)


def _unit(rows: _Array) -> _Array:
    lengths: _Array = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def _upper_tail(value: _Array) -> _Array:
    from scipy.special import ndtr

    tail: _Array = ndtr(-value)
    return tail


def _written(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _refused(setting: str, value: object, what: str) -> UsageError:
    return UsageError(f"{NAME}: {setting} must be {what}, was '{value}'")
