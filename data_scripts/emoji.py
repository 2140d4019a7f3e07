"""Rebuild the `emoji` data set: drawings of four freely licensed families with their CLDR keywords.

    python -m data_scripts.emoji --source DIR --out mlcl_utils/data/embedded/emoji
    python -m data_scripts.emoji --source DIR --check 64

DIR holds the packages named in PACKAGES of emoji_concepts.py as npm packs them; fetch them with
`npm pack NAME@VERSION` (five commands). Nothing is unpacked: the files are read out of the archives.
Needs the extra `rebuild`, which has the image encoder, and resvg-py, which draws the vector families.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_scripts.common import check_features, write_dataset
from data_scripts.emoji_card import write_card
from data_scripts.emoji_drawings import group_concepts
from data_scripts.emoji_material import Material, gather
from data_scripts.images import Pixels, encode_images, to_webp
from mlcl_utils.data import dataset as stored
from mlcl_utils.data.emoji import FAMILIES
from mlcl_utils.data.sheet import contact_sheet
from mlcl_utils.data.splits import grouped_splits, join_groups

VERSION = 1
SEED = 30
# The first seed from 30 on with which every label has a positive in every part of every split.
SPLIT_SEED = 68
EMBEDDED = Path(stored.__file__).parent / "embedded" / "emoji"
SHEET = "sheet.webp"
LICENCES = "LICENCES.txt"


def build(source: Path, out: Path) -> None:
    """Rebuild the whole set."""
    found = gather(source)
    labels = np.array(
        [[label in found.labels[position] for label in found.label_names] for position, _ in found.examples],
        dtype=np.int8,
    )
    keys = sorted(found.drawings)
    features = encode_images([found.drawings[key] for key in keys])
    concept_groups, joined = group_concepts(found.concepts, found.labels, keys, features)
    row = {key: number for number, key in enumerate(keys)}
    positions = np.array([position for position, _ in found.examples])
    groups = join_groups(len(positions), np.empty((0, 2)), list(concept_groups[positions]))
    splits = grouped_splits(labels, groups, SPLIT_SEED)
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(out / SHEET, sheet_rows(found, labels), size=40, columns=2)
    write_dataset(
        out,
        name="emoji",
        modality="image",
        version=VERSION,
        label_names=found.label_names,
        labels=labels,
        features=features[[row[found.concepts[p].code, family] for p, family in found.examples]],
        groups=groups,
        splits=splits,
        columns={
            "id": found.ids(),
            "concept": [found.concepts[position].name for position in positions],
            "family": [family for _, family in found.examples],
            "image": [to_webp(found.pixels(example)) for example in range(len(positions))],
        },
        card=write_card(found, labels, groups, splits, joined),
        extra_files=[SHEET, LICENCES],
    )


def sheet_rows(found: Material, labels: npt.NDArray[np.int8]) -> list[tuple[str, list[Pixels]]]:
    """Random drawings of each label for the contact sheet, two of each family if there are."""
    generator = np.random.default_rng(SEED)
    families = np.array([family for _, family in found.examples])
    rows = []
    for column, label in enumerate(found.label_names):
        shown: list[int] = []
        for family in FAMILIES:
            positive = np.flatnonzero((labels[:, column] == 1) & (families == family))
            shown += list(generator.choice(positive, size=min(3, len(positive)), replace=False))
        rows.append((label, [found.pixels(example) for example in shown]))
    return rows


def check(source: Path, out: Path, count: int) -> None:
    """Draw and encode random examples again and compare drawings and features with what is shipped."""
    found = gather(source)
    data = stored.read(out)
    if found.ids() != list(data.ids):
        raise SystemExit(f"the examples from {source} are not those of {out}")
    images = data.images()

    def encode(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        for example in chosen:
            if not np.array_equal(images[example], found.pixels(example)):
                raise SystemExit(f"{data.ids[example]}: the drawing differs from the shipped one")
        return encode_images([found.pixels(example) for example in chosen])

    check_features(out, count, encode)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="folder with the npm packages")
    parser.add_argument(
        "--out", type=Path, default=EMBEDDED, help="folder to write (default: the embedded one)"
    )
    parser.add_argument(
        "--check", type=int, metavar="N", help="only draw and encode N random examples again and compare"
    )
    given = parser.parse_args()
    if given.check:
        check(given.source, given.out, given.check)
    else:
        build(given.source, given.out)


if __name__ == "__main__":
    main()
