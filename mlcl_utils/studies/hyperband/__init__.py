"""Study 05: how much search time stopping bad configurations early saves."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from mlcl_utils import data
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.search import Space, brackets, cost
from mlcl_utils.search.trainings import trial, usual_space
from mlcl_utils.studies.base import Count, Fraction, Natural, Study, StudyParameters
from mlcl_utils.training import Recipe


class HyperbandParameters(StudyParameters):
    """Parameters of the Hyperband study; ``epochs`` is the resource R of a whole training."""

    num_labels: Count = Field(description="size of the label space, or all labels where there are fewer")
    train_fraction: Fraction = Field(description="share of the training part")
    eta: Annotated[Count, Field(ge=2)] = Field(description="one configuration in eta goes on at a rung")
    pool: Count = Field(description="configurations that are trained to the end for each loss and data set")
    passes: Count = Field(description="budget of every method, in passes of Hyperband")
    replays: Annotated[Count, Field(ge=2)] = Field(description="searches of each method on the stored curves")
    searches: Natural = Field(
        description="real searches for each loss and data set, to compare the replays with"
    )

    @model_validator(mode="after")
    def _searches_itself(self) -> HyperbandParameters:
        if self.config:
            raise UsageError("config: this study searches for configurations and takes none")
        if (self.seeds, self.claim_replicates, self.claim_seeds) != (1, None, None):
            raise UsageError("seeds: a configuration is trained once on a split in this study; leave it at 1")
        if self.trials > 1:
            raise UsageError(f"trials {self.trials}: this study tunes nothing besides; leave it at 1")
        for loss in self.losses if self.recipe else ():
            for name in self.recipe:
                if name in usual_space(loss).dimensions:
                    raise UsageError(f"recipe: '{name}' is searched for {loss}, and cannot be set besides")
        return self

    @property
    def budget(self) -> int:
        """Epochs of every search."""
        return self.passes * cost(brackets(self.epochs, self.eta))


class Task(NamedTuple):
    """What is searched: a loss on a data set, on one split."""

    dataset: str
    loss: str
    replicate: int


def tasks(parameters: HyperbandParameters) -> list[Task]:
    """The tasks of the study."""
    return [
        Task(dataset, loss, replicate)
        for dataset in parameters.datasets
        for loss in parameters.losses
        for replicate in range(parameters.replicates)
    ]


def base(parameters: HyperbandParameters, task: Task) -> RunConfig:
    """The run that all configurations of a task vary."""
    labels = min(parameters.num_labels, parameters.labels_to_learn(task.dataset))
    return RunConfig(
        dataset=task.dataset,
        num_labels=labels,
        base_labels=0,
        replicate=task.replicate,
        train_fraction=parameters.train_fraction,
        loss=task.loss,
        recipe=dataclasses.replace(Recipe.of("frozen", epochs=parameters.epochs), **parameters.recipe),
        seed=task.replicate + parameters.seed,
        data_root=parameters.root,
    )


def space_of(task: Task) -> Space:
    """What is searched."""
    return usual_space(task.loss)


def configurations(parameters: HyperbandParameters, task: Task) -> list[dict[str, Any]]:
    """The configurations of the pool: random draws from the usual space of the loss."""
    sample = space_of(task).sampler(seed_of(parameters, task, "pool"))
    return [sample() for _ in range(parameters.pool)]


def seed_of(parameters: HyperbandParameters, task: Task, purpose: str) -> int:
    """The seed of all that is drawn for a purpose, wherever the data set lies."""
    name = data.short_name(task.dataset, parameters.root)
    return zlib.crc32(repr((name, *task[1:], parameters.seed, purpose)).encode())


def pool_runs(parameters: HyperbandParameters, task: Task) -> list[RunConfig]:
    """The runs of the pool's configurations, in their order: trained to the end, with their learning curves."""
    common = base(parameters, task)
    return [
        trial(common, values, parameters.epochs, parameters.epochs)
        for values in configurations(parameters, task)
    ]


def grid(parameters: HyperbandParameters) -> list[RunConfig]:
    """The runs of the study: those of every pool."""
    return [config for task in tasks(parameters) for config in pool_runs(parameters, task)]


STUDY = Study(
    name="05_hyperband",
    title="Hyperband against random search and Bayesian optimisation",
    question="How much search time does stopping bad configurations early save?",
    Parameters=HyperbandParameters,
    presets={
        "smoke": {
            "datasets": ["debtags"],
            "losses": ["bce"],
            "replicates": 1,
            "epochs": 9,
            "num_labels": 10,
            "train_fraction": 0.05,
            "eta": 3,
            "pool": 12,
            "passes": 1,
            "replays": 20,
            "searches": 1,
            "trials": 1,
        },
        "quick": {
            "datasets": ["debtags"],
            "losses": ["reg"],
            "replicates": 1,
            "epochs": 27,
            "num_labels": 30,
            "train_fraction": 0.1,
            "eta": 3,
            "pool": 64,
            "passes": 1,
            "replays": 100,
            "searches": 1,
            "trials": 1,
        },
        "standard": {
            "datasets": ["debtags", "emoji"],
            "losses": ["reg"],
            "replicates": 5,
            "epochs": 27,
            "num_labels": 100,
            "train_fraction": 0.5,
            "eta": 3,
            "pool": 64,
            "passes": 2,
            "replays": 300,
            "searches": 1,
            "trials": 1,
        },
    },
    grid=grid,
    figure="speed_ups",
    headline=("hyperband_random_tenfold", "hyperband_bayesian_tenfold"),
)
