"""The Hyperband study: its pools, and a reading that follows the numbers."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import search, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, Run
from mlcl_utils.search.replay import Pool, SpeedUp
from mlcl_utils.studies import claims, drawing
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.hyperband import (
    Task,
    configurations,
    effects,
    pool_runs,
    reading,
    report,
    searching,
    space_of,
    tasks,
)
from mlcl_utils.studies.runs import Carried

STUDY = studies.get("05_hyperband")
GIVEN = {"preset": "smoke", "epochs": 27, "pool": 60, "replays": 40}


def execution(tmp_path: Path, **given) -> Execution:
    parameters = STUDY.resolve({**GIVEN, "results": tmp_path, **given})
    folder = STUDY.folder(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    return Execution(STUDY, parameters, folder)


def test_every_task_has_its_pool():
    parameters = STUDY.resolve({"preset": "standard"})
    grid = STUDY.grid(parameters)
    each = parameters.datasets, parameters.losses, range(parameters.replicates)
    assert len(tasks(parameters)) == math.prod(map(len, each))
    assert len({config.id for config in grid}) == len(grid) == len(tasks(parameters)) * parameters.pool
    assert (
        {config.stop for config in grid} == {config.recipe.epochs for config in grid} == {parameters.epochs}
    )
    assert {config.recipe.min_steps for config in grid} == {0}
    temperatures = [config.hyperparameters.get("temperature") for config in grid if config.loss == "reg"]
    assert len(set(temperatures)) == parameters.pool * len(parameters.datasets) * parameters.replicates


def test_draws_differ_from_task_to_task_and_seed_to_seed():
    parameters, other = (STUDY.resolve({"preset": "standard", "seed": seed}) for seed in (0, 1))
    drawn = {
        tuple(map(str, configurations(each, task))) for each in (parameters, other) for task in tasks(each)
    }
    assert len(drawn) == 2 * len(tasks(parameters))
    first = tasks(parameters)[0]
    assert configurations(parameters, first) == configurations(parameters, first)


def test_the_budget_is_counted_in_passes():
    assert STUDY.resolve({"preset": "quick", "passes": 3}).budget == 3 * 342


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"eta": 1}, "'eta'"),
        ({"trials": 2}, "trials 2"),
        ({"replays": 1}, "'replays'"),
        ({"searches": -1}, "'searches'"),
    ],
)
def test_what_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve(given)


def made(tmp_path: Path, curves: np.ndarray, **given) -> tuple[Execution, searching.Summary]:
    """A summary of stored curves (configurations, epochs), on test half a point above; without real searches."""
    study = execution(tmp_path, pool=len(curves), **given)
    task = Task("debtags", "bce", 0)
    pool = Pool(space_of(task), configurations(study.parameters, task), curves, curves + 0.005)
    pools = {task: pool}
    summary = searching.Summary(
        Carried(Grid([], [], 0), Grid([], [], 0), Grid([], [], 0), {}),
        pools,
        searching.replays(study, pools),
        {},
    )
    return study, summary


def rising(count: int = 60, epochs: int = 27) -> np.ndarray:
    """Curves that never cross: the order after one epoch is that at the end."""
    limits = 0.3 + 0.4 * np.random.default_rng(0).random(count)
    return limits[:, None] * (1 - 0.5 ** np.arange(1, epochs + 1))


def crossing(count: int = 60, epochs: int = 27) -> np.ndarray:
    """Curves that all cross late: the order is turned round after two thirds of the epochs."""
    limits = 0.3 + 0.4 * np.random.default_rng(0).random(count)[:, None]
    late = np.arange(1, epochs + 1) > 18
    return np.where(late, limits, 0.9 - limits - 0.25)


@pytest.fixture(scope="module")
def orderly(tmp_path_factory):
    """Execution and summary of curves that never cross."""
    return made(tmp_path_factory.mktemp("orderly"), rising())


def test_the_reading_follows_the_numbers(tmp_path, orderly):
    study, summary = orderly
    lines = reading.sentences(study, summary)
    assert lines[0].startswith("debtags, BCE: Hyperband reaches the final validation score sooner than ")
    assert "; neither clearly sooner" in lines[0]
    assert "Random search (" in lines[0].split(";")[0]
    assert "1.00 [1.00, 1.00] after 1/27, 1.00 [1.00, 1.00] after 1/9" in lines[1]
    found = reading.speed_ups(study, summary)[Task("debtags", "bce", 0), "random_search", "validation"]
    assert found.lower > 1

    study, summary = made(tmp_path, crossing())
    lines = reading.sentences(study, summary)
    assert "later, if at all within its budget, than" in lines[0]
    assert "-1.00 [-1.00, -1.00] after 1/27" in lines[1]
    ratios = reading.speed_ups(study, summary)
    task = Task("debtags", "bce", 0)
    # every bracket but the last picks the worst: Hyperband has a third of random search's whole trainings
    assert ratios[task, "random_search", "validation"].upper < 1
    assert ratios[task, "most_aggressive", "validation"].ratio > 1
    assert any("lower bound is 10 or more on 0 of 1 tasks" in line for line in lines)


@pytest.mark.parametrize(
    ("lower", "upper", "rival_epochs", "word"),
    [
        (10.0, 12.0, 300, "ten times sooner"),
        (9.9, 12.0, 300, "sooner"),
        (1.1, 1.5, 300, "sooner"),
        (0.9, 1.5, 300, "not told apart"),
        (0.0, 1.5, 300, "not told apart"),
        (0.0, 0.9, 300, "later"),
        (0.0, 0.0, 300, "later"),
        (0.0, 0.0, 600, "not told apart"),  # a rival with twice the budget: the ratio may lie between 1 and 2
    ],
)
def test_verdicts(lower, upper, rival_epochs, word):
    each = SpeedUp(0.5, math.inf, rival_epochs, 342, lower, upper, 0.5)
    assert reading.verdict(each) == word


def test_means_and_intervals_of_incumbents(orderly):
    _, summary = orderly
    frame = reading.incumbents(summary)
    task, replayed = next(iter(summary.replays.items()))
    row = frame[
        (frame["method"] == "hyperband") & (frame["score"] == "validation") & (frame["epochs"] == 342)
    ]
    values = replayed["hyperband"].validation[:, 341]
    assert row["estimate"].item() == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / math.sqrt(40)
    assert row["upper"].item() - row["estimate"].item() == pytest.approx(half)
    random = frame[(frame["method"] == "random_search") & (frame["score"] == "test")]
    assert random["epochs"].min() >= 27
    assert frame.loc[frame["method"] == "random_search_2x", "epochs"].max() == 684
    assert task.loss == "bce"


def test_pools_come_from_the_histories_and_a_failed_run_has_none(tmp_path):
    study = execution(tmp_path, epochs=3, pool=3)
    parameters = study.parameters
    (task,) = tasks(parameters)
    configs = pool_runs(parameters, task)

    def run(config, start):
        history = [
            {"validation_map": start + epoch / 10, "test_map": start - epoch / 10} for epoch in range(3)
        ]
        return Run(config, {}, {}, {}, history, {}, tmp_path)

    grid = Grid([run(configs[2], 0.5), run(configs[0], 0.3)], [(configs[1], "diverged", 1.0)], 0)
    (pool,) = searching.pools(study, Carried(grid, grid, Grid([], [], 0), {})).values()
    assert pool.validation[0] == pytest.approx([0.3, 0.4, 0.5])
    assert pool.test[2] == pytest.approx([0.5, 0.4, 0.3])
    assert np.isnan(pool.validation[1]).all()


def test_figures_and_tables_come_from_the_summary(tmp_path):
    study, summary = made(tmp_path, rising(20, 9), epochs=9, replays=5)
    report.plot_learning_curves(study, summary)
    report.plot_incumbents(study, summary)
    report.plot_speed_ups(study, summary)
    assert len(report.speed_up_table(study, summary)) == 6
    assert list(report.correlation_table(study, summary).columns) == [
        "after 1/9 of the epochs",
        "after 1/3 of the epochs",
    ]
    assert report.confirmation_table(study, summary) is None
    assert report.pools_table(summary).loc["debtags, BCE", "configurations"] == 20
    written = drawing.redraw(STUDY, study.folder, tmp_path / "again", "icml")
    assert {path.stem for path in written if path.suffix == ".pdf"} == {
        "learning_curves",
        "incumbents",
        "speed_ups",
    }


def test_a_real_search_is_compared_with_the_replays(tmp_path, orderly):
    study, summary = orderly
    (task,) = summary.pools
    found = summary.replays[task]["hyperband"].validation[:, -1]

    def real(score: float) -> searching.RealSearch:
        one = search.Evaluation(0, 0, {}, 27, 27, score, 27, 2.0)
        run = Run(None, {"direct_map": 0.4}, {}, {}, [], {}, tmp_path)
        return searching.RealSearch(search.Result("Hyperband", (one,)), [run])

    searched = {task: [real(float(np.median(found))), real(float(found.min()) - 0.1)]}
    frame = reading.confirmations(study, dataclasses.replace(summary, searches=searched))
    part = frame[frame["score"] == "validation"]
    assert part["inside"].tolist() == [True, False]
    assert part["replays"].iloc[0] == pytest.approx(found.mean())
    lines = reading.sentences(study, dataclasses.replace(summary, searches=searched))
    assert lines[-1].startswith("1 of 2 real searches end")


def _ratio(ratio: float, spread: float = 1.2) -> SpeedUp:
    """Of a rival that took 200 epochs, with a budget of 400 for the method."""
    bounds = (ratio / spread, ratio * spread) if ratio else (0.0, 0.0)
    return SpeedUp(0.5, 200 / ratio if ratio else math.inf, 200, 400, *bounds, 1.0)


def test_ratios_over_splits_by_hand():
    found = effects.over_splits([_ratio(value) for value in (2.0, 4.0, 8.0, 2.0, 4.0)])
    logs = np.log([2, 4, 8, 2, 4])
    assert found.estimate == pytest.approx(np.exp(logs.mean()))
    error = math.sqrt(logs.var(ddof=1) * (1 / 5 + 20 / 70))
    assert found.replicate == pytest.approx(
        [math.exp(logs.mean() + sign * 2.7764451 * error) for sign in (-1, 1)]
    )
    replays = 1.96 * math.sqrt(5 * (math.log(1.2) / 1.96) ** 2) / 5
    assert found.bootstrap == pytest.approx([math.exp(logs.mean() + sign * replays) for sign in (-1, 1)])
    assert (found.lower, found.upper) == found.replicate  # the wider one
    alone = effects.over_splits([_ratio(3.0)])
    assert (alone.lower, alone.upper) == pytest.approx((2.5, 3.6))
    assert math.isnan(alone.replicate[0])


@pytest.mark.parametrize(
    ("ratios", "tenfold", "faster"),
    [
        ([20, 22, 19, 21, 20], "holds", "holds"),
        ([2, 2.2, 1.9, 2.1, 2], "reversed", "holds"),
        ([0.4, 0.45, 0.35, 0.4, 0.42], "reversed", "reversed"),
        ([1, 4, 0.5, 2, 1], "reversed", "undetermined"),
        ([0, 0, 0, 0, 0], "reversed", "reversed"),  # never reached: below 0.5 everywhere
        ([20, 22, 19, 21], "not judged", "not judged"),
    ],
)
def test_verdicts_on_ratios(ratios, tenfold, faster):
    effect = effects._effect("debtags", "reg", "random_search", [_ratio(value) for value in ratios])
    rows = claims.judged(
        "05_hyperband", {"hyperband_random_tenfold": [effect], "hyperband_random_faster": [effect]}
    )
    measured = rows[rows["estimate"].notna()].set_index("claim")
    assert measured.loc["hyperband_random_tenfold", "verdict"] == tenfold
    assert measured.loc["hyperband_random_faster", "verdict"] == faster
    assert bool(measured["remark"].str.contains("not reached on 5 of 5").all()) == (not any(ratios))


def test_every_claim_has_an_effect_on_every_task(orderly):
    study, summary = orderly
    found = effects.effects(study, summary)
    assert set(found) == set(effects.RIVALS)
    for each in found.values():
        assert [effect.impediment for effect in each] == ["1 split, 5 are needed"] * len(summary.replays)
    table = claims.table(study, found)
    assert (table["verdict"] == "not judged").all()
    assert (study.folder / "tables" / "claims.csv").is_file()
