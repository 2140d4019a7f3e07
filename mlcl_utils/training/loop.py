"""Training of an encoder with a loss: one fixed budget of epochs, the same for every arm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlcl_utils import losses, models
from mlcl_utils.data import Task
from mlcl_utils.errors import UsageError
from mlcl_utils.losses.base import INDEX, Loss
from mlcl_utils.losses.combined import Combined
from mlcl_utils.losses.correction import Correction
from mlcl_utils.models import Model
from mlcl_utils.models.heads import OF_LABELS
from mlcl_utils.models.mixture import Mixture
from mlcl_utils.training import parallel
from mlcl_utils.training.averages import Average, MomentumQueue
from mlcl_utils.training.batches import Batches
from mlcl_utils.training.keeping import Keeper
from mlcl_utils.training.mixing import Draw, Mixup, draws, for_mixtures
from mlcl_utils.training.optimisers import Optimisers
from mlcl_utils.training.randomness import RandomState
from mlcl_utils.training.recipe import Recipe
from mlcl_utils.training.representation import untrained
from mlcl_utils.training.reweighting import Reweighted


class TrainingError(RuntimeError):
    """Training that could not go on; the message names the epoch, the loss and the likely cause."""


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it got there.

    Attributes:
        model: in evaluation mode, on the device it was trained on; the moving average where the recipe asks for one.
        history: one row per epoch: ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate``; where positives
            were lost and the loss corrects labels, also the counts of :meth:`Training._correction`.
        steps: optimisation steps made.
        parameters: number of trained parameters.
        time_seconds: wall time of the training loop.
        time_waiting: seconds of it in which the loop waited for inputs to be read.
        observed: what an observer of :func:`fit` has kept.
    """

    model: Model
    history: list[dict[str, float]] = field(repr=False)
    steps: int
    parameters: int
    time_seconds: float
    time_waiting: float
    observed: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Training:
    """Training of an encoder and the heads of a loss, which can be stopped after any epoch and continued exactly.

    On the CPU the same seed and number of threads give the same weights to the bit, however often training was stopped
    in between. On a GPU the arithmetic is bfloat16 autocast, what fits lies on the device, and nothing waits for the
    device inside an epoch. The schedule's horizon is the whole budget, whatever part of it is used. Processes that
    ``torchrun`` started train one model together, see :mod:`mlcl_utils.training.parallel`.

    Args:
        task: the examples and their labels.
        loss: a name of :func:`mlcl_utils.losses.available`.
        recipe: the budget and the optimiser's settings.
        encoder: a name that :func:`mlcl_utils.models.encoder_class` takes.
        hyperparameters: of the loss.
        seed: of initialisation, batch order and dropout.
        device: where to train.

    Raises:
        UsageError: the recipe asks for a kind of head or prototypes, and the loss takes none; or for weights or
            mixtures of examples that the loss, or the encoder, does not go with.

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
        if recipe.mix == "input" and not models.encoder_class(encoder).mixes_inputs:
            raise UsageError(
                f"mix=input: the encoder '{encoder}' reads words, and a mixture of two texts is none; take mix=feature"
            )
        self._criterion = self._created(task, hyperparameters)
        tensors = tuple(name for name in self._criterion.tensors if name != INDEX)
        _check_heads(loss, recipe, tensors)
        at_half = recipe.bias == "zero" or (recipe.bias == "loss" and self._criterion.starts_at_half)
        self.model = untrained(
            task, recipe, encoder=encoder, tensors=tensors, at_half=at_half, seed=seed, device=device
        )
        inputs = models.encoder_class(encoder).inputs(task)
        self._inputs = {split: Batches(inputs[split], device) for split in ("train", "validation")}
        self._labels = {
            split: torch.from_numpy(getattr(task, split).labels).to(device) for split in self._inputs
        }
        truth = task.train.truth
        self._truth = None if truth is None else torch.from_numpy(truth == 1).to(device)
        examples = len(self._inputs["train"])
        self._criterion.expect(examples)
        self._steps_per_epoch = recipe.steps_per_epoch(examples)
        self.epoch, self.epochs = 0, recipe.epochs_for(examples)
        self.history: list[dict[str, float]] = []
        self.observed: Mapping[str, Any] = {}
        self.model = parallel.synchronised(self.model, device)
        self._average = Average(self.model, recipe.ema) if recipe.ema else None
        contrasts = getattr(self._criterion, "takes_anchors", False)
        self._queue = (
            MomentumQueue(self.model, recipe.queue, recipe.momentum) if recipe.queue and contrasts else None
        )
        if recipe.compile:
            self.model.encoder.network.compile()
        # in parts, gradients are averaged once, when all parts are through
        self._joint = self.model if recipe.accumulate > 1 else parallel.distributed(self.model, device)
        self._optimisers = Optimisers(
            (self.model, self._criterion), recipe, device, steps=self.epochs * self._steps_per_epoch
        )
        self._order = torch.Generator().manual_seed(seed)
        self._mixing_seed = (seed + 2) << 24
        # dropout must not repeat the draws of the initialisation, nor those of another process
        self._random = RandomState(device, seed + 1 + (parallel.rank() << 32))
        self._seconds = 0.0

    def _created(
        self, task: Task, hyperparameters: Mapping[str, Any]
    ) -> Loss | Combined | Reweighted | Mixup:
        """The loss, its examples weighed or mixed where the recipe asks for it."""
        criterion = losses.create(self._loss, **hyperparameters).to(self._device)
        if self._recipe.mix != "none":
            return for_mixtures(criterion, self._recipe, loss=self._loss)
        if self._recipe.reweight == "none":
            return criterion
        examples = len(task.train)
        steps = self._recipe.epochs_for(examples) * self._recipe.steps_per_epoch(examples)
        after = round(self._recipe.reweight_after * steps)
        return Reweighted(criterion, self._recipe, loss=self._loss, after=after).to(self._device)

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
        with self._random.used():
            while self.epoch < target:
                self._train_one_epoch()
        self._seconds += time.perf_counter() - start
        self.model.eval()

    def _train_one_epoch(self) -> None:
        self.model.train()
        labels = self._labels["train"]
        total = torch.zeros((), device=self._device)
        first = self.epoch * self._steps_per_epoch
        permutation = torch.randperm(len(labels), generator=self._order)
        batches = permutation.tensor_split(self._steps_per_epoch)
        shares = [parallel.share(batch) for batch in batches]
        there = permutation.to(self._device).tensor_split(self._steps_per_epoch)
        mixed: list[Draw] | list[None] = [None] * len(batches)
        if self._recipe.mix != "none":
            # by the epoch, apart from what orders the batches: they are those of a training without mixtures
            generator = torch.Generator().manual_seed((self._mixing_seed + self.epoch) % 2**63)
            mixed = draws([len(batch) for batch in batches], self._recipe, generator, self._device)
        every = zip(there, self._inputs["train"].over(shares), mixed, strict=True)
        for number, (batch, inputs, drawn) in enumerate(every):
            value = self._step(first + number, inputs, labels[batch], batch, drawn)
            total += value * len(batch)
        mean = float(total) / len(labels)  # the one wait for the device an epoch
        if not math.isfinite(mean):
            raise _diverged(self._loss, self.epoch, self._recipe, f"its mean was {mean}")
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": mean,
                "validation_loss": self._validation_loss(),
                "learning_rate": self._recipe.learning_rate * self._optimisers.factor(first),
                **self._correction(),
            }
        )
        self.epoch += 1

    def _step(self, number: int, inputs: Tensor, labels: Tensor, index: Tensor, drawn: Draw | None) -> Tensor:
        """One step on a batch; the value of the loss, without gradient, or what it reports in the place of it.

        Args:
            number: of the step.
            inputs: of this process's share of the batch.
            labels: of the whole batch.
            index: positions of its examples in the training part.
            drawn: what is mixed in it, if anything.
        """
        self._optimisers.clear()
        if self._recipe.accumulate > 1:
            value = self._backward_in_parts(inputs, labels, index, drawn)
        else:
            with _autocast(self._device):
                (mixture,) = self._mixtures(drawn, [len(inputs)])
                given = self._joint(inputs) if mixture is None else self._joint(inputs, mixture)
            value = parallel.reaching_all(self._value(labels, given, index, drawn), given)
            torch.autograd.backward(self._recipe.loss_scale * value)
        self._optimisers.step(number)
        if self._average is not None:
            self._average.follow(self.model)
        if self._queue is not None:
            with _autocast(self._device):
                keys = self._queue.embed(inputs, self.model)
            self._queue.push(parallel.gather(keys, len(labels)), labels)
        reported: Tensor | None = self._criterion.reported
        return value.detach() if reported is None else reported

    def _mixtures(self, drawn: Draw | None, parts: Sequence[int]) -> list[Mixture | None]:
        """What is mixed in each part of this process's share of a batch.

        Args:
            drawn: what is mixed in the batch, if anything.
            parts: their sizes.
        """
        if drawn is None:
            return [None] * len(parts)
        level, beside = self._recipe.mix, getattr(self._criterion, "takes_mixtures", False)
        assert level != "none"
        sizes = [len(part) for part in torch.empty(len(drawn.partners)).tensor_split(parallel.size())]
        start = sum(sizes[: parallel.rank()])
        found: list[Mixture | None] = []
        for size in parts:
            partners = drawn.partners[start : start + size] - start
            found.append(Mixture(partners, drawn.mixing, level, beside))
            start += size
        return found

    def _value(
        self,
        labels: Tensor,
        given: Mapping[str, Tensor],
        index: Tensor | None = None,
        drawn: Draw | None = None,
    ) -> Tensor:
        """The loss of a batch, from the tensors of this process's share of it.

        Args:
            labels: of the whole batch.
            given: what the model gives for the share.
            index: positions of the whole batch in the training part; None for other examples, which have no queue
                either.
            drawn: what is mixed in the batch, if anything.
        """
        gathered = {
            name: tensor if name in OF_LABELS else parallel.gather(tensor, len(labels))
            for name, tensor in given.items()
        }
        if index is not None and INDEX in self._criterion.tensors:
            gathered[INDEX] = index
        if drawn is not None:
            gathered.update(drawn._asdict())
        anchors: dict[str, int] = {}
        if self._queue is not None and index is not None:
            anchors["anchors"] = len(labels)
            gathered["embeddings"], labels = self._queue.joined(gathered["embeddings"], labels)
        try:
            value: Tensor = self._criterion(labels, **gathered, **anchors, epoch=self.epoch)
        except ValueError as error:  # on the CPU a loss refuses tensors that are not finite
            raise _diverged(self._loss, self.epoch, self._recipe, str(error)) from error
        return value

    def _backward_in_parts(self, inputs: Tensor, labels: Tensor, index: Tensor, drawn: Draw | None) -> Tensor:
        """The loss of a whole batch and its gradient, with the encoder on one part of the batch at a time.

        A contrastive loss of a part is not part of the loss: its examples would meet each other alone. So the parts
        are encoded first without gradient, the loss is computed on all of them, and they are encoded again, with the
        same random draws, each with the gradient of the loss by what it gives (Gao et al., GradCache, 2101.06983). It
        is the loss of the undivided batch, at the cost of one more pass; only batch normalisation sees parts.
        """
        parts = inputs.tensor_split(min(self._recipe.accumulate, len(inputs)))
        mixtures = self._mixtures(drawn, [len(part) for part in parts])
        before, held = [], []
        with torch.no_grad():
            for part, mixture in zip(parts, mixtures, strict=True):
                before.append(self._random.now())
                with _autocast(self._device):
                    held.append(self.model(part, mixture))
        leaves = {
            name: tensor if name in OF_LABELS else torch.cat([given[name] for given in held]).requires_grad_()
            for name, tensor in held[0].items()
        }
        value = self._value(labels, leaves, index, drawn)
        torch.autograd.backward(self._recipe.loss_scale * value)
        for name in OF_LABELS:
            leaves.pop(name, None)  # a parameter, which has its gradient now, or what does not train
        gradients = {
            name: (torch.zeros_like(leaf) if leaf.grad is None else leaf.grad).split([len(p) for p in parts])
            for name, leaf in leaves.items()
        }
        for at, (part, state, mixture) in enumerate(zip(parts, before, mixtures, strict=True)):
            self._random.set(state)
            with _autocast(self._device):
                given = self.model(part, mixture)
            torch.autograd.backward(
                [given[name] for name in leaves], [gradients[name][at] for name in leaves]
            )
        parallel.average_gradients(list(self.model.parameters()))
        return value

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """Mean loss over the validation part, in batches of the size of training: contrastive losses depend on it."""
        model = self._best().eval()
        self._criterion.eval()  # what it keeps of training examples is not for these
        labels = self._labels["validation"]
        total = torch.zeros((), device=self._device)
        batches = torch.arange(len(labels)).tensor_split(self._recipe.steps_per_epoch(len(labels)))
        shares = [parallel.share(batch) for batch in batches]
        parts = torch.split(labels, [len(batch) for batch in batches])
        for part, inputs in zip(parts, self._inputs["validation"].over(shares), strict=True):
            with _autocast(self._device):
                given = model(inputs)
            total += self._value(part, given) * len(part)
        self._criterion.train()
        return float(total) / len(labels)

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
        own = parallel.share(torch.arange(len(self._truth)))
        batches = torch.split(own, self.model.encoder.evaluation_batch)
        for batch, inputs in zip(batches, self._inputs["train"].over(batches), strict=True):
            labels, truth = (part[batch.to(self._device)] for part in (self._labels["train"], self._truth))
            with _autocast(self._device):
                logits = self.model(inputs)["logits"]
            observed, corrected = labels == 1, rule.corrected(labels, logits, self.epoch)
            added = corrected & ~observed
            found = (truth & ~observed, added, added & truth, ~corrected.any(dim=1))
            counts += torch.stack([each.sum() for each in found])
        total = parallel.total(counts).tolist()
        return dict(zip(("lost", "corrected", "corrected_right", "unlabelled"), total, strict=True))

    def _best(self) -> Model:
        """The model that training gives: its moving average, where there is one."""
        return self.model if self._average is None else self._average.model

    def fitted(self) -> Fitted:
        """The model as it is now, which scores labels as its loss does."""
        model = self._best().eval()
        model.own_scores = getattr(self._criterion, "scores", None)
        return Fitted(
            model=model,
            history=self.history,
            steps=self.epoch * self._steps_per_epoch,
            parameters=sum(
                p.numel() for module in (self.model, self._criterion) for p in module.parameters()
            ),
            time_seconds=self._seconds,
            time_waiting=sum(inputs.waited for inputs in self._inputs.values()),
            observed=self.observed,
        )

    def checkpoint(self) -> dict[str, Any]:
        """All that :meth:`restore` needs: tensors, numbers and strings, so that ``weights_only`` loading suffices.

        Processes that train together call it together.
        """
        return {
            "epoch": self.epoch,
            "history": [dict(row) for row in self.history],
            "model": self.model.state_dict(),
            "criterion": self._criterion.state_dict(),
            "optimisers": self._optimisers.state_dict(),
            "average": None if self._average is None else self._average.model.state_dict(),
            "queue": None if self._queue is None else self._queue.state_dict(),
            "order": self._order.get_state(),
            "random": parallel.from_all(list(self._random.kept)),
            "seconds": self._seconds,
            "observed": dict(self.observed),
            "waited": {split: inputs.waited for split, inputs in self._inputs.items()},
        }

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint of a training with the same arguments."""
        self.epoch = checkpoint["epoch"]
        self.history = [dict(row) for row in checkpoint["history"]]
        self.model.load_state_dict(checkpoint["model"])
        self._criterion.load_state_dict(checkpoint["criterion"])
        self._optimisers.load_state_dict(checkpoint["optimisers"])
        if self._average is not None:
            self._average.model.load_state_dict(checkpoint["average"])
        if self._queue is not None:
            self._queue.load_state_dict(checkpoint["queue"])
        self._order.set_state(checkpoint["order"].cpu())
        self._random.kept = [state.cpu() for state in checkpoint["random"][parallel.rank()]]
        self._seconds = checkpoint["seconds"]
        self.observed = dict(checkpoint["observed"])
        for split, inputs in self._inputs.items():
            inputs.waited = checkpoint["waited"][split]


def fit(
    task: Task,
    loss: str,
    recipe: Recipe,
    *,
    encoder: str = "frozen",
    hyperparameters: Mapping[str, Any],
    seed: int,
    device: torch.device,
    keep: Path | None = None,
    observe: Callable[[Training], None] | None = None,
) -> Fitted:
    """Trains an encoder and the heads of a loss on the training part of a task for the whole budget.

    Args and errors are those of :class:`Training`; besides:

    Args:
        keep: a file that a long training is kept in from time to time, and goes on from if it is there.
        observe: called after every epoch; what it puts into ``observed`` is kept with the training.
    """
    training = Training(
        task, loss, recipe, encoder=encoder, hyperparameters=hyperparameters, seed=seed, device=device
    )
    with Keeper(keep, training) as keeper:
        while training.epoch < training.epochs:
            training.advance(training.epoch + 1)
            if observe is not None:
                observe(training)
            keeper.after_epoch()
    return training.fitted()


def _check_heads(loss: str, recipe: Recipe, tensors: tuple[str, ...]) -> None:
    for setting, usual, tensor in (("head", "linear", "logits"), ("prototypes", "learned", "prototypes")):
        kind = getattr(recipe, setting)
        if kind != usual and tensor not in tensors:
            raise UsageError(
                f"{setting}={kind}: the loss '{loss}' takes no {tensor}; leave {setting} out for it"
            )


def _diverged(loss: str, epoch: int, recipe: Recipe, detail: str) -> TrainingError:
    return TrainingError(
        f"the loss '{loss}' was not finite in epoch {epoch} ({detail}): a learning rate of {recipe.learning_rate:g} is"
        " probably too high, or a temperature too low, for it"
    )


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
