"""Equal tuning: the same trials for every loss, task and label count, as many of them, from one printed space.

Trials are run on splits 0 and 1 and chosen by the mean of the probe's validation mAP; the chosen values serve all
splits, training fractions and draws of labels of that size. The first trial is the default configuration. The others
are drawn once for all losses of a task: if each had draws of its own, their luck would be part of every difference
between two losses, and no interval would cover it. A study that tunes otherwise says how in a :class:`Tuning`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcl_utils import data, losses, models
from mlcl_utils.models.catalogue import WORD_TABLES
from mlcl_utils.runs import Grid, Run, RunConfig

RECIPE_SPACE: dict[str, tuple[float, ...]] = {
    "learning_rate": (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3),
    "weight_decay": (1e-3, 1e-2, 1e-1, 3e-1),
    "dropout": (0.1, 0.3, 0.5),
}
"""Values tried for every loss, in ascending order."""

PRETRAINED_SPACE: dict[str, tuple[float, ...]] = {
    "learning_rate": (2.5e-5, 5e-5, 1e-4, 2e-4, 4e-4),
    "weight_decay": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
}
"""The same for a pretrained encoder that is trained further, which has dropout of its own or none."""

ENCODER_SPACE: dict[str, dict[str, tuple[float, ...]]] = {
    name: {"table_rate": (3e-3, 1e-2, 3e-2)} for name in WORD_TABLES
}
"""Values tried besides for an encoder, in ascending order."""

LOSS_SPACE: dict[str, tuple[float, ...]] = {
    "temperature": (0.05, 0.1, 0.2, 0.4),
    "gamma_neg": (1.0, 2.0, 4.0, 6.0),
    "gamma": (1.0, 2.0, 3.0),
}
"""Values tried for a loss that has the hyperparameter, in ascending order."""

Task = tuple[str, str, str, int]


def task(config: RunConfig) -> Task:
    """What is tuned on its own: data set, encoder, loss and size of the label space.

    Hyperparameters that a study gives and the space does not vary follow the loss in brackets: each of their values is
    tuned on its own.
    """
    fixed = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in _flat(config.hyperparameters).items()
        if _own_name(name) not in LOSS_SPACE
    ]
    loss = f"{config.loss} ({', '.join(fixed)})" if fixed else config.loss
    return config.dataset, config.encoder, loss, config.num_labels


def space(loss: str, encoder: str = "frozen") -> dict[str, tuple[float, ...]]:
    """The values that are tried for a loss with an encoder; those of a part of a sum are named ``part.name``.

    Args:
        loss: its name, which brackets may follow as in :func:`task`.
        encoder: a name of :func:`mlcl_utils.models.encoder_names`.
    """
    own = losses.info(loss.partition(" ")[0]).hyperparameters
    pretrained = models.kind(encoder) in ("torchvision", "transformers")
    return (
        (PRETRAINED_SPACE if pretrained else RECIPE_SPACE)
        | ENCODER_SPACE.get(models.kind(encoder), {})
        | {
            name: LOSS_SPACE[_own_name(name)]
            for name, each in own.items()
            if _own_name(name) in LOSS_SPACE and not each.part_of
        }
    )


def _own_name(name: str) -> str:
    """The name of a hyperparameter without that of the part of a sum."""
    return name.rpartition(".")[2]


def _flat(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters with those of the parts of a sum named ``part.name``."""
    flat: dict[str, Any] = {}
    for name, value in hyperparameters.items():
        parts = value.items() if isinstance(value, Mapping) else ()
        flat |= {f"{name}.{own}": each for own, each in parts} if parts else {name: value}
    return flat


def candidates(config: RunConfig, trials: int) -> list[RunConfig]:
    """Different configurations around a default one, which comes first.

    All losses of a data set, encoder and number of labels have the same values of the recipe in the same order, and
    those that share a hyperparameter, as a loss and its sum with another do, the same values of that too.

    Args:
        config: with a recipe.
        trials: how many, the default included.

    Raises:
        ValueError: more trials than the space has recipes.
    """
    grid = space(config.loss, config.encoder)
    own = {name: values for name, values in grid.items() if name in losses.info(config.loss).hyperparameters}
    recipes = list(itertools.product(*(values for name, values in grid.items() if name not in own)))
    if trials > len(recipes):
        raise ValueError(f"{trials} trials, but the space of {config.encoder} has {len(recipes)} recipes")
    names = [name for name in grid if name not in own]
    drawn = {
        name: _draws(config, _own_name(name)).choice(values, len(recipes)) for name, values in own.items()
    }
    found = {config.id: config}
    for at, recipe in enumerate(_draws(config, "recipe").permutation(len(recipes))):
        values = dict(zip(names, recipes[recipe], strict=True)) | {name: drawn[name][at] for name in own}
        tried = config.with_values({name: float(value) for name, value in values.items()})
        found.setdefault(tried.id, tried)
    return list(found.values())[:trials]


def _draws(config: RunConfig, what: str) -> np.random.Generator:
    """The draws of one thing, the same for all losses of a data set, wherever it lies, encoder and number of labels."""
    name = data.short_name(config.dataset, config.data_root)
    key = (name, config.encoder, config.num_labels, what)
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


@dataclass(frozen=True)
class Tuning:
    """How a study tunes; by itself every loss, task and label count over the space of this module.

    Attributes:
        task: what is tuned on its own; all of its runs get what was chosen for it.
        space: the values that are tried around a default configuration, by name and in ascending order.
        candidates: so many different configurations around a default one, which comes first.
        with_values: a configuration with the chosen values.
        is_tried: whether a run has trials; one that has none gets what was chosen for its task.
        splits: those that trials are run on.
    """

    task: Callable[[RunConfig], Task] = task
    space: Callable[[RunConfig], Mapping[str, Sequence[float]]] = lambda own: space(own.loss, own.encoder)
    candidates: Callable[[RunConfig, int], list[RunConfig]] = candidates
    with_values: Callable[[RunConfig, Mapping[str, float]], RunConfig] = RunConfig.with_values
    is_tried: Callable[[RunConfig], bool] = lambda config: True
    splits: Sequence[int] = (0, 1)


ALIKE = Tuning()
"""Every loss alike, over the space of this module."""


def trials(grid: Iterable[RunConfig], count: int, how: Tuning = ALIKE) -> list[RunConfig]:
    """The trials of all that is tuned on its own in a grid, on splits 0 and 1 of the whole data set, if it has both.

    The same configurations are tried on both; those of split 0 come first.
    """
    grid = list(grid)
    splits = sorted({config.replicate for config in grid} & set(how.splits)) or [0]
    wanted: dict[Task, list[RunConfig]] = {}
    for config in grid:
        if not config.is_baseline and how.is_tried(config) and how.task(config) not in wanted:
            first = dataclasses.replace(
                config,
                replicate=0,
                seed=config.seed - config.replicate,
                train_fraction=1.0,
                label_draw=None,
                label_pool=None,
                held_out=None,
                matched_to=None,
            )
            tried = how.candidates(first, count)
            wanted[how.task(config)] = [
                dataclasses.replace(each, replicate=split, seed=each.seed + split)
                for split in splits
                for each in tried
            ]
    return [config for tried in wanted.values() for config in tried]


@dataclass(frozen=True)
class Choice:
    """What tuning chose for one task.

    Attributes:
        values: the chosen value of everything that was varied.
        score: its validation mAP, in [0, 1], the mean over splits.
        default: that of the default configuration; NaN if that trial failed.
        at_edge: names of the chosen values that lie at an end of their space.
        trials: how many configurations were finished, on as many splits as any.
    """

    values: dict[str, float]
    score: float
    default: float
    at_edge: tuple[str, ...]
    trials: int


def choose(
    grid: Grid,
    asked: Iterable[RunConfig],
    how: Tuning = ALIKE,
    metric: str = "probe_validation_map",
) -> dict[Task, Choice]:
    """The best trial of all that is tuned on its own, by validation; a trial that failed is out.

    Args:
        grid: the trials.
        asked: those of :func:`trials`, of which the first of its kind is the default.
        how: the way of tuning.
        metric: what is compared.
    """
    defaults: dict[Task, RunConfig] = {}
    for config in asked:
        defaults.setdefault(how.task(config), config)
    tried: dict[Task, list[Run]] = {}
    for run in grid.runs:
        tried.setdefault(how.task(run.config), []).append(run)
    return {key: _best(runs, metric, defaults[key], how.space(defaults[key])) for key, runs in tried.items()}


def _best(
    runs: Sequence[Run], metric: str, default: RunConfig, grid: Mapping[str, Sequence[float]]
) -> Choice:
    found: dict[tuple[float, ...], list[float]] = {}
    for run in runs:
        found.setdefault(tuple(_values(run.config, grid).values()), []).append(run.metrics[metric])
    most = max(map(len, found.values()))  # one that failed on a split is out
    means = {values: float(np.mean(each)) for values, each in found.items() if len(each) == most}
    best = max(means, key=lambda values: means[values])
    chosen = dict(zip(grid, best, strict=True))
    edges = tuple(name for name, value in chosen.items() if value in (grid[name][0], grid[name][-1]))
    usual = means.get(tuple(_values(default, grid).values()), math.nan)
    return Choice(chosen, means[best], usual, edges, len(means))


def _values(config: RunConfig, names: Iterable[str]) -> dict[str, float]:
    assert config.recipe is not None
    defaults = {name: each.default for name, each in losses.info(config.loss).hyperparameters.items()}
    given: dict[str, Any] = {**dataclasses.asdict(config.recipe), **defaults, **_flat(config.hyperparameters)}
    return {name: float(given[name]) for name in names}


def tuned(grid: Iterable[RunConfig], choices: Mapping[Task, Choice], how: Tuning = ALIKE) -> list[RunConfig]:
    """A grid with the chosen values in place of the defaults; baselines stay as they are."""
    return [
        config
        if config.is_baseline or how.task(config) not in choices
        else how.with_values(config, choices[how.task(config)].values)
        for config in grid
    ]
