"""Extraction in chunks: what is done is on disk, and an extraction that was interrupted goes on from there."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from mlcl_utils import processes
from mlcl_utils.data import features as kept
from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.features import Extracted
from mlcl_utils.data.growing import Growing
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features.base import Example, FeatureEncoder
from mlcl_utils.files import file_digest, write_text
from mlcl_utils.locks import Lock

BATCH = 64
"""Examples encoded at once, unless said otherwise."""

CHUNK = 1024
"""Examples, about, after which what is done is written down."""

_LOOK_SECONDS = 0.5  # how often to look whether another process has extracted them
_LINE_SECONDS = 30.0  # between lines of progress where there is no terminal to draw a bar on


def extract(
    dataset: Dataset, home: Path, encoder: FeatureEncoder, *, batch_size: int = BATCH, shown: bool = True
) -> Extracted:
    """Extract the features of a data set, unless they are there already.

    Examples are decoded and prepared in threads ahead of the encoder. The float16 matrix is written in place, chunk by
    chunk, and need not fit into memory; it counts only when its description is written at the end. Of several processes
    one extracts and the others wait.

    Args:
        dataset: the set.
        home: the folder beside whose files the features are kept.
        encoder: the encoder, ready.
        batch_size: examples encoded at once.
        shown: whether to show progress, with examples per second.

    Raises:
        UsageError: nothing can be written there.
        DataError: an example cannot be read, or its features cannot be stored; the message names it. What was done
            before stays for the next attempt.
    """
    weights = encoder.digest()
    folder = kept.folder_of(dataset, home) / f"{encoder.name}-{weights[:8]}"
    done = kept.available(folder.parent).get(folder.name)
    if done is not None:
        return done
    lock = Lock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not lock.acquire():
            time.sleep(_LOOK_SECONDS)
            folder.mkdir(parents=True, exist_ok=True)  # whoever had it may have failed and left nothing
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        done = kept.available(folder.parent).get(folder.name)  # another process may have made them meanwhile
        return _extracted(dataset, folder, encoder, weights, batch_size, shown) if done is None else done
    finally:
        lock.release()
        with contextlib.suppress(OSError):  # where nothing was extracted, nothing stays: these are empty then
            for made in (folder, *folder.parents[:3]):
                made.rmdir()


def _extracted(
    dataset: Dataset, folder: Path, encoder: FeatureEncoder, weights: str, batch_size: int, shown: bool
) -> Extracted:
    raw: Sequence[Any] = dataset.texts() if encoder.reads == "text" else dataset.encoded_images()
    examples = list(zip(dataset.ids, raw, strict=True))
    growing = Growing(folder / kept.MATRIX, len(examples))
    start = growing.done
    with _Progress(len(examples), start, unit=encoder.reads, shown=shown) as progress:
        for first, block in _chunks(examples, start, encoder, batch_size, progress.advance):
            if growing.matrix is None:
                _created(growing, folder, block.shape[1])
            assert growing.matrix is not None
            growing.matrix[first : first + len(block)] = block
            growing.keep(first + len(block))
    assert growing.matrix is not None
    description = {
        "set": dataset.name,
        "encoder": encoder.name,
        "weights": weights,
        "preparation": encoder.preparation if len(encoder.preparation) < 1000 else None,
        "shape": list(growing.matrix.shape),
        "sha256": file_digest(folder / kept.MATRIX),
    }
    write_text(folder / kept.DESCRIPTION, json.dumps(description, indent=1) + "\n")
    growing.finish()
    return kept.available(folder.parent)[folder.name]


def _created(growing: Growing, folder: Path, columns: int) -> None:
    try:
        growing.create((columns,), np.float16)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"features cannot be written to {folder} ({error.strerror}); name another folder in the environment "
        "variable MLCL_CACHE"
    )


def _chunks(
    examples: Sequence[Example],
    start: int,
    encoder: FeatureEncoder,
    batch_size: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[int, npt.NDArray[np.float16]]]:
    """Features of one chunk after the other, each with the position of its first example."""
    size = -(-CHUNK // batch_size) * batch_size
    orders = [
        _order(examples, first, min(first + size, len(examples)), encoder)
        for first in range(start, len(examples), size)
    ]
    batches = [order[i : i + batch_size] for order in orders for i in range(0, len(order), batch_size)]
    prepared = _prepared(examples, batches, encoder)
    for order in orders:
        block: npt.NDArray[np.float16] | None = None
        for _ in range(0, len(order), batch_size):
            batch, content = next(prepared)
            values = _encoded(encoder, content, [examples[i][0] for i in batch])
            if block is None:
                block = np.empty((len(order), values.shape[1]), dtype=np.float16)
            block[np.array(batch) - min(order)] = values
            advance(len(batch))
        assert block is not None
        yield min(order), block


def _order(examples: Sequence[Example], first: int, end: int, encoder: FeatureEncoder) -> list[int]:
    """The order in which a chunk is encoded: texts of like length together, so that little is padding."""
    if encoder.reads == "text":
        return sorted(range(first, end), key=lambda i: len(examples[i][1]))
    return list(range(first, end))


def _prepared(
    examples: Sequence[Example], batches: Sequence[list[int]], encoder: FeatureEncoder
) -> Iterator[tuple[list[int], Any]]:
    """The batches in order, each prepared by a thread some time before it is asked for."""
    workers = processes.cores()
    pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[list[int], Future[Any]]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(encoder.prepare, [examples[i] for i in batch])))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _encoded(encoder: FeatureEncoder, content: Any, ids: Sequence[str]) -> npt.NDArray[np.float16]:
    with torch.inference_mode():
        features = encoder.encode(content).to(torch.float16).cpu().numpy()
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        bad = ids[int(np.argmin(finite))]
        raise DataError(f"encoder '{encoder.name}' gives example '{bad}' features that float16 cannot hold")
    return features


class _Progress:
    """A bar on a terminal, otherwise a line now and then, with examples per second."""

    def __init__(self, total: int, done: int, *, unit: str, shown: bool) -> None:
        self._total, self._done, self._unit = total, done, unit
        self._start = self._said = time.perf_counter()
        self._from = done
        self._lines = shown and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc="features",
            unit=unit,
            dynamic_ncols=True,
            disable=not shown or self._lines,
        )

    def __enter__(self) -> _Progress:
        if self._from and self._lines:
            print(f"features: goes on from {self._from} of {self._total}", file=sys.stderr, flush=True)
        return self

    def advance(self, count: int) -> None:
        """Counts examples that are done."""
        self._done += count
        self._bar.update(count)
        now = time.perf_counter()
        if self._lines and (now - self._said > _LINE_SECONDS or self._done == self._total):
            self._said = now
            rate = (self._done - self._from) / (now - self._start)
            print(
                f"features: {self._done} of {self._total}, {rate:.1f} {self._unit}s/s",
                file=sys.stderr,
                flush=True,
            )

    def __exit__(self, *_: object) -> None:
        self._bar.close()
