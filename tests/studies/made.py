"""Stored runs with numbers that a test gives, and executions of studies that nothing is trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.studies.base import Study, StudyParameters
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.runs import Trained


def run(
    folder: Path, config: RunConfig, metrics: Mapping[str, float], arrays: Mapping[str, Any] | None = None
) -> Run:
    """A stored run with given metrics, and resamples of the scores among them that scatter a little."""
    place = folder / config.id
    place.mkdir(parents=True)
    noise = 0.002 * np.random.default_rng(config.replicate).normal(size=50)
    save_file(
        {
            name: (value + noise).astype(np.float32)
            for name, value in metrics.items()
            if name.endswith(("_map", "_f1", "_loss"))
        },
        place / "resamples.safetensors",
    )
    if arrays:
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            place / "arrays.safetensors",
        )
    facts = {"steps": 1, "parameters": 1, "probe_at_edge": False}
    timings = {"time_total": 1.0, "time_training": 1.0, "mem_peak_bytes": 1.0}
    return Run(config, dict(metrics), timings, facts, [], {"device": "cpu", "threads": 1}, place)


def execution(study: Study, parameters: StudyParameters, folder: Path, runs: Sequence[Run]) -> Execution:
    """An execution of a study with these runs, untuned."""
    found = Execution(study, parameters, folder)
    grid = Grid(list(runs), [], 0)
    found.trained = Trained(grid)
    return found
