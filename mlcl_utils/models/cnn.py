"""The encoder ``cnn``: a few convolutions on the pixels, learned from nothing."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from mlcl_utils.models.encoder import PARTS, Encoder

if TYPE_CHECKING:
    from mlcl_utils.data import Dataset, Task

SIDE = 32
"""Height and width of the pixels that are read."""

RAW_SIDE = 16
"""The same for the baselines without an encoder."""

MAX_SHIFT = 3
"""Pixels by which an image is moved at most in training."""


class SmallCNN(Encoder):
    """Three strided convolutions with group normalisation and a linear layer.

    Pixels are standardised by the mean and deviation of each channel in the training images. In training an image is
    moved by a few pixels in either direction, its border repeated, and units before the last layer are dropped.

    Args:
        mean: (channels,) of the training pixels.
        scale: (channels,) their standard deviation, positive.
        width: of the representation.
        dropout: probability of dropping a unit, in [0, 1).
    """

    mixes_inputs = True
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, *, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.width = width
        channels = (len(mean), 32, 64, 128)
        self.convolutions = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(channels)
                for layer in (
                    nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                    nn.GroupNorm(8, after),
                    nn.ReLU(),
                )
            )
        )
        self.layer = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels[-1] * (SIDE // 8) ** 2, width)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation (batch, width) of uint8 pixels (batch, channels, SIDE, SIDE)."""
        return self.encoded(self.prepared(inputs))

    def prepared(self, inputs: Tensor) -> Tensor:
        """Standardised pixels, which training shifts."""
        pixels = (inputs - self.mean[:, None, None]) / self.scale[:, None, None]
        return _shifted(pixels) if self.training else pixels

    def encoded(self, prepared: Tensor) -> Tensor:
        """Representation (batch, width) of standardised pixels."""
        out: Tensor = self.layer(self.convolutions(prepared))
        return out

    @staticmethod
    def inputs(task: Task) -> dict[str, Tensor]:
        """Uint8 pixels (n, channels, SIDE, SIDE)."""
        pixels = _pixels(task.dataset)
        return {name: pixels[getattr(task, name).index] for name in PARTS}

    @staticmethod
    def raw(task: Task) -> dict[str, Tensor]:
        """Pixels in [0, 1], float32 (n, channels x RAW_SIDE x RAW_SIDE)."""
        return {
            name: nn.functional.adaptive_avg_pool2d(pixels / 255.0, RAW_SIDE).flatten(1)
            for name, pixels in SmallCNN.inputs(task).items()
        }

    @classmethod
    def create(cls, train: Tensor, *, width: int, dropout: float, augment: str) -> Self:
        """Standardises by the training pixels."""
        pixels = train.float().transpose(0, 1).flatten(1)
        scale = pixels.std(dim=1)
        return cls(
            pixels.mean(dim=1),
            torch.where(scale > 0, scale, 1.0),
            width=width,
            dropout=dropout,
        )


def _shifted(pixels: Tensor) -> Tensor:
    """Every image moved by up to MAX_SHIFT pixels up or down and left or right."""
    height, width = pixels.shape[-2:]
    moves = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (2, len(pixels), 1), device=pixels.device)
    rows = (torch.arange(height, device=pixels.device) + moves[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=pixels.device) + moves[1]).clamp(0, width - 1)
    batch = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    moved = pixels.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=2)
def _pixels(dataset: Dataset) -> Tensor:
    """All images, uint8 (N, channels, SIDE, SIDE), by the mean of neighbouring pixels."""
    pooled = []
    for _, same_size in itertools.groupby(dataset.each_image(), key=np.shape):
        while part := list(itertools.islice(same_size, 512)):
            images = np.stack([np.atleast_3d(image) for image in part])
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
            pooled.append(nn.functional.adaptive_avg_pool2d(pixels, SIDE).round().to(torch.uint8))
    return torch.cat(pooled)
