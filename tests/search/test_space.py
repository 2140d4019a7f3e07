"""Search spaces: what a file may say, what it draws, and how it refuses."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats as distributions

from mlcl_utils import search
from mlcl_utils.errors import UsageError

TOML = """
[learning_rate]
type = "log-uniform"
low = 1e-4
high = 1e-1

[dropout]
type = "uniform"
low = 0
high = 0.5

[width]
type = "integer"
low = 3
high = 6

[schedule]
type = "choice"
values = ["constant", "cosine", "step"]

[restarts]
type = "choice"
values = [1, 2, 4]
when = { schedule = "cosine" }

[decay]
type = "uniform"
low = 0.1
high = 0.9
when = { schedule = ["cosine", "step"], restarts = 4 }
"""

YAML = """
learning_rate: {type: log-uniform, low: 1e-4, high: 1e-1}
dropout: {type: uniform, low: 0, high: 0.5}
width: {type: integer, low: 3, high: 6}
schedule: {type: choice, values: [constant, cosine, step]}
restarts:
  type: choice
  values: [1, 2, 4]
  when: {schedule: cosine}
decay: {type: uniform, low: 0.1, high: 0.9, when: {schedule: [cosine, step], restarts: 4}}
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(TOML)
    return search.Space.from_file(path)


def test_toml_and_yaml_say_the_same(space, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(YAML)
    assert search.Space.from_file(path) == space
    assert search.Space.from_dict(space.as_dict()) == space
    assert space.dimensions["learning_rate"] == search.LogUniform(low=1e-4, high=1e-1)
    assert space.dimensions["width"] == search.Integer(low=3, high=6)


def test_draws_have_the_stated_distributions(space):
    rng = np.random.default_rng(0)
    drawn = [space.draw(rng) for _ in range(4000)]
    rates = np.array([each["learning_rate"] for each in drawn])
    dropouts = np.array([each["dropout"] for each in drawn])
    assert 1e-4 <= rates.min() < 1.05e-4
    assert 0.095 < rates.max() <= 1e-1
    assert distributions.kstest(np.log10(rates), distributions.uniform(-4, 3).cdf).pvalue > 0.01
    assert distributions.kstest(dropouts, distributions.uniform(0, 0.5).cdf).pvalue > 0.01
    for name, values in (("width", (3, 4, 5, 6)), ("schedule", ("constant", "cosine", "step"))):
        counts = Counter(each[name] for each in drawn)
        assert set(counts) == set(values)
        assert distributions.chisquare(list(counts.values())).pvalue > 0.01
    assert all(type(each["width"]) is int and type(each["learning_rate"]) is float for each in drawn)


def test_a_condition_decides_who_is_there(space):
    rng = np.random.default_rng(1)
    drawn = [space.draw(rng) for _ in range(500)]
    assert all(("restarts" in each) == (each["schedule"] == "cosine") for each in drawn)
    # a condition on what is not there is not met: a step has no restarts
    assert all(("decay" in each) == (each.get("restarts") == 4) for each in drawn)
    assert {each["schedule"] for each in drawn if "decay" in each} == {"cosine"}


def test_the_same_seed_draws_the_same(space):
    one, same, other = (space.sampler(seed) for seed in (3, 3, 4))
    first = [one() for _ in range(20)]
    assert first == [same() for _ in range(20)]
    assert first != [other() for _ in range(20)]
    assert len({each["learning_rate"] for each in first}) == 20


@pytest.mark.parametrize("u", [0.0, 1e-9, 0.3, 0.5, 1 - 2**-53])
def test_positions_invert_draws_and_stay_inside(space, u):
    for name, dimension in space.dimensions.items():
        value = dimension.at(u)
        if name in ("learning_rate", "dropout", "decay"):
            assert dimension.low <= value <= dimension.high
            assert math.isclose(dimension.position(value), u, abs_tol=1e-12)
        elif name == "width":
            assert value in (3, 4, 5, 6)
        else:
            assert value in dimension.values
    assert search.Integer(low=0, high=4).position(1) == 0.25
    assert search.Choice(values=["a", "b", "c"]).position("b") == 0.5


def test_edges(space):
    middle = {"learning_rate": 3e-3, "dropout": 0.2, "width": 4, "schedule": "constant"}
    assert space.at_edge(middle) == ()
    edges = {"learning_rate": 9.9e-2, "dropout": 0.001, "width": 3, "schedule": "cosine", "restarts": 4}
    assert space.at_edge(edges) == ("learning_rate", "dropout", "width", "restarts")


def test_the_space_in_print(space):
    lines = str(space).splitlines()
    assert lines[0].split() == ["hyperparameter", "kind", "values"]
    assert lines[1].split() == ["learning_rate", "log-uniform", "0.0001", "to", "0.1"]
    assert lines[6].endswith("0.1 to 0.9              when schedule is cosine or step and restarts is 4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one hyperparameter"),
        ("rate = 3", "'rate' should be a table with type and bounds, not 3"),
        (
            "[rate]\nlow = 1\nhigh = 2",
            "'rate' has no type; give one of log-uniform, uniform, integer, choice",
        ),
        ('[rate]\ntype = "loguniform"', "'rate': unknown type 'loguniform'; did you mean 'log-uniform'?"),
        ('[rate]\ntype = "uniform"\nlo = 1\nhigh = 2', "'rate': unknown key 'lo'; did you mean 'low'?"),
        ('[rate]\ntype = "uniform"\nlow = 1', "'rate' has no high"),
        ('[rate]\ntype = "uniform"\nlow = 2\nhigh = 1', "'rate': low 2 has to be below high 1"),
        ('[rate]\ntype = "uniform"\nlow = 1\nhigh = 1', "'rate': low 1 has to be below high 1"),
        ('[rate]\ntype = "uniform"\nlow = "a"\nhigh = 1', "'rate', low: 'a' should be a valid number"),
        ('[rate]\ntype = "uniform"\nlow = true\nhigh = 2', "'rate', low: True should be a valid number"),
        ('[rate]\ntype = "uniform"\nlow = nan\nhigh = 2', "'rate', low: nan should be a finite number"),
        ('[rate]\ntype = "log-uniform"\nlow = 0\nhigh = 1', "'rate', low: 0 should be greater than 0"),
        ('[n]\ntype = "integer"\nlow = 1.5\nhigh = 3', "'n', low: 1.5 should be a valid integer"),
        ('[kind]\ntype = "choice"', "'kind' has no values"),
        ('[kind]\ntype = "choice"\nvalues = []', "'kind', values"),
        ('[kind]\ntype = "choice"\nvalues = [1, 2, 1]', "'kind': values has 1 twice"),
        (
            '[n]\ntype = "integer"\nlow = 1\nhigh = 3\nwhen = { kind = 1 }',
            "'n' depends on an unknown choice above it 'kind'; valid: none",
        ),
        (
            '[kind]\ntype = "choice"\nvalues = ["a"]\n[n]\ntype = "integer"\nlow = 1\nhigh = 3\nwhen = { kid = "a" }',
            "'n' depends on an unknown choice above it 'kid'; did you mean 'kind'?",
        ),
        (
            '[kind]\ntype = "choice"\nvalues = ["a"]\n[n]\ntype = "integer"\nlow = 1\nhigh = 3\nwhen = { kind = "b" }',
            "'n' is there when kind is 'b', which is not among a",
        ),
        ("[rate", "not TOML"),
    ],
)
def test_what_a_file_may_not_say(tmp_path, text, said):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refusal:
        search.Space.from_file(path)
    message = str(refusal.value)
    assert said in message
    assert message.startswith(f"space '{path}': ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("space.yaml", "- a\n- b", "should have a table for each hyperparameter"),
        ("space.yaml", "rate: {type: [", "not YAML"),
        (
            "space.yaml",
            "rate: {type: uniform, low: 0, high: 1}\nrate: {type: choice}",
            "'rate' is given twice, in lines 1 and 2",
        ),
        ("space.yaml", "rate: !!python/object/apply:os.getcwd []", "line 1: the tag "),
        ("space.json", "{}", "its name should end in .toml, .yaml or .yml"),
        ("space.toml", None, "cannot be read (No such file or directory)"),
    ],
)
def test_which_files_are_refused(tmp_path, name, text, said):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as refusal:
        search.Space.from_file(path)
    assert said in str(refusal.value)


def test_a_key_that_is_no_word_is_refused(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("1: {type: uniform, low: 0, high: 1}")
    with pytest.raises(UsageError, match="should be a word"):
        search.Space.from_file(path)
