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

PUBLISHED_RANGE = (0.07, 1.0)
"""The temperatures of the original paper, which claims are judged over; the grid of this study may go lower."""

FEWEST_OF_TREND = 4
"""Temperatures of that range that a claim on geometry needs."""

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
    known = sweeps(study)
    for key, sweep in known.items():
        plain, is_hard = known[key.but(variant="")], key["variant"] == "hard"
        if key["variant"] == "scaled":
            for temperature, each in sweep.items():
                yield _compare("scaled", [each, plain[temperature]], "map", head="probe")
            continue
        yield from _ranges_of_uniformity(sweep, plain) if is_hard else _ranges_of_map(sweep)
        within, plain_within = map(_published, (sweep, plain))
        claimed, reason = key.loss == "instance", "; ".join(_against(study, within))
        for found in _geometry(within, plain_within):
            yield dataclasses.replace(found, reason=reason) if claimed else _called("geometry", found)
        for found in () if is_hard else _best(study, within):
            yield found if claimed else _called("best", found)
        if claimed and len(within) < len(sweep):
            yield from (_called("all_temperatures", each) for each in _geometry(sweep, plain))


def _published(sweep: Sweep) -> Sweep:
    """The part of a sweep that lies in the range of the original paper."""
    lowest, highest = PUBLISHED_RANGE
    return {temperature: arm for temperature, arm in sweep.items() if lowest <= temperature <= highest}


def _against(study: Execution, sweep: Sweep) -> Iterator[str]:
    """Why no verdict on geometry can rest on a sweep: too few temperatures, or a loss that has not fallen."""
    if len(sweep) < FEWEST_OF_TREND:
        yield f"fewer than {FEWEST_OF_TREND} temperatures of the original range"
    risen = []
    for temperature, arm in sweep.items():
        losses = [
            [row["train_loss"] for row in run.history if "train_loss" in row]
            for run in study.arms.get(arm, ())
        ]
        falls = [each[-1] - each[0] for each in losses if len(each) > 1]
        if falls and np.mean(falls) >= 0:
            risen.append(f"{temperature:g}")
    if risen:
        yield f"the loss did not fall in training at τ {', '.join(risen)}"


def _compare(name: str, arms: Sequence[Arm], metric: str, words: str = "", **given: Any) -> Comparison:
    """A comparison of arms; its task in words is without a temperature."""
    return Comparison(name, arms, metric, compared=words, task=arms[0].beside("").describe(), **given)


def _called(name: str, comparison: Comparison) -> Comparison:
    return dataclasses.replace(comparison, name=name)


def _geometry(sweep: Sweep, plain: Sweep) -> Iterator[Comparison]:
    """Trends of uniformity and tolerance; with hard negatives, how much less uniformity varies than without."""
    arms = list(sweep.values())
    if len(arms) < 2:
        return
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
    if (min(sweep), max(sweep)) == PUBLISHED_RANGE:
        words = f"U(τ {min(sweep):g}) − U(τ {max(sweep):g})"
        yield _compare("uniformity_size", [arms[0], arms[-1]], "uniformity", words, head="")


def _best(study: Execution, sweep: Sweep) -> Iterator[Comparison]:
    """The temperature between the ends that validation prefers, against the lowest and the highest."""
    arms = list(sweep.values())
    if len(arms) < 3:
        return
    found = [scores.quantity(study.arms.get(each, ()), "probe_map") for each in arms]
    if None in found or len({each.index for each in found if each is not None}) > 1:
        yield _compare("intermediate_best", arms, "map", "best τ − both ends", head="probe")
        return
    best, _ = scores.best_on_validation(study.arms, arms[1:-1])
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
