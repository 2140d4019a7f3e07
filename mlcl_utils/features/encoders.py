"""Encoders that features are extracted with: what they are called, what identifies them, and which library has them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mlcl_utils.data.dataset import Modality
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.paths import expanded

Example = tuple[str, Any]
"""The id of an example and its raw content: a text, or an image as `Dataset.encoded_images` gives it."""

MAX_TOKENS = 256
"""Tokens of a text that are read, unless said otherwise."""


class FeatureEncoder(ABC):
    """A frozen encoder.

    Attributes:
        name: short name, without folders.
        reads: the modality of the examples that it reads.
        model: the network, in evaluation mode on its device.
    """

    reads: ClassVar[Literal["text", "image"]]

    def __init__(self, name: str, model: torch.nn.Module, device: torch.device) -> None:
        self.name, self.device = name, device
        self.model = model.eval().requires_grad_(False).to(device)

    @property
    @abstractmethod
    def preparation(self) -> str:
        """How examples are prepared, in words that change when it does."""

    @abstractmethod
    def prepare(self, examples: Sequence[Example]) -> Any:
        """A batch of examples, ready for the network; runs in worker threads, ahead of it.

        Raises:
            DataError: an example cannot be read; the message names it.
        """

    @abstractmethod
    def encode(self, batch: Any) -> Tensor:
        """The features, float32 (examples, dimensions) on the encoder's device, of a prepared batch."""

    def digest(self) -> str:
        """SHA-256 of the weights and of how examples are prepared."""
        digest = hashlib.sha256(self.preparation.encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def open_encoder(
    name: str,
    modality: Modality,
    *,
    weights: str | None = None,
    max_tokens: int = MAX_TOKENS,
    device: str = "cpu",
) -> FeatureEncoder:
    """Make an encoder ready for examples of a modality.

    Args:
        name: a classification model of torchvision, the folder of a Hugging Face model, or its name on the hub.
        modality: of the examples.
        weights: for torchvision, a file of weights, the name of published ones such as ``IMAGENET1K_V1``, or
            ``random``; its default ones if not given. For Hugging Face, the model's folder where ``name`` is not.
        max_tokens: tokens of a text that are read.
        device: ``cpu`` or ``cuda``.

    Raises:
        UsageError: there is no such encoder, or it does not read such examples.
        DataError: its files are missing or damaged.
    """
    from torchvision import models

    if modality == "features":
        raise UsageError(
            "the set has features of its own and nothing else; there is nothing to extract them from"
        )
    where = torch.device(device)
    vision = models.list_models(module=models)
    if name in vision:
        if modality != "image":
            raise UsageError(
                f"encoder '{name}' reads images, and the examples are texts; name a text encoder"
            )
        from mlcl_utils.features.vision import TorchvisionEncoder

        return TorchvisionEncoder.open(name, weights, where)
    location = weights or name
    if not expanded(location).is_dir():
        if weights is not None:
            raise UsageError(
                f"weights '{weights}' is not the folder of a Hugging Face model; name one with a config.json"
            )
        if "/" not in name and modality == "image":
            raise unknown("encoder", name, vision)
        if name.startswith((".", "/", "~")):
            raise UsageError(f"encoder '{name}' is not a folder; name that of a Hugging Face model")
    from mlcl_utils.features import transformer

    return transformer.open_model(name, location, modality, max_tokens, where)


def unwrapped(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a checkpoint, without what wraps them: an outer dictionary, prefixes of parallel training."""
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    return {name.removeprefix("module."): value for name, value in state.items()}
