"""EfficientNet-Lite0 without its classifier, and the weights of it that ship.

In the file that ships convolutions are in float16 and batch normalisation is in float32;
``python -m data_scripts.efficientnet_lite0`` rebuilds it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from mlcl_utils.models import staged

WIDTH = 1280
"""Dimensions of the features."""

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of each channel, in [0, 1]: pixels are normalised by them."""

# kernel, stride, expansion, channels, repeats of each stage
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32
_EPSILON = 1e-3


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to its pooled features, in two parts; its batch normalisation is frozen.

    Attributes:
        before: gives maps (batch, 192, height / 32, width / 32), of normalised pixels (batch, 3, height, width).
        stage: the last stage and the head; gives maps (batch, WIDTH, height / 32, width / 32) of those.
    """

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Sequential] = []
        channels = _STEM
        for kernel, stride, expansion, after, repeats in _STAGES:
            blocks = [_Block(channels, after, kernel, stride, expansion)]
            blocks += [_Block(after, after, kernel, 1, expansion) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = after
        self.before = nn.Sequential(_layer(3, _STEM, 3, stride=2), *stages[:-1])
        self.stage = nn.Sequential(stages[-1], _layer(channels, WIDTH))

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (batch, WIDTH) of normalised pixels (batch, 3, height, width)."""
        maps: Tensor = self.stage(self.before(pixels))
        return maps.mean(dim=(2, 3))


class _Block(nn.Module):
    """An inverted bottleneck: expansion, convolution of each channel, projection; around it the input, if it fits."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.layers = nn.Sequential(
            *([_layer(before, inner)] if expansion > 1 else []),
            _layer(inner, inner, kernel, stride=stride, groups=inner),
            _layer(inner, after, linear=True),
        )
        self._adds = stride == 1 and before == after

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.layers(inputs)
        return out + inputs if self._adds else out


class _Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow does it: the side that it gives is the input's over the stride, rounded up,
    and of an odd padding the larger part is at the end."""

    def forward(self, inputs: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding: list[int] = []
        for side in reversed(inputs.shape[-2:]):
            missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(nn.functional.pad(inputs, padding) if any(padding) else inputs)


def _layer(
    before: int, after: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, linear: bool = False
) -> nn.Sequential:
    return nn.Sequential(
        _Convolution(before, after, kernel, stride, groups=groups, bias=False),
        FrozenBatchNorm2d(after, eps=_EPSILON),
        *([] if linear else [nn.ReLU6()]),
    )


def pretrained() -> Lite0:
    """The network with the weights that ship, in evaluation mode.

    Raises:
        DataError: their file is missing or damaged.
    """
    from safetensors.torch import load_file

    return filled(load_file(staged.shipped()))


def filled(weights: Mapping[str, Tensor]) -> Lite0:
    """The network with weights of its own names."""
    network = Lite0()
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval()
