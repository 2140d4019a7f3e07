"""Networks that are cut before their last stage: what they are called, and what identifies them; without torch."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.data import registry
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.files import known_digest
from mlcl_utils.models import pretrained
from mlcl_utils.models.catalogue import LAST_STAGE

FOLDER = "efficientnet-lite0"
"""Of the network that ships, beside the data sets that ship."""

NETWORK = "network.safetensors"
SHA256 = "4961636d38a25da549404cd334f25c6a30b4d0d1d1a754e750875ea31947a80e"
"""Of this file in it."""

SIDE = 96
"""Height and width, in pixels, of the images that a network reads, unless its name says otherwise."""

VERSION = 1
"""Raised when the same images and weights give other maps."""

FAMILIES = ("resnet", "resnext", "wide_resnet", "regnet", "efficientnet", "mobilenet_v2")
"""How the names of those of torchvision begin that can be cut."""


def shipped() -> Path:
    """The file with the weights of EfficientNet-Lite0.

    Raises:
        DataError: it is missing or damaged.
    """
    path = registry.embedded(FOLDER, "the network EfficientNet-Lite0") / NETWORK
    try:
        reason = None if known_digest(path) == SHA256 else "is damaged (SHA-256 differs)"
    except FileNotFoundError:
        reason = "is missing"
    if reason is not None:
        raise DataError(f"{path} {reason}; restore it with: git checkout -- {path}")
    return path


def source(wanted: str) -> pretrained.Pretrained:
    """The network of torchvision that is wanted.

    Args:
        wanted: its name, as :mod:`mlcl_utils.models.pretrained` says; images are of `SIDE` pixels unless it says so.

    Raises:
        UsageError: there is no such network, it cannot be cut, or its weights would be drawn.
    """
    name = f"{LAST_STAGE}@{wanted}"
    found = pretrained.parse(wanted, SIDE)
    if found.library != "torchvision" or not found.base.startswith(FAMILIES):
        raise UsageError(
            f"encoder '{name}' cannot be cut before its last stage; networks of torchvision can whose names begin with "
            f"{', '.join(FAMILIES[:-1])} or {FAMILIES[-1]}"
        )
    if found.weights == pretrained.RANDOM:
        raise UsageError(
            f"encoder '{name}' starts from pretrained weights; name them, or leave ':random' out"
        )
    return found


def side(wanted: str | None) -> int:
    """Height and width of the images that a network reads, in pixels; None for the network that ships."""
    return SIDE if wanted is None else source(wanted).size


def identity(wanted: str | None) -> str:
    """What maps and stage depend on beside the images, wherever the files lie; None for the network that ships.

    Raises:
        UsageError: there is no such network, or no such weights.
        DataError: the weights that ship are missing or damaged.
    """
    if wanted is None:
        _ = shipped()
        return f"efficientnet_lite0@{SIDE}:{SHA256[:16]}-{VERSION}"
    return f"{source(wanted).identity}-{VERSION}"
