"""Rebuild the word vectors that ship with `debtags`, those that the encoder `static` starts from.

    python -m data_scripts.debtags_vectors --out mlcl_utils/data/embedded/debtags
    python -m data_scripts.debtags_vectors --check

Every word that two of the set's texts hold is encoded alone by all-MiniLM-L6-v2; see `mlcl_utils.features.static`. The
texts are those of the folder. Takes half a minute and needs the extra `rebuild`, as `data_scripts.debtags` does, which
rebuilds the vectors with all the rest.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_scripts.debtags_encoder import encoder_folder
from mlcl_utils.data import dataset as stored
from mlcl_utils.data import vectors
from mlcl_utils.data.words import known_words
from mlcl_utils.data.writing import register
from mlcl_utils.files import file_digest

EMBEDDED = Path(stored.__file__).parent / "embedded" / "debtags"
TOLERANCE = 0.01
"""What another processor may change of a number; their root mean square is 0.25."""


def distilled(texts: Sequence[str]) -> tuple[list[str], npt.NDArray[np.float16]]:
    """The words of texts and their vectors."""
    from mlcl_utils.features import open_encoder, static

    words = known_words(texts)
    return words, static.distilled(words, open_encoder(str(encoder_folder()), "text"))


def build(folder: Path) -> None:
    """Write the vectors into the folder of the set, and their SHA-256 into its manifest."""
    started = time.monotonic()
    words, values = distilled(stored.read(folder).texts())
    vectors.write(folder / stored.VECTORS, words, values)
    register(folder, stored.VECTORS)
    size = (folder / stored.VECTORS).stat().st_size / 1e6
    print(f"{folder}: {len(words)} word vectors, {size:.1f} MB, in {time.monotonic() - started:.0f} s")


def check(folder: Path, again: Path) -> None:
    """Distil the vectors again into a file and compare them with those that ship.

    Raises:
        SystemExit: the words differ, or a number by more than `TOLERANCE`.
    """
    dataset = stored.read(folder)
    shipped = vectors.chosen(dataset, None)
    words, values = vectors.read(shipped)
    now_words, now = distilled(dataset.texts())
    if tuple(now_words) != words or now.shape != values.shape:
        raise SystemExit(f"{shipped.path}: {len(now_words)} words now, {len(words)} shipped, or others")
    vectors.write(again, now_words, now)
    same = "the same file to the byte" if file_digest(again) == shipped.sha256 else "not the same to the byte"
    worst = float(np.abs(now.astype(np.float32) - values.astype(np.float32)).max())
    print(f"debtags: {len(words)} words encoded again, largest difference {worst:.2e}, {same}")
    if worst > TOLERANCE:
        raise SystemExit(f"{shipped.path} differs from what the encoder gives now by {worst:.2e}")


def main() -> None:
    """Command line."""
    import tempfile

    os.environ["HF_HUB_OFFLINE"] = "1"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=EMBEDDED, help="folder of the set (default: the embedded one)"
    )
    parser.add_argument("--check", action="store_true", help="only distil again and compare")
    given = parser.parse_args()
    if given.check:
        with tempfile.TemporaryDirectory() as folder:
            check(given.out, Path(folder) / stored.VECTORS)
    else:
        build(given.out)


if __name__ == "__main__":
    main()
