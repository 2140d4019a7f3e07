"""What `emoji` is made of before anything is encoded: concepts, drawings, labels and examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_scripts.emoji_concepts import Concept, open_packages, read_concepts
from data_scripts.emoji_drawings import choose_drawings, read_drawings
from data_scripts.emoji_words import choose_labels, keyword_sets
from data_scripts.images import Pixels


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
