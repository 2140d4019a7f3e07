"""Where runs are kept: a folder a run under ``<results>/runs/``, whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from mlcl_utils.errors import DataError
from mlcl_utils.runs.config import RunConfig


@dataclass(frozen=True)
class Run:
    """A finished run as it is stored.

    Attributes:
        config: what was run.
        metrics: metric values by name; those of a head carry its name as a prefix, such as ``probe_map``.
        timings: seconds by name, prefixed ``time_``, and bytes, prefixed ``mem_``.
        facts: what else the run found out, such as the probe's penalty.
        history: one row an epoch; empty for a baseline.
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
        """Float16 scores of shape (examples, labels), by ``<head>.<split>``, such as ``probe.test``."""
        return load_file(self.folder / "scores.safetensors")

    def resamples(self) -> dict[str, np.ndarray]:
        """Main metrics in resamples of the test groups, by the names of ``metrics``: float32 (resamples,)."""
        return load_file(self.folder / "resamples.safetensors")

    def row(self) -> dict[str, Any]:
        """The run as a row of ``runs.csv``."""
        config = self.config.as_dict()
        recipe = config.pop("recipe") or {}
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
        """Whether the run exists."""
        return (self._path(config) / "run.json").is_file()

    def read(self, config: RunConfig) -> Run:
        """The stored run of a configuration.

        Raises:
            DataError: its files cannot be read.
        """
        return self._read(self._path(config))

    def _read(self, folder: Path) -> Run:
        try:
            stored = json.loads((folder / "run.json").read_text())
            config = RunConfig.from_dict(stored.pop("config"))
            return Run(config=config, folder=folder, **stored)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"the run in {folder} cannot be read ({error}); remove that folder to repeat it"
            ) from error

    def write(
        self,
        config: RunConfig,
        *,
        metrics: dict[str, float],
        timings: dict[str, float],
        facts: dict[str, Any],
        history: list[dict[str, float]],
        environment: dict[str, Any],
        scores: dict[str, np.ndarray],
        resamples: dict[str, np.ndarray],
    ) -> Run:
        """Writes a run under a temporary name and renames it, so that it is whole or absent."""
        failure = self.failure(config)
        if failure:
            timings = {**timings, "time_failed": failure[1]}  # what earlier attempts cost is not forgotten
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.folder))
        try:
            for name, arrays in (("scores", scores), ("resamples", resamples)):
                contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
                save_file(contiguous, temporary / f"{name}.safetensors")
            stored = {
                "config": config.as_dict(),
                "metrics": metrics,
                "timings": timings,
                "facts": facts,
                "history": history,
                "environment": environment,
            }
            (temporary / "run.json").write_text(json.dumps(stored, indent=1) + "\n")
            final = self._path(config)
            try:
                os.rename(temporary, final)
            except OSError:
                # another process finished the same run first; its results are the same
                if not self.has(config):
                    raise
                shutil.rmtree(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._failure(config).unlink(missing_ok=True)
        return self.read(config)

    def _failure(self, config: RunConfig) -> Path:
        return self.folder / "failed" / f"{config.id}.json"

    def write_failure(self, config: RunConfig, *, error: str, seconds: float) -> None:
        """Records a run that failed, with its error and the time it took; time adds up over attempts."""
        path = self._failure(config)
        path.parent.mkdir(parents=True, exist_ok=True)
        seconds += json.loads(path.read_text())["time_seconds"] if path.is_file() else 0.0
        temporary = path.with_suffix(".writing")
        temporary.write_text(
            json.dumps({"config": config.as_dict(), "error": error, "time_seconds": seconds})
        )
        os.replace(temporary, path)

    def failure(self, config: RunConfig) -> tuple[str, float] | None:
        """Error and seconds of a configuration that failed; None if it did not."""
        path = self._failure(config)
        if not path.is_file():
            return None
        stored = json.loads(path.read_text())
        return stored["error"], stored["time_seconds"]

    def __iter__(self) -> Iterator[Run]:
        """Every stored run."""
        if self.folder.is_dir():
            for folder in sorted(self.folder.iterdir()):
                if (folder / "run.json").is_file():
                    yield self._read(folder)
