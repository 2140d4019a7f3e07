"""Models: encoders, which turn examples into representations, and the heads that give a loss its tensors.

An encoder of ours is registered by one line in :mod:`mlcl_utils.models.catalogue`; what is there can be asked without
importing torch. Those of torchvision and Hugging Face are named as :mod:`mlcl_utils.models.pretrained` says; ``static``
may be followed by an ``@`` and the name of the word vectors that it starts from, ``last_stage`` by an ``@`` and the
name of a network of torchvision.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from mlcl_utils.models.catalogue import LAST_STAGE, OURS, PRETRAINED, STATIC, encoder_names

if TYPE_CHECKING:
    from pathlib import Path

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
    if name.startswith(f"{STATIC}@") and _wanted(name):
        return STATIC
    if name.startswith(f"{LAST_STAGE}@") and (network := _wanted(name)):
        from mlcl_utils.models import staged

        staged.source(network)
        return LAST_STAGE
    from mlcl_utils.models import pretrained

    return pretrained.parse(name).library


def identity(name: str, dataset: str | None = None, root: str | Path | None = None) -> str:
    """What an encoder is, its weights included, wherever its files lie; the name itself for one that has none.

    Args:
        name: of the encoder.
        dataset: what it reads, as :func:`mlcl_utils.data.load` takes it: word vectors are of a data set. Without one
            they are left out.
        root: the folder that holds a user's sets.

    Raises:
        UsageError: there is no such encoder, or no such weights.
        DataError: there are no such word vectors.
    """
    if kind(name) == STATIC:
        if dataset is None:
            return STATIC
        from mlcl_utils.data import load, vectors

        return f"{STATIC}:{vectors.chosen(load(dataset, root), _wanted(name)).sha256[:16]}"
    if kind(name) == LAST_STAGE:
        from mlcl_utils.models import staged

        return f"{LAST_STAGE}:{staged.identity(_wanted(name))}"
    if name in OURS:
        return name
    from mlcl_utils.models import pretrained

    return pretrained.parse(name).identity


@functools.cache
def encoder_class(name: str) -> type[Encoder]:
    """The class of an encoder.

    Args:
        name: one of ours, ``static`` with the name of word vectors behind an ``@`` where a data set has several,
            ``last_stage`` with that of a network of torchvision in place of the one that ships; or one of torchvision
            or Hugging Face, such as ``resnet50``, ``resnet101@448:random``, ``resnet50:weights.pth``,
            ``sentence-transformers/all-MiniLM-L6-v2`` or ``folder/of/a/model@64``: behind an ``@`` the side of its
            images in pixels or the most tokens of a text, behind a ``:`` a file of weights, the name of published ones,
            or ``random``.

    Raises:
        UsageError: there is no encoder of that name; the nearest is suggested.
    """
    here = kind(name)
    module, _, attribute = (OURS | PRETRAINED)[here][0].partition(".")
    found: type[Encoder] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    if here in (STATIC, LAST_STAGE) and (wanted := _wanted(name)):
        return type(found.__name__, (found,), {"wanted": wanted})
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


def _wanted(name: str) -> str | None:
    """The name of word vectors, or of a network, behind an ``@``."""
    return name.partition("@")[2] or None


_WHERE = {"Encoder": "encoder", "EMBEDDING_WIDTH": "heads", "Model": "heads"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
