"""From frames to text: the one grammar of effects, verdicts, summaries and headlines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils import markup
from mlcl_utils.errors import DataError
from mlcl_utils.figures import style
from mlcl_utils.paths import shown
from mlcl_utils.stats import FEWEST_REPLICATES
from mlcl_utils.studies import judgements, published, scores
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.execution import Execution
from mlcl_utils.training import BASELINES

VERDICTS = (
    *("holds", "opposite", "did not transfer", "no material effect", "does not hold", "open", "not judged"),
)
"""The words of a verdict, in the order in which they are counted up."""


class Line(NamedTuple):
    """A sentence: its head is set in bold, the rest follows it."""

    head: str
    text: str


def markdown(lines: Iterable[Line]) -> Markdown:
    """Sentences as a list for a notebook; whatever they say is text."""
    return Markdown("\n".join(f"- {bold(line)}" for line in lines))  # type: ignore[no-untyped-call]


def bold(line: Line) -> str:
    """A sentence in Markdown."""
    head = f"**{markup.markdown(line.head.strip())}**" if line.head else ""
    return head + markup.markdown(line.text if head else line.text.strip())


def number(value: float, form: str) -> str:
    """A number with a real minus sign; nothing is ``−0.0``, and a dash stands for what there is not."""
    if not math.isfinite(value):
        return "–"
    text = format(value, form)
    if not text.strip("+-0."):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def bounded(estimate: float, lower: float, upper: float, form: str) -> str:
    """An estimate with its interval: ``+0.3 [−0.1, +0.7]``."""
    text = number(estimate, form)
    if math.isfinite(estimate) and math.isfinite(lower):
        text += f" [{number(lower, form)}, {number(upper, form)}]"
    return text


def effect(row: pd.Series[Any]) -> str:
    """The result of a row of comparisons or claims with its interval; of a bound, what it is at most."""
    ratio = row["test"] == "ratio"
    form = ".1f" if ratio else "+.1f" if row["unit"] == "points" else "+.2f"
    if row["censored"] and math.isfinite(row["estimate"]):
        return f"at most {number(row['estimate'], form)}"
    return bounded(row["estimate"], row["lower"], row["upper"], form)


def side(row: pd.Series[Any]) -> str:
    """Where the interval of a row lies: ``above``, ``below``, or ``across`` zero; the latter where there is none."""
    if row["lower"] > 0:
        return "above"
    return "below" if row["upper"] < 0 else "across"


def verdict(row: pd.Series[Any]) -> str:
    """The verdict of a row of claims; in a changed setting the opposite is that the claim did not transfer."""
    changed = row["verdict"] == "opposite" and row["setting"] == "changed"
    return "did not transfer" if changed else str(row["verdict"])


def counted(rows: pd.DataFrame) -> str:
    """How often each verdict was given: ``holds on 3, open on 1``."""
    counts = Counter(verdict(row) for _, row in rows.iterrows())
    return ", ".join(f"{word} on {counts[word]}" for word in VERDICTS if counts[word])


def overall(rows: pd.DataFrame) -> str:
    """The verdict on every task of one claim, none pooled; of a claim on every one, how many hold."""
    claim = {claim.id: claim for claim in published.load()}[rows["claim"].iloc[0]]
    several = rows["task"].duplicated(keep=False)
    names = [
        f"{row['task']} ({row['arms']})" if also else row["task"]
        for (_, row), also in zip(rows.iterrows(), several, strict=True)
    ]
    by_verdict: dict[str, list[str]] = {}
    for (_, row), name in zip(rows.iterrows(), names, strict=True):
        by_verdict.setdefault(verdict(row), []).append(name)
    words = "; ".join(f"{word} on {_listed(tasks)}" for word, tasks in by_verdict.items())
    tested = [word for word in rows["verdict"] if word != "not judged"]
    if claim.every and tested:
        words = f"{tested.count('holds')} of {len(tested)} hold, where every one has to; {words}"
    return words


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def claims(rows: pd.DataFrame) -> list[Line]:
    """What became of every claim."""
    return [claim(own) for _, own in rows.groupby("claim", sort=False)]


def claim(rows: pd.DataFrame) -> Line:
    """What became of one claim: what is so, the clearest of its effects, where else, and what follows for practice.

    An effect is for or against it as its verdict says, or, where that is open or was not given, its evidence. A claim
    of which every comparison has to hold is refuted by one.
    """
    own = {claim.id: claim for claim in published.load()}.get(rows["claim"].iloc[0])
    statement = own.statement if own is not None else str(rows["statement"].iloc[0])
    sides = rows.reset_index(drop=True)
    sides = sides.assign(side=[_stand(row) for _, row in rows.iterrows()])
    measured = sides[sides["side"] != ""]
    if measured.empty:
        return Line(f"Not measured: {statement}", "")
    found = set(measured["side"]) - {"open"}
    if own is not None and own.every and "against" in found:
        found = {"against"}
    if not found:
        head, advice = f"Open: {statement}", ""
    elif len(found) == 2:
        head, advice = f"It depends on the task: {statement}", ""
    elif found == {"for"} or own is None:
        head, advice = statement, own.advice if own is not None else ""
    else:
        head, advice = own.otherwise, own.advice_otherwise
    clearest = _clearest(measured, found)
    parts = (_measured(clearest), _elsewhere(measured.drop(index=clearest.name), clearest), advice)
    return Line(head, "".join(f" {part}" for part in parts if part))


def _elsewhere(others: pd.DataFrame, clearest: pd.Series[Any]) -> str:
    """What the other effects of a claim say, by name where these are few and each is of another task."""
    if others.empty:
        return ""
    tasks = [*others["task"], clearest["task"]]
    named = len(set(tasks)) == len(tasks) <= FEW_TASKS
    alike = set(others["side"]) == {clearest["side"]}
    if alike and not named:
        return (
            f"The other {len(others)} comparisons agree."
            if len(others) > 1
            else "The other comparison agrees."
        )
    if alike:
        return f"Likewise on {_listed([_bracketed(task) for task in others['task']])}."
    words = {"for": "for the claim", "against": "against the claim", "open": "open"}
    if named:
        found = {word: others.loc[others["side"] == side_, "task"] for side_, word in words.items()}
        parts = [
            f"{word} on {_listed([_bracketed(task) for task in own])}"
            for word, own in found.items()
            if len(own)
        ]
        text = "; ".join(parts)
        return f"{text[0].upper()}{text[1:]}."
    counts = Counter([*others["side"], clearest["side"]])
    listed = _listed([f"{counts[side_]} are {word}" for side_, word in words.items() if counts[side_]])
    return f"Of {len(tasks)} comparisons {listed}."


_DECIDED = {"holds": "for", **dict.fromkeys(("opposite", "no material effect", "does not hold"), "against")}


def _stand(row: pd.Series[Any]) -> str:
    """Whether an effect is ``for`` its claim, ``against`` it or ``open``; empty where nothing can be said."""
    if not math.isfinite(row["estimate"]) or (row["verdict"] == "not judged" and not row["evidence"]):
        return ""
    if row["verdict"] in _DECIDED:
        return _DECIDED[row["verdict"]]
    grade_, _, side_ = str(row["evidence"]).partition(" ")
    return side_ if grade_ == "strong" else "open"


FEW_TASKS = 4
"""Tasks that are named one by one."""


def _bracketed(task: str) -> str:
    """A task in words among others: ``debtags (300 labels, bag)``."""
    name, comma, rest = task.partition(", ")
    return f"{name} ({rest})" if comma else name


def _clearest(rows: pd.DataFrame, sides: Collection[str]) -> pd.Series[Any]:
    """The effect that is farthest from zero in units of its interval, among those on a side if there are any."""
    decided = rows[rows["side"].isin(sides)]
    among = decided if len(decided) else rows
    zero = np.where(among["test"] == "ratio", 1.0, 0.0)
    width = (among["upper"] - among["lower"]).clip(lower=1e-9)
    far = ((among["estimate"] - zero).abs() / width).fillna(-1.0)
    clearest: pd.Series[Any] = among.iloc[int(np.argmax(far))]
    return clearest


def _measured(one: pd.Series[Any]) -> str:
    """An effect with its task and arms."""
    unit = f" points of {style.metric(one['metric']).label}" if one["unit"] == "points" else ""
    unit = " times" if one["test"] == "ratio" else unit
    return f"On {_bracketed(one['task'])}, {one['arms']} is {effect(one)}{unit}."


def total(rows: pd.DataFrame) -> str:
    """How many effects all claims ask for, and how often each verdict was given."""
    count = rows["claim"].nunique()
    return f"{count} claims ask for {len(rows)} effects, one per task or several: {counted(rows)}."


def collected(rows: pd.DataFrame, missing: Sequence[str]) -> Markdown:
    """What the claims of all studies say together; ``missing`` are studies without results."""
    without = [Line("Without results", f": {', '.join(missing)}.")] if missing else []
    return markdown([Line("", total(rows)), *without, *claims(rows)])


def summary(study: Execution) -> Markdown:
    """What the frames of a study say: its claims, and the arms that lie below a baseline."""
    rows = judgements.of(study.study.name, study.comparisons)
    flags = flagged(study.scores) if study.measures.metrics else []
    return markdown([*claims(rows), *flags, *_few(study)] if len(rows) else flags)


def flagged(rows: pd.DataFrame) -> list[Line]:
    """Which arms lie below a baseline by mAP, read with the probe, and how many with their own head."""
    own = rows[(rows["metric"] == "map") & ~rows["loss"].isin(BASELINES)]
    lines = []
    for head, words in (("probe", "Read with the probe"), ("direct", "Read with the losses' own heads")):
        here = own[own["head"] == head]
        for word in (scores.UNTRAINED, scores.REGRESSION):
            below = here[here["flag"] == word]
            if len(below):
                names = dict.fromkeys(map(str, style.order(below["loss"].unique().tolist())))
                labels = "; ".join(style.look(name).label for name in names)
                lines.append(
                    Line(f"{words}, {len(below)} of {len(here)} trained arms lie {word}", f": {labels}.")
                )
    return lines


def _few(study: Execution) -> list[Line]:
    trained = (runs for arm, runs in study.arms.items() if arm.loss not in BASELINES)
    count = min((len({run.config.replicate for run in runs}) for runs in trained), default=0)
    if count >= FEWEST_REPLICATES:
        return []
    return [
        Line(
            f"{count} replicate{'s' * (count != 1)} of the least repeated arm",
            f": no verdict on a published claim rests on fewer than {FEWEST_REPLICATES}.",
        )
    ]


@dataclass(frozen=True)
class Finding:
    """The key figure of a study and its headline.

    Attributes:
        figure: name of the figure, without its ending.
        lines: the headline: what is so in bold, and what it rests on; its numbers are those of the tables.
    """

    figure: str
    lines: Sequence[Line]


def finding(study: Study, folder: Path) -> Finding | None:
    """The headline of a study from its results, beside the figure that shows it; None for a study without one.

    Args:
        study: the study.
        folder: the results of an executed notebook.

    Raises:
        DataError: the results lack a table that the headline follows from, or it is damaged.
    """
    if not study.figure:
        return None
    try:
        return Finding(study.figure, _headline(study, folder))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"'{shown(folder)}' has tables of another version: {error!r}") from error


def _headline(study: Study, folder: Path) -> list[Line]:
    own = getattr(study.part("views"), "headline", None)
    if own is not None:
        found: list[Line] = own(folder)
        return found
    rows = judged(folder)
    names: Sequence[str] = study.headline or [each.id for each in published.of(study.name)]
    judged_of = {name: rows[rows["claim"] == name] for name in names}  # older results lack newer claims
    return [claim(own) for own in judged_of.values() if len(own)]


def judged(folder: Path) -> pd.DataFrame:
    """The claims in the results of a study, those that were not judged included.

    Raises:
        DataError: there is no table of claims.
    """
    return judgements.read(folder / "tables" / f"{judgements.CLAIMS}.csv")
