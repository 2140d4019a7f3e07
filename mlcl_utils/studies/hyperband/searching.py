"""The searches of the Hyperband study: pools of learning curves, replays on them, and real searches beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlcl_utils import runs, search
from mlcl_utils.runs import Run
from mlcl_utils.runs.engines import Engine
from mlcl_utils.runs.progress import Progress
from mlcl_utils.search import Evaluation, Method, Result
from mlcl_utils.search.replay import Incumbents, Pool, replay
from mlcl_utils.search.trainings import Trainings
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.hyperband import (
    HyperbandParameters,
    Task,
    base,
    configurations,
    pool_runs,
    seed_of,
    space_of,
    tasks,
)
from mlcl_utils.studies.runs import Carried

METHODS: dict[str, Method] = {
    "hyperband": search.hyperband,
    "most_aggressive": search.successive_halving,
    "least_aggressive": functools.partial(search.successive_halving, s=0),
    "random_search": search.random_search,
    "random_search_2x": search.random_search,
    "tpe": search.tpe,
    "asha": search.asha,
}
"""What is compared, by the names of :func:`mlcl_utils.figures.style.look`."""

SCORES = ("validation", "test")


@dataclass(frozen=True)
class RealSearch:
    """A search by Hyperband that trained.

    Attributes:
        result: the search.
        runs: of its evaluations; None where one failed.
    """

    result: Result
    runs: list[Run | None]

    def incumbents(self) -> pd.DataFrame:
        """Where the incumbent changed, and the end: ``epochs``, ``validation``, ``test``; no row if there is none."""
        made = self.result.table()
        test = [run.metrics["direct_map"] if run else np.nan for run in self.runs]
        ahead = made["score"] > made["score"].cummax().shift(fill_value=-np.inf)
        found = pd.DataFrame({"epochs": made["total"], "validation": made["score"], "test": test})[ahead]
        return pd.concat([found, found.iloc[-1:].assign(epochs=made["total"].iloc[-1])], ignore_index=True)


@dataclass(frozen=True)
class Summary:
    """All that the study's results stand on.

    Attributes:
        carried: the runs of the pools.
        pools: learning curves of each task.
        replays: incumbents of each method, by task.
        searches: the real searches, by task.
    """

    carried: Carried
    pools: dict[Task, Pool]
    replays: dict[Task, dict[str, Incumbents]]
    searches: dict[Task, list[RealSearch]]


def parameters_of(study: Execution) -> HyperbandParameters:
    """The parameters of an execution of this study."""
    assert isinstance(study.parameters, HyperbandParameters)
    return study.parameters


def pools(study: Execution, carried: Carried) -> dict[Task, Pool]:
    """The learning curves of every task, from the histories of its runs; a run that failed has none.

    A task of which every run failed has no pool.
    """
    parameters = parameters_of(study)
    histories = {run.config.id: run.history for run in carried.grid.runs}
    made = {}
    for task in tasks(parameters):
        curves = np.full((2, parameters.pool, parameters.epochs), np.nan)
        for row, config in enumerate(pool_runs(parameters, task)):
            if config.id in histories:
                history = histories[config.id]
                curves[:, row] = [[epoch[f"{score}_map"] for epoch in history] for score in SCORES]
        if np.isfinite(curves).any():
            made[task] = Pool(space_of(task), configurations(parameters, task), *curves)
    return made


def replays(study: Execution, found: dict[Task, Pool]) -> dict[Task, dict[str, Incumbents]]:
    """Searches of every method on every pool, each method with draws of its own."""
    parameters = parameters_of(study)
    made: dict[Task, dict[str, Incumbents]] = {}
    with Progress(total=len(found) * len(METHODS), what="replays") as bar:
        for task, pool in found.items():
            made[task] = {}
            for name, method in METHODS.items():
                made[task][name] = replay(
                    pool,
                    method,
                    parameters.eta,
                    budget=parameters.budget * (2 if name.endswith("_2x") else 1),
                    replays=parameters.replays,
                    seed=seed_of(parameters, task, name),
                )
                bar.counts.done += 1
                bar.show()
    return made


def searches(study: Execution) -> dict[Task, list[RealSearch]]:
    """Real searches by Hyperband, with configurations of their own; what exists is not trained again."""
    parameters = parameters_of(study)
    if not parameters.searches:
        return {}
    total = len(tasks(parameters)) * parameters.searches * parameters.budget
    engine = runs.open_engine(
        parameters.engine,
        device=study_runs.device(study),
        workers=parameters.workers,
        devices=parameters.devices,
    )
    with closing(engine), Progress(total=total, what="epochs") as bar:

        def watch(evaluation: Evaluation) -> None:
            bar.counts.done += evaluation.trained
            bar.show()

        return {
            task: [_search(study, task, number, engine, watch) for number in range(parameters.searches)]
            for task in tasks(parameters)
        }


def _search(
    study: Execution, task: Task, number: int, engine: Engine, watch: Callable[[Evaluation], None]
) -> RealSearch:
    parameters = parameters_of(study)
    objective = Trainings(
        base(parameters, task), parameters.epochs, results=parameters.results, engine=engine, progress=False
    )
    result = search.hyperband(
        parameters.epochs,
        parameters.eta,
        space_of(task).sampler(seed_of(parameters, task, f"search {number}")),
        objective.evaluate,
        budget=parameters.budget,
        map=objective.map,
        watch=watch,
    )
    objective.finish(result)
    return RealSearch(result, [None if each.error else objective.run(each) for each in result.evaluations])
