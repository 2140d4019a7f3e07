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
import os
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load
from safetensors.numpy import save as as_bytes

from mlcl_utils.errors import DataError
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
    temporary = path.with_name(f".writing-{path.name}")
    temporary.write_bytes(content.getbuffer())
    os.replace(temporary, path)
    return path


def find(results: Path, id: str) -> Path | None:
    """The shard that holds a run; None if none does.

    Raises:
        DataError: a shard is damaged.
    """
    return next((path for path in shards(results) if id in _index(path)), None)


def extract(path: Path, id: str, folder: Path) -> None:
    """Writes a run of a shard into a folder as it is stored, but for its scores."""
    described, resamples, arrays = _content(path, path.stat().st_mtime_ns)
    (folder / "run.json").write_text(json.dumps(described[id], indent=1) + "\n")
    own = {name.partition("/")[2]: each.astype(np.float32) for name, each in _of(resamples, id).items()}
    (folder / _RESAMPLES).write_bytes(as_bytes(own))
    drawn = _of(arrays, id)
    if drawn:
        (folder / _ARRAYS).write_bytes(
            as_bytes({name.partition("/")[2]: each for name, each in drawn.items()})
        )


def _of(parts: dict[str, np.ndarray], id: str) -> dict[str, np.ndarray]:
    return {name: each for name, each in parts.items() if name.startswith(f"{id}/")}


def _index(path: Path) -> Collection[str]:
    return _content(path, path.stat().st_mtime_ns)[0]


@functools.lru_cache(maxsize=64)
def _content(path: Path, changed: int) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Runs, resamples and arrays of a shard; kept, for as long as it has not been changed."""
    whole = path.read_bytes()
    try:
        if hashlib.sha256(whole).hexdigest()[:16] != path.stem:
            raise ValueError("its content is not that of its name")
        with zipfile.ZipFile(io.BytesIO(whole)) as file:
            return json.loads(file.read(_RUNS)), load(file.read(_RESAMPLES)), load(file.read(_ARRAYS))
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"the archive '{shown(path)}' is damaged ({error}); take it from the repository again, or remove it, and"
            " its runs are trained"
        ) from error
