"""Runs as tasks of a Ray cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
import time
from typing import Any

from mlcl_utils import processes
from mlcl_utils.errors import UsageError
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.engines import Ended, attempt
from mlcl_utils.runs.order import Failure, Order
from mlcl_utils.runs.store import Result

RETRIES = 3
"""How often a run is begun again whose worker or machine is lost."""

CONNECT_SECONDS = 10.0


class Cluster:
    """Runs as Ray tasks, each with one core, or one GPU.

    The environment variable ``RAY_ADDRESS`` says where the cluster is; without it, Ray is started on this machine and
    ended with this object. Every machine needs this package, in the same version, and its data; results come back to
    this process, so that no folder has to be shared.

    Args:
        workers: runs at a time; None for as many as the cluster has room for.
        device: ``cpu`` or ``cuda``.
        devices: how many train one run together; they are then of one machine.

    Raises:
        UsageError: no cluster answers at the address.
    """

    def __init__(self, workers: int | None, device: str, devices: int = 1) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would repeat for ever what does not fit into memory.
        os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))
        self._ray: Any = importlib.import_module("ray")
        self._workers = workers
        self._resource = "GPU" if device == "cuda" else "CPU"
        self._device, self._devices = device, devices
        self._running: dict[Any, tuple[RunConfig, float]] = {}
        self._connected_here = not self._ray.is_initialized()
        if self._connected_here:
            _connect(self._ray, workers and workers * devices)
        gpus = devices if device == "cuda" else 0
        needs = {"num_cpus": devices, "num_gpus": gpus, "max_retries": RETRIES}
        most = max((node["Resources"].get(self._resource, 0) for node in self._ray.nodes()), default=0)
        if devices > max(1, most):
            self.close()
            raise UsageError(f"devices {devices}: no machine of the cluster has more than {most:g}")
        self._task = self._ray.remote(**needs)(_task)

    def room(self) -> bool:
        """Whether the cluster has room; one task more than that is queued, so that no place is idle in between."""
        places = (
            self._workers or int(self._ray.cluster_resources().get(self._resource, 0)) // self._devices + 1
        )
        return len(self._running) < places

    def begin(self, order: Order) -> None:
        """Submit a run."""
        reference = self._task.remote(order, order.config.id, self._device, self._devices)
        self._running[reference] = order.config, time.perf_counter()

    def ended(self, seconds: float) -> list[Ended]:
        """A run that has ended, or was lost too often."""
        if not self._running:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._running), timeout=seconds)
        return [self._end_of(reference) for reference in ready]

    def _end_of(self, reference: Any) -> Ended:
        config, begun = self._running.pop(reference)
        try:
            return config, self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            why = str(error).strip().split("\n", maxsplit=1)[0]
            return config, Failure(f"lost by Ray: {why}", time.perf_counter() - begun, lost=True)

    def close(self) -> None:
        """Cancel what still runs, and leave the cluster."""
        for reference in self._running:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(reference, force=True)
        if self._connected_here:
            self._ray.shutdown()


def _connect(ray: Any, workers: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        ray.init(address="local", num_cpus=workers or processes.cores(), include_dashboard=False, **quiet)
        return
    try:
        host, colon, port = address.rpartition("://")[2].rpartition(":")
        if colon:  # Ray itself would go on trying for minutes
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster answers at RAY_ADDRESS '{address}'; start one there with ray start, or unset it"
        ) from error


def _task(order: Order, id: str, device: str, devices: int) -> Result | Failure:
    """A run on a machine of the cluster; a training is kept where the machine has the folder of results."""
    if order.config.id != id:
        return Failure("the machine has another version of the package or of the data", 0.0, lost=True)
    return attempt(order, device, devices)
