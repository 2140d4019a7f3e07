"""A study that is killed outright, again and again, and run again: nothing is lost, repeated or left behind.

The environment variable ``MLCL_KILLS`` says how many times (3); 20 go through every victim at every moment twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
KILLS = int(os.environ.get("MLCL_KILLS", "3"))
VICTIMS = ("worker", "kernel", "mlcl run")
MOMENTS = (1 / 3, 1 / 2, 2 / 3)


def begin(results: Path) -> subprocess.Popen[str]:
    grid = {
        "num_labels": 10,
        "train_fractions": 1,
        "epochs": 1,
        "replicates": 2,
        "workers": 2,
        "label_draws": 0,
    }
    given = [word for name, value in grid.items() for word in ("-p", f"{name}={value}")]
    command = [str(BIN / "mlcl"), "run", "02", "--preset", "smoke", "--results", str(results), *given]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    return out


def stored(results: Path) -> dict[str, int]:
    """When each stored run was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (results / "runs").glob("[!.]*/run.json")}


def table(results: Path) -> pd.DataFrame:
    (path,) = results.glob("02_label_space/smoke-*/runs.csv")
    rows = pd.read_csv(path).sort_values("run", ignore_index=True)
    return rows[[name for name in rows if not name.startswith(("time_", "mem_"))]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    results = tmp_path_factory.mktemp("undisturbed")
    finish(begin(results))
    return table(results)


def find(process: subprocess.Popen[str], victim: str) -> psutil.Process:
    parent = psutil.Process(process.pid)
    if victim == "mlcl run":
        return parent
    (kernel,) = [child for child in parent.children() if "kernel.json" in " ".join(child.cmdline())]
    if victim == "kernel":
        return kernel
    return next(child for child in kernel.children() if "--multiprocessing-fork" in child.cmdline())


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(number, marks=pytest.mark.long) for number in range(1, KILLS))]
)
def test_killed_and_run_again(tmp_path: Path, undisturbed: pd.DataFrame, number: int) -> None:
    turn, at = divmod(number, len(VICTIMS))
    victim, moment = VICTIMS[at], MOMENTS[(at + turn) % len(MOMENTS)]
    process = begin(tmp_path)
    deadline = time.monotonic() + 300
    while len(stored(tmp_path)) < moment * len(undisturbed):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    find(process, victim).kill()
    out, err = process.communicate(timeout=300)
    said = {
        "worker": "02_label_space runs lost: 1 run was lost: the worker process died (killed by SIGKILL",
        "kernel": "02_label_space dead: the kernel died, killed by SIGKILL, perhaps out of memory (cell [6]: runs",
        "mlcl run": "",
    }[victim]
    # a worker that was between two runs has cost nothing
    unharmed = victim == "worker" and process.returncode == 0
    assert unharmed or process.returncode == (-9 if victim == "mlcl run" else 1), out + err
    assert unharmed or said in err
    _, remaining = psutil.wait_procs(family, timeout=30)
    assert remaining == []

    before = stored(tmp_path)
    again = begin(tmp_path)
    assert "1 of 1 complete" in finish(again)
    after = stored(tmp_path)
    assert {name: after[name] for name in before} == before
    pd.testing.assert_frame_equal(table(tmp_path), undisturbed, check_exact=True)
    assert list(tmp_path.rglob(".*")) == []
    for one in (process, again):
        assert list(Path(tempfile.gettempdir()).glob(f"mlcl-kernel-{one.pid}-*")) == []
