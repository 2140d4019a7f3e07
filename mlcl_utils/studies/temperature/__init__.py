"""Study 04: what temperature does to a contrastive loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from mlcl_utils import losses, models
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import arms
from mlcl_utils.studies.base import Count, Encoders, Fraction, Study, StudyParameters
from mlcl_utils.studies.values import Positives
from mlcl_utils.training import Recipe

WITH_TEMPERATURE = (
    *("instance", "jaccard_supcon", "msc", "mulsupcon", "prototype", "reg", "similarity_dissimilarity"),
)
"""Losses that are known to have a temperature; only who names another one waits for torch to look at it."""

RATE_FACTORS = (1.0, 1 / 4, 4.0)
"""Learning rates that are tried, in units of the recipe's, which comes first."""

VIEWS = {
    "frozen": "two draws of dropout, of features and units",
    "mlp": "two draws of dropout, of features and units",
    "bag": "two draws of dropped words",
    "static": "two draws of dropped words",
    "last_stage": "two draws of dropped parts of the maps",
    "cnn": "two shifts by up to three pixels, and two draws of dropout",
    "torchvision": "two augmentations of the image",
    "transformers": "two draws of the network's own dropout",
}
"""What the two views of an example are in each kind of encoder."""


def _several(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) < 2:
        raise ValueError("should name at least two")
    return tuple(sorted(values))


class TemperatureParameters(StudyParameters):
    """Parameters of the temperature study."""

    encoders: Encoders = Field(description="encoders, each on the data sets that it can read")
    num_labels: Count = Field(description="size of the label space, or all labels of a set that has fewer")
    temperatures: Annotated[Positives, AfterValidator(_several)] = Field(
        description="temperatures of the losses"
    )
    hard_fraction: Fraction = Field(
        description="share of negatives, the nearest, that the hard variant keeps; 1 for none"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> TemperatureParameters:
        for name in self.losses:
            if name not in WITH_TEMPERATURE and "temperature" not in losses.info(name).hyperparameters:
                raise UsageError(f"loss '{name}' has no temperature; name contrastive losses")
        for each in self.config:
            if "temperature" in each.values:
                raise UsageError(
                    f"config of '{each.loss}' has a temperature, which this study varies; take it out"
                )
        if self.trials > len(RATE_FACTORS):
            raise UsageError(
                f"trials {self.trials}: there are {len(RATE_FACTORS)} learning rates to try; ask for no more"
            )
        return self

    def labels_of(self, dataset: str) -> int:
        """Size of the label space of a data set."""
        return min(self.num_labels, self.labels_to_learn(dataset))

    @property
    def places(self) -> tuple[Place, ...]:
        """The data sets with each encoder that can read them."""
        return tuple(
            Place(dataset, encoder)
            for dataset in self.datasets
            for encoder in self.encoders
            if models.suitable(encoder, self.dataset(dataset).modality)
        )


class Place(NamedTuple):
    """Where the temperature is varied: a data set and an encoder."""

    dataset: str
    encoder: str


def variant(config: RunConfig) -> str:
    """What an arm is besides its loss and temperature: ``hard`` negatives, ``scaled`` loss, or nothing."""
    if config.hyperparameters.get("hard_fraction", 1.0) < 1:
        return "hard"
    return "scaled" if config.recipe is not None and config.recipe.loss_scale != 1 else ""


def grid(parameters: TemperatureParameters) -> list[RunConfig]:
    """The runs of the study at the recipe's learning rate: all baselines and arms of every place.

    Losses that need no labels are studied in every place, their hard-negative variant with encoders that are trained
    end to end, as in the original paper. Losses that need labels, and the control in which the first loss is multiplied
    by its temperature, are studied in the first place alone.
    """
    return [
        RunConfig(
            dataset=place.dataset,
            num_labels=parameters.labels_of(place.dataset),
            base_labels=0,
            replicate=replicate,
            encoder=place.encoder,
            loss=arm.loss,
            hyperparameters=arm.hyperparameters,
            recipe=_recipe(arm, place.encoder, parameters.epochs),
            read_projection=bool(arm.hyperparameters),
            seed=replicate + parameters.seed,
            data_root=parameters.root,
        )
        for place in parameters.places
        for replicate in range(parameters.replicates)
        for arm in (
            *(_Arm(name, {}) for name in arms.baselines(place.dataset, replicate, root=parameters.data_root)),
            *_arms(parameters, place),
        )
    ]


class _Arm(NamedTuple):
    """A loss at a temperature, or a baseline."""

    loss: str
    hyperparameters: Mapping[str, float]
    scale: float = 1.0


def _arms(parameters: TemperatureParameters, place: Place) -> Iterator[_Arm]:
    first = place == parameters.places[0]
    for name in parameters.losses:
        without_labels = "views" in losses.info(name).tensors
        for temperature in parameters.temperatures:
            if without_labels or first:
                yield _Arm(name, {"temperature": temperature})
            if without_labels and parameters.hard_fraction < 1 and place.encoder != "frozen":
                yield _Arm(name, {"temperature": temperature, "hard_fraction": parameters.hard_fraction})
            if first and name == parameters.losses[0] and temperature != 1:
                yield _Arm(name, {"temperature": temperature}, scale=temperature)


def _recipe(arm: _Arm, encoder: str, epochs: int) -> Recipe | None:
    recipe = arms.recipe(arm.loss, encoder, epochs)
    return recipe if recipe is None or arm.scale == 1 else dataclasses.replace(recipe, loss_scale=arm.scale)


STUDY = Study(
    name="04_temperature",
    title="Temperature",
    question="What does the temperature of a contrastive loss do to embeddings, and to what can be read off them?",
    Parameters=TemperatureParameters,
    presets={
        "smoke": {
            "datasets": ["debtags"],
            "encoders": ["frozen", "bag"],
            "losses": ["instance", "reg"],
            "replicates": 1,
            "epochs": 1,
            "num_labels": 10,
            "temperatures": [0.07, 1.0],
            "hard_fraction": 0.1,
            "trials": 1,
        },
        "quick": {
            "datasets": ["debtags", "emoji"],
            "encoders": ["frozen", "bag", "cnn"],
            "losses": ["instance", "reg"],
            "replicates": 2,
            "epochs": 5,
            "num_labels": 100,
            "temperatures": [0.02, 0.3, 1.0],
            "hard_fraction": 0.1,
            "trials": 1,
        },
        "standard": {
            "datasets": ["debtags", "emoji"],
            "encoders": ["frozen", "static", "last_stage"],
            "losses": ["instance", "reg"],
            "replicates": 10,
            "epochs": 10,
            "num_labels": 100,
            "temperatures": [0.02, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0],
            "hard_fraction": 0.1,
            "trials": 3,
        },
    },
    grid=grid,
    figure="scores",
    headline=("intermediate_best",),
)
