"""How an encoder is trained. No torch here: configurations are written and compared without it."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    """

    epochs: int
    min_steps: int = 200
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.3
    width: int = 640

    def epochs_for(self, examples: int) -> int:
        """Epochs made over a training part of this many examples."""
        return max(self.epochs, math.ceil(self.min_steps / self.steps_per_epoch(examples)))

    def steps_per_epoch(self, examples: int) -> int:
        """Steps in one pass over this many examples."""
        return max(1, math.ceil(examples / self.batch_size))
