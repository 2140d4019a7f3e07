"""The Hyperband study: its pools, replays and real searches, the frames that are measured on them, and lost runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mlcl_utils import search, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, Run
from mlcl_utils.search.trainings import trial
from mlcl_utils.studies import comparisons, figures, judgements, published, reviewers, sentences, tables
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.hyperband import Task, base, configurations, measures, pool_runs, tasks, views
from mlcl_utils.studies.hyperband.measures import CLAIMS, RIVALS, RealSearch, Searched
from tests.studies import losing
from tests.studies.losing import FACTS, NO_NUMBER, TIMINGS, task_for

STUDY = studies.get("05_hyperband")
GIVEN = {"epochs": 27, "replays": 40}
TASK = Task("debtags", "bce", 0)

Curve = Callable[[float, int], np.ndarray]
"""Validation scores after each of so many epochs, of a configuration whose last one is given."""


def rising(limit: float, epochs: int) -> np.ndarray:
    """Curves that never cross: the order after one epoch is that at the end."""
    return limit * (1 - 0.5 ** np.arange(1, epochs + 1))


def crossing(limit: float, epochs: int) -> np.ndarray:
    """Curves that all cross late: the order is turned round after two thirds of the epochs."""
    return np.where(np.arange(1, epochs + 1) > 2 * epochs // 3, limit, 0.65 - limit)


def searched(
    results: Path,
    *,
    curve: Curve = rising,
    lost: Callable[[int, int], bool] = lambda split, number: False,
    searches: Mapping[Task, Sequence[RealSearch]] = {},
    **given,
) -> Execution:
    """An execution with pools of curves to different limits, without the runs that are lost (split, number)."""
    study = losing.execution("05_hyperband", results, **given)
    rng, kept, failures = np.random.default_rng(0), [], []
    for split, task in enumerate(tasks(study.parameters)):
        for number, config in enumerate(pool_runs(study.parameters, task)):
            scores = curve(0.3 + 0.4 * rng.random(), study.parameters.epochs)
            history = [
                {"validation_loss": 1.0, "validation_map": score, "test_map": score + 0.01}
                for score in scores
            ]
            found = {"direct_validation_map": scores[-1], "direct_map": scores[-1] + 0.01}
            run = Run(config, found, TIMINGS, FACTS, history, {"device": "cpu", "threads": 1}, Path())
            if lost(split, number):
                failures.append((config, "diverged", 1.0))
            else:
                kept.append(run)
    grid = Grid(kept, failures, 0)
    return losing.with_runs(study, Searched(grid, searches=searches))


def real(study: Execution, task: Task, *scores: float, start: int = 0) -> RealSearch:
    """A search by Hyperband that trained, one evaluation to the end per score; one that is minus infinity failed."""
    resource, made, kept, failures = study.parameters.epochs, [], [], []
    for number, score in enumerate(scores):
        values = {"learning_rate": 0.001 * (1 + start + number)}
        config = trial(base(study.parameters, task), values, resource, resource)
        error = None if math.isfinite(score) else "diverged"
        made.append(
            search.Evaluation(number, 0, values, resource, resource, score, resource, 2.0, error=error)
        )
        if error is None:
            found = {"direct_validation_map": score, "direct_map": score - 0.1}
            kept.append(Run(config, found, {**TIMINGS, "time_total": 2.0}, FACTS, [], {}, Path()))
        else:
            failures.append((config, error, 2.0))
    return RealSearch(search.Result("Hyperband", tuple(made)), Grid(kept, failures, 0))


def with_searches(study: Execution, *made: RealSearch) -> Execution:
    """The same pools with real searches on their first task; what was replayed stays."""
    again = losing.with_runs(study, dataclasses.replace(study.trained, searches={TASK: list(made)}))
    again.kept.update(study.kept)
    return again


def named(rows: pd.DataFrame, **values: object) -> pd.Series:
    """The one row that has these values."""
    (found,) = [row for _, row in figures.part(rows, values).iterrows()]
    return found


@pytest.fixture(scope="module")
def orderly(tmp_path_factory) -> Execution:
    """Curves that never cross."""
    return searched(tmp_path_factory.mktemp("orderly"), pool=60, **GIVEN)


@pytest.fixture(autouse=True)
def _tasks_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(reviewers, "task_for", task_for)


class TestGrid:
    def test_every_task_has_its_pool(self) -> None:
        parameters = STUDY.resolve({"preset": "standard"})
        grid = STUDY.grid(parameters)
        each = parameters.datasets, parameters.losses, range(parameters.replicates)
        assert len(tasks(parameters)) == math.prod(map(len, each))
        assert len({config.id for config in grid}) == len(grid) == len(tasks(parameters)) * parameters.pool
        epochs = {parameters.epochs}
        assert {config.stop for config in grid} == {config.recipe.epochs for config in grid} == epochs
        assert {config.recipe.min_steps for config in grid} == {0}
        temperatures = [config.hyperparameters.get("temperature") for config in grid if config.loss == "reg"]
        assert len(set(temperatures)) == parameters.pool * len(parameters.datasets) * parameters.replicates

    def test_draws_differ_from_task_to_task_and_seed_to_seed(self) -> None:
        parameters, other = (STUDY.resolve({"preset": "standard", "seed": seed}) for seed in (0, 1))
        drawn = {
            tuple(map(str, configurations(each, task)))
            for each in (parameters, other)
            for task in tasks(each)
        }
        assert len(drawn) == 2 * len(tasks(parameters))
        first = tasks(parameters)[0]
        assert configurations(parameters, first) == configurations(parameters, first)

    def test_the_budget_is_counted_in_passes(self) -> None:
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
    def test_what_is_refused(self, given, said) -> None:
        with pytest.raises(UsageError, match=said):
            STUDY.resolve(given)


class TestPools:
    def test_they_come_from_the_histories_and_a_failed_run_has_none(self, tmp_path) -> None:
        study = searched(tmp_path, epochs=3, pool=3, lost=lambda split, number: number == 1)
        kept = study.trained.grid.runs
        again = Grid(kept[::-1], study.trained.grid.failures, 0)  # whatever order the runs come in
        (pool,) = measures.pools(losing.with_runs(study, Searched(again))).values()
        for row, run in ((0, kept[0]), (2, kept[1])):
            assert pool.validation[row] == pytest.approx([each["validation_map"] for each in run.history])
            assert pool.test[row] == pytest.approx([each["test_map"] for each in run.history])
        assert np.isnan(pool.validation[1]).all()

    def test_the_best_is_chosen_on_validation_at_the_end(self, tmp_path) -> None:
        study = searched(
            tmp_path,
            replicates=2,
            pool=4,
            curve=crossing,
            lost=lambda split, number: (split == 0 and number == 3) or split == 1,
        )
        (pool,) = measures.pools(study).values()
        rows = measures.bests(study)
        final = pool.validation[:3, -1]
        assert rows["failed"].tolist() == [1, 4]
        assert rows["configurations"].tolist() == [4, 4]
        assert rows["median"].iloc[0] == pytest.approx(np.median(final))
        assert rows["best"].iloc[0] == pytest.approx(final.max())
        assert rows["best_on_test"].iloc[0] == pytest.approx(final.max() + 0.01)
        rate = pool.configs[int(final.argmax())]["learning_rate"]
        assert f"learning_rate {rate:.3g}" in rows["values"].iloc[0]
        assert rows[["median", "best", "best_on_test"]].iloc[1].isna().all()
        shown = views.pools(study)
        assert shown.loc["debtags, BCE, split 1", "best (%)"] == "–"

    def test_ranks_of_curves_are_shares_of_the_pool_that_end_below(self, tmp_path) -> None:
        study = searched(tmp_path, pool=4, lost=lambda split, number: number == 2)
        rows = measures.curves(study)
        ends = rows[rows["epoch"] == 9].set_index("configuration")
        order = ends["validation"].drop(2).sort_values().index
        assert ends["rank"][2] == 0
        assert ends["rank"][order].tolist() == [0.25, 0.5, 0.75]


class TestReplays:
    def test_means_and_intervals_of_incumbents(self, orderly) -> None:
        rows = measures.incumbents(orderly)
        replayed = measures.replays(orderly)[TASK]
        row = named(rows, method="hyperband", score="validation", epochs=342)
        values = replayed["hyperband"].validation[:, 341]
        assert row["estimate"] == pytest.approx(values.mean())
        half = 1.96 * values.std(ddof=1) / math.sqrt(40)
        assert row["upper"] - row["estimate"] == pytest.approx(half)
        assert row["estimate"] - row["lower"] == pytest.approx(half)
        random = figures.part(rows, {"method": "random_search", "score": "test"})
        assert random["epochs"].min() >= 27
        assert rows.loc[rows["method"] == "random_search_2x", "epochs"].max() == 684

    def test_they_are_made_once(self, orderly) -> None:
        for measure in (measures.pools, measures.replays, measures.speed_ups, measures.incumbents):
            assert measure(orderly) is measure(orderly)

    def test_hyperband_is_sooner_where_curves_never_cross(self, orderly) -> None:
        rows = measures.speed_ups(orderly)
        random = named(rows, rival="random_search", score="validation")
        assert random["lower"] > 1
        assert random["verdict"] == "sooner"
        words = dict(rows[rows["score"] == "validation"][["rival", "verdict"]].to_numpy())
        assert set(words) == set(RIVALS)
        assert "not significantly different" in words.values()

    def test_and_later_where_all_cross_late(self, tmp_path) -> None:
        study = searched(tmp_path, pool=60, curve=crossing, **GIVEN)
        rows = measures.speed_ups(study)
        # every bracket but the last picks the worst: Hyperband has a third of random search's whole trainings
        random = named(rows, rival="random_search", score="validation")
        assert random["upper"] < 1
        assert random["verdict"] == "later"
        assert named(rows, rival="most_aggressive", score="validation")["ratio"] > 1
        shares = measures.correlations(study).set_index("share")
        assert shares.loc[["1/27", "1/9", "1/3"], ["estimate", "lower", "upper"]].to_numpy() == pytest.approx(
            -1
        )

    def test_rank_correlations_of_curves_that_never_cross(self, orderly) -> None:
        rows = measures.correlations(orderly)
        assert rows["share"].tolist() == ["1/27", "1/9", "1/3"]
        assert rows["resource"].tolist() == [1, 3, 9]
        assert rows[["estimate", "lower", "upper"]].to_numpy() == pytest.approx(1)

    @pytest.mark.parametrize(
        ("lower", "upper", "rival_epochs", "word"),
        [
            (10.0, 12.0, 300, "ten times sooner"),
            (9.9, 12.0, 300, "sooner"),
            (1.1, 1.5, 300, "sooner"),
            (0.9, 1.5, 300, "not significantly different"),
            (0.0, 1.5, 300, "not significantly different"),
            (0.0, 0.9, 300, "later"),
            (0.0, 0.0, 300, "later"),
            # a rival with twice the budget: the ratio may lie between 1 and 2
            (0.0, 0.0, 600, "not significantly different"),
        ],
    )
    def test_what_the_interval_of_a_ratio_says(self, lower, upper, rival_epochs, word) -> None:
        assert measures.verdict({"lower": lower, "upper": upper, "bound": rival_epochs / 342}) == word

    def test_verdicts_are_counted_by_rival(self, orderly) -> None:
        shown = views.verdicts(orderly)
        own = figures.part(measures.speed_ups(orderly), {"score": "validation"}).set_index("rival")
        assert list(shown) == [*measures.VERDICTS, "largest upper bound"]
        assert shown.columns.name is None
        assert len(shown) == len(RIVALS)
        saved = pd.read_csv(orderly.folder / "tables" / "verdicts.csv").set_index("rival")
        assert saved[list(measures.VERDICTS)].sum(axis=1).eq(1).all()
        for rival, row in own.iterrows():
            assert saved.loc[rival, row["verdict"]] == 1
            assert saved.loc[rival, "largest_upper"] == pytest.approx(row["upper"] or row["bound"])


class TestRealSearches:
    def test_incumbents_skip_what_failed(self, tmp_path) -> None:
        study = searched(tmp_path, pool=6, replays=3)
        found = real(study, TASK, 0.2, -math.inf, 0.1, 0.5, 0.4).incumbents()
        assert found["epochs"].tolist() == [9, 36, 45]
        assert found["validation"].tolist() == [0.2, 0.5, 0.5]
        assert found["test"].tolist() == pytest.approx([0.1, 0.4, 0.4])
        assert real(study, TASK, -math.inf).incumbents().empty

    def test_they_are_compared_with_the_replays(self, orderly) -> None:
        final = measures.replays(orderly)[TASK]["hyperband"].validation[:, -1]
        median, worse = float(np.median(final)), float(final.min()) - 0.1
        study = with_searches(
            orderly, real(orderly, TASK, median), real(orderly, TASK, worse), real(orderly, TASK, -math.inf)
        )
        rows = measures.confirmations(study)
        own = rows[rows["score"] == "validation"]
        assert own["number"].tolist() == [0, 1]  # nothing is said of one that found nothing
        assert own["inside"].tolist() == [True, False]
        assert own["found"].tolist() == [median, worse]
        assert own["replays"].iloc[0] == pytest.approx(final.mean())
        assert (own["low"].iloc[0], own["high"].iloc[0]) == pytest.approx(
            tuple(np.quantile(final, [0.025, 0.975]))
        )
        assert own["time_seconds"].tolist() == [2.0, 2.0]
        shown = views.real_searches(study)
        assert shown["inside"].loc["debtags, BCE", :, "validation"].tolist() == ["yes", "no"]

    def test_there_may_be_none(self, orderly, capsys) -> None:
        assert views.real_searches(orderly) is None
        assert "no real search to compare" in capsys.readouterr().out
        assert list(measures.searched(orderly)) == [*TASK._fields, "number", "epochs", "validation", "test"]

    def test_their_runs_are_runs_of_the_study(self, tmp_path) -> None:
        study = searched(
            tmp_path, pool=6, replays=3, replicates=2, lost=lambda split, number: (split, number) == (0, 0)
        )
        first, second = tasks(study.parameters)
        searches = {
            first: [real(study, first, 0.2, -math.inf), real(study, first, 0.3, start=5)],
            second: [real(study, second, 0.4, 0.5), real(study, second, 0.3, start=5)],
        }
        trained = dataclasses.replace(study.trained, searches=searches)
        assert {name: len(part.runs) for name, part in trained.parts.items()} == {
            "default": 11, "search 0": 3, "search 1": 2,
        }  # fmt: skip
        rows = study_runs.frame(STUDY.name, trained)
        assert rows["column"].value_counts().to_dict() == {"default": 11, "search 0": 3, "search 1": 2}
        assert trained.compute == {"runs": 16, "failed": 2, "existed": 0, "seconds": 11 + 1 + 5 * 2 + 2}


def _rows(ratios: Sequence[float], spread: float = 1.2) -> pd.DataFrame:
    """Speed-ups over a rival that took 200 epochs, with a budget of 400; 0 for a target that was not reached."""
    ratio = pd.Series(ratios, dtype=float)
    return pd.DataFrame({"ratio": ratio, "lower": ratio / spread, "upper": ratio * spread, "bound": 0.5})


WHERE = {"dataset": "debtags", "loss": "reg", "rival": "random_search", "score": "test"}


class TestComparisons:
    def test_ratios_over_splits_by_hand(self) -> None:
        found = measures.over_splits(_rows([2, 4, 8, 2, 4]))
        logs = np.log([2, 4, 8, 2, 4])
        assert found.estimate == pytest.approx(np.exp(logs.mean()))
        error = math.sqrt(logs.var(ddof=1) * (1 / 5 + 20 / 70))
        assert found.replicate == pytest.approx(
            [math.exp(logs.mean() + sign * 2.7764451 * error) for sign in (-1, 1)]
        )
        replays = 1.96 * math.sqrt(5 * (math.log(1.2) / 1.96) ** 2) / 5
        assert found.bootstrap == pytest.approx([math.exp(logs.mean() + sign * replays) for sign in (-1, 1)])
        assert (found.lower, found.upper) == found.replicate  # the wider one
        assert found.n == 5
        alone = measures.over_splits(_rows([3]))
        assert (alone.lower, alone.upper) == pytest.approx((2.5, 3.6))
        assert math.isnan(alone.replicate[0])

    def test_what_is_not_reached_counts_as_reached_at_the_end(self) -> None:
        found = measures.over_splits(_rows([0, 2]))
        assert found.estimate == pytest.approx(math.sqrt(0.5 * 2))
        assert measures.over_splits(_rows([0, 0])).upper == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("ratios", "tenfold", "faster"),
        [
            ([20, 22, 19, 21, 20], "holds", "holds"),
            ([2, 2.2, 1.9, 2.1, 2], "does not hold", "holds"),
            ([0.4, 0.45, 0.35, 0.4, 0.42], "does not hold", "opposite"),
            ([1, 4, 0.5, 2, 1], "does not hold", "open"),
            ([0, 0, 0, 0, 0], "does not hold", "opposite"),  # never reached: below 0.5 everywhere
            ([20, 22, 19, 21], "not judged", "not judged"),
            ([], "not judged", "not judged"),
        ],
    )
    def test_verdicts_on_ratios(self, ratios, tenfold, faster) -> None:
        declared = [
            measures.speed_up_over_splits(name, WHERE, _rows(ratios), 5)
            for name in ("hyperband_random_tenfold", "hyperband_random_faster")
        ]
        rows = comparisons.frame(STUDY.name, declared, {})
        assert rows["verdict"].tolist() == [tenfold, faster]
        assert rows["censored"].tolist() == [0 in ratios] * 2
        assert rows["flag"].str.contains("not reached on 5 of 5").tolist() == [0 in ratios] * 2
        assert (
            rows["flag"].str.endswith("runs have failed on 1 more split").tolist() == [len(ratios) == 4] * 2
        )
        reason = {4: "4 replicates, 5 are needed", 0: "runs have failed on every split"}.get(len(ratios), "")
        assert rows["reason"].tolist() == [reason] * 2
        assert set(rows["dataset"]) == {"debtags"}
        assert set(rows["test"]) == {"ratio"}

    def test_a_ratio_is_shown_without_a_sign_and_a_bound_as_one(self) -> None:
        declared = [
            measures.speed_up_over_splits("speed_up", WHERE, _rows(each), 5) for each in ([2, 2], [0, 0, 8])
        ]
        rows = comparisons.frame(STUDY.name, declared, {})
        assert sentences.effect(rows.iloc[0]).startswith("2.0 [")
        assert sentences.effect(rows.iloc[1]) == "at most 1.3"  # the cube root of 0.5 × 0.5 × 8

    def test_every_claim_has_a_row_on_every_task(self, orderly) -> None:
        assert set(CLAIMS) == {claim.id for claim in published.of(STUDY.name)}
        rows = orderly.comparisons
        for name in CLAIMS:
            own = named(rows, name=name)
            assert own["reason"] == "1 replicate, 5 are needed"
            found = named(measures.speed_ups(orderly), rival=CLAIMS[name], score="test")
            assert own["estimate"] == pytest.approx(found["ratio"])
        assert (tables.claims(orderly)["verdict"] == "not judged").all()
        assert (orderly.folder / "tables" / "claims.csv").is_file()
        table = tables.compared(orderly, "speed_up", by="score", name="speed_ups_over_splits")
        assert table.shape == (len(RIVALS), 2)

    def test_random_search_by_another_name_is_the_control(self, tmp_path) -> None:
        study = searched(tmp_path, pool=12, replays=4, replicates=3)
        targets = figures.part(measures.speed_ups(study), {"score": "validation"})
        one, other = (
            figures.part(targets, {"rival": name}).sort_values("replicate")["target"].to_numpy()
            for name in ("least_aggressive", "random_search")
        )
        row = named(study.comparisons, name="control")
        assert row["estimate"] == pytest.approx(100 * (one - other).mean())
        assert row["replicates"] == 3
        assert row["unit"] == "points"


def shown(study: Execution) -> list[object]:
    """All that the notebook shows, and its texts."""
    found: list[object] = losing.shown(study)
    return [*found, tables.compared(study, "speed_up", by="score", name="speed_ups_over_splits")]


def texts(shown: object) -> list[str]:
    if isinstance(shown, pd.DataFrame):
        return [cell for column in shown for cell in shown[column] if isinstance(cell, str)]
    return str(getattr(shown, "data", "")).splitlines()


def test_figures_and_tables_come_from_the_frames(tmp_path) -> None:
    study = searched(tmp_path, pool=20, epochs=9, replays=5)
    shown(study)
    plt.close("all")
    assert len(views.speed_ups_table(study)) == 6
    assert list(views.correlations(study)) == ["after 1/9 of the epochs", "after 1/3 of the epochs"]
    assert views.pools(study).loc["debtags, BCE", "configurations"] == "20"
    assert {path.stem for path in (study.folder / "tables").glob("*.csv")} == {
        *(
            "pools",
            "rank_correlations",
            "speed_ups",
            "speed_ups_over_splits",
            "verdicts",
            "control",
            "claims",
        ),
    }
    written = figures.redraw(STUDY, study.folder, tmp_path / "again", "icml")
    assert {path.stem for path in written if path.suffix == ".pdf"} == set(views.FIGURES)


@pytest.mark.parametrize(
    ("way", "lost", "left"),
    [
        ("one of the pool", lambda split, number: (split, number) == (0, 0), 2),
        ("all but one of a pool", lambda split, number: split == 0 and number > 0, 2),
        ("all but one of every pool", lambda split, number: number > 0, 2),
        ("a pool", lambda split, number: split == 0, 1),
    ],
)
def test_searches_in_pools_of_which_runs_are_lost(way, lost, left, tmp_path, monkeypatch) -> None:
    if way != "all but one of a pool":  # drawing takes long
        monkeypatch.setattr(figures, "draw", lambda study, name, frames: None)
    study = searched(tmp_path, lost=lost, replicates=2, pool=6, replays=3)
    searches = {task: [real(study, task, -math.inf)] for task in measures.pools(study)}
    study = losing.with_runs(study, dataclasses.replace(study.trained, searches=searches))
    assert len(measures.pools(study)) == left
    found = shown(study)
    plt.close("all")
    assert [text for each in found for text in texts(each) if NO_NUMBER.search(text)] == []
    rows = judgements.of(STUDY.name, study.comparisons)
    assert set(rows["verdict"]) == {"not judged"}
    few = {"1 replicate, 5 are needed", "2 replicates, 5 are needed"}
    assert set(rows["reason"]) <= few | {"runs have failed on every split", "not measured"}
    if left == 1:
        measured = named(measures.speed_ups(study), rival="tpe", score="test")
        own = named(rows, claim="hyperband_bayesian_faster", dataset="debtags")
        assert own["estimate"] == pytest.approx(measured["ratio"])
        assert own["remark"].endswith("runs have failed on 1 more split")


def test_a_rival_of_which_no_replay_found_a_thing_has_no_ratio(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(figures, "draw", lambda study, name, frames: None)
    study = searched(tmp_path, pool=300, replays=2, lost=lambda split, number: number > 0)
    assert measures.speed_ups(study).empty
    assert measures.verdicts(study).empty
    assert [text for each in shown(study) for text in texts(each) if NO_NUMBER.search(text)] == []
    rows = study.comparisons
    assert set(rows["reason"]) == {"runs have failed on every split"}
    assert set(rows["name"]) == {"speed_up", *CLAIMS}  # and no control
