"""What every set that ships promises, and what `debtags` promises beyond."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from data_scripts.common import similar_pairs, split_quality
from mlcl_utils import data
from mlcl_utils.data import dataset as stored
from mlcl_utils.data.debtags import name_matching_scores, names_in_texts, words
from mlcl_utils.data.registry import folder

BUDGET_MB = {"debtags": 22, "emoji": 28, "fashion-scenes": 16}


@pytest.fixture(scope="session", params=data.names())
def shipped(request: pytest.FixtureRequest) -> data.Dataset:
    return data.load(request.param)


def test_no_group_crosses_a_split(shipped: data.Dataset) -> None:
    groups = len(np.unique(shipped.groups))
    assert shipped.splits.shape == (10, len(shipped))
    for split in shipped.splits:
        assert len(np.unique(np.column_stack([shipped.groups, split]), axis=0)) == groups
    assert len({split.tobytes() for split in shipped.splits}) == 10


def test_splits_are_stratified(shipped: data.Dataset) -> None:
    quality = split_quality(shipped.labels, shipped.splits, minimum=20)
    assert quality["examples_max_deviation"] < 0.02
    assert quality["label_mean_deviation"] < 0.02
    assert quality["min_positives_train"] >= 10
    assert quality["min_positives_validation"] >= 1
    assert quality["min_positives_test"] >= 1


def test_files_keep_to_their_budget(shipped: data.Dataset) -> None:
    sizes = [file.stat().st_size for file in folder(shipped.name).iterdir()]
    assert sum(sizes) < BUDGET_MB[shipped.name] * 1e6
    assert max(sizes) < 16e6


def test_card_has_the_numbers_of_the_data(shipped: data.Dataset) -> None:
    # Numbers may be written with a thousands separator.
    numbers = set(re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d{3})", "", shipped.card)))
    assert {str(len(shipped)), str(len(shipped.label_names))} <= numbers
    assert "licence" in shipped.card.lower()


def test_features_are_finite_and_differ(shipped: data.Dataset) -> None:
    features = shipped.features.astype(np.float32)
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.95


# --------------------------------------------------------------------------------------------------------- debtags


def test_debtags_has_no_near_duplicates_across_parts(debtags: data.Dataset) -> None:
    pairs = similar_pairs(debtags.features, 0.95)
    assert len(pairs) > 100
    for split in debtags.splits:
        assert np.array_equal(split[pairs[:, 0]], split[pairs[:, 1]])


def test_debtags_keeps_source_packages_and_equal_texts_together(debtags: data.Dataset) -> None:
    for key in (debtags.column("source"), debtags.texts()):
        group_of: dict[str, int] = {}
        for value, group in zip(key, debtags.groups, strict=True):
            assert group_of.setdefault(value, group) == group


def test_debtags_labels_are_the_published_tags(debtags: data.Dataset) -> None:
    position = {name: i for i, name in enumerate(debtags.label_names)}
    expected = np.zeros_like(debtags.labels)
    for row, tags in enumerate(debtags.column("tags")):
        for tag in tags.split(", "):
            if tag in position:
                expected[row, position[tag]] = 1
    assert np.array_equal(debtags.labels, expected)
    assert len(debtags.label_names) <= 400
    assert not [name for name in position if name.endswith("::TODO") or name.startswith("special::")]
    assert debtags.labels.sum(axis=0).min() >= 20
    phi = np.corrcoef(debtags.labels.T.astype(np.float64))
    np.fill_diagonal(phi, 0)
    assert phi.max() <= 0.95


def test_debtags_named_positives_follow_the_rule(debtags: data.Dataset) -> None:
    rows = np.arange(0, len(debtags), 5)
    texts = debtags.texts()
    spoken = names_in_texts([texts[row] for row in rows], debtags.label_names)
    assert debtags.named is not None
    assert np.array_equal(debtags.named[rows], spoken & (debtags.labels[rows] == 1))
    assert 0.2 < debtags.named.sum() / (debtags.labels == 1).sum() < 0.35


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a library in C for images", {"c", "image"}),
        ("bindings for C++ and c++11", {"c++"}),
        ("written in C++", {"c++"}),
        ("C/C++ headers", {"c", "c++"}),
        ("Objective-C runtime, e.g. for cdrom; don't", set()),
        ("vitamin c", set()),
        ("GTK+ widgets", {"gtk"}),
        ("raster images", {"raster", "image"}),
        ("an Image Raster tool", {"raster", "image"}),
        ("rasterise imagery", set()),
        ("text-formatting and text formatting", {"text formatting"}),
        ("text  \nformatting.", {"text formatting"}),
        ("formatting of text", set()),
        ("written in C#.", {"c#"}),
    ],
)
def test_naming_rule(text: str, named: set[str]) -> None:
    tags = {
        "c": "implemented-in::c",
        "c++": "implemented-in::c++",
        "gtk": "uitoolkit::gtk",
        "raster": "works-with::image:raster",
        "image": "works-with::image",
        "text formatting": "use::text-formatting",
        "c#": "implemented-in::c-sharp",
    }
    found = names_in_texts([text], list(tags.values()))[0]
    assert {name for name, hit in zip(tags, found, strict=True) if hit} == named


def test_words_of_a_text() -> None:
    assert list(words("Fonts, GTK+ & C")) == [("fonts", "font"), ("gtk+", "gtk"), ("c",)]


def test_name_matching_scores_title_above_text(made: Path) -> None:
    dataset = dataclasses.replace(
        stored.read(made / "debtags"), label_names=("a::title", "a::of", "a::absent")
    )
    scores = name_matching_scores(dataset)
    assert scores.dtype == np.float32
    assert scores[1].tolist() == [2.0, 1.0, 0.0]
