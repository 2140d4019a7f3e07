"""Training of an encoder with a loss: one fixed budget of epochs, the same for every arm."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mlcl_utils import losses, models
from mlcl_utils.data import Task
from mlcl_utils.losses.correction import Correction
from mlcl_utils.models import Model
from mlcl_utils.training.recipe import Recipe


class TrainingError(RuntimeError):
    """Training that could not go on; the message names the epoch, the loss and the likely cause."""


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it got there.

    Attributes:
        model: in evaluation mode, on the device it was trained on.
        history: one row an epoch: ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate``; where positives
            were lost and the loss corrects labels, also the counts of :meth:`Training._correction`.
        steps: optimisation steps made.
        parameters: number of trained parameters.
        time_seconds: wall time of the training loop.
    """

    model: Model
    history: list[dict[str, float]] = field(repr=False)
    steps: int
    parameters: int
    time_seconds: float


def untrained(
    task: Task,
    recipe: Recipe,
    *,
    encoder: str = "frozen",
    tensors: tuple[str, ...] = (),
    seed: int,
    device: torch.device,
) -> Model:
    """A model as it is before training: its weights are drawn from ``seed`` alone.

    Args:
        task: its training part gives what the encoder standardises by, and the prior.
        recipe: gives width and dropout.
        encoder: a name of :func:`mlcl_utils.models.encoder_names`.
        tensors: what its heads give.
        seed: of the weights.
        device: where it is put.
    """
    kind = models.encoder_class(encoder)
    inputs = kind.inputs(task)["train"]
    positives = torch.from_numpy(task.train.labels == 1).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(kind.create(inputs, recipe), tensors=tensors, prior=positives.mean(dim=0)).to(device)


class Training:
    """Training of an encoder and the heads of a loss, which can be stopped after any epoch and continued exactly.

    On the CPU the same seed and number of threads give the same weights to the bit, however often training was stopped
    in between. On a GPU the arithmetic is bfloat16 autocast, the data lie on the device, and nothing waits for the
    device inside an epoch. The schedule's horizon is the whole budget, whatever part of it is used.

    Args:
        task: the examples and their labels.
        loss: a name of :func:`mlcl_utils.losses.available`.
        recipe: the budget and the optimiser's settings.
        encoder: a name of :func:`mlcl_utils.models.encoder_names`.
        hyperparameters: of the loss.
        seed: of initialisation, batch order and dropout.
        device: where to train.

    Attributes:
        model: being trained.
        epoch: epochs made so far.
        epochs: epochs of the whole budget.
        history: one row for each epoch made.
    """

    def __init__(
        self,
        task: Task,
        loss: str,
        recipe: Recipe,
        *,
        encoder: str = "frozen",
        hyperparameters: Mapping[str, Any],
        seed: int,
        device: torch.device,
    ) -> None:
        self._loss, self._recipe, self._device = loss, recipe, device
        self._criterion = losses.create(loss, **hyperparameters).to(device)
        tensors = losses.info(loss).tensors
        self.model = untrained(task, recipe, encoder=encoder, tensors=tensors, seed=seed, device=device)
        inputs = models.encoder_class(encoder).inputs(task)
        self._inputs = {split: inputs[split].to(device) for split in ("train", "validation")}
        self._labels = {
            split: torch.from_numpy(getattr(task, split).labels).to(device) for split in self._inputs
        }
        truth = task.train.truth
        self._truth = None if truth is None else torch.from_numpy(truth == 1).to(device)
        examples = len(self._inputs["train"])
        self._steps_per_epoch = recipe.steps_per_epoch(examples)
        self.epoch, self.epochs = 0, recipe.epochs_for(examples)
        self.history: list[dict[str, float]] = []
        self._optimisers = _optimisers((self.model, self._criterion), recipe, device)
        self._order = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=self._cuda):
            torch.manual_seed(seed + 1)  # dropout must not repeat the draws of the initialisation
            self._random = self._random_now()
        self._seconds = 0.0

    @property
    def _cuda(self) -> list[torch.device]:
        return [self._device] if self._device.type == "cuda" else []

    def _random_now(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._cuda)]

    @contextmanager
    def _random_state(self) -> Iterator[None]:
        """The training's own random state in place of the caller's, kept from one epoch to the next."""
        with torch.random.fork_rng(devices=self._cuda):
            torch.set_rng_state(self._random[0])
            for device, state in zip(self._cuda, self._random[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            self._random = self._random_now()

    def advance(self, epochs: int | None = None) -> None:
        """Trains until so many epochs are made in all.

        Args:
            epochs: at most those of the budget; None for all of them.

        Raises:
            TrainingError: a loss was not finite.
            ValueError: more epochs than the budget has.
        """
        target = self.epochs if epochs is None else epochs
        if target > self.epochs:
            raise ValueError(f"epochs={epochs} is more than the {self.epochs} of the budget")
        start = time.perf_counter()
        with self._random_state():
            while self.epoch < target:
                self._train_one_epoch()
        self._seconds += time.perf_counter() - start
        self.model.eval()

    def _train_one_epoch(self) -> None:
        self.model.train()
        inputs, labels = self._inputs["train"], self._labels["train"]
        dense = [p for group in self._optimisers[0].param_groups for p in group["params"]]
        total = torch.zeros((), device=self._device)
        rate = self._recipe.learning_rate * self._factor(self.epoch * self._steps_per_epoch)
        permutation = torch.randperm(len(inputs), generator=self._order).to(self._device)
        for number, batch in enumerate(permutation.tensor_split(self._steps_per_epoch)):
            self._set_rate(self.epoch * self._steps_per_epoch + number)
            with _autocast(self._device):
                given = self.model(inputs[batch])
            try:
                value = self._criterion(labels[batch], **given, epoch=self.epoch)
            except ValueError as error:  # on the CPU a loss refuses tensors that are not finite
                raise _diverged(self._loss, self.epoch, self._recipe, str(error)) from error
            for optimiser in self._optimisers:
                optimiser.zero_grad(set_to_none=True)
            (self._recipe.loss_scale * value).backward()
            nn.utils.clip_grad_norm_(dense, 1.0)
            for optimiser in self._optimisers:
                optimiser.step()
            total += value.detach() * len(batch)
        mean = float(total) / len(inputs)  # the one wait for the device an epoch
        if not math.isfinite(mean):
            raise _diverged(self._loss, self.epoch, self._recipe, f"its mean was {mean}")
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": mean,
                "validation_loss": self._validation_loss(),
                "learning_rate": rate,
                **self._correction(),
            }
        )
        self.epoch += 1

    def _factor(self, step: int) -> float:
        """Share of the peak learning rate: 5% linear warm-up, then a cosine to zero over the whole budget."""
        steps = self.epochs * self._steps_per_epoch
        warm = max(1, round(0.05 * steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

    def _set_rate(self, step: int) -> None:
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * self._factor(step)

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """Mean loss over the validation part, in batches of the size of training: contrastive losses depend on it."""
        self.model.eval()
        inputs, labels = self._inputs["validation"], self._labels["validation"]
        total = torch.zeros((), device=self._device)
        steps = self._recipe.steps_per_epoch(len(inputs))
        for batch in torch.arange(len(inputs), device=self._device).tensor_split(steps):
            with _autocast(self._device):
                given = self.model(inputs[batch])
            total += self._criterion(labels[batch], **given, epoch=self.epoch) * len(batch)
        return float(total) / len(inputs)

    @torch.no_grad()
    def _correction(self) -> dict[str, float]:
        """What the loss's correction makes of the training labels at the end of an epoch, beside what they truly are.

        Returns:
            ``lost``, positives that were lost; ``corrected``, entries that are taken for positive without being
            observed; ``corrected_right``, those of them that were lost; ``unlabelled``, examples without any corrected
            label. Nothing where no positives were lost, or by a loss that corrects none.
        """
        rule = next((each for each in self._criterion.modules() if isinstance(each, Correction)), None)
        if rule is None or self._truth is None:
            return {}
        self.model.eval()
        counts = torch.zeros(4, device=self._device)
        parts = (self._inputs["train"], self._labels["train"], self._truth)
        for inputs, labels, truth in zip(*(torch.split(part, 4096) for part in parts), strict=True):
            with _autocast(self._device):
                logits = self.model(inputs)["logits"]
            observed, corrected = labels == 1, rule.corrected(labels, logits, self.epoch)
            added = corrected & ~observed
            found = (truth & ~observed, added, added & truth, ~corrected.any(dim=1))
            counts += torch.stack([each.sum() for each in found])
        return dict(zip(("lost", "corrected", "corrected_right", "unlabelled"), counts.tolist(), strict=True))

    def fitted(self) -> Fitted:
        """The model as it is now."""
        return Fitted(
            model=self.model.eval(),
            history=self.history,
            steps=self.epoch * self._steps_per_epoch,
            parameters=sum(
                p.numel() for module in (self.model, self._criterion) for p in module.parameters()
            ),
            time_seconds=self._seconds,
        )

    def checkpoint(self) -> dict[str, Any]:
        """All that :meth:`restore` needs: tensors, numbers and strings, so that ``weights_only`` loading suffices."""
        return {
            "epoch": self.epoch,
            "history": [dict(row) for row in self.history],
            "model": self.model.state_dict(),
            "criterion": self._criterion.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "order": self._order.get_state(),
            "random": list(self._random),
            "seconds": self._seconds,
        }

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint of a training with the same arguments."""
        self.epoch = checkpoint["epoch"]
        self.history = [dict(row) for row in checkpoint["history"]]
        self.model.load_state_dict(checkpoint["model"])
        self._criterion.load_state_dict(checkpoint["criterion"])
        for optimiser, state in zip(self._optimisers, checkpoint["optimisers"], strict=True):
            optimiser.load_state_dict(copy.deepcopy(state))  # it would share the state's tensors
        self._order.set_state(checkpoint["order"].cpu())
        self._random = [state.cpu() for state in checkpoint["random"]]
        self._seconds = checkpoint["seconds"]


def _optimisers(
    modules: Iterable[nn.Module], recipe: Recipe, device: torch.device
) -> list[torch.optim.Optimizer]:
    """AdamW, and for embeddings whose gradient is sparse a SparseAdam with a peak rate of its own."""
    tables = [
        module.weight
        for root in modules
        for module in root.modules()
        if isinstance(module, nn.EmbeddingBag) and module.sparse
    ]
    found = {id(table) for table in tables}
    dense = [p for module in modules for p in module.parameters() if id(p) not in found]
    adamw = torch.optim.AdamW(
        dense, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=device.type == "cuda"
    )
    adamw.param_groups[0]["peak"] = recipe.learning_rate
    if not tables:
        return [adamw]
    # a large epsilon: the usual one moves a word that two texts hold as far as one that thousands hold
    sparse = torch.optim.SparseAdam(tables, lr=recipe.table_rate, eps=1e-4)
    sparse.param_groups[0]["peak"] = recipe.table_rate
    return [adamw, sparse]


def fit(
    task: Task,
    loss: str,
    recipe: Recipe,
    *,
    encoder: str = "frozen",
    hyperparameters: Mapping[str, Any],
    seed: int,
    device: torch.device,
) -> Fitted:
    """Trains an encoder and the heads of a loss on the training part of a task for the whole budget.

    Args and errors are those of :class:`Training`.
    """
    training = Training(
        task, loss, recipe, encoder=encoder, hyperparameters=hyperparameters, seed=seed, device=device
    )
    training.advance()
    return training.fitted()


def _diverged(loss: str, epoch: int, recipe: Recipe, detail: str) -> TrainingError:
    return TrainingError(
        f"the loss '{loss}' was not finite in epoch {epoch} ({detail}): a learning rate of {recipe.learning_rate:g} is"
        " probably too high, or a temperature too low, for it"
    )


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


@torch.no_grad()
def represent(model: Model, inputs: Tensor, *, device: torch.device, batch_size: int = 4096) -> Tensor:
    """Representation of shape (n, width), before the projection, of inputs of n examples."""
    model.eval()
    return torch.cat([model.encoder(batch.to(device)) for batch in torch.split(inputs, batch_size)])


def as_float16(scores: Tensor) -> np.ndarray:
    """Scores as they are stored: float16, clipped to its range, so that what is measured is what is kept."""
    limit = torch.finfo(torch.float16).max
    return scores.float().clamp(-limit, limit).to(torch.float16).cpu().numpy()
