"""What a run is: one training with one configuration, and the identity that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlcl_utils import data, losses, models
from mlcl_utils.training import BASELINES, Recipe

TRAINER_VERSION = 4
"""Raised when training, the probe, a baseline or a metric gives other numbers for the same configuration."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The configuration of a run; equal configurations are the same run.

    Attributes:
        dataset: a name that :func:`mlcl_utils.data.load` takes.
        num_labels: size of the label space.
        base_labels: size of the smallest label space of a sweep, which fixes the examples; 0 for all examples.
        replicate: split of the data, in [0, 10).
        train_fraction: share of the training groups, in (0, 1].
        label_draw: number of the draw of labels at matched frequency; None for the most frequent labels.
        label_pool: number of labels that such a draw is made from.
        held_out: drawing family that training and validation do without and test consists of; None for no such.
        matched_to: data set whose task of as many labels this one is matched to in examples, cardinality and label
            frequencies; None for no such.
        kept_share: share of the positives of training and validation that are kept, in (0, 1]; the others are lost.
        one_positive: whether every example keeps one positive instead.
        clean_validation: whether validation loses none.
        encoder: a name that :func:`mlcl_utils.models.encoder_class` takes; it also says what the baselines read.
        loss: a name of :func:`mlcl_utils.losses.names` or of a baseline.
        hyperparameters: of the loss.
        recipe: how the encoder is trained; None for a baseline without an encoder.
        read_projection: whether the projection is read too, and its embeddings are described for a picture.
        seed: of initialisation, batch order and every other draw.
        stop: epochs after which training stops: a trial of a search, scored by the loss's own head alone and continued
            by a trial with a later stop; None for a run that is trained to the end and measured in full.
        data_root: the folder that holds a user's sets. It says where the data lie, and is not part of the identity.
    """

    dataset: str
    num_labels: int
    base_labels: int
    replicate: int
    loss: str
    seed: int
    train_fraction: float = 1.0
    label_draw: int | None = None
    label_pool: int | None = None
    held_out: str | None = None
    matched_to: str | None = None
    kept_share: float = 1.0
    one_positive: bool = False
    clean_validation: bool = False
    encoder: str = "frozen"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    stop: int | None = None
    data_root: str | None = None
    read_projection: bool = False

    @property
    def is_baseline(self) -> bool:
        """Whether the run is there to be compared with, not to be studied."""
        return self.loss in BASELINES

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain values, as it is stored."""
        return dataclasses.asdict(self)

    def with_values(self, values: Mapping[str, Any]) -> RunConfig:
        """The configuration with other values by name: fields of the recipe, all others hyperparameters of the loss.

        A hyperparameter of a part of a sum of losses is named after both: ``clml.weight``.
        """
        assert self.recipe is not None, "a configuration without a recipe has nothing to set"
        fields = {field.name for field in dataclasses.fields(self.recipe)}
        recipe: dict[str, Any] = {name: value for name, value in values.items() if name in fields}
        own = dict(self.hyperparameters)
        for name, value in values.items():
            part, dot, rest = name.partition(".")
            if dot:
                own[part] = {**own.get(part, {}), rest: value}
            elif name not in fields:
                own[name] = value
        return dataclasses.replace(
            self, recipe=dataclasses.replace(self.recipe, **recipe), hyperparameters=own
        )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RunConfig:
        """The configuration that :meth:`as_dict` described."""
        recipe = stored["recipe"]
        return cls(**{**stored, "recipe": None if recipe is None else Recipe(**recipe)})

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits: the configuration with the versions of the data, the loss and the trainer.

        Fields at their defaults do not count, so that a field that is new changes no identity; a default that changes
        raises the trainer's version. A user's data set counts by its short name and its content, not by where it lies;
        so do a pretrained encoder and word vectors.
        """
        versions = {"data": data.version(self.dataset, self.data_root), "trainer": TRAINER_VERSION}
        if self.matched_to is not None:
            versions["matched_to"] = data.version(self.matched_to, self.data_root)
        if not self.is_baseline:
            versions["loss"] = losses.info(self.loss).version
        config = _set(self)
        config.pop("data_root", None)
        if "encoder" in config:
            config["encoder"] = models.identity(self.encoder, self.dataset, self.data_root)
        for name in ("dataset", "matched_to"):
            if name in config:
                config[name] = data.short_name(config[name], self.data_root)
        if self.recipe is not None:
            config["recipe"] = _set(self.recipe)
        described = json.dumps({"config": config, "versions": versions}, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()[:16]


def _set(owner: RunConfig | Recipe) -> dict[str, Any]:
    """The fields that differ from their defaults, in plain values."""
    plain = dataclasses.asdict(owner)
    return {
        field.name: plain[field.name]
        for field in dataclasses.fields(owner)
        if field.default is dataclasses.MISSING or getattr(owner, field.name) != field.default
    }
