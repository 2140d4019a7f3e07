"""What a cell is, the same for every column and every format: missing, a name."""

from __future__ import annotations

import unicodedata
from typing import Any

from mlcl_utils.errors import DataError

MISSING_WORDS = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "<na>", "none", "null", "nil", "nat"})
"""What programs write for a missing value, in lower case: R, pandas, NumPy, SQL, JSON and Excel."""


def is_missing(value: Any) -> bool:
    """Whether a value is missing whatever its column holds: None, a NaN of any type, or nothing but white space."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, list | tuple | dict | set):
        return False
    return value is None or bool(value != value)  # only NaN differs from itself


def normal(text: str) -> str:
    """A text without white space around it, in NFC: what looks the same is the same."""
    return unicodedata.normalize("NFC", text).strip()


def label_name(value: Any, where: str) -> str:
    """The name of a label, as a text.

    Args:
        value: as it was read.
        where: file and place, for the error.

    Raises:
        DataError: it is no text, or an empty one.
    """
    if not isinstance(value, str) or not normal(value):
        raise DataError(f"{where}: the name of a label is {'empty' if value == '' else value!r}, not a text")
    return normal(value)
