"""Study 01: positives that nobody wrote down, and whether CLML repairs what they cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from mlcl_utils import losses
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import arms
from mlcl_utils.studies.base import (
    Count,
    Encoder,
    Fraction,
    Fractions,
    Losses,
    Positive,
    Study,
    StudyParameters,
)
from mlcl_utils.studies.values import Positives
from mlcl_utils.training import BASELINES, Recipe

BASE_LOSSES = ("bce", "focal", "asl", "hill", "splc", "zlpr")
"""Losses on logits that are known to be; only who names another one waits for torch to look at it."""

STRUCTURE = ("clml", "norm_penalty")
"""What is added to a base loss: the term that is studied, and its control of matched size."""

CORRECTED = "corrected_bce"
"""The control that has the label correction without the nuclear norms."""


class MissingLabelsParameters(StudyParameters):
    """Parameters of the study of missing labels.

    All weights of CLML but the first are trained with the first of ``swept``.
    """

    num_labels: Count = Field(description="size of the label space, or all labels of a set that has fewer")
    kept_shares: Fractions = Field(
        description="shares of the positives that are kept; smaller ones are subsets"
    )
    reference_share: Fraction = Field(
        description="share at which losses, weights and controls are compared; one of kept_shares"
    )
    one_positive: bool = Field(description="whether there is a condition with one positive per example")
    swept: Losses = Field(
        description="losses that are trained in every condition, the others at the reference alone"
    )
    clml_weights: Positives = Field(
        description="weights of CLML, 1 as published; all but the first only at the reference"
    )
    learning_rate: Positive = Field(description="peak learning rate of every arm, before tuning")
    encoder: Encoder = Field(default="frozen", description="encoder of every arm")

    @model_validator(mode="after")
    def _fit_together(self) -> MissingLabelsParameters:
        for name in self.losses:
            if name not in BASE_LOSSES and ("+" in name or losses.info(name).tensors != ("logits",)):
                raise UsageError(f"loss '{name}' is no base loss on logits; name some such as bce or splc")
        for name in self.swept:
            if name not in self.losses:
                raise UsageError(f"swept '{name}' is not among losses; add it to both")
        if self.reference_share not in self.kept_shares:
            raise UsageError(
                f"reference_share {self.reference_share:g} is not among kept_shares; name one of them"
            )
        if 1.0 in self.clml_weights[1:]:
            raise UsageError("clml_weights has the published weight, 1, after others; put it first")
        return self

    def labels_of(self, dataset: str) -> int:
        """Size of the label space of a data set."""
        return min(self.num_labels, self.labels_to_learn(dataset))

    @property
    def batch_size(self) -> int:
        """Examples a step of every arm."""
        own = Recipe.of(self.encoder, epochs=self.epochs).batch_size
        return int(self.recipe.get("batch_size", own))

    @property
    def reference(self) -> Condition:
        """The condition in which all losses, weights and controls are compared."""
        return Condition(self.reference_share)

    @property
    def conditions(self) -> list[Condition]:
        """What is lost: the reference first, then every share from all positives down, then all but one."""
        shares = [Condition(share) for share in sorted(self.kept_shares, reverse=True)]
        others = [each for each in shares if each != self.reference]
        return [self.reference, *others, *([Condition(1.0, one_positive=True)] if self.one_positive else [])]


class Condition(NamedTuple):
    """Which positives are lost."""

    kept_share: float
    one_positive: bool = False
    clean_validation: bool = False


class _Arm(NamedTuple):
    """A loss, or a baseline, with its hyperparameters."""

    loss: str
    hyperparameters: Mapping[str, Any]


def published_weight(batch_size: int) -> float:
    """The published weight, 1 next to a loss summed over a batch, next to one averaged over it."""
    return 1 / batch_size


def weight_of(config: RunConfig) -> float:
    """The weight of what is added to the base loss, in multiples of the published one; 0 if nothing is."""
    parts = [config.hyperparameters[name]["weight"] for name in STRUCTURE if name in config.hyperparameters]
    assert config.recipe is not None
    return round(parts[0] / published_weight(config.recipe.batch_size), 6) if parts else 0.0


def grid(parameters: MissingLabelsParameters) -> list[RunConfig]:
    """The runs of the study, those of the reference condition first."""
    oracle = parameters.reference._replace(clean_validation=True)
    return [
        RunConfig(
            dataset=dataset,
            num_labels=parameters.labels_of(dataset),
            base_labels=0,
            replicate=replicate,
            **condition._asdict(),
            encoder=parameters.encoder,
            loss=arm.loss,
            hyperparameters=arm.hyperparameters,
            recipe=_recipe(arm.loss, parameters),
            seed=replicate + parameters.seed,
            data_root=parameters.root,
        )
        for dataset in parameters.datasets
        for replicate in range(parameters.replicates)
        for condition in [*parameters.conditions, oracle]
        for arm in _arms(parameters, condition, dataset, replicate)
    ]


def _arms(
    parameters: MissingLabelsParameters, condition: Condition, dataset: str, replicate: int
) -> Iterator[_Arm]:
    is_reference = condition == parameters.reference
    for name in arms.baselines(dataset, replicate, whole=is_reference, root=parameters.data_root):
        yield _Arm(name, {})
    first, *others = parameters.clml_weights
    main = parameters.swept[0]
    if condition.clean_validation:
        swept: tuple[str, ...] = (main,)
    else:
        swept = parameters.losses if is_reference else parameters.swept
    for name in swept:
        yield _Arm(name, {})
        yield _added(parameters, name, "clml", first)
    if is_reference:
        yield _Arm(CORRECTED, {})
        yield _added(parameters, main, "norm_penalty", first)
        for weight in others:
            yield from (_added(parameters, main, term, weight) for term in STRUCTURE)


def _added(parameters: MissingLabelsParameters, base: str, term: str, weight: float) -> _Arm:
    return _Arm(f"{base}+{term}", {term: {"weight": weight * published_weight(parameters.batch_size)}})


def _recipe(arm: str, parameters: MissingLabelsParameters) -> Recipe | None:
    recipe = arms.recipe(arm, parameters.encoder, parameters.epochs)
    if recipe is None or (arm in BASELINES and arm != "shuffled_labels"):
        return recipe
    return dataclasses.replace(recipe, learning_rate=parameters.learning_rate)


STUDY = Study(
    name="01_missing_labels",
    title="Missing labels",
    question="How much do losses lose when positives are missing, and does CLML repair it?",
    Parameters=MissingLabelsParameters,
    presets={
        "smoke": {
            "datasets": ["fashion-scenes"],
            "losses": ["bce", "splc"],
            "swept": ["bce"],
            "replicates": 1,
            "epochs": 2,
            "num_labels": 10,
            "kept_shares": [1.0, 0.4],
            "reference_share": 0.4,
            "one_positive": False,
            "clml_weights": [1.0],
            "learning_rate": 5e-4,
            "trials": 1,
        },
        "quick": {
            "datasets": ["fashion-scenes", "debtags"],
            "losses": ["bce", "splc"],
            "swept": ["bce", "splc"],
            "replicates": 2,
            "epochs": 10,
            "num_labels": 100,
            "kept_shares": [1.0, 0.4],
            "reference_share": 0.4,
            "one_positive": False,
            "clml_weights": [1.0, 10.0],
            "learning_rate": 5e-4,
            "trials": 1,
        },
        "standard": {
            "datasets": ["fashion-scenes", "debtags"],
            "losses": ["bce", "focal", "asl", "hill", "splc"],
            "swept": ["bce", "splc"],
            "replicates": 5,
            "claim_replicates": 10,
            "claim_seeds": 2,
            "epochs": 10,
            "num_labels": 100,
            "kept_shares": [1.0, 0.75, 0.4, 0.2],
            "reference_share": 0.4,
            "one_positive": True,
            "clml_weights": [1.0, 10.0, 100.0],
            "learning_rate": 5e-4,
            "trials": 4,
        },
        "paper": {
            "datasets": ["coco", "voc2007", "nus-wide"],
            "encoder": "resnet101@448",
            "losses": ["bce", "focal", "asl", "hill", "splc"],
            "swept": ["bce", "splc"],
            "replicates": 3,
            "epochs": 31,
            "num_labels": 81,
            "kept_shares": [1.0, 0.75, 0.4],
            "reference_share": 0.4,
            "one_positive": True,
            "clml_weights": [1.0],
            "learning_rate": 1e-4,
            "recipe": arms.MISSING_LABELS_SOURCE,
            "trials": 1,
        },
    },
    grid=grid,
    figure="differences",
    deviations=(
        "Positives of validation are lost as those of training are; the original paper has no validation part and"
        " chooses by the test score.",
        "31 epochs with the schedule's end there; the original paper ends its schedule after 80 and stops after 31.",
        *arms.DEVIATIONS,
    ),
)
