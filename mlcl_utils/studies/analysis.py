"""What every study does with its runs: carry them out, put them in a table, compare arms, say what was done."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import runs, stats
from mlcl_utils.runs import Grid, Run
from mlcl_utils.stats import Interval, Replicates, Standing
from mlcl_utils.studies.base import Execution
from mlcl_utils.training import BASELINES

ARM = ("dataset", "num_labels", "train_fraction", "loss")
"""What tells one arm from another in the same study; its runs differ in the replicate alone."""

HEADS = ("direct", "probe")
"""What a representation is read with: the loss's own head, or the linear probe."""

Arms = dict[tuple[Any, ...], list[Run]]


def device(study: Execution) -> str:
    """The device that ``auto`` stands for on this machine, or the one that was asked for."""
    import torch

    if study.parameters.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return study.parameters.device


def carry_out(study: Execution) -> Grid:
    """Carries out the runs of a study that do not exist yet, and writes ``runs.csv``.

    Raises:
        RuntimeError: no run of the study succeeded.
    """
    grid = runs.carry_out(
        study.study.grid(study.parameters),
        results=study.parameters.results,
        device=device(study),
        workers=study.parameters.workers,
    )
    for config, error in grid.failures:
        print(
            f"failed: {config.loss} on {config.dataset}, k={config.num_labels}, replicate {config.replicate}: {error}"
        )
    if not grid.runs:
        raise RuntimeError("no run of this study succeeded; the errors stand above")
    frame(study, grid).to_csv(study.folder / "runs.csv", index=False)
    return grid


def frame(study: Execution, grid: Grid) -> pd.DataFrame:
    """The runs of a study, one row a run; metrics are fractions, times seconds, sizes bytes."""
    return pd.DataFrame([{"study": study.study.name, **run.row()} for run in grid.runs])


def finish(study: Execution, grid: Grid) -> None:
    """Writes the manifest, which vouches for the files of this execution."""
    study.finish(
        device=grid.runs[0].environment["device"],
        seeds=sorted({run.config.seed for run in grid.runs}),
        compute={
            "runs": len(grid.runs),
            "failed": len(grid.failures),
            "existed": grid.existed,
            "seconds": round(grid.time_seconds, 1),
        },
    )


def arms(grid: Grid) -> Arms:
    """The runs of every arm, in the order of their replicates."""
    found: Arms = {}
    for run in sorted(grid.runs, key=lambda run: run.config.replicate):
        found.setdefault(tuple(getattr(run.config, name) for name in ARM), []).append(run)
    return found


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


def intervals(found: Arms, metrics: Iterable[str]) -> pd.DataFrame:
    """Mean and 95% interval of metrics of every arm, by head: the wider of two components, both given.

    Columns: those of the arm, ``head``, ``metric``, ``estimate``, ``lower``, ``upper``, the bounds ``replicate_*`` and
    ``bootstrap_*``, and ``replicates``, their number.
    """
    rows = []
    for (arm, members), head, metric in itertools.product(found.items(), HEADS, metrics):
        measured = quantity(members, f"{head}_{metric}")
        if measured is not None:
            named = {**dict(zip(ARM, arm, strict=True)), "head": head, "metric": metric}
            rows.append({**named, **as_row(stats.interval(measured))})
    return pd.DataFrame(rows)


def points(found: Arms, metrics: Iterable[str]) -> pd.DataFrame:
    """The replicates behind :func:`intervals`: ``estimate`` is the value in one of them."""
    return pd.DataFrame(
        [
            {
                **dict(zip(ARM, arm, strict=True)),
                "head": head,
                "metric": metric,
                "replicate": run.config.replicate,
                "estimate": run.metrics[f"{head}_{metric}"],
            }
            for (arm, members), head, metric in itertools.product(found.items(), HEADS, metrics)
            for run in members
            if f"{head}_{metric}" in run.metrics
        ]
    )


def standings(
    found: Arms, head: str, metric: str, *, higher_is_better: bool
) -> dict[tuple[Any, ...], Standing]:
    """The standing of each arm among those of the same task and head: ``best``, ``not worse`` or ``worse``."""
    by_task: dict[tuple[Any, ...], dict[str, Replicates]] = {}
    for (*task, loss), members in found.items():
        measured = quantity(members, f"{head}_{metric}")
        if measured is not None:
            by_task.setdefault(tuple(task), {})[loss] = measured
    return {
        (*task, loss): standing
        for task, measured in by_task.items()
        for loss, standing in stats.standings(measured, higher_is_better=higher_is_better).items()
    }


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


def mean(members: Sequence[Run], metric: str) -> float:
    """Mean of a metric over the replicates of an arm; NaN where none has it."""
    values = [run.metrics[metric] for run in members if metric in run.metrics]
    return float(np.mean(values)) if values else math.nan


def remark(found: Arms, arm: tuple[Any, ...], metric: str = "probe_map") -> str:
    """What stands against an arm: ``degenerate`` (below the untrained encoder), ``below baseline`` (below logistic
    regression on the input), or nothing.

    Args:
        found: all arms.
        arm: the one in question.
        metric: the mAP that is compared, ``probe_map`` or ``direct_map``; the baselines' is always the probe's.
    """
    *task, loss = arm
    value = mean(found[arm], metric)
    if loss in BASELINES or math.isnan(value):
        return ""
    for baseline, word in (("random_encoder", "degenerate"), ("logistic_regression", "below baseline")):
        if value < mean(found.get((*task, baseline), []), "probe_map"):
            return word
    return ""


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
