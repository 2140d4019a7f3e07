"""Groups, splits and writing, as the rebuild scripts share them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_scripts.common import check_features, reflow, similar_pairs, split_quality
from mlcl_utils.data.splits import grouped_splits, join_groups


def test_groups_join_over_pairs_and_keys() -> None:
    groups = join_groups(7, [(0, 5)], ["a", "b", "c", "b", "d", "e", "f"], ["", "x", "", "y", "z", "w", "z2"])
    # 0-5 by the pair, 1-3 by the first key, 0-2 by the second: so 0, 2 and 5 are one.
    assert groups.tolist() == [0, 1, 0, 1, 2, 0, 3]
    assert join_groups(3, np.empty((0, 2))).tolist() == [0, 1, 2]


def test_similar_pairs_are_those_of_the_whole_matrix() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 3))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = np.argwhere(np.triu(unit @ unit.T > 0.9, k=1))
    pairs = similar_pairs(features, 0.9, block=16)
    assert len(expected) > 10
    assert sorted(map(tuple, pairs.tolist())) == sorted(map(tuple, expected.tolist()))


@pytest.fixture(scope="module")
def uneven() -> tuple[np.ndarray, np.ndarray]:
    """Labels that go with groups, groups of very different size."""
    generator = np.random.default_rng(3)
    sizes = np.concatenate([np.ones(500, int), np.full(120, 3), np.full(20, 12), [60]])
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    tendency = generator.normal(size=(len(sizes), 30)) - np.linspace(0.5, 2.5, 30)
    labels = (tendency[groups] + 0.5 * generator.normal(size=(len(groups), 30)) > 0).astype(np.int8)
    return labels, groups


def test_splits_balance_labels_better_than_chance(uneven: tuple[np.ndarray, np.ndarray]) -> None:
    labels, groups = uneven
    splits = grouped_splits(labels, groups, seed=0)
    generator = np.random.default_rng(0)
    by_chance = np.stack(
        [generator.choice(3, p=(0.7, 0.1, 0.2), size=groups.max() + 1)[groups] for _ in range(10)]
    )
    for split in splits:
        assert len(np.unique(np.column_stack([groups, split]), axis=0)) == len(np.unique(groups))
    quality, chance = split_quality(labels, splits), split_quality(labels, by_chance.astype(np.uint8))
    assert quality["examples_max_deviation"] < 0.01
    assert quality["label_mean_deviation"] < 0.4 * chance["label_mean_deviation"]


def test_small_parts_do_not_get_the_small_groups(uneven: tuple[np.ndarray, np.ndarray]) -> None:
    labels, groups = uneven
    several = np.bincount(groups)[groups] == 3
    for split in grouped_splits(labels, groups, seed=0):
        shares = [(split[several] == part).mean() for part in range(3)]
        assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.03)


def test_splits_depend_on_the_seed_alone(uneven: tuple[np.ndarray, np.ndarray]) -> None:
    labels, groups = uneven
    first = grouped_splits(labels, groups, seed=0)
    assert np.array_equal(first, grouped_splits(labels, groups, seed=0))
    assert not np.array_equal(first, grouped_splits(labels, groups, seed=1))
    assert len({split.tobytes() for split in first}) == 10


def test_reflow_leaves_headings_and_tables() -> None:
    text = "# A heading\n\none two\nthree\n- item with\nmore\n\n| a | table row that is long |\n"
    assert reflow(text, width=12) == (
        "# A heading\n\none two\nthree\n- item with\n  more\n\n| a | table row that is long |\n"
    )


def test_features_encoded_again_must_round_to_the_shipped(made: Path) -> None:
    # float32 features as an encoder gives them, before they were rounded for the file.
    generator = np.random.default_rng(0)
    generator.random((300, 12))
    generator.random((300, 12))
    features = generator.normal(size=(300, 8)).astype(np.float32)
    check_features(made / "debtags", 64, lambda chosen: features[chosen])
    features[:, 3] += 0.01
    with pytest.raises(SystemExit, match="debtags: features of 64 examples differ"):
        check_features(made / "debtags", 64, lambda chosen: features[chosen])
