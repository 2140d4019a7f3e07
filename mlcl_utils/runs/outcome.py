"""What an arm, a loss or a baseline, makes of a task: scores by head, and how it came to them."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlcl_utils import metrics, models, training
from mlcl_utils.data import Dataset, Task
from mlcl_utils.data.debtags import name_matching_scores
from mlcl_utils.losses.contrast import unit
from mlcl_utils.models import Model
from mlcl_utils.runs.best import BestOfSix
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.runs.mixture import describe_mixture
from mlcl_utils.runs.own_head import OwnHead
from mlcl_utils.training import Recipe, parallel

SPLITS = ("validation", "test")
"""The parts that scores are kept of."""


@dataclass
class Outcome:
    """What is known of an arm before anything is measured.

    Attributes:
        heads: scores (examples, labels) by head and split. ``direct`` is the arm's own, ``probe`` the linear probe's;
            where the projection is read, ``projection`` is a linear probe's on it and ``neighbours`` that of the 20
            nearest training examples in it.
        geometry: metrics of the representation on test.
        facts: such as the probe's penalty; ``zero_embeddings``, where test has some, is how many of them no geometry
            and no picture counts.
        timings: seconds by name.
        history: one row per epoch.
        checkpoint: what a trial that stopped early can be continued from.
        at_half: scores like those of ``heads`` that are read at a threshold of one half alone: ``own``, the own head at
            its best checkpoint, and ``linear``, a linear layer on the representation.
        arrays: what a picture of the projection needs: ``plane`` and ``similarities``, see
            :func:`mlcl_utils.metrics.picture_embeddings`; of a kernel mixture ``reliability``, see
            :func:`mlcl_utils.runs.mixture.describe_mixture`.
    """

    heads: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    at_half: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    geometry: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    checkpoint: bytes | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def outcome_of(config: RunConfig, task: Task, device: torch.device, keep: Path | None = None) -> Outcome:
    """Trains an arm on the training part of a task and scores the other parts.

    Args:
        config: which arm, and how it is trained.
        task: what it is trained on.
        device: where.
        keep: a file that a long training is kept in, and goes on from.

    Raises:
        Followed: training is over, and another process goes on from there.
    """
    outcome = Outcome()
    train_labels = torch.from_numpy(task.train.labels).to(device)
    match config.loss:
        case "prior":
            outcome.heads["direct"] = {
                split: training.prior(train_labels, len(getattr(task, split))) for split in SPLITS
            }
        case "nearest_neighbours":
            inputs = _raw(config, task, device)
            outcome.heads["direct"] = {
                split: training.nearest_neighbours(inputs["train"], train_labels, inputs[split])
                for split in SPLITS
            }
        case "name_matching":
            matched = torch.from_numpy(_names_matched(task.dataset)[:, task.label_index])
            outcome.heads["direct"] = {split: matched[getattr(task, split).index] for split in SPLITS}
        case "logistic_regression":
            _probe(outcome, task, _raw(config, task, device), device)
        case "shuffled_labels":
            _encode(
                outcome, dataclasses.replace(config, loss="bce"), _shuffled(task, config.seed), device, keep
            )
        case _:
            _encode(outcome, config, task, device, keep)
    return outcome


@functools.lru_cache(maxsize=1)
def _names_matched(dataset: Dataset) -> np.ndarray:
    """Scores of name matching on a whole data set; kept, since reading all texts takes seconds."""
    return name_matching_scores(dataset)


def _raw(config: RunConfig, task: Task, device: torch.device) -> dict[str, Any]:
    """What the encoder of a configuration would read, as the baselines take it: dense on the device, or sparse."""
    raw = models.encoder_class(config.encoder).raw(task)
    return {
        split: inputs.to(device) if isinstance(inputs, Tensor) else inputs for split, inputs in raw.items()
    }


def _shuffled(task: Task, seed: int) -> Task:
    """The task with its label rows shuffled among the training examples: nothing is left to be learnt."""
    order = np.random.default_rng(seed).permutation(len(task.train))
    train = dataclasses.replace(task.train, labels=task.train.labels[order], truth=None)
    return dataclasses.replace(task, train=train)


def _encode(outcome: Outcome, config: RunConfig, task: Task, device: torch.device, keep: Path | None) -> None:
    """An encoder, trained unless it is the baseline that is not, read by its own head and by the probe."""
    assert config.recipe is not None, "a run with an encoder needs a recipe"
    model: Model
    inputs = models.encoder_class(config.encoder).inputs(task)
    if config.loss == "random_encoder":
        model = training.untrained(
            task, config.recipe, encoder=config.encoder, seed=config.seed, device=device
        )
    else:
        fitted = training.fit(
            task,
            config.loss,
            config.recipe,
            encoder=config.encoder,
            hyperparameters=config.hyperparameters,
            seed=config.seed,
            device=device,
            keep=keep,
            observe=_observer(config.recipe, task, inputs, device),
        )
        if parallel.rank():
            raise parallel.Followed
        model, outcome.history = fitted.model, fitted.history
        outcome.facts.update(steps=fitted.steps, parameters=fitted.parameters)
        outcome.timings["time_training"] = fitted.time_seconds
        outcome.timings["time_waiting"] = fitted.time_waiting
        if config.recipe.keep == "best":
            model.load_state_dict(fitted.observed["best"])
            outcome.facts["kept_epoch"] = fitted.observed["best_epoch"]
        if "scores" in fitted.observed:
            outcome.facts["own_epoch"] = fitted.observed["epoch"]
            outcome.at_half["own"] = fitted.observed["scores"]
    representations = {
        split: training.represent(model, part, device=device) for split, part in inputs.items()
    }
    _probe(outcome, task, representations, device, linear=config.loss != "random_encoder")
    with torch.no_grad():
        direct = {split: model.scores(representations[split]) for split in SPLITS}
        embeddings = {split: _embedded(model, part) for split, part in representations.items()}
    tested = embeddings["test"].float().cpu().numpy()
    zero = int((~tested.any(axis=1)).sum())
    if zero:
        outcome.facts["zero_embeddings"] = zero
    outcome.geometry = metrics.describe_representation(
        tested, task.test.labels, temperature=float(config.hyperparameters.get("temperature", 0.1))
    )
    if config.read_projection:
        _read_projection(outcome, task, embeddings, device)
        outcome.arrays = metrics.picture_embeddings(tested, task.test.labels)
    if config.loss == "kmcl":
        labels = torch.from_numpy(task.test.labels).to(device)
        measured, arrays = describe_mixture(config, model, representations["test"], labels)
        outcome.geometry |= measured
        outcome.arrays |= arrays
    own = {split: scores for split, scores in direct.items() if scores is not None}
    if own:
        outcome.heads["direct"] = own


def _observer(
    recipe: Recipe, task: Task, inputs: Mapping[str, Any], device: torch.device
) -> Callable[[training.Training], None]:
    """What looks at a training at six checkpoints."""
    own_head = OwnHead(task, inputs, device)
    if recipe.keep == "last":
        return own_head
    best = BestOfSix(task, inputs, device)

    def both(run: training.Training) -> None:
        own_head(run)
        best(run)

    return both


def _embedded(model: Model, representation: Tensor) -> Tensor:
    """The projection of a representation; itself where the model has none."""
    return model.heads(representation).get("embeddings", representation)


def _read_projection(
    outcome: Outcome, task: Task, embeddings: dict[str, Tensor], device: torch.device
) -> None:
    """Reads unit embeddings by a linear probe and by their nearest neighbours."""
    start = time.perf_counter()
    directions = {split: unit(part.float()) for split, part in embeddings.items()}
    labels = {split: torch.from_numpy(getattr(task, split).apparent).to(device) for split in directions}
    fitted = training.fit_probe(
        directions["train"], labels["train"], directions["validation"], labels["validation"]
    )
    outcome.heads["projection"] = {split: fitted.scores(directions[split]) for split in SPLITS}
    outcome.heads["neighbours"] = {
        split: training.nearest_neighbours(directions["train"], labels["train"], directions[split])
        for split in SPLITS
    }
    outcome.timings["time_projection"] = time.perf_counter() - start


def _probe(
    outcome: Outcome, task: Task, inputs: dict[str, Any], device: torch.device, *, linear: bool = False
) -> None:
    start = time.perf_counter()
    labels = {
        split: torch.from_numpy(getattr(task, split).apparent).to(device) for split in ("train", "validation")
    }
    given = inputs["train"], labels["train"], inputs["validation"], labels["validation"]
    fitted: training.Probe | training.SparseProbe
    if linear:
        fitted, layer = training.fit_probes(*given, [training.mean_average_precision, training.micro_f1_half])
        outcome.at_half["linear"] = {split: layer.scores(inputs[split]) for split in SPLITS}
        outcome.facts["linear_penalty"] = layer.penalty
    else:
        fitted = (training.fit_probe if isinstance(inputs["train"], Tensor) else training.fit_sparse_probe)(
            *given
        )
    outcome.heads["probe"] = {split: fitted.scores(inputs[split]) for split in SPLITS}
    outcome.facts.update(probe_penalty=fitted.penalty, probe_at_edge=fitted.at_edge)
    outcome.timings["time_probe"] = time.perf_counter() - start
