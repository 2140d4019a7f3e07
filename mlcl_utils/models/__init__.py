"""Models: encoders, which turn examples into representations, and the heads that give a loss its tensors.

An encoder of ours is registered by one line in :mod:`mlcl_utils.models.catalogue`; what is there can be asked without
importing torch. Those of torchvision and Hugging Face are named as :mod:`mlcl_utils.models.pretrained` says.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from mlcl_utils.models.catalogue import OURS, PRETRAINED, encoder_names

if TYPE_CHECKING:
    from mlcl_utils.data.dataset import Modality
    from mlcl_utils.models.encoder import Encoder
    from mlcl_utils.models.heads import EMBEDDING_WIDTH, Model

__all__ = [
    "EMBEDDING_WIDTH",
    "Encoder",
    "Model",
    "encoder_class",
    "encoder_names",
    "identity",
    "kind",
    "suitable",
]


def kind(name: str) -> str:
    """What an encoder is one of: itself for one of ours, else the library that its architecture comes from.

    Raises:
        UsageError: there is no encoder of that name; the nearest is suggested.
    """
    if name in OURS:
        return name
    from mlcl_utils.models import pretrained

    return pretrained.parse(name).library


def identity(name: str) -> str:
    """What an encoder is, its weights included, wherever their files lie; the name itself for one of ours.

    Raises:
        UsageError: there is no such encoder, or no such weights.
    """
    if name in OURS:
        return name
    from mlcl_utils.models import pretrained

    return pretrained.parse(name).identity


@functools.cache
def encoder_class(name: str) -> type[Encoder]:
    """The class of an encoder.

    Args:
        name: one of ours; or one of torchvision or Hugging Face, such as ``resnet50``, ``resnet101@448:random``,
            ``resnet50:weights.pth``, ``sentence-transformers/all-MiniLM-L6-v2`` or ``folder/of/a/model@64``: behind an
            ``@`` the side of its images in pixels or the most tokens of a text, behind a ``:`` a file of weights, the
            name of published ones, or ``random``.

    Raises:
        UsageError: there is no encoder of that name; the nearest is suggested.
    """
    here = kind(name)
    module, _, attribute = (OURS | PRETRAINED)[here][0].partition(".")
    found: type[Encoder] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    if here in OURS:
        return found
    from mlcl_utils.models import pretrained

    return type(found.__name__, (found,), {"source": pretrained.parse(name)})


def suitable(name: str, modality: Modality) -> bool:
    """Whether an encoder can read examples of a modality.

    Raises:
        UsageError: there is no encoder of that name.
    """
    return (OURS | PRETRAINED)[kind(name)][1] in (None, modality)


_WHERE = {"Encoder": "encoder", "EMBEDDING_WIDTH": "heads", "Model": "heads"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
