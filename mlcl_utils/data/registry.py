"""The data sets there are: those that ship, by name, and those that a user brings, by name or path."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from mlcl_utils.data import dataset as stored
from mlcl_utils.data import features, readers, user_sets, vectors
from mlcl_utils.errors import DataError, UsageError, unknown
from mlcl_utils.paths import IN_CHECKOUT, shown

EMBEDDED_VARIABLE = "MLCL_EMBEDDED_DATA"
"""Environment variable that names another folder to read the embedded sets from."""

# One line per set: its name is also the name of its folder.
_NAMES = ("debtags", "emoji", "fashion-scenes")


def names() -> tuple[str, ...]:
    """Names of the data sets that ship."""
    return _NAMES


def folder(name: str) -> Path:
    """The folder with the files of a data set that ships.

    Raises:
        UsageError: no such data set.
        DataError: its folder is missing.
    """
    if name not in _NAMES:
        raise unknown("data set", name, _NAMES)
    return embedded(name, f"data set '{name}'")


def embedded(name: str, what: str) -> Path:
    """A folder among those that ship.

    Args:
        name: of the folder.
        what: what lies in it, as an error calls it.

    Raises:
        DataError: it is missing.
    """
    given = os.environ.get(EMBEDDED_VARIABLE)
    root = Path(given) if given else Path(__file__).parent / "embedded"
    path = root / name
    if not path.is_dir():
        if given or IN_CHECKOUT:
            raise DataError(f"{what} is not at {path}; restore it with: git checkout -- {path}")
        raise DataError(
            f"{what} is in the repository, not in the installed package; set {EMBEDDED_VARIABLE} to the"
            " folder mlcl_utils/data/embedded of a checkout"
        )
    return path


def load(name: str, root: str | Path | None = None) -> stored.Dataset:
    """Read a data set: one that ships, after checking every file of it against its SHA-256, or a user's own.

    The arrays are read-only and shared between calls in one process. Nothing is written.

    Args:
        name: a set that ships; one that there is a reader for (``coco``, ``voc2007``, ``mulan:emotions``); or the path
            of a table, list or ARFF file. Behind an ``@``, the features to take, by their name or their encoder's,
            where there are several.
        root: the folder that holds a user's sets; paths that are not absolute are taken from it, or, without it, from
            the checkout.

    Raises:
        UsageError: no such data set.
        DataError: a file is missing or damaged; the message names it.
    """
    base, wanted = parted(name)
    root = None if root is None else Path(root)
    option = "" if root is None else f" --root {shown(root)}"
    command = f"mlcl features {base} --encoder ENCODER{option}"
    if base in _NAMES:
        dataset = stored.read(folder(base))
        if root is not None:
            dataset = vectors.attach(dataset, root, f"{command} --static")
        if wanted is None:
            return dataset
        if root is None:
            raise UsageError(
                f"'{name}' needs data_root (on the command line --root), the folder of its features"
            )
        home = root
    else:
        source = readers.find(base, root)
        dataset, home = user_sets.read(source), source.folder
        dataset = vectors.attach(dataset, home, f"{command} --static")
    return features.attach(dataset, home, wanted, command)


def home(name: str, root: str | Path | None = None) -> Path:
    """The folder beside whose files everything is kept that is derived from a set.

    Raises:
        UsageError: no such data set; or it ships, and there is no root.
    """
    base, _ = parted(name)
    if base not in _NAMES:
        return readers.find(base, None if root is None else Path(root)).folder
    if root is None:
        raise UsageError(
            f"'{base}' ships with the package; name the folder that its features are for with --root"
        )
    return Path(root)


def short_name(name: str, root: str | Path | None = None) -> str:
    """The name of a data set without folders, endings and features: the same wherever its files lie.

    Raises:
        UsageError: no such data set.
    """
    base, _ = parted(name)
    return base if base in _NAMES else readers.find(base, None if root is None else Path(root)).name


def keep(name: str, root: str | Path | None = None) -> None:
    """Keep what is read of a user's set beside its files, so that other processes need not read it again.

    Raises:
        UsageError: as :func:`load`.
    """
    base, _ = parted(name)
    if base not in _NAMES:
        user_sets.keep(readers.find(base, None if root is None else Path(root)))


def verify(name: str, root: str | Path | None = None) -> None:
    """Check every file of a set that ships against its SHA-256, or that a user's set can be read.

    Raises:
        UsageError: no such data set.
        DataError: a file is missing or damaged; the message names it, and for a set that ships how to restore it.
    """
    base, wanted = parted(name)
    if base in _NAMES and wanted is None:
        stored.verify(folder(base))
    else:
        load(name, root)


def version(name: str, root: str | Path | None = None) -> str:
    """Version of a data set: its integer and a digest of what results can depend on.

    The digest covers label names, features, labels, groups, splits and raw data, not the data card nor where the files
    lie: a run stays valid when only the card is rewritten, or a set is moved.

    Raises:
        UsageError: no such data set.
        DataError: ``dataset.json`` is missing or damaged, or a user's files are.
    """
    base, wanted = parted(name)
    if base in _NAMES and wanted is None:
        return stored.read_manifest(folder(base)).identity
    if base not in _NAMES and wanted is None:
        source = readers.find(base, None if root is None else Path(root))
        if not source.files:
            return _version_of_made(source.name)
    return load(name, root).version


@functools.lru_cache(maxsize=4096)
def _version_of_made(name: str) -> str:
    """The version of a set that is made up: no file of it can change."""
    return load(name).version


def parted(name: str) -> tuple[str, str | None]:
    """The name of a set and the name of features behind an ``@``.

    Raises:
        UsageError: no data set can have this name; the nearest is suggested.
    """
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise UsageError(f"data set '{name}': its name is not UTF-8; rename it")
    base, _, wanted = name.rpartition("@")
    for word, behind in ((name, None), (base, wanted)):
        if word in _NAMES or (word and readers.reader(word)):
            return word, behind
    raise unknown("data set", name, (*_NAMES, *readers.names()))
