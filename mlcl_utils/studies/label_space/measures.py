"""What the label-space study measures: leads of contrastive losses, how these change, and the steps of the ladder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import losses, stats
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.runs import Grid, Run
from mlcl_utils.stats import Replicates
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies import scores
from mlcl_utils.studies.arms import FEW_BASELINES, Arm
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.comparisons import Comparison, difference, lead, of_best
from mlcl_utils.studies.execution import Execution, Measures
from mlcl_utils.studies.label_space import MADE_LOSSES, Cell, LabelSpaceParameters, made
from mlcl_utils.studies.runs import Trained
from mlcl_utils.training import BASELINES

FEW_LABELS = 10
"""The size of the label space at which labels are few."""

MAIN = ("macro_f1", "map", "ranking_loss")

READINGS: dict[str, tuple[str, Sequence[str]]] = {
    "": ("macro_f1_per_label", ("probe",)),
    "_source": ("macro_f1_half", ("source",)),
}
"""Macro-F1 in the equal reading and, with an ending of the name, in that of the original paper: metric and heads."""

NAMED = ("recall_named", "recall_unnamed", "map", "map_unnamed")
"""Metrics of positives that the text names, and of the others."""

KINDS = ("contrastive", "classification")
"""Families of losses whose best are compared; the latter are binary-relevance losses."""

Tasks = Mapping[Arm, Sequence[Arm]]
"""The arms with a loss of every task, those without runs included."""


def comparisons(study: Execution) -> Iterator[Comparison]:
    """Leads on every task, their change with labels and data, the ladder, and differences to one loss."""
    tasks: dict[Arm, list[Arm]] = {}
    for arm in dict.fromkeys([*study.arms, *study.lost]):
        if arm.loss not in BASELINES and arm["label_draw"] is None:
            tasks.setdefault(arm.task, []).append(arm)
    for arms in tasks.values():
        for metric in MAIN:
            yield from _leads(study, "contrast", [arms], metric, columns={"head": "probe"})
            yield from _leads(study, "contrast", [arms], metric, heads=scores.HEADS, columns={"head": "best"})
        for end, (metric, heads) in READINGS.items():
            # said here, since no head is known where runs have failed
            reading = {"reading": "source" if end else "equal"}
            yield from _leads(study, "contrast_as_read", [arms], metric, heads=heads, columns=reading)
    for place in dict.fromkeys((task.dataset, task.encoder, task["length"]) for task in tasks):
        own = {t: arms for t, arms in tasks.items() if (t.dataset, t.encoder, t["length"]) == place}
        yield from _of_sizes(study, {task: arms for task, arms in own.items() if task.but(length="").is_main})
        yield from _of_fractions(
            study, {task: arms for task, arms in own.items() if task["held_out"] is None}
        )
    yield from _differences(study)


@dataclass(frozen=True)
class WithWorlds(Trained):
    """The runs of the study, and those of the phase diagram."""

    worlds: Grid = field(default_factory=lambda: Grid([], [], 0))

    @property
    def parts(self) -> dict[str, Grid]:
        """Those of the phase diagram are called ``made``."""
        return super().parts | ({"made": self.worlds} if self.worlds.runs or self.worlds.failures else {})


def train(study: Study, parameters: LabelSpaceParameters, folder: Path) -> WithWorlds:
    """Train what is compared, then what the phase diagram takes."""
    found = study_runs.train(study, parameters, folder)
    asked = [each.config for each in made(parameters)]
    worlds = study_runs.train_grid(parameters, asked, folder) if asked else Grid([], [], 0)
    return WithWorlds(**{each.name: getattr(found, each.name) for each in fields(found)}, worlds=worlds)


READ = {
    "source": ("linear_macro_f1_half", "own_macro_f1_half", False),
    "source, BCE three times as long": ("linear_macro_f1_half", "own_macro_f1_half", True),
    "own head of BCE, thresholds tuned": ("probe_macro_f1_per_label", "direct_macro_f1_per_label", False),
    "equal": ("probe_macro_f1_per_label", "probe_macro_f1_per_label", False),
}
"""How the phase diagram reads models, from the original papers' reading to the equal one, a step at a time: metric of a
contrastive loss, metric of BCE, and whether BCE is trained for longer."""


def phases(study: Execution) -> pd.DataFrame:
    """The lead in macro-F1 of a contrastive loss over BCE in every cell of the phase diagram, in points.

    Worlds are independent draws of everything, test part included, so that nothing is corrected for overlap.

    Columns: ``num_labels``, ``imbalance``, ``examples``, ``reading`` (a key of :data:`READ`), ``loss``, ``estimate``,
    ``lower``, ``upper``, ``replicates`` (worlds that all of its runs succeeded in).
    """
    trained = study.trained
    by_id = {run.config.id: run for run in trained.worlds.runs} if isinstance(trained, WithWorlds) else {}
    found: dict[tuple[Cell, str, bool], dict[int, Run]] = {}
    for each in made(study.parameters):
        if (run := by_id.get(each.config.id)) is not None:
            found.setdefault((each.cell, each.loss, each.longer), {})[each.config.seed] = run
    rows = []
    for cell in dict.fromkeys(cell for cell, _, _ in found):
        for loss, (reading, (ahead, behind, longer)) in itertools.product(MADE_LOSSES[1:], READ.items()):
            pair = found.get((cell, loss, False), {}), found.get((cell, "bce", longer), {})
            worlds = sorted(set(pair[0]) & set(pair[1]))
            if not worlds:
                continue
            lead = [pair[0][world].metrics[ahead] - pair[1][world].metrics[behind] for world in worlds]
            measured = stats.interval(Replicates(tuple(worlds), 100 * np.array(lead), test_ratio=0.0))
            numbers = {name: getattr(measured, name) for name in ("estimate", "lower", "upper")}
            rows.append(
                {**cell._asdict(), "reading": reading, "loss": loss, **numbers, "replicates": len(worlds)}
            )
    return pd.DataFrame(rows)


MEASURES = Measures(
    comparisons,
    metrics=(
        *("map", "macro_f1", "macro_f1_per_label", "macro_f1_half"),
        *("micro_f1", "lrap", "ranking_loss", "map_base", "macro_f1_base"),
        *("recall_named", "recall_unnamed", "map_unnamed"),
    ),
    heads=(*scores.HEADS, *scores.SOURCE_HEADS),
    arm=lambda config, parameters: Arm.of(config, length=parameters.length(config)),
    train=train,
)


def _leads(
    study: Execution,
    name: str,
    tasks: Sequence[Sequence[Arm]],
    metric: str,
    measure: Callable[[Floats], Floats] = lambda leads: leads[0],
    *,
    kinds: Sequence[str] = KINDS,
    **given: Any,
) -> Iterator[Comparison]:
    """By how much the best loss of one kind is better than that of another, made into one number over tasks."""
    groups = [
        [arm for arm in arms if losses.info(arm.loss).family == kind] for arms in tasks for kind in kinds
    ]
    better = lead(metric)
    if all(groups):
        yield of_best(
            study.arms,
            study.lost,
            groups,
            name=name,
            metric=metric,
            measure=lambda values: measure(better(np.stack([values[::2], values[1::2]]))),
            **given,
        )


def _of_sizes(study: Execution, tasks: Tasks) -> Iterator[Comparison]:
    """Leads at few labels and at the most, their growth, and the steps of the ladder at the most."""
    by_size = {task.num_labels: arms for task, arms in tasks.items()}
    if not by_size:
        return
    fewest, largest = min(by_size), max(by_size)
    most, turned = by_size[largest], KINDS[::-1]
    for end, (metric, heads) in READINGS.items():
        ahead = partial(_leads, study, metric=metric, heads=heads)
        if FEW_LABELS in by_size:
            yield from ahead(f"few_labels{end}", [by_size[FEW_LABELS]], kinds=turned)
        for name, size in (("lead_grows", FEW_LABELS), ("growth", fewest)):
            if size in by_size and size < largest:
                change = {"change": f"from {size} to {largest} labels"}
                tasks_ = [most, by_size[size]]
                yield from ahead(f"{name}{end}", tasks_, measure=difference, columns=change)
        if largest > FEW_LABELS:
            yield from ahead(f"many_labels{end}", [most])
    if largest > FEW_LABELS:
        for metric in ("map", "ranking_loss"):
            yield from _leads(study, f"not_ahead_{metric}", [most], metric, kinds=turned)
        yield from _ladder(study, {arm.loss: arm for arm in most})


def _ladder(study: Execution, arms: Mapping[str, Arm]) -> Iterator[Comparison]:
    """The steps from BCE on cosines over prototypes to the interaction of labels, and REG."""
    earlier = [name for name in arms if name != "reg" and losses.info(name).family == "contrastive"]
    for name, pair in {
        "optimisation": (["prototype"], ["cosine_bce"]),
        "interactions": (["msc", "reg"], ["prototype"]),
        "reg_ahead": (["reg"], earlier),
    }.items():
        groups = [[arms[loss] for loss in group if loss in arms] for group in pair]
        if all(groups):
            yield of_best(study.arms, study.lost, groups, name=name, metric="macro_f1_per_label")


def _of_fractions(study: Execution, tasks: Tasks) -> Iterator[Comparison]:
    """By how much leads fall with tenfold training data, at each size that has fractions."""
    for size in sorted({task.num_labels for task in tasks if task["train_fraction"] < 1}):
        own = {task["train_fraction"]: arms for task, arms in tasks.items() if task.num_labels == size}
        shares = sorted(own, reverse=True)
        if len(shares) > 1:
            fall, change = partial(_fall, shares), {"change": "for a tenth of the data"}
            yield from _leads(
                study,
                "little_data",
                [own[share] for share in shares],
                "macro_f1_per_label",
                fall,
                columns=change,
            )


def _fall(shares: Sequence[float], leads: Floats) -> Floats:
    """By how much a lead falls when the data grow tenfold, by least squares on the logarithm of the share."""
    return -stats.slope(np.log(shares), leads) * math.log(10)


def _differences(study: Execution) -> Iterator[Comparison]:
    """Every loss and few baselines of the main sweep against BCE, or the first loss, whatever end is better."""
    names = study.parameters.losses
    reference = "bce" if "bce" in names else names[0]
    left_out = {reference, *BASELINES} - set(FEW_BASELINES)
    for arm in study.arms:
        if arm.is_main and arm.loss not in left_out:
            for metric in MAIN:
                yield Comparison("difference", [arm, arm.but(loss=reference)], metric, "probe")


def matched(study: Execution) -> dict[str, pd.DataFrame]:
    """Intervals and points of the probe at matched label frequencies, averaged over the draws; empty without draws.

    Columns as in the frames of scores, besides ``draws``, their number. The largest size, at which all labels of the
    pool are drawn, comes from the main sweep.
    """
    groups: dict[Arm, list[Arm]] = {}
    for arm in study.arms:
        if arm["label_draw"] is not None:
            groups.setdefault(arm.but(label_draw=None), []).append(arm)
    kinds = {(arm.dataset, arm.encoder, arm.loss) for arm in groups}
    sizes: dict[str, int] = {}
    for arm in study.arms:
        sizes[arm.dataset] = max(arm.num_labels, sizes.get(arm.dataset, 0))
    for arm in study.arms:
        drawn = (arm.dataset, arm.encoder, arm.loss) in kinds
        if drawn and arm.is_main and arm.num_labels == sizes[arm.dataset]:
            groups[arm] = [arm]
    found: dict[str, list[dict[str, Any]]] = {"intervals": [], "points": []}
    for kind, metric in itertools.product(groups, ("macro_f1", "map")):
        draws = sorted(groups[kind], key=lambda arm: arm["label_draw"] or 0)
        quantities = [scores.quantity(study.arms[arm], f"probe_{metric}") for arm in draws]
        parts = [each for each in quantities if each is not None]
        if len({each.index for each in parts}) != 1:  # a replicate of one has failed
            continue
        mean = stats.combine(parts, lambda part: part.mean(axis=0))
        row = {**kind.row(), "head": "probe", "metric": metric, "draws": len(parts)}
        found["intervals"].append({**row, **scores.as_row(stats.interval(mean))})
        for replicate, value in zip(mean.index, mean.values, strict=True):
            found["points"].append({**row, "replicate": replicate, "estimate": value})
    return {name: pd.DataFrame(rows) for name, rows in found.items()}
