"""A kernel of the running interpreter: started with patience, and gone when it should be."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from mlcl_utils import processes
from mlcl_utils.paths import CHECKOUT

ATTEMPTS = 3
READY_SECONDS = 60.0

_FOLDER = "mlcl-kernel-"

_LAUNCH = """
import os
from mlcl_utils.processes import end_with_parent
end_with_parent(int(os.environ["JPY_PARENT_PID"]))
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


class KernelStartError(RuntimeError):
    """The kernel did not start, in several attempts; the message has the last line it printed."""


class _RunningInterpreter(KernelSpecManager):  # type: ignore[misc, unused-ignore]
    """Knows one kernel, that of the running interpreter, whatever is installed for the user."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The specification; the name does not matter."""
        argv = [sys.executable, "-Xfrozen_modules=off", "-c", _LAUNCH, "-f", "{connection_file}"]
        argv.append("--HistoryManager.enabled=False")
        return KernelSpec(argv=argv, display_name="Python", language="python")


@dataclass(frozen=True)
class Kernel:
    """A kernel that is ready, with its manager and a client."""

    manager: AsyncKernelManager
    client: AsyncKernelClient
    log: Path

    async def death(self) -> str:
        """How the process ended, in words; it must have ended."""
        status = await self.manager.provisioner.poll() if self.manager.provisioner else None
        return processes.death(status)


def shares(parallel: int) -> list[dict[str, str]]:
    """What kernels side by side get of the machine: environment variables for each.

    Args:
        parallel: how many kernels.
    """
    if parallel < 2:
        return [{}] * parallel
    cores = str(max(1, processes.cores() // parallel))
    common = {processes.CORES: cores, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", cores)}
    gpus = processes.gpus()
    devices = [processes.share(gpus, place, parallel) for place in range(parallel)]
    return [common | ({} if some is None else {"CUDA_VISIBLE_DEVICES": some}) for some in devices]


@asynccontextmanager
async def started(environment: Mapping[str, str]) -> AsyncIterator[Kernel]:
    """A kernel in the checkout, over sockets of the file system (no port can be taken); it ends with the context.

    It runs in a process group of its own, so that a key press at the terminal reaches only this process, which
    decides what to do. Should this process be killed outright, the kernel is killed too.

    Args:
        environment: variables that it gets besides those of this process.

    Raises:
        KernelStartError: no kernel came up in `ATTEMPTS` attempts.
    """
    _remove_leftovers()
    for attempt in range(1, ATTEMPTS + 1):
        folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=_socket_parent()))
        try:
            kernel = await _start(folder, environment)
        except RuntimeError as error:
            last = _last_line(folder / "log") or str(error)
            shutil.rmtree(folder, ignore_errors=True)
            if attempt == ATTEMPTS:
                raise KernelStartError(f"the kernel did not start in {ATTEMPTS} attempts: {last}") from error
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        break
    try:
        yield kernel
    except BaseException:
        await _end(kernel.manager, kernel.client, now=True)
        raise
    else:
        await _end(kernel.manager, kernel.client, now=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _start(folder: Path, environment: Mapping[str, str]) -> Kernel:
    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=_RunningInterpreter(),
        transport="ipc",
        connection_file=str(folder / "kernel.json"),
    )
    # A user's start-up files would make results depend on the machine; a fixed plotting backend would hide figures.
    variables = {**os.environ, **environment, "IPYTHONDIR": str(folder / "ipython")}
    variables.pop("MPLBACKEND", None)
    client = None
    try:
        with (folder / "log").open("wb") as log:
            await manager.start_kernel(cwd=str(CHECKOUT), env=variables, stdout=log, stderr=log)
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=READY_SECONDS)
    except BaseException:
        await _end(manager, client, now=True)
        raise
    client.allow_stdin = False
    return Kernel(manager, client, folder / "log")


async def _end(manager: AsyncKernelManager, client: AsyncKernelClient | None, *, now: bool) -> None:
    """End the kernel and whatever is left in its process group."""
    group = getattr(manager.provisioner, "pgid", None)
    if client is not None:
        client.stop_channels()
    if manager.has_kernel:
        await manager.shutdown_kernel(now=now)
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _socket_parent() -> str | None:
    """Where sockets go: their paths may have some 100 characters, and a folder for temporary files may be deep."""
    return None if len(tempfile.gettempdir()) < 50 else "/tmp"


def _remove_leftovers() -> None:
    """Remove what processes that were killed outright have left behind."""
    for folder in Path(_socket_parent() or tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # another user's, or not ours at all


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
