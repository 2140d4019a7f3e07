"""Where runs are kept: a folder a run under ``<results>/runs/``, whole or absent."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from safetensors.numpy import save as as_bytes

from mlcl_utils.errors import DataError, StorageError
from mlcl_utils.locks import Lock
from mlcl_utils.paths import shown
from mlcl_utils.runs import archive
from mlcl_utils.runs.config import RunConfig

CHECKPOINT = "checkpoint.pt"
"""The file in the folder of a trial that holds what it can be continued from."""


@dataclass(frozen=True)
class Result:
    """What a run has found, before it is stored; the fields that a :class:`Run` has too are described there.

    Attributes:
        scores: float16 (examples, labels), by ``<head>.<split>``.
        resamples: float32 (resamples,), by the names of ``metrics``.
        arrays: what a picture of the run needs, by name.
        checkpoint: what a trial that stopped early can be continued from; None for other runs.
    """

    metrics: dict[str, float]
    timings: dict[str, float]
    facts: dict[str, Any]
    history: list[dict[str, float]]
    environment: dict[str, Any]
    scores: dict[str, np.ndarray]
    resamples: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    checkpoint: bytes | None = None


@dataclass(frozen=True)
class Run:
    """A finished run as it is stored.

    Attributes:
        config: what was run.
        metrics: metric values by name; those of a head carry its name as a prefix, such as ``probe_map``.
        timings: seconds by name, prefixed ``time_``, and bytes, prefixed ``mem_``.
        facts: what else the run found out, such as the probe's penalty.
        history: one row per epoch; empty for a baseline.
        environment: versions, device and threads.
        folder: where it lies.
    """

    config: RunConfig
    metrics: dict[str, float]
    timings: dict[str, float]
    facts: dict[str, Any]
    history: list[dict[str, float]]
    environment: dict[str, Any]
    folder: Path

    def scores(self) -> dict[str, np.ndarray]:
        """Float16 scores of shape (examples, labels), by ``<head>.<split>``, such as ``probe.test``.

        Raises:
            DataError: the run comes from an archive, which holds none.
        """
        path = self.folder / "scores.safetensors"
        if not path.is_file():
            raise DataError(
                f"the run in {self.folder} has no scores: it is from an archive; remove it to repeat it"
            )
        return load_file(path)

    def resamples(self) -> dict[str, np.ndarray]:
        """Main metrics in resamples of the test groups, by the names of ``metrics``: float32 (resamples,)."""
        return load_file(self.folder / "resamples.safetensors")

    def arrays(self) -> dict[str, np.ndarray]:
        """What else a run has kept, such as what is needed to draw its embeddings; nothing if it kept nothing."""
        path = self.folder / "arrays.safetensors"
        return load_file(path) if path.is_file() else {}

    def row(self) -> dict[str, Any]:
        """The run as a row of ``runs.csv``."""
        config = self.config.as_dict()
        recipe = config.pop("recipe") or {}
        del config["data_root"]
        hyperparameters = config.pop("hyperparameters")
        return {
            **config,
            **{f"loss_{name}": value for name, value in hyperparameters.items()},
            **recipe,
            "run": self.config.id,
            **self.metrics,
            **self.facts,
            **self.timings,
        }


class Store:
    """The runs under one results folder.

    Args:
        results: the results folder; ``runs/`` is made in it when the first run is written.
    """

    def __init__(self, results: Path) -> None:
        self.folder = results / "runs"

    def _path(self, config: RunConfig) -> Path:
        return self.folder / config.id

    def has(self, config: RunConfig) -> bool:
        """Whether the run exists, here or in an archive beside, from which it is then taken.

        One that was made before both readings were stored does not count.

        Raises:
            DataError: an archive is damaged.
        """
        return self._is_here(config) or self._take_from_archive(config)

    def _is_here(self, config: RunConfig) -> bool:
        try:
            stored = (self._path(config) / "run.json").read_text()
        except OSError:
            return False
        return config.is_baseline or config.stop is not None or '"linear_macro_f1_half"' in stored

    def _take_from_archive(self, config: RunConfig) -> bool:
        path = archive.find(self.folder.parent, config.id)
        if path is None:
            return False
        with self._writing():
            archive.extract(path, config.id, self._path(config))
        return self._is_here(config)

    def read(self, config: RunConfig) -> Run:
        """The stored run of a configuration.

        Raises:
            DataError: its files cannot be read.
        """
        # Of a user's data set the folder may be another by now: what counts is where it lies today.
        return dataclasses.replace(self._read(self._path(config)), config=config)

    def _read(self, folder: Path) -> Run:
        try:
            stored = json.loads((folder / "run.json").read_text())
            config = RunConfig.from_dict(stored.pop("config"))
            return Run(config=config, folder=folder, **stored)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"the run in {folder} cannot be read ({error}); remove that folder to repeat it"
            ) from error

    def lock(self, config: RunConfig) -> Lock:
        """The lock of a run: whoever makes it holds it until it is stored or has failed.

        Raises:
            StorageError: the folder of runs cannot be made.
        """
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
        return self._lock(config.id)

    def _lock(self, id: str) -> Lock:
        return Lock(self.folder / f".lock-{id}")

    def write(self, config: RunConfig, result: Result) -> Run:
        """Writes a run under a temporary name and renames it, so that it is whole or absent.

        Whoever writes a run holds its lock. What is left of one that has lost its ``run.json`` is replaced.

        Raises:
            StorageError: it cannot be written; nothing is left of it.
        """
        failure = self.failure(config)
        timings = dict(result.timings)
        if failure:
            timings["time_failed"] = failure[1]  # what earlier attempts cost is not forgotten
        plain = {name: getattr(result, name) for name in ("metrics", "facts", "history", "environment")}
        stored = {"config": config.as_dict(), "timings": timings, **plain}
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / f".writing-{config.id}"
            shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
            temporary.mkdir()
            try:
                kept = {"scores": result.scores, "resamples": result.resamples, "arrays": result.arrays}
                for name, parts in kept.items():
                    if name == "arrays" and not parts:
                        continue
                    contiguous = {key: np.ascontiguousarray(part) for key, part in parts.items()}
                    (temporary / f"{name}.safetensors").write_bytes(as_bytes(contiguous))
                if result.checkpoint is not None:
                    (temporary / CHECKPOINT).write_bytes(result.checkpoint)
                (temporary / "run.json").write_text(json.dumps(stored, indent=1) + "\n")
                if not self._is_here(config):  # a folder that has lost its run.json is no run, and in the way
                    with contextlib.suppress(FileNotFoundError):
                        shutil.rmtree(self._path(config))
                os.rename(temporary, self._path(config))
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            self._failure(config).unlink(missing_ok=True)
            self.kept(config).unlink(missing_ok=True)
        return self.read(config)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot write in '{shown(self.folder)}': {error.strerror or error}; "
                "what is stored is whole, and the same command goes on from there"
            ) from error

    def tidy(self) -> None:
        """Removes what processes that were killed have left half-written, where no other is at work on it."""
        failed = self.folder / "failed"
        with contextlib.suppress(OSError):  # where nothing can be removed, nothing can be written: said then
            for left in [
                *self.folder.glob(".lock-*"),
                *self.folder.glob(".writing-*"),
                *failed.glob(".writing-*"),
                *self.folder.glob(".kept-*.writing"),
            ]:
                lock = self._lock(left.name.rpartition("-")[2].removesuffix(".writing"))
                if lock.acquire():
                    if left.is_dir():
                        shutil.rmtree(left)
                    elif not left.name.startswith(".lock-"):
                        left.unlink(missing_ok=True)
                    lock.release()

    def checkpoint(self, config: RunConfig) -> bytes | None:
        """What a trial can be continued from: the checkpoint of that trial of the same arm which stopped latest before.

        Continuing is exact, so that a trial is the same whether it finds one or not.
        """
        for stop in range((config.stop or 1) - 1, 0, -1):
            path = self._path(dataclasses.replace(config, stop=stop)) / CHECKPOINT
            with contextlib.suppress(FileNotFoundError):
                return path.read_bytes()
        return None

    def kept(self, config: RunConfig) -> Path:
        """The file that a long training is kept in while it goes on; gone when the run is stored."""
        return self.folder / f".kept-{config.id}"

    def kept_files(self) -> list[Path]:
        """Files of long trainings that no process is at."""
        found = []
        for path in self.folder.glob(".kept-*"):
            lock = self._lock(path.name.removeprefix(".kept-"))
            if path.suffix != ".writing" and lock.acquire():
                found.append(path)
                lock.release()
        return found

    def remove_checkpoint(self, config: RunConfig) -> None:
        """Removes what a trial could be continued from; its scores stay."""
        (self._path(config) / CHECKPOINT).unlink(missing_ok=True)

    def _failure(self, config: RunConfig) -> Path:
        return self.folder / "failed" / f"{config.id}.json"

    def write_failure(self, config: RunConfig, *, error: str, seconds: float) -> None:
        """Records a run that failed, with its error and the time it took; time adds up over attempts.

        Raises:
            StorageError: it cannot be written.
        """
        path = self._failure(config)
        temporary = path.with_name(f".writing-{config.id}")
        before = self.failure(config)
        seconds += before[1] if before else 0.0
        stored = {"config": config.as_dict(), "error": error, "time_seconds": seconds}
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_text(json.dumps(stored))
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def failure(self, config: RunConfig) -> tuple[str, float] | None:
        """Error and seconds of a configuration that failed; None if it did not."""
        path = self._failure(config)
        if not path.is_file():
            return None
        stored = json.loads(path.read_text())
        return stored["error"], stored["time_seconds"]

    def of(self, ids: Iterable[str]) -> Iterator[Run]:
        """Those of some runs that are stored, by identity."""
        for id in ids:
            if (self.folder / id / "run.json").is_file():
                yield self._read(self.folder / id)

    def __iter__(self) -> Iterator[Run]:
        """Every stored run."""
        if self.folder.is_dir():
            for folder in sorted(self.folder.iterdir()):
                if (folder / "run.json").is_file():
                    yield self._read(folder)
