"""The best checkpoint of a training, by the same rule for every loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mlcl_utils import training
from mlcl_utils.data import Task
from mlcl_utils.runs.own_head import SHARES
from mlcl_utils.training import Training, parallel


@dataclass(frozen=True)
class BestOfSix:
    """Keeps the weights of that of six checkpoints whose representation a ridge classifier reads best.

    By mAP on validation, the first of equals; a loss's own head has no say in it, and none needs one.

    Attributes:
        task: what is trained on.
        inputs: of training and validation, as the encoder reads them.
        device: where the model is.
    """

    task: Task
    inputs: Mapping[str, Any]
    device: torch.device

    def __call__(self, run: Training) -> None:
        """Reads the representation if a checkpoint has been reached."""
        if run.epoch not in {math.ceil(share * run.epochs) for share in SHARES} or parallel.rank():
            return
        model = run.fitted().model
        parts = [
            training.represent(model, self.inputs[name], device=self.device)
            for name in ("train", "validation")
        ]
        labels = [torch.from_numpy(getattr(self.task, name).apparent) for name in ("train", "validation")]
        score = training.ridge_map(parts[0], labels[0], parts[1], labels[1])
        run.history[-1]["ridge_validation_map"] = score
        if score > run.observed.get("best_score", -1.0):
            weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
            run.observed = {**run.observed, "best_score": score, "best_epoch": run.epoch, "best": weights}
