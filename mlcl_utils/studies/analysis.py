"""What every study does with its runs: carry them out, put them in a table, compare arms, say what was done."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlcl_utils import markup, runs, stats
from mlcl_utils.files import write_csv
from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.stats import Interval, Replicates, Standing
from mlcl_utils.studies import tuning
from mlcl_utils.studies.base import Execution
from mlcl_utils.training import BASELINES


class Arm(NamedTuple):
    """What tells one arm from another in the same study; its runs differ in the replicate alone.

    ``setting`` is what a study varies besides, such as a hyperparameter; empty for the baselines, which have none.
    """

    dataset: str
    encoder: str
    num_labels: int
    train_fraction: float
    label_draw: int | None
    held_out: str | None
    loss: str
    setting: str = ""
    kept_share: float = 1.0
    one_positive: bool = False
    clean_validation: bool = False
    matched_to: str | None = None

    @property
    def task(self) -> Arm:
        """What it shares with the arms that it is compared with."""
        return self._replace(loss="")

    @property
    def is_main(self) -> bool:
        """Whether it was trained on all data and the most frequent labels, and tested on what is like them."""
        whole = self.train_fraction == 1 and not self.loses_positives
        return whole and self.label_draw is None and self.held_out is None

    @property
    def loses_positives(self) -> bool:
        """Whether it was trained without some of the positives."""
        return self.kept_share < 1 or self.one_positive

    @property
    def positives(self) -> str:
        """Which positives it was trained with, in words."""
        words = "one positive" if self.one_positive else f"{self.kept_share:.0%} kept"
        return f"{words}, clean validation" if self.clean_validation else words

    def describe(self) -> str:
        """What it is learnt on, in words."""
        words = [self.dataset, f"{self.num_labels} labels"]
        if self.encoder != "frozen":
            words.append(self.encoder)
        if self.train_fraction < 1:
            words.append(f"{self.train_fraction:.0%} of the data")
        if self.label_draw is not None:
            words.append(f"draw {self.label_draw}")
        if self.held_out is not None:
            words.append(f"{self.held_out} held out")
        if self.loses_positives:
            words.append(self.positives)
        if self.matched_to is not None:
            words.append(f"matched to {self.matched_to}")
        if self.setting:
            words.append(self.setting)
        return ", ".join(words)


ARM = Arm._fields


def arm_of(row: pd.Series[Any]) -> Arm:
    """The arm of a row of :func:`intervals`, which a frame may have given NaN in place of None."""
    values: dict[str, Any] = {name: None if pd.isna(row[name]) else row[name] for name in ARM}
    return Arm(**values)


def is_main(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of :func:`intervals` are of arms that are in the main sweep, as :attr:`Arm.is_main` says."""
    whole = (rows["train_fraction"] == 1) & (rows["kept_share"] == 1) & ~rows["one_positive"]
    return whole & rows["label_draw"].isna() & rows["held_out"].isna()


HEADS = ("direct", "probe")
"""What a representation is read with: the loss's own head, or the linear probe."""


def column(head: str, metric: str) -> str:
    """The name of a metric of a head; of the representation itself where the head is empty."""
    return f"{head}_{metric}" if head else metric


Arms = dict[Arm, list[Run]]


def device(study: Execution) -> str:
    """The device that ``auto`` stands for on this machine, or the one that was asked for."""
    import torch

    if study.parameters.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return study.parameters.device


@dataclass(frozen=True)
class Carried:
    """The runs of a study.

    Attributes:
        grid: what its results stand on: tuned where the preset tunes, else the defaults.
        default: the same with default configurations; where the preset tunes, of the tasks that were tuned alone.
        trials: the trials of the tuning; none where the preset does not tune.
        choices: what the tuning chose.
    """

    grid: Grid
    default: Grid
    trials: Grid
    choices: dict[tuning.Task, tuning.Choice]

    @property
    def parts(self) -> list[Grid]:
        """The grids that are not the same, for totals."""
        return [self.default, self.trials, self.grid] if self.choices else [self.default]

    @property
    def compute(self) -> dict[str, float]:
        """``runs`` that there are, those that ``failed`` and that ``existed`` before, and ``seconds`` of all of them.

        A run that serves twice counts once; trials are among them.
        """
        finished = {run.config.id for part in self.parts for run in part.runs}
        made = sum(len(part.runs) - part.existed for part in self.parts)
        return {
            "runs": len(finished),
            "failed": len({config.id for part in self.parts for config, _, _ in part.failures}),
            "existed": len(finished) - made,
            "seconds": round(self.time_seconds, 1),
        }

    @property
    def time_seconds(self) -> float:
        """Compute of all runs together, trials and failures included; a run that serves twice counts once."""
        runs_ = {
            run.config.id: run.timings["time_total"] + run.timings.get("time_failed", 0.0)
            for part in self.parts
            for run in part.runs
        }
        failed = {config.id: seconds for part in self.parts for config, _, seconds in part.failures}
        return sum(runs_.values()) + sum(failed.values())


def carry_out(study: Execution) -> Carried:
    """Carries out the runs of a study that do not exist yet, and writes ``runs.csv``.

    With more than one trial, every loss is tuned first (:mod:`mlcl_utils.studies.tuning`); the default configuration is
    then carried out beside the chosen one where all data are learnt from, and not at every other point of a sweep.

    Raises:
        RuntimeError: no training of the study succeeded.
    """
    configs = study.study.runs(study.parameters)
    tunes = study.parameters.trials > 1
    default = carry_out_grid(study, [each for each in configs if not tunes or tuning.is_whole(each)])
    trials, choices, grid = Grid([], [], 0), {}, default
    if tunes:
        asked = tuning.trials(configs, study.parameters.trials)
        trials = carry_out_grid(study, asked)
        choices = tuning.choose(trials, asked)
        grid = carry_out_grid(study, tuning.tuned(configs, choices))
    carried = Carried(grid, default, trials, choices)
    write_csv(study.folder / "runs.csv", frame(study, carried))
    return carried


def carry_out_grid(study: Execution, configs: Sequence[RunConfig]) -> Grid:
    """Carries out those runs of a grid that do not exist yet, as the parameters of a study say; prints what failed.

    Raises:
        RuntimeError: no training of the grid succeeded.
    """
    grid = runs.carry_out(
        configs,
        results=study.parameters.results,
        device=device(study),
        workers=study.parameters.workers,
        devices=study.parameters.devices,
        engine=study.parameters.engine,
    )
    for config, error, _ in grid.failures:
        print(
            markup.terminal(
                f"failed: {config.loss} on {config.dataset} ({config.encoder}), k={config.num_labels},"
                f" replicate {config.replicate}: {error}"
            )
        )
    if all(run.config.is_baseline for run in grid.runs):
        raise RuntimeError("no training of this study succeeded; the errors stand above")
    return grid


def frame(study: Execution, carried: Carried) -> pd.DataFrame:
    """The runs of a study, one row a run; metrics are fractions, times seconds, sizes bytes.

    ``column`` says what a run is for: ``default``, ``trial`` or ``tuned``; one that serves twice has the last name.
    """
    rows: dict[str, dict[str, Any]] = {}
    for column, part in zip(("default", "trial", "tuned"), carried.parts, strict=False):
        for run in part.runs:
            rows[run.config.id] = {"study": study.study.name, "column": column, **run.row()}
    return pd.DataFrame(list(rows.values()))


def finish(study: Execution, carried: Carried) -> None:
    """Writes the manifest, which vouches for the files of this execution."""
    grid = carried.grid
    study.finish(
        device=grid.runs[0].environment["device"],
        seeds=sorted({run.config.seed for run in grid.runs}),
        compute=carried.compute,
    )


def arms(grid: Grid, setting: Callable[[RunConfig], str] = lambda config: "") -> Arms:
    """The runs of every arm, in the order of their replicates.

    Args:
        grid: the runs.
        setting: what a study varies besides the fields of :class:`Arm`, in words; baselines have none.
    """
    found: Arms = {}
    for run in sorted(grid.runs, key=lambda run: run.config.replicate):
        found.setdefault(_arm(run.config, setting), []).append(run)
    return found


def lost(grid: Grid, setting: Callable[[RunConfig], str] = lambda config: "") -> dict[Arm, list[RunConfig]]:
    """The runs that failed, by arm; arguments as those of :func:`arms`."""
    found: dict[Arm, list[RunConfig]] = {}
    for config, _, _ in grid.failures:
        found.setdefault(_arm(config, setting), []).append(config)
    return found


def _arm(config: RunConfig, setting: Callable[[RunConfig], str]) -> Arm:
    fields = {name: getattr(config, name) for name in ARM if name != "setting"}
    return Arm(**fields, setting="" if config.is_baseline else setting(config))


def quantity(members: Sequence[Run], metric: str) -> Replicates | None:
    """A metric of an arm in every replicate, with its resamples over test groups where it has them.

    Args:
        members: the runs of one arm.
        metric: a name with its head, such as ``probe_map``; None is returned if a run lacks it.
    """
    if not members or any(metric not in run.metrics for run in members):
        return None
    drawn = [run.resamples().get(metric) for run in members]
    complete = [one for one in drawn if one is not None]
    return Replicates(
        index=tuple(run.config.replicate for run in members),
        values=np.array([run.metrics[metric] for run in members]),
        resamples=np.stack(complete) if len(complete) == len(drawn) else None,
    )


def intervals(found: Arms, metrics: Iterable[str], heads: Iterable[str] = HEADS) -> pd.DataFrame:
    """Mean and 95% interval of metrics of every arm, by head: the wider of two components, both given.

    The head of metrics of the representation itself is an empty word. Columns: those of the arm, ``head``, ``metric``,
    ``estimate``, ``lower``, ``upper``, the bounds ``replicate_*`` and ``bootstrap_*``, and ``replicates``, the number
    of these.
    """
    rows = []
    for (arm, members), head, metric in itertools.product(found.items(), heads, metrics):
        measured = quantity(members, column(head, metric))
        if measured is not None:
            named = {**arm._asdict(), "head": head, "metric": metric}
            rows.append({**named, **as_row(stats.interval(measured))})
    return pd.DataFrame(rows)


def points(found: Arms, metrics: Iterable[str], heads: Iterable[str] = HEADS) -> pd.DataFrame:
    """The replicates behind :func:`intervals`: ``estimate`` is the value in one of them."""
    return pd.DataFrame(
        [
            {
                **arm._asdict(),
                "head": head,
                "metric": metric,
                "replicate": run.config.replicate,
                "estimate": run.metrics[column(head, metric)],
            }
            for (arm, members), head, metric in itertools.product(found.items(), heads, metrics)
            for run in members
            if column(head, metric) in run.metrics
        ]
    )


def standings(found: Arms, head: str, metric: str, *, higher_is_better: bool) -> dict[Arm, Standing]:
    """The standing of each arm among those of the same task and head: ``best``, ``not worse`` or ``worse``.

    Arms are compared in the replicates that all have. An arm that is run once where others are repeated, such as a
    control, is compared with none and stands as ``worse``; so do all where no replicate is shared.
    """
    by_task: dict[Arm, dict[str, Replicates]] = {}
    for arm, members in found.items():
        measured = quantity(members, f"{head}_{metric}")
        if measured is not None:
            by_task.setdefault(arm.task, {})[arm.loss] = measured
    result: dict[Arm, Standing] = {}
    for task, measured_by_loss in by_task.items():
        repeated = {loss: each for loss, each in measured_by_loss.items() if len(each.index) > 1}
        compared = repeated or measured_by_loss
        shared = set.intersection(*(set(each.index) for each in compared.values()))
        paired = {loss: each.only(shared) for loss, each in compared.items()} if shared else {}
        ranked = stats.standings(paired, higher_is_better=higher_is_better) if paired else {}
        result.update({task._replace(loss=loss): ranked.get(loss, "worse") for loss in measured_by_loss})
    return result


def as_row(interval: Interval) -> dict[str, float]:
    """An interval as columns of a table."""
    return {
        "estimate": interval.estimate,
        "lower": interval.lower,
        "upper": interval.upper,
        "replicate_lower": interval.replicate[0],
        "replicate_upper": interval.replicate[1],
        "bootstrap_lower": interval.bootstrap[0],
        "bootstrap_upper": interval.bootstrap[1],
        "replicates": interval.n,
    }


def best_head(members: Sequence[Run]) -> str:
    """The head of an arm with the best mean validation mAP."""
    return max(HEADS, key=lambda head: np.nan_to_num(mean(members, f"{head}_validation_map"), nan=-math.inf))


def mean(members: Sequence[Run], metric: str) -> float:
    """Mean of a metric over the replicates of an arm; NaN where none has it."""
    values = [run.metrics[metric] for run in members if metric in run.metrics]
    return float(np.mean(values)) if values else math.nan


def remark(found: Arms, arm: Arm, metric: str = "probe_map") -> str:
    """What stands against an arm: ``degenerate`` (below the untrained encoder), ``below baseline`` (below logistic
    regression on the input), or nothing. The two are compared in the replicates that both have.

    Args:
        found: all arms.
        arm: the one in question.
        metric: the mAP that is compared, ``probe_map`` or ``direct_map``; the baselines' is always the probe's.
    """
    if arm.loss in BASELINES:
        return ""
    for baseline, word in (("random_encoder", "degenerate"), ("logistic_regression", "below baseline")):
        beside = {run.config.replicate: run for run in found.get(arm._replace(loss=baseline, setting=""), [])}
        own = [run for run in found[arm] if run.config.replicate in beside]
        if mean(own, metric) < mean([beside[run.config.replicate] for run in own], "probe_map"):
            return word
    return ""
