"""Hyperband's plan: the published table, the published formula, and exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcl_utils import search
from mlcl_utils.errors import UsageError

TABLE_1 = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(27, 3), (9, 9), (3, 27), (1, 81)],
    [(9, 9), (3, 27), (1, 81)],
    [(6, 27), (2, 81)],
    [(5, 81)],
]


def test_the_published_table():
    assert search.brackets(81, 3) == TABLE_1


def test_the_published_formula_with_its_ceiling():
    plan = search.brackets(81, 3, rounding="ceiling")
    assert [bracket[0][0] for bracket in plan] == [81, 34, 15, 8, 5]
    assert plan[1] == [(34, 3), (11, 9), (3, 27), (1, 81)]


def test_a_power_keeps_all_its_brackets():
    assert math.log(243, 3) < 5  # where a floating-point logarithm loses one
    plan = search.brackets(243, 3)
    assert len(plan) == 6
    assert [bracket[0] for bracket in plan] == [(243, 1), (81, 3), (27, 9), (18, 27), (9, 81), (6, 243)]


def test_a_resource_that_is_no_power():
    assert search.brackets(100, 3) == [
        [(81, 1), (27, 4), (9, 11), (3, 33), (1, 100)],
        [(27, 4), (9, 11), (3, 33), (1, 100)],
        [(9, 11), (3, 33), (1, 100)],
        [(6, 33), (2, 100)],
        [(5, 100)],
    ]


def test_a_smaller_resource():
    assert search.brackets(27, 3) == [
        [(27, 1), (9, 3), (3, 9), (1, 27)],
        [(9, 3), (3, 9), (1, 27)],
        [(6, 9), (2, 27)],
        [(4, 27)],
    ]


def test_a_single_bracket_is_random_search():
    assert search.brackets(1, 3) == [[(1, 1)]]
    assert search.brackets(3, 4) == [[(1, 3)]]


@given(st.integers(1, 10**12), st.integers(2, 10), st.sampled_from(["table", "ceiling"]))
def test_every_plan_is_one_of_successive_halvings(R, eta, rounding):
    plan = search.brackets(R, eta, rounding=rounding)
    s_max = len(plan) - 1
    assert eta**s_max <= R < eta ** (s_max + 1)
    for s, bracket in zip(range(s_max, -1, -1), plan, strict=True):
        assert len(bracket) == s + 1
        assert bracket[-1][1] == R
        share = Fraction((s_max + 1) * eta**s, s + 1)
        if rounding == "ceiling":
            assert bracket[0][0] == math.ceil(share)
        else:
            assert bracket[0][0] == (s_max + 1) // (s + 1) * eta**s
        for i, (count, resource) in enumerate(bracket):
            assert count == bracket[0][0] // eta**i >= 1
            assert resource >= 1
            assert abs(resource - Fraction(R, eta ** (s - i))) <= Fraction(1, 2)
        resources = [resource for _, resource in bracket]
        assert resources == sorted(set(resources))


@pytest.mark.parametrize(
    ("R", "eta", "said"),
    [(0, 3, "R has to be at least 1, not 0"), (81, 1, "eta has to be at least 2"), (8.5, 3, "R .*8.5")],
)
def test_impossible_values(R, eta, said):
    with pytest.raises(UsageError, match=said):
        search.brackets(R, eta)


def test_an_unknown_rounding():
    with pytest.raises(UsageError, match="'up'"):
        search.brackets(81, 3, rounding="up")


def test_what_a_plan_costs_when_configurations_continue():
    # the first bracket of the table by hand: 81 to 1, 27 on by 2, 9 on by 6, 3 on by 18, 1 on by 54
    assert search.cost([TABLE_1[0]]) == 81 + 54 + 54 + 54 + 54
    assert search.cost(TABLE_1) == 297 + 243 + 189 + (6 * 27 + 2 * 54) + 405
    assert search.cost(search.brackets(27, 3)) == 342


def test_the_plan_in_print():
    lines = search.describe(search.brackets(27, 3)).splitlines()
    assert lines[0].split() == ["bracket", "rung", "0", "rung", "1", "rung", "2", "rung", "3", "epochs"]
    assert lines[1].split() == ["s=3", "27", "to", "1", "9", "to", "3", "3", "to", "9", "1", "to", "27", "81"]
    assert lines[4].split() == ["s=0", "4", "to", "27", "108"]
    assert lines[5] == "46 configurations, 342 epochs in all"
    assert len({len(line) for line in lines[:5]}) == 1
