"""Executing notebooks, one or several at a time, to an end that is always reported.

Whatever happens to a notebook (an error in a cell, a kernel that dies, a timeout, an interrupt), it is saved as far
as it got with the cell in question marked, its kernel is ended, and the outcome says what happened where.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from mlcl_utils.batch import notebooks
from mlcl_utils.batch.kernel import Kernel, shares, started
from mlcl_utils.batch.progress import Progress, progress
from mlcl_utils.errors import UsageError
from mlcl_utils.locks import Lock
from mlcl_utils.paths import shown
from mlcl_utils.runs.progress import METADATA, Counts
from mlcl_utils.studies.manifest import MANIFEST, complete, vouches

GRACE_SECONDS = 5.0
"""How long an interrupted cell may take to come to an end before its kernel is killed."""

Status = Literal[
    "done", "up to date", "runs lost", "failed", "dead", "timed out", "interrupted", "not started"
]

# Written by a process that was killed before it could give them their names.
_LEFTOVER = re.compile(r"\..+\.\d+")


@dataclass(frozen=True)
class Job:
    """A notebook to execute.

    Attributes:
        name: what to call it.
        notebook: the notebook; it is not changed.
        parameters: name -> value, of JSON types, for the cell that sets parameters.
        folder: where the executed notebook and its page go.
        digest: what the results depend on, computed just before the start. If given, the notebook has to leave a
            manifest in the folder, which is completed with the digest and the executed notebook; if there is one
            of this digest already, the notebook is not executed.
        last: whether it begins only when all others that are not last have ended.
    """

    name: str
    notebook: Path
    parameters: Mapping[str, Any]
    folder: Path
    digest: Callable[[], str] | None = None
    last: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a notebook.

    Attributes:
        job: the job.
        status: ``done`` or ``up to date``, or why it is neither.
        reason: one line, empty if nothing is wrong.
        seconds: wall time.
        runs: what became of its runs.
    """

    job: Job
    status: Status
    reason: str = ""
    seconds: float = 0.0
    runs: Counts = field(default_factory=Counts)

    @property
    def good(self) -> bool:
        """Whether the results are there."""
        return self.status in {"done", "up to date"}


@dataclass(frozen=True)
class Report:
    """What became of a batch.

    Attributes:
        outcomes: one for each job, in their order.
        signal: the signal that interrupted it, if any.
        seconds: wall time.
    """

    outcomes: tuple[Outcome, ...]
    signal: signal.Signals | None
    seconds: float

    @property
    def exit_status(self) -> int:
        """0: all are good; 1: something is not; 128 and the signal's number: interrupted."""
        if self.signal is not None:
            return 128 + self.signal
        return 0 if all(outcome.good for outcome in self.outcomes) else 1


def run(
    jobs: Sequence[Job], *, parallel: int = 1, timeout: float | None = None, fail_fast: bool = False
) -> Report:
    """Execute notebooks, each in a kernel of its own, and say how far they are.

    SIGINT, SIGTERM and SIGHUP interrupt the cells that are being executed; a second one kills their kernels.

    Args:
        jobs: the notebooks, in the order in which they begin.
        parallel: how many at a time; cores and GPUs are divided among their kernels.
        timeout: seconds that each may take.
        fail_fast: stop at the first that is not good, instead of going on with the others.
    """
    return asyncio.run(_Batch(jobs, parallel, timeout, fail_fast).run())


class _Batch:
    def __init__(self, jobs: Sequence[Job], parallel: int, timeout: float | None, fail_fast: bool) -> None:
        self._jobs = jobs
        self._shares: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()
        for share in shares(min(parallel, len(jobs))):
            self._shares.put_nowait(share)
        self._timeout = timeout
        self._fail_fast = fail_fast
        self._progress = progress(len(jobs))
        self._running: set[_Execution] = set()
        self._signal: signal.Signals | None = None
        self._stopped = ""

    async def run(self) -> Report:
        begun = time.monotonic()
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._interrupted, number)
        ticking = asyncio.create_task(self._tick())
        try:
            outcomes: dict[int, Outcome] = {}
            for last in (False, True):
                chosen = [at for at, job in enumerate(self._jobs) if job.last == last]
                ended = await asyncio.gather(*(self._turn(self._jobs[at]) for at in chosen))
                outcomes.update(zip(chosen, ended, strict=True))
        finally:
            ticking.cancel()
            self._progress.close()
            for number in signals:
                loop.remove_signal_handler(number)
        return Report(tuple(outcomes[at] for at in sorted(outcomes)), self._signal, time.monotonic() - begun)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._progress.tick()

    def _interrupted(self, number: signal.Signals) -> None:
        self._signal = self._signal or number
        self._stop(f"interrupted by {number.name}")

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        for execution in self._running:
            execution.stop("interrupted", reason)

    async def _turn(self, job: Job) -> Outcome:
        share = await self._shares.get()
        try:
            if self._stopped:
                return Outcome(job, "not started", self._stopped)
            execution = _Execution(job, self._progress, share)
            self._running.add(execution)
            loop = asyncio.get_running_loop()
            timer = None
            if self._timeout is not None:
                reason = f"it took longer than {self._timeout:g} s"
                timer = loop.call_later(self._timeout, execution.stop, "timed out", reason)
            try:
                outcome = await execution.outcome()
            finally:
                self._running.remove(execution)
                if timer is not None:
                    timer.cancel()
        finally:
            self._shares.put_nowait(share)
        said = f"{outcome.status} in {outcome.seconds:.0f} s"
        self._progress.end(job.name, f"{said}: {outcome.reason}" if outcome.reason else said)
        if self._fail_fast and not outcome.good and not self._stopped:
            self._stop(f"stopped after {job.name} {outcome.status}")
        return outcome


class _Client(NotebookClient):  # type: ignore[misc, unused-ignore]
    """Executes cells, and hands on the last line that they have printed and how far their runs are."""

    on_text: Callable[[str], None]
    on_counts: Callable[[str, Counts], None]

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        content = msg["content"]
        if msg["msg_type"] == "stream":
            text = content["text"]
        elif msg["msg_type"] in {"display_data", "update_display_data"} and set(content["data"]) == {
            "text/plain"
        }:
            text = content["data"]["text/plain"]
        else:
            text = ""
        counts = content.get("metadata", {}).get(METADATA)
        if counts is not None:
            self.on_counts(content["transient"]["display_id"], Counts(**counts))
        lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
        if lines:
            self.on_text(lines[-1])
        return super().process_message(msg, cell, cell_index)


class _Execution:
    """One notebook being executed."""

    def __init__(self, job: Job, told: Progress, environment: Mapping[str, str]) -> None:
        self._job = job
        self._told = told
        self._environment = environment
        self._grids: dict[str, Counts] = {}
        self._stopped: tuple[Status, str] | None = None
        self._kernel: Kernel | None = None
        self._index: int | None = None
        self._ending = False
        self._working: asyncio.Task[None] | None = None
        self._patience: asyncio.Task[None] | None = None

    def stop(self, status: Status, reason: str) -> None:
        """Interrupt the cell that is being executed; asked a second time, kill its kernel."""
        if self._ending:
            return
        impatient = self._stopped is not None
        self._stopped = self._stopped or (status, reason)
        if self._working is None:
            return
        if impatient or self._kernel is None:
            self._working.cancel()
        elif self._patience is None:
            self._patience = asyncio.create_task(self._interrupt(self._kernel, self._working))

    async def outcome(self) -> Outcome:
        """Execute the notebook, save it, complete the manifest."""
        begun = time.monotonic()
        status, reason = await self._outcome()
        return Outcome(self._job, status, reason, time.monotonic() - begun, self._runs())

    def _runs(self) -> Counts:
        return sum(self._grids.values(), Counts())

    def _counted(self, grid: str, counts: Counts) -> None:
        self._grids[grid] = counts
        self._told.runs(self._job.name, self._runs())

    async def _outcome(self) -> tuple[Status, str]:
        job = self._job
        try:
            notebook = notebooks.prepared(job.notebook, job.parameters)
            job.folder.mkdir(parents=True, exist_ok=True)
            async with self._alone():
                if self._stopped is not None:
                    return self._stopped
                digest = job.digest() if job.digest is not None else None
                if digest is not None and vouches(job.folder, digest):
                    return "up to date", ""
                (job.folder / MANIFEST).unlink(missing_ok=True)
                for path in job.folder.rglob(".*"):
                    if _LEFTOVER.fullmatch(path.name):
                        path.unlink()
                self._told.begin(job.name, len(notebook.cells))
                status, reason = await self._execute(notebook)
                if status != "done":
                    notebooks.mark(notebook, self._index, status, reason)
                notebooks.save(notebook, job.folder)
                return self._completed(digest) if status == "done" else (status, reason)
        except UsageError as error:
            return "failed", str(error)
        except OSError as error:
            return "failed", f"cannot write in '{shown(job.folder)}': {error.strerror or error}"

    def _completed(self, digest: str | None) -> tuple[Status, str]:
        """What a notebook that was executed to its end has left: results to vouch for, or some that lack runs."""
        folder, runs = self._job.folder, self._runs()
        if runs.lost:
            some = "1 run was" if runs.lost == 1 else f"{runs.lost} runs were"
            return "runs lost", f"{some} lost: {runs.cause}; the same command makes up for it"
        if digest is not None:
            if not (folder / MANIFEST).exists():
                return "failed", f"the notebook left no '{MANIFEST}': its last cell has to write it"
            complete(folder, digest, (notebooks.NOTEBOOK, notebooks.PAGE))
        return "done", ""

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until no other process executes a notebook into the folder."""
        folder = self._job.folder
        lock = Lock(folder.with_name(f".lock-{folder.name}"))
        waiting = False
        try:
            while self._stopped is None and not lock.acquire():
                if not waiting:
                    self._told.say(self._job.name, "waits for another process that is executing it")
                waiting = True
                await asyncio.sleep(0.2)
            yield
        finally:
            lock.release()

    async def _execute(self, notebook: NotebookNode) -> tuple[Status, str]:
        status: Status
        self._working = asyncio.create_task(self._cells(notebook))
        try:
            await self._working
        except CellExecutionError as error:
            status, reason = "failed", f"{error.ename}: {error.evalue}".split("\n", maxsplit=1)[0]
        except DeadKernelError as error:
            status, reason = "dead", f"the kernel died, {error}"
        except (RuntimeError, OSError) as error:
            status, reason = "failed", str(error)
        except asyncio.CancelledError:
            if self._stopped is None:
                raise
        else:
            if self._stopped is None:
                return "done", ""
        if self._stopped is not None:
            # Whatever ended it then, it ended because it was asked to.
            status, reason = self._stopped
        if self._index is None:
            return status, reason
        cell = notebook.cells[self._index]
        number = sum(cell.cell_type == "code" for cell in notebook.cells[: self._index + 1])
        cell.execution_count = number
        if not any(output.output_type == "error" for output in cell.outputs):
            notebooks.add_error(cell, status.capitalize(), reason)
        return status, f"{reason} (cell [{number}]: {notebooks.first_line(cell)})"

    async def _cells(self, notebook: NotebookNode) -> None:
        async with started(self._environment) as kernel:
            client = _Client(notebook, km=kernel.manager, timeout=None, coalesce_streams=True)
            client.kc = kernel.client
            client.on_text = lambda line: self._told.text(self._job.name, line)
            client.on_counts = self._counted
            client.reset_execution_trackers()
            self._kernel = kernel
            number = 0
            try:
                for index, cell in enumerate(notebook.cells):
                    if cell.cell_type == "code":
                        if self._stopped is not None:
                            return
                        number += 1
                        self._index = index
                        await client.async_execute_cell(cell, index, execution_count=number)
                    self._told.cell(self._job.name, index + 1)
                client.set_widgets_metadata()
            except DeadKernelError as error:
                raise DeadKernelError(await kernel.death()) from error
            finally:
                # From here on the kernel is being ended: nothing is left to interrupt.
                self._ending = True
                if self._patience is not None:
                    self._patience.cancel()

    async def _interrupt(self, kernel: Kernel, working: asyncio.Task[None]) -> None:
        with contextlib.suppress(RuntimeError):  # it has just ended
            await kernel.manager.interrupt_kernel()
        await asyncio.sleep(GRACE_SECONDS)
        working.cancel()
