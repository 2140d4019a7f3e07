"""A search on disk: one line of JSON for each evaluation, so that a search that was killed goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.paths import shown

_START = b'{"search":'


class Journal:
    """The journal of a search: a first line that says which search it is, then one line per evaluation.

    A line is written whole and forced to the disk before the search goes on. What a killed process has left of a line
    is cut off when the journal is opened again. One process at a time writes to it.

    Args:
        path: made if absent, its folder too.
        identity: what makes the search the one it is, as JSON values; it must be that of the journal.

    Attributes:
        records: the evaluations that it holds, in the order in which they were written.

    Raises:
        UsageError: the journal is another search's, or another process is writing to it.
        DataError: a line of it cannot be read.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        identity = plain(identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            lines, whole = self._read()
            if lines and lines[0].get("search") != identity:
                raise UsageError(
                    f"journal '{shown(path)}' is of another search{_difference(lines[0], identity)}; "
                    "name another file or remove this one"
                )
            os.ftruncate(self._file, whole)
            if not lines:
                self._write({"search": identity})
                _sync_folder(path.parent)
            self.records = lines[1:]
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
        except OSError:
            raise UsageError(
                f"journal '{shown(self.path)}': another process is writing to it; "
                "wait for it, or name another file"
            ) from None

    def _read(self) -> tuple[list[dict[str, Any]], int]:
        """The whole lines and their length; the rest is what a killed process has left of a line."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].splitlines()
        if not lines and content[: len(_START)] != _START[: len(content)]:
            lines = [content]  # no line that was cut off, but another kind of file
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise DataError(
                    f"journal '{shown(self.path)}', line {number}: not a line of a search's journal; name another file"
                )
            records.append(record)
        return records, whole

    def _write(self, record: Mapping[str, Any]) -> None:
        line = (json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n").encode()
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    def append(self, record: Mapping[str, Any]) -> None:
        """Writes one evaluation; it is on the disk when this returns.

        Raises:
            ValueError: it holds what is no JSON value.
        """
        self._write(record)

    def close(self) -> None:
        """Ends the writing, so that another process may."""
        os.close(self._file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def plain(value: Any) -> Any:
    """A value as it comes back from JSON: tuples are lists, keys are strings.

    Raises:
        ValueError: it is no JSON value.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except TypeError as error:
        raise ValueError(str(error)) from None


def _difference(first: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    """The first setting in which two searches differ, in words."""
    other = first.get("search")
    if not isinstance(other, dict):
        return ""
    for name in {**identity, **other}:
        if identity.get(name) != other.get(name):
            words = [str(each.get(name)) for each in (other, identity)]
            if max(map(len, words)) > 40:
                return f" (its {name} differs)"
            return f" ({name} {words[0]}, not {words[1]})"
    return ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
