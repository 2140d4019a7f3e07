"""The frame of comparisons: what a study asks, measured once, with the verdict on those that are published claims.

A study declares its comparisons as data; a claim of ``notebooks/claims.toml`` is a comparison with its id as its name,
and has a margin, a verdict and the reasons for it in more columns of its rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import stats
from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.stats import Interval, Measured, Replicates, Test
from mlcl_utils.studies import published, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.published import Claim
from mlcl_utils.studies.scores import Arms

Measure = Callable[[Floats], Floats]
"""Maps one quantity of k arms, (k, m), to what is compared, (m,), column by column: ``lambda v: v[0] - v[1]``."""


def difference(values: Floats) -> Floats:
    """The first arm minus the second."""
    found: Floats = values[0] - values[1]
    return found


def lead(metric: str) -> Measure:
    """By how much the first arm is better than the second, whichever end of the metric is better."""
    sign = -1.0 if style.metric(metric).higher_is_better is False else 1.0
    return lambda values: sign * (values[0] - values[1])


@dataclass(frozen=True)
class Comparison:
    """What is compared on one task.

    Attributes:
        name: id of a claim, then oriented so that positive means the claim; or a name that the study gives.
        arms: what it rests on; the first names the task. Empty where the result is not of arms: ``task``, ``compared``
            and ``measured`` are then given, and data set and loss as columns.
        metric: what the result is measured in.
        head: what the arms are read with: ``probe``, ``direct``, ``best`` for the head of each that validation
            prefers, ``source`` for what the original paper reads each with
            (:func:`mlcl_utils.studies.scores.source_head`), one word for each arm, or nothing for a metric of the
            representation.
        quantity: the metric of the arms that is compared; not given: ``metric``.
        measure: what is made of it, a :data:`Measure`; not given: the first arm minus the second.
        compared: in words; not given: the first arm minus the second.
        task: in words; not given: the first arm's.
        reason: why no verdict can rest on it, such as a dead term, besides what can be seen from its arms.
        flag: what a reader has to know besides.
        censored: whether it is only a bound, since the target was mostly not reached: it may refute, not confirm.
        chosen_among: arms among which those compared were chosen; where runs of one have failed, it is not known
            which would have been chosen, so that nothing is measured.
        limits: ends of the range that the result cannot leave.
        measured: the result, where it is not one of ``quantity`` and ``measure``.
        columns: further cells of its row.
    """

    name: str
    arms: Sequence[Arm]
    metric: str
    head: str | Sequence[str] = "best"
    quantity: str = ""
    measure: Measure = difference
    compared: str = ""
    task: str = ""
    reason: str = ""
    flag: str = ""
    censored: bool = False
    chosen_among: Sequence[Arm] = ()
    limits: tuple[float, float] | None = None
    measured: Measured | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What is compared, in words."""
        return self.compared or " − ".join(_label(arm, at == 0) for at, arm in enumerate(self.arms[:2]))

    @property
    def where(self) -> str:
        """The task in words."""
        return self.task or self.arms[0].describe()


def of_best(
    arms: Arms,
    lost: Iterable[Arm],
    groups: Sequence[Sequence[Arm]],
    heads: Sequence[str] = ("probe",),
    **given: Any,
) -> Comparison:
    """A comparison of the best of each group on validation, in pairs of groups; of none where runs have failed.

    Args:
        arms: the runs of every arm.
        lost: the arms of which runs have failed.
        groups: arms, of each of which the best is compared.
        heads: those among which its head is chosen.
        given: other attributes of the comparison.
    """
    among = [arm for group in groups for arm in group]
    if set(among) & set(lost):
        return Comparison(arms=[among[0].task], head="", chosen_among=among, **given)
    best, read = zip(*(scores.best_on_validation(arms, group, heads) for group in groups), strict=True)
    pairs = [" − ".join(map(_label, best[at : at + 2])) for at in range(0, len(best), 2)]
    words = " / ".join(dict.fromkeys(pairs))
    return Comparison(arms=best, head=read, compared=words, chosen_among=among, **given)


def _label(arm: Arm, with_setting: bool = True) -> str:
    label, setting = style.look(arm.loss).label, arm.but(length="").setting  # both arms are trained as long
    return f"{label} {setting}" if with_setting and setting else label


@dataclass(frozen=True)
class _Asked:
    """A comparison with its result; None where runs have failed."""

    comparison: Comparison
    claim: Claim | None
    heads: Sequence[str]
    measured: Measured | None
    reason: str
    flag: str

    @property
    def scale(self) -> float:
        return 100.0 if style.metric(self.comparison.metric).percent else 1.0


BOUNDS = ("lower", "upper", "replicate_lower", "replicate_upper", "bootstrap_lower", "bootstrap_upper")
PROBABILITIES = ("p_above", "p_within", "p_below")
COLUMNS = (
    *("name", *scores.COLUMNS, "reference", "task", "compared", "reading", "metric", "heads"),
    *("estimate", *BOUNDS, "replicates", "points", "unit", "margin", "test"),
    *("verdict", "evidence", *PROBABILITIES, "reason", "flag", "censored"),
)
"""The columns of the frame, explained in docs/frames.md."""


def frame(
    study: str,
    declared: Iterable[Comparison],
    arms: Arms,
    lost: Iterable[Arm] = (),
    repeated: Arms | None = None,
    lost_repeated: Iterable[Arm] = (),
) -> pd.DataFrame:
    """Measure and judge what a study compares, one row per comparison, in the order in which they are declared.

    A comparison of which an arm is missing has no row; where runs of its arms have failed it has one without numbers,
    and so has one without arms that says why there is no result.
    Verdicts are by rule 2 (:func:`judge`). Numbers are in points where the metric is a share.

    Args:
        study: name of the study, whose claims are judged.
        declared: what is compared.
        arms: the runs of every arm.
        lost: the arms of which runs have failed.
        repeated: the arms that claims are judged on, where these have more runs than others.
        lost_repeated: the arms of which runs of these have failed.
    """
    claims = {claim.id: claim for claim in published.of(study)}
    usual = arms, dict.fromkeys(lost)
    of_claims = usual if repeated is None else (repeated, dict.fromkeys([*lost, *lost_repeated]))
    asked = []
    for each in declared:
        claim = claims.get(each.name)
        members, failed = usual if claim is None else of_claims
        heads = tuple(_heads(each, arms))
        if (found := _ask(each, claim, heads, members, failed)) is not None:
            asked.append(found)
    rows = [_row(each) for each in asked]
    further = dict.fromkeys(name for each in asked for name in each.comparison.columns)
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*COLUMNS, *further])))


def _ask(
    each: Comparison, claim: Claim | None, heads: Sequence[str], arms: Arms, lost: Mapping[Arm, None]
) -> _Asked | None:
    failed = [arm for arm in each.chosen_among if arm in lost]
    measured = None if failed else each.measured or _measure(each, heads, arms)
    failed = failed or [arm for arm in each.arms if arm in lost]
    if measured is None:
        why = "" if each.arms else each.reason
        if failed:
            why = f"runs have failed: {_listed(failed, each.arms[0].beside(''))}"
        return _Asked(each, claim, heads, None, why, "") if why else None
    if claim is not None and not published.has_headroom(claim, each.where):
        return _Asked(each, claim, heads, measured, "no headroom", each.flag)
    present = [(arm, head) for arm, head in zip(each.arms, heads, strict=True) if arm in arms]
    reason, flag = _against(arms, present)
    return _Asked(
        each,
        claim,
        heads,
        measured,
        "; ".join(filter(None, (each.reason, reason))),
        "; ".join(filter(None, (flag, each.flag))),
    )


def _heads(each: Comparison, arms: Arms) -> Iterator[str]:
    """What every arm is read with."""
    asked = [each.head] * len(each.arms) if isinstance(each.head, str) else each.head
    for arm, head in zip(each.arms, asked, strict=True):
        among = scores.HEADS if head == "best" else [head]
        yield scores.best_on_validation(arms, [arm], among)[1] if head in ("best", "source") else head


def _measure(each: Comparison, heads: Sequence[str], arms: Arms) -> Replicates | None:
    """The result; None if an arm or a replicate of one is missing, or the result is undefined in a replicate."""
    if not each.arms:
        return None
    metric = each.quantity or each.metric
    parts = [
        scores.quantity(arms.get(arm, ()), scores.column(head, metric))
        for arm, head in zip(each.arms, heads, strict=True)
    ]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts) or len({part.index for part in found}) > 1:
        return None
    if not np.isfinite(each.measure(np.stack([part.values for part in found]))).all():
        return None
    return stats.combine(found, each.measure)


def _listed(arms: Iterable[Arm], task: Arm) -> str:
    """Arms in words, with their tasks unless all are of one."""
    tasks = {arm: arm.beside("") for arm in arms}
    here = set(tasks.values()) == {task}
    return ", ".join(
        _label(arm) if here else f"{_label(arm)} ({own.describe()})" for arm, own in tasks.items()
    )


def _against(arms: Arms, read: Iterable[tuple[Arm, str]]) -> tuple[str, str]:
    """Why no verdict can rest on arms, and what stands against them besides; empty for nothing."""
    reasons: dict[str, list[str]] = {}
    flags: dict[str, list[str]] = {}
    for arm, head in read:
        label, metric = style.look(arm.loss).label, f"{head or 'probe'}_map"
        if why := scores.dead(arms, arm, metric):
            reasons.setdefault(why, []).append(label)
        if word := scores.flag(arms, arm, metric):
            gap = scores.behind(arms, arm, word, metric)
            flags.setdefault(word, []).append(label if gap is None else f"{label} {_in_points(gap)}")
    reason, flag = (
        "; ".join(f"{word}: {', '.join(dict.fromkeys(labels))}" for word, labels in group.items())
        for group in (reasons, flags)
    )
    return reason, flag


def _in_points(gap: Replicates) -> str:
    found = stats.interval(gap)
    numbers = (f"{100 * each:+.1f}".replace("-", "−") for each in (found.estimate, found.lower, found.upper))
    estimate, lower, upper = numbers
    return f"{estimate} [{lower}, {upper}]" if math.isfinite(found.lower) else estimate


def judge(measured: Measured, margin: float, test: Test, *, censored: bool = False) -> dict[str, Any]:
    """What rule 2 says of an effect, as cells of its row: ``verdict``, ``evidence`` and three probabilities.

    The verdict is that of :func:`mlcl_utils.stats.decide`, from five splits on; ``evidence`` says in words how probable
    the claim is, ``strong for`` to ``strong against``.

    Args:
        measured: the effect, in the units of the margin; a ratio as such, which is judged by its logarithm.
        margin: of the claim.
        test: of the claim.
        censored: whether it is only a bound, which may refute, not confirm.
    """
    measured = oriented(measured, test)
    margin = math.log(margin) if test == "ratio" else margin
    verdict: str = stats.decide(measured, margin, test=test)
    if censored and verdict == "holds":
        verdict = "open"
    found = stats.evidence(measured, margin)
    probable = found.claim(test)
    side = "for" if probable >= 0.5 else "against"
    grade = "" if math.isnan(probable) else stats.grade(max(probable, 1 - probable))
    few = measured.n < stats.FEWEST_REPLICATES
    return {
        "verdict": "not judged" if few else verdict,
        "reason": f"{measured.n} replicate{'s' * (measured.n != 1)}, {stats.FEWEST_REPLICATES} are needed"
        if few
        else "",
        "evidence": f"{grade} {side}" if grade in ("strong", "leaning") else grade,
        **dict(zip(PROBABILITIES, (found.above, found.within, found.below), strict=True)),
    }


def oriented(measured: Measured, test: str) -> Measured:
    """What was measured on the scale on which it is judged: the logarithm of a ratio, else itself."""
    if test != "ratio":
        return measured
    if isinstance(measured, Replicates):
        raise TypeError("a ratio is judged from its interval")
    names = ("estimate", "lower", "upper", "replicate", "bootstrap")
    logs: dict[str, Any] = {name: np.log(getattr(measured, name)) for name in names}
    return dataclasses.replace(measured, **logs)


def _row(each: _Asked) -> dict[str, Any]:
    comparison, claim, measured = each.comparison, each.claim, each.measured
    arms = comparison.arms
    row: dict[str, Any] = {
        "name": comparison.name,
        **(arms[0].row() if arms else {}),
        "reference": arms[1].loss if len(arms) == 2 else "",
        "task": comparison.where,
        "compared": comparison.words,
        "reading": scores.reading(each.heads),
        "metric": comparison.metric,
        "heads": ", ".join(dict.fromkeys(each.heads)),
        "points": "",
        "unit": "points" if style.metric(comparison.metric).percent else "",
        "test": "" if claim is None else claim.test,
        "margin": math.nan if claim is None else claim.margin,
        "verdict": "" if claim is None else "not judged",
        "evidence": "",
        "reason": each.reason,
        "flag": each.flag,
        "censored": comparison.censored,
        **comparison.columns,
    }
    if measured is None:
        return row
    if claim is not None:
        scaled = measured
        if isinstance(measured, Replicates):
            scaled = stats.combine([measured], lambda part: each.scale * part[0])
        said = judge(scaled, claim.margin, claim.test, censored=comparison.censored)
        if each.reason:
            nothing = dict.fromkeys(PROBABILITIES, math.nan)  # rests on it
            said |= {"verdict": "not judged", "reason": each.reason, "evidence": "", **nothing}
        row |= said
    interval = measured if isinstance(measured, Interval) else stats.interval(measured)
    if comparison.limits is not None:
        interval = interval.within(*comparison.limits)
    numbers = scores.as_row(interval)
    values = () if isinstance(measured, Interval) else measured.values.tolist()
    row |= {name: each.scale * numbers[name] for name in ("estimate", *BOUNDS)}
    return row | {
        "replicates": numbers["replicates"],
        "points": " ".join(f"{each.scale * value:.4g}" for value in values),
    }


def fractions(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the frame with shares as fractions, as figures take them."""
    numbers = ["estimate", *BOUNDS]
    scale = np.where(rows["unit"] == "points", 100.0, 1.0)
    return rows.assign(**{name: rows[name].astype(float) / scale for name in numbers})
