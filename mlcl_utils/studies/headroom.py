"""Headroom: by how much the best loss is ahead of an encoder that was never trained; losses differ only within it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from mlcl_utils.figures import style
from mlcl_utils.studies import published, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.scores import Arms
from mlcl_utils.training import BASELINES

PILOT = (0, 1)
"""The splits that headroom is read on."""

_READ = {
    "map": "validation_map",
    "ranking_loss": "validation_map",  # ranking loss is not measured on validation
    "macro_f1_per_label": "validation_macro_f1_per_label",
    "macro_f1_half": "validation_macro_f1_per_label",
}
"""What stands for the metric of a claim: the probe's on validation."""


def frame(study: Execution) -> pd.DataFrame:
    """The headroom of every claim on performance, task by task, in points; nothing of it looks at which arm wins.

    The best mean of any trained loss minus that of the untrained encoder, both read with the probe on the validation
    parts of splits 0 and 1. A claim on a change with the number of labels needs it at both ends and shows the smaller
    one; one on the amount of data needs it with all data. Where positives are lost, it is what the base loss gains from
    having all of them, on the test parts of these splits, since validation has lost some too.

    Columns: ``claim``, ``task``, ``metric`` (what was read), ``loss`` (the best), ``headroom``, ``margin``,
    ``eligible`` (whether the former reaches the latter).
    """
    claims = {claim.id: claim for claim in published.of(study.study.name)}
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for each in study.measures.comparisons(study):
        claim = claims.get(each.name)
        if claim is None or claim.metric not in _READ:
            continue
        found = list(_of(study.arms, each.chosen_among or each.arms, _READ[claim.metric]))
        if found:
            gap, loss, metric = min(found)
            rows.setdefault(
                (claim.id, each.where),
                {
                    "claim": claim.id,
                    "task": each.where,
                    "metric": metric,
                    "loss": style.look(loss).label,
                    "headroom": 100 * gap,
                    "margin": claim.margin,
                    "eligible": 100 * gap >= claim.margin,
                },
            )
    columns = ["claim", "task", "metric", "loss", "headroom", "margin", "eligible"]
    return pd.DataFrame(list(rows.values()), columns=columns)


def _of(arms: Arms, among: Iterable[Arm], metric: str) -> Iterator[tuple[float, str, str]]:
    """Headroom of every task of some arms, with the loss that has it and what was read."""
    for task in dict.fromkeys(arm.beside("") for arm in among if arm["train_fraction"] == 1):
        if task.loses_positives:
            whole = task.but(kept_share=1.0, one_positive=False, clean_validation=False)
            for loss in dict.fromkeys(arm.loss.partition("+")[0] for arm in among if arm.beside("") == task):
                pair = [_mean(arms, each.but(loss=loss), "probe_map") for each in (whole, task)]
                if None not in pair:
                    yield pair[0] - pair[1], loss, "map"  # type: ignore[operator]
            continue
        untrained = _mean(arms, task.but(loss="random_encoder"), f"probe_{metric}")
        trained = {
            arm: value
            for arm in arms
            if arm.loss not in BASELINES and arm.beside("") == task
            if (value := _mean(arms, arm, f"probe_{metric}")) is not None
        }
        if untrained is not None and trained:
            best = max(trained, key=lambda arm: trained[arm])
            yield trained[best] - untrained, best.loss, metric


def _mean(arms: Arms, arm: Arm, metric: str) -> float | None:
    members = [run for run in arms.get(arm, ()) if run.config.replicate in PILOT]
    value = scores.mean(members, metric)
    return None if value != value else value
