"""Positives that are lost: nested, seeded, the truth kept beside."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.errors import UsageError


@pytest.fixture(scope="module")
def whole() -> data.Task:
    return data.task("fashion-scenes", num_labels=10, base_labels=10, replicate=1)


def kept(task: data.Task) -> np.ndarray:
    return task.train.labels == 1


def test_only_positives_are_lost_and_the_truth_stands_beside(whole: data.Task) -> None:
    task = data.lose_positives(whole, kept_share=0.4, seed=1)
    for part, before in ((task.train, whole.train), (task.validation, whole.validation)):
        assert part.truth is not None
        assert np.array_equal(part.truth, before.labels)
        assert np.array_equal(part.labels[before.labels != 1], before.labels[before.labels != 1])
        assert set(np.unique(part.labels[before.labels == 1])) == {-1, 1}
        lost = (before.labels == 1) & (part.labels == -1)
        assert np.array_equal(part.apparent, np.where(lost, 0, before.labels))
        assert part.labels.dtype == part.apparent.dtype == np.int8
    assert task.test is whole.test
    assert task.test.apparent is task.test.labels
    assert np.array_equal(task.frequency, whole.frequency)
    share = kept(task).sum() / kept(whole).sum()
    # 6,600 positives: four standard errors
    assert share == pytest.approx(0.4, abs=4 * (0.24 / kept(whole).sum()) ** 0.5)


def test_smaller_shares_are_subsets_and_seeds_matter(whole: data.Task) -> None:
    shares = [kept(data.lose_positives(whole, kept_share=share, seed=1)) for share in (0.2, 0.4, 0.75, 1.0)]
    for smaller, larger in itertools.pairwise(shares):
        assert (larger | ~smaller).all()
        assert smaller.sum() < larger.sum()
    again, other = (kept(data.lose_positives(whole, kept_share=0.4, seed=seed)) for seed in (1, 2))
    assert np.array_equal(again, shares[1])
    assert 0.3 < (again & other).sum() / again.sum() < 0.5


def test_one_positive_is_the_one_that_is_lost_last(whole: data.Task) -> None:
    one = data.lose_positives(whole, one_positive=True, seed=1)
    for part, before in ((one.train, whole.train), (one.validation, whole.validation)):
        assert np.array_equal((part.labels == 1).sum(axis=1), (before.labels == 1).any(axis=1))
    for share in (0.2, 0.4, 0.75):
        left = kept(data.lose_positives(whole, kept_share=share, seed=1))
        some = left.any(axis=1)
        assert (left | ~kept(one))[some].all()


def test_the_same_entries_are_lost_in_every_label_space() -> None:
    small, large = (
        data.lose_positives(data.task("debtags", num_labels=k, base_labels=10), kept_share=0.5, seed=0)
        for k in (10, 30)
    )
    assert np.array_equal(small.train.labels, large.train.labels[:, :10])


def test_a_clean_validation_part_and_nothing_to_lose(whole: data.Task) -> None:
    oracle = data.lose_positives(whole, kept_share=0.4, clean_validation=True, seed=1)
    assert oracle.validation is whole.validation
    assert np.array_equal(kept(oracle), kept(data.lose_positives(whole, kept_share=0.4, seed=1)))
    assert data.lose_positives(whole, seed=1) is whole


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kept_share": 0.0}, "kept_share=0.0 is not above 0"),
        ({"kept_share": 1.5}, "kept_share=1.5 is not above 0 and at most 1"),
        ({"kept_share": 0.4, "one_positive": True}, "exclude each other"),
    ],
)
def test_refusals(whole: data.Task, given: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        data.lose_positives(whole, **given, seed=0)  # type: ignore[arg-type]
