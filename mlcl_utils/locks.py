"""Locks between processes that write into the same results folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Lock:
    """A lock on a file that is there only while somebody holds it; it vanishes with its holder, however that ends.

    The lock is the operating system's (``flock``; on NFS, Linux makes it one across machines), not the file: a file
    that a killed process has left behind is simply taken over.

    Args:
        path: the file, in a folder that exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock unless another process, or another object of this one, has it; whether it was taken.

        Raises:
            OSError: the file cannot be made, or the file system has no locks.
        """
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with contextlib.suppress(FileNotFoundError):
                    # Whoever held it before may have removed this file after it was opened here.
                    if os.path.samestat(os.fstat(descriptor), os.stat(self._path)):
                        self._descriptor = descriptor
            except BlockingIOError:
                return False
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                self._path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
