"""Image encoders of torchvision, trained end to end."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torchvision import models as vision
from torchvision.transforms import v2

from mlcl_utils.data import pixels
from mlcl_utils.errors import UsageError
from mlcl_utils.features.encoders import open_encoder
from mlcl_utils.features.vision import without_last_layer
from mlcl_utils.models.cnn import RAW_SIDE
from mlcl_utils.models.encoder import PARTS, Encoder, Rows
from mlcl_utils.models.pretrained import RANDOM, Pretrained

if TYPE_CHECKING:
    from mlcl_utils.data import Task


class ImageBackbone(Encoder):
    """A classification model of torchvision without its last layer.

    Images come as uint8 pixels, scaled to a square, and are normalised as the published weights want them. In training
    each is changed on its own, on the device: flipped and cropped, or as much as the recipe says.

    Args:
        model: the network; gives (batch, width).
        mean: (3,) of the pixels, in [0, 1].
        scale: (3,) their standard deviation.
        width: of what it gives.
        augment: see :class:`mlcl_utils.training.Recipe`.

    Attributes:
        source: which model, with which weights, on images of which size.
    """

    source: ClassVar[Pretrained]
    evaluation_batch = 64
    mixes_inputs = True
    mean: Tensor
    scale: Tensor

    def __init__(self, model: nn.Module, mean: Tensor, scale: Tensor, *, width: int, augment: str) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.model = model.to(memory_format=torch.channels_last)
        self.width = width
        self._augment = _augmentation(augment, self.source.size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation (batch, width) of uint8 pixels (batch, 3, side, side)."""
        return self.encoded(self.prepared(inputs))

    def prepared(self, inputs: Tensor) -> Tensor:
        """Normalised pixels, which training augments."""
        if self.training and self._augment is not None:
            inputs = torch.stack([self._augment(image) for image in inputs])
        return (inputs / 255 - self.mean[:, None, None]) / self.scale[:, None, None]

    def encoded(self, prepared: Tensor) -> Tensor:
        """Representation (batch, width) of normalised pixels."""
        features: Tensor = self.model(prepared.contiguous(memory_format=torch.channels_last))
        return features.flatten(1)

    @property
    def network(self) -> nn.Module:
        """The pretrained network."""
        return self.model

    @classmethod
    def inputs(cls, task: Task) -> dict[str, Rows]:
        """Uint8 pixels (n, 3, side, side), decoded once and mapped into memory."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it cannot be written to, which nothing does
            store = torch.from_numpy(pixels.decoded(task.dataset, cls.source.size))
        return {name: Rows(store, torch.from_numpy(getattr(task, name).index).long()) for name in PARTS}

    @classmethod
    def raw(cls, task: Task) -> dict[str, Tensor]:
        """Pixels in [0, 1], float32 (n, 3 x RAW_SIDE x RAW_SIDE)."""
        raw = {}
        for name, rows in cls.inputs(task).items():
            parts = torch.split(torch.arange(len(rows)), 256)
            small = [nn.functional.adaptive_avg_pool2d(rows[part] / 255.0, RAW_SIDE) for part in parts]
            raw[name] = torch.cat(small).flatten(1)
        return raw

    @classmethod
    def create(cls, train: Any, *, width: int, dropout: float, augment: str) -> Self:
        """The network with its pretrained weights, or with drawn ones; nothing of the data goes into it.

        Raises:
            UsageError: there are no such weights, or the network reads images of one size alone.
            DataError: the file of weights is damaged or of another network.
        """
        source = cls.source
        if source.weights == RANDOM:  # drawn by the run's own seed, which `open_encoder` would not do
            model, _ = without_last_layer(_drawn(source.base), source.base)
        else:
            opened = open_encoder(source.base, "image", weights=source.weights)
            model = opened.model.requires_grad_(True)
        only = getattr(model, "image_size", source.size)
        if only != source.size:
            raise UsageError(f"encoder '{source.base}' reads images of {only} pixels, not of {source.size}")
        with torch.no_grad():
            gives = model.eval()(torch.zeros(1, 3, source.size, source.size)).flatten(1).shape[1]
        preset = vision.get_model_weights(source.base).DEFAULT.transforms()
        mean, scale = torch.tensor(preset.mean), torch.tensor(preset.std)
        return cls(model, mean, scale, width=gives, augment=augment)


def _drawn(name: str) -> nn.Module:
    """A model with drawn weights, without the classifiers beside the last that some have for training."""
    try:
        model: nn.Module = vision.get_model(name, weights=None, aux_logits=False)
    except TypeError:
        model = vision.get_model(name, weights=None)
    return model


def _augmentation(name: str, side: int) -> nn.Module | None:
    """How one image is changed, uint8 to uint8."""
    if name == "none":
        return None
    if name == "crop":
        crop = v2.RandomResizedCrop(side, scale=(0.5, 1.0), antialias=True)
        return nn.Sequential(v2.RandomHorizontalFlip(), crop)
    # as Cutout with half the side, which is a quarter of the image
    erased = v2.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0), value=127)
    return nn.Sequential(v2.RandomHorizontalFlip(), v2.RandAugment(), erased)
