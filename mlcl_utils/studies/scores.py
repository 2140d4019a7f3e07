"""The frame of scores: estimate and interval of every arm, reading and metric; who ranks where; what an arm lacks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import stats
from mlcl_utils.runs import Run
from mlcl_utils.stats import Interval, Replicates, Standing
from mlcl_utils.studies.arms import AXES, Arm
from mlcl_utils.training import BASELINES

HEADS = ("direct", "probe")
"""What a representation is read with: the loss's own head, or the linear probe."""

Arms = dict[Arm, list[Run]]
"""The runs of every arm, in the order of their replicates."""


def column(head: str, metric: str) -> str:
    """The name of a metric of a head; of the representation itself where the head is empty."""
    return f"{head}_{metric}" if head else metric


def of_row(row: pd.Series[Any]) -> Arm:
    """The arm of a row of a frame."""
    axes = {name: row[name] for name in AXES if pd.notna(row[name])}
    return Arm(row["dataset"], row["encoder"], int(row["num_labels"]), row["loss"]).but(**axes)


COLUMNS = ("dataset", "encoder", "num_labels", "loss", *AXES)
"""The columns of a frame that say which arm a row is of."""


def is_main(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of a frame are of arms in the main sweep, as :attr:`mlcl_utils.studies.arms.Arm.is_main` says."""
    whole = (rows["train_fraction"] == 1) & (rows["kept_share"] == 1) & ~rows["one_positive"]
    return whole & rows["label_draw"].isna() & rows["held_out"].isna()


def is_plain(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of a frame are of arms at the first weight, whose validation has lost what their training has."""
    return (rows["weight"] == 1) & ~rows["clean_validation"]


def quantity(members: Sequence[Run], metric: str) -> Replicates | None:
    """A metric of an arm in every replicate, with its resamples over test groups where it has them.

    Args:
        members: the runs of one arm.
        metric: a name with its head, such as ``probe_map``; None is returned if a run lacks it.
    """
    if not members or any(metric not in run.metrics for run in members):
        return None
    drawn = [run.resamples().get(metric) for run in members]
    complete = [one for one in drawn if one is not None]
    return Replicates(
        index=tuple(run.config.replicate for run in members),
        values=np.array([run.metrics[metric] for run in members]),
        resamples=np.stack(complete) if len(complete) == len(drawn) else None,
    )


def intervals(found: Arms, metrics: Iterable[str], heads: Iterable[str] = HEADS) -> pd.DataFrame:
    """Mean and 95% interval of metrics of every arm, by head: the wider of two components, both given.

    The head of metrics of the representation itself is an empty word. Columns: those of the arm, ``head``, ``metric``,
    ``estimate``, ``lower``, ``upper``, the bounds ``replicate_*`` and ``bootstrap_*``, and ``replicates``, the number
    of these.
    """
    rows = []
    for (arm, members), head, metric in itertools.product(found.items(), heads, metrics):
        measured = quantity(members, column(head, metric))
        if measured is not None:
            named = {**arm.row(), "head": head, "metric": metric}
            rows.append({**named, **as_row(stats.interval(measured))})
    return pd.DataFrame(rows)


def points(found: Arms, metrics: Iterable[str], heads: Iterable[str] = HEADS) -> pd.DataFrame:
    """The replicates behind :func:`intervals`: ``estimate`` is the value in one of them."""
    return pd.DataFrame(
        [
            {
                **arm.row(),
                "head": head,
                "metric": metric,
                "replicate": run.config.replicate,
                "estimate": run.metrics[column(head, metric)],
            }
            for (arm, members), head, metric in itertools.product(found.items(), heads, metrics)
            for run in members
            if column(head, metric) in run.metrics
        ]
    )


def standings(found: Arms, head: str, metric: str, *, higher_is_better: bool) -> dict[Arm, Standing]:
    """The standing of each arm among those of the same task and head: ``best``, ``not worse`` or ``worse``.

    Arms are compared in the replicates that all have. An arm that is run once where others are repeated, such as a
    control, is compared with none and stands as ``worse``; so do all where no replicate is shared.
    """
    by_task: dict[Arm, dict[str, Replicates]] = {}
    for arm, members in found.items():
        measured = quantity(members, f"{head}_{metric}")
        if measured is not None:
            by_task.setdefault(arm.task, {})[arm.loss] = measured
    result: dict[Arm, Standing] = {}
    for task, measured_by_loss in by_task.items():
        repeated = {loss: each for loss, each in measured_by_loss.items() if len(each.index) > 1}
        compared = repeated or measured_by_loss
        shared = set.intersection(*(set(each.index) for each in compared.values()))
        paired = {loss: each.only(shared) for loss, each in compared.items()} if shared else {}
        ranked = stats.standings(paired, higher_is_better=higher_is_better) if paired else {}
        result.update({task.but(loss=loss): ranked.get(loss, "worse") for loss in measured_by_loss})
    return result


def as_row(interval: Interval) -> dict[str, float]:
    """An interval as columns of a table."""
    return {
        "estimate": interval.estimate,
        "lower": interval.lower,
        "upper": interval.upper,
        "replicate_lower": interval.replicate[0],
        "replicate_upper": interval.replicate[1],
        "bootstrap_lower": interval.bootstrap[0],
        "bootstrap_upper": interval.bootstrap[1],
        "replicates": interval.n,
    }


def best_head(members: Sequence[Run]) -> str:
    """The head of an arm with the best mean validation mAP."""
    return max(HEADS, key=lambda head: np.nan_to_num(mean(members, f"{head}_validation_map"), nan=-math.inf))


def mean(members: Sequence[Run], metric: str) -> float:
    """Mean of a metric over the replicates of an arm; NaN where none has it."""
    values = [run.metrics[metric] for run in members if metric in run.metrics]
    return float(np.mean(values)) if values else math.nan


def remark(found: Arms, arm: Arm, metric: str = "probe_map") -> str:
    """What stands against an arm: ``degenerate`` (below the untrained encoder), ``below baseline`` (below logistic
    regression on the input), or nothing. The two are compared in the replicates that both have.

    Args:
        found: all arms.
        arm: the one in question.
        metric: the mAP that is compared, ``probe_map`` or ``direct_map``; the baselines' is always the probe's.
    """
    if arm.loss in BASELINES:
        return ""
    for baseline, word in (("random_encoder", "degenerate"), ("logistic_regression", "below baseline")):
        beside = {run.config.replicate: run for run in found.get(arm.beside(baseline), [])}
        own = [run for run in found[arm] if run.config.replicate in beside]
        if mean(own, metric) < mean([beside[run.config.replicate] for run in own], "probe_map"):
            return word
    return ""
