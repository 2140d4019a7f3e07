"""What the claims on label spaces are judged by, from the runs of the study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from mlcl_utils import losses, stats
from mlcl_utils.figures import style
from mlcl_utils.stats import Replicates
from mlcl_utils.studies import analysis, claims
from mlcl_utils.studies.analysis import Arm
from mlcl_utils.studies.claims import Effect
from mlcl_utils.studies.label_space.reading import Contrast, Summary, best_on_validation, contrasts
from mlcl_utils.training import BASELINES

FEW_LABELS = 10
"""The size of the label space at which labels are few."""


def effects(summary: Summary) -> dict[str, list[Effect]]:
    """The effects by the id of the claim, read with the probe; none where an arm is missing."""
    found: dict[str, list[Effect]] = {}
    probed = [each for each in contrasts(summary) if each.head == "probe"]
    for place in dict.fromkeys((each.task.dataset, each.task.encoder) for each in probed):
        here = [each for each in probed if (each.task.dataset, each.task.encoder) == place]
        whole = {(each.task.num_labels, each.metric): each for each in here if each.task.is_main}
        for claim, effect in [*_of_sizes(summary, whole), *_of_fractions(summary, here)]:
            found.setdefault(claim, []).append(effect)
    for claim, effect in _of_the_ladder(summary):
        found.setdefault(claim, []).append(effect)
    return found


Found = Iterable[tuple[str, Effect]]


def _of_sizes(summary: Summary, whole: dict[tuple[int, str], Contrast]) -> Found:
    """Contrastive losses against losses of the BCE type, at few labels and at the most."""
    sizes = sorted({k for k, _ in whole})
    few = whole.get((FEW_LABELS, "macro_f1"))
    if few is not None:
        yield "few_labels", _effect(summary, [few], _negative(few.difference), reverse=True)
    if not sizes or sizes[-1] <= FEW_LABELS:  # no size at all where runs of the main sweep have failed
        return
    most = {metric: whole[sizes[-1], metric] for _, metric in whole if (sizes[-1], metric) in whole}
    if "macro_f1" in most:
        yield "many_labels", _effect(summary, [most["macro_f1"]], most["macro_f1"].difference)
        if few is not None and few.difference.index == most["macro_f1"].difference.index:
            growth = stats.difference(most["macro_f1"].difference, few.difference)
            yield "lead_grows", _effect(summary, [most["macro_f1"], few], growth)
    for claim, metric in (("not_ahead_map", "map"), ("not_ahead_ranking_loss", "ranking_loss")):
        if metric in most:
            behind = _negative(most[metric].difference)
            yield claim, _effect(summary, [most[metric]], behind, reverse=True)


def _of_fractions(summary: Summary, here: Sequence[Contrast]) -> Found:
    """By how much the lead of contrastive losses falls with tenfold training data, at each size that has fractions."""
    swept = [
        each
        for each in here
        if each.metric == "macro_f1" and each.task.label_draw is None and each.task.held_out is None
    ]
    for k in sorted({each.task.num_labels for each in swept if each.task.train_fraction < 1}):
        several = sorted(
            (each for each in swept if each.task.num_labels == k), key=lambda each: each.task.train_fraction
        )
        if len(several) > 1 and len({each.difference.index for each in several}) == 1:
            fall = _fall(
                [each.task.train_fraction for each in several], [each.difference for each in several]
            )
            yield "little_data", _effect(summary, several[::-1], fall)


def _fall(fractions: Sequence[float], leads: Sequence[Replicates]) -> Replicates:
    """By how much a lead falls when the data grow tenfold, by least squares on the logarithm of the fraction."""
    return stats.combine(leads, lambda part: -stats.slope(np.log(fractions), part) * math.log(10))


def _effect(
    summary: Summary, contrasts_: Sequence[Contrast], measured: Replicates, *, reverse: bool = False
) -> Effect:
    """An effect of one contrast, or of several on tasks of which the first names it."""
    first = contrasts_[0]
    names = [style.look(each).label for each in (first.first, first.second)]
    compared = [each.task._replace(loss=loss) for each in contrasts_ for loss in (each.first, each.second)]
    return Effect(
        dataset=first.task.dataset,
        task=first.task.describe(),
        arms=" − ".join(names[::-1] if reverse else names),
        measured=measured,
        **claims.against(summary.arms, compared),
    )


def _negative(measured: Replicates) -> Replicates:
    return stats.combine([measured], lambda part: -part[0])


def _of_the_ladder(summary: Summary) -> Found:
    """The steps from BCE on cosines over prototypes to the interaction of labels, and REG, at the most labels."""
    largest: dict[tuple[str, str], int] = {}
    for arm in summary.arms:
        if arm.is_main and arm.loss not in BASELINES:
            place = arm.dataset, arm.encoder
            largest[place] = max(arm.num_labels, largest.get(place, 0))
    for (dataset, encoder), k in largest.items():
        if k <= FEW_LABELS:
            continue
        task = Arm(dataset, encoder, k, 1.0, None, None, "")
        names = [arm.loss for arm in summary.arms if arm.task == task and arm.loss not in BASELINES]
        contrastive = [name for name in names if losses.info(name).family == "contrastive"]
        steps: dict[str, tuple[list[str], list[str]]] = {
            "optimisation": (["prototype"], ["cosine_bce"]),
            "interactions": ([name for name in ("msc", "reg") if name in names], ["prototype"]),
            "reg_ahead": (["reg"], [name for name in contrastive if name != "reg"]),
        }
        for claim, (one, other) in steps.items():
            if one and other and {*one, *other} <= set(names):
                first, second = (best_on_validation(summary, task, each, "probe")[0] for each in (one, other))
                arms = [task._replace(loss=first), task._replace(loss=second)]
                pair = [analysis.quantity(summary.arms[arm], "probe_macro_f1") for arm in arms]
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
