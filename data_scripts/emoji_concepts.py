"""The packages that `emoji` is made from, and the concepts that the emoji in them are variants of."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

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
