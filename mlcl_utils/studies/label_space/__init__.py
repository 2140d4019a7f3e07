"""Study 02: small versus large label spaces, little versus much data."""

from __future__ import annotations

import itertools
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from mlcl_utils import data, losses, models
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import arms
from mlcl_utils.studies.base import (
    Count,
    Counts,
    Encoders,
    Families,
    Fractions,
    Natural,
    Positive,
    Study,
    StudyParameters,
)
from mlcl_utils.training import BASELINES

REFERENCE = 100
"""Number of labels at which the training fractions are swept, if it is in the sweep; else the largest below it."""

LADDER = ("bce", "cosine_bce", "prototype", "msc", "reg")
"""Losses that differ in one step each: the form of the scores, the softmax, the interaction of labels."""


class LabelSpaceParameters(StudyParameters):
    """Parameters of the label-space study."""

    encoders: Encoders = Field(
        description="encoders, on the data sets they can read; all but frozen in the main sweep only"
    )
    end_to_end_num_labels: Counts = Field(
        description="sizes for encoders other than frozen, or the largest that a set has"
    )
    num_labels: Counts = Field(description="sizes of the label space; the smallest one fixes the examples")
    train_fractions: Fractions = Field(description="shares of the training part; smaller ones are subsets")
    matched_num_labels: Counts = Field(
        description="sizes at which labels are also drawn at matched frequency"
    )
    label_draws: Annotated[Natural, Field(description="draws of labels at each of those sizes; 0 for none")]
    held_out: Families = Field(
        description="drawing families of emoji, each kept for the test alone in a row of its own"
    )
    long_epochs: Annotated[
        Count | None,
        Field(description="epochs of a longer training at few and at most labels; not given: none"),
    ] = None
    worlds: Annotated[
        Natural, Field(le=10, description="made-up sets per cell of the phase diagram; 0 for no diagram")
    ] = 0
    made_num_labels: Counts = Field(
        default=(10, 30, 100, 300), description="sizes of the label space of made-up sets"
    )
    temperature: Annotated[
        Positive | None, Field(description="of the contrastive losses; not given: their own")
    ] = None

    @model_validator(mode="after")
    def _labels_exist(self) -> LabelSpaceParameters:
        available = {name: self.labels_to_learn(name, min(self.num_labels)) for name in self.datasets}
        largest = max(available, key=lambda name: available[name])
        if max(self.num_labels) > available[largest]:
            raise UsageError(
                f"num_labels {max(self.num_labels)}: {largest} has {available[largest]} labels to learn; "
                "ask for no more"
            )
        for name, labels in available.items():
            if min(self.num_labels) > labels:
                raise UsageError(
                    f"num_labels {min(self.num_labels)}: {name} has {labels} labels to learn; ask for no more"
                )
        return self

    def sizes(self, dataset: str) -> tuple[int, ...]:
        """The sizes of the label space that a data set has labels enough for, in ascending order."""
        return tuple(
            k for k in sorted(self.num_labels) if k <= self.labels_to_learn(dataset, min(self.num_labels))
        )

    def length(self, config: RunConfig) -> str:
        """In words how long a run is trained, if it is longer than usual."""
        longer = self.long_epochs not in (None, self.epochs)
        trained = config.recipe is not None and config.recipe.epochs == self.long_epochs
        return f"{self.long_epochs} epochs" if longer and trained else ""


def reference_labels(num_labels: tuple[int, ...]) -> int:
    """The size of the label space at which the amount of training data is varied."""
    return max((k for k in num_labels if k <= REFERENCE), default=min(num_labels))


class Point(NamedTuple):
    """What is learnt, apart from the replicate: one point of a sweep."""

    encoder: str
    num_labels: int
    train_fraction: float = 1.0
    label_draw: int | None = None
    held_out: str | None = None

    @property
    def is_main(self) -> bool:
        """Whether it belongs to the sweep over the number of labels, with all data."""
        return self.train_fraction == 1 and self.label_draw is None and self.held_out is None


def grid(parameters: LabelSpaceParameters) -> list[RunConfig]:
    """The runs of the study: every arm at every point of its sweeps, and those that are trained longer."""

    def config(dataset: str, replicate: int, point: Point, arm: str, epochs: int) -> RunConfig:
        return RunConfig(
            dataset=dataset,
            base_labels=min(parameters.num_labels),
            replicate=replicate,
            **point._asdict(),
            label_pool=None if point.label_draw is None else max(parameters.sizes(dataset)),
            loss=arm,
            hyperparameters=_hyperparameters(arm, parameters.temperature),
            recipe=arms.recipe(arm, point.encoder, epochs),
            seed=replicate + parameters.seed,
            data_root=parameters.root,
        )

    usual = [
        config(dataset, replicate, point, arm, parameters.epochs)
        for dataset in parameters.datasets
        for replicate in range(parameters.replicates)
        for point in points(parameters, dataset)
        for arm in (
            *arms.baselines(dataset, replicate, whole=point.is_main, root=parameters.data_root),
            *parameters.losses,
        )
    ]
    if parameters.long_epochs in (None, parameters.epochs):
        return usual
    return usual + [
        config(dataset, replicate, point, arm, parameters.long_epochs)
        for dataset in parameters.datasets
        for replicate in range(parameters.replicates)
        for point in points(parameters, dataset)
        if point.is_main
        and point.num_labels in (min(parameters.sizes(dataset)), max(parameters.sizes(dataset)))
        for arm in parameters.losses
    ]


def points(parameters: LabelSpaceParameters, dataset: str) -> list[Point]:
    """The points of all sweeps over a data set: size, amount of data, matched frequency, drawing family."""
    sizes = parameters.sizes(dataset)
    reference = reference_labels(sizes)
    drawn = [k for k in sorted(parameters.matched_num_labels) if k < max(sizes)]
    fractions = [fraction for fraction in sorted(parameters.train_fractions) if fraction < 1]
    modality = parameters.dataset(dataset).modality
    readable = [name for name in parameters.encoders if models.suitable(name, modality)]
    own = [k for k in sizes if k in parameters.end_to_end_num_labels] or [max(sizes)]
    found = [Point(name, k) for name in readable for k in (sizes if name == "frozen" else own)]
    if "frozen" in readable:
        found += [Point("frozen", reference, fraction) for fraction in fractions]
        found += [Point("frozen", k, 1.0, draw) for k in drawn for draw in range(parameters.label_draws)]
        if dataset == "emoji":
            found += [Point("frozen", reference, held_out=family) for family in parameters.held_out]
    return found


IMBALANCES, AMOUNTS = ("none", "zipf"), (1000, 4000)
"""Imbalances of labels and numbers of examples of made-up sets, the other axes of the phase diagram."""

MADE_LOSSES = ("bce", "reg", "msc")

LONGER = 3
"""BCE is trained so many times as long, too: its own head at 1/2 depends on that."""


class Cell(NamedTuple):
    """A cell of the phase diagram: what its made-up sets have in common."""

    num_labels: int
    imbalance: str
    examples: int

    def dataset(self, world: int) -> str:
        """The name of one of its sets."""
        return f"generator:labels={self.num_labels}:examples={self.examples}:imbalance={self.imbalance}:seed={world}"


class Made(NamedTuple):
    """A training on a made-up set.

    Attributes:
        cell: of the phase diagram.
        loss: its name.
        longer: whether it takes :data:`LONGER` times as long.
        config: the run.
    """

    cell: Cell
    loss: str
    longer: bool
    config: RunConfig


def made(parameters: LabelSpaceParameters) -> list[Made]:
    """The trainings of the phase diagram: every loss in every world of every cell, and BCE for longer.

    An MLP learns from nothing. The number of a world stands for that of a split.
    """
    cells = [Cell(*each) for each in itertools.product(parameters.made_num_labels, IMBALANCES, AMOUNTS)]
    lengths = [*((loss, 1) for loss in MADE_LOSSES), ("bce", LONGER)]
    return [
        Made(
            cell,
            loss,
            times > 1,
            RunConfig(
                dataset=cell.dataset(world),
                num_labels=data.supported_labels(data.load(cell.dataset(world)), replicates=1),
                base_labels=0,
                replicate=0,
                encoder="mlp",
                loss=loss,
                recipe=arms.recipe(loss, "mlp", times * parameters.epochs),
                seed=world + parameters.seed,
            ),
        )
        for world in range(parameters.worlds)
        for cell in cells
        for loss, times in lengths
    ]


def _hyperparameters(arm: str, temperature: float | None) -> dict[str, float]:
    if temperature is None or arm in BASELINES or "temperature" not in losses.info(arm).hyperparameters:
        return {}
    return {"temperature": temperature}


STUDY = Study(
    name="02_label_space",
    title="Small versus large label spaces, little versus much data",
    question="When do contrastive losses win?",
    Parameters=LabelSpaceParameters,
    presets={
        "smoke": {
            "datasets": ["debtags", "emoji"],
            "encoders": ["frozen", "bag"],
            "end_to_end_num_labels": [10],
            "losses": ["bce", "reg"],
            "replicates": 1,
            "epochs": 1,
            "num_labels": [10, 30],
            "train_fractions": [0.2, 1.0],
            "matched_num_labels": [10],
            "label_draws": 1,
            "held_out": ["noto"],
            "trials": 1,
        },
        "quick": {
            "datasets": ["debtags", "emoji", "fashion-scenes"],
            "encoders": ["frozen", "bag"],
            "end_to_end_num_labels": [100],
            "losses": LADDER,
            "replicates": 2,
            "epochs": 10,
            "num_labels": [10, 100],
            "train_fractions": [0.1, 1.0],
            "matched_num_labels": [10],
            "label_draws": 0,
            "held_out": [],
            "trials": 1,
        },
        "standard": {
            "datasets": ["debtags", "emoji", "fashion-scenes"],
            "encoders": ["frozen", "static", "last_stage"],
            "end_to_end_num_labels": [10, 100, 300],
            "losses": [*LADDER, "asl", "jaccard_supcon"],
            "replicates": 5,
            "claim_replicates": 10,
            "claim_seeds": 2,
            "epochs": 10,
            "long_epochs": 30,
            "num_labels": [10, 30, 100, 300],
            "train_fractions": [0.05, 0.2, 1.0],
            "matched_num_labels": [10],
            "label_draws": 0,
            "held_out": [],
            "worlds": 5,
            "trials": 4,
        },
        "paper": {
            "datasets": ["coco", "nus-wide"],
            "encoders": ["resnet101@448"],
            "end_to_end_num_labels": [10, 80],
            "losses": [*LADDER, "asl", "mulsupcon"],
            "replicates": 3,
            "epochs": 40,
            "num_labels": [10, 80],
            "train_fractions": [1.0],
            "matched_num_labels": [10],
            "label_draws": 0,
            "held_out": [],
            "recipe": {**arms.MISSING_LABELS_SOURCE, "learning_rate": 1e-4},
            "trials": 1,
        },
    },
    grid=grid,
    figure="label_count",
    headline=("many_labels_source", "many_labels"),
    deviations=(
        "The recipe is that of the missing-label papers, the same for every loss; the original paper tunes each of its"
        " own.",
        "One encoder, ResNet-101 at 448 pixels, and the linear probe of all studies on it.",
        *arms.DEVIATIONS,
    ),
)
