"""The runs of the study of missing labels by arm, the contrasts between them, and the effects that a claim is judged
by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlcl_utils import stats
from mlcl_utils.figures import style
from mlcl_utils.runs import RunConfig
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import analysis, claims
from mlcl_utils.studies.analysis import Arm, Arms, Carried
from mlcl_utils.studies.claims import Effect
from mlcl_utils.studies.missing_labels import Condition, MissingLabelsParameters, weight_of
from mlcl_utils.training import BASELINES

METRICS = ("map", "macro_f1", "micro_f1", "lrap", "ranking_loss")
COUNTS = ("lost", "corrected", "corrected_right", "unlabelled")
"""What a run's history counts of the label correction, see :class:`mlcl_utils.training.Training`."""


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        carried: the runs.
        arms: the runs of every arm; ``setting`` is the weight of CLML where it is not the first.
        reference: the condition in which everything is compared.
        intervals: one row an arm, head and metric; ``head`` is empty for metrics of the representation.
        points: the replicates behind them.
    """

    carried: Carried
    arms: Arms
    reference: Condition
    intervals: pd.DataFrame
    points: pd.DataFrame

    def at_reference(self, arm: Arm) -> bool:
        """Whether an arm is in the condition in which everything is compared, validation included."""
        return condition_of(arm) == self.reference


def summarise(carried: Carried, parameters: MissingLabelsParameters) -> Summary:
    """Means and intervals of every arm."""

    def setting(config: RunConfig) -> str:
        weight = weight_of(config)
        return f"×{weight:g}" if weight not in (0.0, parameters.clml_weights[0]) else ""

    found = analysis.arms(carried.grid, setting)
    intervals = [analysis.intervals(found, METRICS), analysis.intervals(found, ("effective_rank",), ("",))]
    points = [analysis.points(found, METRICS), analysis.points(found, ("effective_rank",), ("",))]
    return Summary(
        carried,
        found,
        parameters.reference,
        pd.concat(intervals, ignore_index=True),
        pd.concat(points, ignore_index=True),
    )


def condition_of(arm: Arm) -> Condition:
    """Which positives an arm was trained without."""
    return Condition(arm.kept_share, arm.one_positive, arm.clean_validation)


@dataclass(frozen=True)
class Contrast:
    """One arm minus another on the same task, each read with a head.

    Attributes:
        first: the arm that should be ahead.
        second: the arm it is compared with.
        heads: what each of them is read with.
        metric: what differs.
        difference: first minus second, paired.
    """

    first: Arm
    second: Arm
    heads: tuple[str, str]
    metric: str
    difference: Replicates

    @property
    def interval(self) -> Interval:
        """The difference with its 95% interval."""
        return stats.interval(self.difference)

    @property
    def label(self) -> str:
        """What is compared, in words."""
        weight = f" {self.first.setting}" if self.first.setting else ""
        return f"{style.look(self.first.loss).label}{weight} − {style.look(self.second.loss).label}"


def contrast(summary: Summary, first: Arm, second: Arm, metric: str, head: str = "best") -> Contrast | None:
    """One arm minus another; None if one is missing, or a replicate of one of them failed.

    Args:
        summary: the arms.
        first: the arm that should be ahead.
        second: the other one.
        metric: name of a metric.
        head: ``probe``, ``direct``, ``best`` for the head of each that validation prefers, or nothing for a metric of
            the representation.
    """
    if first not in summary.arms or second not in summary.arms:
        return None
    heads = tuple(
        analysis.best_head(summary.arms[arm]) if head == "best" else head for arm in (first, second)
    )
    pair = [
        analysis.quantity(summary.arms[arm], analysis.column(read, metric))
        for arm, read in zip((first, second), heads, strict=True)
    ]
    if pair[0] is None or pair[1] is None or pair[0].index != pair[1].index:
        return None
    return Contrast(first, second, (heads[0], heads[1]), metric, stats.difference(pair[0], pair[1]))


def additions(
    summary: Summary, metric: str, head: str = "best", *, term: str = "clml", every_weight: bool = False
) -> list[Contrast]:
    """Base loss with a term minus the same without it, in every condition with its own validation.

    Args:
        summary: the arms.
        metric: name of a metric.
        head: as in :func:`contrast`.
        term: ``clml`` or its control ``norm_penalty``.
        every_weight: also at the weights that are not the first.
    """
    found = []
    for arm in summary.arms:
        base, _, added = arm.loss.partition("+")
        if added == term and not arm.clean_validation and (every_weight or not arm.setting):
            each = contrast(summary, arm, arm._replace(loss=base, setting=""), metric, head)
            found += [each] if each is not None else []
    return found


def costs(summary: Summary, metric: str, head: str = "best") -> list[Contrast]:
    """Each loss of every condition without some positives minus itself with all of them."""
    found = []
    for arm in summary.arms:
        if arm.loses_positives and not arm.clean_validation and not arm.setting and arm.loss not in BASELINES:
            whole = arm._replace(kept_share=1.0, one_positive=False)
            each = contrast(summary, arm, whole, metric, head)
            found += [each] if each is not None else []
    return found


def effects(summary: Summary) -> claims.Effects:
    """What the claims of this study are judged by: CLML's effect on each base loss in each condition with losses."""
    found = [
        Effect(
            dataset=each.first.dataset,
            task=each.first.describe(),
            arms=each.label,
            measured=each.difference,
            **_against(summary, each),
        )
        for each in additions(summary, "map")
        if each.first.loses_positives
    ]
    return {"clml_helps": found}


def _against(summary: Summary, each: Contrast) -> dict[str, str]:
    """What stands against a contrast, each arm read with its own head."""
    words: dict[str, list[str]] = {"impediment": [], "remark": []}
    for arm, head in zip((each.first, each.second), each.heads, strict=True):
        for name, said in claims.against(summary.arms, [arm], head=head).items():
            words[name] += [said] if said else []
    return {name: "; ".join(said) for name, said in words.items()}


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
                    **arm._asdict(),
                    "epoch": epoch,
                    "precision": right / corrected if corrected else np.nan,
                    "recall": right / lost if lost else np.nan,
                    "lost": lost / len(members),
                    "corrected": corrected / len(members),
                    "unlabelled": unlabelled / len(members),
                }
            )
    return pd.DataFrame(rows)


def by_dataset(found: list[Contrast]) -> Iterator[tuple[str, list[Contrast]]]:
    """The contrasts of each data set, in the order in which data sets first occur."""
    names = list(dict.fromkeys(each.first.dataset for each in found))
    ordered = sorted(found, key=lambda each: names.index(each.first.dataset))
    for name, own in itertools.groupby(ordered, key=lambda each: each.first.dataset):
        yield name, list(own)
