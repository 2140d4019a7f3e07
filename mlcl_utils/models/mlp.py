"""The encoder ``mlp``: learns from a set's own features alone, wide, sparse or small ones included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from mlcl_utils.models.encoder import Encoder
from mlcl_utils.models.frozen import FrozenFeatures, moments

if TYPE_CHECKING:
    from mlcl_utils.data import Task

SPARSE = 0.8
"""Share of zeros from which features in [0, 1] are taken for words or bins that are there or not."""

INPUT_DROPOUT = 0.2


class PlainMLP(Encoder):
    """A two-layer MLP without a way around it: what it does not learn, the probe does not see.

    Sparse features in [0, 1], such as words, are scaled to rows of one length and stay uncentred, so that a long text
    counts as much as a short one and zeros stay zeros; other features are standardised.

    Args:
        mean: (d,) what is subtracted from the features.
        scale: (d,) what they are divided by, positive.
        rows: whether rows are scaled to the length √d instead.
        width: of the representation.
        dropout: probability of dropping a hidden unit, in [0, 1).
    """

    mixes_inputs = True
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, *, rows: bool, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.rows, self.width = rows, width
        self.mlp = nn.Sequential(
            nn.Dropout(INPUT_DROPOUT),
            nn.Linear(len(mean), width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation of shape (n, width) of features of shape (n, d)."""
        return self.encoded(self.prepared(inputs))

    def prepared(self, inputs: Tensor) -> Tensor:
        """Features (n, d) on the scale that the network takes; a row of zeros stays one."""
        if not self.rows:
            return (inputs - self.mean) / self.scale
        lengths = inputs.norm(dim=1, keepdim=True)
        return inputs * (math.sqrt(inputs.shape[1]) / torch.where(lengths > 0, lengths, 1.0))

    def encoded(self, prepared: Tensor) -> Tensor:
        """Representation of shape (n, width) of prepared features."""
        out: Tensor = self.mlp(prepared)
        return out

    @staticmethod
    def inputs(task: Task) -> dict[str, Tensor]:
        """Float32 features (n, d), as they are.

        Raises:
            DataError: the data set has none yet.
        """
        return FrozenFeatures.inputs(task)

    raw = inputs

    @classmethod
    def create(cls, train: Tensor, *, width: int, dropout: float, augment: str) -> Self:
        """Looks at the training features to see whether they are sparse, and for their mean and scale."""
        rows = bool((train == 0).float().mean() >= SPARSE and train.min() >= 0 and train.max() <= 1)
        mean, scale = moments(train)
        scale = torch.where(scale > 0, scale, 1.0)  # a constant feature carries nothing: leave it at zero
        return cls(mean, scale, rows=rows, width=width, dropout=dropout)
