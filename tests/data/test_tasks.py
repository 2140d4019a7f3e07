from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.data import dataset as stored
from mlcl_utils.errors import UsageError


@pytest.fixture
def small(made: Path) -> data.Dataset:
    return stored.read(made / "debtags")


def test_parts_are_the_stored_split(small: data.Dataset) -> None:
    task = data.task(small, num_labels=12, replicate=3)
    for number, part in enumerate((task.train, task.validation, task.test)):
        assert np.array_equal(part.index, np.flatnonzero(small.splits[3] == number))
        assert np.array_equal(part.features, small.features[part.index].astype(np.float32))
        assert np.array_equal(part.labels, small.labels[part.index][:, task.label_index])
        assert np.array_equal(part.groups, small.groups[part.index])
        assert part.named is not None
        assert small.named is not None
        assert np.array_equal(part.named, small.named[part.index][:, task.label_index])
        assert part.features.dtype == np.float32
        assert part.labels.dtype == np.int8


def test_labels_are_the_most_frequent_of_the_examples_used(small: data.Dataset) -> None:
    task = data.task(small, num_labels=5, base_labels=2, replicate=1)
    train = small.splits[1] == 0
    base = np.argsort(-(small.labels[train] == 1).sum(axis=0), kind="stable")[:2]
    used = (small.labels[:, base] == 1).any(axis=1)
    counts = (small.labels[train & used] == 1).sum(axis=0)
    assert set(task.label_index[:2]) == set(base)
    assert np.array_equal(task.frequency, np.sort(counts)[::-1][:5])
    assert np.array_equal(task.frequency, (task.train.labels == 1).sum(axis=0))
    index = np.concatenate([task.train.index, task.validation.index, task.test.index])
    assert np.array_equal(np.sort(index), np.flatnonzero(used))
    assert task.label_names == tuple(small.label_names[i] for i in task.label_index)


def test_without_base_labels_every_example_is_used_the_unlabelled_too(small: data.Dataset):
    some = data.task(small, num_labels=2, replicate=1)
    every = data.task(small, num_labels=2, base_labels=0, replicate=1)
    parts = [(getattr(some, name), getattr(every, name)) for name in ("train", "validation", "test")]
    assert sum(len(part) for _, part in parts) == len(small)
    assert some.label_names == every.label_names
    for part, whole in parts:
        rest = ~np.isin(whole.index, part.index)
        assert set(part.index) <= set(whole.index)
        assert not (whole.labels[rest] == 1).any()
    assert sum(len(part) for part, _ in parts) < len(small)


def test_a_sweep_keeps_examples_and_nests_labels(debtags: data.Dataset) -> None:
    tasks = [data.task(debtags, num_labels=k, base_labels=10, replicate=2) for k in (10, 30, 100, 300)]
    for smaller, larger in itertools.pairwise(tasks):
        assert larger.label_names[: len(smaller.label_names)] == smaller.label_names
        for part in ("train", "validation", "test"):
            assert np.array_equal(getattr(smaller, part).index, getattr(larger, part).index)
    assert all((task.train.labels == 1).any(axis=1).all() for task in tasks)
    assert all(np.all(np.diff(task.frequency) <= 0) for task in tasks)


def test_training_fractions_are_nested_groups(debtags: data.Dataset) -> None:
    full = data.task(debtags, num_labels=100, base_labels=10, replicate=4)
    last = np.array([], dtype=np.int64)
    for fraction in (0.05, 0.1, 0.25, 0.5, 1.0):
        task = data.task(debtags, num_labels=100, base_labels=10, replicate=4, train_fraction=fraction)
        assert np.isin(last, task.train.index).all()
        last = task.train.index
        # Whole groups: none of the examples left out shares a group with one that is in.
        left = np.setdiff1d(full.train.index, last)
        assert not np.isin(debtags.groups[left], debtags.groups[last]).any()
        assert len(last) / len(full.train) == pytest.approx(fraction, abs=0.02)
        # Labels and the other parts do not depend on the fraction.
        assert task.label_names == full.label_names
        assert np.array_equal(task.frequency, full.frequency)
        assert np.array_equal(task.test.index, full.test.index)
    assert len(last) == len(full.train)


def test_tasks_are_deterministic_and_replicates_differ(small: data.Dataset) -> None:
    first, again = (data.task(small, num_labels=6, train_fraction=0.5, replicate=1) for _ in range(2))
    other = data.task(small, num_labels=6, train_fraction=0.5, replicate=2)
    assert np.array_equal(first.train.index, again.train.index)
    assert not np.array_equal(first.train.index, other.train.index)


def test_drawn_labels_have_matched_frequency(debtags: data.Dataset) -> None:
    def drawn(k: int, draw: int) -> data.Task:
        return data.task(debtags, num_labels=k, base_labels=10, label_draw=draw, label_pool=300)

    pool = data.task(debtags, num_labels=300, base_labels=10)
    assert drawn(300, 0).label_names == pool.label_names
    for k in (10, 30, 100):
        draws = [drawn(k, draw) for draw in range(3)]
        assert len({task.label_names for task in draws}) == 3
        for task in draws:
            rank = np.array([pool.label_names.index(name) for name in task.label_names])
            # One label of each run of 300 / k ranks.
            assert np.array_equal(rank // (300 // k), np.arange(k))
            assert np.array_equal(task.train.index, pool.train.index)
    assert drawn(10, 1).label_names == drawn(10, 1).label_names


def test_bands_are_cut_at_counts(debtags: data.Dataset) -> None:
    task = data.task(debtags, num_labels=300, base_labels=10)
    bands = task.bands()
    assert np.array_equal(np.concatenate([bands["head"], bands["medium"], bands["tail"]]), np.arange(300))
    assert task.frequency[bands["head"]].min() >= 200
    assert task.frequency[bands["medium"]].max() < 200
    assert task.frequency[bands["medium"]].min() >= 50
    assert task.frequency[bands["tail"]].max() < 50
    few = data.task(debtags, num_labels=300, base_labels=10, train_fraction=0.05).bands()
    assert all(np.array_equal(few[name], bands[name]) for name in bands)


def test_description_counts_by_hand(small: data.Dataset) -> None:
    task = data.task(small, num_labels=4, base_labels=4, replicate=0)
    shown = task.describe(batch_size=16)
    labels = task.train.labels.astype(int)
    assert shown["examples_train"] == len(labels)
    assert shown["cardinality"] == pytest.approx(labels.sum() / len(labels))
    assert shown["density"] == pytest.approx(labels.mean())
    assert shown["positives_per_batch"] == pytest.approx(16 * labels.sum() / len(labels))
    assert shown["min_positives_test"] == min(int(column.sum()) for column in task.test.labels.T)
    sharing = sum(
        int((labels[i] & labels[j]).any()) for i in range(len(labels)) for j in range(len(labels)) if i != j
    )
    assert shown["partners_per_anchor"] == pytest.approx(15 * sharing / (len(labels) * (len(labels) - 1)))
    assert shown["labels_head"] + shown["labels_medium"] + shown["labels_tail"] == 4


@pytest.mark.parametrize(("number", "name"), list(enumerate(("training", "validation", "test"))))
def test_a_part_without_an_example_is_refused(small: data.Dataset, number: int, name: str) -> None:
    rare = [11]
    unlabelled = small.labels.copy()
    unlabelled[np.ix_(small.splits[2] == number, rare)] = 0
    with pytest.raises(UsageError) as refusal:
        data.task(
            dataclasses.replace(small, labels=unlabelled[:, rare], label_names=("tag",), named=None),
            num_labels=1,
            replicate=2,
        )
    assert str(refusal.value) == (
        f"replicate=2: no example in the {name} part of debtags has one of the 1 labels;"
        " ask for more labels, or bring more examples that have one"
    )


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"num_labels": 0}, "num_labels=0"),
        ({"num_labels": 13}, "num_labels=13"),
        ({"num_labels": 5, "base_labels": 6}, "base_labels=6"),
        ({"num_labels": 5, "base_labels": -1}, "base_labels=-1"),
        ({"num_labels": 5, "replicate": 10}, "replicate=10"),
        ({"num_labels": 5, "replicate": -1}, "replicate=-1"),
        ({"num_labels": 5, "train_fraction": 0.0}, "train_fraction=0.0"),
        ({"num_labels": 5, "train_fraction": 1.5}, "train_fraction=1.5"),
        ({"num_labels": 5, "label_draw": 0}, "label_pool"),
        ({"num_labels": 5, "label_draw": 0, "label_pool": 4}, "label_pool=4"),
        ({"num_labels": 5, "label_draw": -1, "label_pool": 8}, "label_draw=-1"),
    ],
)
def test_numbers_out_of_range_are_named(small: data.Dataset, given: dict[str, float], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        data.task(small, **given)  # type: ignore[arg-type]
