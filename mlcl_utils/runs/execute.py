"""One run, from its configuration to its stored folder."""

from __future__ import annotations

import functools
import math
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from mlcl_utils import data, metrics, stats, training
from mlcl_utils.data import Task
from mlcl_utils.models import Model
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.store import Run, Store
from mlcl_utils.training.loop import as_float16

SPLITS = ("validation", "test")

RESAMPLES = 200
"""Resamples of the test groups that are kept with every run."""


@functools.lru_cache(maxsize=8)
def task_of(dataset: str, num_labels: int, base_labels: int, replicate: int, train_fraction: float) -> Task:
    """The task of a run; kept, since neighbouring runs share it."""
    return data.task(
        dataset,
        num_labels=num_labels,
        base_labels=base_labels,
        replicate=replicate,
        train_fraction=train_fraction,
    )


def task_for(config: RunConfig) -> Task:
    """The task that a configuration is trained and measured on."""
    return task_of(
        config.dataset, config.num_labels, config.base_labels, config.replicate, config.train_fraction
    )


def execute(config: RunConfig, store: Store, *, device: str, threads: int = 1) -> Run:
    """Carries out a run and stores it.

    The number of threads is part of what makes a run repeatable: it is one unless said otherwise, whether runs go one
    after the other or side by side.

    Args:
        config: what to run.
        store: where it is kept.
        device: ``cpu`` or ``cuda``.
        threads: threads of the arithmetic on the CPU.

    Raises:
        Exception: whatever training raised, after the failure was recorded.
    """
    start = time.perf_counter()
    try:
        with _repeatable(threads):
            return _execute(config, store, torch.device(device), threads, start)
    except Exception as error:
        store.write_failure(
            config, error=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - start
        )
        raise


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


def _execute(config: RunConfig, store: Store, device: torch.device, threads: int, start: float) -> Run:
    task = task_for(config)
    facts: dict[str, Any] = {}
    timings: dict[str, float] = {}
    history: list[dict[str, float]] = []
    heads: dict[str, dict[str, Tensor]] = {}
    measured: dict[str, float] = {}

    def parts(name: str) -> tuple[Tensor, Tensor]:
        part = getattr(task, name)
        return torch.from_numpy(part.features).to(device), torch.from_numpy(part.labels).to(device)

    def probe(representations: dict[str, Tensor]) -> None:
        begun = time.perf_counter()
        fitted = training.fit_probe(
            representations["train"], parts("train")[1], representations["validation"], parts("validation")[1]
        )
        heads["probe"] = {split: fitted.scores(representations[split]) for split in SPLITS}
        facts.update(probe_penalty=fitted.penalty, probe_at_edge=fitted.at_edge)
        timings["time_probe"] = time.perf_counter() - begun

    if config.loss == "prior":
        labels = parts("train")[1]
        heads["direct"] = {
            split: training.prior(labels, len(getattr(task, split).labels)) for split in SPLITS
        }
    elif config.loss == "nearest_neighbours":
        inputs, labels = parts("train")
        heads["direct"] = {
            split: training.nearest_neighbours(inputs, labels, parts(split)[0]) for split in SPLITS
        }
    elif config.loss == "logistic_regression":
        probe({split: parts(split)[0] for split in ("train", *SPLITS)})
    else:
        assert config.recipe is not None, "a run with an encoder needs a recipe"
        model: Model
        if config.loss == "random_encoder":
            model = training.untrained(task, config.recipe, seed=config.seed, device=device)
        else:
            fitted = training.fit(
                task,
                config.loss,
                config.recipe,
                hyperparameters=config.hyperparameters,
                seed=config.seed,
                device=device,
            )
            model, history = fitted.model, fitted.history
            facts.update(steps=fitted.steps, parameters=fitted.parameters)
            timings["time_training"] = fitted.time_seconds
        representations = {
            split: training.represent(model, getattr(task, split), device=device)
            for split in ("train", *SPLITS)
        }
        probe(representations)
        with torch.no_grad():
            direct = {split: model.scores(representations[split]) for split in SPLITS}
            measured.update(_representation(model, representations["test"], task))
        if all(scores is not None for scores in direct.values()):
            heads["direct"] = {split: scores for split, scores in direct.items() if scores is not None}

    stored = {
        f"{head}.{split}": as_float16(scores)
        for head, by_split in heads.items()
        for split, scores in by_split.items()
    }
    values, resamples = measure(task, stored, base_labels=config.base_labels)
    measured.update(values)
    timings["time_total"] = time.perf_counter() - start
    timings["mem_peak_bytes"] = float(_peak_memory(device))
    return store.write(
        config,
        metrics={name: float(value) for name, value in measured.items() if math.isfinite(value)},
        timings=timings,
        facts=facts,
        history=history,
        environment=_environment(device, threads),
        scores=stored,
        resamples=resamples,
    )


def measure(
    task: Task, scores: dict[str, np.ndarray], *, base_labels: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Every metric of a run from its stored scores, and the main ones in resamples of the test groups.

    Metrics are named ``<head>_<metric>``; ``<head>_validation_map`` stands beside them. Beside the bands of
    frequency, ``base`` is the labels of the smallest space of the sweep, so that the same labels can be
    followed while the space grows. Thresholds are tuned on validation.

    Args:
        task: what was trained on.
        scores: float16 (examples, labels), by ``<head>.<split>``.
        base_labels: number of labels of the smallest space.

    Returns:
        Metrics by name, and float32 (resamples,) for those that are resampled.
    """
    labels = np.arange(len(task.label_names))
    bands = {name: np.isin(labels, where) for name, where in task.bands().items()}
    bands["base"] = labels < base_labels
    weights = stats.group_weights(task.test.groups, resamples=RESAMPLES)
    measured: dict[str, float] = {}
    resampled: dict[str, np.ndarray] = {}
    for head in sorted({name.split(".")[0] for name in scores}):
        validation, test = (scores[f"{head}.{split}"].astype(np.float32) for split in SPLITS)
        thresholds = metrics.tune_thresholds(task.validation.labels, validation)
        for name, value in metrics.evaluate(task.test.labels, test, thresholds, bands=bands).items():
            measured[f"{head}_{name}"] = value
        measured[f"{head}_validation_map"] = _map(task.validation.labels, validation)
        drawn = stats.resample_metrics(task.test.labels, test, thresholds.overall, weights, bands=bands)
        resampled.update({f"{head}_{name}": values.astype(np.float32) for name, values in drawn.items()})
    return measured, resampled


def _map(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(np.nanmean(metrics.average_precision(labels, scores)))


def _representation(model: Model, representation: Tensor, task: Task) -> dict[str, float]:
    """Geometry of the test part: of the embeddings where the loss has them, else of the representation."""
    embeddings = model.heads(representation).get("embeddings", representation)
    return metrics.describe_representation(embeddings.float().cpu().numpy(), task.test.labels)


def _peak_memory(device: torch.device) -> int:
    """Peak bytes on the device, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _environment(device: torch.device, threads: int) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": threads,
    }
