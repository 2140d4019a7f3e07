"""Grids in real processes: several at once, killed, and on disks that take no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlcl_utils import runs
from mlcl_utils.errors import StorageError
from mlcl_utils.runs import Store
from tests.runs.test_runs import config

ROOT = Path(__file__).parents[2]

# Carries out twelve runs and says what became of them, with what it counted on the way.
CARRY_OUT = """
import json, sys
from pathlib import Path
from mlcl_utils import runs
from mlcl_utils.runs import executor
from tests.runs.test_executor import grid

bars = []
class Progress(executor.Progress):
    def __init__(self, **given):
        super().__init__(**given)
        bars.append(self)
executor.Progress = Progress

if __name__ == "__main__":
    done = runs.carry_out(grid(), results=Path(sys.argv[1]), workers=int(sys.argv[2]), progress=False)
    failures = [[config.id, error] for config, error, _ in done.failures]
    print(json.dumps({"failures": failures, "runs": len(done.runs), **vars(bars[0].counts)}))
"""


def grid() -> list[runs.RunConfig]:
    return [config(replicate=r, seed=r, num_labels=k) for k in (30, 20, 10) for r in range(4)]


def begin(folder: Path, *, workers: int = 2, before: str = "") -> subprocess.Popen[str]:
    """Twelve runs in a process of its own; a command of the shell may come before it."""
    script = folder / "carry_out.py"
    script.write_text(CARRY_OUT)
    command = f"{before} exec {sys.executable} {script} {folder / 'results'} {workers}"
    return subprocess.Popen(
        ["bash", "-c", command],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def stored(folder: Path) -> dict[str, int]:
    """When each stored run was written."""
    found = (folder / "results" / "runs").glob("[!.]*/run.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in (folder / "results" / "runs").rglob(".*")]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Its workers, and none of the short-lived processes beside them, such as git's."""
    return [
        child
        for child in psutil.Process(process.pid).children()
        if "--multiprocessing-fork" in command(child)
    ]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # it has ended since it was listed, or waits to be reaped
        return []


@pytest.mark.slow
def test_a_killed_grid_keeps_what_was_finished_and_leaves_no_worker(tmp_path: Path) -> None:
    process = begin(tmp_path)
    wait_for(lambda: len(stored(tmp_path)) >= 3, process)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    # standard error is inherited by the workers: it ends when the last of them has ended
    process.communicate(timeout=30)
    assert family
    _, remaining = psutil.wait_procs(family, timeout=30)
    assert remaining == []
    before = stored(tmp_path)
    assert 3 <= len(before) < 12
    again = said(begin(tmp_path))
    assert (again["existed"], again["done"], again["failures"]) == (len(before), 12 - len(before), [])
    after = stored(tmp_path)
    assert len(after) == 12
    assert before.items() <= after.items()
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_the_run_it_was_at_and_no_other(tmp_path: Path) -> None:
    process = begin(tmp_path)
    wait_for(lambda: len(workers_of(process)) == 2, process)
    workers_of(process)[0].kill()  # it is still importing, on behalf of its first run
    first = said(process)
    ((lost, error),) = first["failures"]
    assert error == "the worker process died (killed by SIGKILL, perhaps out of memory)"
    assert (first["lost"], first["failed"], first["done"]) == (1, 1, 11)
    assert first["cause"] == error
    before = stored(tmp_path)
    assert len(before) == 11
    again = said(begin(tmp_path))
    assert (again["done"], again["existed"], again["failures"]) == (1, 11, [])
    assert stored(tmp_path).keys() - before.keys() == {lost}
    (repeated,) = [run for run in Store(tmp_path / "results") if run.config.id == lost]
    assert repeated.timings["time_failed"] > 0
    assert leftovers(tmp_path) == []


@pytest.mark.long
@pytest.mark.slow
def test_grids_at_once_train_nothing_twice(tmp_path: Path) -> None:
    processes = [begin(tmp_path, workers=workers) for workers in (1, 1, 2)]
    counted = [said(process) for process in processes]
    assert all(one["runs"] == 12 and not one["failures"] for one in counted)
    assert sum(one["done"] for one in counted) == 12
    assert len(stored(tmp_path)) == 12
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("theirs_succeeds", [True, False])
def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path: Path, theirs_succeeds: bool) -> None:
    theirs, ours = config(loss="prior", recipe=None), config(loss="nearest_neighbours", recipe=None)
    (made,) = runs.carry_out([theirs], results=tmp_path / "elsewhere", progress=False).runs
    store = Store(tmp_path)
    lock = store.lock(theirs)
    assert lock.acquire()

    def other() -> None:
        while not store.has(ours):
            time.sleep(0.01)
        if theirs_succeeds:
            made.folder.rename(store.folder / theirs.id)
        lock.release()

    thread = threading.Thread(target=other)
    thread.start()
    done = runs.carry_out([theirs, ours], results=tmp_path, progress=False)
    thread.join()
    assert [run.config for run in done.runs] == [theirs, ours]
    assert done.existed == int(theirs_succeeds)


def test_what_killed_processes_left_is_removed_unless_somebody_is_at_work_on_it(tmp_path: Path) -> None:
    left, busy = config(seed=1), config(seed=2)
    store = Store(tmp_path)
    (lock := store.lock(busy)).acquire()
    for each in (left, busy):
        (store.folder / f".writing-{each.id}").mkdir()
        (store.folder / f".writing-{each.id}" / "scores.safetensors").write_bytes(b"half")
    (store.folder / f".lock-{left.id}").touch()
    (store.folder / "failed").mkdir()
    (store.folder / "failed" / f".writing-{left.id}").write_text("{")
    store.tidy()
    assert sorted(leftovers_of(store)) == [f".lock-{busy.id}", f".writing-{busy.id}"]
    lock.release()
    store.tidy()
    assert leftovers_of(store) == []


def leftovers_of(store: Store) -> list[str]:
    return [path.name for path in store.folder.rglob(".*")]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_cannot_be_written_whole_is_one_error_and_nothing_is_left_of_it(
    tmp_path: Path, workers: int
) -> None:
    process = begin(
        tmp_path, workers=workers, before="ulimit -f 20;"
    )  # 20 kB a file: less than the scores take
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    (line,) = [line for line in err.splitlines() if line.startswith(StorageError.__module__)]
    assert f"cannot write in '{tmp_path / 'results' / 'runs'}': File too large" in line
    assert list((tmp_path / "results" / "runs").iterdir()) == []


CAN_MOUNT = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="no user name spaces here")
@pytest.mark.parametrize(
    ("mount", "cause"), [("size=100k", "No space left on device"), ("ro", "Read-only file system")]
)
def test_a_disk_that_takes_no_more(tmp_path: Path, mount: str, cause: str) -> None:
    results = tmp_path / "results"
    results.mkdir()
    script = tmp_path / "carry_out.py"
    script.write_text(CARRY_OUT)
    inside = (
        f"mount -t tmpfs -o {mount} tmpfs {results} && "
        f"{sys.executable} {script} {results} 1; status=$?; find {results} -name '?*' | wc -l; exit $status"
    )
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", inside],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(StorageError.__module__)]
    assert f"cannot write in '{results / 'runs'}': {cause}" in line
    assert int(done.stdout) <= 3  # the folders alone
