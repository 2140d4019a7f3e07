"""The runs of a study: trained where they do not exist yet, put into a table, grouped into arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mlcl_utils import markup, runs
from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.studies import tuning
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.parameters import StudyParameters
from mlcl_utils.studies.scores import Arms


def device(parameters: StudyParameters) -> str:
    """The device that ``auto`` stands for on this machine, or the one that was asked for."""
    import torch

    if parameters.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return parameters.device


@dataclass(frozen=True)
class Trained:
    """The runs of a study.

    Attributes:
        grid: what its results stand on: tuned where the preset tunes, else the defaults.
        trials: the trials of the tuning; none where the preset does not tune.
        repeated: more runs of the arms that a claim compares; none where they are as many as of the others.
        choices: what the tuning chose.
        how: the way they were tuned.
    """

    grid: Grid
    trials: Grid = field(default_factory=lambda: Grid([], [], 0))
    repeated: Grid = field(default_factory=lambda: Grid([], [], 0))
    choices: Mapping[tuning.Task, tuning.Choice] = field(default_factory=dict)
    how: tuning.Tuning = tuning.ALIKE

    @property
    def parts(self) -> dict[str, Grid]:
        """The grids that are not the same, by what they are for."""
        own = {"trial": self.trials, "tuned": self.grid} if self.choices else {"default": self.grid}
        # those of the grid are among them, and are called by it
        return {"repeated": self.repeated, **own} if self.repeated.runs or self.repeated.failures else own

    @property
    def compute(self) -> dict[str, float]:
        """``runs`` that there are, those that ``failed`` and that ``existed`` before, and ``seconds`` of all of them.

        A run that serves twice counts once; trials are among them.
        """
        parts = self.parts.values()
        finished = {run.config.id for part in parts for run in part.runs}
        made = sum(len(part.runs) - part.existed for part in parts)
        return {
            "runs": len(finished),
            "failed": len({config.id for part in parts for config, _, _ in part.failures}),
            "existed": len(finished) - made,
            "seconds": round(self.time_seconds, 1),
        }

    @property
    def time_seconds(self) -> float:
        """Compute of all runs together, trials and failures included; a run that serves twice counts once."""
        runs_ = {
            run.config.id: run.timings["time_total"] + run.timings.get("time_failed", 0.0)
            for part in self.parts.values()
            for run in part.runs
        }
        failed = {config.id: seconds for part in self.parts.values() for config, _, seconds in part.failures}
        return sum(runs_.values()) + sum(failed.values())


def train(
    study: Study, parameters: StudyParameters, folder: Path, how: tuning.Tuning = tuning.ALIKE
) -> Trained:
    """Train the runs of a study that do not exist yet.

    With more than one trial, every loss is tuned first (:mod:`mlcl_utils.studies.tuning`).

    Args:
        study: the study.
        parameters: its parameters.
        folder: of its results.
        how: what is tuned on its own, and over which space.

    Raises:
        RuntimeError: no training of the study succeeded.
    """
    configs = study.runs(parameters)
    if parameters.trials == 1:
        return Trained(train_grid(parameters, configs, folder))
    tried = tuning.trials(configs, parameters.trials, how)
    trials = train_grid(parameters, tried, folder)
    choices = tuning.choose(trials, tried, how)
    grid = train_grid(parameters, tuning.tuned(configs, choices, how), folder)
    return Trained(grid, trials, choices=choices, how=how)


def repeat(
    study: Study,
    parameters: StudyParameters,
    trained: Trained,
    claimed: Callable[[RunConfig], bool],
    folder: Path | None = None,
) -> Trained:
    """Train the arms that a claim compares on more splits, and with more seeds, if the parameters ask for it.

    Which arms these are is known by the runs that all arms have; what was chosen among several rests on these alone.

    Args:
        study: the study.
        parameters: its parameters.
        trained: the runs that all arms have.
        claimed: whether a run is of such an arm.
        folder: of its results.
    """
    more = parameters.repeated
    if more is None:
        return trained
    configs = tuning.tuned(study.runs(more), trained.choices, trained.how)
    own = [config for config in configs if claimed(config)]
    return replace(trained, repeated=train_grid(parameters, own, folder)) if own else trained


def train_grid(parameters: StudyParameters, configs: Sequence[RunConfig], folder: Path | None = None) -> Grid:
    """Train those runs of a grid that do not exist yet, as the parameters of a study say; prints what failed.

    What was asked for is written down before, so that an archive can be made of a study that is not finished.

    Raises:
        RuntimeError: no training of the grid succeeded.
    """
    if folder is not None:
        path = asked_file(parameters.results, folder)
        known = set(asked(parameters.results, folder))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{id}\n" for id in dict.fromkeys(each.id for each in configs) if id not in known)
    grid = runs.carry_out(
        configs,
        results=parameters.results,
        device=device(parameters),
        workers=parameters.workers,
        devices=parameters.devices,
        engine=parameters.engine,
    )
    for config, error, _ in grid.failures:
        print(
            markup.terminal(
                f"failed: {config.loss} on {config.dataset} ({config.encoder}), k={config.num_labels},"
                f" replicate {config.replicate}: {error}"
            )
        )
    if all(run.config.is_baseline for run in grid.runs):
        raise RuntimeError("no training of this study succeeded; the errors are above")
    return grid


def asked_file(results: Path, folder: Path) -> Path:
    """Where the runs are listed that a results folder has asked for."""
    return results / "runs" / "asked" / f"{folder.parent.name}-{folder.name}.txt"


def asked(results: Path, folder: Path) -> list[str]:
    """Identities of the runs that a results folder has asked for, finished or not."""
    path = asked_file(results, folder)
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def frame(study: str, trained: Trained) -> pd.DataFrame:
    """The runs of a study, one row per run; metrics are fractions, times seconds, sizes bytes.

    ``column`` says what a run is for: ``default``, ``trial``, ``tuned`` or ``repeated``; one that serves twice has the
    name that is not ``repeated``, and the last of the others.
    """
    rows: dict[str, dict[str, Any]] = {}
    for column, part in trained.parts.items():
        for run in part.runs:
            rows[run.config.id] = {"study": study, "column": column, **run.row()}
    return pd.DataFrame(list(rows.values()))


def arms(grid: Grid, arm: Callable[[RunConfig], Arm] = Arm.of) -> Arms:
    """The runs of every arm, in the order of their replicates.

    Args:
        grid: the runs.
        arm: the arm that a run is of.
    """
    found: dict[Arm, list[Run]] = {}
    for run in sorted(grid.runs, key=lambda run: run.config.replicate):
        found.setdefault(arm(run.config), []).append(run)
    return found


def lost(grid: Grid, arm: Callable[[RunConfig], Arm] = Arm.of) -> dict[Arm, list[RunConfig]]:
    """The runs that failed, by arm; arguments as those of :func:`arms`."""
    found: dict[Arm, list[RunConfig]] = {}
    for config, _, _ in grid.failures:
        found.setdefault(arm(config), []).append(config)
    return found
