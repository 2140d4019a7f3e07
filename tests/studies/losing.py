"""Stored runs of every study with made numbers, ways to lose some of them, and all that its notebook then shows."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlcl_utils.metrics import representation
from mlcl_utils.runs import Grid, Run, RunConfig, execute
from mlcl_utils.studies import claims
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.kernel_mixture import measures as kernel_measures
from mlcl_utils.studies.kernel_mixture import reading as kernel_reading
from mlcl_utils.studies.kernel_mixture import report as kernel_report
from mlcl_utils.studies.label_space import effects as label_effects
from mlcl_utils.studies.label_space import reading as label_reading
from mlcl_utils.studies.label_space import report as label_report
from mlcl_utils.studies.missing_labels import measures as missing_measures
from mlcl_utils.studies.missing_labels import reading as missing_reading
from mlcl_utils.studies.missing_labels import report as missing_report
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.temperature import reading as temperature_reading
from mlcl_utils.studies.temperature import report as temperature_report
from mlcl_utils.studies.temperature import sweeps
from mlcl_utils.studies.vision_text import reading as pair_reading
from mlcl_utils.studies.vision_text import report as pair_report

REPLICATES = 5
NO_NUMBER = re.compile(r"\b(nan|inf)\b", re.IGNORECASE)

Shown = list[Any]
"""What the cells of a notebook show; the effects that its claims are judged by come last."""


def missing_labels(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = missing_measures.summarise(carried, study.parameters)
    shown = [
        missing_report.results_table(study, summary, *what)
        for what in (("map", "direct"), ("map", "probe"), ("macro_f1", "probe"))
    ]
    for show in (
        missing_report.plot_conditions,
        missing_report.plot_differences,
        missing_report.reference_table,
        missing_report.plot_correction,
        missing_report.corrections_table,
        missing_report.plot_rank,
        missing_report.published_table,
        missing_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, missing_reading.reading(summary)], missing_measures.effects(summary)


def label_space(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = label_reading.summarise(carried)
    shown = [label_report.results_table(study, summary, name) for name in label_reading.MAIN]
    for show in (
        label_report.plot_label_count,
        label_report.plot_differences,
        label_report.plot_base_labels,
        label_report.plot_matched,
        label_report.plot_fractions,
        label_report.held_out_table,
        label_report.named_table,
        label_report.contrasts_table,
        label_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, label_reading.reading(summary)], label_effects.effects(summary)


def vision_text(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = pair_reading.summarise(carried)
    shown = [pair_report.results_table(study, summary, name) for name in ("map", "macro_f1")]
    for show in (
        pair_report.plot_carry_over,
        pair_report.leads_table,
        pair_report.plot_correlations,
        pair_report.correlations_table,
        pair_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, pair_reading.reading(summary)], {}


def temperature(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = sweeps.summarise(carried)
    shown = [temperature_report.results_table(study, summary, name) for name in ("map", "macro_f1")]
    for show in (
        temperature_report.plot_scores,
        temperature_report.plot_geometry,
        temperature_report.geometry_table,
        temperature_report.plot_embeddings,
        temperature_report.plot_control,
        temperature_report.published_table,
        temperature_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, temperature_reading.reading(summary)], sweeps.effects(summary)


def kernel_mixture(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = kernel_measures.summarise(carried)
    shown = [kernel_report.results_table(study, summary, name) for name in ("map", "macro_f1")]
    for show in (
        kernel_report.plot_parts,
        kernel_report.health_table,
        kernel_report.calibration_table,
        kernel_report.plot_calibration,
        kernel_report.published_table,
        kernel_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, kernel_reading.reading(summary)], kernel_measures.effects(summary)


class Kind(NamedTuple):
    """A study, small parameters of it, and what its notebook calls."""

    study: str
    given: dict[str, Any]
    show: Callable[[Execution, Carried], tuple[Shown, claims.Effects]]


KINDS = {
    kind.study: kind
    for kind in (
        Kind(
            "01_missing_labels",
            {"datasets": "debtags", "losses": ["bce", "splc"], "clml_weights": [1, 10]},
            missing_labels,
        ),
        Kind("02_label_space", {"datasets": "debtags"}, label_space),
        Kind("03_vision_text", {"replicates": 3}, vision_text),
        Kind("04_temperature", {"temperatures": [0.02, 0.3, 1.0]}, temperature),
        Kind(
            "06_kernel_mixture",
            {"datasets": "debtags,fashion-scenes", "variants": list(kernel_measures.VARIANTS)},
            kernel_mixture,
        ),
    )
}


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
    )
    heads = ("probe",) if config.is_baseline else ("probe", "direct", "projection", "neighbours")
    found = {f"{head}_{name}": value + 0.01 * at for at, head in enumerate(heads) for name in names}
    found["probe_labels_without_positive"] = 0.0
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


def carried_without(runs: list[Run], lost: Lost) -> Carried:
    """The runs of a study of which some have failed."""
    kept = [run for run in runs if not lost(run.config)]
    failures = [(run.config, "diverged", 1.0) for run in runs if lost(run.config)]
    whole = Grid(kept, failures, 0)
    return Carried(whole, whole, Grid([], [], 0), {})
