"""Study 02: small versus large label spaces, little versus much data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mlcl_utils import data, losses
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies.base import Counts, Fractions, Positive, Study, StudyParameters
from mlcl_utils.training import BASELINES, Recipe

REFERENCE = 100
"""Number of labels at which the training fractions are swept, if it is in the sweep; else the largest below it."""

MIN_STEPS = 5
"""Optimisation steps, per epoch asked for, that a small training part gets at least."""

FEW_BASELINES = ("logistic_regression", "random_encoder")
"""Baselines that every point of every sweep is drawn beside."""


class LabelSpaceParameters(StudyParameters):
    """Parameters of the label-space study."""

    num_labels: Counts = Field(description="sizes of the label space; the smallest one fixes the examples")
    train_fractions: Fractions = Field(description="shares of the training part; smaller ones are subsets")
    matched_num_labels: Counts = Field(
        description="sizes at which labels are also drawn at matched frequency"
    )
    label_draws: Annotated[int, Field(ge=0, description="draws of labels at each of those sizes; 0 for none")]
    temperature: Annotated[
        Positive | None, Field(description="of the contrastive losses; not given: their own")
    ] = None

    @model_validator(mode="after")
    def _labels_exist(self) -> LabelSpaceParameters:
        available = {name: len(data.load(name).label_names) for name in self.datasets}
        largest = max(available, key=lambda name: available[name])
        if max(self.num_labels) > available[largest]:
            raise UsageError(
                f"num_labels {max(self.num_labels)}: {largest} has {available[largest]} labels; ask for no more"
            )
        for name, labels in available.items():
            if min(self.num_labels) > labels:
                raise UsageError(
                    f"num_labels {min(self.num_labels)}: {name} has {labels} labels; ask for no more"
                )
        return self

    def sizes(self, dataset: str) -> tuple[int, ...]:
        """The sizes of the label space that a data set has labels enough for, in ascending order."""
        return tuple(k for k in sorted(self.num_labels) if k <= len(data.load(dataset).label_names))


def reference_labels(num_labels: tuple[int, ...]) -> int:
    """The size of the label space at which the amount of training data is varied."""
    return max((k for k in num_labels if k <= REFERENCE), default=min(num_labels))


def grid(parameters: LabelSpaceParameters) -> list[RunConfig]:
    """The runs of the study: every arm at every size, and at the reference size with less training data."""
    recipe = Recipe(epochs=parameters.epochs, min_steps=MIN_STEPS * parameters.epochs)
    return [
        RunConfig(
            dataset=dataset,
            num_labels=k,
            base_labels=min(parameters.num_labels),
            replicate=replicate,
            train_fraction=fraction,
            label_draw=draw,
            label_pool=None if draw is None else max(parameters.sizes(dataset)),
            loss=arm,
            hyperparameters=_hyperparameters(arm, parameters.temperature),
            recipe=_recipe(arm, recipe),
            seed=replicate + parameters.seed,
        )
        for dataset in parameters.datasets
        for replicate in range(parameters.replicates)
        for k, fraction, draw in _points(parameters, dataset)
        for arm in (*_baselines(dataset, replicate, whole=fraction == 1 and draw is None), *parameters.losses)
    ]


def _points(parameters: LabelSpaceParameters, dataset: str) -> list[tuple[int, float, int | None]]:
    """Number of labels, share of the training data and draw of labels of every point of the three sweeps."""
    sizes = parameters.sizes(dataset)
    reference = reference_labels(sizes)
    drawn = [k for k in sorted(parameters.matched_num_labels) if k < max(sizes)]
    return [
        *((k, 1.0, None) for k in sizes),
        *((reference, fraction, None) for fraction in sorted(parameters.train_fractions) if fraction < 1),
        *((k, 1.0, draw) for k in drawn for draw in range(parameters.label_draws)),
    ]


def _hyperparameters(arm: str, temperature: float | None) -> dict[str, float]:
    if temperature is None or arm in BASELINES or "temperature" not in losses.info(arm).hyperparameters:
        return {}
    return {"temperature": temperature}


def _baselines(dataset: str, replicate: int, *, whole: bool) -> tuple[str, ...]:
    """All of them in the main sweep; the control on shuffled labels once a task, name matching on texts."""
    if not whole:
        return FEW_BASELINES
    left_out = {"shuffled_labels"} if replicate else set()
    if data.load(dataset).modality != "text":
        left_out.add("name_matching")
    return tuple(name for name in BASELINES if name not in left_out)


def _recipe(arm: str, recipe: Recipe) -> Recipe | None:
    """What of the recipe an arm depends on: a baseline without training is the same run whatever the epochs."""
    if arm == "random_encoder":
        return Recipe(epochs=0, min_steps=0, width=recipe.width)
    return None if arm in BASELINES and arm != "shuffled_labels" else recipe


STUDY = Study(
    name="02_label_space",
    title="Small versus large label spaces, little versus much data",
    question="When do contrastive losses win?",
    Parameters=LabelSpaceParameters,
    presets={
        "smoke": {
            "datasets": ["debtags"],
            "losses": ["bce", "prototype", "reg"],
            "replicates": 1,
            "epochs": 2,
            "num_labels": [10, 30],
            "train_fractions": [0.25, 1.0],
            "matched_num_labels": [10],
            "label_draws": 1,
            "trials": 1,
        },
        "quick": {
            "datasets": ["debtags"],
            "losses": ["bce", "asl", "prototype", "jaccard_supcon", "msc", "reg"],
            "replicates": 2,
            "epochs": 10,
            "num_labels": [10, 30, 100, 300],
            "train_fractions": [0.1, 1.0],
            "matched_num_labels": [10],
            "label_draws": 0,
            "trials": 1,
        },
        "standard": {
            "datasets": ["debtags"],
            "losses": ["bce", "asl", "prototype", "jaccard_supcon", "msc", "reg"],
            "replicates": 5,
            "epochs": 30,
            "num_labels": [10, 30, 100, 300],
            "train_fractions": [0.05, 0.1, 0.2, 0.5, 1.0],
            "matched_num_labels": [10, 30, 100],
            "label_draws": 3,
            "trials": 8,
        },
    },
    grid=grid,
)
