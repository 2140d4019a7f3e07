"""Encoders that features are extracted with: what they are called, and which library has them."""

from __future__ import annotations

import torch

from mlcl_utils.data.dataset import Modality
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.features.base import FeatureEncoder
from mlcl_utils.paths import expanded

MAX_TOKENS = 256
"""Tokens of a text that are read, unless said otherwise."""


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
