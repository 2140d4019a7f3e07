"""The learning rate of every arm at every temperature, chosen among few on validation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from mlcl_utils.figures import style
from mlcl_utils.files import write_csv
from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.studies import runs
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.temperature import RATE_FACTORS, variant
from mlcl_utils.studies.tuning import Choice, Task

METRIC = "probe_validation_map"


def describe(config: RunConfig) -> str:
    """A loss with its variant and temperature in words."""
    words = {"hard": ", hard negatives", "scaled": ", times τ", "": ""}[variant(config)]
    return f"{style.look(config.loss).label}{words}, τ {config.hyperparameters['temperature']:g}"


def carry_out(study: Execution) -> Carried:
    """Carries out the runs of the study and writes ``runs.csv``.

    With more than one trial, every loss and variant gets its own learning rate at each temperature in each place:
    that of the best validation mAP of the probe in replicate 0, for all replicates. A loss that is multiplied by its
    temperature has the learning rate of the same loss without it, so that the two differ in one thing.

    Raises:
        RuntimeError: no training of the study succeeded.
    """
    configs, count = study.study.runs(study.parameters), study.parameters.trials
    trials, choices = Grid([], [], 0), {}
    if count > 1:
        trials = runs.carry_out_grid(study, trials_of(configs, count))
        choices = choose(trials, configs)
        configs = chosen(configs, choices)
    grid = runs.carry_out_grid(study, configs)
    carried = Carried(grid, Grid([], [], 0) if choices else grid, trials, choices)
    write_csv(study.folder / "runs.csv", runs.frame(study, carried))
    return carried


def _key(config: RunConfig) -> Task:
    assert config.recipe is not None
    plain = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, loss_scale=1.0))
    return config.dataset, config.encoder, describe(plain), config.num_labels


def _with_rate(config: RunConfig, factor: float) -> RunConfig:
    """The configuration with its learning rates multiplied."""
    assert config.recipe is not None
    recipe = dataclasses.replace(
        config.recipe,
        learning_rate=factor * config.recipe.learning_rate,
        table_rate=factor * config.recipe.table_rate,
    )
    return dataclasses.replace(config, recipe=recipe)


def _is_tuned(config: RunConfig) -> bool:
    return not config.is_baseline and variant(config) != "scaled"


def trials_of(configs: Iterable[RunConfig], count: int) -> list[RunConfig]:
    """Replicate 0 of every loss and variant at each temperature, with the first ``count`` learning rates."""
    return [
        _with_rate(config, factor)
        for config in configs
        if config.replicate == 0 and _is_tuned(config)
        for factor in RATE_FACTORS[:count]
    ]


def choose(trials: Grid, configs: Iterable[RunConfig]) -> dict[Task, Choice]:
    """The best learning rate of each arm by validation; a trial that failed is out.

    Args:
        trials: those of :func:`trials_of`.
        configs: the grid, whose learning rates come first among those that were tried.
    """
    tried: dict[Task, list[Run]] = {}
    for run in trials.runs:
        tried.setdefault(_key(run.config), []).append(run)
    usual = {_key(config): _rate(config) for config in configs if _is_tuned(config)}
    return {key: _best(runs, usual[key]) for key, runs in tried.items()}


def _best(runs: Sequence[Run], usual: float) -> Choice:
    scores = {_rate(run.config): run.metrics[METRIC] for run in runs}
    best = max(scores, key=lambda rate: scores[rate])
    ends = [usual * min(RATE_FACTORS), usual * max(RATE_FACTORS)]
    return Choice(
        values={"learning_rate": best},
        score=scores[best],
        default=scores.get(usual, math.nan),
        at_edge=("learning_rate",) if best in ends else (),
        trials=len(runs),
    )


def _rate(config: RunConfig) -> float:
    assert config.recipe is not None
    return config.recipe.learning_rate


def chosen(configs: Iterable[RunConfig], choices: dict[Task, Choice]) -> list[RunConfig]:
    """The grid with the chosen learning rates; baselines, and what was not tuned, stay as they are."""
    found = []
    for config in configs:
        if config.is_baseline or _key(config) not in choices:
            found.append(config)
            continue
        assert config.recipe is not None
        factor = choices[_key(config)].values["learning_rate"] / config.recipe.learning_rate
        found.append(_with_rate(config, factor))
    return found


def sentence(carried: Carried) -> str:
    """What was searched, for the reviewers' list."""
    if not carried.choices:
        return "None: the learning rate of the recipe, the same for every arm and temperature."
    edges = sum(bool(choice.at_edge) for choice in carried.choices.values())
    factors = ", ".join(f"{factor:g}" for factor in sorted(RATE_FACTORS))
    return (
        f"The learning rate from {factors} times the recipe's for each of {len(carried.choices)} combinations of loss,"
        " variant, temperature and place, by the probe's validation mAP on replicate 0; in"
        f" {edges} the choice lies at an end."
    )
