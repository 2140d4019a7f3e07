"""What the temperature study measures: the learning rates, how geometry and scores move with τ, and which τ is best."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mlcl_utils import stats
from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import runs, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.execution import Execution, Measures
from mlcl_utils.studies.temperature import RATE_FACTORS, variant
from mlcl_utils.studies.tuning import Task, Tuning
from mlcl_utils.training import BASELINES

GEOMETRY = ("uniformity", "tolerance", "tolerance_gap", "effective_rank", "penalty_entropy")

LOWEST_PUBLISHED = 0.07
"""The original paper's temperatures begin here; the grid of this study goes lower."""

FEWEST_OF_TREND = 3
"""Temperatures that a trend of the original range is compared over: that of two is always perfect."""

Sweep = Mapping[float, Arm]
"""One loss, or a variant of it, in one place at every temperature, in ascending order."""


def arm(config: RunConfig) -> Arm:
    """The arm of a run, with its temperature and what it is besides."""
    return Arm.of(config, temperature=config.hyperparameters.get("temperature"), variant=variant(config))


def named(arm: Arm) -> str:
    """A loss with its variant and temperature in words."""
    return ", ".join(filter(None, (style.look(arm.loss).label, arm.setting)))


def sweeps(study: Execution) -> dict[Arm, Sweep]:
    """The arms of every sweep, those without a finished run included, by the arm without a temperature."""
    found: dict[Arm, dict[float, Arm]] = {}
    for each in [*study.lost, *study.arms]:
        if each.loss not in BASELINES:
            found.setdefault(each.but(temperature=None), {})[each["temperature"]] = each
    return {key: dict(sorted(arms.items())) for key, arms in found.items()}


def comparisons(study: Execution) -> Iterator[Comparison]:
    """What changes with the temperature, sweep by sweep; the claims are about instance discrimination."""
    found = sweeps(study)
    for key, sweep in found.items():
        plain, is_hard = found[key.but(variant="")], key["variant"] == "hard"
        if key["variant"] == "scaled":
            for temperature, each in sweep.items():
                yield _compare("scaled", [each, plain[temperature]], "map", head="probe")
            continue
        yield from _ranges_of_uniformity(sweep, plain) if is_hard else _ranges_of_map(sweep)
        for each in (*_geometry(sweep, plain), *(() if is_hard else _best(study, sweep))):
            own_name = "best" if each.metric == "map" else "geometry"
            yield each if key.loss == "instance" else _called(own_name, each)
        above, plain_above = ({t: each[t] for t in each if t >= LOWEST_PUBLISHED} for each in (sweep, plain))
        fewest = 2 if is_hard else FEWEST_OF_TREND
        if key.loss == "instance" and fewest <= len(above) < len(sweep):
            yield from (_called("original_range", each) for each in _geometry(above, plain_above))


def _compare(name: str, arms: Sequence[Arm], metric: str, words: str = "", **given: Any) -> Comparison:
    """A comparison of arms; its task in words is without a temperature."""
    return Comparison(name, arms, metric, compared=words, task=arms[0].beside("").describe(), **given)


def _called(name: str, comparison: Comparison) -> Comparison:
    return dataclasses.replace(comparison, name=name)


def _geometry(sweep: Sweep, plain: Sweep) -> Iterator[Comparison]:
    """Trends of uniformity and tolerance; with hard negatives, how much less uniformity varies than without."""
    arms = list(sweep.values())
    if sweep != plain:
        yield _compare(
            "hard_negatives_uniform",
            [*plain.values(), *arms],
            "uniformity",
            "range of plain − range of hard",
            head="",
            measure=_difference_of_ranges,
        )
        return
    temperatures = np.array(list(sweep))
    for name, quantity, sign in (("uniformity_falls", "uniformity", -1), ("tolerance_rises", "tolerance", 1)):
        yield _compare(
            name,
            arms,
            "rank_correlation",
            f"{'−' if sign < 0 else ''}ρ(τ, {quantity})",
            head="",
            quantity=quantity,
            measure=lambda values, sign=sign: sign * stats.spearman(temperatures, values),
            limits=(-1.0, 1.0),
        )


def _best(study: Execution, sweep: Sweep) -> Iterator[Comparison]:
    """The temperature that validation prefers, against the lowest and the highest."""
    arms = list(sweep.values())
    found = [scores.quantity(study.arms.get(each, ()), "probe_map") for each in arms]
    if None in found or len({each.index for each in found if each is not None}) > 1:
        yield _compare("intermediate_best", arms, "map", "best τ − both ends", head="probe")
        return
    best, _ = scores.best_on_validation(study.arms, arms)
    for which, end in (("lowest", arms[0]), ("highest", arms[-1])):
        words = f"best τ {best['temperature']:g} − {which} τ {end['temperature']:g}"
        yield _compare("intermediate_best", [best, end], "map", words, head="probe")


def _ranges_of_map(sweep: Sweep) -> Iterator[Comparison]:
    """How much mAP varies over the temperatures, read from the representation and from the projection."""
    arms = list(sweep.values())
    for head, words in (("probe", "representation"), ("projection", "projection")):
        yield _compare("ranges_of_map", arms, "map", words, head=head, measure=_range)
    heads = [head for head in ("projection", "probe") for _ in arms]
    words = "projection − representation"
    yield _compare("ranges_of_map", [*arms, *arms], "map", words, head=heads, measure=_difference_of_ranges)


def _ranges_of_uniformity(sweep: Sweep, plain: Sweep) -> Iterator[Comparison]:
    """How much uniformity varies over the temperatures, with all negatives and with hard ones."""
    for own, words in ((plain, "range of plain"), (sweep, "range of hard")):
        yield _compare("geometry", list(own.values()), "uniformity", words, head="", measure=_range)


def _range(values: Floats) -> Floats:
    found: Floats = np.ptp(values, axis=0)
    return found


def _difference_of_ranges(values: Floats) -> Floats:
    """The range of the first half of the arms minus that of the second."""
    first, second = np.split(values, 2)
    return _range(first) - _range(second)


def _task(config: RunConfig) -> Task:
    """A loss or variant at one temperature; one times τ shares the learning rate of the loss itself."""
    own = arm(config)
    plain = own.but(variant="") if own["variant"] == "scaled" else own
    return config.dataset, config.encoder, named(plain), config.num_labels


def _rates(config: RunConfig) -> list[float]:
    """The learning rates that are tried, the recipe's own first."""
    assert config.recipe is not None
    return [factor * config.recipe.learning_rate for factor in RATE_FACTORS]


def _at_rate(config: RunConfig, values: Mapping[str, float]) -> RunConfig:
    """The configuration at another learning rate, and that of word embeddings multiplied alike."""
    assert config.recipe is not None
    factor = values["learning_rate"] / config.recipe.learning_rate
    return config.with_values({**values, "table_rate": factor * config.recipe.table_rate})


TUNING = Tuning(
    task=_task,
    space=lambda config: {"learning_rate": sorted(_rates(config))},
    candidates=lambda config, count: [
        _at_rate(config, {"learning_rate": rate}) for rate in _rates(config)[:count]
    ],
    with_values=_at_rate,
    is_tried=lambda config: variant(config) != "scaled",
    is_compared=lambda config: False,
)
"""The learning rate alone, at each temperature: a loss that is divided by τ has a steeper gradient."""

MEASURES = Measures(
    comparisons,
    metrics=("map", "macro_f1"),
    representation=GEOMETRY,
    heads=("direct", "probe", "projection", "neighbours"),
    arm=lambda config, parameters: arm(config),
    among=lambda arm: None if arm.loss in BASELINES else arm.but(temperature=None),
    train=partial(runs.train, how=TUNING),
)
