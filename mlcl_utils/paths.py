"""Where things lie in the checkout, whatever the working directory."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.errors import UsageError

_ABOVE = Path(__file__).resolve().parents[1]
IN_CHECKOUT = (_ABOVE / "notebooks").is_dir()
"""Whether the package lies in the repository, not among installed packages, without notebooks and data."""

CHECKOUT = _ABOVE if IN_CHECKOUT else Path.cwd()
"""The folder that holds ``notebooks/`` and ``results/``; relative paths are taken from here.

Without the repository it is the working directory: nothing is to be written among installed packages."""


def shown(path: Path) -> str:
    """A path as a message shows it: relative to the checkout where it lies in it."""
    return path.relative_to(CHECKOUT).as_posix() if path.is_relative_to(CHECKOUT) else str(path)


def expanded(path: str | Path) -> Path:
    """A path with ``~`` replaced by the home it stands for.

    Raises:
        UsageError: it stands for none.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"'{path}' begins with the home of nobody here; write the path in full") from None
