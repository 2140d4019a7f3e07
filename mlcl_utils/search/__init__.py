"""Search for hyperparameters: Hyperband as published, its parts and its rivals, behind one call.

>>> from mlcl_utils import search
>>> space = search.Space.from_dict({"x": {"type": "uniform", "low": 0, "high": 1}})
>>> result = search.hyperband(27, 3, space.sampler(seed=0), lambda config, resource, _: (config["x"], resource))
>>> result.best.resource, result.trained
(1, 342)

The objective is always a validation score, and a higher one is better.
"""

from __future__ import annotations

from mlcl_utils.search.conduct import (
    Config,
    Evaluate,
    Evaluation,
    EvaluationError,
    Job,
    Map,
    Result,
    Settings,
)
from mlcl_utils.search.methods import (
    METHODS,
    Method,
    Sample,
    asha,
    hyperband,
    random_search,
    successive_halving,
    tpe,
)
from mlcl_utils.search.plan import Bracket, brackets, cost, describe
from mlcl_utils.search.space import Choice, Integer, LogUniform, Sampler, Space, Uniform

__all__ = [
    "METHODS",
    "Bracket",
    "Choice",
    "Config",
    "Evaluate",
    "Evaluation",
    "EvaluationError",
    "Integer",
    "Job",
    "LogUniform",
    "Map",
    "Method",
    "Result",
    "Sample",
    "Sampler",
    "Settings",
    "Space",
    "Uniform",
    "asha",
    "brackets",
    "cost",
    "describe",
    "hyperband",
    "random_search",
    "successive_halving",
    "tpe",
]
