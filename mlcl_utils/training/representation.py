"""Representations: of a model before training, of examples by a model, and scores as they are kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mlcl_utils import models
from mlcl_utils.data import Task
from mlcl_utils.models import Model
from mlcl_utils.models.encoder import Inputs
from mlcl_utils.training.batches import Batches
from mlcl_utils.training.recipe import Recipe


def untrained(
    task: Task,
    recipe: Recipe,
    *,
    encoder: str = "frozen",
    tensors: tuple[str, ...] = (),
    at_half: bool = False,
    seed: int,
    device: torch.device,
) -> Model:
    """A model as it is before training: its weights are drawn from ``seed`` alone, or those of a pretrained encoder.

    Args:
        task: its training part gives what the encoder standardises by, and the prior.
        recipe: gives width, dropout and augmentation, and what kind of head and prototypes it has.
        encoder: a name that :func:`mlcl_utils.models.encoder_class` takes.
        tensors: what its heads give.
        at_half: whether the classifier's bias starts at zero, not at the logit of the prior.
        seed: of the weights.
        device: where it is put.
    """
    kind = models.encoder_class(encoder)
    inputs = kind.inputs(task)["train"]
    prior = torch.from_numpy(task.train.labels == 1).float().mean(dim=0)
    prior = torch.full_like(prior, 0.5) if at_half else prior
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(
            kind.create(inputs, width=recipe.width, dropout=recipe.dropout, augment=recipe.augment),
            tensors=tensors,
            prior=prior,
            head=recipe.head,
            prototypes=recipe.prototypes,
        ).to(device)


@torch.no_grad()
def represent(model: Model, inputs: Inputs, *, device: torch.device) -> Tensor:
    """Representation of shape (n, width), before the projection, of inputs of n examples.

    Args:
        model: put into evaluation mode.
        inputs: what its encoder reads.
        device: where the model is.
    """
    model.eval()
    batches = torch.split(torch.arange(len(inputs)), model.encoder.evaluation_batch)
    return torch.cat([model.encoder(batch) for batch in Batches(inputs, device).over(batches)])


def as_float16(scores: Tensor) -> np.ndarray:
    """Scores as they are stored: float16, clipped to its range, so that what is measured is what is kept."""
    limit = torch.finfo(torch.float16).max
    return scores.float().clamp(-limit, limit).to(torch.float16).cpu().numpy()
