"""Models: encoders, which turn examples into representations, and the heads that give a loss its tensors.

An encoder is registered by one line in the catalogue below. What is there can be asked without importing torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlcl_utils.errors import unknown

if TYPE_CHECKING:
    from mlcl_utils.data.dataset import Modality
    from mlcl_utils.models.encoder import Encoder
    from mlcl_utils.models.heads import EMBEDDING_WIDTH, Model

__all__ = ["EMBEDDING_WIDTH", "Encoder", "Model", "encoder_class", "encoder_names", "suitable"]

# name: (module.class, modality of the raw examples that it reads; None if it reads frozen features)
_CATALOGUE: dict[str, tuple[str, Modality | None]] = {
    "frozen": ("frozen.FrozenFeatures", None),
    "bag": ("bag.BagOfWords", "text"),
    "cnn": ("cnn.SmallCNN", "image"),
}


def encoder_names() -> tuple[str, ...]:
    """Names of the encoders."""
    return tuple(_CATALOGUE)


def encoder_class(name: str) -> type[Encoder]:
    """The class of an encoder.

    Raises:
        UsageError: there is no encoder of that name; the nearest is suggested.
    """
    if name not in _CATALOGUE:
        raise unknown("encoder", name, _CATALOGUE)
    module, _, attribute = _CATALOGUE[name][0].partition(".")
    found: type[Encoder] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return found


def suitable(name: str, modality: Modality) -> bool:
    """Whether an encoder can read examples of a modality.

    Raises:
        UsageError: there is no encoder of that name.
    """
    if name not in _CATALOGUE:
        raise unknown("encoder", name, _CATALOGUE)
    return _CATALOGUE[name][1] in (None, modality)


_WHERE = {"Encoder": "encoder", "EMBEDDING_WIDTH": "heads", "Model": "heads"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
