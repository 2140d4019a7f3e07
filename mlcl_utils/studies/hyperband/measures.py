"""What the Hyperband study measures: pools of learning curves, searches replayed on them, and real searches."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import runs, search, stats
from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.runs import Grid
from mlcl_utils.runs.engines import Engine
from mlcl_utils.runs.progress import Progress
from mlcl_utils.search import Evaluation, Method, Result
from mlcl_utils.search.replay import Incumbents, Pool, rank_correlations, replay, speed_up
from mlcl_utils.search.trainings import Trainings
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.execution import Execution, Measures, once
from mlcl_utils.studies.figures import part
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
from mlcl_utils.studies.runs import Trained

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

RIVALS = tuple(name for name in METHODS if name != "hyperband")

CLAIMS = {
    "hyperband_random_tenfold": "random_search",
    "hyperband_bayesian_tenfold": "tpe",
    "hyperband_random_faster": "random_search",
    "hyperband_bayesian_faster": "tpe",
}
"""The rival of each claim, which is judged on test: configurations are chosen on validation."""

SCORES = ("validation", "test")

VERDICTS = ("ten times sooner", "sooner", "not significantly different", "later")
"""What the interval of a ratio of epochs says of Hyperband."""

ORDER_OF_MAGNITUDE = 10


@dataclass(frozen=True)
class RealSearch:
    """A search by Hyperband that trained.

    Attributes:
        result: the search.
        grid: the runs of its evaluations, in their order.
    """

    result: Result
    grid: Grid

    def incumbents(self) -> pd.DataFrame:
        """Where the incumbent changed, and the end: ``epochs``, ``validation``, ``test``; no row if there is none."""
        made, finished = self.result.table(), iter(self.grid.runs)
        test = [
            np.nan if each.error is not None else next(finished).metrics["direct_map"]
            for each in self.result.evaluations
        ]
        ahead = made["score"] > made["score"].cummax().shift(fill_value=-np.inf)
        found = pd.DataFrame({"epochs": made["total"], "validation": made["score"], "test": test})[ahead]
        return pd.concat([found, found.iloc[-1:].assign(epochs=made["total"].iloc[-1])], ignore_index=True)


@dataclass(frozen=True)
class Searched(Trained):
    """The runs of the pools, and the real searches of every task, whose runs are ``search 0`` and so on."""

    searches: Mapping[Task, Sequence[RealSearch]] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Grid]:
        """The pools and the searches of every number."""
        found = super().parts
        for number, same in enumerate(zip(*self.searches.values(), strict=True)):
            grids = [each.grid for each in same]
            found[f"search {number}"] = Grid(
                [run for grid in grids for run in grid.runs],
                [failure for grid in grids for failure in grid.failures],
                sum(grid.existed for grid in grids),
            )
        return found


def train(study: Study, parameters: HyperbandParameters, folder: Path) -> Searched:
    """Train the pools, then search with trainings; what exists is not trained again."""
    pool = study_runs.train(study, parameters, folder)
    return Searched(pool.grid, searches=_searches(parameters))


def _searches(parameters: HyperbandParameters) -> dict[Task, list[RealSearch]]:
    """Real searches by Hyperband, with configurations of their own."""
    if not parameters.searches:
        return {}
    total = len(tasks(parameters)) * parameters.searches * parameters.budget
    engine = runs.open_engine(
        parameters.engine,
        device=study_runs.device(parameters),
        workers=parameters.workers,
        devices=parameters.devices,
    )
    with closing(engine), Progress(total=total, what="epochs") as bar:

        def watch(evaluation: Evaluation) -> None:
            bar.counts.done += evaluation.trained
            bar.show()

        return {
            task: [_search(parameters, task, number, engine, watch) for number in range(parameters.searches)]
            for task in tasks(parameters)
        }


def _search(
    parameters: HyperbandParameters,
    task: Task,
    number: int,
    engine: Engine,
    watch: Callable[[Evaluation], None],
) -> RealSearch:
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
    finished = [objective.run(each) for each in result.evaluations if each.error is None]
    failures = [
        (objective.config(each.config, each.resource), each.error, each.time_seconds)
        for each in result.evaluations
        if each.error is not None
    ]
    return RealSearch(result, Grid(finished, failures, objective.existed))


@once
def pools(study: Execution) -> dict[Task, Pool]:
    """The learning curves of every task, from the histories of its runs; a run that failed has none.

    A task of which every run failed has no pool.
    """
    parameters = study.parameters
    histories = {run.config.id: run.history for run in study.trained.grid.runs}
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


@once
def bests(study: Execution) -> pd.DataFrame:
    """The pool of every task and the best configuration in it, by validation mAP of the own head at the end.

    Columns: those of the task, ``configurations``, ``failed``, ``median`` and ``best`` (on validation),
    ``best_on_test``, ``values`` and ``at_edge`` (in words); nothing from ``median`` on where all runs have failed.
    """
    rows = []
    for task in tasks(study.parameters):
        row = {**task._asdict(), "configurations": study.parameters.pool, "failed": study.parameters.pool}
        row |= {"median": math.nan, "best": math.nan, "best_on_test": math.nan, "values": "", "at_edge": ""}
        if task in pools(study):
            pool = pools(study)[task]
            final = pool.validation[:, -1]
            best = int(np.nanargmax(final))
            row |= {"failed": int(np.isnan(final).sum()), "median": np.nanmedian(final), "best": final[best]}
            row["best_on_test"] = pool.test[best, -1]
            values = pool.configs[best].items()
            row["values"] = ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in values
            )
            row["at_edge"] = ", ".join(pool.space.at_edge(pool.configs[best]))
        rows.append(row)
    return pd.DataFrame(rows)


@once
def curves(study: Execution) -> pd.DataFrame:
    """The learning curves of every pool, one row per configuration and epoch.

    Columns: those of the task, ``configuration``, ``epoch``, ``validation``, ``test``, and ``rank``, the share of the
    pool that ends below.
    """
    frames = []
    for task, pool in pools(study).items():
        final = np.nan_to_num(pool.validation[:, -1], nan=-np.inf)
        count, epochs = pool.validation.shape
        columns = {
            "configuration": np.repeat(np.arange(count), epochs),
            "epoch": np.tile(np.arange(1, epochs + 1), count),
            "validation": pool.validation.ravel(),
            "test": pool.test.ravel(),
            "rank": np.repeat((final[:, None] > final).mean(axis=1), epochs),
        }
        frames.append(pd.DataFrame({**task._asdict(), **columns}))
    return pd.concat(frames, ignore_index=True)


@once
def replays(study: Execution) -> dict[Task, dict[str, Incumbents]]:
    """Searches of every method on every pool, each method with draws of its own."""
    parameters = study.parameters
    made: dict[Task, dict[str, Incumbents]] = {}
    with Progress(total=len(pools(study)) * len(METHODS), what="replays") as bar:
        for task, pool in pools(study).items():
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


@once
def incumbents(study: Execution) -> pd.DataFrame:
    """The incumbent's mean scores over the replays of each method against the epochs trained.

    Columns: those of the task, ``method``, ``score`` (validation or test), ``epochs``, ``estimate``, and its 95%
    interval ``lower`` and ``upper``; rows from the epoch on at which every replay has an incumbent.
    """
    frames = []
    for task, by_method in replays(study).items():
        for (method, found), score in itertools.product(by_method.items(), SCORES):
            values: Floats = getattr(found, score)
            epochs = _spaced(values.shape[1])
            values = values[:, epochs - 1]
            there = np.isfinite(values).all(axis=0)
            mean, deviation = values[:, there].mean(axis=0), values[:, there].std(axis=0, ddof=1)
            half = 1.96 * deviation / np.sqrt(len(values))
            where = {**task._asdict(), "method": method, "score": score, "epochs": epochs[there]}
            frames.append(
                pd.DataFrame({**where, "estimate": mean, "lower": mean - half, "upper": mean + half})
            )
    return pd.concat(frames, ignore_index=True)


def _spaced(budget: int, points: int = 200) -> Floats:
    """Whole numbers from 1 to a budget, evenly spaced on a logarithmic axis where they are many."""
    return np.unique(np.geomspace(1, budget, points).round().astype(int))


@once
def speed_ups(study: Execution) -> pd.DataFrame:
    """How much sooner Hyperband reaches the final score of each rival, one row per task, rival and score.

    None of a rival of which some replay found nothing but configurations that failed: it has no final score.

    Columns: those of the task, ``rival``, ``score``, ``target`` (the rival's final score), ``epochs`` and
    ``rival_epochs`` until it is reached, ``ratio`` of the latter to the former with its 95% interval over replays,
    ``lower`` and ``upper`` (each 0 where the target is not reached: then it is below ``bound``), ``reached`` (share of
    resamples), ``verdict`` (:data:`VERDICTS`).
    """
    rows = []
    for (task, by_method), rival, score in itertools.product(replays(study).items(), RIVALS, SCORES):
        own, other = (getattr(by_method[name], score) for name in ("hyperband", rival))
        if not np.isfinite(other[:, -1]).all():
            continue
        found = speed_up(own, other, seed=study.parameters.seed)
        row = {**task._asdict(), "rival": rival, "score": score}
        row |= {name: getattr(found, name) for name in ("target", "epochs", "rival_epochs", "ratio")}
        row |= {"lower": found.lower, "upper": found.upper, "bound": found.rival_epochs / found.budget}
        rows.append({**row, "reached": found.reached, "verdict": verdict(row)})
    return pd.DataFrame(rows, columns=_SPEED_UPS)


_SPEED_UPS = [
    *(*Task._fields, "rival", "score", "target", "epochs", "rival_epochs"),
    *("ratio", "lower", "upper", "bound", "reached", "verdict"),
]


def verdict(row: Mapping[str, Any]) -> str:
    """What the interval of a speed-up says, one of :data:`VERDICTS`."""
    if row["lower"] >= ORDER_OF_MAGNITUDE:
        return "ten times sooner"
    if row["lower"] > 1:
        return "sooner"
    # where the target is not reached at the upper end either, the ratio is below what the budget allows
    below = row["upper"] < 1 if row["upper"] else row["bound"] <= 1
    return "later" if below else "not significantly different"


def verdicts(study: Execution) -> pd.DataFrame:
    """On how many splits and tasks the ratio to each rival's final validation score has which verdict.

    Columns: ``rival``, one for each of :data:`VERDICTS`, and ``largest_upper``, the largest upper bound.
    """
    rows = part(speed_ups(study), {"score": "validation"})
    columns = {word: rows["verdict"] == word for word in VERDICTS}
    counts = pd.DataFrame(columns).groupby(rows["rival"]).sum()
    upper = rows["upper"].where(rows["upper"] > 0, rows["bound"])
    counts["largest_upper"] = upper.groupby(rows["rival"]).max()
    return counts.loc[style.order(counts.index.tolist())].reset_index()


def over_splits(rows: pd.DataFrame) -> Interval:
    """The geometric mean of speed-ups over splits, with its interval, the wider of two.

    Over splits: Student's t on the logarithms, corrected for splits that overlap. Over replays: normal, from the
    intervals of the splits. A target that was not reached is censored: it counts as reached at the end of the budget.
    That favours the method in the mean, which then is a bound; how far below it a ratio lies is not known, so that the
    interval is that of the bounds and may be too narrow on either side.
    """
    ratio, lower, upper = (
        np.log(rows[name].where(rows[name] > 0, rows["bound"])).to_numpy()
        for name in ("ratio", "lower", "upper")
    )
    over = stats.interval(Replicates(tuple(range(len(rows))), ratio))
    half = 1.96 * math.sqrt(sum(((upper - lower) / (2 * 1.96)) ** 2)) / len(rows)
    low, high = over.estimate - half, over.estimate + half
    return Interval(
        estimate=math.exp(over.estimate),
        lower=math.exp(np.fmin(over.replicate[0], low)),  # the other one if one is NaN
        upper=math.exp(np.fmax(over.replicate[1], high)),
        replicate=(math.exp(over.replicate[0]), math.exp(over.replicate[1])),
        bootstrap=(math.exp(low), math.exp(high)),
        level=over.level,
        n=len(rows),
    )


def comparisons(study: Execution) -> Iterator[Comparison]:
    """Over the splits of each task: speed-ups over every rival, and two methods that should not differ."""
    found, parameters = speed_ups(study), study.parameters
    for dataset, loss in itertools.product(parameters.datasets, parameters.losses):
        for rival, score in itertools.product(RIVALS, SCORES):
            where = {"dataset": dataset, "loss": loss, "rival": rival, "score": score}
            claims = [name for name, other in CLAIMS.items() if (other, "test") == (rival, score)]
            for name in ("speed_up", *claims):
                yield speed_up_over_splits(name, where, part(found, where), parameters.replicates)
        yield _control({"dataset": dataset, "loss": loss}, found)


def speed_up_over_splits(name: str, where: Mapping[str, str], rows: pd.DataFrame, splits: int) -> Comparison:
    """Epochs of a rival over those of Hyperband to the rival's final score.

    Args:
        name: of the comparison.
        where: data set, loss, rival and score.
        rows: of :func:`speed_ups`, one per split that has one.
        splits: their number.
    """
    count, unreached, lost = len(rows), int((rows["ratio"] == 0).sum()), splits - len(rows)
    flags = []
    if unreached:
        flags = [f"not reached on {unreached} of {count} splits, counted as reached at the end of the budget"]
    if lost:
        flags.append(f"runs have failed on {lost} more split{'s' * (lost != 1)}")
    return Comparison(
        name,
        (),
        "resource_ratio",
        head="",
        task=_words(where),
        compared=f"{style.look(where['rival']).label} / {style.look('hyperband').label}",
        measured=over_splits(rows) if count else None,
        reason="" if count else "runs have failed on every split",
        flag="; ".join(flags),
        censored=unreached > count / 2,
        columns={**where, "test": "ratio"},
    )


def _control(where: Mapping[str, str], rows: pd.DataFrame) -> Comparison:
    """The least aggressive bracket is random search by another name: what differs between their scores is noise."""
    names = ("least_aggressive", "random_search")
    one, other = (
        part(rows, {**where, "rival": name, "score": "validation"}).set_index("replicate")["target"]
        for name in names
    )
    gaps = (one - other).dropna()
    return Comparison(
        "control",
        (),
        "map",
        head="",
        task=_words(where),
        compared=" − ".join(style.look(name).label for name in names),
        measured=Replicates(tuple(gaps.index), gaps.to_numpy(dtype=float)) if len(gaps) else None,
        columns=where,
    )


def _words(where: Mapping[str, str]) -> str:
    return f"{where['dataset']}, {style.look(where['loss']).label}"


MEASURES = Measures(comparisons, train=train)


@once
def correlations(study: Execution) -> pd.DataFrame:
    """Rank correlation of validation scores after a part of the resource with the final ones, over each pool.

    Columns: those of the task, ``share``, ``resource`` (epochs), ``estimate``, ``lower``, ``upper``.
    """
    shares = early(study.parameters)
    frames = []
    for task, pool in pools(study).items():
        found = rank_correlations(pool, list(shares.values()), seed=study.parameters.seed)
        where = pd.DataFrame({**task._asdict(), "share": list(shares)})
        frames.append(pd.concat([where, found], axis=1))
    return pd.concat(frames, ignore_index=True)


def early(parameters: HyperbandParameters) -> dict[str, int]:
    """Epochs that are 1/27, 1/9 and 1/3 of the full resource, where that is at least one, by their share."""
    shares = {f"1/{divisor}": parameters.epochs / divisor for divisor in (27, 9, 3)}
    return {share: round(epochs) for share, epochs in shares.items() if epochs >= 1}


def confirmations(study: Execution) -> pd.DataFrame:
    """Each real search next to the replays, at its end; none that found nothing, or has no replay that found something.

    Columns: those of the task, ``number``, ``score``, ``found`` (the incumbent's score), ``replays`` (their mean),
    ``low`` and ``high`` (the middle 95% of them), ``inside``, ``failed`` (evaluations) and ``time_seconds``.
    """
    rows = []
    for task, number, each in real_searches(study):
        ends = each.incumbents()
        if ends.empty or task not in replays(study):
            continue
        for score in SCORES:
            final = getattr(replays(study)[task]["hyperband"], score)[:, -1]
            final, found = final[np.isfinite(final)], ends[score].iloc[-1]
            if not len(final):
                continue
            low, high = np.quantile(final, [0.025, 0.975])
            row = {
                **task._asdict(),
                "number": number,
                "score": score,
                "found": found,
                "replays": final.mean(),
            }
            row |= {"low": low, "high": high, "inside": bool(low <= found <= high)}
            row["failed"] = len(each.result.failures)
            row["time_seconds"] = sum(one.time_seconds for one in each.result.evaluations)
            rows.append(row)
    return pd.DataFrame(rows)


def real_searches(study: Execution) -> Iterator[tuple[Task, int, RealSearch]]:
    """The real searches with their tasks and numbers."""
    assert isinstance(study.trained, Searched)
    for task, made in study.trained.searches.items():
        for number, each in enumerate(made):
            yield task, number, each


def searched(study: Execution) -> pd.DataFrame:
    """The incumbents of the real searches: columns of the task, ``number``, ``epochs``, ``validation``, ``test``."""
    frames = [
        each.incumbents().assign(**task._asdict(), number=number)
        for task, number, each in real_searches(study)
    ]
    columns = [*Task._fields, "number", "epochs", "validation", "test"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
