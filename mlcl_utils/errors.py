"""Errors that a user can mend, and the nearest valid word to suggest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Input that was refused before anything started; the message is one line that says what to do."""


class DataError(UsageError):
    """A data file that is missing, damaged or not in the stated layout; the message names the file."""


class StorageError(RuntimeError):
    """Results that cannot be written, such as on a full disk; the message names the folder and the cause."""


def unknown(kind: str, word: str, valid: Iterable[str]) -> UsageError:
    """The error for a name that is not among the valid ones, with the nearest of them.

    Args:
        kind: what the word should have named, such as ``"loss"``.
        word: what was given.
        valid: the names there are.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(names) or 'none'}"
    return UsageError(f"unknown {kind} '{word}'; {hint}")
