"""How far a batch is: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from typing import Any, Protocol

from tqdm import tqdm

EVERY_SECONDS = 10.0
"""Without a terminal a notebook that is being executed says so at most this often."""


class Progress(Protocol):
    """What a batch tells while it goes on."""

    def begin(self, name: str, cells: int) -> None:
        """A notebook with so many cells begins."""

    def cell(self, name: str, done: int) -> None:
        """So many of its cells are done."""

    def text(self, name: str, line: str) -> None:
        """The last line that the notebook has printed."""

    def say(self, name: str, line: str) -> None:
        """Something to know about a notebook that has not begun."""

    def end(self, name: str, summary: str) -> None:
        """A notebook has ended, in whatever way."""

    def tick(self) -> None:
        """A second has passed."""

    def close(self) -> None:
        """All have ended."""


def progress(total: int) -> Progress:
    """Bars if standard error is a terminal, else lines.

    Args:
        total: number of notebooks.
    """
    return _Bars(total) if sys.stderr.isatty() else _Lines()


class _Lines:
    """A line when a notebook begins and ends, and one now and then in between, on standard output."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._cells: dict[str, tuple[int, int]] = {}
        self._spoken = time.monotonic()

    def begin(self, name: str, cells: int) -> None:
        self._cells[name] = (0, cells)
        self.say(name, "started")

    def cell(self, name: str, done: int) -> None:
        self._cells[name] = (done, self._cells[name][1])
        self._states.pop(name, None)

    def text(self, name: str, line: str) -> None:
        self._states[name] = re.sub("[█░▏▎▍▌▋▊▉]+ *", "", line)  # a bar says nothing in a log

    def say(self, name: str, line: str) -> None:
        self._spoken = time.monotonic()
        print(f"{name}: {line}", flush=True)

    def end(self, name: str, summary: str) -> None:
        self._cells.pop(name, None)
        self.say(name, summary)

    def tick(self) -> None:
        if time.monotonic() - self._spoken < EVERY_SECONDS or not self._cells:
            return
        for name, (done, cells) in self._cells.items():
            said = self._states.get(name)
            self.say(name, f"{done} of {cells} cells done" + (f"; {said}" if said else ""))

    def close(self) -> None:
        pass


class _Bars:
    """A bar for each notebook that is being executed, and one over all if there are several."""

    def __init__(self, total: int) -> None:
        self._all = self._bar("all", total, "studies") if total > 1 else None
        self._one: dict[str, tqdm[Any]] = {}

    def begin(self, name: str, cells: int) -> None:
        self._one[name] = self._bar(name, cells, "cells")

    def cell(self, name: str, done: int) -> None:
        bar = self._one[name]
        bar.n = done
        bar.set_postfix_str("")

    def text(self, name: str, line: str) -> None:
        self._one[name].set_postfix_str(line, refresh=False)

    def say(self, name: str, line: str) -> None:
        tqdm.write(f"{name}: {line}", file=sys.stderr)

    def end(self, name: str, summary: str) -> None:
        bar = self._one.pop(name, None)
        if bar is not None:
            bar.close()
        self.say(name, summary)
        if self._all is not None:
            self._all.update()

    def tick(self) -> None:
        for bar in self._one.values():
            bar.refresh()

    def close(self) -> None:
        if self._all is not None:
            self._all.close()

    @staticmethod
    def _bar(name: str, total: int, unit: str) -> tqdm[Any]:
        return tqdm(
            total=total,
            desc=name,
            unit=unit,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            bar_format="{desc}  {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]",
        )
