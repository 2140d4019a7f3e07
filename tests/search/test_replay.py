"""Replays on stored learning curves: each method as it would have gone, and what is computed from many of them."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats as distributions

from mlcl_utils import search
from mlcl_utils.search.replay import Pool, PoolSampler, rank_correlations, replay, speed_up
from tests.search import toys


def made_pool(count: int = 60, resource: int = 27, *, noise: float = 0.02) -> Pool:
    """Curves that rise to the limits of the toy, with noise, so that they cross."""
    rng = np.random.default_rng(7)
    configs = [toys.SPACE.draw(rng) for _ in range(count)]
    limits = np.array([toys.limit(config) for config in configs])
    curves = limits[:, None] * (1 - 0.8 ** np.arange(1, resource + 1))
    validation = curves + noise * rng.normal(size=curves.shape)
    return Pool(toys.SPACE, configs, validation, curves + noise * rng.normal(size=curves.shape))


POOL = made_pool()
METHODS = search.METHODS | {
    "least aggressive": functools.partial(search.successive_halving, s=0),
}


def followed(pool: Pool, result: search.Result, budget: int) -> tuple[list[float], list[float]]:
    """The incumbent's two scores after each epoch, by a loop over evaluations and epochs."""
    index = {tuple(config.items()): i for i, config in enumerate(pool.configs)}
    validation, test, best = [], [], (-math.inf, -math.inf)
    ends = {}
    for each, used in zip(
        result.evaluations, itertools.accumulate(e.trained for e in result.evaluations), strict=True
    ):
        if each.score > best[0]:
            i = index[tuple(each.config.items())]
            assert each.score == pool.validation[i, each.resource - 1]
            best = each.score, pool.test[i, each.resource - 1]
        ends[used] = best
    current = (-math.inf, -math.inf)
    for epoch in range(1, budget + 1):
        current = ends.get(epoch, current)
        validation.append(current[0])
        test.append(current[1])
    return validation, test


@pytest.mark.parametrize("name", METHODS)
def test_a_replay_is_the_method_itself_on_the_table(name):
    budget = 400
    found = replay(POOL, METHODS[name], 3, budget=budget, replays=3, seed=5)
    for row, seed in enumerate(np.random.SeedSequence(5).generate_state(3)):
        sample = PoolSampler(POOL, int(seed))
        result = METHODS[name](27, 3, sample, sample.evaluate, budget=budget)
        validation, test = followed(POOL, result, budget)
        assert found.validation[row].tolist() == validation
        assert found.test[row].tolist() == test
    assert (np.diff(found.validation[:, 27:], axis=1) >= 0).all()
    assert len(np.unique(found.validation[:, 30])) == 3  # each replay has its own draw


def test_replays_follow_from_their_seed():
    run = functools.partial(replay, POOL, search.hyperband, 3, budget=100, replays=5)
    one, same, other = run(seed=[1, 2]), run(seed=[1, 2]), run(seed=[1, 3])
    assert np.array_equal(one.validation, same.validation)
    assert np.array_equal(one.test, same.test)
    assert not (one.validation[:, 50] == other.validation[:, 50]).all()


def test_random_search_on_a_pool_is_the_maximum_of_draws_without_replacement():
    """After k configurations the incumbent is the best of k: its mean is that of an order statistic."""
    found = replay(POOL, search.random_search, 3, budget=5 * 27, replays=1500, seed=0)
    final = np.sort(POOL.validation[:, -1])
    n, k = len(final), 5
    chances = np.array([math.comb(i, k - 1) for i in range(n)]) / math.comb(n, k)
    expected = (chances * final).sum()
    error = found.validation[:, -1].std() / math.sqrt(1500)
    assert abs(found.validation[:, -1].mean() - expected) < 4 * error
    assert np.isneginf(found.validation[:, :26]).all()
    assert np.isneginf(found.test[:, :26]).all()
    assert np.isfinite(found.test[:, 26:]).all()


def test_the_least_aggressive_bracket_is_random_search():
    one = replay(POOL, METHODS["least aggressive"], 3, budget=270, replays=50, seed=9)
    other = replay(POOL, search.random_search, 3, budget=270, replays=50, seed=9)
    assert np.array_equal(one.validation, other.validation)


def test_a_pool_is_drawn_whole_before_anything_comes_again():
    sample = PoolSampler(POOL, 1)
    drawn = Counter(tuple(sample().items()) for _ in range(2 * len(POOL.configs)))
    assert set(drawn.values()) == {2}
    assert len(drawn) == len(POOL.configs)


@pytest.mark.parametrize("method", [search.tpe, search.asha])
def test_optunas_methods_choose_within_the_pool(method):
    sample = PoolSampler(POOL, 2)
    result = method(27, 3, sample, sample.evaluate, budget=20 * 27)
    chosen = {each.trial: tuple(each.config.items()) for each in result.evaluations}
    assert len(chosen) >= 20
    assert set(chosen.values()) <= {tuple(config.items()) for config in POOL.configs}
    assert max(Counter(chosen.values()).values()) == math.ceil(len(chosen) / len(POOL.configs))


def test_tpe_on_a_pool_learns_from_what_it_was_given():
    pool = made_pool(300, 1, noise=0.0)
    budget = 60
    tpe, random = (
        replay(pool, method, 3, budget=budget, replays=20, seed=3).validation[:, -1].mean()
        for method in (search.tpe, search.random_search)
    )
    best = pool.validation.max()
    assert best - tpe < 0.5 * (best - random)


def test_the_nearest_configuration_that_is_left():
    space = search.Space.from_dict(
        {
            "rate": {"type": "log-uniform", "low": 1e-4, "high": 1},
            "kind": {"type": "choice", "values": ["a", "b", "c"]},
            "depth": {"type": "integer", "low": 1, "high": 5, "when": {"kind": "b"}},
        }
    )
    configs = [
        {"rate": 1e-4, "kind": "a"},
        {"rate": 1e-2, "kind": "a"},
        {"rate": 1e-2, "kind": "c"},
        {"rate": 1e-2, "kind": "b", "depth": 1},
        {"rate": 1e-3, "kind": "b", "depth": 3},
    ]
    scores = np.zeros((5, 1))
    sample = PoolSampler(Pool(space, configs, scores, scores), 0)
    # squared distances by hand, shares of the rate's four decades: 0.0625 0.0625+1 ... for the first
    proposed = {"rate": 1e-3, "kind": "a"}
    order = [sample.settle(proposed) for _ in range(5)]
    assert {order[0]["rate"], order[1]["rate"]} == {1e-4, 1e-2}  # a quarter of the range away, either side
    assert [each["kind"] for each in order[:2]] == ["a", "a"]
    assert order[2] == configs[2]  # 1/16 and another kind
    assert order[3:] == [configs[4], configs[3]]  # another kind and a depth that the other has not
    again = PoolSampler(Pool(space, configs, scores, scores), 0)
    assert again.settle({"rate": 1e-2, "kind": "b", "depth": 2}) == configs[3]
    assert again.settle({"rate": 1e-2, "kind": "b", "depth": 2}) == configs[4]


def test_a_failed_curve_is_charged_until_it_failed():
    curves = np.ones((3, 9)) * np.arange(1, 10) / 10
    curves[1, 4:] = np.nan  # fails in epoch 4, its fifth
    configs = [{"rate": 0.1 * i, "kind": "plain"} for i in (1, 2, 3)]
    sample = PoolSampler(Pool(toys.SPACE, configs, curves, curves), 0)
    assert sample.evaluate(configs[1], 3, None) == (pytest.approx(0.3), 3)
    with pytest.raises(search.EvaluationError, match="failed within 5 epochs") as failure:
        sample.evaluate(configs[1], 9, 3)
    assert failure.value.trained == 2
    with pytest.raises(search.EvaluationError) as failure:
        sample.evaluate(configs[1], 9, None)
    assert failure.value.trained == 5
    curves[2] = np.nan  # nobody knows when
    for resource, checkpoint, trained in ((3, None, 3), (9, 3, 6)):
        with pytest.raises(search.EvaluationError) as failure:
            sample.evaluate(configs[2], resource, checkpoint)
        assert failure.value.trained == trained
    found = replay(sample.pool, search.random_search, 3, budget=30, replays=20, seed=0)
    assert np.isfinite(found.test[:, -1]).all()


def test_what_a_pool_must_be():
    scores = np.zeros((2, 3))
    one, two = {"rate": 0.1, "kind": "plain"}, {"rate": 0.2, "kind": "plain"}
    with pytest.raises(ValueError, match="twice"):
        Pool(toys.SPACE, [one, dict(reversed(one.items()))], scores, scores)
    with pytest.raises(ValueError, match="1 configurations"):
        Pool(toys.SPACE, [one], scores, scores)
    with pytest.raises(ValueError, match="shapes"):
        Pool(toys.SPACE, [one, two], scores, np.zeros((2, 4)))


def curves(*starts: float, budget: int = 10, step: float = 0.1):
    """Replays that rise by a step an epoch from where they start."""
    return np.array([[start + step * t for t in range(budget)] for start in starts])


def test_speed_ups_by_hand():
    slow, fast = curves(-0.05, 0.05), curves(-0.1, 0.1, step=0.3)
    up = speed_up(fast, slow)
    assert up.target == pytest.approx(0.9)
    assert (up.epochs, up.rival_epochs, up.ratio) == (4, 10, 2.5)
    assert up.lower <= 2.5 <= up.upper
    assert up.reached == 1
    down = speed_up(slow, fast)
    assert (down.epochs, down.ratio, down.lower, down.upper, down.reached) == (math.inf, 0, 0, 0, 0)
    assert str(down) == "< 1.0 (not reached) [< 1.0, < 1.0]"


def test_a_rival_that_stands_still_is_timed_at_its_last_step():
    rival = np.minimum(curves(0.0), 0.5)
    up = speed_up(curves(0.0, step=0.5), rival)
    assert (up.rival_epochs, up.epochs, up.ratio) == (6, 2, 3)


def test_a_rival_with_another_budget():
    up = speed_up(curves(0.0, budget=10), curves(0.0, budget=30, step=0.02))
    assert (up.target, up.rival_epochs, up.epochs, up.budget) == (pytest.approx(0.58), 30, 7, 10)
    assert str(speed_up(curves(0.0, step=0.01), curves(0.0, budget=30))).startswith("< 3.0 (not reached)")


def test_no_incumbent_is_reached_by_nobody():
    late = curves(0.0, 0.0)
    late[0, :5] = -np.inf
    up = speed_up(late, curves(0.0)[:, :2])
    assert up.epochs == 6  # when the last replay has an incumbent
    assert math.isfinite(up.ratio)


def test_the_interval_covers_no_difference():
    """Two samples of the same method: a ratio of 1 lies in the interval about as often as it should."""
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.exponential(size=(4000, 50)), axis=1)
    inside = 0
    for trial in range(40):
        parts = steps[trial * 100 : trial * 100 + 100]
        up = speed_up(parts[:50], parts[50:], resamples=300, seed=trial)
        assert up.lower <= up.ratio <= up.upper or not up.ratio
        inside += up.lower <= 1 <= up.upper
    assert inside >= 34
    up = speed_up(2 * steps[:50], steps[50:100])
    assert 1.6 < up.lower <= up.upper < 2.4


def test_rank_correlations_are_spearmans():
    found = rank_correlations(POOL, [1, 3, 9, 27]).set_index("resource")
    for resource in (1, 3, 9):
        expected = distributions.spearmanr(POOL.validation[:, resource - 1], POOL.validation[:, -1]).statistic
        assert found.loc[resource, "estimate"] == pytest.approx(expected)
        assert found.loc[resource, "lower"] < expected < found.loc[resource, "upper"]
    assert found["estimate"].is_monotonic_increasing
    assert found.loc[27, "estimate"] == pytest.approx(1)
    wide = (found["upper"] - found["lower"])[1]
    # of the size that Fisher's transformation gives, with Bonett and Wright's variance
    rho = found.loc[1, "estimate"]
    error = math.sqrt((1 + rho**2 / 2) / (60 - 3))
    fisher = math.tanh(math.atanh(rho) + 1.96 * error) - math.tanh(math.atanh(rho) - 1.96 * error)
    assert 0.5 * fisher < wide < 2 * fisher


def test_failed_configurations_rank_last():
    scores = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [9.0, np.nan]])
    configs = [{"rate": 0.1 * i, "kind": "plain"} for i in (1, 2, 3, 4)]
    (row,) = rank_correlations(Pool(toys.SPACE, configs, scores, scores), [1]).to_dict("records")
    assert row["estimate"] == pytest.approx(distributions.spearmanr([1, 2, 3, 9], [1, 2, 3, 0]).statistic)
