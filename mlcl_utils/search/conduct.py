"""Carrying a search out: evaluations over a map, their journal, what they cost, and what came of them.

A method of search is a generator: it yields a rung, the evaluations that may go side by side, and is sent what came of
them. It knows nothing of processes, files or failures; :func:`conduct` does.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.paths import shown
from mlcl_utils.search.journal import Journal, plain

if TYPE_CHECKING:
    import pandas as pd

Config = Mapping[str, Any]
"""A configuration: values by name."""

Evaluate = Callable[[Any, int, Any], tuple[float, Any]]
"""``evaluate(config, resource, checkpoint) -> (score, checkpoint)``: trains a configuration from a checkpoint, or from
the start if that is None, until it has had ``resource`` in all. A higher score is better. The checkpoint is what it can
be continued from; None if it cannot, and then the next evaluation begins at the start and is charged for it."""


class EvaluationError(RuntimeError):
    """Raised by ``evaluate`` when a configuration fails; any other exception does too, but counts its whole resource.

    Args:
        message: why.
        trained: resource that was used before it failed.
    """

    def __init__(self, message: str, *, trained: int) -> None:
        super().__init__(message, trained)
        self.trained = trained

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(EvaluationError, trained=self.trained), (self.args[0],)


@dataclass(frozen=True)
class Job:
    """An evaluation to be made.

    Attributes:
        trial: number of the configuration, in the order in which they were drawn.
        bracket: number of the bracket, from 0; later passes of a search count on.
        config: the configuration.
        resource: what it is to have had in all when it is scored.
        reached: what it has had already.
        checkpoint: what it continues from; None for the start.
    """

    trial: int
    bracket: int
    config: Config
    resource: int
    reached: int = 0
    checkpoint: Any = None

    @property
    def cost(self) -> int:
        """Resource that it takes."""
        return self.resource - self.reached


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that was made, or that failed.

    Attributes:
        trial: number of the configuration.
        bracket: number of the bracket.
        config: the configuration.
        resource: what it has had in all.
        trained: what this evaluation added to that.
        score: the higher the better; minus infinity if it failed, which is the worst.
        checkpoint: what it can be continued from.
        time_seconds: wall time of the evaluation.
        error: why it failed; None if it did not.
    """

    trial: int
    bracket: int
    config: Config
    resource: int
    trained: int
    score: float
    checkpoint: Any
    time_seconds: float
    error: str | None = None

    def promoted(self, resource: int) -> Job:
        """The evaluation that continues this one."""
        reached = 0 if self.checkpoint is None else self.resource
        return Job(self.trial, self.bracket, self.config, resource, reached, self.checkpoint)


Rungs = Generator[Sequence[Job], list[Evaluation], None]
"""A method of search: yields rungs, is sent their evaluations in the order of the jobs."""

Map = Callable[[Callable[[Job], Evaluation], Iterable[Job]], Iterable[Evaluation]]
"""What spreads a rung: the built-in ``map``, or one over threads or processes; its results may come in any order."""


class Settings(TypedDict, total=False):
    """What every method of search takes besides its own arguments, all by keyword.

    Attributes:
        budget: resource that is not exceeded. Hyperband and successive halving begin again, with new configurations,
            until the next evaluation would not fit. Not given: one pass; for the other methods what one pass of
            Hyperband costs.
        journal: file that every evaluation is written to; a search that was interrupted continues from it. Checkpoints
            must then be JSON values, such as names of files.
        map: spreads the evaluations of a rung; they are made one after the other if it is not given.
        watch: called with every evaluation as it ends, with those that the journal held too.
    """

    budget: int | None
    journal: Path | None
    map: Map
    watch: Callable[[Evaluation], object]


@dataclass(frozen=True)
class Result:
    """What a search did.

    Attributes:
        method: its name, as figures and tables show it.
        evaluations: in the order in which the method asked for them, however they were spread.
    """

    method: str
    evaluations: tuple[Evaluation, ...]

    @property
    def best(self) -> Evaluation:
        """The evaluation with the highest score of all, the first of equals.

        Raises:
            RuntimeError: there is none, or all failed.
        """
        good = [each for each in self.evaluations if each.error is None]
        if good:
            return max(good, key=lambda each: each.score)
        if not self.evaluations:
            raise RuntimeError("the search made no evaluation: its budget does not pay for one")
        raise RuntimeError(
            f"all {len(self.evaluations)} evaluations failed, the first with: {self.evaluations[0].error}"
        )

    @property
    def failures(self) -> list[Evaluation]:
        """The evaluations that failed."""
        return [each for each in self.evaluations if each.error is not None]

    @property
    def trained(self) -> int:
        """Resource really used, failures included."""
        return sum(each.trained for each in self.evaluations)

    def table(self) -> pd.DataFrame:
        """One row per evaluation.

        Columns: ``trial``, ``bracket``, ``resource``, ``trained`` (added by this evaluation), ``total`` (used so far),
        ``score``, ``incumbent`` (the highest score so far; NaN before the first), ``time_seconds``, ``error`` (empty if
        it did not fail), and ``config_*``, the configuration.
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "trial": [each.trial for each in self.evaluations],
                "bracket": [each.bracket for each in self.evaluations],
                "resource": [each.resource for each in self.evaluations],
                "trained": [each.trained for each in self.evaluations],
                "score": [each.score for each in self.evaluations],
                "time_seconds": [each.time_seconds for each in self.evaluations],
                "error": [each.error or "" for each in self.evaluations],
            }
        )
        table.insert(4, "total", table["trained"].cumsum())
        table.insert(6, "incumbent", table["score"].cummax().replace(-math.inf, math.nan))
        configs = pd.DataFrame([dict(each.config) for each in self.evaluations])
        # a whole number that is not there in every configuration stays a whole number
        return table.join(configs.convert_dtypes().add_prefix("config_"))


def conduct(
    method: str,
    rungs: Rungs,
    evaluate: Evaluate,
    identity: Mapping[str, Any],
    *,
    budget: int | None = None,
    journal: Path | None = None,
    map: Map = map,
    watch: Callable[[Evaluation], object] = lambda _: None,
) -> Result:
    """Carries a method of search out.

    An evaluation that raises, or whose score is not finite, has failed: it is recorded with its error and counts as the
    worst. Evaluations that the journal holds are not made again; the method, which must be deterministic, is sent what
    they gave.

    Args:
        method: its name, as figures and tables show it.
        rungs: the method.
        evaluate: the objective.
        identity: what the journal has to agree with: the method's settings, as JSON values.
        budget: as in :class:`Settings`, and the others too.
        journal: file of the evaluations.
        map: spreads the evaluations of a rung.
        watch: called with every evaluation as it ends.

    Raises:
        UsageError: the journal is of another search.
    """
    made: list[Evaluation] = []
    used = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(rungs))
        book = None
        if journal is not None:
            book = stack.enter_context(Journal(journal, {"method": method, **identity, "budget": budget}))
        known = {(each.trial, each.resource): each for each in _stored(book)}
        rung = next(rungs, ())
        # an evaluation takes 1 or more unless it fails: a search in which all fail at once ends too
        while rung and (budget is None or len(made) < budget):
            fitting = _fitting(rung, None if budget is None else budget - used)
            outcomes = {}
            for job in fitting:
                if (job.trial, job.resource) in known:
                    outcomes[job.trial] = _checked(known[job.trial, job.resource], job, journal)
                    watch(outcomes[job.trial])
            missing = [job for job in fitting if job.trial not in outcomes]
            for outcome in map(functools.partial(_attempt, evaluate), missing):
                if book is not None:
                    outcome = _written(outcome, book)
                outcomes[outcome.trial] = outcome
                watch(outcome)
            made += [outcomes[job.trial] for job in fitting]
            used += sum(each.trained for each in outcomes.values())
            if len(fitting) < len(rung):
                break
            try:
                rung = rungs.send([outcomes[job.trial] for job in rung])
            except StopIteration:
                break
    return Result(method, tuple(made))


def _fitting(rung: Sequence[Job], budget: int | None) -> Sequence[Job]:
    """The first jobs of a rung that a budget pays for."""
    if budget is None:
        return rung
    return rung[: int(np.searchsorted(np.cumsum([job.cost for job in rung]), budget, side="right"))]


def _attempt(evaluate: Evaluate, job: Job) -> Evaluation:
    """One evaluation, in whatever process this is."""
    start = time.perf_counter()
    score, checkpoint, trained, error = -math.inf, None, job.cost, None
    try:
        score, checkpoint = evaluate(job.config, job.resource, job.checkpoint)
        score = float(score)
        if not math.isfinite(score):
            error = f"its score was {score}"
    except EvaluationError as failure:
        error, trained = str(failure), failure.trained
    except Exception as failure:  # whatever it is, the search goes on and says so
        error = f"{type(failure).__name__}: {failure}"
    if error is not None:
        score, checkpoint = -math.inf, None
    return Evaluation(
        trial=job.trial,
        bracket=job.bracket,
        config=job.config,
        resource=job.resource,
        trained=trained,
        score=score,
        checkpoint=checkpoint,
        time_seconds=time.perf_counter() - start,
        error=error,
    )


def _written(evaluation: Evaluation, book: Journal) -> Evaluation:
    """Writes an evaluation and returns it as it will be read.

    Raises:
        UsageError: its configuration or checkpoint is no JSON value.
    """
    record = dict(vars(evaluation))
    if evaluation.error is not None:
        record["score"] = None  # JSON has no infinity
    for name in ("config", "checkpoint"):
        try:
            record[name] = plain(record[name])
        except ValueError as error:
            raise UsageError(
                f"a journal cannot hold this {name} ({error}); let it be JSON values, such as the name of a file"
            ) from None
    book.append(record)
    return _read(record)


def _read(record: Mapping[str, Any]) -> Evaluation:
    return Evaluation(**{**record, "score": -math.inf if record["score"] is None else record["score"]})


def _stored(book: Journal | None) -> list[Evaluation]:
    """The evaluations that a journal holds.

    Raises:
        DataError: a line of it is none.
    """
    found = []
    for number, record in enumerate(book.records if book else (), start=2):
        try:
            found.append(_read(record))
        except (TypeError, KeyError):
            assert book is not None
            raise DataError(
                f"journal '{shown(book.path)}', line {number}: not an evaluation; "
                "name another file or remove this one"
            ) from None
    return found


def _checked(stored: Evaluation, job: Job, journal: Path | None) -> Evaluation:
    """What the journal holds of a job.

    Raises:
        UsageError: it holds another configuration, so that it is of another search.
    """
    config = plain(dict(job.config))
    if stored.config != config:
        raise UsageError(
            f"journal '{journal}' is of another search: its configuration {job.trial} is {stored.config},"
            f" not {config}; name another file or remove this one"
        )
    return stored
