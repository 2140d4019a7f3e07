"""How an encoder is trained. No torch here: configurations are written and compared without it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an encoder is trained: everything but the data and the loss.

    Attributes:
        epochs: passes over the training part.
        min_steps: a small training part is gone over again until this many steps are made, so that
            an arm with little data is not an arm with little training.
        batch_size: examples a step; the last batches of an epoch are evened out.
        learning_rate: peak of the schedule (5% linear warm-up, then cosine to zero over the whole budget).
        weight_decay: decoupled, as in AdamW.
        dropout: in the encoder's MLP.
        width: of the representation; features with fewer dimensions keep theirs.
        table_rate: peak learning rate of word embeddings, whose gradient is sparse; the same schedule.
        loss_scale: what the loss is multiplied by.
    """

    epochs: int
    min_steps: int = 200
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.3
    width: int = 640
    table_rate: float = 1e-2
    loss_scale: float = 1.0

    @classmethod
    def of(cls, encoder: str, *, epochs: int, steps_per_epoch: int = 0) -> Recipe:
        """The recipe of an encoder, chosen on the validation score of BCE.

        Args:
            encoder: a name of :func:`mlcl_utils.models.encoder_names`.
            epochs: of a study; an encoder that learns pixels from nothing goes over the data more often.
            steps_per_epoch: optimisation steps, per epoch asked for, that a small training part gets at least.
        """
        own: dict[str, Any] = _OWN.get(encoder, {})
        return cls(
            **{"epochs": math.ceil(epochs * own.get("epochs", 1)), "min_steps": steps_per_epoch * epochs}
            | {name: value for name, value in own.items() if name != "epochs"}
        )

    def epochs_for(self, examples: int) -> int:
        """Epochs made over a training part of this many examples."""
        return max(self.epochs, math.ceil(self.min_steps / self.steps_per_epoch(examples)))

    def steps_per_epoch(self, examples: int) -> int:
        """Steps in one pass over this many examples."""
        return max(1, math.ceil(examples / self.batch_size))


# What differs from the defaults above; epochs are a factor.
_OWN: dict[str, dict[str, Any]] = {
    "bag": {"width": 256},
    "cnn": {"epochs": 1.5, "batch_size": 128, "learning_rate": 5e-3, "width": 256},
}
