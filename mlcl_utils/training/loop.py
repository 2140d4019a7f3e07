"""Training of an encoder with a loss: one fixed budget of epochs, the same for every arm."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlcl_utils import losses
from mlcl_utils.data import Part, Task
from mlcl_utils.models import FrozenFeatures, Model
from mlcl_utils.training.recipe import Recipe


class TrainingError(RuntimeError):
    """Training that could not go on; the message names the epoch, the loss and the likely cause."""


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it got there.

    Attributes:
        model: in evaluation mode, on the device it was trained on.
        history: one row an epoch: ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate``.
        steps: optimisation steps made.
        parameters: number of trained parameters.
        time_seconds: wall time of the training loop.
    """

    model: Model
    history: list[dict[str, float]] = field(repr=False)
    steps: int
    parameters: int
    time_seconds: float


def _tensor(part: Part, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.features).to(device), torch.from_numpy(part.labels).to(device)


def untrained(
    task: Task, recipe: Recipe, *, tensors: tuple[str, ...] = (), seed: int, device: torch.device
) -> Model:
    """A model as it is before training: its weights are drawn from ``seed`` alone."""
    features = torch.from_numpy(task.train.features)
    mean, scale = features.mean(dim=0), features.std(dim=0)
    scale = torch.where(scale > 0, scale, 1.0)  # a constant feature carries nothing: leave it at zero
    axes = _axes((features - mean) / scale, min(recipe.width, features.shape[1]))
    positives = torch.from_numpy(task.train.labels == 1).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = FrozenFeatures(mean, scale, axes, dropout=recipe.dropout)
        return Model(encoder, tensors=tensors, prior=positives.mean(dim=0)).to(device)


def _axes(standard: Tensor, width: int) -> Tensor:
    """The (width, d) directions of largest variance of standardised features (n, d); all of them if width is d."""
    if width == standard.shape[1]:
        return torch.eye(width)
    _, directions = torch.linalg.eigh(standard.T @ standard / len(standard))  # in ascending order
    largest: Tensor = directions[:, -width:].T
    return largest


def fit(
    task: Task,
    loss: str,
    recipe: Recipe,
    *,
    hyperparameters: Mapping[str, Any],
    seed: int,
    device: torch.device,
) -> Fitted:
    """Trains an encoder and the heads of a loss on the training part of a task.

    On the CPU the same seed and number of threads give the same weights to the bit. On a GPU the arithmetic is
    bfloat16 autocast, the data lie on the device, and nothing waits for the device inside an epoch.

    Args:
        task: the examples and their labels.
        loss: a name of :func:`mlcl_utils.losses.available`.
        recipe: the budget and the optimiser's settings.
        hyperparameters: of the loss.
        seed: of initialisation, batch order and dropout.
        device: where to train.

    Raises:
        TrainingError: a loss was not finite.
    """
    criterion = losses.create(loss, **hyperparameters).to(device)
    tensors = losses.info(loss).tensors
    model = untrained(task, recipe, tensors=tensors, seed=seed, device=device)
    trained = [p for module in (model, criterion) for p in module.parameters()]
    optimiser = torch.optim.AdamW(
        trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=device.type == "cuda"
    )
    inputs, labels = _tensor(task.train, device)
    steps_per_epoch = recipe.steps_per_epoch(len(inputs))
    epochs = recipe.epochs_for(len(inputs))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_cosine(epochs * steps_per_epoch))
    order = torch.Generator().manual_seed(seed)
    history: list[dict[str, float]] = []
    start = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed + 1)  # dropout must not repeat the draws of the initialisation
        for epoch in range(epochs):
            model.train()
            total = torch.zeros((), device=device)
            rate = float(schedule.get_last_lr()[0])
            permutation = torch.randperm(len(inputs), generator=order).to(device)
            for batch in permutation.tensor_split(steps_per_epoch):
                with _autocast(device):
                    given = model(inputs[batch])
                try:
                    value = criterion(labels[batch], **given, epoch=epoch)
                except ValueError as error:  # on the CPU a loss refuses tensors that are not finite
                    raise _diverged(loss, epoch, recipe, str(error)) from error
                optimiser.zero_grad(set_to_none=True)
                value.backward()
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimiser.step()
                schedule.step()
                total += value.detach() * len(batch)
            mean = float(total) / len(inputs)  # the one wait for the device an epoch
            if not math.isfinite(mean):
                raise _diverged(loss, epoch, recipe, f"its mean was {mean}")
            history.append(
                {
                    "epoch": epoch,
                    "train_loss": mean,
                    "validation_loss": _loss_on(task.validation, model, criterion, recipe, epoch, device),
                    "learning_rate": rate,
                }
            )
    return Fitted(
        model=model.eval(),
        history=history,
        steps=epochs * steps_per_epoch,
        parameters=sum(p.numel() for p in trained),
        time_seconds=time.perf_counter() - start,
    )


def _diverged(loss: str, epoch: int, recipe: Recipe, detail: str) -> TrainingError:
    return TrainingError(
        f"the loss '{loss}' was not finite in epoch {epoch} ({detail}): a learning rate of {recipe.learning_rate:g} is"
        " probably too high, or a temperature too low, for it"
    )


def _warm_cosine(steps: int) -> Any:
    warm = max(1, round(0.05 * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

    return factor


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


@torch.no_grad()
def _loss_on(
    part: Part, model: Model, criterion: nn.Module, recipe: Recipe, epoch: int, device: torch.device
) -> float:
    """Mean loss over a part, in batches of the size of training: contrastive losses depend on it."""
    model.eval()
    inputs, labels = _tensor(part, device)
    total = torch.zeros((), device=device)
    for batch in torch.arange(len(inputs), device=device).tensor_split(recipe.steps_per_epoch(len(inputs))):
        with _autocast(device):
            given = model(inputs[batch])
        total += criterion(labels[batch], **given, epoch=epoch) * len(batch)
    return float(total) / len(inputs)


@torch.no_grad()
def represent(model: Model, part: Part, *, device: torch.device, batch_size: int = 4096) -> Tensor:
    """Representation of shape (n, width), before the projection, of every example of a part."""
    model.eval()
    inputs = torch.from_numpy(part.features).to(device)
    return torch.cat([model.encoder(batch) for batch in torch.split(inputs, batch_size)])


def as_float16(scores: Tensor) -> np.ndarray:
    """Scores as they are stored: float16, clipped to its range, so that what is measured is what is kept."""
    limit = torch.finfo(torch.float16).max
    return scores.float().clamp(-limit, limit).to(torch.float16).cpu().numpy()
