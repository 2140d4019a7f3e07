"""Studies in multi-label contrastive learning: data, losses, models, training, metrics, runs, studies, figures.

Submodules are imported when they are first used, so that ``import mlcl_utils`` costs nothing.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = (
    "batch",
    "bench",
    "data",
    "estimator",
    "features",
    "figures",
    "losses",
    "metrics",
    "models",
    "runs",
    "search",
    "stats",
    "studies",
    "training",
)


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES])
