"""Engines, which make runs: this process, or worker processes side by side."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from mlcl_utils import models, processes
from mlcl_utils.models.catalogue import WORD_TABLES
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.order import Failure, Order
from mlcl_utils.runs.store import Result

Ended = tuple[RunConfig, Result | Failure]
"""A run that has come to an end, with what came of it."""


class Engine(Protocol):
    """Makes runs that it is given, several at a time. It stores nothing: that is for whoever uses it."""

    def room(self) -> bool:
        """Whether another run can begin."""

    def begin(self, order: Order) -> None:
        """Begin a run; there has to be room."""

    def ended(self, seconds: float) -> list[Ended]:
        """Runs that have ended: wait for one, but no longer than so many seconds."""

    def close(self) -> None:
        """End whatever still runs."""


def attempt(order: Order, device: str, devices: int = 1) -> Result | Failure:
    """A run in whatever process this is; an error of it is a failure.

    Args:
        order: the run.
        device: ``cpu`` or ``cuda``.
        devices: how many train it together, if it trains an encoder.
    """
    start = time.perf_counter()
    try:
        if devices > 1 and _trained_together(order.config):
            from mlcl_utils.runs.together import execute_together

            return execute_together(order, device=device, devices=devices)
        from mlcl_utils.runs.execute import execute  # imports torch: not before there is something to train

        return execute(order.config, device=device, checkpoint=order.checkpoint, keep=order.keep)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", time.perf_counter() - start)


def _trained_together(config: RunConfig) -> bool:
    """Whether a run is one that several devices may train.

    Not a baseline without training; not a trial, which stops and goes on; not word embeddings, whose sparse gradients
    GPUs do not add up.
    """
    trains = config.recipe is not None and config.recipe.epochs > 0
    return trains and config.stop is None and models.kind(config.encoder) not in WORD_TABLES


class InProcess:
    """One run after the other in this process.

    Args:
        device: ``cpu`` or ``cuda``.
        devices: how many train one run together.
    """

    def __init__(self, device: str, devices: int = 1) -> None:
        self._device, self._devices = device, devices
        self._next: Order | None = None

    def room(self) -> bool:
        """Whether none waits."""
        return self._next is None

    def begin(self, order: Order) -> None:
        """Take a run; it runs at the next call of :meth:`ended`."""
        self._next = order

    def ended(self, seconds: float) -> list[Ended]:
        """The run that was taken, made now; without one this waits."""
        if self._next is None:
            time.sleep(seconds)
            return []
        order, self._next = self._next, None
        return [(order.config, attempt(order, self._device, self._devices))]

    def close(self) -> None:
        """Nothing runs between calls."""


@dataclass
class _Worker:
    place: int
    process: SpawnProcess
    connection: Connection
    config: RunConfig | None = None
    begun: float = 0.0


class Workers:
    """Runs side by side, each in a worker process; workers end with this process, however it ends.

    A worker that dies loses the run it was at, and no other: another one takes its place.

    Args:
        count: how many.
        device: ``cpu`` or ``cuda``; several GPUs are divided among the workers.
        devices: how many train one run together.
    """

    def __init__(self, count: int, device: str, devices: int = 1) -> None:
        self._count = count
        self._device, self._devices = device, devices
        self._gpus = processes.gpus() if device == "cuda" else []
        self._workers: list[_Worker] = []

    def room(self) -> bool:
        """Whether a worker is idle or yet to be started."""
        return len(self._busy()) < self._count

    def begin(self, order: Order) -> None:
        """Give a run to an idle worker, or to a new one."""
        worker = self._idle() or self._start()
        worker.config, worker.begun = order.config, time.perf_counter()
        with contextlib.suppress(BrokenPipeError):  # it has just died: found out when its end is waited for
            worker.connection.send(order)

    def ended(self, seconds: float) -> list[Ended]:
        """Runs that have ended, those included whose worker has died."""
        busy = {worker.connection: worker for worker in self._busy()}
        if not busy:
            time.sleep(seconds)
            return []
        return [
            self._end_of(busy[ready]) for ready in wait(list(busy), seconds) if isinstance(ready, Connection)
        ]

    def _end_of(self, worker: _Worker) -> Ended:
        config, worker.config = worker.config, None
        assert config is not None
        try:
            return config, worker.connection.recv()
        except (EOFError, OSError):
            self._remove(worker)
            how = processes.death(worker.process.exitcode)
            return config, Failure(
                f"the worker process died ({how})", time.perf_counter() - worker.begun, lost=True
            )

    def close(self) -> None:
        """End all workers."""
        for worker in list(self._workers):
            worker.process.kill()
            self._remove(worker)

    def _idle(self) -> _Worker | None:
        for worker in [worker for worker in self._workers if worker.config is None]:
            if worker.process.is_alive():
                return worker
            self._remove(worker)
        return None

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.config is not None]

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        place = min(set(range(self._count)) - {worker.place for worker in self._workers})
        here, there = context.Pipe()
        visible = processes.share(self._gpus, place, self._count)
        args = (there, self._device, self._devices, visible, os.getpid())
        process = context.Process(target=_serve, args=args)
        process.start()
        there.close()
        worker = _Worker(place, process, here)
        self._workers.append(worker)
        return worker

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()


def _serve(connection: Connection, device: str, devices: int, visible: str | None, parent: int) -> None:
    """What a worker does: makes the runs that it is sent."""
    processes.end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what an interrupt means is for the parent to say
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        connection.send(attempt(order, device, devices))
