"""What `emoji` promises beyond what every shipped set does."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from data_scripts.common import similar_pairs
from data_scripts.emoji_concepts import Concept, base_code
from data_scripts.emoji_drawings import BAD_DRAWINGS, group_concepts
from data_scripts.emoji_words import choose_labels, keyword_sets
from mlcl_utils import data
from mlcl_utils.data.emoji import FAMILIES, drawing_family, leave_family_out
from mlcl_utils.errors import UsageError


@pytest.fixture(scope="module")
def emoji() -> data.Dataset:
    return data.load("emoji")


@pytest.fixture(scope="module")
def images(emoji: data.Dataset) -> np.ndarray:
    return emoji.images()


def test_drawings_of_one_concept_stay_together(emoji: data.Dataset) -> None:
    group_of: dict[str, int] = {}
    labels_of: dict[str, bytes] = {}
    for name, group, labels in zip(emoji.column("concept"), emoji.groups, emoji.labels, strict=True):
        assert group_of.setdefault(name, group) == group
        assert labels_of.setdefault(name, labels.tobytes()) == labels.tobytes()
    assert len(group_of) > 1400


def test_same_pixels_never_cross_a_split(emoji: data.Dataset, images: np.ndarray) -> None:
    first: dict[str, int] = {}
    same = 0
    for example, image in enumerate(images):
        other = first.setdefault(hashlib.sha256(image.tobytes()).hexdigest(), example)
        same += other != example
        assert (emoji.splits[:, other] == emoji.splits[:, example]).all()
    assert same < 0.01 * len(emoji)


def test_near_duplicate_drawings_of_a_family_never_cross_a_split(emoji: data.Dataset) -> None:
    families = drawing_family(emoji)
    found = 0
    for family in range(len(FAMILIES)):
        rows = np.flatnonzero(families == family)
        # Slightly above the bound of the card: what ships is rounded to float16.
        pairs = rows[similar_pairs(emoji.features[rows], 0.9705)]
        found += len(pairs)
        assert (emoji.groups[pairs[:, 0]] == emoji.groups[pairs[:, 1]]).all()
    assert found > 20


def test_labels_have_ten_concepts_each(emoji: data.Dataset) -> None:
    concepts = np.unique(np.array(emoji.column("concept")), return_index=True)[1]
    positives = (emoji.labels[concepts] == 1).sum(axis=0)
    assert positives.min() >= 10
    assert 100 <= len(emoji.label_names) <= 160
    assert list(positives) == sorted(positives, reverse=True)
    assert (emoji.labels == 1).any(axis=1).all()
    phi = np.corrcoef(emoji.labels[concepts].T.astype(np.float64))
    np.fill_diagonal(phi, 0)
    assert phi.max() <= 0.95


@pytest.mark.parametrize("replicate", range(10))
def test_a_hundred_labels_have_training_positives_among_the_examples_of_the_first_ten(
    emoji: data.Dataset, replicate: int
) -> None:
    task = data.task(emoji, num_labels=100, base_labels=10, replicate=replicate)
    assert (task.train.labels == 1).sum(axis=0).min() >= 1


@pytest.mark.parametrize(
    ("concept", "label", "expected"),
    [
        ("banana", "food", True),
        ("banana", "fruit", True),
        ("red heart", "heart", True),
        ("soccer ball", "sport", True),
        ("taxi", "car", True),
        ("light rail", "light", False),
        ("hot dog", "animal", False),
        ("hot dog", "food", True),
        ("flag: Norway", "flag", True),
        ("farmer", "person", True),
        ("farmer", "building", False),
    ],
)
def test_known_concepts(emoji: data.Dataset, concept: str, label: str, expected: bool) -> None:
    rows = [row for row, name in enumerate(emoji.column("concept")) if name == concept]
    assert len(rows) >= 1
    column = emoji.label_names.index(label)
    assert set(emoji.labels[rows, column]) == {int(expected)}


def test_images_are_drawings_on_white(images: np.ndarray, emoji: data.Dataset) -> None:
    assert images.shape == (len(emoji), 64, 64, 3)
    spread = images.reshape(len(images), -1).astype(np.float32).std(axis=1)
    assert spread.min() > 8  # the faintest: small light grey squares that stand for white ones
    # Corners are white unless the drawing fills its square.
    assert (images[:, 0, 0] == 255).all(axis=1).mean() > 0.9


def test_bad_drawings_and_second_drawings_of_flags_are_left_out(emoji: data.Dataset) -> None:
    pairs = list(zip(emoji.column("concept"), emoji.column("family"), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert not set(BAD_DRAWINGS) & set(pairs)
    flags = [pair for pair in pairs if pair[0].startswith("flag: ")]
    assert len({name for name, _ in flags}) == len(flags)
    assert "fluent" not in {family for _, family in flags}
    assert {family for _, family in pairs} == set(FAMILIES)
    assert [id.split("-")[-1] for id in emoji.ids] == [family for _, family in pairs]


def test_leaving_a_family_out(emoji: data.Dataset) -> None:
    task = data.task(emoji, num_labels=20, replicate=3)
    families = drawing_family(emoji)
    without = leave_family_out(task, emoji, "fluent")
    fluent = FAMILIES.index("fluent")
    for part in (without.train, without.validation):
        assert set(families[part.index]) == {0, 1, 2}
    assert set(families[without.test.index]) == {fluent}
    assert np.array_equal(without.test.features, emoji.features[without.test.index].astype(np.float32))
    kept = np.isin(task.test.index, without.test.index)
    assert np.array_equal(without.test.labels, task.test.labels[kept])
    assert 0.15 < kept.mean() < 0.35
    assert not set(without.test.groups) & set(without.train.groups)
    assert without.label_names == task.label_names
    with pytest.raises(UsageError, match="drawing family 'flunt'; did you mean 'fluent'"):
        leave_family_out(task, emoji, "flunt")


# ----------------------------------------------------------------------------------------------- rules of the script


@pytest.mark.parametrize(
    ("code", "base"),
    [
        ("1F600", "1F600"),
        ("1F468-200D-1F33E", "1F9D1-200D-1F33E"),  # man farmer
        ("1F469-1F3FD-200D-1F680", "1F9D1-200D-1F680"),  # woman astronaut, medium skin
        ("1F3C3-200D-2640-FE0F-200D-27A1-FE0F", "1F3C3"),  # woman running, facing right
        ("1F9D1-200D-1F9BD-200D-27A1-FE0F", "1F9D1-200D-1F9BD"),  # manual wheelchair, facing right
        ("1F469-200D-1F9B0", "1F9D1"),  # woman, red hair
        ("1F475", "1F9D3"),  # old woman
        ("1F567", "1F550"),  # twelve-thirty
        ("0023-FE0F-20E3", "0031-20E3"),  # keycap #
        ("1F51F", "0031-20E3"),  # keycap 10
        ("2B07-FE0F", "27A1"),  # down arrow
        ("1F468-200D-1F469-200D-1F467-200D-1F466", "1F46A"),  # family
        ("1F469-200D-2764-FE0F-200D-1F48B-200D-1F468", "1F48F"),  # kiss
        ("1F48B", "1F48B"),  # kiss mark
        ("1F468-200D-2764-FE0F-200D-1F468", "1F491"),  # couple with heart
        ("2764-FE0F-200D-1F525", "2764-200D-1F525"),  # heart on fire
        ("2764-FE0F", "2764"),
        ("1F1F3-1F1F4", "1F1F3-1F1F4"),  # flag: Norway
    ],
)
def test_base_concept(code: str, base: str) -> None:
    assert base_code(code) == base
    assert base_code(base) == base


def test_keywords_are_joined_completed_and_freed_of_what_is_not_drawn() -> None:
    kittens = Concept("1", "two kittens", "animal-mammal", ("cats", "cat", "puppy"))
    rail = Concept("2", "light rail", "transport-ground", ("arrived",))
    norway = Concept("3", "flag: Norway", "country-flag", ("NO", "flag"))
    found = keyword_sets([kittens, rail, norway])
    # The plural of a word that occurs is that word; kitten is not there, so kittens stays.
    assert found[0] == {"two", "kittens", "cat", "pet", "animal"}
    assert found[1] == {"train", "arrived", "vehicle"}
    assert found[2] == {"flag"}


def test_labels_are_frequent_keywords_without_duplicates() -> None:
    keywords = [{"a", "b", "omg"} for _ in range(12)] + [{"c"} for _ in range(10)] + [{"d"} for _ in range(9)]
    assert choose_labels(keywords) == (["a", "c"], [("b", "a")])


def test_concepts_are_joined_by_near_drawings_of_one_family() -> None:
    concepts = [Concept(str(i), f"concept {i}", "", ()) for i in range(5)]
    labels = [frozenset({"x"}), frozenset({"y"}), frozenset({"x"}), frozenset({"x"}), frozenset({"y"})]

    def at(cosine: float) -> list[float]:
        return [cosine, float(np.sqrt(1 - cosine**2)), 0.0]

    keys = [("0", "noto"), ("1", "noto"), ("2", "noto"), ("3", "noto"), ("0", "fluent"), ("4", "openmoji")]
    features = np.array([[1, 0, 0], at(0.96), at(-0.5), [0, 0, 1], [0, 1, 0], [0, 1, 0]], dtype=np.float32)
    # Near, but other labels; the last two are equal, but of different families.
    groups, pairs = group_concepts(concepts, labels, keys, features)
    assert groups.tolist() == [0, 1, 2, 3, 4]
    assert pairs == []
    features[2] = at(0.96)
    features[3] = [-1, 0, 0]
    groups, pairs = group_concepts(concepts, labels, keys, features)
    # 1 and 2 are drawn alike altogether, 0 and 2 nearly and have the same label.
    assert groups.tolist() == [0, 0, 0, 1, 2]
    assert pairs == [(0, 2), (1, 2)]
