"""Files that are whole or absent: written under a temporary name beside their place, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name ``.<name>.<process>`` to write to, which is renamed when the block ends well, else removed.

    A process that is killed outright leaves it; in the folder of a study the next execution removes what was left.

    Args:
        path: the file's place, in a folder that exists; what stands there is replaced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV without its index, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
