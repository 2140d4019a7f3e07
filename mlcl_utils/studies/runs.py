"""The runs of a study: trained where they do not exist yet, put into a table, grouped into arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlcl_utils import markup, runs
from mlcl_utils.files import write_csv
from mlcl_utils.runs import Grid, RunConfig
from mlcl_utils.studies import tuning
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.scores import Arms


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


def arms(grid: Grid, arm: Callable[[RunConfig], Arm] = Arm.of) -> Arms:
    """The runs of every arm, in the order of their replicates.

    Args:
        grid: the runs.
        arm: the arm that a run with a loss is of; a baseline has no settings of its own.
    """
    found: Arms = {}
    for run in sorted(grid.runs, key=lambda run: run.config.replicate):
        found.setdefault(_arm(run.config, arm), []).append(run)
    return found


def lost(grid: Grid, arm: Callable[[RunConfig], Arm] = Arm.of) -> dict[Arm, list[RunConfig]]:
    """The runs that failed, by arm; arguments as those of :func:`arms`."""
    found: dict[Arm, list[RunConfig]] = {}
    for config, _, _ in grid.failures:
        found.setdefault(_arm(config, arm), []).append(config)
    return found


def _arm(config: RunConfig, arm: Callable[[RunConfig], Arm]) -> Arm:
    return Arm.of(config) if config.is_baseline else arm(config)
