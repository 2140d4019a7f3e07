"""What a notebook shows when some of its runs have failed: everything is called, for every way to lose runs."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mlcl_utils import runs, search, studies
from mlcl_utils.metrics import representation
from mlcl_utils.runs import Grid, Run, RunConfig, execute
from mlcl_utils.studies import analysis, claims, drawing, tables
from mlcl_utils.studies.analysis import Carried
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.hyperband import effects as search_effects
from mlcl_utils.studies.hyperband import pool_runs, searching
from mlcl_utils.studies.hyperband import reading as search_reading
from mlcl_utils.studies.hyperband import report as search_report
from mlcl_utils.studies.hyperband import tasks as search_tasks
from mlcl_utils.studies.kernel_mixture import measures as kernel_measures
from mlcl_utils.studies.kernel_mixture import reading as kernel_reading
from mlcl_utils.studies.kernel_mixture import report as kernel_report
from mlcl_utils.studies.label_space import effects as label_effects
from mlcl_utils.studies.label_space import reading as label_reading
from mlcl_utils.studies.label_space import report as label_report
from mlcl_utils.studies.ledger import report as ledger_report
from mlcl_utils.studies.missing_labels import measures as missing_measures
from mlcl_utils.studies.missing_labels import reading as missing_reading
from mlcl_utils.studies.missing_labels import report as missing_report
from mlcl_utils.studies.temperature import reading as temperature_reading
from mlcl_utils.studies.temperature import report as temperature_report
from mlcl_utils.studies.temperature import sweeps
from mlcl_utils.studies.vision_text import reading as pair_reading
from mlcl_utils.studies.vision_text import report as pair_report
from mlcl_utils.training import Recipe

REPLICATES = 5
NO_NUMBER = re.compile(r"\b(nan|inf)\b", re.IGNORECASE)

Shown = list[Any]
"""What the cells of a notebook show; the effects that its claims are judged by come last."""


def missing_labels(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = missing_measures.summarise(carried, study.parameters)
    shown = [
        missing_report.results_table(study, summary, *what)
        for what in (("map", "direct"), ("map", "probe"), ("macro_f1", "probe"))
    ]
    for show in (
        missing_report.plot_conditions,
        missing_report.plot_differences,
        missing_report.reference_table,
        missing_report.plot_correction,
        missing_report.corrections_table,
        missing_report.plot_rank,
        missing_report.published_table,
        missing_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, missing_reading.reading(summary)], missing_measures.effects(summary)


def label_space(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = label_reading.summarise(carried)
    shown = [label_report.results_table(study, summary, name) for name in label_reading.MAIN]
    for show in (
        label_report.plot_label_count,
        label_report.plot_differences,
        label_report.plot_base_labels,
        label_report.plot_matched,
        label_report.plot_fractions,
        label_report.held_out_table,
        label_report.named_table,
        label_report.contrasts_table,
        label_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, label_reading.reading(summary)], label_effects.effects(summary)


def vision_text(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = pair_reading.summarise(carried)
    shown = [pair_report.results_table(study, summary, name) for name in ("map", "macro_f1")]
    for show in (
        pair_report.plot_carry_over,
        pair_report.leads_table,
        pair_report.plot_correlations,
        pair_report.correlations_table,
        pair_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, pair_reading.reading(summary)], {}


def temperature(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = sweeps.summarise(carried)
    shown = [temperature_report.results_table(study, summary, name) for name in ("map", "macro_f1")]
    for show in (
        temperature_report.plot_scores,
        temperature_report.plot_geometry,
        temperature_report.geometry_table,
        temperature_report.plot_embeddings,
        temperature_report.plot_control,
        temperature_report.published_table,
        temperature_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, temperature_reading.reading(summary)], sweeps.effects(summary)


def kernel_mixture(study: Execution, carried: Carried) -> tuple[Shown, claims.Effects]:
    summary = kernel_measures.summarise(carried)
    shown = [kernel_report.results_table(study, summary, name) for name in ("map", "macro_f1")]
    for show in (
        kernel_report.plot_parts,
        kernel_report.health_table,
        kernel_report.calibration_table,
        kernel_report.plot_calibration,
        kernel_report.published_table,
        kernel_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    return [*shown, kernel_reading.reading(summary)], kernel_measures.effects(summary)


class Kind(NamedTuple):
    """A study, small parameters of it, and what its notebook calls."""

    study: str
    given: dict[str, Any]
    show: Callable[[Execution, Carried], tuple[Shown, claims.Effects]]


KINDS = {
    kind.study: kind
    for kind in (
        Kind(
            "01_missing_labels",
            {"datasets": "debtags", "losses": ["bce", "splc"], "clml_weights": [1, 10]},
            missing_labels,
        ),
        Kind("02_label_space", {"datasets": "debtags"}, label_space),
        Kind("03_vision_text", {"replicates": 3}, vision_text),
        Kind("04_temperature", {"temperatures": [0.02, 0.3, 1.0]}, temperature),
        Kind(
            "06_kernel_mixture",
            {"datasets": "debtags,fashion-scenes", "variants": list(kernel_measures.VARIANTS)},
            kernel_mixture,
        ),
    )
}


def arm(config: RunConfig) -> tuple[Any, ...]:
    """What tells an arm from another, for all studies alike."""
    task = (config.dataset, config.encoder, config.num_labels, config.train_fraction, config.label_draw)
    condition = (config.held_out, config.kept_share, config.one_positive, config.clean_validation)
    scale = config.recipe.loss_scale if config.recipe else 1.0
    return (*task, *condition, config.loss, scale, *sorted(map(str, config.hyperparameters.items())))


def metrics(config: RunConfig) -> dict[str, float]:
    """Numbers that differ by arm and replicate, baselines below the rest; with every head that any study reads."""
    spread = zlib.crc32(repr(arm(config)).encode()) % 1000 / 1000
    value = 0.2 if config.is_baseline else 0.5 + 0.1 * spread
    value += 0.02 * config.replicate + 0.001 * spread * config.replicate
    names = (
        "map",
        "validation_map",
        "macro_f1",
        "micro_f1",
        "lrap",
        "ranking_loss",
        "map_base",
        "macro_f1_base",
    )
    heads = ("probe",) if config.is_baseline else ("probe", "direct", "projection", "neighbours")
    found = {f"{head}_{name}": value + 0.01 * at for at, head in enumerate(heads) for name in names}
    found["probe_labels_without_positive"] = 0.0
    if not config.is_baseline:
        found |= dict.fromkeys(("uniformity", "tolerance", "tolerance_gap", "penalty_entropy"), value)
        found |= {"effective_rank": 100 * value, "variance_ratio": value, "variance_rank": value}
        found |= {f"gradient_{name}": value for name in ("asl", "reconstruction", "contrastive")}
        found |= {"kappa_underflow": 0.5, "rho_saturated": 0.5}
    return found


HISTORY = [
    {"validation_loss": 2.0, "lost": 100.0, "corrected": 0.0, "corrected_right": 0.0, "unlabelled": 0.0},
    {"validation_loss": 1.0, "lost": 100.0, "corrected": 50.0, "corrected_right": 40.0, "unlabelled": 7.0},
]


BINS = np.stack([np.column_stack([np.arange(1, 11), at * np.arange(1, 11), np.full(10, 5)]) for at in (1, 2)])


class Kept(Run):
    """A run that is kept in memory alone, without resamples, which nothing here depends on."""

    def resamples(self) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """What any study draws."""
        plane = np.zeros((len(task_for(self.config).test), 2))
        return {"reliability": BINS, "plane": plane, "similarities": np.ones((2, representation.BINS))}


TASKS: dict[str, Any] = {}


def task_for(config: RunConfig) -> Any:
    """As the function of that name, which is asked for the same task again and again."""
    key = repr((task(config), config.replicate))
    if key not in TASKS:
        TASKS[key] = execute.task_for(config)
    return TASKS[key]


FACTS = {"steps": 1, "parameters": 1, "probe_at_edge": False, "examples_test": 9}
TIMINGS = {"time_total": 1.0, "time_training": 1.0, "mem_peak_bytes": 1.0}


def runs_of(configs: Sequence[RunConfig]) -> list[Run]:
    """A run of each configuration."""
    return [
        Kept(
            config,
            metrics(config),
            TIMINGS,
            FACTS,
            [] if config.is_baseline else HISTORY,
            {"device": "cpu", "threads": 1},
            Path(),
        )
        for config in configs
    ]


def task(config: RunConfig) -> tuple[Any, ...]:
    """What is learnt on, without the loss."""
    return arm(dataclasses.replace(config, loss="bce", hyperparameters={}, recipe=None))


Lost = Callable[[RunConfig], bool]


def arms_lost(configs: Sequence[RunConfig]) -> Iterator[tuple[str, Lost]]:
    """Each arm in turn, and one replicate of each in turn."""
    for at, each in enumerate(dict.fromkeys(map(arm, configs))):
        yield f"arm {each}", lambda config, each=each: arm(config) == each
        number = at % max(config.replicate + 1 for config in configs if arm(config) == each)
        yield (
            f"replicate {number} of {each}",
            lambda config, each=each, number=number: arm(config) == each and config.replicate == number,
        )


def much_lost(configs: Sequence[RunConfig]) -> Iterator[tuple[str, Lost]]:
    """Each loss and task in turn, and all others; something of everything."""
    for loss in dict.fromkeys(config.loss for config in configs if not config.is_baseline):
        yield f"all but {loss}", lambda config, loss=loss: not config.is_baseline and config.loss != loss
        yield f"all of {loss}", lambda config, loss=loss: config.loss == loss
    for each in dict.fromkeys(map(task, configs)):
        yield f"task {each}", lambda config, each=each: task(config) == each
        yield f"all but task {each}", lambda config, each=each: task(config) != each
        yield (
            f"replicate 1 of task {each}",
            lambda config, each=each: task(config) == each and config.replicate == 1,
        )


def ways(configs: Sequence[RunConfig], single: int, much: int) -> Iterator[tuple[str, Lost]]:
    """Some of the ways to lose runs, drawn with a fixed seed, and those that every study is tried with."""
    arms = list(dict.fromkeys(map(arm, configs)))
    yield "baselines", lambda config: config.is_baseline
    yield "replicate 0 of all", lambda config: config.replicate == 0
    yield "a replicate of each", lambda config: arms.index(arm(config)) % REPLICATES == config.replicate
    first = next(config for config in configs if not config.is_baseline)
    yield f"all of {first.loss}", lambda config: config.loss == first.loss
    yield "replicate 1 of one task", lambda config: task(config) == task(first) and config.replicate == 1
    rng = np.random.default_rng(0)
    for found, count in ((list(arms_lost(configs)), single), (list(much_lost(configs)), much)):
        for at in rng.permutation(len(found))[:count]:
            yield found[at]


def carried_without(runs: list[Run], lost: Lost) -> Carried:
    """The runs of a study of which some have failed."""
    kept = [run for run in runs if not lost(run.config)]
    failures = [(run.config, "diverged", 1.0) for run in runs if lost(run.config)]
    whole = Grid(kept, failures, 0)
    return Carried(whole, whole, Grid([], [], 0), {})


def texts(shown: Any) -> Iterator[str]:
    """All texts of what a cell shows."""
    if isinstance(shown, pd.DataFrame):
        yield from (cell for column in shown for cell in shown[column] if isinstance(cell, str))
    elif hasattr(shown, "data"):
        yield from str(shown.data).splitlines()


@pytest.fixture(autouse=True)
def _tasks_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(tables, "task_for", task_for)
    monkeypatch.setattr(temperature_report, "task_for", task_for)


@pytest.fixture
def frames(monkeypatch) -> dict[str, drawing.Frames]:
    """What would be drawn, by figure: drawing takes long."""
    drawn: dict[str, drawing.Frames] = {}
    monkeypatch.setattr(drawing, "draw", lambda study, name, given: drawn.update({name: given}))
    return drawn


def execution(name: str, results: Path, **given: Any) -> Execution:
    """An execution of a study at the preset smoke, with nothing in its folder."""
    study = studies.get(name)
    parameters = study.resolve({"preset": "smoke", "results": results, **given})
    folder = study.folder(parameters)
    folder.mkdir(parents=True)
    return Execution(study, parameters, folder)


def says_no_number(shown: Shown) -> list[str]:
    return [text for cell in shown for text in texts(cell) if NO_NUMBER.search(text)]


def compare(name: str, whole: pd.DataFrame, less: pd.DataFrame, way: str) -> None:
    """Every effect is as it was, or in its place stands what is not judged, with the reason."""
    for _, row in whole[whole["verdict"] != "not judged"].iterrows():
        now = less[(less["claim"] == row["claim"]) & (less["task"] == row["task"])]
        same = now[(now["arms"] == row["arms"]) & (now["replicates"] == row["replicates"])]
        same = same[np.isclose(same["estimate"].astype(float), row["estimate"])]
        refused = now[(now["verdict"] == "not judged") & (now["reason"] != "")]
        assert len(same) + len(refused), f"{name} without {way}: {row['claim']} on {row['task']}"
    if way == "baselines":  # without the untrained encoder nobody knows what is degenerate
        assert set(less["verdict"]) <= {"not judged"}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_breaks_or_is_judged_on_less_when_runs_are_lost(name, tmp_path, frames):
    kind = KINDS[name]
    study = execution(name, tmp_path, **{"replicates": REPLICATES, **kind.given})
    whole_grid = runs_of(study.study.grid(study.parameters))
    shown, found = kind.show(study, carried_without(whole_grid, lambda config: False))
    assert says_no_number(shown) == []
    assert set(frames) >= set(drawing.drawings(study.study)) - ABSENT
    whole = claims.judged(name, found)
    for way, lost in ways([run.config for run in whole_grid], single=3, much=3):
        try:
            shown, found = kind.show(study, carried_without(whole_grid, lost))
        except Exception as error:
            raise AssertionError(f"{name} without {way}") from error
        assert says_no_number(shown) == [], f"{name} without {way}"
        compare(name, whole, claims.judged(name, found), way)


def test_arms_are_compared_with_baselines_and_each_other_in_the_same_replicates():
    def configs(loss: str, numbers: Sequence[int]) -> list[RunConfig]:
        recipe = None if loss == "random_encoder" else Recipe(epochs=1)
        task = {"dataset": "debtags", "num_labels": 10, "base_labels": 10, "loss": loss, "recipe": recipe}
        return [RunConfig(**task, replicate=number, seed=number) for number in numbers]

    def found(scores: dict[str, dict[int, float]]) -> analysis.Arms:
        made = [
            dataclasses.replace(run, metrics={"probe_map": scores[run.config.loss][run.config.replicate]})
            for loss, by_number in scores.items()
            for run in runs_of(configs(loss, list(by_number)))
        ]
        return analysis.arms(Grid(made, [], 0))

    # the second split is the harder one: the mean of the untrained encoder over both is below that of the loss
    arms = found({"bce": {0: 0.5}, "random_encoder": {0: 0.6, 1: 0.2}})
    trained = next(each for each in arms if each.loss == "bce")
    assert analysis.remark(arms, trained) == "degenerate"

    def placed(scores: dict[str, dict[int, float]]) -> dict[str, str]:
        arms = found(scores)
        return {
            each.loss: word
            for each, word in analysis.standings(arms, "probe", "map", higher_is_better=True).items()
        }

    # losses are ranked in the replicates that all have, however good one looks in another
    assert (
        placed({"bce": {0: 0.5, 1: 0.3}, "reg": {0: 0.6, 1: 0.4}, "msc": {0: 0.55, 2: 0.9}})["reg"] == "best"
    )
    # the one without failures is not out because others have lost the same replicate
    whole, short = dict.fromkeys(range(5), 0.9), dict.fromkeys(range(4), 0.5)
    assert placed({"reg": whole, "bce": short, "asl": dict.fromkeys(range(4), 0.4)})["reg"] == "best"
    # nor does what is run once decide which replicates are compared
    once = {0: 0.99}
    assert placed({"reg": whole, "bce": short, "asl": once, "zlpr": once}) == {
        "reg": "best", "bce": "worse", "asl": "worse", "zlpr": "worse",
    }  # fmt: skip
    # nothing is best where nothing can be compared
    assert set(placed({"bce": {0: 0.5, 1: 0.3}, "reg": {2: 0.6, 3: 0.4}}).values()) == {"worse"}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "02_label_space"])
def test_figures_are_drawn_of_what_is_left(name, tmp_path):
    kind = KINDS[name]
    study = execution(name, tmp_path, **{"replicates": 2, **kind.given})
    whole = runs_of(study.study.grid(study.parameters))
    first = next(arm(run.config) for run in whole if not run.config.is_baseline)
    kind.show(study, carried_without(whole, lambda config: arm(config) == first))
    assert any((study.folder / "figures").glob("*.pdf"))
    plt.close("all")


def test_a_study_of_which_no_training_is_left_stops(tmp_path, monkeypatch):
    study = execution("06_kernel_mixture", tmp_path)
    whole = runs_of(study.study.grid(study.parameters))
    for lost in (lambda config: True, lambda config: not config.is_baseline):
        grid = carried_without(whole, lost).grid
        monkeypatch.setattr(runs, "carry_out", lambda configs, grid=grid, **given: grid)
        with pytest.raises(RuntimeError, match="no training of this study succeeded"):
            analysis.carry_out(study)


def searched(study: Execution, lost: Callable[[int, int], bool]) -> searching.Summary:
    """The Hyperband study with pools of curves that rise to different limits, without those lost (split, number)."""
    rng, kept, failures = np.random.default_rng(0), [], []
    for split, each in enumerate(search_tasks(study.parameters)):
        for number, config in enumerate(pool_runs(study.parameters, each)):
            scores = (0.3 + 0.4 * rng.random()) * (1 - 0.5 ** np.arange(1, study.parameters.epochs + 1))
            history = [{"validation_map": score, "test_map": score + 0.01} for score in scores]
            found = {"direct_validation_map": scores[-1], "direct_map": scores[-1] + 0.01}
            run = Run(config, found, TIMINGS, FACTS, history, {"device": "cpu", "threads": 1}, Path())
            if lost(split, number):
                failures.append((config, "diverged", 1.0))
            else:
                kept.append(run)
    grid = Grid(kept, failures, 0)
    carried = Carried(grid, grid, Grid([], [], 0), {})
    pools = searching.pools(study, carried)
    nothing = search.Evaluation(0, 0, {}, 1, 1, -np.inf, 1, 1.0, error="diverged")
    real = {each: [searching.RealSearch(search.Result("Hyperband", (nothing,)), [None])] for each in pools}
    return searching.Summary(carried, pools, searching.replays(study, pools), real)


@pytest.mark.parametrize(
    ("way", "lost", "left"),
    [
        ("one of the pool", lambda split, number: (split, number) == (0, 0), 2),
        ("all but one of a pool", lambda split, number: split == 0 and number > 0, 2),
        ("all but one of every pool", lambda split, number: number > 0, 2),
        ("a pool", lambda split, number: split == 0, 1),
    ],
)
def test_searches_in_pools_of_which_runs_are_lost(way, lost, left, tmp_path, monkeypatch):
    monkeypatch.setattr(search_report, "task_for", task_for)
    if way != "all but one of a pool":  # drawing takes long
        monkeypatch.setattr(search_report, "draw", lambda study, name, given: None)
    study = execution("05_hyperband", tmp_path, replicates=2, pool=6, replays=3)
    summary = searched(study, lost)
    assert len(summary.pools) == left
    shown = [search_report.pools_table(summary)]
    for show in (
        search_report.plot_learning_curves,
        search_report.correlation_table,
        search_report.plot_incumbents,
        search_report.plot_speed_ups,
        search_report.speed_up_table,
        search_report.confirmation_table,
        search_reading.reading,
        search_report.reviewers_list,
    ):
        shown.append(show(study, summary))
    plt.close("all")
    assert says_no_number(shown) == []
    rows = claims.judged("05_hyperband", search_effects.effects(study, summary))
    assert set(rows["verdict"]) == {"not judged"}
    assert set(rows["reason"]) <= {
        f"{n} splits, 5 are needed".replace("1 splits", "1 split") for n in (1, 2)
    } | {
        "runs have failed on every split",
        "not measured",
    }
    if left == 1:
        ratios = search_reading.speed_ups(study, summary)
        (measured,) = [ratio for key, ratio in ratios.items() if key[1:] == ("tpe", "test")]
        own = rows[(rows["claim"] == "hyperband_bayesian_faster") & (rows["dataset"] == "debtags")].iloc[0]
        assert own["estimate"] == pytest.approx(measured.ratio)
        assert own["remark"].endswith("runs have failed on 1 more split")


def test_the_ledger_names_what_runs_have_failed_of(tmp_path, frames):
    for name in ("01_missing_labels", "04_temperature"):
        kind = KINDS[name]
        study = execution(name, tmp_path)
        grid = study.study.grid(study.parameters)
        failed = {"01_missing_labels": "bce+clml", "04_temperature": "instance"}[name]
        carried = carried_without(runs_of(grid), lambda config, failed=failed: config.loss == failed)
        claims.table(study, kind.show(study, carried)[1])
        analysis.finish(study, carried)
    execution_ = execution("00_claims", tmp_path)
    ledger = ledger_report.read(execution_)
    rows = ledger.rows
    own = rows[(rows["study"] == "01_missing_labels") & (rows["dataset"] == "fashion-scenes")]
    assert "runs have failed: BCE + CLML" in own["reason"].tolist()
    own = rows[(rows["claim"] == "uniformity_falls") & (rows["dataset"] == "debtags")]
    assert len(own) == 2  # one an encoder
    assert own["reason"].str.startswith("runs have failed: Instance, τ").all()
    shown = [ledger_report.sources_table(ledger), ledger_report.overall_table(execution_, ledger)]
    shown += [ledger_report.effects_table(ledger), ledger_report.not_judged_table(ledger)]
    shown += [ledger_report.reading(ledger), ledger_report.reviewers_list(execution_, ledger)]
    assert says_no_number(shown) == []
    assert ledger_report.plot(execution_, ledger) == []


ABSENT = {"base_labels", "matched_frequency", "fractions"}
"""Figures for which the presets here are too small."""
