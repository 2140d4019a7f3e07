"""What an engine is given: the order to do a run; and what it gives back where no result comes of it: a failure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlcl_utils.runs.config import RunConfig


@dataclass(frozen=True)
class Failure:
    """A run that came to no result.

    Attributes:
        error: why, in one line.
        seconds: what it cost.
        lost: whether the process or machine that ran it is to blame, such as a process that was killed; it may well
            succeed another time.
    """

    error: str
    seconds: float
    lost: bool = False


@dataclass(frozen=True)
class Order:
    """A run to do.

    Attributes:
        config: what to run.
        checkpoint: what a trial continues from; None for the start.
        keep: a file that a long training is kept in, and goes on from if it is there; None to keep nothing.
    """

    config: RunConfig
    checkpoint: bytes | None = None
    keep: Path | None = None
