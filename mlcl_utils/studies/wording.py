"""Intervals and remarks in the words of readings and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlcl_utils.stats import Interval


class Headed(str):
    """A sentence with a head, such as the task that it is of, which a notebook sets in bold.

    Args:
        head: what is set in bold.
        rest: what follows it, with the blank or the sign between.
    """

    head: str
    rest: str

    def __new__(cls, head: str, rest: str) -> Headed:
        """The sentence is both, one after the other."""
        made = super().__new__(cls, head + rest)
        made.head, made.rest = head, rest
        return made


def remark_lines(named: Mapping[str, Sequence[str]], between: str = "; ") -> list[str]:
    """The sentences of a reading that name the arms below a baseline, read with the probe; none where there are none.

    Args:
        named: arms in words, by what :func:`mlcl_utils.studies.scores.remark` says of them.
        between: two arms.
    """
    meaning = {
        "degenerate": "below the untrained encoder, so that nothing rests on them",
        "below baseline": "below logistic regression on the input",
    }
    return [
        f"Read with the probe, {meaning[word]}: {between.join(named[word])}."
        for word in meaning
        if word in named
    ]


def signed(interval: Interval) -> str:
    """An estimate with its interval: ``+0.12 [-0.03, +0.27]``; a dash where there is none."""
    return bounded(interval.estimate, interval.lower, interval.upper)


def bounded(estimate: float, lower: float, upper: float) -> str:
    """As :func:`signed`, from the numbers of a table."""
    if not math.isfinite(estimate):
        return "–"
    text = f"{estimate:+.2f}"
    if math.isfinite(lower):
        text += f" [{lower:+.2f}, {upper:+.2f}]"
    return text


def in_points(interval: Interval) -> str:
    """An estimate with its interval in points: ``+1.2 [-0.3, +2.7]``."""
    text = f"{100 * interval.estimate:+.1f}"
    if math.isfinite(interval.lower):
        text += f" [{100 * interval.lower:+.1f}, {100 * interval.upper:+.1f}]"
    return text


def direction(interval: Interval) -> str:
    """Where an interval lies: ``above``, ``below``, or ``across`` zero; the latter too where there is none."""
    if interval.lower > 0:
        return "above"
    return "below" if interval.upper < 0 else "across"
