"""What every encoder has that features are extracted with: how it prepares and encodes examples, what identifies it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

Example = tuple[str, Any]
"""The id of an example and its raw content: a text, or an image as `Dataset.encoded_images` gives it."""


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
