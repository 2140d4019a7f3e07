"""Processes that this one starts: that they end with it, how they ended, and what of the machine each may use."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from mlcl_utils.errors import UsageError

CORES = "MLCL_CORES"
"""Environment variable: how many cores a process may use, where several share a machine."""

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have this process killed as soon as its parent has ended, even if that was killed outright.

    Args:
        parent: process id of the parent.
    """
    if sys.platform == "linux":
        # By the kernel, so that it happens at once, whatever this process is doing then.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before this could be asked for
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def end_with(process: int) -> None:
    """Have this process end soon after another one that is not its parent."""
    threading.Thread(target=_watch_other, args=(process,), daemon=True).start()


def _watch_other(process: int) -> None:
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            os._exit(1)
        except PermissionError:
            pass  # it is there, and another user's
        time.sleep(0.5)


def death(status: int | None) -> str:
    """How a process ended, in words.

    Args:
        status: its exit status, negative for a signal; None if it is not known.
    """
    if status is None or status >= 0:
        return f"exit status {status}"
    hint = ", perhaps out of memory" if -status == signal.SIGKILL else ""
    return f"killed by {signal.Signals(-status).name}{hint}"


def peak_memory() -> int:
    """The most bytes that this process has had in memory.

    On Linux what ``getrusage`` says is no less than what the process that started this one had then.
    """
    import resource

    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):  # no Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def cores() -> int:
    """Number of cores that this process may use: what the system allows it, but no more than ``MLCL_CORES``.

    Raises:
        UsageError: ``MLCL_CORES`` is not a whole number.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    given = os.environ.get(CORES)
    try:
        return max(1, min(allowed, int(given))) if given else allowed
    except ValueError:
        raise UsageError(f"{CORES}={given!r} in the environment: give a whole number, or unset it") from None


def gpus() -> list[str]:
    """The CUDA devices that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [word.strip() for word in visible.split(",") if word.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60)
    return [str(at) for at, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def share(devices: list[str], place: int, places: int) -> str | None:
    """What one of several processes side by side sets ``CUDA_VISIBLE_DEVICES`` to; None to leave it as it is.

    Args:
        devices: of :func:`gpus`.
        place: which of the processes, from 0.
        places: how many there are. With fewer devices than processes they are given out round robin.
    """
    if len(devices) < 2 or places < 2:
        return None
    return ",".join(devices[place::places] or [devices[place % len(devices)]])
