"""Values as a person writes them, on a command line or in a YAML file: one reading of them for both."""

from __future__ import annotations

import ast
import sys
from typing import Any

MOST = 2**31 - 1
"""The largest whole number that an option or a parameter takes: what libraries below keep in 32 bits."""

MOST_SEED = 2**32 - 10
"""Generators of random numbers take seeds below 2**32; the number of a replicate, up to 9, is added to it."""


def finite(value: float) -> bool:
    """Whether a number is one that floating point holds; a whole number can be too large for that."""
    return -sys.float_info.max <= value <= sys.float_info.max


def literal(text: str) -> Any:
    """The value of a Python literal, such as ``1e-3``, ``[10, 30]`` or ``'a'``.

    Raises:
        ValueError: it is none.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is not a literal") from None


def plain(text: str) -> Any:
    """The value that a word without quotes stands for: a truth value, a number or another literal, else the word."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        return literal(text)
    except ValueError:
        return text
