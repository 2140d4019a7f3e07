"""The runs of the study of missing labels by arm, the contrasts between them, and the effects that a claim is judged
by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import claims, runs, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.contrasts import Contrast, contrast, effect, lost_effect
from mlcl_utils.studies.missing_labels import Condition, MissingLabelsParameters, weight_of
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.scores import Arms
from mlcl_utils.training import BASELINES

METRICS = ("map", "macro_f1", "micro_f1", "lrap", "ranking_loss")
COUNTS = ("lost", "corrected", "corrected_right", "unlabelled")
"""What a run's history counts of the label correction, see :class:`mlcl_utils.training.Training`."""


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        carried: the runs.
        arms: the runs of every arm; the axis ``weight`` is that of CLML where it is not the first.
        lost: those that failed.
        reference: the condition in which everything is compared.
        intervals: one row an arm, head and metric; ``head`` is empty for metrics of the representation.
        points: the replicates behind them.
        untuned: the arms with default configurations; empty where nothing is tuned.
    """

    carried: Carried
    arms: Arms
    lost: dict[Arm, list[RunConfig]]
    reference: Condition
    intervals: pd.DataFrame
    points: pd.DataFrame
    untuned: Arms

    def at_reference(self, arm: Arm) -> bool:
        """Whether an arm is in the condition in which everything is compared, validation included."""
        return condition_of(arm) == self.reference


def summarise(carried: Carried, parameters: MissingLabelsParameters) -> Summary:
    """Means and intervals of every arm."""

    def arm(config: RunConfig) -> Arm:
        weight = weight_of(config)
        return Arm.of(config, weight=1.0 if weight in (0.0, parameters.clml_weights[0]) else weight)

    found = runs.arms(carried.grid, arm)
    intervals = [scores.intervals(found, METRICS), scores.intervals(found, ("effective_rank",), ("",))]
    points = [scores.points(found, METRICS), scores.points(found, ("effective_rank",), ("",))]
    return Summary(
        carried,
        found,
        runs.lost(carried.grid, arm),
        parameters.reference,
        pd.concat(intervals, ignore_index=True),
        pd.concat(points, ignore_index=True),
        runs.arms(carried.default, arm) if carried.choices else {},
    )


def condition_of(arm: Arm) -> Condition:
    """Which positives an arm was trained without."""
    return Condition(arm["kept_share"], arm["one_positive"], arm["clean_validation"])


def additions(
    summary: Summary, metric: str, head: str = "best", *, term: str = "clml", every_weight: bool = False
) -> list[Contrast]:
    """Base loss with a term minus the same without it, in every condition with its own validation.

    Args:
        summary: the arms.
        metric: name of a metric.
        head: as in :func:`mlcl_utils.studies.contrasts.contrast`.
        term: ``clml`` or its control ``norm_penalty``.
        every_weight: also at the weights that are not the first.
    """
    found = [
        contrast(summary.arms, arm, base, metric, head)
        for arm, base in _pairs(summary.arms, term)
        if every_weight or not arm.setting
    ]
    return [each for each in found if each is not None]


def _pairs(arms: Iterable[Arm], term: str) -> Iterator[tuple[Arm, Arm]]:
    """The arms with a term and its own validation, each with the same without the term."""
    for arm in arms:
        base, _, added = arm.loss.partition("+")
        if added == term and not arm["clean_validation"]:
            yield arm, arm.beside(base)


def costs(summary: Summary, metric: str, head: str = "best") -> list[Contrast]:
    """Each loss of every condition without some positives minus itself with all of them."""
    found = []
    for arm in summary.arms:
        if (
            arm.loses_positives
            and not arm["clean_validation"]
            and not arm.setting
            and arm.loss not in BASELINES
        ):
            whole = arm.but(kept_share=1.0, one_positive=False)
            each = contrast(summary.arms, arm, whole, metric, head)
            found += [each] if each is not None else []
    return found


def effects(summary: Summary) -> claims.Effects:
    """What the claims of this study are judged by: CLML's effect on each base loss in each condition with losses."""
    found = []
    for arm, base in _pairs(dict.fromkeys([*summary.arms, *summary.lost]), "clml"):
        if arm.loses_positives and not arm.setting:
            each = contrast(summary.arms, arm, base, "map")
            found.append(lost_effect(summary.lost, arm, base) if each is None else effect(summary.arms, each))
    return {"clml_helps": [each for each in found if each is not None]}


def corrections(summary: Summary) -> pd.DataFrame:
    """How well lost positives are found, over the epochs: one row a correcting arm of the reference and epoch.

    Columns: those of the arm, ``epoch`` (1-based), ``precision`` (share of the corrected entries that are truly
    positive; NaN where none is corrected), ``recall`` (share of the lost positives that are found), ``lost``,
    ``corrected``, ``unlabelled`` (examples without any label even so); counts are summed over the replicates for the
    shares, and means of them otherwise.
    """
    rows = []
    for arm, members in summary.arms.items():
        if not summary.at_reference(arm) or any(
            "corrected" not in (run.history or [{}])[0] for run in members
        ):
            continue
        for epoch, replicates in enumerate(zip(*(run.history for run in members), strict=False), start=1):
            lost, corrected, right, unlabelled = (sum(row[name] for row in replicates) for name in COUNTS)
            rows.append(
                {
                    **arm.row(),
                    "epoch": epoch,
                    "precision": right / corrected if corrected else np.nan,
                    "recall": right / lost if lost else np.nan,
                    "lost": lost / len(members),
                    "corrected": corrected / len(members),
                    "unlabelled": unlabelled / len(members),
                }
            )
    return pd.DataFrame(rows)
