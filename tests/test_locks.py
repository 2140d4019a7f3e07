"""Locks between processes: one holder at a time, and none that outlives its holder."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from mlcl_utils.locks import Lock

HOLD = """
import sys, time
from pathlib import Path
from mlcl_utils.locks import Lock
assert Lock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(600)
"""

COUNT = """
import sys, time
from pathlib import Path
from mlcl_utils.locks import Lock
folder = Path(sys.argv[1])
for _ in range(100):
    lock = Lock(folder / ".lock")
    while not lock.acquire():
        time.sleep(0.0001)
    value = int((folder / "count").read_text())
    time.sleep(0.0002)
    (folder / "count").write_text(str(value + 1))
    lock.release()
"""


def test_one_holder_at_a_time_and_no_file_without_one(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    assert first.acquire()
    assert first.acquire()  # it has it
    assert not second.acquire()
    first.release()
    assert not (tmp_path / ".lock").exists()
    assert second.acquire()
    first.release()  # it has nothing to give back
    assert (tmp_path / ".lock").exists()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_vanishes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        lock = Lock(path)
        assert not lock.acquire()
        holder.send_signal(signal.SIGKILL)
    assert path.exists()
    assert lock.acquire()
    lock.release()
    assert not path.exists()


def test_processes_that_make_and_remove_the_file_all_the_time_never_hold_it_together(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path)]
    counting = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=60) for process in counting] == [0] * 4
    assert (tmp_path / "count").read_text() == "400"
