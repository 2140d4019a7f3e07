"""What the runs of the temperature study say, in sentences that follow from the numbers."""

from __future__ import annotations

from collections.abc import Collection

from IPython.display import Markdown

from mlcl_utils import stats
from mlcl_utils.studies import scores, wording
from mlcl_utils.studies.tables import FEW, markdown
from mlcl_utils.studies.temperature.sweeps import (
    LOWEST_OF_SOURCE,
    Summary,
    Sweep,
    comparisons,
    leads,
    narrower,
    sibling,
    spread,
    trend,
)
from mlcl_utils.studies.wording import Headed
from mlcl_utils.training import BASELINES

CLEAR = 0.5
"""Rank correlation beyond which a trend is called one: it takes few values where temperatures are few."""


def reading(summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return markdown(sentences(summary))


def sentences(summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    lines = []
    for sweep in summary.sweeps:
        match sweep.variant:
            case "hard":
                lines += _hard(summary, sweep)
            case "scaled":
                lines += _scaled(summary, sweep)
            case _:
                lines += _geometry(summary, sweep) + _best(summary, sweep) + _where_it_acts(summary, sweep)
    lines += _beside_source(summary)
    lines += _remarks(summary)
    count = min(
        (len(members) for arm, members in summary.arms.items() if arm.loss not in BASELINES), default=0
    )
    if count < FEW:
        lines.append(
            f"With {count} replicate{'s' if count > 1 else ''} of the least repeated arm, no verdict on a published"
            " claim rests on this."
        )
    return lines


def _geometry(summary: Summary, sweep: Sweep) -> list[str]:
    parts = []
    for metric in ("uniformity", "tolerance"):
        measured = trend(summary, sweep, metric)
        if measured is not None:
            found = stats.interval(measured).within(-1, 1)
            word = "has no clear trend"
            if found.lower > CLEAR or found.upper < -CLEAR:
                word = "rises" if found.estimate > 0 else "falls"
            parts.append(f"{metric} {word} with τ (rank correlation {wording.signed(found)})")
    return [Headed(f"{sweep.task}, {sweep.label}:", f" {'; '.join(parts)}.")] if parts else []


def _beside_source(summary: Summary) -> list[str]:
    """Where an effect on geometry turns if temperatures that the source has not are left out."""
    lines: list[str] = []
    for each in comparisons(summary):
        if not each.turns:
            continue
        rests = f"; {each.impediment}, so that nothing rests on it" if each.impediment else ""
        lines.append(
            Headed(
                f"{each.sweep.task}, without τ {', '.join(f'{t:g}' for t in each.below)}",
                f", which the source has not:"
                f" {each.words} is {wording.signed(each.source)} from τ {LOWEST_OF_SOURCE:g} on, and"
                f" {wording.signed(each.everywhere)} over all, by which the claim is judged{rests}.",
            )
        )
    return lines


def _best(summary: Summary, sweep: Sweep) -> list[str]:
    found = leads(summary, sweep)
    if not found:
        return []
    best, ends = found[0].best, []
    if best in (found[0].end, found[1].end):
        which = "lowest" if best == found[0].end else "highest"
        ends.append(f"the {which} of the range")
    for lead in found:
        if lead.end != lead.best:
            interval = stats.interval(lead.difference)
            verb = {"above": "ahead of", "below": "behind", "across": "not told apart from"}[
                wording.direction(interval)
            ]
            ends.append(f"{verb} τ {lead.end:g} ({wording.in_points(interval)} points of mAP)")
    return [
        Headed(
            f"{sweep.task}, {sweep.label}:",
            f" read from the representation, validation prefers τ {best:g}, {', '.join(ends)}.",
        )
    ]


def _where_it_acts(summary: Summary, sweep: Sweep) -> list[str]:
    ranges = {}
    for head in ("probe", "projection"):
        measured = spread(summary, sweep, f"{head}_map")
        if measured is not None:
            ranges[head] = measured
    if len(ranges) < 2 or ranges["probe"].index != ranges["projection"].index:
        return []
    more = stats.interval(stats.difference(ranges["projection"], ranges["probe"]))
    word = {"above": "more", "below": "less", "across": "neither clearly more nor clearly less"}[
        wording.direction(more)
    ]
    return [
        Headed(
            f"{sweep.task}, {sweep.label}:",
            f" over the temperatures mAP varies by"
            f" {100 * ranges['probe'].estimate:.1f} points read from the representation and by"
            f" {100 * ranges['projection'].estimate:.1f} read from the projection: {word} there"
            f" ({wording.in_points(more)}).",
        )
    ]


def _hard(summary: Summary, sweep: Sweep) -> list[str]:
    plain = sibling(summary, sweep)
    difference = None if plain is None else narrower(summary, plain, sweep)
    wide = None if plain is None else spread(summary, plain, "uniformity")
    narrow = spread(summary, sweep, "uniformity")
    if difference is None or wide is None or narrow is None:
        return []
    found = stats.interval(difference)
    word = {"above": "less", "below": "more", "across": "neither clearly less nor clearly more"}[
        wording.direction(found)
    ]
    return [
        Headed(
            f"{sweep.task}, hard negatives:",
            f" uniformity varies over the temperatures by {narrow.estimate:.2f}, {word}"
            f" than with all negatives ({wide.estimate:.2f}; difference {wording.signed(found)}).",
        )
    ]


def _scaled(summary: Summary, sweep: Sweep) -> list[str]:
    plain = sibling(summary, sweep)
    if plain is None:
        return []
    changes = {}
    for temperature, arm in sweep.arms.items():
        pair = [
            scores.quantity(summary.arms.get(each, []), "probe_map")
            for each in (arm, plain.arms.get(temperature))
            if each is not None
        ]
        if len(pair) == 2 and pair[0] is not None and pair[1] is not None and pair[0].index == pair[1].index:
            changes[temperature] = stats.interval(stats.difference(pair[0], pair[1]))
    if not changes:
        return []
    largest = max(changes, key=lambda t: abs(changes[t].estimate))
    sides = {wording.direction(each) for each in changes.values()}
    word = (
        f"cannot be told from the loss itself at any temperature{_without(sweep, changes)}"
        if sides == {"across"}
        else f"differs from the loss{_without(sweep, changes)}"
    )
    return [
        Headed(
            f"{sweep.task}, {sweep.label}:",
            f" {word}; the largest change of the probe's mAP is"
            f" {wording.in_points(changes[largest])} points, at τ {largest:g}.",
        )
    ]


def _without(sweep: Sweep, compared: Collection[float]) -> str:
    """Which temperatures could not be compared because runs have failed; nothing if all were."""
    others = [f"{t:g}" for t in sweep.arms if t not in compared]
    return f" (without τ {', '.join(others)})" if others else ""


def _remarks(summary: Summary) -> list[str]:
    """Which arms are below a baseline, read with the probe on the representation."""
    named: dict[str, list[str]] = {}
    count = 0
    for sweep in summary.sweeps:
        by_word: dict[str, list[float]] = {}
        for temperature, arm in sweep.arms.items():
            if arm not in summary.arms:
                continue
            count += 1
            by_word.setdefault(scores.remark(summary.arms, arm), []).append(temperature)
        for word, temperatures in by_word.items():
            listed = ", ".join(f"{t:g}" for t in temperatures)
            named.setdefault(word, []).append(f"{sweep.label} at τ {listed} ({sweep.task})")
    return wording.remark_lines(named) or [
        f"Read with the probe, none of {count} trained arms is below logistic regression on the input."
    ]
