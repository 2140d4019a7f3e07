"""Files that are whole or absent, what is known of a file without reading it, and why one could not be written."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

State = tuple[int, int, int, int, int]
"""What a file system says of a file: device, inode, bytes, and times of modification and of change in nanoseconds."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name ``.<name>.<process>`` to write to, which is renamed when the block ends well, else removed.

    A link stays one: what it points to is replaced. A process that is killed outright leaves the temporary file; in the
    folder of a study the next execution removes what was left.

    Args:
        path: the file's place, in a folder that exists; the file that stands there is replaced.

    Raises:
        OSError: it cannot be written, or something else than a file stands there; the error names the path.
    """
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        if place.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if place.exists() and not place.is_file():  # renaming would put a file in the place of a device
            raise OSError(errno.EEXIST, "something else than a file stands there", str(path))
        yield temporary
        os.replace(temporary, place)
    except OSError as error:
        if error.errno is not None and (error.filename is None or str(error.filename) == str(temporary)):
            error.filename = str(path)
        raise
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


def why(error: OSError) -> str:
    """The cause of a failure in a few words, such as ``No space left on device``; the first of several."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        text = str(error.args[0][0][-1])
        return text.partition("] ")[2].partition(": '")[0] or text
    return error.strerror or str(error)


def state(path: Path) -> State:
    """What the file system says of a file: another one, if the file was written since, whatever any clock says.

    A file that is replaced gets another inode. One that is written in place gets another time of change, which nobody
    can set back, unless it is written twice within one tick of the file system.

    Raises:
        OSError: there is no such file.
    """
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def known_digest(path: Path) -> str:
    """SHA-256 of a file; computed once in a process unless the file's `state` changes.

    Raises:
        OSError: it cannot be read.
    """
    return _digest(path, state(path))


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, known: State) -> str:
    return file_digest(path)
