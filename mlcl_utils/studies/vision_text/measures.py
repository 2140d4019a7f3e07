"""What the study of images versus text measures: how far the order of losses is the same in both, and their leads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from mlcl_utils import losses, stats
from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.stats import Replicates
from mlcl_utils.studies import scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison, lead, of_best
from mlcl_utils.studies.execution import Execution, Measures
from mlcl_utils.studies.vision_text import Pair
from mlcl_utils.training import BASELINES

METRICS = ("map", "macro_f1", "ranking_loss")
HEADS = {"probe": "the same linear probe", "best": "each loss's better head on validation"}
SIDES = ("text", "image")
COLUMNS = ("pair", "side", "first", "ordered_by", "head", "losses", "left_out", "lost")
"""What the comparisons of this study have besides: of leads the side and the loss, of correlations what is ordered."""


def comparisons(study: Execution) -> Iterator[Comparison]:
    """Correlations of the order of losses between and within modalities, and leads in both."""
    tasks = {(arm.dataset, arm["matched_to"]): arm.task for arm in study.arms}
    pairs = {
        pair: (tasks[pair], tasks[pair[::-1]])
        for pair in study.parameters.pairs
        if {pair, pair[::-1]} <= tasks.keys()
    }
    for pair, sides in pairs.items():
        yield from _orders(study, pair, sides)
    for pair, sides in pairs.items():
        yield from _best_leads(study, pair, sides)
    for pair, sides in pairs.items():
        yield from _leads(study, pair, sides)


MEASURES = Measures(comparisons, metrics=METRICS)


def _names(arms: Iterable[Arm], sides: Sequence[Arm]) -> list[str]:
    """The losses of arms on both sides of a pair, in the usual order."""
    both = [{arm.loss for arm in arms if arm.task == task and arm.loss not in BASELINES} for task in sides]
    return style.order(sorted(both[0] & both[1]))


def _orders(study: Execution, pair: Pair, sides: Sequence[Arm]) -> Iterator[Comparison]:
    """Rank correlations of the losses that have all replicates and are not below the untrained encoder.

    All are of means over one half of the replicates with means over the other half, averaged over all divisions into
    halves: what is compared between modalities is then as noisy as what is compared within one.
    """
    whole = _names(study.arms, sides)
    flags = {loss: [scores.flag(study.arms, task.but(loss=loss)) for task in sides] for loss in whole}
    left_out = [loss for loss in whole if scores.UNTRAINED in flags[loss]]
    failed = {arm.loss for arm in study.lost if arm.task in sides and arm.loss not in {*BASELINES, *whole}}
    for head, metric in itertools.product(HEADS, METRICS):
        measured = {
            loss: [_quantity(study, task.but(loss=loss), head, metric) for task in sides]
            for loss in whole
            if loss not in left_out
        }
        indices = [each.index for both in measured.values() for each in both if each is not None]
        most = max(indices, key=len, default=())
        found = {
            loss: both
            for loss, both in measured.items()
            if all(each is not None and each.index == most for each in both)
        }
        if len(found) < 3:
            continue
        parts = [each for at in range(2) for both in found.values() if (each := both[at]) is not None]
        lost = [*(loss for loss in measured if loss not in found), *style.order(sorted(failed))]
        for name, statistic in ORDERS.items():
            yield Comparison(
                name,
                [task.but(loss=loss) for task in sides for loss in found],
                "rank_correlation",
                head,
                task=pair.describe(),
                compared=f"order by {style.metric(metric).label}",
                measured=stats.interval_of(parts, statistic),
                limits=None if name == "shortfall" else (-1, 1),
                columns={
                    "pair": pair.describe(),
                    "ordered_by": metric,
                    "head": head,
                    "losses": " ".join(found),
                    "left_out": " ".join(left_out),
                    "lost": " ".join(lost),
                },
            )


def _quantity(study: Execution, arm: Arm, head: str, metric: str) -> Replicates | None:
    read = scores.best_on_validation(study.arms, [arm], scores.HEADS)[1] if head == "best" else head
    return scores.quantity(study.arms[arm], scores.column(read, metric))


def _halves(count: int) -> list[tuple[list[int], list[int]]]:
    """All divisions of so many replicates into two halves, as equal as can be."""
    chosen = [list(half) for half in itertools.combinations(range(count), count // 2)]
    return [(half, [at for at in range(count) if at not in half]) for half in chosen]


def between(values: Floats) -> Floats:
    """Mean correlation of one half of the replicates of texts with the other half of images, and the reverse.

    Values are (2 L, R, m), the L losses on texts first. With one replicate there are no halves, and all are compared.
    """
    text, image = np.split(values, 2)
    if values.shape[1] == 1:
        return stats.rank_correlations(text[:, 0], image[:, 0])
    return _mean_correlation(
        [
            (text[:, one].mean(axis=1), image[:, other].mean(axis=1))
            for half in _halves(values.shape[1])
            for one, other in (half, half[::-1])
        ]
    )


def within(values: Floats, side: int) -> Floats:
    """Mean correlation of the two halves of the replicates of texts (0) or images (1); NaN with one replicate."""
    own = np.split(values, 2)[side]
    if values.shape[1] == 1:
        return np.full(values.shape[2], math.nan)
    return _mean_correlation(
        [(own[:, one].mean(axis=1), own[:, other].mean(axis=1)) for one, other in _halves(values.shape[1])]
    )


def _mean_correlation(halves: Sequence[tuple[Floats, Floats]]) -> Floats:
    found: Floats = np.mean([stats.rank_correlations(first, second) for first, second in halves], axis=0)
    return found


def _shortfall(values: Floats) -> Floats:
    return (within(values, 0) + within(values, 1)) / 2 - between(values)


ORDERS: dict[str, Callable[[Floats], Floats]] = {
    "between": between,
    "within texts": lambda values: within(values, 0),
    "within images": lambda values: within(values, 1),
    "shortfall": _shortfall,
}
"""Comparisons of the order of losses: the ceilings are within a modality, and their mean falls short of by so much."""


def reference(compared: Sequence[str]) -> str:
    """The loss that others are compared with: BCE, or the first."""
    return "bce" if "bce" in compared else compared[0]


def _leads(study: Execution, pair: Pair, sides: Sequence[Arm]) -> Iterator[Comparison]:
    """Every loss against the reference on both sides of a pair, oriented so that positive means better."""
    whole = _names(study.arms, sides)
    for metric, loss in itertools.product(METRICS, whole):
        if loss == reference(whole):
            continue
        for side, task in zip(SIDES, sides, strict=True):
            arms = [task.but(loss=loss), task.but(loss=reference(whole))]
            columns = {"pair": pair.describe(), "side": side, "first": loss}
            yield Comparison("lead", arms, metric, "probe", measure=lead(metric), columns=columns)


def _best_leads(study: Execution, pair: Pair, sides: Sequence[Arm]) -> Iterator[Comparison]:
    """The best contrastive loss against the best binary-relevance loss, chosen on validation on each side."""
    whole = _names([*study.arms, *study.lost], sides)
    kinds = [
        [loss for loss in whole if losses.info(loss).family == family]
        for family in ("contrastive", "classification")
    ]
    for metric in METRICS if all(kinds) else ():
        for side, task in zip(SIDES, sides, strict=True):
            groups = [[task.but(loss=loss) for loss in kind] for kind in kinds]
            yield of_best(
                study.arms,
                study.lost,
                groups,
                name="best_lead",
                metric=metric,
                measure=lead(metric),
                columns={"pair": pair.describe(), "side": side, "first": ""},
            )
