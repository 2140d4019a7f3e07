"""Readers of the layouts in which public sets are distributed: one file and one line each.

A reader has a function ``find(name, root)``, which looks for the set and gives a `Source` without reading
anything, and what it finds reads itself into `Examples`. To add one, write both and register it below.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from mlcl_utils.data.readers.common import Examples, Source
from mlcl_utils.errors import unknown

__all__ = ["Examples", "Source", "find", "names", "reader"]

# Module -> what it reads: names of sets, prefixes of names (they end in a colon), endings of files (with their dot).
_READERS = {
    "coco": ("coco", "coco2014", "coco2017"),
    "voc": ("voc2007", "voc2012"),
    "nus_wide": ("nus-wide",),
    "mulan": ("mulan:", ".arff"),
    "partial_labels": (".txt",),  # or libsvm, where its first line says so
    "libsvm": (".svm", ".libsvm"),
    "generator": ("generator", "generator:"),
    "table": (".csv", ".tsv", ".parquet"),
}


def names() -> tuple[str, ...]:
    """The names, prefixes and file endings that there are readers for."""
    return tuple(word for words in _READERS.values() for word in words)


def reader(name: str) -> str | None:
    """The reader of a set's name or file; None if there is none."""
    ending = Path(name).suffix.lower()
    for module, words in _READERS.items():
        if name in words or ending in words or name.partition(":")[0] + ":" in words:
            return module
    return None


def find(name: str, root: Path | None) -> Source:
    """Find a set that there is a reader for.

    Args:
        name: a name, prefix and name, or path, as :func:`reader` accepts it.
        root: folder that holds the set; paths that are not absolute are taken from it, or from the checkout.

    Raises:
        UsageError: it is not there, or there is no reader for it; the nearest name is suggested.
    """
    module = reader(name)
    if module is None:
        raise unknown("data set", name, names())
    source: Source = importlib.import_module(f"{__name__}.{module}").find(name, root)
    return source
