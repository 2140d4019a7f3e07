"""Image encoders of torchvision."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import functional as transforms

from mlcl_utils.data.images import decode, rgb
from mlcl_utils.errors import DataError, UsageError, unknown
from mlcl_utils.features.base import Example, FeatureEncoder
from mlcl_utils.paths import expanded


class TorchvisionEncoder(FeatureEncoder):
    """A classification model of torchvision without its last layer.

    Images are prepared as its published weights ask for: scaled, the middle cut out, normalised.

    Args:
        name: of the model.
        model: gives the last layer's inputs.
        preset: how the published weights want images prepared.
        device: of the model.
    """

    reads = "image"

    def __init__(self, name: str, model: nn.Module, preset: Any, device: torch.device) -> None:
        super().__init__(name, model, device)
        self._preset = preset
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(preset.mean, device=device).view(shape)
        self._deviation = torch.tensor(preset.std, device=device).view(shape)

    @classmethod
    def open(cls, name: str, weights: str | None, device: torch.device) -> Self:
        """The model of a name, with weights from a file, from the hub, or drawn.

        Raises:
            UsageError: no such weights, or no last layer to take away.
            DataError: the file is missing, damaged or of another model.
        """
        published = models.get_model_weights(name)
        preset = published.DEFAULT.transforms()
        path = expanded(weights or "")
        if weights == "random":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = models.get_model(name, weights=None)
            return cls(name, without_last_layer(model, name)[0], preset, device)
        if weights is not None and (path.is_file() or path.suffix):
            model, last = without_last_layer(models.get_model(name, weights=None), name)
            _load(model, last, path)
            return cls(name, model, preset, device)
        names = [each.name for each in published]
        if weights is not None and weights not in names:
            raise unknown("weights", weights, [*names, "random"])
        chosen = published[weights] if weights else published.DEFAULT
        try:
            model = models.get_model(name, weights=chosen)
        except (URLError, OSError, RuntimeError) as error:
            raise UsageError(
                f"weights of '{name}' cannot be fetched from {chosen.url} ({error}); name a local file with --weights"
            ) from None
        return cls(name, without_last_layer(model, name)[0], chosen.transforms(), device)

    @property
    def preparation(self) -> str:
        """The preset, in torchvision's words."""
        return repr(self._preset)

    def prepare(self, examples: Sequence[Example]) -> Tensor:
        """Uint8 (n, 3, height, width): decoded, scaled, the middle cut out."""
        return torch.stack([self._pixels(*example) for example in examples])

    def _pixels(self, example: str, source: Any) -> Tensor:
        image = rgb(decode(source, example))
        preset = self._preset
        image = transforms.resize(
            image, preset.resize_size, interpolation=preset.interpolation, antialias=preset.antialias
        )
        pixels: Tensor = transforms.pil_to_tensor(transforms.center_crop(image, preset.crop_size))
        return pixels

    def encode(self, batch: Tensor) -> Tensor:
        """Features of uint8 pixels, which are normalised here, all at once."""
        pixels = batch.to(self.device).float().div_(255).sub_(self._mean).div_(self._deviation)
        features: Tensor = self.model(pixels)
        return features.flatten(1)


def without_last_layer(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The model with its last linear layer replaced by nothing, and that layer's name.

    Raises:
        UsageError: it has no linear layer.
    """
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UsageError(
            f"encoder '{name}' has no linear layer at its end whose inputs could be the features"
        )
    model.set_submodule(linear[-1], nn.Identity())
    return model, linear[-1]


def _load(model: nn.Module, last: str, path: Path) -> None:
    """Load weights from a file; those of the last layer are left out."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        state = _unwrapped(state)
    except FileNotFoundError:
        raise UsageError(f"weights {path} is missing; name the file that holds them") from None
    except pickle.UnpicklingError:
        raise DataError(
            f"{path} holds other things than weights, which are not loaded; save its state_dict"
        ) from None
    except Exception as error:  # of many kinds, depending on what is wrong with the file
        raise DataError(
            f"{path} is damaged, or not a file of weights: {str(error).splitlines()[0]}"
        ) from None
    missing, unexpected = model.load_state_dict(
        {name: value for name, value in state.items() if not name.startswith(f"{last}.")}, strict=False
    )
    if missing or unexpected:
        which = f"has no '{missing[0]}'" if missing else f"has '{unexpected[0]}', which the encoder has not"
        raise DataError(f"{path} is of another encoder: it {which}")


def _unwrapped(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a checkpoint, without what wraps them: an outer dictionary, prefixes of parallel training."""
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    return {name.removeprefix("module."): value for name, value in state.items()}
