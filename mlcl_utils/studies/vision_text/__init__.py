"""Study 03: images versus text, on tasks that are matched to each other."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field, model_validator

from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import arms
from mlcl_utils.studies.base import Count, Study, StudyParameters

BASE_LABELS = 10
"""Labels whose examples the tuning uses, the most frequent, as in 02_label_space: its trials are the same runs."""

ENCODER = "frozen"


class Pair(NamedTuple):
    """A set of texts and a set of images whose tasks are matched to each other."""

    text: str
    image: str

    def describe(self) -> str:
        """The two in words."""
        return f"{self.text} and {self.image}"


class VisionTextParameters(StudyParameters):
    """Parameters of the study of images versus text."""

    num_labels: Count = Field(description="labels of both tasks of a pair, or all of a set that has fewer")

    @model_validator(mode="after")
    def _both_kinds(self) -> VisionTextParameters:
        if not self.pairs:
            raise UsageError(f"datasets {', '.join(self.datasets)}: name a set of texts and a set of images")
        if len(self.losses) < 3:
            raise UsageError(f"losses {', '.join(self.losses)}: name at least three, whose order is compared")
        return self

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every set of texts with every set of images."""
        modality = {name: self.dataset(name).modality for name in self.datasets}
        return tuple(
            Pair(text, image)
            for text in self.datasets
            for image in self.datasets
            if modality[text] == "text" and modality[image] == "image"
        )

    def labels_of(self, pair: Pair) -> int:
        """Number of labels of both tasks of a pair."""
        return min(self.num_labels, *(len(self.dataset(name).label_names) for name in pair))


def grid(parameters: VisionTextParameters) -> list[RunConfig]:
    """The runs of the study: every baseline and loss on both tasks of every pair."""
    return [
        RunConfig(
            dataset=dataset,
            matched_to=other,
            num_labels=parameters.labels_of(pair),
            base_labels=min(BASE_LABELS, parameters.labels_of(pair)),
            replicate=replicate,
            encoder=ENCODER,
            loss=arm,
            recipe=arms.recipe(arm, ENCODER, parameters.epochs),
            seed=replicate + parameters.seed,
            data_root=parameters.root,
        )
        for pair in parameters.pairs
        for dataset, other in (pair, pair[::-1])
        for replicate in range(parameters.replicates)
        for arm in (
            *arms.baselines(dataset, replicate, root=parameters.data_root),
            *parameters.losses,
        )
    ]


LOSSES = ("bce", "asl", "zlpr", "cosine_bce", "prototype", "msc", "reg", "jaccard_supcon")

STUDY = Study(
    name="03_vision_text",
    title="Images versus text",
    question="Do findings about losses carry over between images and text?",
    Parameters=VisionTextParameters,
    presets={
        "smoke": {
            "datasets": ["debtags", "emoji"],
            "losses": ["bce", "prototype", "reg"],
            "replicates": 1,
            "epochs": 1,
            "num_labels": 10,
            "trials": 1,
        },
        "quick": {
            "datasets": ["debtags", "emoji"],
            "losses": LOSSES,
            "replicates": 2,
            "epochs": 10,
            "num_labels": 30,
            "trials": 1,
        },
        "standard": {
            "datasets": ["debtags", "emoji"],
            "losses": LOSSES,
            "replicates": 5,
            "epochs": 10,
            "num_labels": 30,
            "trials": 4,
        },
    },
    grid=grid,
    figure="correlations",
)
