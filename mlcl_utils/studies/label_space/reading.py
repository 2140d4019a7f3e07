"""What the runs of the label-space study say: arms with intervals, contrasts, and the sentences that follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils import losses, stats
from mlcl_utils.figures import style
from mlcl_utils.runs import RunConfig
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import runs, scores, wording
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.scores import Arms
from mlcl_utils.studies.tables import markdown
from mlcl_utils.studies.wording import Headed
from mlcl_utils.training import BASELINES

METRICS = ("map", "macro_f1", "micro_f1", "lrap", "ranking_loss", "map_base", "macro_f1_base")
MAIN = ("macro_f1", "map", "ranking_loss")


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        carried: the runs.
        arms: the runs of every arm.
        lost: those that failed.
        intervals: one row an arm, head and metric.
        points: the replicates behind them.
    """

    carried: Carried
    arms: Arms
    lost: dict[Arm, list[RunConfig]]
    intervals: pd.DataFrame
    points: pd.DataFrame


def summarise(carried: Carried) -> Summary:
    """Means and intervals of every arm."""
    found = runs.arms(carried.grid)
    intervals, points = scores.intervals(found, METRICS), scores.points(found, METRICS)
    return Summary(carried, found, runs.lost(carried.grid), intervals, points)


def differences(summary: Summary, reference: str, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Paired differences of the probe to a reference loss, for every loss and few baselines of the main sweep.

    Columns as in ``Summary.intervals``; positive where the arm's value is larger, whatever the metric's orientation.
    """
    rows = []
    for arm, members in summary.arms.items():
        beside = summary.arms.get(arm.but(loss=reference))
        if arm.loss == reference or not arm.is_main or beside is None:
            continue
        for metric in metrics:
            pair = scores.quantity(members, f"probe_{metric}"), scores.quantity(beside, f"probe_{metric}")
            if pair[0] is None or pair[1] is None or pair[0].index != pair[1].index:
                continue
            found = stats.interval(stats.difference(pair[0], pair[1]))
            rows.append({**arm.row(), "head": "probe", "metric": metric, **scores.as_row(found)})
    return pd.DataFrame(rows)


def _in_order(members: Sequence[Arm]) -> list[Arm]:
    return sorted(members, key=lambda arm: arm["label_draw"] or 0)


def matched(summary: Summary, metrics: tuple[str, ...]) -> dict[str, pd.DataFrame] | None:
    """Intervals and points of the probe at matched label frequencies, averaged over the draws; None without draws.

    The largest size, at which all labels of the pool are drawn, comes from the main sweep.
    """
    drawn = [arm for arm in summary.arms if arm["label_draw"] is not None]
    if not drawn:
        return None
    intervals, points = [], []
    kinds = dict.fromkeys(arm.but(label_draw=None) for arm in drawn)
    whole = [
        arm
        for arm in summary.arms
        if arm.is_main
        and arm.encoder in {kind.encoder for kind in kinds}
        and arm.loss in {kind.loss for kind in kinds}
        and arm.num_labels == max(each.num_labels for each in summary.arms if each.dataset == arm.dataset)
    ]
    for kind in [*kinds, *whole]:
        members = [arm for arm in drawn if arm.but(label_draw=None) == kind] or [kind]
        for metric in metrics:
            found = [scores.quantity(summary.arms[arm], f"probe_{metric}") for arm in _in_order(members)]
            parts = [each for each in found if each is not None]
            if not parts or len({each.index for each in parts}) > 1:
                continue
            averaged = stats.combine(parts, lambda part: part.mean(axis=0))
            named = {**kind.row(), "head": "probe", "metric": metric, "draws": len(parts)}
            intervals.append({**named, **scores.as_row(stats.interval(averaged))})
            points += [
                {**named, "replicate": replicate, "estimate": value}
                for replicate, value in zip(averaged.index, averaged.values, strict=True)
            ]
    return {"intervals": pd.DataFrame(intervals), "points": pd.DataFrame(points)}


@dataclass(frozen=True)
class Contrast:
    """The best contrastive loss against the best loss of the BCE type, each chosen on validation.

    Attributes:
        task: where, as an arm without a loss.
        first: the contrastive loss.
        second: the loss of the BCE type.
        head: ``probe``, or ``own`` for the head of each that is best on validation.
        metric: what differs.
        difference: first minus second, paired; positive means that the contrastive loss is ahead.
    """

    task: Arm
    first: str
    second: str
    head: str
    metric: str
    difference: Replicates

    @property
    def interval(self) -> Interval:
        """The difference with its 95% interval."""
        return stats.interval(self.difference)


def contrasts(summary: Summary) -> list[Contrast]:
    """All contrasts of the study; none where an arm of either kind is missing."""
    found = []
    for task in dict.fromkeys(arm.task for arm in summary.arms):
        by_kind: dict[str, list[str]] = {}
        for arm in summary.arms:
            if arm.task == task and arm.loss not in BASELINES:
                by_kind.setdefault(losses.info(arm.loss).family, []).append(arm.loss)
        if not {"contrastive", "classification"} <= by_kind.keys():
            continue
        for head in ("probe", "own"):
            (first, first_head), (second, second_head) = (
                best_on_validation(summary, task, by_kind[kind], head)
                for kind in ("contrastive", "classification")
            )
            for metric in MAIN:
                pair = [
                    scores.quantity(summary.arms[task.but(loss=loss)], f"{read}_{metric}")
                    for loss, read in ((first, first_head), (second, second_head))
                ]
                one, other = pair if style.metric(metric).higher_is_better else reversed(pair)
                if one is None or other is None or one.index != other.index:
                    continue  # a replicate of one of them failed
                found.append(Contrast(task, first, second, head, metric, stats.difference(one, other)))
    return found


def best_on_validation(summary: Summary, task: Arm, names: list[str], head: str) -> tuple[str, str]:
    """The loss and head with the best mean validation mAP."""
    reads = ["probe"] if head == "probe" else list(scores.HEADS)
    return max(
        ((loss, read) for loss in names for read in reads),
        key=lambda pair: np.nan_to_num(
            scores.mean(summary.arms[task.but(loss=pair[0])], f"{pair[1]}_validation_map"),
            nan=-math.inf,
        ),
    )


def reading(summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return markdown(sentences(summary))


def sentences(summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    lines = []
    probed = [each for each in contrasts(summary) if each.head == "probe"]
    for place in dict.fromkeys((arm.dataset, arm.encoder) for arm in summary.arms):
        here = [each for each in probed if (each.task.dataset, each.task.encoder) == place]
        whole = {(each.task.num_labels, each.metric): each for each in here if each.task.is_main}
        sizes = sorted({k for k, _ in whole})
        lines += [_lead(whole[k, "macro_f1"]) for k in sizes]
        ends = [whole[k, "macro_f1"] for k in sizes[:1] + sizes[-1:]]
        if len(sizes) > 1 and _paired(ends):
            lines.append(_growth(*ends))
        lines += [
            _ranking(", ".join(place), [whole[k, metric] for k in sizes], metric)
            for metric in MAIN[1:]
            if sizes
        ]
        fractions = [
            each for each in here if each.task["label_draw"] is None and each.task["held_out"] is None
        ]
        for k in sorted({each.task.num_labels for each in fractions if each.task["train_fraction"] < 1}):
            swept = [each for each in fractions if each.task.num_labels == k and each.metric == "macro_f1"]
            if len(swept) > 1 and _paired(swept):
                lines.append(_little_data(swept))
        lines += [
            _lead(each) for each in here if each.task["held_out"] is not None and each.metric == "macro_f1"
        ]
    lines += _remarks(summary)
    count = min(len(members) for arm, members in summary.arms.items() if arm.loss not in BASELINES)
    if count < 5:
        lines.append(
            f"With {count} replicate{'s' if count > 1 else ''} of the least repeated arm, no verdict on a published"
            " claim rests on this."
        )
    return lines


def _paired(found: Sequence[Contrast]) -> bool:
    """Whether contrasts are of the same replicates; they are not where one of a task has failed."""
    return len({each.difference.index for each in found}) == 1


def _lead(each: Contrast) -> str:
    first, second = style.look(each.first).label, style.look(each.second).label
    verb = {
        "above": "is ahead of",
        "below": "is behind",
        "across": "cannot be told apart from",
    }[wording.direction(each.interval)]
    return Headed(
        f"{each.task.describe()}:",
        f" {first}, the contrastive loss that validation"
        f" prefers, {verb} {second}, its counterpart of the BCE type: {wording.in_points(each.interval)}"
        " points of macro-F1 (probe).",
    )


def _growth(small: Contrast, large: Contrast) -> str:
    change = stats.interval(stats.difference(large.difference, small.difference))
    word = {
        "above": "grows",
        "below": "shrinks",
        "across": "neither clearly grows nor clearly shrinks",
    }[wording.direction(change)]
    return Headed(
        f"{large.task.dataset}, {large.task.encoder}:",
        f" from {small.task.num_labels} to {large.task.num_labels}"
        f" labels the lead of contrastive losses {word}: {wording.in_points(change)} points of macro-F1.",
    )


def _ranking(place: str, found: list[Contrast], metric: str) -> str:
    label = style.metric(metric).label
    sides: dict[str, list[str]] = {side: [] for side in ("above", "below", "across")}
    for each in found:
        sides[wording.direction(each.interval)].append(str(each.task.num_labels))
    words = {"above": "ahead", "below": "behind", "across": "not told apart"}
    parts = [f"{words[side]} at {', '.join(sizes)} labels" for side, sizes in sides.items() if sizes]
    return Headed(f"{place}, {label}:", f" contrastive losses are {'; '.join(parts)}.")


def _little_data(found: list[Contrast]) -> str:
    found = sorted(found, key=lambda each: each.task["train_fraction"])
    fractions = np.log([each.task["train_fraction"] for each in found])
    change = stats.interval(
        stats.combine(
            [each.difference for each in found], lambda part: -stats.slope(fractions, part) * math.log(10)
        )
    )
    word = {
        "above": "gain on losses of the BCE type as training data shrink",
        "below": "lose against losses of the BCE type as training data shrink",
        "across": "show no clear change against losses of the BCE type as training data shrink",
    }[wording.direction(change)]
    return Headed(
        f"{found[-1].task.describe()}:",
        f" contrastive losses {word}:"
        f" {wording.in_points(change)} points of macro-F1 for a tenth of the data.",
    )


def _remarks(summary: Summary) -> list[str]:
    """Which arms are below a baseline: those read with the probe by name, the losses' own heads by number."""
    trained = [arm for arm in summary.arms if arm.loss not in BASELINES]
    probed: dict[str, list[str]] = {}
    for arm in trained:
        word = scores.remark(summary.arms, arm)
        if word:
            probed.setdefault(word, []).append(f"{style.look(arm.loss).label} ({arm.describe()})")
    lines = wording.remark_lines(probed) or [
        "Read with the probe, no trained arm is below logistic regression on the input."
    ]
    direct = [
        scores.remark(summary.arms, arm, "direct_map") for arm in trained if _has(summary, arm, "direct_map")
    ]
    if any(direct):
        lines.append(
            f"Of {len(direct)} arms with a head of their own, {sum(map(bool, direct))} are below a baseline with it,"
            f" {direct.count('degenerate')} of them below the untrained encoder; the tables mark them."
        )
    return lines


def _has(summary: Summary, arm: Arm, metric: str) -> bool:
    return any(metric in run.metrics for run in summary.arms[arm])
