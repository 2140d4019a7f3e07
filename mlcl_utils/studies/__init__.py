"""The studies: a folder each, found by name.

A study is registered by one line in the catalogue below. Names and parameters are to be had without importing
torch; what a study computes is imported when it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlcl_utils.errors import unknown

if TYPE_CHECKING:
    from mlcl_utils.studies.base import Study
    from mlcl_utils.studies.execution import Execution

# Name of the notebook -> module that defines STUDY. In the order in which they run.
_CATALOGUE = {
    "01_missing_labels": "mlcl_utils.studies.missing_labels",
    "02_label_space": "mlcl_utils.studies.label_space",
    "03_vision_text": "mlcl_utils.studies.vision_text",
    "04_temperature": "mlcl_utils.studies.temperature",
    "05_hyperband": "mlcl_utils.studies.hyperband",
    "06_kernel_mixture": "mlcl_utils.studies.kernel_mixture",
    "00_claims": "mlcl_utils.studies.ledger",
}


def names() -> tuple[str, ...]:
    """The names of all studies, in the order in which they run."""
    return tuple(_CATALOGUE)


def get(name: str) -> Study:
    """The study of a name.

    Raises:
        UsageError: there is no study of that name; the nearest is suggested.
    """
    if name not in _CATALOGUE:
        raise unknown("study", name, _CATALOGUE)
    study: Study = importlib.import_module(_CATALOGUE[name]).STUDY
    return study


def start(name: str, namespace: Mapping[str, Any] = MappingProxyType({}), /, **given: Any) -> Execution:
    """Begin a study's notebook: resolve and print its parameters and open its results folder.

        study = studies.start("02_label_space", globals())

    Args:
        name: the study, such as ``"02_label_space"``.
        namespace: ``globals()`` of the notebook: the names in it that the study declares are its parameters, and no
            others are looked at. None means the preset's value; strings are turned into their types.
        given: parameters by name, which go before those of the namespace.

    Returns:
        The execution, with ``parameters``, ``folder`` and ``finish``.

    Raises:
        UsageError: an unknown name, given or set in a cell of parameters; a wrong type; an impossible value.
    """
    from mlcl_utils.studies.execution import begin

    return begin(get(name), given, namespace)
