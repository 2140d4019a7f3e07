"""From frames to text: the one grammar of effects, verdicts, summaries and headlines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    items = []
    for head, text in lines:
        bold = f"**{markup.markdown(head.strip())}**" if head else ""
        items.append(f"- {bold}{markup.markdown(text)}")
    return Markdown("\n".join(items))  # type: ignore[no-untyped-call]


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
    """One line per claim: where it is so and where not, and the clearest of its effects."""
    said = []
    for _, own in rows.groupby("claim", sort=False):
        words = _said(own)
        said.append(Line(own["statement"].iloc[0], f" {words[0].upper()}{words[1:]}"))
    return said


def claim(rows: pd.DataFrame) -> str:
    """One claim in two sentences: where it is so and where it is not, and the clearest of its effects."""
    statement = str(rows["statement"].iloc[0]).rstrip(".")
    if rows["claim"].iloc[0] in {claim.id for claim in published.load() if claim.every}:
        statement += ", where every comparison has to hold"
    return f"{statement}: {_said(rows)}"


def _said(rows: pd.DataFrame) -> str:
    """Where a claim is so and where it is not, and its clearest effect.

    An effect is for or against it as its verdict says, or, where that is open or was not given, its evidence.
    """
    sides = rows.assign(side=[_stand(row) for _, row in rows.iterrows()])
    measured = sides[sides["side"] != ""]
    if measured.empty:
        return "not measured."
    named = measured["task"].is_unique and len(measured) <= FEW_TASKS
    parts = [
        f"{words} {_where(own, len(measured), named)}"
        for side_, words in (("for", "so"), ("against", "not"), ("open", "open"))
        if len(own := measured[measured["side"] == side_])
    ]
    return f"{'; '.join(parts)}. {_clearest(measured)}"


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


def _where(rows: pd.DataFrame, of: int, named: bool) -> str:
    """On which tasks, by name where these are few and each has one comparison."""
    if named:
        return f"on {_listed([_bracketed(task) for task in rows['task']])}"
    return f"on all {of} comparisons" if len(rows) == of else f"on {len(rows)} of {of} comparisons"


def _bracketed(task: str) -> str:
    """A task in words among others: ``debtags (300 labels, bag)``."""
    name, comma, rest = task.partition(", ")
    return f"{name} ({rest})" if comma else name


def _clearest(rows: pd.DataFrame) -> str:
    """The effect that is farthest from zero in units of its interval, among those that are decided if there are any."""
    decided = rows[rows["side"] != "open"]
    among = decided if len(decided) else rows
    one = next(row for _, row in among.iterrows())
    farthest = -1.0
    for _, row in among.iterrows():
        zero = 1.0 if row["test"] == "ratio" else 0.0
        width = max(float(row["upper"] - row["lower"]), 1e-9)
        if math.isfinite(width) and abs(row["estimate"] - zero) / width > farthest:
            farthest, one = abs(row["estimate"] - zero) / width, row
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
        sentence: the headline; its numbers are those of the tables.
    """

    figure: str
    sentence: str


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


def _headline(study: Study, folder: Path) -> str:
    own = getattr(study.part("views"), "headline", None)
    if own is not None:
        return str(own(folder))
    rows = judged(folder)
    names: Sequence[str] = study.headline or [each.id for each in published.of(study.name)]
    judged_of = {name: rows[rows["claim"] == name] for name in names}  # older results lack newer claims
    return " ".join(claim(own) for own in judged_of.values() if len(own))


def judged(folder: Path) -> pd.DataFrame:
    """The claims in the results of a study, those that were not judged included.

    Raises:
        DataError: there is no table of claims.
    """
    return judgements.read(folder / "tables" / f"{judgements.CLAIMS}.csv")
