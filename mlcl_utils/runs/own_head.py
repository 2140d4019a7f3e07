"""The own head along training: the reading of the original papers takes it at its best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlcl_utils import metrics, training
from mlcl_utils.data import Task
from mlcl_utils.metrics.thresholds import HALF
from mlcl_utils.training import Training, as_float16, parallel

SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Shares of the epochs after which the own head is read."""


def at_half(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Macro- and micro-F1 at a threshold of one half, which nothing tunes."""
    predicted = scores >= HALF
    return {
        "macro_f1_half": metrics.macro_f1(labels, predicted),
        "micro_f1_half": metrics.micro_f1(labels, predicted),
    }


@dataclass(frozen=True)
class OwnHead:
    """Reads the own head at six checkpoints, into the history, and keeps the scores of the best.

    The best has the highest micro-F1 at one half on validation, the first of equals.

    Attributes:
        task: what is trained on.
        inputs: of validation and test, as the encoder reads them.
        device: where the model is.
    """

    task: Task
    inputs: Mapping[str, Any]
    device: torch.device

    def __call__(self, run: Training) -> None:
        """Reads the head if a checkpoint has been reached."""
        if run.epoch not in {math.ceil(share * run.epochs) for share in SHARES} or parallel.rank():
            return
        model = run.fitted().model
        scores: dict[str, Tensor] = {}
        for split in ("validation", "test"):
            with torch.no_grad():
                found = model.scores(training.represent(model, self.inputs[split], device=self.device))
            if found is None:
                return
            scores[split] = found.cpu()
        labels = {"validation": self.task.validation.apparent, "test": self.task.test.labels}
        read = {
            split: at_half(labels[split], as_float16(each).astype(np.float32))
            for split, each in scores.items()
        }
        by = read["validation"]["micro_f1_half"]
        run.history[-1] |= {f"own_{name}": value for name, value in read["test"].items()}
        run.history[-1]["own_validation_micro_f1_half"] = by
        if by > run.observed.get("validation_micro_f1_half", -1.0):
            best = {"epoch": run.epoch, "validation_micro_f1_half": by, "scores": scores}
            run.observed = {**run.observed, **best}
