"""Processes: how they end, and what of the machine each gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mlcl_utils import processes
from mlcl_utils.batch.kernel import shares
from mlcl_utils.errors import UsageError

PARENT = """
import subprocess, sys, time
child = (
    "import os, signal\\n"
    "from mlcl_utils.processes import end_with_parent\\n"
    f"end_with_parent({os_getpid})\\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
    "print(os.getpid(), flush=True)\\n"
    "while True: pass\\n"
)
subprocess.Popen([sys.executable, "-c", child])
time.sleep(600)
"""


def test_a_process_ends_when_its_parent_is_killed() -> None:
    code = PARENT.replace("{os_getpid}", "{__import__('os').getpid()}")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_process_whose_parent_has_gone_before_it_could_ask_ends_too() -> None:
    other = os.getppid()  # not the parent of what is started here
    code = f"from mlcl_utils.processes import end_with_parent; end_with_parent({other}); print('still here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("status", "said"),
    [(3, "exit status 3"), (-15, "killed by SIGTERM"), (-9, "killed by SIGKILL, perhaps out of memory")],
)
def test_how_a_process_ended(status: int, said: str) -> None:
    assert processes.death(status) == said


def test_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5,0")
    assert processes.gpus() == ["2", "GPU-5", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert processes.gpus() == []


@pytest.mark.parametrize(
    ("devices", "places", "shared"),
    [
        ("0,1,2,3", 2, ["0,2", "1,3"]),
        ("0,1", 3, ["0", "1", "0"]),
        ("0,1,2", 3, ["0", "1", "2"]),
        ("0", 2, [None, None]),
        ("0,1", 1, [None]),
    ],
)
def test_kernels_share_gpus(
    monkeypatch: pytest.MonkeyPatch, devices: str, places: int, shared: list[str | None]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    assert [share.get("CUDA_VISIBLE_DEVICES") for share in shares(places)] == shared


def test_kernels_share_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    half = str(max(1, processes.cores() // 2))
    assert shares(2) == [{"OMP_NUM_THREADS": half, "MLCL_CORES": half}] * 2
    assert shares(1) == [{}]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # whoever sets it, means it
    assert shares(2) == [{"OMP_NUM_THREADS": "3", "MLCL_CORES": half}] * 2
    monkeypatch.setenv("MLCL_CORES", "1")
    assert processes.cores() == 1
    assert shares(3)[0]["MLCL_CORES"] == "1"


@pytest.mark.parametrize("given", ["abc", "2.5", "2 cores"])
def test_cores_that_are_no_number_are_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.delenv("MLCL_CORES", raising=False)
    allowed = processes.cores()
    monkeypatch.setenv("MLCL_CORES", "")  # as from a variable of a queue that is not set
    assert processes.cores() == allowed
    monkeypatch.setenv("MLCL_CORES", given)
    with pytest.raises(UsageError, match=f"^MLCL_CORES='{given}' in the environment: give a whole number"):
        processes.cores()


def test_peak_memory_is_ones_own() -> None:
    """Not that of the process that started this one, though ``getrusage`` says so on Linux."""
    held = bytearray(200 * 2**20)
    code = "from mlcl_utils.processes import peak_memory; print(peak_memory())"
    small = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    code = f"held = bytearray({300 * 2**20}); held[::4096] = bytes(len(held[::4096])); {code}"
    large = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert len(held) > small > 2**20
    assert large > small + 250 * 2**20
