"""What Hyperband is going to do: brackets, rungs and what they cost, in exact integer arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from mlcl_utils.errors import UsageError

Bracket = list[tuple[int, int]]
"""Rungs of one bracket: number of configurations and the resource that each of them is trained to."""

Rounding = Literal["table", "ceiling"]


def brackets(R: int, eta: int, *, rounding: Rounding = "table") -> list[Bracket]:
    """Hyperband's plan: its brackets, most aggressive first, each a list of (configurations, resource) pairs.

    With s_max = floor(log_eta R), found without a logarithm, bracket s = s_max, ..., 0 starts n_s configurations at the
    resource R eta^-s and keeps one in eta of them at each of its s + 1 rungs, the last of which is at R. Resources are
    rounded, a half to the even side.

    Source: Li et al., Hyperband, JMLR 18(185), 2018, Algorithm 1 and Table 1. The two differ: the table has
    n_s = floor((s_max + 1) / (s + 1)) eta^s, the algorithm n_s = ceil((s_max + 1) / (s + 1) eta^s).

    Args:
        R: resource of a configuration that is trained to the end, at least 1.
        eta: one configuration in eta is kept, at least 2.
        rounding: n_s as in the ``table`` or with the algorithm's ``ceiling``.

    Raises:
        UsageError: a value out of range.
    """
    R, eta = _whole("R", R, at_least=1), _whole("eta", eta, at_least=2)
    if rounding not in ("table", "ceiling"):
        raise UsageError(f"rounding '{rounding}' is neither 'table' nor 'ceiling'")
    s_max = 0
    while eta ** (s_max + 1) <= R:
        s_max += 1
    plan = []
    for s in range(s_max, -1, -1):
        whole, rest = divmod((s_max + 1) * (eta**s if rounding == "ceiling" else 1), s + 1)
        count = whole + (rest > 0) if rounding == "ceiling" else whole * eta**s
        plan.append([(count // eta**i, round(Fraction(R, eta ** (s - i)))) for i in range(s + 1)])
    return plan


def _whole(name: str, value: int, *, at_least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} has to be a whole number, not {value!r}") from None
    if number < at_least:
        raise UsageError(f"{name} has to be at least {at_least}, not {number}")
    return number


def cost(plan: Sequence[Bracket]) -> int:
    """Resource that a plan uses in all, when a promoted configuration continues from its checkpoint."""
    return sum(
        count * (resource - reached)
        for bracket in plan
        for (count, resource), (_, reached) in zip(bracket, [(0, 0), *bracket], strict=False)
    )


def describe(plan: Sequence[Bracket], *, unit: str = "epochs") -> str:
    """The plan as a table of text: a line for each bracket, then the totals.

    Args:
        plan: of :func:`brackets`.
        unit: of the resource.
    """
    rows = [
        [
            f"s={len(bracket) - 1}",
            *(f"{count} to {resource}" for count, resource in bracket),
            f"{cost([bracket])}",
        ]
        for bracket in plan
    ]
    rungs = max(map(len, plan))
    rows = [[*row[:-1], *[""] * (rungs + 2 - len(row)), row[-1]] for row in rows]
    rows.insert(0, ["bracket", *(f"rung {i}" for i in range(rungs)), unit])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    total = sum(bracket[0][0] for bracket in plan)
    return "\n".join([*lines, f"{total} configurations, {cost(plan)} {unit} in all"])
