"""Carrying out a grid of runs: what exists is not repeated, the rest goes over the workers."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.progress import Progress
from mlcl_utils.runs.store import Run, Store

_IN_PROCESS = 4  # starting a worker costs as much as a few small runs


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


def default_workers() -> int:
    """One worker a core that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)


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
    progress: bool = True,
) -> Grid:
    """Carries out the runs of a grid that do not exist yet and returns all of it.

    A run that fails is recorded and the others go on; it is tried again the next time it is asked for.

    Args:
        grid: configurations; repeated ones are run once.
        results: the results folder; runs are kept in ``runs/`` below it.
        device: ``cpu`` or ``cuda``.
        workers: processes side by side; None for one a core on the CPU and one on a GPU. Small grids are carried out
            in this process.
        progress: whether to show a progress bar.
    """
    store = Store(results)
    configs = list({config.id: config for config in grid}.values())
    missing = [config for config in configs if not store.has(config)]
    # longest first, so that no worker is left with a long run at the end
    missing.sort(
        key=lambda config: -config.num_labels * config.train_fraction * (1 if config.recipe else 0.3)
    )
    workers = min(workers or (default_workers() if device == "cpu" else 1), max(1, len(missing)))
    with Progress(
        total=len(configs), done=len(configs) - len(missing), shown=progress and bool(missing)
    ) as bar:
        if workers == 1 or len(missing) <= _IN_PROCESS:
            _in_process(missing, store, device, bar.advance)
        else:
            _in_workers(missing, store, device, workers, bar.advance)
    finished = [config for config in configs if store.has(config)]
    failed = [(config, store.failure(config)) for config in configs if not store.has(config)]
    return Grid(
        runs=[store.read(config) for config in finished],
        failures=[(config, *failure) for config, failure in failed if failure],
        existed=len(configs) - len(missing),
    )


def _attempt(config: RunConfig, results: Path, device: str) -> bool:
    """One run in whatever process this is; whether it succeeded. The error itself is in the store."""
    from mlcl_utils.runs.execute import execute  # imports torch: not before there is something to train

    try:
        execute(config, Store(results), device=device)
    except Exception:  # recorded by execute; the other runs of the grid go on
        return False
    return True


def _in_process(missing: list[RunConfig], store: Store, device: str, advance: Callable[[bool], None]) -> None:
    for config in missing:
        advance(_attempt(config, store.folder.parent, device))


def _in_workers(
    missing: list[RunConfig], store: Store, device: str, workers: int, advance: Callable[[bool], None]
) -> None:
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        futures = {pool.submit(_attempt, config, store.folder.parent, device): config for config in missing}
        for future in concurrent.futures.as_completed(futures):
            try:
                advance(future.result())
            except BrokenProcessPool:
                config = futures[future]
                store.write_failure(
                    config, error="the worker process died (killed, or out of memory)", seconds=0.0
                )
                advance(False)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()


def _end_with_parent() -> None:
    """Ends this worker when the process that started it is gone, even if that was killed outright."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
