"""A progress bar for a grid of runs: a bar on a terminal, a line that is rewritten in a notebook."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm


class Progress:
    """Counts runs as they end, and says how long the rest will take.

    In a notebook the line is a display that is updated in place, so that the executed copy keeps its last state
    instead of a bar that stands at zero.

    Args:
        total: runs in all.
        done: runs that need not be made.
        shown: whether to show anything.
    """

    def __init__(self, *, total: int, done: int, shown: bool) -> None:
        self._total, self._existed, self._ended, self._failed = total, done, 0, 0
        self._shown = shown
        self._start = time.perf_counter()
        self._bar: tqdm[Any] | None = None
        self._display: Any = None

    def __enter__(self) -> Progress:
        if not self._shown:
            return self
        if _in_notebook():
            from IPython.display import display

            self._display = display({"text/plain": self._line()}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._bar = tqdm(
                total=self._total,
                initial=self._existed,
                desc="runs",
                unit="run",
                dynamic_ncols=True,
                file=sys.stderr,
            )
        return self

    def advance(self, succeeded: bool) -> None:
        """Counts one more run that ended."""
        self._ended += 1
        self._failed += not succeeded
        if self._bar is not None:
            self._bar.update()
            if self._failed:
                self._bar.set_postfix(failed=self._failed)
        if self._display is not None:
            self._display.update({"text/plain": self._line()}, raw=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _line(self) -> str:
        missing = self._total - self._existed
        elapsed = time.perf_counter() - self._start
        done = self._existed + self._ended
        width = 30
        filled = round(width * done / max(1, self._total))
        line = f"runs {'█' * filled}{'░' * (width - filled)} {done}/{self._total}"
        if self._ended == missing:
            line += f", {elapsed:.0f} s"
        elif self._ended:
            line += f", about {elapsed / self._ended * (missing - self._ended):.0f} s left"
        if self._existed:
            line += f", {self._existed} existed"
        return line + (f", {self._failed} failed" if self._failed else "")


def _in_notebook() -> bool:
    """Whether the output goes to a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"
