"""What the study of missing labels measures: what lost positives cost, and what CLML and its controls change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mlcl_utils.figures import style
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.execution import Execution, Measures, once
from mlcl_utils.studies.missing_labels import CORRECTED, Condition, MissingLabelsParameters, weight_of
from mlcl_utils.training import BASELINES

CHANGED = {"map": "best", "macro_f1": "best", "effective_rank": "", "validation_map": "best"}
"""What CLML may change, with the head that it is read with."""

COUNTS = ("lost", "corrected", "corrected_right", "unlabelled")
"""What a run's history counts of the label correction, see :class:`mlcl_utils.training.Training`."""


def arm(config: RunConfig, parameters: MissingLabelsParameters) -> Arm:
    """The arm of a run; its axis ``weight`` is that of what is added to the base loss, where it is not the first."""
    weight = weight_of(config)
    return Arm.of(config, weight=1.0 if weight in (0.0, parameters.clml_weights[0]) else weight)


def condition_of(arm: Arm) -> Condition:
    """Which positives an arm was trained without."""
    return Condition(arm["kept_share"], arm["one_positive"], arm["clean_validation"])


def comparisons(study: Execution) -> Iterator[Comparison]:
    """CLML against base loss and controls, missing against all positives, clean against corrupted validation."""
    known = dict.fromkeys([*study.arms, *study.lost])
    for each in known:
        if each.loss not in BASELINES:
            yield from (found for found in _of(each, study) if found.arms[1] in known)


def _of(arm: Arm, study: Execution) -> Iterator[Comparison]:
    base, _, term = arm.loss.partition("+")
    plain, label = arm.beside(base), style.look(arm.loss).label
    if arm["clean_validation"]:
        pair = [arm, arm.but(clean_validation=False)]
        for metric in ("map", "macro_f1") if not term else ():
            words = f"{label}, clean validation − corrupted validation"
            yield Comparison("oracle", pair, metric, "probe", compared=words, task=pair[1].describe())
    elif term == "clml":
        published = arm.loses_positives and not arm.setting
        if published:
            yield Comparison("clml_helps", [arm, plain], "map")
        for metric, head in CHANGED.items():
            yield Comparison("clml", [arm, plain], metric, head, task=plain.describe())
        controls = [f"{base}+norm_penalty", *([CORRECTED] if base == "bce" else [])]
        for control in controls:
            yield Comparison("controls", [arm, arm.but(loss=control)], "map", task=plain.describe())
    elif arm.loss == CORRECTED:
        yield Comparison("controls", [arm, arm.but(loss="bce")], "map")
    elif not term and arm.loses_positives:
        whole = arm.but(kept_share=1.0, one_positive=False)
        words = f"{label}, {arm.positives} − all positives"
        yield Comparison("cost", [arm, whole], "map", compared=words, task=whole.describe())


MEASURES = Measures(
    comparisons,
    metrics=("map", "macro_f1", "micro_f1", "lrap", "ranking_loss"),
    representation=("effective_rank",),
    arm=arm,
)


def at_reference(study: Execution, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a frame in the condition in which everything is compared, whatever their validation part."""
    share: float = study.parameters.reference_share
    return rows[(rows["kept_share"] == share) & ~rows["one_positive"]]


@once
def corrections(study: Execution) -> pd.DataFrame:
    """How well lost positives are found, over the epochs: one row per correcting arm of the reference and epoch.

    Columns: those of the arm, ``epoch`` (1-based), ``precision`` (share of the corrected entries that are truly
    positive; NaN where none is corrected), ``recall`` (share of the lost positives that are found), ``lost``,
    ``corrected``, ``unlabelled`` (examples without any label even so); counts are summed over the replicates for the
    shares, and means of them otherwise.
    """
    rows = []
    for each, members in study.arms.items():
        histories = [run.history or [{}] for run in members]
        if condition_of(each) != study.parameters.reference or any(
            "corrected" not in h[0] for h in histories
        ):
            continue
        for epoch, replicates in enumerate(zip(*histories, strict=False), start=1):
            lost, corrected, right, unlabelled = (sum(row[name] for row in replicates) for name in COUNTS)
            shares = {
                "precision": right / corrected if corrected else np.nan,
                "recall": right / lost if lost else np.nan,
            }
            counts = {"lost": lost, "corrected": corrected, "unlabelled": unlabelled}
            means = {name: count / len(members) for name, count in counts.items()}
            rows.append({**each.row(), "epoch": epoch, **shares, **means})
    return pd.DataFrame(rows)
