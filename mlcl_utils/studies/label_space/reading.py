"""What the runs of the label-space study say: arms with intervals, contrasts, and the sentences that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils import losses, stats
from mlcl_utils.figures import style
from mlcl_utils.runs import Grid
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import analysis
from mlcl_utils.studies.analysis import Arms
from mlcl_utils.training import BASELINES

METRICS = ("map", "macro_f1", "micro_f1", "lrap", "ranking_loss", "map_base", "macro_f1_base")
MAIN = ("macro_f1", "map", "ranking_loss")


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        grid: the runs.
        arms: the runs of every arm.
        intervals: one row an arm, head and metric.
        points: the replicates behind them.
    """

    grid: Grid
    arms: Arms
    intervals: pd.DataFrame
    points: pd.DataFrame


def summarise(grid: Grid) -> Summary:
    """Means and intervals of every arm."""
    found = analysis.arms(grid)
    return Summary(grid, found, analysis.intervals(found, METRICS), analysis.points(found, METRICS))


@dataclass(frozen=True)
class Contrast:
    """The best contrastive loss against the best loss of the BCE type, each chosen on validation.

    Attributes:
        dataset: where.
        num_labels: size of the label space.
        train_fraction: share of the training part.
        first: the contrastive loss.
        second: the loss of the BCE type.
        head: ``probe``, or ``own`` for the head of each that is best on validation.
        metric: what differs.
        difference: first minus second, paired; positive means that the contrastive loss is ahead.
    """

    dataset: str
    num_labels: int
    train_fraction: float
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
    for dataset, k, fraction in dict.fromkeys(arm[:3] for arm in summary.arms):
        by_kind: dict[str, list[str]] = {}
        for loss in (
            arm[3] for arm in summary.arms if arm[:3] == (dataset, k, fraction) and arm[3] not in BASELINES
        ):
            by_kind.setdefault(losses.info(loss).family, []).append(loss)
        if not {"contrastive", "classification"} <= by_kind.keys():
            continue
        for head in ("probe", "own"):
            (first, first_head), (second, second_head) = (
                _best(summary, (dataset, k, fraction), by_kind[kind], head)
                for kind in ("contrastive", "classification")
            )
            for metric in MAIN:
                pair = [
                    analysis.quantity(summary.arms[dataset, k, fraction, loss], f"{read}_{metric}")
                    for loss, read in ((first, first_head), (second, second_head))
                ]
                one, other = pair if style.metric(metric).higher_is_better else reversed(pair)
                if one is None or other is None or one.index != other.index:
                    continue  # a replicate of one of them failed
                difference = stats.difference(one, other)
                found.append(Contrast(dataset, k, fraction, first, second, head, metric, difference))
    return found


def _best(summary: Summary, task: tuple[Any, ...], names: list[str], head: str) -> tuple[str, str]:
    """The loss and head with the best mean validation mAP."""
    reads = ["probe"] if head == "probe" else list(analysis.HEADS)
    return max(
        ((loss, read) for loss in names for read in reads),
        key=lambda pair: np.nan_to_num(
            analysis.mean(summary.arms[*task, pair[0]], f"{pair[1]}_validation_map"), nan=-math.inf
        ),
    )


def reading(summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return Markdown("\n".join(f"- {line}" for line in sentences(summary)))  # type: ignore[no-untyped-call]


def sentences(summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    lines = []
    probed = [each for each in contrasts(summary) if each.head == "probe"]
    for dataset in dict.fromkeys(arm[0] for arm in summary.arms):
        here = [each for each in probed if each.dataset == dataset]
        whole = {(each.num_labels, each.metric): each for each in here if each.train_fraction == 1}
        sizes = sorted({k for k, _ in whole})
        lines += [_lead(whole[k, "macro_f1"]) for k in sizes]
        if len(sizes) > 1:
            lines.append(_growth(whole[sizes[0], "macro_f1"], whole[sizes[-1], "macro_f1"]))
        lines += [
            _ranking(dataset, [whole[k, metric] for k in sizes], metric) for metric in MAIN[1:] if sizes
        ]
        swept = {k for k, _ in ((each.num_labels, 0) for each in here if each.train_fraction < 1)}
        for k in sorted(swept):
            lines.append(
                _little_data([each for each in here if each.num_labels == k and each.metric == "macro_f1"])
            )
    lines += _remarks(summary)
    count = min(len(members) for members in summary.arms.values())
    if count < 5:
        lines.append(
            f"These are {count} replicate{'s' if count > 1 else ''} with default hyperparameters: no verdict on a"
            " published claim rests on them."
        )
    return lines


def _lead(each: Contrast) -> str:
    first, second = style.look(each.first).label, style.look(each.second).label
    verb = {
        "above": "is ahead of",
        "below": "is behind",
        "across": "cannot be told apart from",
    }[analysis.direction(each.interval)]
    return (
        f"**{each.dataset}, {each.num_labels} labels:** {first}, the contrastive loss that validation prefers, {verb}"
        f" {second}, its counterpart of the BCE type: {analysis.in_points(each.interval)} points of macro-F1 (probe)."
    )


def _growth(small: Contrast, large: Contrast) -> str:
    change = stats.interval(stats.difference(large.difference, small.difference))
    word = {
        "above": "grows",
        "below": "shrinks",
        "across": "neither clearly grows nor clearly shrinks",
    }[analysis.direction(change)]
    return (
        f"**{large.dataset}:** from {small.num_labels} to {large.num_labels} labels the lead of contrastive losses"
        f" {word}: {analysis.in_points(change)} points of macro-F1."
    )


def _ranking(dataset: str, found: list[Contrast], metric: str) -> str:
    label = style.metric(metric).label
    sides: dict[str, list[str]] = {side: [] for side in ("above", "below", "across")}
    for each in found:
        sides[analysis.direction(each.interval)].append(str(each.num_labels))
    words = {"above": "ahead", "below": "behind", "across": "not told apart"}
    parts = [f"{words[side]} at {', '.join(sizes)} labels" for side, sizes in sides.items() if sizes]
    return f"**{dataset}, {label}:** contrastive losses are {'; '.join(parts)}."


def _little_data(found: list[Contrast]) -> str:
    found = sorted(found, key=lambda each: each.train_fraction)
    fractions = np.log([each.train_fraction for each in found])
    change = stats.interval(
        stats.combine(
            [each.difference for each in found], lambda part: -stats.slope(fractions, part) * math.log(10)
        )
    )
    word = {
        "above": "gain on losses of the BCE type as training data shrink",
        "below": "lose against losses of the BCE type as training data shrink",
        "across": "show no clear change against losses of the BCE type as training data shrink",
    }[analysis.direction(change)]
    return (
        f"**{found[0].dataset}, {found[0].num_labels} labels:** contrastive losses {word}:"
        f" {analysis.in_points(change)} points of macro-F1 for a tenth of the data."
    )


def _remarks(summary: Summary) -> list[str]:
    """One line for every kind of remark, naming the arms by task and head."""
    by_word: dict[str, list[str]] = {}
    for arm in summary.arms:
        for head in analysis.HEADS:
            word = analysis.remark(summary.arms, arm, f"{head}_map")
            if word:
                dataset, k, fraction, loss = arm
                part = "" if fraction == 1 else f", {fraction:.0%} of the data"
                by_word.setdefault(word, []).append(
                    f"{style.look(loss).label} ({head}, {dataset}, {k} labels{part})"
                )
    meaning = {
        "degenerate": "Below the untrained encoder, so that nothing rests on them",
        "below baseline": "Below logistic regression on the input",
    }
    if not by_word:
        return ["No trained arm is below the untrained encoder or below logistic regression on the input."]
    return [f"{meaning[word]}: {'; '.join(names)}." for word, names in by_word.items()]
