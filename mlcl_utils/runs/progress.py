"""How far a grid is: a line that is rewritten on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

EVERY_SECONDS = 10.0
"""Without a terminal or a notebook there is a line at most this often."""

METADATA = "mlcl"
"""The key of a notebook's display metadata that the counts stand under, for whoever executes the notebook."""


@dataclass
class Counts:
    """How far a grid is.

    Attributes:
        total: runs in all.
        existed: found, and not repeated, or made by another process meanwhile.
        done: made.
        failed: failed, those that were lost included.
        lost: those whose process died, or whose machine was lost.
        compute: seconds of those that were made or failed.
        cause: why the last of the lost ones was lost.
    """

    total: int = 0
    existed: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    compute: float = 0.0
    cause: str = ""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in dataclasses.fields(self)
                if field.name != "cause"
            },
            cause=other.cause or self.cause,
        )

    @property
    def left(self) -> int:
        """Runs that have not ended."""
        return self.total - self.existed - self.done - self.failed


class Progress:
    """Counts runs as they end, and says how long the rest will take.

    In a notebook the line is a display that is updated in place, so that the executed copy keeps its last state
    instead of a bar that stands at zero; the counts stand in its metadata.

    Args:
        total: runs in all.
        existed: runs that need not be made.
        shown: whether to show anything.
        what: is counted; the counts of anything but runs stand in no metadata.
        work: how long all that is missing will take, in any unit; by default all runs take as long.
    """

    def __init__(
        self,
        *,
        total: int,
        existed: int = 0,
        shown: bool = True,
        what: str = "runs",
        work: float | None = None,
    ) -> None:
        self.counts = Counts(total, existed)
        self._ahead = work
        self._behind = 0.0
        self._what = what
        self._shown = shown
        self._start = time.perf_counter()
        self._said = -EVERY_SECONDS
        self._display: Any = None

    def __enter__(self) -> Progress:
        self.show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and not _in_notebook() and sys.stderr.isatty():
            print(file=sys.stderr)

    def worked(self, work: float, *, here: bool = True) -> None:
        """Some of the work is behind: it was done here, or found done."""
        if self._ahead is not None:
            self._ahead -= work
            self._behind += work if here else 0.0

    def show(self) -> None:
        """Show how far it is."""
        if not self._shown:
            return
        if _in_notebook():
            self._show_in_notebook()
        elif sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{self._line()[:width]:{width}}", end="", file=sys.stderr, flush=True)
        elif self.counts.left == 0 or time.perf_counter() - self._said >= EVERY_SECONDS:
            self._said = time.perf_counter()
            print(self._line(), file=sys.stderr, flush=True)

    def _show_in_notebook(self) -> None:
        from IPython.display import display

        bundle = {"text/plain": self._line()}
        told = {METADATA: dataclasses.asdict(self.counts)} if self._what == "runs" else {}
        if self._display is None:
            self._display = display(bundle, metadata=told, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._display.update(bundle, metadata=told, raw=True)

    def _line(self) -> str:
        counts = self.counts
        ended = counts.total - counts.left
        width = 30
        filled = round(width * ended / max(1, counts.total))
        line = f"{self._what} {'█' * filled}{'░' * (width - filled)} {ended}/{counts.total}"
        elapsed = time.perf_counter() - self._start
        own = counts.done + counts.failed
        if counts.left == 0 and own:
            line += f", {elapsed:.0f} s"
        elif own:
            rest = self._ahead / self._behind if self._ahead and self._behind else counts.left / own
            line += f", about {elapsed * rest:.0f} s left"
        if counts.existed:
            line += f", {counts.existed} existed"
        return line + (f", {counts.failed} failed" if counts.failed else "")


def _in_notebook() -> bool:
    """Whether the output goes to a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"
