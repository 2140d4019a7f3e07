"""Stored runs of every study with made numbers, ways to lose some of them, and all that its notebook then shows."""

from __future__ import annotations

import dataclasses
import inspect
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlcl_utils import studies
from mlcl_utils.metrics import representation
from mlcl_utils.runs import Grid, Run, RunConfig, execute
from mlcl_utils.studies import sentences, tables
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.runs import Trained

REPLICATES = 5
NO_NUMBER = re.compile(r"\b(nan|inf)\b", re.IGNORECASE)

GIVEN: dict[str, dict[str, Any]] = {
    "01_missing_labels": {"datasets": "debtags", "losses": ["bce", "splc"], "clml_weights": [1, 10]},
    "02_label_space": {"datasets": "debtags"},
    "03_vision_text": {"replicates": 3},
    "04_temperature": {"temperatures": [0.02, 0.07, 0.3, 0.7, 1.0]},
    "06_kernel_mixture": {
        "datasets": "debtags,fashion-scenes",
        "variants": [
            *("asl", "reconstruction", "contrast", "mahalanobis", "rbf", "released", "averaged"),
        ],
    },
}
"""Small parameters of every study that trains on a grid."""


def execution(name: str, results: Path, **given: Any) -> Execution:
    """An execution of a study at the preset smoke, with nothing in its folder."""
    study = studies.get(name)
    parameters = study.resolve({"preset": "smoke", "results": results, **given})
    folder = study.folder(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    return Execution(study, parameters, folder)


def with_runs(study: Execution, trained: Trained) -> Execution:
    """The same execution with other runs, of which nothing has been measured yet."""
    again = Execution(study.study, study.parameters, study.folder)
    again.trained = trained
    return again


def shown(study: Execution) -> list[Any]:
    """All that a notebook shows: every view of the study, its results, its claims and its summary."""
    metrics = [name for name in ("map", "macro_f1", "ranking_loss") if name in study.measures.metrics]
    results = getattr(study.study.part("views"), "results", tables.results)
    found = [results(study, name) for name in metrics]
    found += [
        view(study)
        for view in list(vars(study.study.part("views")).values())
        if inspect.isfunction(view)
        and view.__module__ == f"{study.study.Parameters.__module__}.views"
        and not view.__name__.startswith("_")
        and next(iter(inspect.signature(view).parameters)) == "study"
        and all(
            each.default is not each.empty for each in list(inspect.signature(view).parameters.values())[1:]
        )
    ]
    return [*found, tables.claims(study), sentences.summary(study)]


def arm(config: RunConfig) -> tuple[Any, ...]:
    """What tells an arm from another, for all studies alike."""
    task = (config.dataset, config.encoder, config.num_labels, config.train_fraction, config.label_draw)
    condition = (config.held_out, config.kept_share, config.one_positive, config.clean_validation)
    scale = config.recipe.loss_scale if config.recipe else 1.0
    return (*task, *condition, config.loss, scale, *sorted(map(str, config.hyperparameters.items())))


def metrics(config: RunConfig) -> dict[str, float]:
    """Numbers that differ by arm and replicate, baselines below the rest; with every head that any study reads."""
    spread = zlib.crc32(repr(arm(config)).encode()) % 1000 / 1000
    value = 0.2 if config.is_baseline else 0.5 + 0.1 * spread
    value += 0.02 * config.replicate + 0.001 * spread * config.replicate
    names = (
        "map",
        "validation_map",
        "macro_f1",
        "micro_f1",
        "lrap",
        "ranking_loss",
        "map_base",
        "macro_f1_base",
        "macro_f1_per_label",
    )
    heads = ("probe",) if config.is_baseline else ("probe", "direct", "projection", "neighbours")
    found = {f"{head}_{name}": value + 0.01 * at for at, head in enumerate(heads) for name in names}
    found["probe_labels_without_positive"] = 0.0
    if not config.is_baseline:
        found |= {
            f"{head}_{name}": value - 0.01 * at
            for at, head in enumerate(("own", "linear"))
            for name in ("macro_f1_half", "validation_micro_f1_half")
        }
    if not config.is_baseline:
        found |= dict.fromkeys(("uniformity", "tolerance", "tolerance_gap", "penalty_entropy"), value)
        found |= {"effective_rank": 100 * value, "variance_ratio": value, "variance_rank": value}
        found |= {f"gradient_{name}": value for name in ("asl", "reconstruction", "contrastive")}
        found |= {"kappa_underflow": 0.5, "rho_saturated": 0.5}
    return found


HISTORY = [
    {"validation_loss": 2.0, "lost": 100.0, "corrected": 0.0, "corrected_right": 0.0, "unlabelled": 0.0},
    {"validation_loss": 1.0, "lost": 100.0, "corrected": 50.0, "corrected_right": 40.0, "unlabelled": 7.0},
]


BINS = np.stack([np.column_stack([np.arange(1, 11), at * np.arange(1, 11), np.full(10, 5)]) for at in (1, 2)])


class Kept(Run):
    """A run that is kept in memory alone, without resamples, which nothing here depends on."""

    def resamples(self) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """What any study draws."""
        plane = np.zeros((len(task_for(self.config).test), 2))
        return {"reliability": BINS, "plane": plane, "similarities": np.ones((2, representation.BINS))}


TASKS: dict[str, Any] = {}


def task_for(config: RunConfig) -> Any:
    """As the function of that name, which is asked for the same task again and again."""
    key = repr((task(config), config.replicate))
    if key not in TASKS:
        TASKS[key] = execute.task_for(config)
    return TASKS[key]


FACTS = {"steps": 1, "parameters": 1, "probe_at_edge": False, "examples_test": 9}
TIMINGS = {"time_total": 1.0, "time_training": 1.0, "mem_peak_bytes": 1.0}


def runs_of(configs: Sequence[RunConfig]) -> list[Run]:
    """A run of each configuration."""
    return [
        Kept(
            config,
            metrics(config),
            TIMINGS,
            FACTS,
            [] if config.is_baseline else HISTORY,
            {"device": "cpu", "threads": 1},
            Path(),
        )
        for config in configs
    ]


def task(config: RunConfig) -> tuple[Any, ...]:
    """What is learnt on, without the loss."""
    return arm(dataclasses.replace(config, loss="bce", hyperparameters={}, recipe=None))


Lost = Callable[[RunConfig], bool]


def arms_lost(configs: Sequence[RunConfig]) -> Iterator[tuple[str, Lost]]:
    """Each arm in turn, and one replicate of each in turn."""
    for at, each in enumerate(dict.fromkeys(map(arm, configs))):
        yield f"arm {each}", lambda config, each=each: arm(config) == each
        number = at % max(config.replicate + 1 for config in configs if arm(config) == each)
        yield (
            f"replicate {number} of {each}",
            lambda config, each=each, number=number: arm(config) == each and config.replicate == number,
        )


def much_lost(configs: Sequence[RunConfig]) -> Iterator[tuple[str, Lost]]:
    """Each loss and task in turn, and all others; something of everything."""
    for loss in dict.fromkeys(config.loss for config in configs if not config.is_baseline):
        yield f"all but {loss}", lambda config, loss=loss: not config.is_baseline and config.loss != loss
        yield f"all of {loss}", lambda config, loss=loss: config.loss == loss
    for each in dict.fromkeys(map(task, configs)):
        yield f"task {each}", lambda config, each=each: task(config) == each
        yield f"all but task {each}", lambda config, each=each: task(config) != each
        yield (
            f"replicate 1 of task {each}",
            lambda config, each=each: task(config) == each and config.replicate == 1,
        )


def ways(configs: Sequence[RunConfig], single: int, much: int) -> Iterator[tuple[str, Lost]]:
    """Some of the ways to lose runs, drawn with a fixed seed, and those that every study is tried with."""
    arms = list(dict.fromkeys(map(arm, configs)))
    yield "baselines", lambda config: config.is_baseline
    yield "replicate 0 of all", lambda config: config.replicate == 0
    yield "a replicate of each", lambda config: arms.index(arm(config)) % REPLICATES == config.replicate
    first = next(config for config in configs if not config.is_baseline)
    yield f"all of {first.loss}", lambda config: config.loss == first.loss
    yield "replicate 1 of one task", lambda config: task(config) == task(first) and config.replicate == 1
    rng = np.random.default_rng(0)
    for found, count in ((list(arms_lost(configs)), single), (list(much_lost(configs)), much)):
        for at in rng.permutation(len(found))[:count]:
            yield found[at]


def trained_without(runs: list[Run], lost: Lost) -> Trained:
    """The runs of a study of which some have failed."""
    kept = [run for run in runs if not lost(run.config)]
    failures = [(run.config, "diverged", 1.0) for run in runs if lost(run.config)]
    whole = Grid(kept, failures, 0)
    return Trained(whole)
