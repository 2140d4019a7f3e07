"""Extraction of archives that somebody else made: nothing is written outside the folder, whatever they hold."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from mlcl_utils.errors import DataError


def extract(path: Path, folder: Path) -> None:
    """Extract a tar or zip archive into a folder, wholly or, if anything in it is wrong, not at all.

    Entries are unpacked beside the folder first and moved when all have been; existing files of the same names are
    replaced. A file that is no archive stays as it is.

    Raises:
        DataError: it is damaged, or holds an entry whose path leads out of the folder, a link or a device; the message
            names file and entry.
    """
    name = path.name.lower()
    is_tar = name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))
    if not is_tar and not name.endswith(".zip"):
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".extracting-", dir=folder))
    try:
        if is_tar:
            _extract_tar(path, temporary)
        else:
            _extract_zip(path, temporary)
        _move(temporary, folder)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path} is damaged or cut off: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _extract_tar(path: Path, folder: Path) -> None:
    with tarfile.open(path) as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()):
                raise DataError(f"{path}: entry '{member.name}' is neither a file nor a folder")
            _check_inside(path, member.name)
            try:
                archive.extract(member, folder, filter="data")
            except tarfile.FilterError as error:
                raise DataError(f"{path}: entry '{member.name}' is not safe to extract: {error}") from None


def _extract_zip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            _check_inside(path, entry.filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{path}: entry '{entry.filename}' is neither a file nor a folder")
        for entry in archive.infolist():
            archive.extract(entry, folder)


def _check_inside(path: Path, name: str) -> None:
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or ":" in (plain.parts or ("",))[0]:
        raise DataError(f"{path}: entry '{name}' would be written outside the folder; nothing was extracted")


def _move(source: Path, target: Path) -> None:
    """Move everything in a folder into another, folders that are there already merged."""
    for entry in source.iterdir():
        there = target / entry.name
        if entry.is_dir() and there.is_dir():
            _move(entry, there)
        else:
            os.replace(entry, there)
