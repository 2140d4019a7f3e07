"""Optuna's sampler and pruner as methods of search (:mod:`mlcl_utils.search.conduct`).

What has been evaluated is in the search's own journal. When a search goes on, the study of Optuna's is made anew from
it, so that Optuna's storage, which others may look at, is whole however its process ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from mlcl_utils.search.conduct import Job, Rungs
from mlcl_utils.search.space import Choice, Dimension, Integer, LogUniform, Sampler, Scalar, Space


def tpe(R: int, sample: Sampler, *, journal: Path | None) -> Rungs:
    """Configurations that the tree-structured Parzen estimator proposes, each trained to R; without end."""
    with _quiet():
        study = _study(sample, NopPruner(), journal)
        for number in itertools.count():
            trial = study.ask()
            proposed = _suggested(trial, sample.space)
            config = sample.settle(proposed)
            if config != proposed:
                study.tell(trial, state=TrialState.FAIL)  # which the sampler does not learn from
                trial = _given(study, sample.space, config)
            (evaluation,) = yield [Job(number, 0, config, R)]
            if evaluation.error is None:
                study.tell(trial, evaluation.score)
            else:
                study.tell(trial, state=TrialState.FAIL)


def asha(resources: Sequence[int], eta: int, sample: Sampler, *, journal: Path | None) -> Rungs:
    """Random configurations, each trained from rung to rung until Optuna's pruner stops it; without end."""
    with _quiet():
        study = _study(sample, SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta), journal)
        for number in itertools.count():
            config = sample()
            trial = _given(study, sample.space, config)
            job = Job(number, 0, config, resources[0])
            for rung in range(len(resources)):
                (evaluation,) = yield [job]
                if evaluation.error is not None:
                    study.tell(trial, state=TrialState.FAIL)
                    break
                # the pruner's rungs are powers of eta, ours are rounded: it is told the rung, not the resource
                trial.report(evaluation.score, step=eta**rung)
                if rung + 1 == len(resources):
                    study.tell(trial, evaluation.score)
                elif trial.should_prune():
                    study.tell(trial, state=TrialState.PRUNED)
                    break
                else:
                    job = evaluation.promoted(resources[rung + 1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line for each trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _study(sample: Sampler, pruner: BasePruner, journal: Path | None) -> optuna.Study:
    """An empty study: in memory, or in a journal storage beside the search's journal."""
    storage: InMemoryStorage | JournalStorage = InMemoryStorage()
    if journal is not None:
        path = journal.with_name(f"{journal.name}.optuna")
        for left in journal.parent.glob(f"{path.name}*"):  # with the lock of a process that was killed
            left.unlink()
        storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(
        storage=storage,
        sampler=TPESampler(seed=sample.seed),
        pruner=pruner,
        study_name=journal.stem if journal else "search",
        direction="maximize",
    )


def _given(study: optuna.Study, space: Space, config: Mapping[str, Scalar]) -> Trial:
    """A trial of a configuration that is known."""
    study.enqueue_trial(dict(config))
    trial = study.ask()
    _suggested(trial, space)
    return trial


def _suggested(trial: Trial, space: Space) -> dict[str, Scalar]:
    """The configuration that a trial suggests."""

    def value(name: str, dimension: Dimension) -> Scalar:
        match dimension:
            case Choice():
                return cast(Scalar, trial.suggest_categorical(name, dimension.values))
            case Integer():
                return trial.suggest_int(name, dimension.low, dimension.high)
            case _:
                log = isinstance(dimension, LogUniform)
                return trial.suggest_float(name, dimension.low, dimension.high, log=log)

    return space.choose(value)
