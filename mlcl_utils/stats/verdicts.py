"""Verdicts on published claims, from effects oriented so that positive means the claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlcl_utils.metrics.arrays import Array, Floats
from mlcl_utils.stats.intervals import Interval, Replicates, difference, interval, p_above, p_below

Verdict = Literal["holds", "reversed", "no material effect", "undetermined", "not judged"]

Standing = Literal["best", "not worse", "worse"]

LEVEL = 0.95
EQUIVALENCE_LEVEL = 0.90
"""Two one-sided tests at 5% each are a two-sided interval at 90%."""

FEWEST_REPLICATES = 5


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it stands on.

    Attributes:
        verdict: one of five.
        interval: the effect with its 95% interval, never corrected for multiplicity.
        p_value: two-sided p-value against an effect within the margin (of a lead: at the margin), after Holm's
            correction in a family; NaN where nothing was tested.
        reason: why it was not judged; empty otherwise.
    """

    verdict: Verdict
    interval: Interval
    p_value: float
    reason: str = ""


def holm(p_values: Array) -> Floats:
    """Holm's adjusted p-values, which control the chance of any false rejection in the family (Holm 1979).

    Args:
        p_values: (m,).

    Returns:
        (m,) in the order given, at most 1.
    """
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def judge(effect: Replicates, margin: float, *, impediment: str = "") -> Judgement:
    """The verdict on one claim that an effect exceeds a margin.

    *holds* if the lower bound of the 95% interval exceeds the margin; *reversed* if the upper bound is below
    its negative; *no material effect* if the 90% interval lies within the margin on both sides; else
    *undetermined*. With fewer than five replicates, or an impediment, *not judged*.

    Args:
        effect: oriented so that positive means the claim, in the units of the margin.
        margin: the smallest effect that matters, 0 or more.
        impediment: why no verdict can rest on this effect, such as an arm below the untrained encoder;
            empty if nothing is wrong.

    Raises:
        ValueError: the margin is negative.
    """
    return judge_family([effect], margin, impediments=[impediment])[0]


def judge_not_ahead(effect: Replicates, margin: float, *, impediment: str = "") -> Judgement:
    """The verdict on a claim that one arm is *not* ahead of another by more than the margin
    (non-superiority).

    *holds* if the upper bound of the 95% interval is below the margin; *reversed* if the lower bound exceeds
    it; else *undetermined*.

    Args:
        effect: the arm's lead, so that here *negative* speaks for the claim.
        margin: the smallest lead that matters, 0 or more.
        impediment: as in :func:`judge`.

    Raises:
        ValueError: the margin is negative.
    """
    return judge_family([effect], margin, impediments=[impediment], leads=[True])[0]


def judge_family(
    effects: Sequence[Replicates],
    margins: float | Sequence[float],
    *,
    impediments: Sequence[str] | None = None,
    leads: Sequence[bool] | None = None,
) -> list[Judgement]:
    """Verdicts on several effects, such as "ahead of each of the others", corrected by Holm.

    As :func:`judge`, but *holds* and *reversed* need a two-sided p-value of at most 5% after the correction
    over the effects that are judged. *No material effect* is not a rejection in this sense and keeps its 90%
    interval.

    Args:
        effects: each oriented so that positive means its claim, save those that are leads.
        margins: one for all, or one an effect.
        impediments: one an effect; none if not given.
        leads: which effects are leads of an arm that is claimed not to be ahead, as in
            :func:`judge_not_ahead`; none if not given.

    Raises:
        ValueError: a margin is negative, or there are not as many of something as effects.
    """
    each_margin = [margins] * len(effects) if isinstance(margins, int | float) else margins
    for margin in each_margin:
        if not margin >= 0:
            raise ValueError(f"margin must be 0 or more, not {margin}")
    reasons = [
        impediment or _too_few(effect)
        for effect, impediment in zip(effects, impediments or [""] * len(effects), strict=True)
    ]
    asked = list(zip(effects, each_margin, leads or [False] * len(effects), reasons, strict=True))
    # for the claim of every judged effect, and against it
    raw = [
        (p_below(effect, margin), p_above(effect, margin))
        if lead
        else (p_above(effect, margin), p_below(effect, -margin))
        for effect, margin, lead, reason in asked
        if not reason
    ]
    corrected = holm(np.array([min(1.0, 2 * min(pair)) for pair in raw]))
    p_values = iter(zip(raw, corrected, strict=True))
    judgements = []
    for effect, margin, lead, reason in asked:
        bounds = interval(effect, level=LEVEL)
        if reason:
            judgements.append(Judgement("not judged", bounds, float("nan"), reason))
            continue
        (favour, against), p_value = next(p_values)
        near = interval(effect, level=EQUIVALENCE_LEVEL)
        verdict: Verdict = "undetermined"
        if p_value < 1 - LEVEL:
            verdict = "holds" if favour < against else "reversed"
        elif not lead and -margin < near.lower and near.upper < margin:
            verdict = "no material effect"
        judgements.append(Judgement(verdict, bounds, float(p_value)))
    return judgements


def _too_few(effect: Replicates) -> str:
    count = len(effect.values)
    if count >= FEWEST_REPLICATES:
        return ""
    return f"{count} replicate{'s' * (count != 1)}, {FEWEST_REPLICATES} are needed"


def standings(arms: Mapping[str, Replicates], *, higher_is_better: bool = True) -> dict[str, Standing]:
    """Which arm is best, and which of the others are not significantly worse.

    The best has the best mean; each other is compared with it, paired, by a one-sided test at 2.5% (its 95%
    interval lies on the worse side of zero) after Holm's correction over the others. An arm for which nothing
    can be tested (one replicate, no resamples) is not called worse.

    Args:
        arms: name -> one metric of that arm, all with the same replicates.
        higher_is_better: the metric's orientation.
    """
    sign = 1.0 if higher_is_better else -1.0
    best = max(arms, key=lambda name: sign * arms[name].estimate)
    others = [name for name in arms if name != best]
    leads = [
        difference(*((arms[best], arms[name]) if higher_is_better else (arms[name], arms[best])))
        for name in others
    ]
    p_values = np.nan_to_num(np.array([p_above(lead, 0.0) for lead in leads]), nan=1.0)
    result: dict[str, Standing] = {best: "best"}
    for name, p_value in zip(others, holm(p_values), strict=True):
        result[name] = "worse" if p_value < (1 - LEVEL) / 2 else "not worse"
    return result


def overall(verdicts: Mapping[str, Verdict], *, setting: Literal["same", "changed"]) -> str:
    """One line with the verdict on every task, none pooled, such as "holds on emoji; undetermined on
    debtags".

    In a changed setting (frozen features, say) a reversal is no refutation of the original paper and reads "did not
    transfer".

    Args:
        verdicts: task -> verdict.
        setting: whether the original paper's own setting was used.
    """
    tasks: dict[str, list[str]] = {}
    for task, verdict in verdicts.items():
        words = "did not transfer" if verdict == "reversed" and setting == "changed" else verdict
        tasks.setdefault(words, []).append(task)
    return "; ".join(f"{words} on {_listed(names)}" for words, names in tasks.items())


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
