"""One run, from its configuration to its result."""

from __future__ import annotations

import functools
import math
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from mlcl_utils import data, metrics, stats
from mlcl_utils.data import Dataset, Task
from mlcl_utils.data.emoji import leave_family_out
from mlcl_utils.errors import UsageError
from mlcl_utils.metrics.thresholds import HALF
from mlcl_utils.processes import peak_memory
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.outcome import SPLITS, outcome_of
from mlcl_utils.runs.own_head import at_half
from mlcl_utils.runs.store import Result
from mlcl_utils.runs.trial import measure_trial, trial_of
from mlcl_utils.training import as_float16, parallel

RESAMPLES = 200
"""Resamples of the test groups that are kept with every run."""


TASK = ("num_labels", "base_labels", "replicate", "train_fraction", "label_draw", "label_pool")
"""The fields of a configuration that, with the data set, say which label space is learnt, on which examples."""


def task_for(config: RunConfig) -> Task:
    """The task that a configuration is trained and measured on; the seed says which of its positives are lost."""
    dataset = data.load(config.dataset, config.data_root)
    matched_to = None if config.matched_to is None else data.load(config.matched_to, config.data_root)
    options = {name: getattr(config, name) for name in TASK}
    return data.lose_positives(
        _task(dataset, config.held_out, matched_to, **options),
        kept_share=config.kept_share,
        one_positive=config.one_positive,
        clean_validation=config.clean_validation,
        seed=config.seed,
    )


@functools.lru_cache(maxsize=8)
def _task(dataset: Dataset, held_out: str | None, matched_to: Dataset | None, **options: Any) -> Task:
    """A task; kept, since neighbouring runs share it."""
    if matched_to is not None:
        return _matched_task(dataset, matched_to, held_out=held_out, **options)
    whole = data.task(dataset, **options)
    return whole if held_out is None else leave_family_out(whole, dataset, held_out)


def _matched_task(
    dataset: Dataset, matched_to: Dataset, *, num_labels: int, replicate: int, **others: Any
) -> Task:
    """A task that is matched to one of another data set; nothing else of a task can be varied then."""
    usual = {"train_fraction": 1.0, "label_draw": None, "label_pool": None, "held_out": None}
    for name, value in usual.items():
        if others[name] != value:
            raise UsageError(f"{name}={others[name]}: a task that is matched to another is taken whole")
    return data.matched_task(dataset, matched_to, num_labels=num_labels, replicate=replicate)


def execute(
    config: RunConfig,
    *,
    device: str,
    threads: int = 1,
    checkpoint: bytes | None = None,
    keep: Path | None = None,
) -> Result:
    """Makes a run.

    The number of threads is part of what makes a run repeatable: it is one unless said otherwise, whether runs go one
    after the other or side by side.

    Args:
        config: what to run.
        device: ``cpu`` or ``cuda``.
        threads: threads of the arithmetic on the CPU.
        checkpoint: what a trial continues from; None for the start.
        keep: a file that a long training is kept in from time to time, and goes on from if it is there.

    Raises:
        Exception: whatever training raised.
    """
    start = time.perf_counter()
    with _repeatable(threads):
        return _execute(config, torch.device(device), threads, start, checkpoint, keep)


@contextmanager
def _repeatable(threads: int) -> Iterator[None]:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def _execute(
    config: RunConfig,
    device: torch.device,
    threads: int,
    start: float,
    checkpoint: bytes | None,
    keep: Path | None,
) -> Result:
    task = task_for(config)
    is_trial = config.stop is not None
    outcome = (
        trial_of(config, task, device, checkpoint) if is_trial else outcome_of(config, task, device, keep)
    )
    scores = {
        f"{head}.{split}": as_float16(by_split[split])
        for head, by_split in outcome.heads.items()
        for split in by_split
    }
    if is_trial:
        measured, resamples = measure_trial(outcome.history)
    else:
        measured, resamples = measure(
            task, scores, base_labels=0 if config.label_draw is not None else config.base_labels
        )
        for head, by_split in outcome.at_half.items():
            found, drawn = measure_at_half(task, head, by_split)
            measured |= found
            resamples |= drawn
    timings = {
        **outcome.timings,
        "time_total": time.perf_counter() - start,
        "mem_peak_bytes": float(_peak_memory(device)),
    }
    return Result(
        metrics={
            name: float(value)
            for name, value in {**measured, **outcome.geometry}.items()
            if math.isfinite(value)
        },
        timings=timings,
        facts={
            "examples_train": len(task.train),
            "examples_validation": len(task.validation),
            "examples_test": len(task.test),
            **outcome.facts,
        },
        history=outcome.history,
        environment=_environment(device, threads),
        scores=scores,
        resamples=resamples,
        checkpoint=outcome.checkpoint,
        arrays=outcome.arrays,
    )


def measure(
    task: Task, scores: dict[str, np.ndarray], *, base_labels: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Every metric of a run from its stored scores, and the main ones in resamples of the test groups.

    Metrics are named ``<head>_<metric>``; ``<head>_validation_map`` is next to them. Beside the bands of
    frequency, ``base`` is the labels of the smallest space of the sweep, so that the same labels can be
    followed while the space grows. On texts, ``<head>_map_named`` counts only those positives whose label the
    text names, ``<head>_map_unnamed`` only the others, the rest being left out as if unobserved; since mAP also
    depends on how many positives are counted, ``<head>_recall_*`` says which share of each kind is found at the
    threshold.
    Thresholds are tuned on validation, as it looks to whoever does not know what it has lost.

    Args:
        task: what was trained on.
        scores: float16 (examples, labels), by ``<head>.<split>``.
        base_labels: number of labels of the smallest space of a sweep, which come first; 0 if there is no such.

    Returns:
        Metrics by name, and float32 (resamples,) for those that are resampled.
    """
    labels = np.arange(len(task.label_names))
    bands = {name: np.isin(labels, where) for name, where in task.bands().items()}
    if base_labels:
        bands["base"] = labels < base_labels
    weights = _weights(task.test.groups.tobytes(), task.test.groups.dtype.str)
    measured: dict[str, float] = {}
    resampled: dict[str, np.ndarray] = {}
    for head in sorted({name.split(".")[0] for name in scores}):
        validation, test = (scores[f"{head}.{split}"].astype(np.float32) for split in SPLITS)
        thresholds = metrics.tune_thresholds(task.validation.apparent, validation)
        for name, value in metrics.evaluate(task.test.labels, test, thresholds, bands=bands).items():
            measured[f"{head}_{name}"] = value
        measured[f"{head}_validation_map"] = _map(task.validation.apparent, validation)
        own = validation >= thresholds.per_label
        measured[f"{head}_validation_macro_f1_per_label"] = metrics.macro_f1(task.validation.apparent, own)
        measured[f"{head}_labels_fallen_back"] = float(thresholds.fallback.sum())
        for kind, counted in _by_naming(task).items():
            measured[f"{head}_map_{kind}"] = _map(counted, test)
            if (counted == 1).any():
                measured[f"{head}_recall_{kind}"] = float((test >= thresholds.overall)[counted == 1].mean())
        drawn = stats.resample_metrics(
            task.test.labels, test, thresholds.overall, weights, bands=bands, per_label=thresholds.per_label
        )
        resampled.update({f"{head}_{name}": values.astype(np.float32) for name, values in drawn.items()})
    return measured, resampled


@functools.lru_cache(maxsize=2)
def _weights(groups: bytes, kind: str) -> np.ndarray:
    """Resamples of test groups; kept, since neighbouring runs are tested on the same."""
    return stats.group_weights(np.frombuffer(groups, dtype=kind), resamples=RESAMPLES)


def measure_at_half(
    task: Task, head: str, scores: Mapping[str, Tensor]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The metrics of a head that is read at a threshold of one half alone, and macro-F1 in resamples.

    Args:
        task: what was trained on.
        head: its name, which begins the metrics'.
        scores: (examples, labels), by split.
    """
    validation, test = (as_float16(scores[split]).astype(np.float32) for split in SPLITS)
    measured = {f"{head}_{name}": value for name, value in at_half(task.test.labels, test).items()}
    tuned = at_half(task.validation.apparent, validation)["micro_f1_half"]
    weights = _weights(task.test.groups.tobytes(), task.test.groups.dtype.str)
    drawn = stats.resample_f1(task.test.labels, test >= HALF, weights).astype(np.float32)
    return {**measured, f"{head}_validation_micro_f1_half": tuned}, {f"{head}_macro_f1_half": drawn}


def _by_naming(task: Task) -> dict[str, np.ndarray]:
    """Test labels with the positives of one kind alone, named in the text or not; nothing for images."""
    labels, named = task.test.labels, task.test.named
    if named is None:
        return {}
    return {"named": np.where((labels == 1) & ~named, -1, labels), "unnamed": np.where(named, -1, labels)}


def _map(labels: np.ndarray, scores: np.ndarray) -> float:
    found = metrics.average_precision(labels, scores)
    return float(found[~np.isnan(found)].mean()) if not np.isnan(found).all() else math.nan


def _peak_memory(device: torch.device) -> int:
    """Peak bytes on the device, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()


def _environment(device: torch.device, threads: int) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "devices": parallel.size(),
        "threads": threads,
    }
