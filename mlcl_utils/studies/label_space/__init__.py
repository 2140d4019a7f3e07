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

MIN_STEPS = 10
"""Optimisation steps, per epoch asked for, that a small training part gets at least."""

FRACTION_BASELINES = ("logistic_regression", "random_encoder")


class LabelSpaceParameters(StudyParameters):
    """Parameters of the label-space study."""

    num_labels: Counts = Field(description="sizes of the label space; the smallest one fixes the examples")
    train_fractions: Fractions = Field(description="shares of the training part; smaller ones are subsets")
    temperature: Annotated[
        Positive | None, Field(description="of the contrastive losses; not given: their own")
    ] = None

    @model_validator(mode="after")
    def _labels_exist(self) -> LabelSpaceParameters:
        for dataset in self.datasets:
            available = len(data.load(dataset).label_names)
            if max(self.num_labels) > available:
                raise UsageError(
                    f"num_labels {max(self.num_labels)}: {dataset} has {available} labels; ask for no more"
                )
        return self


def reference_labels(num_labels: tuple[int, ...]) -> int:
    """The size of the label space at which the amount of training data is varied."""
    return max((k for k in num_labels if k <= REFERENCE), default=min(num_labels))


def grid(parameters: LabelSpaceParameters) -> list[RunConfig]:
    """The runs of the study: every arm at every size, and at the reference size with less training data."""
    sizes = [(k, 1.0) for k in sorted(parameters.num_labels)]
    reference = reference_labels(parameters.num_labels)
    sizes += [(reference, fraction) for fraction in sorted(parameters.train_fractions) if fraction < 1]
    recipe = Recipe(epochs=parameters.epochs, min_steps=MIN_STEPS * parameters.epochs)
    configs = []
    for dataset in parameters.datasets:
        for replicate in range(parameters.replicates):
            for k, fraction in sizes:
                for arm in (*_baselines(dataset, replicate, fraction), *parameters.losses):
                    tempered = (
                        parameters.temperature is not None
                        and arm not in BASELINES
                        and "temperature" in losses.info(arm).hyperparameters
                    )
                    configs.append(
                        RunConfig(
                            dataset=dataset,
                            num_labels=k,
                            base_labels=min(parameters.num_labels),
                            replicate=replicate,
                            train_fraction=fraction,
                            loss=arm,
                            hyperparameters={"temperature": parameters.temperature} if tempered else {},
                            recipe=_recipe(arm, recipe),
                            seed=replicate + parameters.seed,
                        )
                    )
    return configs


def _baselines(dataset: str, replicate: int, fraction: float) -> tuple[str, ...]:
    """All of them with all the data; the control on shuffled labels once a task, name matching on texts."""
    if fraction < 1:
        return FRACTION_BASELINES
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
        },
        "quick": {
            "datasets": ["debtags"],
            "losses": ["bce", "asl", "prototype", "jaccard_supcon", "msc", "reg"],
            "replicates": 2,
            "epochs": 10,
            "num_labels": [10, 30, 100, 300],
            "train_fractions": [0.05, 0.2, 1.0],
        },
        "standard": {
            "datasets": ["debtags"],
            "losses": ["bce", "asl", "prototype", "jaccard_supcon", "msc", "reg"],
            "replicates": 5,
            "epochs": 30,
            "num_labels": [10, 30, 100, 300],
            "train_fractions": [0.05, 0.1, 0.2, 0.5, 1.0],
        },
    },
    grid=grid,
)
