"""A matrix in a file that grows chunk by chunk, need not fit into memory, and can be gone on with when interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.files import write_text


class Growing:
    """A matrix of which the first rows are done, in a file of NumPy's format with a note beside it of how many.

    A file that another interrupted process has left is gone on with, if it has as many rows and the note fits it.
    Whoever writes holds a lock: two processes at once would undo each other's rows.

    Args:
        path: of the ``.npy`` file; the note is ``<stem>.progress.json`` beside it, and gone when all is done.
        rows: of the whole matrix.

    Attributes:
        matrix: (rows, ...), mapped into memory; None until :meth:`create` where nothing was begun.
        done: rows that are done.
    """

    def __init__(self, path: Path, rows: int) -> None:
        self._path, self._rows = path, rows
        self._note = path.with_name(f"{path.stem}.progress.json")
        self.matrix: np.memmap[Any, np.dtype[Any]] | None = None
        self.done = 0
        try:
            done = int(json.loads(self._note.read_text())["rows"])
            matrix = np.load(path, mmap_mode="r+", allow_pickle=False)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return  # nothing was begun, or nothing that can be gone on with
        if isinstance(matrix, np.memmap) and matrix.ndim and len(matrix) == rows and 0 <= done <= rows:
            self.matrix, self.done = matrix, done

    def create(self, row: tuple[int, ...], dtype: npt.DTypeLike) -> np.memmap[Any, np.dtype[Any]]:
        """Make the file, in a folder that exists.

        Args:
            row: shape of a row.
            dtype: of the numbers.

        Raises:
            OSError: it cannot be written, or the disk has no place for all of it.
        """
        self._note.unlink(missing_ok=True)  # one of an earlier file would call rows done that are not
        self.done = 0
        self.matrix = np.lib.format.open_memmap(
            self._path, mode="w+", dtype=np.dtype(dtype), shape=(self._rows, *row)
        )
        if hasattr(os, "posix_fallocate"):
            # A disk that is full would otherwise end the process, without a word, when the matrix is written to.
            with self._path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self._path.stat().st_size)
        return self.matrix

    def keep(self, done: int) -> None:
        """Write down what is done: so many rows from the first on."""
        assert self.matrix is not None
        self.matrix.flush()
        write_text(self._note, json.dumps({"rows": done}) + "\n")
        self.done = done

    def finish(self) -> None:
        """Remove the note: the matrix is whole."""
        self.matrix = None
        self._note.unlink(missing_ok=True)
