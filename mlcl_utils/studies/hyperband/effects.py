"""What the claims on Hyperband are judged by: ratios of resources, over the splits of each task."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlcl_utils import stats
from mlcl_utils.figures import style
from mlcl_utils.search.replay import SpeedUp
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.stats.verdicts import FEWEST_REPLICATES
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.claims import Effect, Effects
from mlcl_utils.studies.hyperband import Task, reading, tasks
from mlcl_utils.studies.hyperband.searching import Summary, parameters_of

RIVALS = {
    "hyperband_random_tenfold": "random_search",
    "hyperband_random_faster": "random_search",
    "hyperband_bayesian_tenfold": "tpe",
    "hyperband_bayesian_faster": "tpe",
}
"""The rival of each claim."""

SCORE = "test"
"""The score that claims are judged by: configurations are chosen on validation, what was chosen is scored on test."""


def effects(study: Execution, summary: Summary) -> Effects:
    """Epochs of the rival over those of Hyperband to the rival's final score, of every claim and task."""
    found = reading.speed_ups(study, summary)
    kinds: dict[tuple[str, str], list[Task]] = {}
    for task in tasks(parameters_of(study)):
        kinds.setdefault((task.dataset, task.loss), []).append(task)
    made: dict[str, list[Effect]] = {}
    for claim, rival in RIVALS.items():
        for (dataset, loss), splits in kinds.items():
            there = [found[task, rival, SCORE] for task in splits if (task, rival, SCORE) in found]
            effect = _effect(dataset, loss, rival, there, lost=len(splits) - len(there))
            made.setdefault(claim, []).append(effect)
    return made


def _effect(dataset: str, loss: str, rival: str, found: Sequence[SpeedUp], *, lost: int = 0) -> Effect:
    """The effect over the splits that have a ratio; a number of others are lost to runs that have failed."""
    count, unreached = len(found), sum(not each.ratio for each in found)
    few = f"{count} split{'s' * (count != 1)}, {FEWEST_REPLICATES} are needed"
    remarks = [
        f"not reached on {unreached} of {count} splits, counted as reached at the end of the budget"
        if unreached
        else "",
        f"runs have failed on {lost} more split{'s' * (lost != 1)}" if lost else "",
    ]
    return Effect(
        dataset=dataset,
        task=f"{dataset}, {style.look(loss).label}",
        arms=f"{style.look(rival).label} / {style.look('hyperband').label}",
        measured=over_splits(found) if found else None,
        impediment="" if count >= FEWEST_REPLICATES else few if found else "runs have failed on every split",
        remark="; ".join(filter(None, remarks)),
    )


def over_splits(found: Sequence[SpeedUp]) -> Interval:
    """The geometric mean of ratios over splits, with its interval, the wider of two.

    Over splits: Student's t on the logarithms, corrected for splits that overlap. Over replays: normal, from the
    intervals of the splits. A target that was not reached is censored: it counts as reached at the end of the budget.
    That favours the method in the mean, which then is a bound; how far below it a ratio lies is not known, so that the
    interval is that of the bounds and may be too narrow on either side.
    """
    bounds = [each.rival_epochs / each.budget for each in found]
    ratios = [each.ratio or bound for each, bound in zip(found, bounds, strict=True)]
    over = stats.interval(Replicates(tuple(range(len(found))), np.log(ratios)))
    errors = [
        (math.log(each.upper or bound) - math.log(each.lower or bound)) / (2 * 1.96)
        for each, bound in zip(found, bounds, strict=True)
    ]
    half = 1.96 * math.sqrt(sum(error**2 for error in errors)) / len(found)
    replays = (over.estimate - half, over.estimate + half)
    lower = float(np.fmin(over.replicate[0], replays[0]))  # the other one if one is NaN
    upper = float(np.fmax(over.replicate[1], replays[1]))
    return Interval(
        estimate=math.exp(over.estimate),
        lower=math.exp(lower),
        upper=math.exp(upper),
        replicate=(math.exp(over.replicate[0]), math.exp(over.replicate[1])),
        bootstrap=(math.exp(replays[0]), math.exp(replays[1])),
        level=over.level,
        n=len(found),
    )
