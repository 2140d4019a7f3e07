"""Archives: finished runs in a few files that travel with a repository, from which a store takes what it lacks.

An archive is a folder of shards, ``results/<study>/<preset>/archive``. A shard is a zip file named by its own SHA-256,
written once: new runs go into another shard, so that the history of a repository does not grow with every addition.
It holds configuration, metrics, timings and history of every run, resamples as float16, and what figures draw; no
scores, by which a run can be measured anew.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load
from safetensors.numpy import save as as_bytes

from mlcl_utils.errors import DataError
from mlcl_utils.files import whole
from mlcl_utils.paths import shown

FOLDER = "archive"
"""Name of the folder of shards in the results of a study."""

_RUNS, _RESAMPLES, _ARRAYS = "runs.json", "resamples.safetensors", "arrays.safetensors"
_OF_ONE_SPLIT = ("plane", "similarities")
"""Arrays that pictures need of split 0 alone."""


def shards(results: Path) -> list[Path]:
    """All shards under a results folder."""
    return sorted(results.glob(f"*/*/{FOLDER}/*.zip"))


def write(folder: Path, runs: Iterable[Any], metrics: Collection[str]) -> Path | None:
    """Writes a shard with those runs that none of a folder's has yet; None if it would be empty.

    Args:
        folder: of the shards.
        runs: stored runs (:class:`mlcl_utils.runs.Run`).
        metrics: those of which resamples are kept.
    """
    known = {id for path in folder.glob("*.zip") for id in _index(path)}
    described: dict[str, Any] = {}
    resamples: dict[str, np.ndarray] = {}
    arrays: dict[str, np.ndarray] = {}
    for run in runs:
        id = run.config.id
        if id in known or id in described:
            continue
        plain = ("metrics", "timings", "facts", "history", "environment")
        described[id] = {"config": run.config.as_dict(), **{name: getattr(run, name) for name in plain}}
        drawn = run.resamples() if metrics else {}
        resamples |= {
            f"{id}/{name}": each.astype(np.float16) for name, each in drawn.items() if name in metrics
        }
        arrays |= {
            f"{id}/{name}": each
            for name, each in run.arrays().items()
            if run.config.replicate == 0 or name not in _OF_ONE_SPLIT
        }
    if not described:
        return None
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, part in (
            (_RUNS, json.dumps(described).encode()),
            (_RESAMPLES, as_bytes(resamples)),
            (_ARRAYS, as_bytes(arrays)),
        ):
            file.writestr(
                zipfile.ZipInfo(name), part, zipfile.ZIP_DEFLATED
            )  # without a time: the same bytes again
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(content.getbuffer()).hexdigest()[:16]}.zip"
    with whole(path) as temporary:
        temporary.write_bytes(content.getbuffer())
    return path


def find(results: Path, id: str) -> Path | None:
    """The shard that holds a run; None if none does.

    Raises:
        DataError: a shard is damaged.
    """
    return next((path for path in shards(results) if id in _index(path)), None)


def extract(path: Path, id: str, folder: Path) -> None:
    """Writes a run of a shard into a folder as it is stored, but for its scores; what makes it a run comes last."""
    run = _content(path, path.stat().st_mtime_ns)[id]
    folder.mkdir(parents=True, exist_ok=True)
    resamples = {name: each.astype(np.float32) for name, each in run.resamples.items()}
    files = {_RESAMPLES: as_bytes(resamples)}
    if run.arrays:
        files[_ARRAYS] = as_bytes(run.arrays)
    files["run.json"] = (json.dumps(run.described, indent=1) + "\n").encode()
    for name, content in files.items():
        with whole(folder / name) as temporary:
            temporary.write_bytes(content)


@dataclass
class _Archived:
    described: dict[str, Any]
    resamples: dict[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def _index(path: Path) -> Collection[str]:
    return _content(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _content(path: Path, changed: int) -> dict[str, _Archived]:
    """The runs of a shard by identity; kept, for as long as it has not been changed."""
    stored = path.read_bytes()
    try:
        if hashlib.sha256(stored).hexdigest()[:16] != path.stem:
            raise ValueError("its content is not that of its name")
        with zipfile.ZipFile(io.BytesIO(stored)) as file:
            found = {id: _Archived(described) for id, described in json.loads(file.read(_RUNS)).items()}
            for kind, name in (("resamples", _RESAMPLES), ("arrays", _ARRAYS)):
                for key, part in load(file.read(name)).items():
                    id, _, own = key.partition("/")
                    getattr(found[id], kind)[own] = part
            return found
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"the archive '{shown(path)}' is damaged ({error}); take it from the repository again, or remove it, and"
            " its runs are trained"
        ) from error
