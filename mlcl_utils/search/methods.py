"""The methods of search: Hyperband and its parts, random search, and two of Optuna's, all behind the same call.

Each is called as ``method(R, eta, sample, evaluate, **settings)``: the resource of a configuration that is trained to
the end, the share 1/eta that is kept, what draws a configuration, and the objective
(:data:`mlcl_utils.search.conduct.Evaluate`). Settings, such as ``budget`` and ``journal``, are those of
:class:`mlcl_utils.search.conduct.Settings`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Unpack

from mlcl_utils.errors import UsageError
from mlcl_utils.search.conduct import Config, Evaluate, Job, Result, Rungs, Settings, conduct
from mlcl_utils.search.plan import Bracket, Rounding, brackets, cost
from mlcl_utils.search.space import Sampler

Sample = Callable[[], Config]
"""Draws a configuration. With a journal it has to draw the same ones again, as :class:`Sampler` does."""


class Method(Protocol):
    """The call that all methods share."""

    def __call__(
        self, R: int, eta: int, sample: Any, evaluate: Evaluate, **settings: Unpack[Settings]
    ) -> Result:
        """Searches."""


def hyperband(
    R: int,
    eta: int,
    sample: Sample,
    evaluate: Evaluate,
    *,
    rounding: Rounding = "table",
    **settings: Unpack[Settings],
) -> Result:
    """Hyperband with random sampling, synchronous, as published (Li et al., JMLR 18(185), 2018).

    The brackets of :func:`brackets` one after the other, the most aggressive first, each by successive halving. A
    promoted configuration continues from its checkpoint. A configuration that failed is not promoted; where too few are
    left, the rung is smaller.

    Args:
        R: resource of a configuration that is trained to the end.
        eta: one configuration in eta is kept at each rung.
        sample: draws a configuration.
        evaluate: the objective; a higher score is better.
        rounding: of the numbers of configurations, as in :func:`brackets`.
        settings: as in :class:`Settings`; without ``budget`` one pass is made.
    """
    plan = brackets(R, eta, rounding=rounding)
    identity = {**_identity(R, eta, sample), "rounding": rounding}
    return conduct("Hyperband", _passes(plan, sample, settings), evaluate, identity, **settings)


def successive_halving(
    R: int,
    eta: int,
    sample: Sample,
    evaluate: Evaluate,
    *,
    s: int | None = None,
    **settings: Unpack[Settings],
) -> Result:
    """One bracket of Hyperband (Jamieson and Talwalkar, AISTATS 2016).

    Args:
        R: resource of a configuration that is trained to the end.
        eta: one configuration in eta is kept at each rung.
        sample: draws a configuration.
        evaluate: the objective; a higher score is better.
        s: which bracket, 0 to s_max: how often it halves; not given: the most aggressive. Bracket 0 is random search.
        settings: as in :class:`Settings`; without ``budget`` one pass is made.

    Raises:
        UsageError: there is no such bracket.
    """
    plan = brackets(R, eta)
    s = len(plan) - 1 if s is None else s
    if not 0 <= s < len(plan):
        raise UsageError(f"s={s} is no bracket of R={R}, eta={eta}: they are 0 to {len(plan) - 1}")
    rungs = _passes([plan[-1 - s]], sample, settings)
    return conduct(f"Bracket s={s}", rungs, evaluate, _identity(R, eta, sample), **settings)


def random_search(
    R: int, eta: int, sample: Sample, evaluate: Evaluate, **settings: Unpack[Settings]
) -> Result:
    """Random configurations, each trained to the end; as many as fit the budget.

    Args:
        R: resource of each configuration.
        eta: only says what the budget is where none is given: that of one pass of Hyperband.
        sample: draws a configuration.
        evaluate: the objective; a higher score is better.
        settings: as in :class:`Settings`.
    """
    budget = with_budget(R, eta, settings)

    def rungs() -> Rungs:
        yield [Job(trial, 0, sample(), R) for trial in range(budget // R)]

    return conduct("Random search", rungs(), evaluate, _identity(R, eta, sample), **settings)


def tpe(R: int, eta: int, sample: Sampler, evaluate: Evaluate, **settings: Unpack[Settings]) -> Result:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), each configuration trained to the end.

    Optuna's defaults; one configuration after the other. With a journal, Optuna's own journal storage lies beside it
    under the same name with ``.optuna`` added.

    Args:
        R: resource of each configuration.
        eta: only says what the budget is where none is given: that of one pass of Hyperband.
        sample: of a :class:`Space`, whose space and seed are used.
        evaluate: the objective; a higher score is better.
        settings: as in :class:`Settings`.
    """
    from mlcl_utils.search import with_optuna  # takes half a second

    with_budget(R, eta, settings)
    rungs = with_optuna.tpe(R, sample, journal=settings.get("journal"))
    return conduct("TPE (Optuna)", rungs, evaluate, _identity(R, eta, sample), **settings)


def asha(R: int, eta: int, sample: Sampler, evaluate: Evaluate, **settings: Unpack[Settings]) -> Result:
    """Optuna's asynchronous successive halving on random configurations (Li et al., MLSys 2020), one after the other.

    Optuna's pruner decides at each rung, from what it has seen so far, whether a configuration goes on or is stopped;
    it never comes back to one that was stopped. Rungs are those of Hyperband's most aggressive bracket. With a journal,
    Optuna's own journal storage lies beside it under the same name with ``.optuna`` added.

    Args:
        R: resource of a configuration that is trained to the end.
        eta: about one configuration in eta goes on at each rung.
        sample: of a :class:`Space`, whose space and seed are used.
        evaluate: the objective; a higher score is better.
        settings: as in :class:`Settings`; without ``budget``, that of one pass of Hyperband.
    """
    from mlcl_utils.search import with_optuna

    with_budget(R, eta, settings)
    resources = [resource for _, resource in brackets(R, eta)[0]]
    rungs = with_optuna.asha(resources, eta, sample, journal=settings.get("journal"))
    return conduct("ASHA (Optuna)", rungs, evaluate, _identity(R, eta, sample), **settings)


METHODS: dict[str, Method] = {
    "hyperband": hyperband,
    "successive_halving": successive_halving,
    "random_search": random_search,
    "tpe": tpe,
    "asha": asha,
}
"""All of them, by name."""


def _identity(R: int, eta: int, sample: Sample) -> dict[str, Any]:
    """What a journal has to agree with: another space or seed is another search."""
    drawn = {"seed": sample.seed, "space": sample.space.as_dict()} if isinstance(sample, Sampler) else {}
    return {"R": R, "eta": eta, **drawn}


def with_budget(R: int, eta: int, settings: Settings) -> int:
    """The budget of the settings; where there is none, that of one pass of Hyperband is set."""
    budget = settings.get("budget")
    if budget is None:
        budget = settings["budget"] = cost(brackets(R, eta))
    return budget


def _passes(plan: Sequence[Bracket], sample: Sample, settings: Settings) -> Rungs:
    """Passes over some brackets: one, or as many as a budget pays for."""
    trials = itertools.count()
    numbers = itertools.count()
    for _ in range(1) if settings.get("budget") is None else itertools.count():
        for bracket in plan:
            yield from _halving(bracket, next(numbers), sample, trials)


def _halving(bracket: Bracket, number: int, sample: Sample, trials: Iterator[int]) -> Rungs:
    """One bracket: of each rung the best go on to the next, equal ones in the order in which they were drawn."""
    (count, resource), *later = bracket
    evaluations = yield [Job(next(trials), number, sample(), resource) for _ in range(count)]
    for count, resource in later:
        good = sorted((each for each in evaluations if each.error is None), key=lambda each: -each.score)
        if good:
            evaluations = yield [each.promoted(resource) for each in good[:count]]
