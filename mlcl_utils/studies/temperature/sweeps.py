"""The runs of the temperature study by temperature, and the effects that its claims are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mlcl_utils import stats
from mlcl_utils.figures import style
from mlcl_utils.runs import RunConfig
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import claims, runs, scores, wording
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.claims import Effect
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.scores import Arms
from mlcl_utils.studies.temperature import Place, variant
from mlcl_utils.training import BASELINES

READINGS = {
    "probe": "linear probe on the representation",
    "projection": "linear probe on the projection",
    "neighbours": "20 nearest neighbours in the projection",
}
"""What an arm is read with, and on what."""

SCORES = ("map", "macro_f1")
GEOMETRY = ("uniformity", "tolerance", "tolerance_gap", "effective_rank", "penalty_entropy")
LOWEST_OF_SOURCE = 0.07
"""The source's temperatures begin here; the grid of this study goes lower."""

FEWEST_OF_TREND = 3
"""Temperatures that a trend is compared over: that of two is always perfect."""

VARIANTS = {"": "", "hard": ", hard negatives", "scaled": ", times τ"}


@dataclass(frozen=True)
class Sweep:
    """One loss, or a variant of it, in one place at every temperature.

    Attributes:
        place: data set and encoder.
        loss: its name.
        variant: ``hard``, ``scaled`` or nothing.
        arms: temperature -> arm, in ascending order; also those of which all runs have failed.
    """

    place: Place
    loss: str
    variant: str
    arms: dict[float, Arm]

    @property
    def label(self) -> str:
        """The loss and its variant in words."""
        return f"{style.look(self.loss).label}{VARIANTS[self.variant]}"

    @property
    def task(self) -> str:
        """The place in words."""
        first = next(iter(self.arms.values()))
        return first.beside("").describe()

    def above(self, lowest: float) -> Sweep:
        """Without the temperatures below the lowest."""
        return replace(self, arms={t: arm for t, arm in self.arms.items() if t >= lowest})


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        carried: the runs.
        arms: the runs of every arm.
        lost: those that failed.
        sweeps: the arms by place, loss and variant.
        intervals: one row an arm, reading and metric; with the sweep's ``variant`` and the ``temperature``, NaN for
            baselines.
        points: the replicates behind them.
    """

    carried: Carried
    arms: Arms
    lost: dict[Arm, list[RunConfig]]
    sweeps: list[Sweep]
    intervals: pd.DataFrame
    points: pd.DataFrame


def summarise(carried: Carried) -> Summary:
    """Means and intervals of every arm."""
    found, lost = runs.arms(carried.grid, arm_of), runs.lost(carried.grid, arm_of)
    swept: dict[tuple[Place, str, str], dict[float, Arm]] = {}
    for arm in [*lost, *found]:
        if arm.loss not in BASELINES:
            key = Place(arm.dataset, arm.encoder), arm.loss, arm["variant"]
            swept.setdefault(key, {})[arm["temperature"]] = arm
    sweeps = [Sweep(*key, dict(sorted(by_temperature.items()))) for key, by_temperature in swept.items()]

    def placed(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(setting=[described(scores.of_row(row)) for _, row in rows.iterrows()])

    heads = ("direct", *READINGS)
    intervals = [scores.intervals(found, SCORES, heads), scores.intervals(found, GEOMETRY, ("",))]
    points = [scores.points(found, SCORES, heads), scores.points(found, GEOMETRY, ("",))]
    return Summary(
        carried,
        found,
        lost,
        sweeps,
        placed(pd.concat(intervals, ignore_index=True)),
        placed(pd.concat(points, ignore_index=True)),
    )


def arm_of(config: RunConfig) -> Arm:
    """The arm of a run, with its temperature and what it is besides."""
    return Arm.of(config, temperature=config.hyperparameters.get("temperature"), variant=variant(config))


def described(arm: Arm) -> str:
    """A loss with its variant and temperature in words; empty for a baseline."""
    return f"{style.look(arm.loss).label}, {arm.setting}" if arm.setting else ""


def quantities(summary: Summary, sweep: Sweep, metric: str) -> dict[float, Replicates] | None:
    """A metric at every temperature; None if it lacks in a run or a replicate failed somewhere."""
    found = {t: scores.quantity(summary.arms.get(arm, []), metric) for t, arm in sweep.arms.items()}
    complete = {t: each for t, each in found.items() if each is not None}
    if len(complete) < len(found) or len(found) < 2 or len({each.index for each in complete.values()}) > 1:
        return None
    return complete


def trend(summary: Summary, sweep: Sweep, metric: str) -> Replicates | None:
    """Spearman's correlation of temperature and a metric in every replicate; None where it is undefined."""
    found = quantities(summary, sweep, metric)
    if found is None:
        return None
    temperatures = np.array(list(found))
    values = np.stack([each.values for each in found.values()])
    if any(len(np.unique(column)) == 1 for column in values.T):
        return None
    return stats.combine(list(found.values()), lambda part: stats.spearman(temperatures, part))


def spread(summary: Summary, sweep: Sweep, metric: str) -> Replicates | None:
    """Largest minus smallest value of a metric over the temperatures, in every replicate."""
    found = quantities(summary, sweep, metric)
    if found is None:
        return None
    return stats.combine(list(found.values()), lambda part: np.ptp(part, axis=0))


def chosen(summary: Summary, sweep: Sweep) -> float:
    """The temperature with the best mean validation mAP of the probe."""
    return max(
        sweep.arms,
        key=lambda t: np.nan_to_num(
            scores.mean(summary.arms[sweep.arms[t]], "probe_validation_map"), nan=-1.0
        ),
    )


@dataclass(frozen=True)
class Lead:
    """How far the temperature chosen on validation is ahead of one end of the range.

    Attributes:
        best: the chosen temperature.
        end: the one it is compared with.
        difference: of the probe's mAP on test, paired.
    """

    best: float
    end: float
    difference: Replicates


def leads(summary: Summary, sweep: Sweep) -> list[Lead]:
    """The chosen temperature against the lowest and against the highest."""
    found = quantities(summary, sweep, "probe_map")
    if found is None:
        return []
    best = chosen(summary, sweep)
    return [Lead(best, end, stats.difference(found[best], found[end])) for end in (min(found), max(found))]


def effects(summary: Summary) -> dict[str, list[Effect]]:
    """What the claims of this study are judged by."""
    found: dict[str, list[Effect]] = {
        name: []
        for name in ("uniformity_falls", "tolerance_rises", "intermediate_best", "hard_negatives_uniform")
    }

    def add(claim: str, sweep: Sweep, words: str, measured: Replicates | None, arms: Sequence[Arm]) -> None:
        lost = [described(arm) for arm in arms if arm in summary.lost]
        against = {"impediment": f"runs have failed: {', '.join(lost)}"}
        if measured is not None:
            against = claims.against(summary.arms, arms)
        if measured is not None or lost:
            found[claim].append(Effect(sweep.place.dataset, sweep.task, words, measured, **against))

    for sweep in summary.sweeps:
        if sweep.loss != "instance":
            continue
        for each in geometry(summary, sweep):
            add(each.claim, sweep, each.words, each.measured, each.arms)
        if not sweep.variant:
            if quantities(summary, sweep, "probe_map") is None:
                add("intermediate_best", sweep, "best τ − both ends", None, list(sweep.arms.values()))
            for lead in leads(summary, sweep):
                compared = [sweep.arms[lead.best], sweep.arms[lead.end]]
                which = "lowest" if lead.end == min(sweep.arms) else "highest"
                words = f"best τ {lead.best:g} − {which} τ {lead.end:g}"
                add("intermediate_best", sweep, words, lead.difference, compared)
    return found


@dataclass(frozen=True)
class Geometry:
    """What a claim on geometry is judged by.

    Attributes:
        claim: its name in ``claims.toml``.
        words: what is measured.
        measured: in every replicate; None where it is undefined.
        arms: those that it rests on.
    """

    claim: str
    words: str
    measured: Replicates | None
    arms: list[Arm]


def geometry(summary: Summary, sweep: Sweep, lowest: float = 0.0) -> list[Geometry]:
    """What the claims on geometry are judged by, over the temperatures of a sweep from the lowest given on."""
    part = sweep.above(lowest)
    whole = list(part.arms.values())
    if not sweep.variant:
        falls = trend(summary, part, "uniformity")
        opposite = None if falls is None else stats.combine([falls], lambda values: -values[0])
        rises = trend(summary, part, "tolerance")
        return [
            Geometry("uniformity_falls", "−ρ(τ, uniformity)", opposite, whole),
            Geometry("tolerance_rises", "ρ(τ, tolerance)", rises, whole),
        ]
    if sweep.variant != "hard":
        return []
    plain = sibling(summary, sweep)
    plain = None if plain is None else plain.above(lowest)
    difference = None if plain is None else narrower(summary, plain, part)
    arms = whole if plain is None else [*plain.arms.values(), *whole]
    return [Geometry("hard_negatives_uniform", "range of plain − range of hard", difference, arms)]


@dataclass(frozen=True)
class Comparison:
    """What a claim on geometry is judged by, over all temperatures and over those of the source alone.

    Attributes:
        sweep: the loss and the place.
        words: what is measured.
        everywhere: over all temperatures, as the claim is judged.
        source: over those of the source.
        below: temperatures that the source has not.
        impediment: why nothing rests on the arms of the source's temperatures; empty if something does.
    """

    sweep: Sweep
    words: str
    everywhere: Interval
    source: Interval
    below: list[float]
    impediment: str

    @property
    def turns(self) -> bool:
        """Whether the source's temperatures alone point elsewhere."""
        return wording.direction(self.everywhere) != wording.direction(self.source)


def comparisons(summary: Summary) -> list[Comparison]:
    """How the effects on geometry change if temperatures below the source's are left out; none where there are none."""
    found = []
    for sweep in summary.sweeps:
        below = [t for t in sweep.arms if t < LOWEST_OF_SOURCE]
        if sweep.loss != "instance" or not below:
            continue
        both = zip(geometry(summary, sweep), geometry(summary, sweep, LOWEST_OF_SOURCE), strict=True)
        for each, part in both:
            hard = each.claim == "hard_negatives_uniform"
            if not hard and len(part.arms) < FEWEST_OF_TREND:
                continue
            if each.measured is not None and part.measured is not None:
                impediment = claims.against(summary.arms, part.arms).get("impediment", "")
                everywhere, source = stats.interval(each.measured), stats.interval(part.measured)
                if not hard:
                    everywhere, source = everywhere.within(-1, 1), source.within(-1, 1)
                found.append(Comparison(sweep, each.words, everywhere, source, below, impediment))
    return found


def sibling(summary: Summary, sweep: Sweep) -> Sweep | None:
    """The same loss in the same place without the variant."""
    same = (s for s in summary.sweeps if (s.place, s.loss, s.variant) == (sweep.place, sweep.loss, ""))
    return next(same, None)


def narrower(summary: Summary, plain: Sweep, hard: Sweep) -> Replicates | None:
    """By how much the range of uniformity over temperatures is smaller with hard negatives."""
    wide, narrow = spread(summary, plain, "uniformity"), spread(summary, hard, "uniformity")
    if wide is None or narrow is None or wide.index != narrow.index:
        return None
    return stats.difference(wide, narrow)
