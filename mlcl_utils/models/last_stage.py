"""The encoder ``last_stage``: the last stage of a pretrained image network, trained on from cached feature maps."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from mlcl_utils.data import pixels
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.models import lite0, staged
from mlcl_utils.models.encoder import PARTS, Encoder, Rows

if TYPE_CHECKING:
    from mlcl_utils.data import Dataset, Task


class LastStage(Encoder):
    """The last stage of a network that was pretrained on ImageNet, its maps averaged over all places.

    What the stages before it give is computed once for every image and kept. Batch normalisation stays as it was
    pretrained, both its statistics and its weights. In training parts of the maps are dropped.

    Args:
        stage: gives maps (batch, width, height, width) of maps.
        width: channels of what it gives.
        dropout: probability of dropping a number of the maps that come in, in [0, 1).

    Attributes:
        wanted: the network of torchvision, as :mod:`mlcl_utils.models.pretrained` names it; None for the one that
            ships, EfficientNet-Lite0.
    """

    wanted: ClassVar[str | None] = None
    evaluation_batch = 512
    mixes_inputs = True

    def __init__(self, stage: nn.Module, *, width: int, dropout: float) -> None:
        super().__init__()
        self.stage = stage.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
        self.dropout = nn.Dropout(dropout)
        self.width = width

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation (batch, width) of float16 maps (batch, channels, height, width)."""
        return self.encoded(self.prepared(inputs))

    def prepared(self, inputs: Tensor) -> Tensor:
        """The maps in float32."""
        return inputs.float()

    def encoded(self, prepared: Tensor) -> Tensor:
        """Representation (batch, width) of maps in floating point, of which training drops parts."""
        maps: Tensor = self.stage(self.dropout(prepared.contiguous(memory_format=torch.channels_last)))
        return maps.mean(dim=(2, 3))

    @property
    def network(self) -> nn.Module:
        """The stage."""
        return self.stage

    @classmethod
    def inputs(cls, task: Task) -> dict[str, Rows]:
        """Float16 maps (n, channels, height, width), computed once and mapped into memory.

        Raises:
            UsageError: the data set holds no images, or the maps cannot be written.
            DataError: an image cannot be decoded, or the weights are missing or damaged.
        """
        dataset = task.dataset
        if dataset.modality != "image":
            raise UsageError(
                f"encoder 'last_stage' reads images, and '{dataset.name}' holds {dataset.modality}s"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it cannot be written to, which nothing does
            store = torch.from_numpy(maps(dataset, cls.wanted))
        return {name: Rows(store, torch.from_numpy(getattr(task, name).index).long()) for name in PARTS}

    @classmethod
    def raw(cls, task: Task) -> dict[str, Tensor]:
        """The maps, averaged over all places, float32 (n, channels)."""
        raw = {}
        for name, rows in cls.inputs(task).items():
            parts = torch.split(torch.arange(len(rows)), 512)
            raw[name] = torch.cat([rows[part].float().mean(dim=(2, 3)) for part in parts])
        return raw

    @classmethod
    def create(cls, train: Any, *, width: int, dropout: float, augment: str) -> Self:
        """The stage with its pretrained weights; nothing of the data goes into it, and its width is its own."""
        stage = copy.deepcopy(network_of(cls.wanted).stage).requires_grad_(True)
        with torch.no_grad():
            gives = stage(train[torch.zeros(1, dtype=torch.long)].float()).shape[1]
        return cls(stage, width=gives, dropout=dropout)


def maps(dataset: Dataset, wanted: str | None = None) -> npt.NDArray[np.float16]:
    """What the stages before the last give for all images of a set: (N, channels, height, width), mapped into memory.

    They are kept in ``.mlcl/maps/`` beside the set's files (for sets that ship, in the checkout); on one machine the
    same images and weights give the same bytes.

    Args:
        dataset: a set of images.
        wanted: see :class:`LastStage`.

    Raises:
        UsageError: the data set holds no images, or nothing can be written there.
        DataError: an image cannot be decoded, the weights or the file of maps are missing or damaged, or float16 cannot
            hold the maps.
    """
    return pixels.kept(
        dataset,
        "maps",
        staged.identity(wanted).replace(":", "-"),
        functools.partial(pixels.square, side=staged.side(wanted)),
        functools.partial(_before, wanted),
    )


def _before(wanted: str | None, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
    network = network_of(wanted)
    with torch.inference_mode():
        found: npt.NDArray[np.float16] = network(torch.from_numpy(images)).half().numpy()
    if not np.isfinite(found).all():
        raise DataError(
            f"network '{wanted}' gives maps that float16 cannot hold; take other weights or another network"
        )
    return found


@dataclass(frozen=True, eq=False)
class Network:
    """A pretrained network in two parts, without gradients and with its batch normalisation frozen.

    Attributes:
        before: gives maps of normalised pixels.
        stage: gives maps of those; their mean over all places is the representation.
        mean: (3, 1, 1) of the pixels, in [0, 1].
        deviation: (3, 1, 1) their standard deviation.
    """

    before: nn.Module
    stage: nn.Module
    mean: Tensor
    deviation: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """The maps that the last stage reads, float32, of uint8 pixels (batch, 3, side, side)."""
        found: Tensor = self.before((images / 255 - self.mean) / self.deviation)
        return found


@functools.lru_cache(maxsize=2)
def network_of(wanted: str | None) -> Network:
    """The network with its pretrained weights.

    Args:
        wanted: see :class:`LastStage`.

    Raises:
        UsageError: there is no such network, or no such weights.
        DataError: the weights are missing, damaged or of another network.
    """
    if wanted is None:
        shipped = lite0.pretrained().requires_grad_(False)
        return Network(shipped.before, shipped.stage, *_columns(lite0.MEAN, lite0.DEVIATION))
    from torchvision import models

    from mlcl_utils.features.encoders import open_encoder

    source = staged.source(wanted)
    model = _frozen(open_encoder(source.base, "image", weights=source.weights).model)
    preset = models.get_model_weights(source.base).DEFAULT.transforms()
    return Network(*_cut(model), *_columns(preset.mean, preset.std))


def _cut(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The parts of a network of one of the families; a convolution that widens at the end goes with the last stage."""
    parts = dict(model.named_children())
    if "layer4" in parts:
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        return nn.Sequential(*(parts[name] for name in names)), parts["layer4"]
    if "trunk_output" in parts:
        *before, last = parts["trunk_output"].children()
        return nn.Sequential(parts["stem"], *before), last
    *before, last, widening = parts["features"].children()
    return nn.Sequential(*before), nn.Sequential(last, widening)


def _frozen(model: nn.Module) -> nn.Module:
    """The model with its batch normalisation as it was pretrained, in training too."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            still = FrozenBatchNorm2d(layer.num_features, eps=layer.eps)
            still.load_state_dict(layer.state_dict())
            model.set_submodule(name, still)
    return model


def _columns(*of_channels: Sequence[float]) -> list[Tensor]:
    return [torch.tensor(values).view(3, 1, 1) for values in of_channels]
