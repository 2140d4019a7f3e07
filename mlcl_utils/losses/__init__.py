"""The losses, by name.

    criterion = losses.create("reg", temperature=0.1)  # or, by its class: losses.REG(temperature=0.1)
    value = criterion(labels, embeddings=z, prototypes=p)

``names`` and ``check`` need no torch: a loss is imported when it is created or described. A loss is one file
with one class, registered by one line in ``_CLASSES``. Names joined by ``+`` are a sum of losses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.losses.info import Hyperparameter, LossInfo

if TYPE_CHECKING:
    from mlcl_utils.losses.base import Loss
    from mlcl_utils.losses.combined import Combined

__all__ = ["Hyperparameter", "LossInfo", "available", "check", "create", "info", "names"]

_CLASSES = {  # name: module.class
    "aldr": "ldr.ALDR",
    "anyloss": "anyloss.AnyLoss",
    "asl": "asl.ASL",
    "bce": "bce.BCE",
    "clml": "clml.CLML",
    "comp_sum": "comp_sum.CompSum",
    "corrected_bce": "correction.CorrectedBCE",
    "cosine_bce": "cosine_bce.CosineBCE",
    "energy_confusion": "energy_confusion.EnergyConfusion",
    "ensloss": "ensloss.EnsLoss",
    "focal": "focal.Focal",
    "hill": "hill.Hill",
    "hyperbolic_ce": "hyperbolic.HyperbolicCE",
    "hyperbolic_confusion": "hyperbolic.HyperbolicConfusion",
    "icnn": "icnn.ICNN",
    "instance": "instance.Instance",
    "instance_simple": "instance_simple.InstanceSimple",
    "jaccard_supcon": "jaccard_supcon.JaccardSupCon",
    "kmcl": "kmcl.KMCL",
    "ldr": "ldr.LDR",
    "metrix": "metrix.Metrix",
    "metrix_supcon": "metrix.MetrixSupCon",
    "msc": "msc.MSC",
    "mulsupcon": "mulsupcon.MulSupCon",
    "mw": "mw.MW",
    "mw_logits": "mw.MWLogits",
    "norm_penalty": "clml.NormPenalty",
    "proto_triplet": "proto_triplet.ProtoTriplet",
    "prototype": "prototype.Prototype",
    "reg": "reg.REG",
    "similarity_dissimilarity": "similarity_dissimilarity.SimilarityDissimilarity",
    "snr_contrastive": "snr.SNRContrastive",
    "snr_triplet": "snr.SNRTriplet",
    "splc": "splc.SPLC",
    "tcm": "tcm.TCM",
    "tcm_prototypes": "tcm.TCMPrototypes",
    "unpg": "unpg.UNPG",
    "z_loss": "z_loss.ZLoss",
    "zlpr": "zlpr.ZLPR",
}
_NAMED = {path.partition(".")[2]: name for name, path in _CLASSES.items()}  # class: name


def names() -> tuple[str, ...]:
    """The names of the losses, in alphabetical order."""
    return tuple(sorted(_CLASSES))


def check(name: str) -> tuple[str, ...]:
    """The losses that a name stands for: itself, or the parts of a sum such as ``"splc+clml"``.

    Raises:
        UsageError: there is no such loss; suggests the nearest name.
    """
    parts = tuple(name.split("+"))
    for part in parts:
        if part not in _CLASSES:
            raise unknown("loss", part, _CLASSES)
    if len(set(parts)) < len(parts):
        raise UsageError(f"loss '{name}' names a loss twice")
    return parts


def create(name: str, **hyperparameters: Any) -> Loss | Combined:
    """The criterion of that name.

    Args:
        name: one of :func:`names`, or several joined by ``+`` for their sum.
        hyperparameters: as :func:`info` lists them; of a sum, a mapping for each part:
            ``create("splc+clml", splc={"gamma": 2.0}, clml={"weight": 0.1})``.

    Raises:
        UsageError: there is no such loss or hyperparameter.
        ValueError: a hyperparameter is out of range; says which, and what it was.
    """
    parts = check(name)
    if len(parts) == 1:
        return _class(name)(**hyperparameters)
    from mlcl_utils.losses.combined import Combined

    return Combined({part: _class(part) for part in parts}, hyperparameters)


def info(name: str) -> LossInfo:
    """The description of one loss or sum of losses.

    Raises:
        UsageError: there is no such loss.
    """
    parts = check(name)
    if len(parts) == 1:
        return _class(name).info()
    from mlcl_utils.losses.combined import combined_info

    return combined_info([_class(part).info() for part in parts])


def available() -> dict[str, LossInfo]:
    """The descriptions of all losses by name."""
    return {name: info(name) for name in names()}


def __getattr__(name: str) -> type[Loss]:
    """The class of a loss, imported when it is asked for."""
    if name in _NAMED:
        return _class(_NAMED[name])
    hint = "" if name.startswith("_") else f"; {str(unknown('loss', name, _NAMED)).partition('; ')[2]}"
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'{hint}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMED])


def _class(name: str) -> type[Loss]:
    module, cls = _CLASSES[name].split(".")
    loaded: type[Loss] = getattr(importlib.import_module(f"{__name__}.{module}"), cls)
    return loaded
