"""Running a grid: what exists is not repeated, the rest goes to an engine."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlcl_utils import models, processes
from mlcl_utils.locks import Lock
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.engines import Engine, InProcess, Workers
from mlcl_utils.runs.order import Failure, Order
from mlcl_utils.runs.progress import Progress
from mlcl_utils.runs.store import Run, Store

_IN_PROCESS = 4  # starting a worker costs as much as a few small runs
_LOOK_SECONDS = 0.2  # how often to look whether a run that another process is at has ended

# What an epoch costs with an encoder, in epochs of the frozen one, roughly.
_WEIGHT = {"bag": 1.3, "static": 1.3, "cnn": 2.0, "last_stage": 3.6}

# A part of the data has a least number of steps, and costs no less than this part of an epoch, roughly.
_LEAST_PART = 0.35

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class Grid:
    """What became of a grid.

    Attributes:
        runs: the finished runs, in the order asked for.
        failures: for each configuration that failed, its error and the seconds of all attempts.
        existed: how many were found and not repeated.
    """

    runs: list[Run]
    failures: list[tuple[RunConfig, str, float]]
    existed: int


def default_workers(device: str = "cpu") -> int:
    """One worker a core, or a GPU, that this process may use."""
    return processes.cores() if device == "cpu" else max(1, len(processes.gpus()))


def pending(grid: Iterable[RunConfig], results: Path) -> list[RunConfig]:
    """The configurations of a grid that have no finished run, each once, in the order given."""
    store = Store(results)
    return [config for config in {config.id: config for config in grid}.values() if not store.has(config)]


def carry_out(
    grid: Iterable[RunConfig],
    *,
    results: Path,
    device: str = "cpu",
    workers: int | None = None,
    devices: int = 1,
    engine: EngineName | Engine = "local",
    progress: bool = True,
) -> Grid:
    """Makes the runs of a grid that do not exist yet and returns all of it.

    A run that fails is recorded and the others go on; it is tried again the next time it is asked for. A run that
    another process has locked is skipped; others are taken meanwhile.

    Args:
        grid: configurations; repeated ones are run once.
        results: the results folder; runs are kept in ``runs/`` below it.
        device: ``cpu`` or ``cuda``.
        workers: runs side by side; None for one a core or a GPU, of this machine or of the cluster. Small grids are
            run in this process.
        devices: how many GPUs, or processes on the CPU, train one run together.
        engine: ``local``, or ``ray`` for a Ray cluster (:class:`mlcl_utils.runs.cluster.Cluster`); or one that
            :func:`open_engine` opened, which then goes on to the next grid.
        progress: whether to show how far it is.

    Raises:
        StorageError: a run cannot be stored.
    """
    store = Store(results)
    configs = list({config.id: config for config in grid}.values())
    missing = [config for config in configs if not store.has(config)]
    # longest first, so that no worker is left with a long run at the end
    missing.sort(key=_cost, reverse=True)
    existed, work = len(configs) - len(missing), sum(map(_cost, missing))
    with Progress(total=len(configs), existed=existed, shown=progress, work=work) as bar:
        if missing:
            store.tidy()
            with contextlib.ExitStack() as stack:
                if isinstance(engine, str):
                    engine = open_engine(
                        engine, device=device, workers=workers, devices=devices, runs=len(missing)
                    )
                    stack.callback(engine.close)
                _carry_out(missing, store, engine, bar)
    finished = [config for config in configs if store.has(config)]
    failed = [(config, store.failure(config)) for config in configs if not store.has(config)]
    return Grid(
        runs=[store.read(config) for config in finished],
        failures=[(config, *failure) for config, failure in failed if failure],
        existed=bar.counts.existed,
    )


def _cost(config: RunConfig) -> float:
    """How long a run will take, roughly, in no unit."""
    if config.recipe is None or not config.recipe.epochs:
        return config.num_labels / 100
    part = max(config.train_fraction, _LEAST_PART)
    return config.recipe.epochs * part * _WEIGHT.get(models.kind(config.encoder), 1.0)


def open_engine(
    name: EngineName = "local",
    *,
    device: str = "cpu",
    workers: int | None = None,
    devices: int = 1,
    runs: int | None = None,
) -> Engine:
    """An engine; whoever opens it closes it.

    Args:
        name: ``local`` or ``ray``.
        device: ``cpu`` or ``cuda``.
        workers: runs side by side; None for one a core or a GPU.
        devices: how many train one run together.
        runs: how many there will be, if that is known: a few run in this process.
    """
    if name == "ray":
        from mlcl_utils.runs.cluster import Cluster  # an optional package

        return Cluster(workers, device, devices)
    count = workers or max(1, default_workers(device) // devices)
    if runs is not None:
        count = 1 if runs <= _IN_PROCESS and device == "cpu" else min(count, runs)
    return InProcess(device, devices) if count == 1 else Workers(count, device, devices)


def _carry_out(missing: list[RunConfig], store: Store, engine: Engine, bar: Progress) -> None:
    """Gives runs to an engine and stores what comes back; this process holds the lock of each in the meantime."""
    todo = deque(missing)
    held: dict[str, Lock] = {}
    counts = bar.counts
    try:
        while todo or held:
            for _ in range(len(todo)):
                if not engine.room():
                    break
                config = todo.popleft()
                held[config.id] = store.lock(config)
                if not held[config.id].acquire():
                    del held[config.id]
                    todo.append(config)  # another process is at it
                    continue
                if not store.has(config):
                    engine.begin(Order(config, store.checkpoint(config), store.kept(config)))
                    continue
                counts.existed += 1
                bar.worked(_cost(config), here=False)
                held.pop(config.id).release()
                bar.show()
            for config, outcome in engine.ended(_LOOK_SECONDS):
                if isinstance(outcome, Failure):
                    store.write_failure(config, error=outcome.error, seconds=outcome.seconds)
                    counts.failed += 1
                    if outcome.lost:
                        counts.lost += 1
                        counts.cause = outcome.error
                    counts.compute += outcome.seconds
                else:
                    store.write(config, outcome)
                    counts.done += 1
                    counts.compute += outcome.timings["time_total"]
                bar.worked(_cost(config))
                held.pop(config.id).release()
                bar.show()
    finally:
        for lock in held.values():
            lock.release()
