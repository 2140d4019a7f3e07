"""What the claims on label spaces are judged by, from the runs of the study."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from mlcl_utils import losses, stats
from mlcl_utils.figures import style
from mlcl_utils.stats import Replicates
from mlcl_utils.studies import claims, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.claims import Effect
from mlcl_utils.studies.label_space.reading import Contrast, Summary, best_on_validation, contrasts
from mlcl_utils.training import BASELINES

FEW_LABELS = 10
"""The size of the label space at which labels are few."""


def effects(summary: Summary) -> dict[str, list[Effect]]:
    """The effects by the id of the claim, read with the probe; none where an arm is missing.

    Where runs have failed, it is not known which loss would have been the best: the effect is not measured.
    """
    found: dict[str, list[Effect]] = {}
    probed = {(each.task, each.metric): each for each in contrasts(summary) if each.head == "probe"}
    trained = [arm.task for arm in [*summary.arms, *summary.lost] if arm.loss not in BASELINES]
    for place in dict.fromkeys((task.dataset, task.encoder) for task in trained):
        tasks = [task for task in dict.fromkeys(trained) if (task.dataset, task.encoder) == place]
        for claim, effect in [*_of_sizes(summary, probed, tasks), *_of_fractions(summary, probed, tasks)]:
            found.setdefault(claim, []).append(effect)
    for claim, effect in _of_the_ladder(summary):
        found.setdefault(claim, []).append(effect)
    return found


Found = Iterable[tuple[str, Effect]]


Probed = dict[tuple[Arm, str], Contrast]
"""Contrasts read with the probe, by task and metric."""


def _of_sizes(summary: Summary, probed: Probed, tasks: Sequence[Arm]) -> Found:
    """Contrastive losses against losses of the BCE type, at few labels and at the most."""
    by_size = {task.num_labels: task for task in tasks if task.is_main}
    if not by_size:
        return
    few, most = by_size.get(FEW_LABELS), by_size[max(by_size)]
    if few is not None:
        yield from _of(summary, "few_labels", probed, [few], "macro_f1", reverse=True)
    if most.num_labels <= FEW_LABELS:
        return
    yield from _of(summary, "many_labels", probed, [most], "macro_f1")
    if few is not None:
        yield from _of(summary, "lead_grows", probed, [most, few], "macro_f1")
    for claim, metric in (("not_ahead_map", "map"), ("not_ahead_ranking_loss", "ranking_loss")):
        yield from _of(summary, claim, probed, [most], metric, reverse=True)


def _of(
    summary: Summary, claim: str, probed: Probed, tasks: Sequence[Arm], metric: str, *, reverse: bool = False
) -> Found:
    """The lead on one task, or by how much it is larger than on another."""
    lost = _lost(summary, tasks)
    found = [probed[task, metric] for task in tasks if (task, metric) in probed]
    if lost is not None:
        yield claim, lost
    elif len(found) == len(tasks) and len({each.difference.index for each in found}) == 1:
        leads = [each.difference for each in found]
        measured = leads[0] if len(leads) == 1 else stats.difference(leads[0], leads[1])
        yield claim, _effect(summary, found, _negative(measured) if reverse else measured, reverse=reverse)


def _of_fractions(summary: Summary, probed: Probed, tasks: Sequence[Arm]) -> Found:
    """By how much the lead of contrastive losses falls with tenfold training data, at each size that has fractions."""
    swept = [task for task in tasks if task["label_draw"] is None and task["held_out"] is None]
    for k in sorted({task.num_labels for task in swept if task["train_fraction"] < 1}):
        own = sorted(
            (task for task in swept if task.num_labels == k), key=lambda task: task["train_fraction"]
        )
        several = [probed[task, "macro_f1"] for task in own if (task, "macro_f1") in probed]
        lost = _lost(summary, own[::-1])
        if lost is not None:
            yield "little_data", lost
        elif len(several) > 1 and len({each.difference.index for each in several}) == 1:
            fall = _fall(
                [each.task["train_fraction"] for each in several], [each.difference for each in several]
            )
            yield "little_data", _effect(summary, several[::-1], fall)


def _lost(summary: Summary, tasks: Sequence[Arm], names: Collection[str] = ()) -> Effect | None:
    """What stands for an effect on tasks of which runs have failed, the first naming it; None if none have.

    Args:
        summary: the arms.
        tasks: what the effect is measured on.
        names: the losses that it depends on; all if none are given.
    """
    failed = [
        arm
        for arm in summary.lost
        if arm.task in tasks and arm.loss not in BASELINES and (not names or arm.loss in names)
    ]
    if not failed:
        return None
    listed = ", ".join(f"{style.look(arm.loss).label} ({arm.describe()})" for arm in failed)
    reason = f"runs have failed: {listed}"
    return Effect(tasks[0].dataset, tasks[0].describe(), "", None, impediment=reason)


def _fall(fractions: Sequence[float], leads: Sequence[Replicates]) -> Replicates:
    """By how much a lead falls when the data grow tenfold, by least squares on the logarithm of the fraction."""
    return stats.combine(leads, lambda part: -stats.slope(np.log(fractions), part) * math.log(10))


def _effect(
    summary: Summary, contrasts_: Sequence[Contrast], measured: Replicates, *, reverse: bool = False
) -> Effect:
    """An effect of one contrast, or of several on tasks of which the first names it.

    What is compared on these tasks may differ, since the best are chosen on each: the words have every pair once.
    """
    first = contrasts_[0]
    pairs = [[style.look(loss).label for loss in (each.first, each.second)] for each in contrasts_]
    words = [" − ".join(pair[::-1] if reverse else pair) for pair in pairs]
    compared = [each.task.but(loss=loss) for each in contrasts_ for loss in (each.first, each.second)]
    return Effect(
        dataset=first.task.dataset,
        task=first.task.describe(),
        arms=" / ".join(dict.fromkeys(words)),
        measured=measured,
        **claims.against(summary.arms, compared),
    )


def _negative(measured: Replicates) -> Replicates:
    return stats.combine([measured], lambda part: -part[0])


def _of_the_ladder(summary: Summary) -> Found:
    """The steps from BCE on cosines over prototypes to the interaction of labels, and REG, at the most labels."""
    largest: dict[tuple[str, str], int] = {}
    everything = list(dict.fromkeys([*summary.arms, *summary.lost]))
    for arm in everything:
        if arm.is_main and arm.loss not in BASELINES:
            place = arm.dataset, arm.encoder
            largest[place] = max(arm.num_labels, largest.get(place, 0))
    for (dataset, encoder), k in largest.items():
        if k <= FEW_LABELS:
            continue
        task = Arm(dataset, encoder, k, "")
        names = [arm.loss for arm in everything if arm.task == task and arm.loss not in BASELINES]
        contrastive = [name for name in names if losses.info(name).family == "contrastive"]
        steps: dict[str, tuple[list[str], list[str]]] = {
            "optimisation": (["prototype"], ["cosine_bce"]),
            "interactions": ([name for name in ("msc", "reg") if name in names], ["prototype"]),
            "reg_ahead": (["reg"], [name for name in contrastive if name != "reg"]),
        }
        for claim, (one, other) in steps.items():
            if one and other and {*one, *other} <= set(names):
                lost = _lost(summary, [task], [*one, *other])
                if lost is not None:
                    yield claim, lost
                    continue
                first, second = (best_on_validation(summary, task, each, "probe")[0] for each in (one, other))
                arms = [task.but(loss=first), task.but(loss=second)]
                pair = [scores.quantity(summary.arms[arm], "probe_macro_f1") for arm in arms]
                if pair[0] is not None and pair[1] is not None and pair[0].index == pair[1].index:
                    yield (
                        claim,
                        Effect(
                            dataset,
                            task.describe(),
                            f"{style.look(first).label} − {style.look(second).label}",
                            stats.difference(pair[0], pair[1]),
                            **claims.against(summary.arms, arms),
                        ),
                    )
