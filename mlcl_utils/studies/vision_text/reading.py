"""What the runs of the study of images versus text say: the order of losses in both, and how far it is the same."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils import data, losses, stats
from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import runs, scores, wording
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.scores import Arms
from mlcl_utils.studies.tables import FEW, markdown
from mlcl_utils.studies.vision_text import Pair
from mlcl_utils.studies.wording import Headed
from mlcl_utils.training import BASELINES

METRICS = ("map", "macro_f1", "ranking_loss")
HEADS = {"probe": "the same linear probe", "own": "each loss's better head on validation"}


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        carried: the runs.
        arms: the runs of every arm.
        pairs: the pairs of data sets, by the tasks of their text and image side (arms without a loss).
        intervals: one row an arm, head and metric.
    """

    carried: Carried
    arms: Arms
    pairs: dict[Pair, tuple[Arm, Arm]]
    intervals: pd.DataFrame


def summarise(carried: Carried) -> Summary:
    """Means and intervals of every arm, and the pairs that have both sides."""
    found = runs.arms(carried.grid)
    tasks = {(arm.dataset, arm["matched_to"]): arm.task for arm in found}
    texts = dict.fromkeys(
        (arm.dataset, str(arm["matched_to"]))
        for arm, members in found.items()
        if data.load(arm.dataset, members[0].config.data_root).modality == "text"
    )
    pairs = {
        Pair(text, image): (tasks[text, image], tasks[image, text])
        for text, image in texts
        if (text, image) in tasks and (image, text) in tasks
    }
    return Summary(carried, found, pairs, scores.intervals(found, METRICS))


def names(summary: Summary, pair: Pair) -> list[str]:
    """The losses that were trained on both sides of a pair, in the usual order."""
    sides = [
        {arm.loss for arm in summary.arms if arm.task == task and arm.loss not in BASELINES}
        for task in summary.pairs[pair]
    ]
    return style.order(sorted(sides[0] & sides[1]))


def side(summary: Summary, task: Arm, loss: str, head: str, metric: str) -> Replicates | None:
    """A metric of a loss on one side of a pair; of its better head on validation where the head is ``own``."""
    members = summary.arms[task.but(loss=loss)]
    read = head
    if head == "own":
        read = max(
            scores.HEADS,
            key=lambda each: np.nan_to_num(scores.mean(members, f"{each}_validation_map"), nan=-math.inf),
        )
    return scores.quantity(members, f"{read}_{metric}")


@dataclass(frozen=True)
class CarryOver:
    """How far the order of losses is the same in texts and in images.

    All three correlations are of means over one half of the replicates with means over the other half, averaged over
    all divisions into halves: what is compared between modalities is then as noisy as what is compared within one.

    Attributes:
        pair: the data sets.
        head: ``probe`` or ``own``.
        metric: by which losses are ordered.
        losses: that are ordered.
        left_out: those that are degenerate in one of the tasks, on which no verdict rests.
        lost: those of which runs have failed, so that a replicate or all lack.
        between: Spearman's correlation of texts and images.
        text: the ceiling within texts; NaN with a single replicate.
        image: the ceiling within images.
        shortfall: mean of the ceilings minus the correlation between modalities.
    """

    pair: Pair
    head: str
    metric: str
    losses: tuple[str, ...]
    left_out: tuple[str, ...]
    lost: tuple[str, ...]
    between: Interval
    text: Interval
    image: Interval
    shortfall: Interval

    @property
    def verdict(
        self,
    ) -> Literal["carries over", "carries over in part", "does not carry over", "cannot be told"]:
        """Descriptive: the order carries over if it correlates and is not below the ceiling."""
        if math.isnan(self.shortfall.estimate):
            return "cannot be told"
        related, short = wording.direction(self.between), wording.direction(self.shortfall)
        if related == "above":
            return "carries over in part" if short == "above" else "carries over"
        return "does not carry over" if short == "above" else "cannot be told"


def carry_overs(summary: Summary) -> list[CarryOver]:
    """The correlations of every pair, head and metric over the losses that have all replicates on both sides."""
    found = []
    for pair, head, metric in itertools.product(summary.pairs, HEADS, METRICS):
        whole = names(summary, pair)
        left_out = degenerate(summary, pair)
        judged = [loss for loss in whole if loss not in left_out]
        measured = {
            loss: [side(summary, task, loss, head, metric) for task in summary.pairs[pair]] for loss in judged
        }
        indices = [each.index for both in measured.values() for each in both if each is not None]
        most = max(indices, key=len, default=())
        compared = [
            loss
            for loss, both in measured.items()
            if all(each is not None and each.index == most for each in both)
        ]
        if len(compared) < 3:
            continue
        parts = [each for at in range(2) for loss in compared if (each := measured[loss][at]) is not None]
        found.append(
            CarryOver(
                pair,
                head,
                metric,
                tuple(compared),
                tuple(left_out),
                (*(loss for loss in judged if loss not in compared), *_lost(summary, pair, whole)),
                between=stats.interval_of(parts, _between).within(-1, 1),
                text=stats.interval_of(parts, lambda values: _within(values, 0)).within(-1, 1),
                image=stats.interval_of(parts, lambda values: _within(values, 1)).within(-1, 1),
                shortfall=stats.interval_of(
                    parts, lambda values: (_within(values, 0) + _within(values, 1)) / 2 - _between(values)
                ),
            )
        )
    return found


def _lost(summary: Summary, pair: Pair, trained: Collection[str]) -> list[str]:
    """The losses that have no run at all on a side of a pair, since all have failed."""
    tasks = summary.pairs[pair]
    asked = {
        config.loss
        for config, _, _ in summary.carried.grid.failures
        if not config.is_baseline
        and (config.dataset, config.matched_to) in {(t.dataset, t["matched_to"]) for t in tasks}
    }
    return style.order(sorted(asked - set(trained)))


def _halves(count: int) -> list[tuple[list[int], list[int]]]:
    """All divisions of so many replicates into two halves, as equal as can be."""
    chosen = [list(half) for half in itertools.combinations(range(count), count // 2)]
    return [(half, [at for at in range(count) if at not in half]) for half in chosen]


def _between(values: Floats) -> Floats:
    """Mean correlation of one half of the replicates of texts with the other half of images, and the reverse.

    Values are (2 L, R, m), the L losses on texts first. With one replicate there are no halves, and all are compared.
    """
    text, image = np.split(values, 2)
    if values.shape[1] == 1:
        return stats.rank_correlations(text[:, 0], image[:, 0])
    pairs = [
        (text[:, one].mean(axis=1), image[:, other].mean(axis=1))
        for half in _halves(values.shape[1])
        for one, other in (half, half[::-1])
    ]
    return _mean_correlation(pairs)


def _within(values: Floats, modality: int) -> Floats:
    """Mean correlation of the two halves of the replicates of texts (0) or images (1); NaN with one replicate."""
    own = np.split(values, 2)[modality]
    if values.shape[1] == 1:
        return np.full(values.shape[2], math.nan)
    return _mean_correlation(
        [(own[:, one].mean(axis=1), own[:, other].mean(axis=1)) for one, other in _halves(values.shape[1])]
    )


def _mean_correlation(pairs: Sequence[tuple[Floats, Floats]]) -> Floats:
    found: Floats = np.mean([stats.rank_correlations(first, second) for first, second in pairs], axis=0)
    return found


@dataclass(frozen=True)
class Lead:
    """A loss beside the reference in both modalities, oriented so that positive means better.

    Attributes:
        pair: the data sets.
        metric: what differs, read with the probe.
        first: the loss, or the best contrastive loss of each side, in words.
        text: its lead on texts, paired by replicate.
        image: its lead on images.
    """

    pair: Pair
    metric: str
    first: str
    text: Interval
    image: Interval

    @property
    def agreement(self) -> Literal["same direction", "opposite directions", "cannot be told"]:
        """Whether both leads are on the same side of zero, where their intervals say so."""
        sides = {wording.direction(self.text), wording.direction(self.image)}
        if "across" in sides:
            return "cannot be told"
        return "same direction" if len(sides) == 1 else "opposite directions"


def degenerate(summary: Summary, pair: Pair) -> list[str]:
    """The losses that are below the untrained encoder in one of the modalities, so that nothing rests on them."""
    return [
        loss
        for loss in names(summary, pair)
        if any(
            scores.remark(summary.arms, task.but(loss=loss)) == "degenerate" for task in summary.pairs[pair]
        )
    ]


def reference(compared: list[str]) -> str:
    """The loss that others are compared with: BCE, or the first."""
    return "bce" if "bce" in compared else compared[0]


def leads(summary: Summary) -> list[Lead]:
    """Every loss against the reference, in each pair and metric."""
    found = []
    for pair, metric in itertools.product(summary.pairs, METRICS):
        compared = names(summary, pair)
        for loss in compared:
            if loss != reference(compared):
                sides = [
                    _lead(summary, task, loss, reference(compared), metric) for task in summary.pairs[pair]
                ]
                if sides[0] is not None and sides[1] is not None:
                    found.append(Lead(pair, metric, loss, sides[0], sides[1]))
    return found


def _lead(summary: Summary, task: Arm, first: str, second: str, metric: str) -> Interval | None:
    one, other = (side(summary, task, loss, "probe", metric) for loss in (first, second))
    if one is None or other is None or one.index != other.index:
        return None
    better = style.metric(metric).higher_is_better is not False
    return stats.interval(stats.difference(*((one, other) if better else (other, one))))


def best_leads(summary: Summary) -> list[Lead]:
    """The best contrastive loss against the best of the BCE type, each chosen on validation in each modality."""
    found = []
    for pair, metric in itertools.product(summary.pairs, METRICS):
        kinds = {
            family: [name for name in names(summary, pair) if losses.info(name).family == family]
            for family in ("contrastive", "classification")
        }
        if not all(kinds.values()):
            continue
        sides, words = [], []
        for task in summary.pairs[pair]:
            first, second = (_best(summary, task, kind) for kind in kinds.values())
            sides.append(_lead(summary, task, first, second, metric))
            words.append(f"{style.look(first).label} − {style.look(second).label}")
        if sides[0] is not None and sides[1] is not None:
            found.append(Lead(pair, metric, " / ".join(dict.fromkeys(words)), sides[0], sides[1]))
    return found


def _best(summary: Summary, task: Arm, compared: list[str]) -> str:
    return max(
        compared,
        key=lambda loss: np.nan_to_num(
            scores.mean(summary.arms[task.but(loss=loss)], "probe_validation_map"), nan=-math.inf
        ),
    )


def reading(summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return markdown(sentences(summary))


def sentences(summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    carried = carry_overs(summary)
    lines = [_carried_over(each) for each in carried if each.head == "probe"]
    if not carried and summary.pairs:
        lines.append(
            "The order of losses cannot be compared: fewer than three have all replicates in both modalities and"
            " are not degenerate."
        )
    lines += [_both(each) for each in best_leads(summary)]
    lines += _agreement(summary)
    lines += _remarks(summary)
    count = min(
        (len(members) for arm, members in summary.arms.items() if arm.loss not in BASELINES), default=0
    )
    if count < FEW:
        lines.append(
            f"With {count} replicate{'s' if count > 1 else ''} of the least repeated arm, halves of the replicates say"
            " little of how well an order can be known."
        )
    return lines


def _carried_over(each: CarryOver) -> str:
    words = {
        "carries over": "carries over as far as it can be known",
        "carries over in part": "carries over in part: less than it repeats within a modality",
        "does not carry over": "does not carry over, though it repeats within a modality",
        "cannot be told": "cannot be said to carry over or not",
    }[each.verdict]
    groups = {"degenerate": each.left_out, "of failed runs": each.lost}
    said = [
        f"{', '.join(style.look(loss).label for loss in group)}, {word}"
        for word, group in groups.items()
        if group
    ]
    without = f" (without {'; '.join(said)})" if said else ""
    ceilings = f"within texts {wording.signed(each.text)}, within images {wording.signed(each.image)}"
    return Headed(
        f"{each.pair.describe()}, {style.metric(each.metric).label}, {HEADS[each.head]}:",
        f" the order of"
        f" {len(each.losses)} losses{without} {words} (rank correlation {wording.signed(each.between)}; {ceilings}).",
    )


def _both(each: Lead) -> str:
    verb = {"above": "ahead", "below": "behind", "across": "not told apart"}
    text, image = verb[wording.direction(each.text)], verb[wording.direction(each.image)]
    return Headed(
        f"{each.pair.describe()}, {style.metric(each.metric).label}:",
        f" the best contrastive loss against the best of"
        f" the BCE type ({each.first}) is {text} on texts ({wording.in_points(each.text)} points) and {image} on"
        f" images ({wording.in_points(each.image)}).",
    )


def _agreement(summary: Summary) -> list[str]:
    lines: list[str] = []
    found = leads(summary)
    for pair, metric in dict.fromkeys((each.pair, each.metric) for each in found):
        own = [each for each in found if (each.pair, each.metric) == (pair, metric)]
        left_out = degenerate(summary, pair)
        words = [each.agreement for each in own if each.first not in left_out]
        if not words or reference(names(summary, pair)) in left_out:
            continue
        which = "losses that are not degenerate" if len(words) < len(own) else "losses"
        lines.append(
            Headed(
                f"{pair.describe()}, {style.metric(metric).label}:",
                f" of {len(words)} {which} beside the reference,"
                f" {words.count('same direction')} differ from it in the same direction in both modalities,"
                f" {words.count('opposite directions')} in opposite ones; of {words.count('cannot be told')} it"
                " cannot be"
                " told.",
            )
        )
    return lines


def _remarks(summary: Summary) -> list[str]:
    words: dict[str, list[str]] = {}
    for arm in summary.arms:
        word = scores.remark(summary.arms, arm)
        if word:
            words.setdefault(word, []).append(f"{style.look(arm.loss).label} ({arm.describe()})")
    return wording.remark_lines(words) or [
        "Read with the probe, no trained arm is below logistic regression on the input."
    ]
