"""Tasks of two data sets made alike in examples, labels, cardinality and label frequencies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.data import matching
from mlcl_utils.errors import UsageError

PAIRS = [("debtags", "emoji", 30), ("debtags", "fashion-scenes", 10)]


@pytest.mark.parametrize(("first", "second", "k"), PAIRS)
@pytest.mark.parametrize("replicate", [0, 3])
def test_both_have_as_many_examples_and_positives_of_each_rank(first, second, k, replicate):
    one = data.matched_task(first, second, num_labels=k, replicate=replicate)
    other = data.matched_task(second, first, num_labels=k, replicate=replicate)
    assert (one.name, other.name) == (first, second)
    for part in matching.PARTS:
        mine, theirs = getattr(one, part).labels == 1, getattr(other, part).labels == 1
        assert mine.shape == theirs.shape
        assert mine.any(axis=1).all()
        assert theirs.any(axis=1).all()
        assert np.abs(mine.sum(axis=0) - theirs.sum(axis=0)).max() <= 2
        assert abs(mine.sum() - theirs.sum()) / len(mine) < 0.02
    # worth something: most of the smaller set is used
    available = min(len(data.task(name, num_labels=k, replicate=replicate).train) for name in (first, second))
    assert len(one.train) > 0.5 * available
    np.testing.assert_array_equal(one.frequency, (one.train.labels == 1).sum(axis=0))


def test_what_is_matched_is_cut_from_the_stored_splits():
    task = data.matched_task("debtags", "emoji", num_labels=20, replicate=2)
    dataset = data.load("debtags")
    for number, part in enumerate(matching.PARTS):
        own = getattr(task, part)
        assert (dataset.splits[2][own.index] == number).all()
        assert len(np.unique(own.index)) == len(own)
        np.testing.assert_array_equal(own.labels, dataset.labels[np.ix_(own.index, task.label_index)])
        np.testing.assert_array_equal(own.features, dataset.features[own.index].astype(np.float32))
        np.testing.assert_array_equal(own.named, dataset.named[np.ix_(own.index, task.label_index)])
    assert [dataset.label_names[at] for at in task.label_index] == list(task.label_names)
    assert len(set(task.label_names)) == 20


def test_the_choice_is_fixed_by_the_replicate():
    again = matching._matched.__wrapped__  # without the cache
    first, second = data.load("debtags"), data.load("emoji")
    one, same, other = (again(first, second, 15, replicate)[0] for replicate in (0, 0, 1))
    np.testing.assert_array_equal(one.train.index, same.train.index)
    assert not np.array_equal(one.train.index, other.train.index)


def test_labels_correspond_by_nearest_frequency_without_repetition():
    # the sparser set gives its most frequent labels, the other one the nearest to each by ratio
    one, other = matching._corresponding(np.array([1000, 500, 90, 70, 5]), np.array([100, 80, 6]), 3)
    assert other.tolist() == [0, 1, 2]
    assert one.tolist() == [2, 3, 4]
    swapped = matching._corresponding(np.array([100, 80, 6]), np.array([1000, 500, 90, 70, 5]), 3)
    assert [each.tolist() for each in swapped] == [[0, 1, 2], [2, 3, 4]]
    one, _ = matching._corresponding(np.array([500, 100, 50]), np.array([100, 99, 98]), 3)
    assert sorted(one.tolist()) == [0, 1, 2]


def test_the_subsets_are_the_largest_by_brute_force():
    rng = np.random.default_rng(3)
    for _ in range(5):
        first, second = (rng.random((7, 2)) < 0.5 for _ in range(2))
        one, two = matching._largest_alike(first, second, rng)
        assert len(one) == len(two)
        found = [subset_sums(each) for each in (first, second)]
        largest = max(size for size, sums in found[0] if (size, sums) in found[1])
        # rounding may cost one example, and may not gain any where counts agree
        assert abs(len(one) - largest) <= 1
        assert np.abs(first[one].sum(axis=0) - second[two].sum(axis=0)).max() <= 1


def subset_sums(indicator):
    rows = [row for row in range(len(indicator)) if indicator[row].any()]
    return {
        (size, tuple(indicator[list(chosen)].sum(axis=0).tolist()))
        for size in range(len(rows) + 1)
        for chosen in itertools.combinations(rows, size)
    }


def test_what_cannot_be_matched_is_refused(monkeypatch):
    with pytest.raises(UsageError, match="a data set is matched to another one"):
        data.matched_task("emoji", "emoji", num_labels=10)
    with pytest.raises(UsageError, match="fashion-scenes has 10 labels"):
        data.matched_task("debtags", "fashion-scenes", num_labels=11)
    monkeypatch.setattr(matching, "FEWEST", 1000)
    matching._matched.cache_clear()  # another test may have matched these already
    with pytest.raises(UsageError, match="ask for fewer labels"):
        data.matched_task("emoji", "debtags", num_labels=12)
