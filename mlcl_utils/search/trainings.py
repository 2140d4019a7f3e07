"""Searches over trainings: the space of a loss, and the objective, whose evaluations are runs of the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mlcl_utils import losses, models, runs
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.models.catalogue import WORD_TABLES
from mlcl_utils.runs import Run, RunConfig, Store
from mlcl_utils.search.conduct import Config, Evaluation, EvaluationError, Job, Result
from mlcl_utils.search.space import Choice, Scalar, Space
from mlcl_utils.training import Recipe
from mlcl_utils.training.recipe import SETTINGS, check_setting

_USUAL: dict[str, dict[str, Any]] = {
    "learning_rate": {"type": "log-uniform", "low": 1e-4, "high": 3e-2},
    "weight_decay": {"type": "log-uniform", "low": 1e-4, "high": 1.0},
    "dropout": {"type": "uniform", "low": 0.0, "high": 0.7},
    "batch_size": {"type": "choice", "values": [128, 256, 512]},
}
_USUAL_PRETRAINED: dict[str, dict[str, Any]] = {
    "learning_rate": {"type": "log-uniform", "low": 1e-5, "high": 1e-3},
    "weight_decay": {"type": "log-uniform", "low": 1e-5, "high": 1e-1},
    "batch_size": {"type": "choice", "values": [32, 64, 128]},
}
_USUAL_OF_ENCODER: dict[str, dict[str, dict[str, Any]]] = {
    name: {"table_rate": {"type": "log-uniform", "low": 1e-3, "high": 1e-1}} for name in WORD_TABLES
}
_USUAL_OF_LOSS: dict[str, dict[str, Any]] = {
    "temperature": {"type": "log-uniform", "low": 0.02, "high": 1.0},
    "gamma_neg": {"type": "uniform", "low": 0.0, "high": 6.0},
    "gamma": {"type": "uniform", "low": 0.0, "high": 4.0},
    "clip": {"type": "uniform", "low": 0.0, "high": 0.2},
}


def usual_space(loss: str, encoder: str = "frozen") -> Space:
    """The space of a loss with an encoder where no other is given: settings of the optimiser and of the loss."""
    own = losses.info(loss).hyperparameters
    of_loss = {
        name: _USUAL_OF_LOSS[name.rpartition(".")[2]]
        for name in own
        if name.rpartition(".")[2] in _USUAL_OF_LOSS and not own[name].part_of
    }
    pretrained = models.kind(encoder) in ("torchvision", "transformers")
    return Space.from_dict(
        (_USUAL_PRETRAINED if pretrained else _USUAL)
        | _USUAL_OF_ENCODER.get(models.kind(encoder), {})
        | of_loss
    )


def check_space(space: Space, loss: str) -> None:
    """Whether every hyperparameter of a space is the recipe's or the loss's, and its values are possible.

    Raises:
        UsageError: one is not; the nearest name is suggested.
    """
    for name, dimension in space.dimensions.items():
        for value in dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high):
            check_value(name, value, loss)


def check_value(name: str, value: Scalar, loss: str) -> None:
    """Whether a value is possible for a hyperparameter of the recipe or of a loss.

    Raises:
        UsageError: it is not, or there is no such hyperparameter; the nearest name is suggested.
    """
    own = losses.info(loss).hyperparameters
    if name in own:
        try:
            own[name].check(name, value)
        except ValueError as error:
            raise UsageError(f"of {loss}: {error}") from None
    elif name not in SETTINGS:
        raise unknown(f"hyperparameter of {loss}", name, (*SETTINGS, *own))
    else:
        check_setting(name, value)


def trial(base: RunConfig, values: Config, stop: int, resource: int) -> RunConfig:
    """The run that trains with some values until it stops; its learning rate is scheduled for the full resource.

    Args:
        base: the task, the loss, the encoder and the seed; its recipe if it has one, else that of the encoder.
        values: of hyperparameters, by name.
        stop: epochs after which it stops.
        resource: epochs of a training to the end.
    """
    recipe = base.recipe or Recipe.of(base.encoder, epochs=resource)
    whole = dataclasses.replace(recipe, epochs=resource, min_steps=0)
    return dataclasses.replace(base, recipe=whole, stop=stop).with_values(values)


class Trainings:
    """The objective of a search: trainings of a loss on a task, scored by validation mAP of the loss's own head.

    An evaluation is a run of the store that stops early (:mod:`mlcl_utils.runs.trial`): what exists is not trained
    again, what failed is recorded there, and a rung goes over the workers of an executor. The resource is epochs of
    training; the learning rate's schedule always ends at the full resource.

    Args:
        base: the task, the loss, the encoder and the seed.
        resource: epochs of a training to the end.
        results: the results folder; runs are kept in ``runs/`` below it.
        carrying: how runs are made, as :func:`mlcl_utils.runs.carry_out` takes it: ``device``, ``workers`` and
            the like.

    Attributes:
        existed: how many runs were found and not repeated.

    Raises:
        UsageError: the loss has no head of its own.
    """

    def __init__(self, base: RunConfig, resource: int, *, results: Path, **carrying: Any) -> None:
        if not {"logits", "prototypes"} & set(losses.info(base.loss).tensors):
            raise UsageError(
                f"loss '{base.loss}' has no head of its own that could score every epoch; "
                "name one that takes logits or prototypes"
            )
        self._base, self._resource = base, resource
        self._store = Store(results)
        self._carrying = {"results": results, **carrying}
        self.existed = 0
        self._errors: dict[str, str] = {}
        self._open: dict[int, RunConfig] = {}  # the last run of each trial that may be continued

    def config(self, values: Config, resource: int) -> RunConfig:
        """The run that trains with these values until a resource."""
        return trial(self._base, values, resource, self._resource)

    def run(self, evaluation: Evaluation) -> Run:
        """The run of an evaluation that did not fail; one that has been removed is made again."""
        config = self.config(evaluation.config, evaluation.resource)
        if not self._store.has(config):
            self._carry_out([config])
        return self._store.read(config)

    def evaluate(self, values: Config, resource: int, checkpoint: int | None) -> tuple[float, int]:
        """Validation mAP after ``resource`` epochs; the checkpoint is these epochs, the weights are in the store.

        Raises:
            EvaluationError: the training failed; all epochs that were asked for are charged.
        """
        config = self.config(values, resource)
        if not self._store.has(config) and config.id not in self._errors:
            self._carry_out([config])
        if config.id in self._errors:
            raise EvaluationError(self._errors[config.id], trained=resource - (checkpoint or 0))
        return self._store.read(config).metrics["direct_validation_map"], resource

    def map(self, function: Callable[[Job], Evaluation], jobs: Iterable[Job]) -> Iterator[Evaluation]:
        """Spreads a rung over the workers; the times are those of the runs.

        What earlier rungs have left to continue from is removed as soon as it is clear that nothing continues it.
        """
        rung = [(job, self.config(job.config, job.resource)) for job in jobs]
        self._close(self._open.keys() - {job.trial for job, _ in rung})
        self._carry_out(config for _, config in rung)
        self._close(job.trial for job, _ in rung)
        for job, config in rung:
            self._open[job.trial] = config
            failure = self._store.failure(config)
            seconds = failure[1] if failure else self._store.read(config).timings["time_total"]
            yield dataclasses.replace(function(job), time_seconds=seconds)

    def finish(self, result: Result) -> None:
        """Removes all that a search has left to continue from, of processes that were killed too."""
        for each in result.evaluations:
            self._store.remove_checkpoint(self.config(each.config, each.resource))

    def _close(self, trials: Iterable[int]) -> None:
        for trial in list(trials):
            if trial in self._open:
                self._store.remove_checkpoint(self._open.pop(trial))

    def _carry_out(self, configs: Iterable[RunConfig]) -> None:
        grid = runs.carry_out(configs, **self._carrying)
        self.existed += grid.existed
        self._errors.update({config.id: error for config, error, _ in grid.failures})
