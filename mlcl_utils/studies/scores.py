"""The frame of scores: estimate and interval of every arm, head and metric, with its rank and its flag."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import losses, stats
from mlcl_utils.figures import style
from mlcl_utils.runs import Run
from mlcl_utils.stats import Interval, Replicates, Standing
from mlcl_utils.studies.arms import AXES, Arm
from mlcl_utils.training import BASELINES

HEADS = ("direct", "probe")
"""What a representation is read with: the loss's own head, or the linear probe."""

UNTRAINED, REGRESSION = "below the untrained encoder", "below logistic regression"
"""Flags of an arm: its mean mAP is below that of the untrained encoder, or of logistic regression on the input."""

Arms = Mapping[Arm, Sequence[Run]]
"""The runs of every arm, in the order of their replicates."""

COLUMNS = ("dataset", "encoder", "num_labels", "loss", *AXES)
"""The columns of a frame that say which arm a row is of."""


def column(head: str, metric: str) -> str:
    """The name of a metric of a head; of the representation itself where the head is empty."""
    return f"{head}_{metric}" if head else metric


def of_row(row: pd.Series[Any]) -> Arm:
    """The arm of a row of a frame."""
    axes = {name: row[name] for name in AXES if pd.notna(row[name])}
    return Arm(row["dataset"], row["encoder"], int(row["num_labels"]), row["loss"]).but(**axes)


def is_main(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of a frame are of arms in the main sweep, as :attr:`mlcl_utils.studies.arms.Arm.is_main` says."""
    whole = (rows["train_fraction"] == 1) & (rows["kept_share"] == 1) & ~rows["one_positive"]
    return whole & rows["label_draw"].isna() & rows["held_out"].isna() & rows["length"].fillna("").eq("")


def is_plain(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of a frame are of arms at the first weight, whose validation has lost what their training has."""
    return (rows["weight"] == 1) & ~rows["clean_validation"]


def quantity(members: Sequence[Run], metric: str) -> Replicates | None:
    """A metric of an arm on every split, averaged over its seeds, with its resamples over test groups if it has them.

    Args:
        members: the runs of one arm.
        metric: a name with its head, such as ``probe_map``; None is returned if a run lacks it.
    """
    if not members or any(metric not in run.metrics for run in members):
        return None
    drawn = [run.resamples().get(metric) for run in members]
    complete = [one for one in drawn if one is not None]
    return Replicates.over_seeds(
        [run.config.replicate for run in members],
        np.array([run.metrics[metric] for run in members]),
        np.stack(complete) if len(complete) == len(drawn) else None,
    )


def frame(
    arms: Arms,
    metrics: Sequence[str],
    heads: Sequence[str] = HEADS,
    representation: Sequence[str] = (),
    among: Callable[[Arm], Arm | None] = lambda arm: arm.task,
) -> pd.DataFrame:
    """Mean and 95% interval of metrics of every arm, by head: the wider of two components, both given.

    Columns: those of the arm, ``head`` (empty for metrics of the representation itself), ``metric``, ``estimate``,
    ``lower``, ``upper``, the bounds ``replicate_*`` and ``bootstrap_*``, ``replicates`` (their number), ``rank``
    (``best``, ``not worse`` or ``worse``; see :func:`ranks`) and ``flag`` (see :func:`flag`).

    Args:
        arms: the runs of every arm.
        metrics: those that heads have.
        heads: what the representation is read with.
        representation: metrics of the representation itself.
        among: the arms that one is ranked with, as that which they share; None for one that is not ranked.
    """
    measured: dict[tuple[str, str], dict[Arm, Replicates]] = {}
    ranked: dict[tuple[str, str], dict[Arm, Standing]] = {}
    for head, metric in [*itertools.product(heads, metrics), *(("", metric) for metric in representation)]:
        found = {arm: quantity(members, column(head, metric)) for arm, members in arms.items()}
        own = measured[head, metric] = {arm: each for arm, each in found.items() if each is not None}
        better = style.metric(metric).higher_is_better is not False
        ranked[head, metric] = ranks(own, among, higher_is_better=better) if head else {}
    flags = {(arm, head): flag(arms, arm, f"{head or 'probe'}_map") for arm in arms for head in (*heads, "")}
    return pd.DataFrame(
        [
            {
                **arm.row(),
                "head": head,
                "metric": metric,
                **as_row(stats.interval(measured[head, metric][arm])),
                "rank": ranked[head, metric].get(arm, ""),
                "flag": flags[arm, head],
            }
            for arm, head, metric in _cells(arms, metrics, heads, representation)
            if arm in measured[head, metric]
        ]
    )


def points(
    arms: Arms, metrics: Sequence[str], heads: Sequence[str] = HEADS, representation: Sequence[str] = ()
) -> pd.DataFrame:
    """The replicates behind :func:`frame`: ``estimate`` is the value in one of them."""
    return pd.DataFrame(
        [
            {
                **arm.row(),
                "head": head,
                "metric": metric,
                "replicate": run.config.replicate,
                "estimate": run.metrics[column(head, metric)],
            }
            for arm, head, metric in _cells(arms, metrics, heads, representation)
            for run in arms[arm]
            if column(head, metric) in run.metrics
        ]
    )


def _cells(
    arms: Arms, metrics: Sequence[str], heads: Sequence[str], representation: Sequence[str]
) -> Iterator[tuple[Arm, str, str]]:
    """Arms with their heads and metrics, those of the representation behind all others."""
    yield from itertools.product(arms, heads, metrics)
    yield from itertools.product(arms, ("",), representation)


def ranks(
    measured: Mapping[Arm, Replicates], among: Callable[[Arm], Arm | None], *, higher_is_better: bool
) -> dict[Arm, Standing]:
    """The rank of each arm among those that share something: ``best``, ``not worse`` or ``worse``.

    Arms are compared in the replicates that all have. An arm that is run once where others are repeated, such as a
    control, is compared with none and ranks as ``worse``; so do all where no replicate is shared.
    """
    groups: dict[Arm, dict[str, tuple[Arm, Replicates]]] = {}
    found: dict[Arm, Standing] = dict.fromkeys(measured, "worse")
    for arm, each in measured.items():
        if (group := among(arm)) is not None:
            own = groups.setdefault(group, {})
            own[str(len(own))] = arm, each
    for own in groups.values():
        repeated = {name: each for name, (_, each) in own.items() if len(each.index) > 1}
        compared = repeated or {name: each for name, (_, each) in own.items()}
        shared = set.intersection(*(set(each.index) for each in compared.values()))
        paired = {name: each.only(shared) for name, each in compared.items()} if shared else {}
        ranked = stats.standings(paired, higher_is_better=higher_is_better) if paired else {}
        found |= {own[name][0]: rank for name, rank in ranked.items()}
    return found


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


def best_on_validation(
    arms: Arms, compared: Iterable[Arm], heads: Sequence[str] = ("probe",)
) -> tuple[Arm, str]:
    """The arm and head with the best mean validation mAP; the first of those that have none.

    Heads that are read at one half are compared by micro-F1 at one half. ``source`` is that of :func:`source_head`.
    """

    def score(pair: tuple[Arm, str]) -> float:
        arm, head = pair
        metric = "micro_f1_half" if head in SOURCE_HEADS else "map"
        value = mean(arms.get(arm, ()), f"{head}_validation_{metric}")
        return -math.inf if math.isnan(value) else value

    pairs = itertools.product(compared, heads)
    return max(((arm, source_head(arm) if head == "source" else head) for arm, head in pairs), key=score)


SOURCE_HEADS = ("own", "linear")
"""Heads of the original papers' reading, at a threshold of one half: the own head at its best, and a linear layer."""


def source_head(arm: Arm) -> str:
    """What the original papers read an arm with: the own head of a loss on logits, else a linear layer."""
    return "own" if losses.info(arm.loss.partition(":")[0]).family == "classification" else "linear"


def reading(heads: Iterable[str]) -> str:
    """The reading of what is compared: ``source``, ``equal`` for the same probe on all, or neither."""
    found = set(heads)
    return "source" if found & set(SOURCE_HEADS) else "equal" if found == {"probe"} else ""


def mean(members: Sequence[Run], metric: str) -> float:
    """Mean of a metric over the replicates of an arm; NaN where none has it."""
    values = [run.metrics[metric] for run in members if metric in run.metrics]
    return float(np.mean(values)) if values else math.nan


def flag(arms: Arms, arm: Arm, metric: str = "probe_map") -> str:
    """What stands against an arm: :data:`UNTRAINED`, :data:`REGRESSION`, or nothing.

    Means are compared on the splits that both have.

    Args:
        arms: all arms.
        arm: the one in question.
        metric: the mAP that is compared; the baselines' is always the probe's.
    """
    if arm.loss in BASELINES:
        return ""
    for baseline, word in _LEVELS.items():
        others = arms.get(arm.beside(baseline), ())
        own, others = _on_shared_splits(arms[arm], others)
        if mean(own, metric) < mean(others, "probe_map"):
            return word
    return ""


_LEVELS = {"random_encoder": UNTRAINED, "logistic_regression": REGRESSION}


def behind(arms: Arms, arm: Arm, word: str, metric: str) -> Replicates | None:
    """An arm's mAP minus that of the baseline of its :func:`flag`, on the splits that both have."""
    baseline = next(name for name, each in _LEVELS.items() if each == word)
    pair = _on_shared_splits(arms[arm], arms[arm.beside(baseline)])
    own, other = quantity(pair[0], metric), quantity(pair[1], "probe_map")
    return None if own is None or other is None else stats.difference(own, other)


def dead(arms: Arms, arm: Arm, metric: str = "probe_map") -> str:
    """Why nothing can rest on an arm: it is below the prior by its 95% interval, or its effective rank is below 2.

    Arguments as those of :func:`flag`.
    """
    if arm.loss in BASELINES:
        return ""
    if mean(arms[arm], "effective_rank") < FEWEST_DIMENSIONS:
        return f"effective rank below {FEWEST_DIMENSIONS}"
    own, prior = _on_shared_splits(arms[arm], arms.get(arm.beside("prior"), ()))
    if mean(own, metric) < mean(prior, "direct_map"):
        parts = [quantity(own, metric), quantity(prior, "direct_map")]
        if None not in parts and stats.interval(stats.difference(*parts)).upper < 0:  # type: ignore[arg-type]
            return "below the prior"
    return ""


FEWEST_DIMENSIONS = 2
"""Effective rank of a representation below which it has collapsed."""


def _on_shared_splits(first: Sequence[Run], second: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    shared = {run.config.replicate for run in first} & {run.config.replicate for run in second}
    return tuple([run for run in runs if run.config.replicate in shared] for runs in (first, second))  # type: ignore[return-value]
