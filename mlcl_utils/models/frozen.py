"""The encoder ``frozen``: a small MLP on the features of a pretrained encoder that is not trained further."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from mlcl_utils.models.encoder import PARTS, Encoder

if TYPE_CHECKING:
    from mlcl_utils.data import Task


class FrozenFeatures(Encoder):
    """A two-layer MLP over frozen features that are standardised first, with a linear path around it.

    The linear path starts with what matters most of the features, in a random rotation: every arm has them to start
    from, so that a loss has to improve on them instead of having to find them again.

    Args:
        mean: (d,) mean of the training features.
        scale: (d,) standard deviation of the training features, positive.
        axes: (width, d) orthonormal directions of the standardised features that the linear path starts with.
        dropout: probability of dropping a unit, in [0, 1).
    """

    mixes_inputs = True
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, axes: Tensor, *, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.width, inputs = axes.shape
        self.linear = nn.Linear(inputs, self.width)
        # rotated, or else the probe, which standardises every dimension, would whiten them
        rotation = nn.init.orthogonal_(torch.empty(self.width, self.width))
        with torch.no_grad():
            self.linear.weight.copy_(rotation @ axes)
        self.mlp = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(inputs, self.width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(self.width, self.width),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation of shape (n, width) of features of shape (n, d)."""
        return self.encoded(self.prepared(inputs))

    def prepared(self, inputs: Tensor) -> Tensor:
        """Standardised features (n, d)."""
        return (inputs - self.mean) / self.scale

    def encoded(self, prepared: Tensor) -> Tensor:
        """Representation of shape (n, width) of standardised features."""
        out: Tensor = self.linear(prepared) + self.mlp(prepared)
        return out

    @staticmethod
    def inputs(task: Task) -> dict[str, Tensor]:
        """Float32 features (n, d), not standardised.

        Raises:
            DataError: the data set has none yet.
        """
        if task.train.features.shape[1] == 0:
            _ = task.dataset.features  # says why there are none
        return {name: torch.from_numpy(getattr(task, name).features) for name in PARTS}

    raw = inputs

    @classmethod
    def create(cls, train: Tensor, *, width: int, dropout: float, augment: str) -> Self:
        """Standardises by the training features; the linear path starts with their largest directions."""
        mean, scale = moments(train)
        scale = torch.where(scale > 0, scale, 1.0)  # a constant feature carries nothing: leave it at zero
        axes = _axes((train - mean) / scale, min(width, train.shape[1]))
        return cls(mean, scale, axes, dropout=dropout)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the columns of features (n, d), each (d,).

    Columns whose sums of squares would leave the range of float32 (numbers from 1e16 on or below 1e-16, such as
    masses or distances in SI units) are summed in float64, or else they would count as constant.
    """
    mean, scale = features.mean(dim=0), features.std(dim=0)
    limits = torch.finfo(features.dtype)
    largest = features.abs().amax(dim=0)
    odd = (largest > limits.max**0.5 / 1024) | ((largest < limits.tiny**0.5 * 1024) & (largest > 0))
    if odd.any():
        exact = features[:, odd].double()
        mean[odd], scale[odd] = exact.mean(dim=0).to(mean.dtype), exact.std(dim=0).to(scale.dtype)
    return mean, scale


def _axes(standard: Tensor, width: int) -> Tensor:
    """The (width, d) directions of largest variance of standardised features (n, d); all of them if width is d."""
    if width == standard.shape[1]:
        return torch.eye(width)
    covariance = standard.T @ standard / len(standard)
    try:
        _, directions = torch.linalg.eigh(covariance)  # in ascending order
    except RuntimeError:  # did not converge: more features than examples, or many that are constant
        _, directions = torch.linalg.eigh(covariance.double())
    largest: Tensor = directions[:, -width:].T.to(standard.dtype)
    return largest
