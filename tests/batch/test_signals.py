"""Batches in processes of their own, which are sent signals or find no room on the disk."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from mlcl_utils import batch
from tests.batch.kernels import (
    NOTEBOOKS,
    alive,
    executed,
    job,
    kernel_folders,
    printed,
    stopped_cell,
    wait_for,
)

RUN = """
import sys
from pathlib import Path
from mlcl_utils import batch
notebooks, folder, *names = sys.argv[1:]
jobs = [
    batch.Job(name, Path(notebooks, name + ".ipynb"), {"marks": folder, "word": str(at)}, Path(folder, str(at)))
    for at, name in enumerate(names)
]
report = batch.run(jobs, parallel=2)
for outcome in report.outcomes:
    print("OUTCOME", outcome.status, outcome.reason, sep="|")
sys.exit(report.exit_status)
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0,
    reason="no user name spaces",
)
@pytest.mark.parametrize(
    ("mount", "cause"), [("size=16k", "No space left on device"), ("ro", "Read-only file system")]
)
def test_a_disk_that_takes_no_more(tmp_path: Path, mount: str, cause: str) -> None:
    inside = (
        f"mount -t tmpfs -o {mount} tmpfs {tmp_path} && {sys.executable} -c '{RUN}' {NOTEBOOKS} {tmp_path} shows;"
        f"status=$?; find {tmp_path} -name '.?*'; exit $status"
    )
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", inside], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    # the last line: no file of a temporary name is left
    assert done.stdout.splitlines()[-1] == f"OUTCOME|failed|cannot write in '{tmp_path}/0': {cause}"
    assert "Traceback" not in done.stderr


class TestSignals:
    """A batch in a process of its own, which is sent signals."""

    def begin(self, folder: Path, *names: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RUN, str(NOTEBOOKS), str(folder), *names]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_terminal_shows_a_line_for_each_and_a_bar_over_all(self, tmp_path: Path) -> None:
        (tmp_path / "counts").mkdir()
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))
        program = RUN.replace("str(at)}", "'slow'}")
        command = [sys.executable, "-c", program, str(NOTEBOOKS), str(tmp_path), "passes", "counts"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs):
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # nobody has it open any more
                while read := os.read(ours, 1000):
                    shown += read
            os.close(ours)
        text = shown.decode()
        assert re.search(r"all  \|█* *\| 1/2 studies \[", text)
        assert "4 runs done, 4 existed, 2 failed" in text
        assert re.search(r"passes  \d+/\d+ cells \[", text)
        assert re.search(r"counts  \d+/\d+ cells \[.*5/5, 0 s, 2 existed, 1 failed", text)

    def kernels(self, folder: Path, count: int) -> list[int]:
        """Process ids of the kernels, once each is in the cell that waits."""

        def begun() -> list[Path]:
            return [path for path in folder.glob("begun-*") if path.read_text()]

        wait_for(lambda: len(begun()) == count, f"{count} kernels to reach the cell")
        return [int(path.read_text()) for path in begun()]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupts_reach_every_kernel(self, tmp_path: Path, number: signal.Signals) -> None:
        process = self.begin(tmp_path, "waits", "waits", "passes")
        kernels = self.kernels(tmp_path, 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert not any(map(alive, kernels))
        assert not kernel_folders(process.pid)
        outcomes = [line.split("|")[1] for line in out.splitlines() if line.startswith("OUTCOME")]
        assert outcomes == ["interrupted", "interrupted", "not started"]
        assert "Traceback" not in err
        for at in (0, 1):
            notebook = executed(tmp_path / str(at))
            assert number.name in notebook.cells[0].source
            stopped_cell(notebook)
        assert not (tmp_path / "2").exists()

    def test_a_kernel_that_does_not_listen_is_killed(self, tmp_path: Path) -> None:
        process = self.begin(tmp_path, "deaf")
        kernels = self.kernels(tmp_path, 1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert not any(map(alive, kernels))
        assert stopped_cell(executed(tmp_path / "0")).outputs[-1].ename == "Interrupted"

    def test_a_second_signal_does_not_wait(self, tmp_path: Path) -> None:
        process = self.begin(tmp_path, "deaf")
        self.kernels(tmp_path, 1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        process.communicate(timeout=60)
        assert process.returncode in {130, 143}
        assert time.monotonic() - begun < 60
        stopped_cell(executed(tmp_path / "0"))

    def test_a_folder_is_one_process_at_a_time(self, tmp_path: Path) -> None:
        first = self.begin(tmp_path, "waits")
        self.kernels(tmp_path, 1)
        second = self.begin(tmp_path, "passes")
        assert second.stdout is not None
        assert "waits for another process" in second.stdout.readline()
        assert not (tmp_path / "0" / "notebook.ipynb").exists()
        first.kill()
        first.communicate(timeout=60)
        out, _ = second.communicate(timeout=60)
        assert "OUTCOME|done" in out
        assert printed(executed(tmp_path / "0")).startswith("0 ")

    def test_no_kernel_outlives_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        process = self.begin(tmp_path, "deaf", "waits")
        kernels = self.kernels(tmp_path, 2)
        process.kill()
        process.communicate(timeout=60)
        wait_for(lambda: not any(map(alive, kernels)), "the kernels to end")
        assert kernel_folders(process.pid)
        batch.run([job("passes", tmp_path)])
        assert not kernel_folders(process.pid)
