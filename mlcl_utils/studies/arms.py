"""What studies share when they write their grids, so that the same arm is the same run in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlcl_utils import data
from mlcl_utils.training import BASELINES, Recipe

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
    "AdamW decouples weight decay and applies it to all parameters; the source has Adam with it in the gradient, and"
    " not on biases and normalisation.",
    "Gradients are clipped at norm 1; the source does not clip.",
    "Arithmetic is bfloat16, without a loss scale; the source has float16 with one.",
    "Flips, torchvision's RandAugment and one erased square; the source has Cutout and then another implementation of"
    " RandAugment, without flips.",
    "What is tested is the moving average after the last epoch; the source takes the better of average and model in the"
    " best epoch, by its test score.",
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
