"""The drawings of `emoji`: read, chosen, and joined into groups where they are nearly the same."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_scripts.common import unit_rows
from data_scripts.emoji_concepts import Concept, member, plain
from data_scripts.images import Pixels
from mlcl_utils.data.emoji import FAMILIES
from mlcl_utils.data.splits import join_groups

SIZE = 64
NEAR_DRAWING = 0.97
NEAR_DRAWING_SAME_LABELS = 0.95

# Drawings that are wrong, found by looking at every concept's drawings side by side.
BAD_DRAWINGS = {
    ("flag: Sark", "noto"): "the package has Saudi Arabia's flag there",
    ("palms up together", "openmoji"): "is a drawing of folded hands",
    ("face in clouds", "fluent"): "its clipping is lost, clouds cover the picture",
    ("tumbler glass", "fluent"): "its clipping is lost, no glass to be seen",
    ("white flag", "fluent"): "an empty frame",
    ("white large square", "twemoji"): "light grey all over, next to blank on white",
    ("white square button", "fluent"): "the same black square as black medium square",
    ("grinning cat", "fluent"): "the same drawing as cat face, which does not grin",
}


def on_white(image: Image.Image) -> Pixels:
    """An image with transparency, centred on a white square of 64 x 64 pixels."""
    canvas = Image.new("RGBA", (SIZE, SIZE), "white")
    canvas.alpha_composite(image.convert("RGBA"), ((SIZE - image.width) // 2, (SIZE - image.height) // 2))
    return np.asarray(canvas.convert("RGB"))


def draw_svg(svg: bytes) -> Pixels:
    """A vector drawing, 64 pixels high, on white."""
    try:
        import resvg_py
    except ImportError as error:
        raise SystemExit(f"{error}; install it: pip install resvg-py") from None
    png = resvg_py.svg_to_bytes(
        svg_string=svg.decode("utf-8"), width=SIZE, height=SIZE, skip_system_fonts=True
    )
    return on_white(Image.open(io.BytesIO(bytes(png))))


def read_drawings(
    archives: Mapping[str, tarfile.TarFile], concepts: Sequence[Concept]
) -> dict[tuple[str, str], Pixels]:
    """Every family's drawing of every concept, wrong ones left out, by (code points, family)."""
    drawings: dict[tuple[str, str], Pixels] = {}
    for family, vendor in (("noto", "google"), ("twemoji", "twitter")):
        archive = archives[f"emoji-datasource-{vendor}"]
        listed: dict[str, Any] = {}
        for entry in json.loads(member(archive, "package/emoji.json")):
            # Without this mark the picture is another vendor's.
            if entry[f"has_img_{vendor}"]:
                listed[plain(entry["unified"])] = entry["image"]
        for concept in concepts:
            if concept.code in listed:
                png = member(archive, f"package/img/{vendor}/64/{listed[concept.code]}")
                drawings[concept.code, family] = on_white(Image.open(io.BytesIO(png)))
    for family, package, folder in (
        ("openmoji", "openmoji", "package/color/svg/"),
        ("fluent", "@lobehub/fluent-emoji-flat", "package/assets/"),
    ):
        archive = archives[package]
        files = {
            plain(Path(name).stem): name
            for name in archive.getnames()
            if name.startswith(folder) and name.endswith(".svg")
        }
        for concept in concepts:
            # The package's national flags are not Fluent's: Microsoft draws none, these look like Noto's.
            if concept.code in files and not (family == "fluent" and concept.national_flag):
                drawings[concept.code, family] = draw_svg(member(archive, files[concept.code]))
    for concept in concepts:
        for family in FAMILIES:
            if (concept.name, family) in BAD_DRAWINGS:
                del drawings[concept.code, family]
    return drawings


def choose_drawings(
    concepts: Sequence[Concept], drawings: Mapping[tuple[str, str], Pixels]
) -> list[tuple[int, str]]:
    """Examples as (position of the concept, family): all families' drawings, but of a national flag one, each
    family in turn."""
    chosen = []
    turn = 0
    for position, concept in enumerate(concepts):
        families = [family for family in FAMILIES if (concept.code, family) in drawings]
        if concept.national_flag:
            families = [families[turn % len(families)]]
            turn += 1
        chosen += [(position, family) for family in families]
    return chosen


def group_concepts(
    concepts: Sequence[Concept],
    labels: Sequence[frozenset[str]],
    keys: Sequence[tuple[str, str]],
    features: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], list[tuple[int, int]]]:
    """Groups of the concepts: those are joined whose drawings in one family are near-duplicates.

    Near is a cosine of the features above 0.97, or above 0.95 where the concepts have the same labels too.

    Args:
        concepts: C concepts.
        labels: their label sets.
        keys: (code points, family) of every drawing, whether it becomes an example or not.
        features: (drawings, 1280).

    Returns:
        int32 (C,) group of each concept, and the pairs of concepts that were joined.
    """
    position = {concept.code: i for i, concept in enumerate(concepts)}
    pairs = set()
    for family in FAMILIES:
        rows = [row for row, key in enumerate(keys) if key[1] == family]
        unit = unit_rows(features[rows])
        cosine = np.triu(unit @ unit.T, 1)
        for a, b in np.argwhere(cosine > NEAR_DRAWING_SAME_LABELS):
            first, second = position[keys[rows[a]][0]], position[keys[rows[b]][0]]
            if cosine[a, b] > NEAR_DRAWING or labels[first] == labels[second]:
                pairs.add((first, second))
    joined = sorted(pairs)
    return join_groups(len(concepts), np.array(joined)), joined
