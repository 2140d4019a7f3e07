"""What is compared: arms, the baselines next to them, and the recipes that they are trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcl_utils import data
from mlcl_utils.training import BASELINES, Recipe

if TYPE_CHECKING:
    from mlcl_utils.runs import RunConfig


@dataclass(frozen=True)
class Axis:
    """Something that a study varies besides data set, encoder, number of labels and loss.

    Attributes:
        default: its value in an arm that does not vary it.
        describe: another value in words.
        of_task: whether it is part of what is learnt, so that the baselines have it too; such an axis is a field of a
            run's configuration.
    """

    default: Any
    describe: Callable[[Any], str]
    of_task: bool = True


def in_percent(share: float) -> str:
    """A share in per cent, such that different ones differ: ``40%``, ``0.1%``."""
    return f"{100 * share:.6g}%"


_VARIANTS = {"hard": "hard negatives", "scaled": "times τ"}

AXES = {
    "train_fraction": Axis(1.0, lambda share: f"{in_percent(share)} of the data"),
    "label_draw": Axis(None, lambda draw: f"draw {draw:.0f}"),
    "held_out": Axis(None, lambda family: f"{family} held out"),
    "kept_share": Axis(1.0, lambda share: f"{in_percent(share)} kept"),
    "one_positive": Axis(False, lambda _: "one positive"),
    "clean_validation": Axis(False, lambda _: "clean validation"),
    "matched_to": Axis(None, lambda other: f"matched to {other}"),
    "weight": Axis(1.0, lambda weight: f"×{weight:g}", of_task=False),
    "variant": Axis("", lambda name: _VARIANTS.get(name, name), of_task=False),
    "length": Axis("", str, of_task=False),
    "temperature": Axis(None, lambda temperature: f"τ {temperature:g}", of_task=False),
}
"""The axes by name, in the order in which they are listed in words and in the columns of a frame."""


@dataclass(frozen=True)
class Arm:
    """One line of a comparison; its runs differ in split and seed alone.

    ``arm["kept_share"]`` is its value on an axis; :meth:`but` gives the same arm with something else.

    Attributes:
        dataset: name of the data set.
        encoder: name of the encoder.
        num_labels: size of the label space.
        loss: name of the loss, of a variant of it or of a baseline; empty for a task, which has none.
        axes: the values that are not the default, in the order of :data:`AXES`; :meth:`but` sets them.
    """

    dataset: str
    encoder: str
    num_labels: int
    loss: str
    axes: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, config: RunConfig, **changes: Any) -> Arm:
        """The arm of a run; ``changes`` as in :meth:`but`."""
        task = {name: getattr(config, name) for name, axis in AXES.items() if axis.of_task}
        return cls(config.dataset, config.encoder, config.num_labels, config.loss).but(**{**task, **changes})

    def __getitem__(self, axis: str) -> Any:
        return dict(self.axes).get(axis, AXES[axis].default)

    def but(self, **changes: Any) -> Arm:
        """The same arm with other values of fields or axes."""
        values = dict(self.axes) | {name: value for name, value in changes.items() if name in AXES}
        axes = tuple(
            (name, values[name])
            for name, axis in AXES.items()
            if values.get(name, axis.default) != axis.default
        )
        fields = {name: value for name, value in changes.items() if name not in AXES}
        return dataclasses.replace(self, axes=axes, **fields)

    def beside(self, loss: str) -> Arm:
        """Another loss, or a baseline, on the same task, without the settings that are this arm's own."""
        own = {name: axis.default for name, axis in AXES.items() if not axis.of_task}
        return self.but(loss=loss, **own)

    @property
    def task(self) -> Arm:
        """What it shares with the arms that it is compared with."""
        return self.but(loss="")

    @property
    def setting(self) -> str:
        """The values of axes that are its own and not its task's, in words; empty if it has none."""
        return ", ".join(AXES[name].describe(value) for name, value in self.axes if not AXES[name].of_task)

    @property
    def is_main(self) -> bool:
        """Whether it was trained as usual on all data and the most frequent labels, and tested on what is like them."""
        swept = self["train_fraction"], self["label_draw"], self["held_out"], self["length"]
        return not self.loses_positives and swept == (1, None, None, "")

    @property
    def loses_positives(self) -> bool:
        """Whether it was trained without some of the positives."""
        return bool(self["kept_share"] < 1 or self["one_positive"])

    @property
    def positives(self) -> str:
        """Which positives it was trained with, in words."""
        words = "one positive" if self["one_positive"] else f"{in_percent(self['kept_share'])} kept"
        return f"{words}, clean validation" if self["clean_validation"] else words

    def describe(self) -> str:
        """What it is learnt on, in words."""
        words = [self.dataset, f"{self.num_labels} labels"]
        words += [] if self.encoder == "frozen" else [self.encoder]
        return ", ".join([*words, *(AXES[name].describe(value) for name, value in self.axes)])

    def row(self) -> dict[str, Any]:
        """Its fields and all axes as cells of a frame."""
        fields = ("dataset", "encoder", "num_labels", "loss")
        return {name: getattr(self, name) for name in fields} | {name: self[name] for name in AXES}


MIN_STEPS = 5
"""Optimisation steps, per epoch asked for, that a small training part gets at least."""

FEW_BASELINES = ("logistic_regression", "random_encoder")
"""Baselines that every point of every sweep is drawn beside."""


def baselines(
    dataset: str, replicate: int, *, whole: bool = True, root: Path | None = None
) -> tuple[str, ...]:
    """The baselines of a task: shuffled labels once a task, name matching on texts alone.

    Args:
        dataset: a name of :func:`mlcl_utils.data.names`.
        replicate: number of the split.
        whole: all of them; else :data:`FEW_BASELINES`.
        root: the folder of a user's sets.
    """
    if not whole:
        return FEW_BASELINES
    left_out = {"shuffled_labels"} if replicate else set()
    if data.load(dataset, root).modality != "text":
        left_out.add("name_matching")
    return tuple(name for name in BASELINES if name not in left_out)


MISSING_LABELS_SOURCE: dict[str, Any] = {
    "batch_size": 128,
    "warm_up": 0.2,
    "weight_decay": 1e-4,
    "augment": "strong",
    "ema": 0.9997,
}
"""Settings of the released training of Hill, SPLC and CLML, as far as a recipe has them, but for the learning rate."""

DEVIATIONS = (
    "AdamW decouples weight decay and applies it to all parameters; the original code has Adam with it in the"
    " gradient, and not on biases and normalisation.",
    "Gradients are clipped at norm 1; the original code does not.",
    "Arithmetic is bfloat16, without a loss scale; the original code has float16 with one.",
    "Flips, torchvision's RandAugment and one erased square; the original code has Cutout and then another"
    " implementation of RandAugment, without flips.",
    "What is tested is the moving average after the last epoch; the original code takes the better of average and"
    " model in the best epoch, by its test score.",
)
"""What the preset ``paper`` does otherwise than the code that CLML and KMCL grew from."""


def recipe(arm: str, encoder: str, epochs: int) -> Recipe | None:
    """What of the recipe an arm depends on: a baseline without training is the same run whatever the epochs.

    Args:
        arm: a loss or a baseline.
        encoder: a name that :func:`mlcl_utils.models.encoder_class` takes.
        epochs: those of the study.
    """
    whole = Recipe.of(encoder, epochs=epochs, steps_per_epoch=MIN_STEPS)
    if arm == "random_encoder":
        return Recipe(epochs=0, min_steps=0, width=whole.width)
    return None if arm in BASELINES and arm != "shuffled_labels" else whole
