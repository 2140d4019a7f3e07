"""Study 06: what the parts of the kernel mixture loss contribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import arms
from mlcl_utils.studies.base import Count, Encoder, Study, StudyParameters
from mlcl_utils.studies.values import Names
from mlcl_utils.training import Recipe

BATCH = Recipe(epochs=1).batch_size


@dataclass(frozen=True)
class Variant:
    """One form of the loss.

    Attributes:
        arm: what it is called among the arms, see :func:`mlcl_utils.figures.style.look`.
        meaning: one line.
        hyperparameters: what differs from the defaults of ``kmcl``.
    """

    arm: str
    meaning: str
    hyperparameters: Mapping[str, Any]


VARIANTS = {
    "asl": Variant(
        "kmcl: asl", "the asymmetric loss of the head alone", {"reconstruction": 0.0, "contrastive": 0.0}
    ),
    "reconstruction": Variant("kmcl: reconstruction", "with the reconstruction", {"contrastive": 0.0}),
    "contrast": Variant(
        "kmcl", "with the contrast too: the whole loss, Bhattacharyya coefficients as similarities", {}
    ),
    "mahalanobis": Variant(
        "kmcl: mahalanobis",
        "the whole with a similarity that leaves out how variances differ",
        {"kernel": "mahalanobis"},
    ),
    "rbf": Variant(
        "kmcl: rbf", "the whole with a similarity that leaves out the variances", {"kernel": "rbf"}
    ),
    "released": Variant(
        "kmcl: released",
        "the whole in the arithmetic of the released code, with its lower bounds",
        {"stable": False},
    ),
    "averaged": Variant(
        "kmcl: averaged",
        f"the whole with both terms {BATCH} times as heavy, as beside an asymmetric loss averaged over the batch",
        {"reconstruction": float(BATCH), "contrastive": float(BATCH)},
    ),
}
"""By name: nested parts first, then kernels, then other forms of the whole."""

PARTS = ("asl", "reconstruction", "contrast")
"""Variants that are nested: each has one term more than the one before."""


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in VARIANTS:
            raise unknown("variant", name, VARIANTS)
    if "asl" not in names:
        raise UsageError("variants lacks 'asl', which the others are compared with; add it")
    return tuple(name for name in VARIANTS if name in names)


class KernelMixtureParameters(StudyParameters):
    """Parameters of the kernel mixture study."""

    num_labels: Count = Field(description="size of the label space, or all labels of a set that has fewer")
    variants: Annotated[Names, AfterValidator(_known)] = Field(description=f"of KMCL: {', '.join(VARIANTS)}")

    encoder: Encoder = Field(default="frozen", description="encoder of every arm")

    def labels_of(self, dataset: str) -> int:
        """Size of the label space of a data set."""
        return min(self.num_labels, self.labels_to_learn(dataset))


def variant_of(config: RunConfig) -> Variant | None:
    """The variant of a run with the kernel mixture loss; None for another loss."""
    if config.loss != "kmcl":
        return None
    fixed = ("reconstruction", "contrastive", "kernel", "stable")
    given = {name: value for name, value in config.hyperparameters.items() if name in fixed}
    return next(each for each in VARIANTS.values() if dict(each.hyperparameters) == given)


def grid(parameters: KernelMixtureParameters) -> list[RunConfig]:
    """The runs of the study: baselines, losses that KMCL is compared with, and its variants."""
    return [
        RunConfig(
            dataset=dataset,
            num_labels=parameters.labels_of(dataset),
            base_labels=0,
            replicate=replicate,
            encoder=parameters.encoder,
            loss=loss,
            hyperparameters=hyperparameters,
            recipe=arms.recipe(loss, parameters.encoder, parameters.epochs),
            seed=replicate + parameters.seed,
            data_root=parameters.root,
        )
        for dataset in parameters.datasets
        for replicate in range(parameters.replicates)
        for loss, hyperparameters in _arms(parameters, dataset, replicate)
    ]


def _arms(
    parameters: KernelMixtureParameters, dataset: str, replicate: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in (*arms.baselines(dataset, replicate, root=parameters.data_root), *parameters.losses):
        yield name, {}
    for name in parameters.variants:
        yield "kmcl", VARIANTS[name].hyperparameters


STUDY = Study(
    name="06_kernel_mixture",
    title="Kernel mixture",
    question="What do the parts of KMCL contribute?",
    Parameters=KernelMixtureParameters,
    presets={
        "smoke": {
            "datasets": ["fashion-scenes"],
            "losses": ["asl"],
            "variants": ["asl", "reconstruction", "contrast", "rbf"],
            "replicates": 1,
            "epochs": 1,
            "num_labels": 10,
            "trials": 1,
        },
        "quick": {
            "datasets": ["fashion-scenes", "debtags"],
            "losses": ["bce", "asl"],
            "variants": list(VARIANTS),
            "replicates": 2,
            "epochs": 10,
            "num_labels": 100,
            "trials": 1,
        },
        "standard": {
            "datasets": ["fashion-scenes", "debtags"],
            "losses": ["bce", "asl"],
            "variants": list(VARIANTS),
            "replicates": 5,
            "claim_replicates": 10,
            "claim_seeds": 2,
            "epochs": 10,
            "num_labels": 100,
            "trials": 4,
        },
        "paper": {
            "datasets": ["coco", "voc2007", "nus-wide"],
            "encoder": "resnet101@448",
            "losses": ["bce", "asl"],
            "variants": [
                name for name in VARIANTS if name != "averaged"
            ],  # which is for batches of another size
            "replicates": 3,
            "epochs": 40,
            "num_labels": 81,
            "recipe": {**arms.MISSING_LABELS_SOURCE, "batch_size": 64, "learning_rate": 2e-4},
            "trials": 1,
        },
    },
    grid=grid,
    figure="parts",
    deviations=(
        "ResNet-101 at 448 pixels, with the weights that torchvision publishes; the paper has TResNet-M at 224 and"
        " TResNet-L at 448 pixels, pretrained on ImageNet-21k.",
        *arms.DEVIATIONS,
    ),
)
