"""What `fashion-scenes` promises beyond what every shipped set does."""

from __future__ import annotations

import numpy as np
import pytest

from data_scripts.common import similar_pairs
from data_scripts.fashion_scenes import CANVAS, CLASSES, ITEM, ITEM_COUNTS, NEAR_ITEM, Scene, Stock, paint
from mlcl_utils import data


@pytest.fixture(scope="module")
def scenes() -> data.Dataset:
    return data.load("fashion-scenes")


@pytest.fixture(scope="module")
def items(scenes: data.Dataset) -> list[list[int]]:
    return [[int(item) for item in text.split()] for text in scenes.column("items")]


def test_no_item_is_used_twice(items: list[list[int]]) -> None:
    # So in every split the parts come from disjoint parts of Fashion-MNIST.
    used = [item for scene in items for item in scene]
    assert len(set(used)) == len(used)
    assert 0 <= min(used) < max(used) < 70_000


def test_scenes_have_one_to_four_items_and_a_label_for_each_class(
    scenes: data.Dataset, items: list[list[int]]
) -> None:
    counts = np.array([len(scene) for scene in items])
    labels = (scenes.labels == 1).sum(axis=1)
    assert set(counts) == {1, 2, 3, 4}
    assert (labels >= 1).all()
    assert (labels <= counts).all()
    assert (labels == counts).mean() > 0.9
    assert scenes.label_names == CLASSES
    assert set(np.unique(scenes.labels)) == {0, 1}


def test_labels_are_frequent_but_neither_even_nor_independent(scenes: data.Dataset) -> None:
    positive = scenes.labels == 1
    frequency = positive.mean(axis=0)
    assert frequency.min() > 0.1
    assert frequency.max() > 2 * frequency.min()
    correlation = np.corrcoef(positive.T)[np.triu_indices(10, 1)]
    assert correlation.max() > 0.2
    assert correlation.min() < -0.2
    # Every pair of classes occurs, so that no label rules another out.
    assert (positive.T.astype(int) @ positive > 0).all()


def test_images_show_as_much_as_the_scene_holds(scenes: data.Dataset, items: list[list[int]]) -> None:
    images = scenes.images()
    assert images.shape == (len(scenes), CANVAS, CANVAS)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    lit = (images > 0).reshape(len(images), -1).sum(axis=1)
    assert lit.min() > 50
    counts = np.array([len(scene) for scene in items])
    medians = [np.median(lit[counts == n]) for n in ITEM_COUNTS]
    assert medians == sorted(medians)
    assert (lit <= counts * ITEM * ITEM).all()


def test_no_two_scenes_are_near_duplicates(scenes: data.Dataset) -> None:
    pixels = scenes.images().reshape(len(scenes), -1)
    assert len(similar_pairs(pixels, 0.99)) == 0


def test_painting_by_hand() -> None:
    items = np.zeros((2, ITEM, ITEM), dtype=np.uint8)
    items[0, 0, 0] = 10
    items[1, :, :2] = 7
    scene = Scene("", items=(0, 1), classes=(0, 1), corners=((3, 4), (0, 5)), mirrored=(True, False))
    canvas = paint(scene, items)
    expected = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    expected[:ITEM, 5:7] = 7
    expected[3, 4 + ITEM - 1] = 10
    assert np.array_equal(canvas, expected)


def test_stock_passes_over_what_looks_like_an_item_handed_out() -> None:
    generator = np.random.default_rng(0)
    base = generator.integers(1, 255, size=(2, ITEM, ITEM)).astype(np.uint8)
    nearly = base[0].copy()
    nearly[0, 0] += 1
    items = np.stack([base[0], base[0][:, ::-1], nearly, base[1] // 200])
    stock = Stock(items, np.zeros(4, dtype=np.uint8), generator)
    first, second = stock.take(0), stock.take(0)
    assert {first, second} & {0, 1, 2}
    assert 3 in (first, second)
    pixels = items[[first, second]].reshape(2, -1).astype(np.float32)
    assert len(similar_pairs(pixels, NEAR_ITEM)) == 0
    with pytest.raises(IndexError):
        stock.take(0)
