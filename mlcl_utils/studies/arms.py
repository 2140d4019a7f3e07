"""What studies share when they write their grids, so that the same arm is the same run in all of them."""

from __future__ import annotations

from pathlib import Path

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


def recipe(arm: str, encoder: str, epochs: int) -> Recipe | None:
    """What of the recipe an arm depends on: a baseline without training is the same run whatever the epochs.

    Args:
        arm: a loss or a baseline.
        encoder: a name of :func:`mlcl_utils.models.encoder_names`.
        epochs: those of the study.
    """
    whole = Recipe.of(encoder, epochs=epochs, steps_per_epoch=MIN_STEPS)
    if arm == "random_encoder":
        return Recipe(epochs=0, min_steps=0, width=whole.width)
    return None if arm in BASELINES and arm != "shuffled_labels" else whole
