"""The packages and tags that `debtags` is made from: read from the package index of Debian, and chosen."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LISTS = Path("/var/lib/apt/lists")
PACKAGES = "*_debian_dists_bookworm_main_binary-amd64_Packages.lz4"
TRANSLATIONS = "*_debian_dists_bookworm_main_i18n_Translation-en.lz4"
RELEASE = "*_debian_dists_bookworm_InRelease"
MINIMUM_TAGS = 4
MINIMUM_POSITIVES = 20
MINIMUM_GROUPS = 10
MAXIMUM_TAGS = 400
DUPLICATE_PHI = 0.95
DUPLICATE_COSINE = 0.95
# Placeholders left behind by a renaming: their text is about the renaming, their tags are about what was
# there.
PLACEHOLDER = re.compile(
    r"\b(transition\w*|transistional|tranisitonal|dummy)\b[ \w,-]{0,25}\b(meta)?package"
    r"|\bpackages? (is|are) (a )?(transitional|dummy)|\((transitional|dummy)\)|\btransitional placeholder",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Package:
    name: str
    source: str
    version: str
    title: str
    text: str
    tags: tuple[str, ...]


def listed(folder: Path, pattern: str) -> Path:
    """The package list of that name, whichever mirror it came from; the pattern itself if there is none."""
    return next(iter(sorted(folder.glob(pattern))), folder / pattern)


def bookkeeping(tag: str) -> bool:
    """Whether a tag says something about the tagging rather than about the package."""
    return tag.endswith("::TODO") or tag.startswith("special::")


def stanzas(path: Path) -> Iterator[dict[str, str]]:
    """Fields of every stanza of a Debian control file, which may be compressed as apt compresses its
    lists."""
    command = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.split("\n"):
            if line.startswith((" ", "\t")):
                fields[key] += "\n" + line[1:]
            elif line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
        if fields:
            yield fields


def unwrap(lines: Sequence[str]) -> str:
    """Paragraphs of a long description on one line each; lines set verbatim (indented) stay lines of their
    own."""
    paragraphs = [""]
    for line in lines:
        if line.strip() in ("", "."):
            paragraphs.append("")
        elif line.startswith((" ", "\t")):
            paragraphs[-1] += "\n" + line.strip()
        else:
            paragraphs[-1] += " " + re.sub(" {2,}", " ", line.strip())
    return "\n\n".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip())


def read_packages(packages: Path, translations: Path) -> list[Package]:
    """The tagged packages, sorted by name; of several versions of a package the last in the index counts."""
    descriptions = {entry["Description-md5"]: entry["Description-en"] for entry in stanzas(translations)}
    found: dict[str, Package] = {}
    for entry in stanzas(packages):
        if "Tag" not in entry:
            continue
        title, *lines = descriptions[entry["Description-md5"]].split("\n")
        found[entry["Package"]] = Package(
            name=entry["Package"],
            source=entry.get("Source", entry["Package"]).split()[0],
            version=entry["Version"],
            title=title.strip(),
            text=unwrap(lines),
            tags=tuple(sorted({tag.strip() for tag in entry["Tag"].split(",")})),
        )
    return [found[name] for name in sorted(found)]


def release(packages_file: Path) -> str:
    """What the package index is: its SHA-256 once decompressed, and the archive's release if apt knows it."""
    command = ["/usr/lib/apt/apt-helper", "cat-file", str(packages_file)]
    digest = hashlib.sha256(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest()
    inrelease = listed(packages_file.parent, RELEASE)
    found = (
        re.search(r"^Version: (\S+)$", inrelease.read_text(), re.MULTILINE) if inrelease.exists() else None
    )
    return f"Debian {found.group(1) if found else 'of unknown release'}, index SHA-256 `{digest}`"


def duplicate_tags(labels: npt.NDArray[np.int8], minimum: int = 2) -> dict[int, tuple[int, float]]:
    """Tags that duplicate a more frequent one: position -> (position of the one kept, phi between them)."""
    positive = labels.astype(np.float64)
    order = np.argsort(-positive.sum(axis=0), kind="stable")
    order = order[positive.sum(axis=0)[order] >= minimum]
    phi = np.corrcoef(positive[:, order].T)
    kept: list[int] = []
    dropped: dict[int, tuple[int, float]] = {}
    for position in range(len(order)):
        twins = [k for k in kept if phi[position, k] > DUPLICATE_PHI]
        if twins:
            dropped[int(order[position])] = (int(order[twins[0]]), float(phi[position, twins[0]]))
        else:
            kept.append(position)
    return dropped


def label_matrix(packages: Sequence[Package], tags: Sequence[str]) -> npt.NDArray[np.int8]:
    """int8 (packages, tags), 1 where a package carries a tag."""
    position = {tag: i for i, tag in enumerate(tags)}
    labels = np.zeros((len(packages), len(tags)), dtype=np.int8)
    for row, package in enumerate(packages):
        labels[row, [position[tag] for tag in package.tags if tag in position]] = 1
    return labels


def select(packages: list[Package], facts: dict[str, Any]) -> tuple[list[Package], list[str]]:
    """Packages and tags that make the data set; what was left out and why goes into `facts`."""

    def enough(chosen: Sequence[Package], ignored: frozenset[str]) -> list[Package]:
        return [
            package
            for package in chosen
            if sum(not bookkeeping(tag) and tag not in ignored for tag in package.tags) >= MINIMUM_TAGS
        ]

    facts["tagged"] = len(packages)
    tagged = enough(packages, frozenset())
    facts["four_tags"] = len(tagged)
    facts["bookkeeping"] = sum(bookkeeping(tag) for package in tagged for tag in package.tags)
    facts["todo_packages"] = sum(any(bookkeeping(tag) for tag in package.tags) for package in tagged)
    real = [package for package in tagged if not PLACEHOLDER.search(f"{package.title}\n{package.text}")]
    facts["placeholders"] = len(tagged) - len(real)
    tags = sorted({tag for package in real for tag in package.tags if not bookkeeping(tag)})
    facts["tags_seen"] = len(tags)
    labels = label_matrix(real, tags)
    duplicates = duplicate_tags(labels, minimum=MINIMUM_POSITIVES)
    facts["duplicates"] = {tags[i]: (tags[k], phi) for i, (k, phi) in duplicates.items()}
    chosen = enough(real, frozenset(tags[i] for i in duplicates))
    facts["below_four_without_duplicates"] = len(real) - len(chosen)
    counts = Counter(tag for package in chosen for tag in package.tags)
    frequent = [tag for i, tag in enumerate(tags) if i not in duplicates and counts[tag] >= MINIMUM_POSITIVES]
    facts["tags_rare"] = len(tags) - len(duplicates) - len(frequent)
    return chosen, sorted(frequent, key=lambda tag: (-counts[tag], tag))
