"""A long training is kept from time to time, so that one that was killed goes on from there, and says how far it is."""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import nn

from mlcl_utils.training import parallel

KEEP_SECONDS = 60.0
"""Training time after which, at the end of an epoch, it is kept again."""

SAY_SECONDS = 10.0
"""Seconds an epoch takes at least for its end to be said."""


class Kept(Protocol):
    """A training that can be kept: :class:`mlcl_utils.training.Training`, whose attributes these are."""

    @property
    def model(self) -> nn.Module:
        """Being trained."""

    @property
    def epoch(self) -> int:
        """Epochs made so far."""

    @property
    def epochs(self) -> int:
        """Epochs of the whole budget."""

    @property
    def history(self) -> Sequence[Mapping[str, float]]:
        """One row for each epoch made."""

    def checkpoint(self) -> dict[str, Any]:
        """All that :meth:`restore` needs."""

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of a training with the same arguments."""


class Keeper:
    """Keeps a training in a file, and continues one that is kept there.

    Continuing is exact: killed and continued training gives the weights of one that ran through.

    Args:
        path: the file; None to keep nothing. Its folder exists, or nothing is kept.
        training: what is kept; it is at its start, or goes on from the file when this is entered.
    """

    def __init__(self, path: Path | None, training: Kept) -> None:
        self._path = path if path is not None and path.parent.is_dir() else None
        self._training = training
        self._kept = self._said = time.perf_counter()

    def __enter__(self) -> Self:
        if self._path is not None and self._path.is_file():
            kept = None
            # written whole or not at all; if it cannot be read all the same, the training begins again
            with contextlib.suppress(RuntimeError, OSError, EOFError, pickle.UnpicklingError):
                kept = torch.load(self._path, map_location="cpu", weights_only=True)
            if isinstance(kept, dict) and kept.get("made") == self._made():
                self._training.restore(kept["training"])
        return self

    def _made(self) -> list[str]:
        """What a training has to share with one that was kept to go on from it."""
        names = [f"{name} {tuple(value.shape)}" for name, value in self._training.model.state_dict().items()]
        device = next(self._training.model.parameters()).device.type
        return [
            device,
            str(parallel.size()),
            str(torch.__version__),
            str(zlib.crc32("\n".join(names).encode())),
        ]

    def after_epoch(self) -> None:
        """Say how far the training is, and keep it if the last time was long ago."""
        training, now = self._training, time.perf_counter()
        if now - self._said >= SAY_SECONDS and parallel.rank() == 0:
            row = training.history[-1]
            left = (training.epochs - training.epoch) * (now - self._said)
            print(
                f"epoch {training.epoch} of {training.epochs}: loss {row['train_loss']:.4g}, validation "
                f"{row['validation_loss']:.4g}, about {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
        self._said = now
        due = training.epoch < training.epochs and now - self._kept >= KEEP_SECONDS
        if self._path is not None and parallel.agreed(due):
            self._write(self._path)
            self._kept = time.perf_counter()

    def _write(self, path: Path) -> None:
        checkpoint = {"made": self._made(), "training": self._training.checkpoint()}
        if parallel.rank() == 0:
            temporary = path.with_name(f"{path.name}.writing")
            torch.save(checkpoint, temporary)
            os.replace(temporary, path)

    def __exit__(self, *_: object) -> None:
        """What is kept stays: it is removed when the run is stored."""
