"""Objectives whose winner is known, and a search in a process of its own that can be killed at any point."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from mlcl_utils import search
from mlcl_utils.search.journal import Journal

SPACE = search.Space.from_dict(
    {
        "rate": {"type": "log-uniform", "low": 1e-4, "high": 1},
        "kind": {"type": "choice", "values": ["plain", "deep"]},
        "depth": {"type": "integer", "low": 1, "high": 8, "when": {"kind": "deep"}},
    }
)


def limit(config) -> float:
    """What a configuration reaches in the end; best at a rate of 0.01 and, if deep, at depth 4."""
    height = SPACE.dimensions["rate"].position(config["rate"])
    return 1 - abs(height - 0.5) + (0.1 - 0.03 * abs(config["depth"] - 4) if "depth" in config else 0.0)


def evaluate(config, resource, checkpoint):
    """A learning curve that rises to its limit; the checkpoint says where it stands, and the step must follow it."""
    reached = 0 if checkpoint is None else int(checkpoint.removeprefix("at "))
    assert reached < resource
    return limit(config) * (1 - 0.5**resource), f"at {resource}"


class DyingJournal(Journal):
    """A journal whose process is killed in the middle of a line."""

    lines_left = 0

    def _write(self, record) -> None:
        if self.lines_left == 0:
            line = json.dumps(record, separators=(",", ":")).encode()
            os.write(self._file, line[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        type(self).lines_left -= 1
        super()._write(record)


def main(method: str, journal: str, dies_after: str = "") -> None:
    """A search that says each evaluation it really makes and waits for a line before it goes on."""
    if dies_after:
        from mlcl_utils.search import conduct

        DyingJournal.lines_left = int(dies_after)
        conduct.Journal = DyingJournal

    def spoken(config, resource, checkpoint):
        print("evaluating", flush=True)
        sys.stdin.readline()
        return evaluate(config, resource, checkpoint)

    result = search.METHODS[method](9, 3, SPACE.sampler(seed=5), spoken, journal=Path(journal))
    print("best", result.best.trial, result.best.resource, repr(result.best.score), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
