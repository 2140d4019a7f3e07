"""How far a batch is: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from typing import Any, Protocol

from tqdm import tqdm

from mlcl_utils import markup
from mlcl_utils.runs.progress import EVERY_SECONDS, Counts


class Progress(Protocol):
    """What a batch tells while it goes on."""

    def begin(self, name: str, cells: int) -> None:
        """A notebook with so many cells begins."""

    def cell(self, name: str, done: int) -> None:
        """So many of its cells are done."""

    def text(self, name: str, line: str) -> None:
        """The last line that the notebook has printed."""

    def runs(self, name: str, counts: Counts) -> None:
        """What has become of its runs so far."""

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
    return _Bars(total) if sys.stderr.isatty() else _Lines(total)


def counted(counts: Counts) -> str:
    """Runs in words: ``36 runs done, 4 existed, 1 failed``."""
    runs = "run" if counts.done == 1 else "runs"
    return f"{counts.done} {runs} done, {counts.existed} existed, {counts.failed} failed"


class _Lines:
    """A line when a notebook begins and ends, and one now and then in between, on standard output."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._ended = 0
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

    def runs(self, name: str, counts: Counts) -> None:
        pass  # the notebook's own line says it too

    def say(self, name: str, line: str) -> None:
        self._spoken = time.monotonic()
        print(markup.terminal(f"{name}: {line}"), flush=True)

    def end(self, name: str, summary: str) -> None:
        self._ended += 1
        self._cells.pop(name, None)
        self.say(name, summary)

    def tick(self) -> None:
        if time.monotonic() - self._spoken < EVERY_SECONDS or not self._cells:
            return
        states = []
        for name, (done, cells) in self._cells.items():
            said = self._states.get(name)
            states.append(f"{name}: {done} of {cells} cells done" + (f", {said}" if said else ""))
        if self._total > 1:
            states.append(f"{self._ended} of {self._total} studies ended")
        self._spoken = time.monotonic()
        print(markup.terminal("; ".join(states)), flush=True)

    def close(self) -> None:
        pass


class _Bars:
    """A line for each notebook that is being executed, and a bar over all if there are several."""

    def __init__(self, total: int) -> None:
        self._all = self._bar("all", total, "studies", "|{bar:30}| ") if total > 1 else None
        self._one: dict[str, tqdm[Any]] = {}
        self._counts: dict[str, Counts] = {}

    def begin(self, name: str, cells: int) -> None:
        self._one[name] = self._bar(name, cells, "cells")

    def cell(self, name: str, done: int) -> None:
        bar = self._one[name]
        bar.n = done
        bar.set_postfix_str("")

    def text(self, name: str, line: str) -> None:
        self._one[name].set_postfix_str(markup.terminal(line), refresh=False)

    def runs(self, name: str, counts: Counts) -> None:
        self._counts[name] = counts
        if self._all is not None:
            self._all.set_postfix_str(counted(sum(self._counts.values(), Counts())), refresh=False)

    def say(self, name: str, line: str) -> None:
        tqdm.write(markup.terminal(f"{name}: {line}"), file=sys.stderr)

    def end(self, name: str, summary: str) -> None:
        bar = self._one.pop(name, None)
        if bar is not None:
            bar.close()
        self.say(name, summary)
        if self._all is not None:
            self._all.update()

    def tick(self) -> None:
        for bar in (*self._one.values(), self._all):
            if bar is not None:
                bar.refresh()

    def close(self) -> None:
        if self._all is not None:
            self._all.close()

    @staticmethod
    def _bar(name: str, total: int, unit: str, filled: str = "") -> tqdm[Any]:
        return tqdm(
            total=total,
            desc=name,
            unit=unit,
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
            bar_format="{desc}  " + filled + "{n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]",
        )
