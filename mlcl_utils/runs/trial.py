"""A trial of a search: training that stops early and can be continued, scored by the loss's own head every epoch."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch

from mlcl_utils import metrics, models, training
from mlcl_utils.data import Task
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.outcome import SPLITS, Outcome
from mlcl_utils.training import as_float16


def trial_of(config: RunConfig, task: Task, device: torch.device, checkpoint: bytes | None) -> Outcome:
    """Trains an arm until its ``stop``, from a checkpoint if there is one, and scores it by its own head.

    Every row of the history has ``validation_map`` and ``test_map`` beside the losses: the learning curve that replays
    of searches go over. A search sees the first alone, by the labels as they look to whoever does not know what was
    lost.

    Args:
        config: which arm, how it is trained, and where it stops.
        task: what it is trained on.
        device: where.
        checkpoint: of a trial of the same arm that stopped earlier; None to begin at the start.

    Raises:
        ValueError: the loss has no head of its own.
        TrainingError: a loss was not finite.
    """
    assert config.recipe is not None, "a trial needs a recipe"
    assert config.stop is not None, "a trial needs to know where it stops"
    run = training.Training(
        task,
        config.loss,
        config.recipe,
        encoder=config.encoder,
        hyperparameters=config.hyperparameters,
        seed=config.seed,
        device=device,
    )
    if checkpoint is not None:
        run.restore(torch.load(io.BytesIO(checkpoint), weights_only=True, map_location=device))
    inputs = models.encoder_class(config.encoder).inputs(task)
    labels = {"validation": task.validation.apparent, "test": task.test.labels}
    outcome = Outcome()
    while run.epoch < config.stop:
        run.advance(run.epoch + 1)
        for split in SPLITS:
            with torch.no_grad():
                model = run.fitted().model
                scores = model.scores(training.represent(model, inputs[split], device=device))
            if scores is None:
                raise ValueError(
                    f"the loss '{config.loss}' has no head of its own that could score every epoch"
                )
            kept = as_float16(scores).astype(np.float32)
            precision = metrics.average_precision(labels[split], kept)
            run.history[-1][f"{split}_map"] = float(np.nanmean(precision))
            outcome.heads.setdefault("direct", {})[split] = scores
    fitted = run.fitted()
    outcome.history = fitted.history
    outcome.facts.update(steps=fitted.steps, parameters=fitted.parameters)
    outcome.timings["time_training"] = fitted.time_seconds
    if run.epoch < run.epochs:
        outcome.checkpoint = _stored(run.checkpoint())
    return outcome


def measure_trial(history: list[dict[str, float]]) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The metrics of a trial after its last epoch, by their names in a run, and no resamples."""
    last = history[-1]
    return {"direct_validation_map": last["validation_map"], "direct_map": last["test_map"]}, {}


def _stored(checkpoint: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()
