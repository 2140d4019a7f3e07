"""The methods: who is evaluated when, to what resource and from which checkpoint, and what that costs."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed

import numpy as np
import pytest

from mlcl_utils import search
from mlcl_utils.errors import UsageError
from tests.search import toys

R, ETA = 81, 3


def counted():
    """Draws 0, 1, 2, ...: the number of a configuration is the configuration."""
    numbers = itertools.count()
    return lambda: {"number": next(numbers)}


def quality(number: int) -> float:
    """Of a configuration, between 0 and 1 and different for each."""
    return (number * 0.6180339887498949) % 1


def test_hyperband_evaluates_exactly_its_plan():
    calls = []

    def evaluate(config, resource, checkpoint):
        calls.append((config["number"], resource, checkpoint))
        return quality(config["number"]), ("checkpoint", config["number"], resource)

    result = search.hyperband(R, ETA, counted(), evaluate)
    expected, drawn = [], 0
    for bracket in search.brackets(R, ETA):
        members, reached = list(range(drawn, drawn + bracket[0][0])), None
        drawn += len(members)
        for count, resource in bracket:
            if reached is not None:
                members = sorted(members, key=lambda number: -quality(number))[:count]
            expected += [(each, resource, reached and ("checkpoint", each, reached)) for each in members]
            reached = resource
    assert calls == expected
    assert drawn == 81 + 27 + 9 + 6 + 5
    assert result.trained == search.cost(search.brackets(R, ETA)) == 1404
    assert Counter(each.bracket for each in result.evaluations) == {0: 121, 1: 40, 2: 13, 3: 8, 4: 5}


def test_the_learning_curves_of_one_bracket():
    """Successive halving by hand, with curves that cross: who leads early is not who leads late."""
    curves = {0: [0.1, 0.2, 0.9], 1: [0.3, 0.4, 0.5], 2: [0.2, 0.5, 0.8], 3: [0.4, 0.3, 0.1]}
    rungs = {1: 0, 2: 1, 4: 2}
    result = search.successive_halving(
        4, 2, counted(), lambda config, resource, _: (curves[config["number"]][rungs[resource]], resource)
    )
    steps = [(each.trial, each.resource, each.trained) for each in result.evaluations]
    assert steps == [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 2, 1), (1, 2, 1), (1, 4, 2)]
    assert (result.best.trial, result.best.resource, result.best.score) == (1, 4, 0.5)


def test_every_bracket_is_to_be_had_and_no_other():
    for s, bracket in zip(range(4, -1, -1), search.brackets(R, ETA), strict=True):
        result = search.successive_halving(R, ETA, counted(), toy_score, s=s)
        assert Counter(each.resource for each in result.evaluations) == {r: n for n, r in bracket}
        assert result.trained == search.cost([bracket])
    with pytest.raises(UsageError, match="s=5 is no bracket of R=81, eta=3: they are 0 to 4"):
        search.successive_halving(R, ETA, counted(), toy_score, s=5)


def toy_score(config, resource, checkpoint):
    return quality(config["number"]) + resource / 1000, resource


def test_equal_scores_go_on_in_the_order_of_drawing():
    result = search.successive_halving(9, 3, counted(), lambda config, resource, _: (0.5, resource))
    assert [each.trial for each in result.evaluations] == [*range(9), 0, 1, 2, 0]
    assert (result.best.trial, result.best.resource) == (0, 1)


def test_what_cannot_be_continued_is_charged_from_the_start():
    seen = []

    def evaluate(config, resource, checkpoint):
        seen.append(checkpoint)
        return quality(config["number"]), None

    result = search.successive_halving(9, 3, counted(), evaluate)
    assert result.trained == 9 * 1 + 3 * 3 + 1 * 9
    assert set(seen) == {None}


def test_the_incumbent_only_rises_and_the_ledger_adds_up():
    rng = np.random.default_rng(0)
    table = search.hyperband(27, 3, counted(), lambda *_: (rng.random(), 0)).table()
    assert len(table) == 40 + 13 + 8 + 4
    assert table["incumbent"].is_monotonic_increasing
    assert (table["incumbent"] == np.maximum.accumulate(table["score"])).all()
    assert table["total"].is_monotonic_increasing
    assert table["total"].iloc[-1] == table["trained"].sum() == 342
    ends = table.groupby("trial")[["trained", "resource"]].agg({"trained": "sum", "resource": "max"})
    assert (ends["trained"] == ends["resource"]).all()


@pytest.mark.parametrize("method", search.METHODS)
def test_every_method_finds_a_good_configuration_and_repeats_itself(method):
    run = functools.partial(search.METHODS[method], 27, 3, evaluate=toys.evaluate)
    first, again, other = (run(sample=toys.SPACE.sampler(seed)) for seed in (1, 1, 2))
    untimed = [[{**vars(e), "time_seconds": 0} for e in result.evaluations] for result in (first, again)]
    assert untimed[0] == untimed[1]
    assert [e.config for e in first.evaluations] != [e.config for e in other.evaluations]
    best = first.best
    assert best.score == max(e.score for e in first.evaluations)
    drawn = {e.trial: toys.limit(e.config) for e in first.evaluations}
    # curves of this toy never cross, so that whoever is best of a bracket wins it
    assert toys.limit(best.config) == max(drawn.values())
    assert best.resource == 27
    assert first.trained <= 342


@pytest.mark.parametrize("method", search.METHODS)
@pytest.mark.parametrize("budget", [1, 26, 27, 100, 1000])
def test_a_budget_is_used_and_never_exceeded(method, budget):
    result = search.METHODS[method](27, 3, toys.SPACE.sampler(3), toys.evaluate, budget=budget)
    assert result.trained <= budget
    assert result.trained > budget - 27
    if method in ("hyperband", "successive_halving", "asha"):
        assert result.trained > budget - 18  # the dearest step that may not have fitted


def test_a_budget_pays_for_more_passes_with_new_configurations():
    result = search.hyperband(27, 3, counted(), toy_score, budget=2 * 342 + 10)
    passes = (
        [e for e in result.evaluations if e.bracket < 4],
        [e for e in result.evaluations if 4 <= e.bracket < 8],
    )
    assert [(e.trial, e.resource) for e in passes[0]] != [(e.trial, e.resource) for e in passes[1]]
    assert [e.resource for e in passes[0]] == [e.resource for e in passes[1]]
    assert {e.trial for e in passes[0]}.isdisjoint(e.trial for e in passes[1])
    assert [(e.trial, e.resource, e.bracket) for e in result.evaluations[-10:]] == [
        (trial, 1, 8) for trial in range(92, 102)
    ]


def test_a_search_without_a_good_evaluation_says_why():
    def evaluate(config, resource, checkpoint):
        raise ZeroDivisionError("nothing works")

    for method in search.METHODS.values():
        result = method(9, 3, toys.SPACE.sampler(0), evaluate)
        assert all(each.score == -math.inf for each in result.evaluations)
        with pytest.raises(
            RuntimeError, match="evaluations failed, the first with: ZeroDivisionError: nothing works"
        ):
            _ = result.best
    with pytest.raises(RuntimeError, match="does not pay for one"):
        _ = search.random_search(9, 3, toys.SPACE.sampler(0), evaluate, budget=8).best


def test_failures_at_no_cost_end_too():
    def evaluate(config, resource, checkpoint):
        raise search.EvaluationError("refused", trained=0)

    for method in search.METHODS.values():
        assert len(method(9, 3, toys.SPACE.sampler(0), evaluate, budget=100).evaluations) < 200


def failing(config, resource, checkpoint):
    """Two in three fail: one at once, one after 2 more epochs, one by a score that is no number."""
    number = config["number"]
    if number % 4 == 1:
        raise ValueError(f"no rate for {number}")
    if number % 4 == 2 and resource > 1:
        raise search.EvaluationError("the loss was not finite in epoch 2", trained=2)
    if number % 4 == 3:
        return math.nan, "lost"
    return quality(number), resource


def test_failures_are_recorded_count_as_worst_and_are_explained():
    result = search.successive_halving(27, 3, counted(), failing)
    by_trial = {each.trial: each for each in result.evaluations if each.resource == 1}
    assert by_trial[1].error == "ValueError: no rate for 1"
    assert by_trial[3].error == "its score was nan"
    assert by_trial[3].checkpoint is None
    assert {e.score for e in result.failures} == {-math.inf}
    # 13 of 27 work at first, 9 of them go on; those with number % 4 == 2 then fail after 2 epochs
    second = [each for each in result.evaluations if each.resource == 3]
    assert len(second) == 9
    assert all(each.trial % 2 == 0 for each in second)
    lost = [each for each in second if each.trial % 4 == 2]
    assert lost
    assert {(each.error, each.trained) for each in lost} == {("the loss was not finite in epoch 2", 2)}
    assert all(each.trial % 4 == 0 for each in result.evaluations if each.resource > 3)
    assert result.best.trial % 4 == 0
    table = result.table()
    assert list(table.loc[table["error"] != "", "score"].unique()) == [-math.inf]
    assert table["incumbent"].is_monotonic_increasing


def test_a_rung_with_too_few_left_is_smaller():
    def evaluate(config, resource, checkpoint):
        if config["number"] not in (3, 4):
            raise ValueError("broken")
        return quality(config["number"]), resource

    result = search.successive_halving(27, 3, counted(), evaluate)
    assert Counter(each.resource for each in result.evaluations) == {1: 27, 3: 2, 9: 2, 27: 1}


def unordered(pool):
    """A map over a pool whose results come as they are ready."""

    def spread(function, jobs):
        return (future.result() for future in as_completed([pool.submit(function, job) for job in jobs]))

    return spread


def test_a_rung_may_be_spread_over_processes_and_threads():
    alone = search.hyperband(27, 3, toys.SPACE.sampler(4), toys.evaluate)
    with ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(5) as threads:
        maps = (
            unordered(processes),
            processes.map,
            unordered(threads),
            lambda f, jobs: map(f, list(jobs)[::-1]),
        )
        for spread in maps:
            beside = search.hyperband(27, 3, toys.SPACE.sampler(4), toys.evaluate, map=spread)
            fields = operator.attrgetter(
                "trial", "bracket", "config", "resource", "trained", "score", "checkpoint"
            )
            assert list(map(fields, beside.evaluations)) == list(map(fields, alone.evaluations))


def test_failures_come_back_from_processes_too():
    with ProcessPoolExecutor(1) as pool:
        beside = search.successive_halving(27, 3, counted(), failing, map=pool.map)
    alone = search.successive_halving(27, 3, counted(), failing)
    assert [(e.trial, e.error, e.trained) for e in beside.evaluations] == [
        (e.trial, e.error, e.trained) for e in alone.evaluations
    ]


def test_evaluations_are_watched_as_they_end():
    seen = []
    result = search.hyperband(27, 3, counted(), toy_score, watch=seen.append)
    assert tuple(seen) == result.evaluations


def test_an_interrupt_is_no_failure():
    def evaluate(config, resource, checkpoint):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.hyperband(27, 3, counted(), evaluate)


def test_asha_stops_whom_the_asynchronous_rule_stops():
    """Li et al.'s rule by hand, as Optuna has it: at a rung, in the best third of those seen there, or best so far."""
    seen: dict[int, list[float]] = {}
    result = search.asha(27, 3, toys.SPACE.sampler(8), toys.evaluate)
    assert len({each.trial for each in result.evaluations}) > 20
    for _, steps in itertools.groupby(result.evaluations, key=lambda each: each.trial):
        curve = list(steps)
        for rung, each in enumerate(curve):
            assert each.resource == 3**rung
            assert each.trained == each.resource - (3 ** (rung - 1) if rung else 0)
            if rung < 3:
                rivals = seen.setdefault(rung, [])
                rivals.append(each.score)
                rank = sorted(rivals, reverse=True).index(each.score)
                goes_on = rank < max(1, len(rivals) // 3)
                last = each is result.evaluations[-1]  # where the budget ended
                assert last or goes_on == (each is not curve[-1])
    assert {each.resource for each in result.evaluations} == {1, 3, 9, 27}


def test_tpe_learns_where_the_good_ones_are():
    """After its random start, proposals of a model crowd around the best rate; random ones do not."""
    near = {}
    for method in (search.tpe, search.random_search):
        distances = [
            abs(toys.SPACE.dimensions["rate"].position(each.config["rate"]) - 0.5)
            for seed in range(5)
            for each in method(1, 3, toys.SPACE.sampler(seed), toys.evaluate, budget=60).evaluations[20:]
        ]
        near[method] = np.median(distances)
    assert near[search.tpe] < 0.5 * near[search.random_search]
