"""The temperature study: its grid, its learning rates, and the comparisons that its claims and tables rest on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import data, losses, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, Run, RunConfig
from mlcl_utils.runs import config as run_config
from mlcl_utils.studies import judgements, sentences, tables, tuning
from mlcl_utils.studies.execution import Execution, begin
from mlcl_utils.studies.runs import Trained
from mlcl_utils.studies.temperature import RATE_FACTORS, WITH_TEMPERATURE, variant, views
from mlcl_utils.studies.temperature.measures import PUBLISHED_RANGE, TUNING, sweeps
from mlcl_utils.training import BASELINES, Recipe
from tests.data.test_user_sets import write_features, write_table
from tests.studies import losing, made

STUDY = studies.get("04_temperature")
TAUS = (0.07, 0.1, 0.3, 1.0)


def grid(**given):
    return STUDY.grid(STUDY.resolve(given))


def test_what_is_trained_where():
    configs = grid(preset="standard")
    assert len({config.id for config in configs}) == len(configs)
    found = {
        (c.dataset, c.encoder, c.loss, variant(c), c.hyperparameters["temperature"])
        for c in configs
        if not c.is_baseline
    }
    taus = set(STUDY.resolve({"preset": "standard"}).temperatures)
    places = {("debtags", "frozen"), ("debtags", "static"), ("emoji", "frozen"), ("emoji", "last_stage")}
    expected = {(*place, "instance", "", t) for place in places for t in taus}
    expected |= {(d, e, "instance", "hard", t) for d, e in places if e != "frozen" for t in taus}
    expected |= {("debtags", "frozen", "reg", "", t) for t in taus}
    expected |= {("debtags", "frozen", "instance", "scaled", t) for t in taus - {1.0}}
    assert found == expected
    scaled = {
        c.hyperparameters["temperature"]: c.recipe.loss_scale for c in configs if variant(c) == "scaled"
    }
    assert all(scale == temperature for temperature, scale in scaled.items())
    assert all(config.read_projection != config.is_baseline for config in configs)


def test_known_losses_are_those_with_a_temperature():
    found = {name for name in losses.names() if "temperature" in losses.info(name).hyperparameters}
    assert set(WITH_TEMPERATURE) <= found - {"kmcl"}  # kmcl has no projection to read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"losses": ["bce"]}, "loss 'bce' has no temperature"),
        ({"losses": ["splc+clml"]}, r"loss 'splc\+clml' has no temperature"),
        ({"temperatures": [0.1]}, "at least two"),
        ({"temperatures": [0.1, 0.0]}, "temperatures"),
        ({"hard_fraction": 0}, "hard_fraction"),
        ({"trials": 4}, "trials 4: there are 3 learning rates"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_each_temperature_has_its_learning_rate_and_the_control_that_of_the_plain_loss(tmp_path):
    configs = grid(preset="smoke", replicates=1, trials=3)
    trials = tuning.trials(configs, 3, TUNING)
    assert {config.replicate for config in trials} == {0}
    assert {variant(config) for config in trials} == {"", "hard"}
    assert {variant(config) for config in tuning.trials(configs[::-1], 1, TUNING)} == {"", "hard"}
    by_arm: dict = {}
    for config in trials:
        by_arm.setdefault(TUNING.task(config), []).append(config)
    for several in by_arm.values():
        usual = Recipe.of(several[0].encoder, epochs=1)
        found = [(each.recipe.learning_rate, each.recipe.table_rate) for each in several]
        assert found == [(factor * usual.learning_rate, factor * usual.table_rate) for factor in RATE_FACTORS]
    assert tuning.trials(configs, 2, TUNING) == [each for several in by_arm.values() for each in several[:2]]

    # the best of each is another one: the higher the temperature, the higher the rate
    def score(config):
        wanted = {0.07: 1.0, 1.0: 4.0}[config.hyperparameters["temperature"]]
        factor = config.recipe.learning_rate / Recipe.of(config.encoder, epochs=1).learning_rate
        return 0.5 - abs(np.log(factor / wanted)) / 10

    runs = [made.run(tmp_path, config, {"probe_validation_map": score(config)}) for config in trials]
    choices = tuning.choose(Grid(runs, [], 0), trials, TUNING)
    tuned = tuning.tuned(configs, choices, TUNING)
    assert [config.is_baseline for config in tuned] == [config.is_baseline for config in configs]
    for before, after in zip(configs, tuned, strict=True):
        if before.is_baseline:
            assert after == before
            continue
        factor = 4.0 if before.hyperparameters["temperature"] == 1 else 1.0
        assert after.recipe.learning_rate == pytest.approx(factor * before.recipe.learning_rate)
        assert after.recipe.table_rate == pytest.approx(factor * before.recipe.table_rate)
        assert after.recipe.loss_scale == before.recipe.loss_scale
    edges = {key[2]: choice.at_edge for key, choice in choices.items()}
    assert edges["Instance, τ 1"] == ("learning_rate",)
    assert edges["Instance, τ 0.07"] == ()
    assert all(choice.default <= choice.score for choice in choices.values())


AS_RULE_1 = {
    "preset": "standard",
    "encoders": ["frozen", "bag", "cnn"],
    "epochs": 20,
    "temperatures": [0.02, 0.07, 0.3, 0.7, 1.0],
    "replicates": 5,
}
FIRST_SPLIT = dataclasses.replace(TUNING, splits=(0,))
PUBLISHED = STUDY.folder(STUDY.resolve({"preset": "standard"}))


@pytest.fixture
def published(monkeypatch) -> tuple[Trained, set[str]]:
    """The published runs, chosen anew from the published trials; and the ids of all that were published."""
    rows = pd.read_csv(PUBLISHED / "runs.csv").set_index("run")

    def run(config: RunConfig) -> Run:
        return losing.Kept(config, rows.loc[config.id].dropna().to_dict(), {}, {}, [], {}, Path())

    # by the trainer of then, on examples that have one of the ten most frequent labels
    monkeypatch.setattr(run_config, "TRAINER_VERSION", 3)
    configs = [dataclasses.replace(config, base_labels=10) for config in STUDY.runs(STUDY.resolve(AS_RULE_1))]
    asked = tuning.trials(configs, 3, FIRST_SPLIT)
    trials = Grid([run(config) for config in asked], [], 0)
    choices = tuning.choose(trials, asked, FIRST_SPLIT)
    chosen = Grid([run(config) for config in tuning.tuned(configs, choices, TUNING)], [], 0)
    return Trained(chosen, trials, choices=choices, how=TUNING), set(rows.index)


def test_the_published_runs_and_choices_come_out_of_the_published_trials(published):
    trained, ids = published
    assert {run.config.id for part in trained.parts.values() for run in part.runs} == ids
    table = pd.read_csv(PUBLISHED / "tables" / "choices.csv", keep_default_na=False)
    keys = ["dataset", "encoder", "loss", "num_labels"]
    rows = table.set_index(keys).to_dict("index")
    assert rows.keys() == trained.choices.keys()
    for task, choice in trained.choices.items():
        row = rows[task]
        assert choice.values == {"learning_rate": row["learning_rate"]}
        assert (choice.score, choice.default) == (row["validation_map"], row["default_validation_map"])
        assert (", ".join(choice.at_edge), choice.trials) == (row["at_edge"], row["trials"])


def test_the_published_effects_come_out_of_the_published_runs(published, tmp_path):
    """Those over the original range are what the published results have beside those over all temperatures."""
    study = Execution(STUDY, STUDY.resolve(AS_RULE_1), tmp_path)
    study.trained, _ = published
    views.all_temperatures(study)
    keys = ["task", "measured"]
    found = pd.read_csv(tmp_path / "tables" / "all_temperatures.csv").set_index(keys)
    stored = pd.read_csv(PUBLISHED / "tables" / "source_range.csv").set_index(keys)
    assert found.index.tolist() == stored.index.tolist()
    for now, before in (("estimate", "source_estimate"), ("all_estimate", "estimate")):
        np.testing.assert_allclose(found[now], stored[before], rtol=1e-9, atol=1e-12)
    rows = judgements.of(STUDY.name, study.comparisons)
    law = rows[rows["claim"].isin(["uniformity_falls", "tolerance_rises", "hard_negatives_uniform"])]
    size = rows[rows["claim"] == "uniformity_size"]
    assert (len(law), len(size)) == (10, 4)
    assert law["verdict"].tolist().count("holds") == 8
    assert size["verdict"].tolist() == [
        "no material effect",
        "holds",
        "holds",
        "holds",
    ]  # frozen debtags first


def test_a_study_that_tunes_its_own_way_is_run(tmp_path):
    """Trials of two rates at two temperatures; the control is not tried, and no default is run besides."""
    write_table(tmp_path, 120)
    write_features(data.load("notes.csv", tmp_path), tmp_path)
    own = {"datasets": "notes.csv", "data_root": str(tmp_path), "results": str(tmp_path / "results")}
    small = {"losses": ["reg"], "encoders": "frozen", "num_labels": 3, "trials": 2, "workers": 1}
    study = begin(STUDY, {"preset": "smoke", **own, **small})
    rows = study.run()
    trained = study.trained
    assert (len(trained.trials.runs), len(trained.choices)) == (4, 2)
    assert set(rows["column"]) == {"trial", "tuned"}
    own = {
        (variant(run.config), run.config.hyperparameters["temperature"]): run.config.recipe
        for run in trained.grid.runs
        if not run.config.is_baseline
    }
    assert own.keys() == {("", 0.07), ("", 1.0), ("scaled", 0.07)}
    rates = {key: recipe.learning_rate for key, recipe in own.items()}
    assert rates["scaled", 0.07] == rates["", 0.07]
    table = tables.choices(study).reset_index().set_index("loss")
    assert table["learning rate"].to_dict() == {f"REG, τ {t:g}": f"{rates['', t]:.3g}" for t in (0.07, 1.0)}
    assert "default test map" not in table
    assert "The learning rate from 0.25, 1, 4 times the recipe's for each of 2 combinations" in str(
        views.checklist(study).data
    )


def made_study(folder, *, scores, uniformity, hard=None, scaled=0.0, baseline=0.1, replicates=5, taus=TAUS):
    """Instance discrimination on `bag` with given scores and uniformity by temperature; tolerance is 1 minus it."""

    def config(loss, replicate, **more):
        recipe = None if loss in BASELINES else Recipe(epochs=1)
        given = {
            "dataset": "debtags",
            "num_labels": 10,
            "base_labels": 10,
            "encoder": "bag",
            "recipe": recipe,
        }
        return RunConfig(**given | {"loss": loss, "replicate": replicate, "seed": replicate} | more)

    runs = []
    for replicate in range(replicates):
        wobble = 0.0005 * replicate
        for at, temperature in enumerate(taus):
            own = {"temperature": temperature}

            def metrics(score, spread, wobble=wobble):
                heads = {f"{head}_map": score + wobble for head in ("probe", "projection", "neighbours")}
                heads |= {"projection_map": 0.5 + 2 * (score - 0.5) + wobble}
                return {
                    **heads,
                    "probe_macro_f1": score,
                    "probe_validation_map": score,
                    "uniformity": spread + 3 * wobble,
                    "tolerance": 1 - spread / 4 + wobble,
                    "tolerance_gap": 0.1,
                    "effective_rank": 9.0,
                    "penalty_entropy": 2.0,
                }

            plain = config("instance", replicate, hyperparameters=own)
            runs.append(made.run(folder, plain, metrics(scores[at], uniformity[at])))
            if hard is not None:
                nearest = config("instance", replicate, hyperparameters={**own, "hard_fraction": 0.1})
                runs.append(made.run(folder, nearest, metrics(scores[at], hard[at])))
            if temperature != 1:
                changed = dataclasses.replace(
                    plain, recipe=dataclasses.replace(plain.recipe, loss_scale=temperature)
                )
                runs.append(made.run(folder, changed, metrics(scores[at] + scaled, uniformity[at])))
        for loss in ("logistic_regression", "random_encoder"):
            runs.append(made.run(folder, config(loss, replicate), {"probe_map": baseline + wobble}))
    given = {"preset": "smoke", "encoders": "bag", "temperatures": taus, "replicates": replicates}
    (folder / "results").mkdir()
    return made.execution(STUDY, STUDY.resolve(given), folder / "results", runs)


AS_PUBLISHED = {
    "scores": (0.40, 0.45, 0.55, 0.50),
    "uniformity": (3.8, 3.6, 3.4, 2.9),
    "hard": (3.8, 3.79, 3.78, 3.75),
}
OPPOSITE = {
    "scores": (0.55, 0.548, 0.54, 0.50),
    "uniformity": (2.9, 3.2, 3.4, 3.8),
    "hard": (3.8, 3.2, 2.9, 2.0),
}


def verdicts(study):
    rows = judgements.of("04_temperature", study.comparisons)
    return rows[rows["dataset"] == "debtags"].groupby("claim")["verdict"].agg(list).to_dict()


def estimates(study, name):
    """What is compared under a name -> its result."""
    rows = study.comparisons[study.comparisons["name"] == name]
    assert set(rows["task"]) <= {"debtags, 10 labels, bag"}
    return dict(zip(rows["compared"], rows["estimate"], strict=True))


def test_verdicts_follow_the_numbers(tmp_path):
    assert verdicts(made_study(tmp_path / "a", **AS_PUBLISHED)) == {
        "uniformity_falls": ["holds"],
        "uniformity_size": ["holds"],
        "tolerance_rises": ["holds"],
        "intermediate_best": ["holds", "holds"],
        "hard_negatives_uniform": ["holds"],
    }
    assert verdicts(made_study(tmp_path / "b", **OPPOSITE)) == {
        "uniformity_falls": ["opposite"],
        "uniformity_size": ["opposite"],
        "tolerance_rises": ["opposite"],
        "intermediate_best": ["no material effect", "holds"],  # the lowest temperature is a little better
        "hard_negatives_uniform": ["opposite"],
    }


def test_geometry_is_not_judged_by_accuracy(tmp_path):
    study = made_study(tmp_path, baseline=0.45, **AS_PUBLISHED)
    found = verdicts(study)
    # the arm at the lowest temperature is below the untrained encoder
    assert found["intermediate_best"] == ["holds", "holds"]
    assert found["uniformity_falls"] == ["holds"]
    flags = study.comparisons.groupby("name")["flag"].agg(list)
    assert flags["uniformity_falls"][0].startswith("below the untrained encoder: Instance −5.0 [")


def test_geometry_needs_dimensions_temperatures_and_a_loss_that_fell(tmp_path):
    study = made_study(tmp_path / "a", **AS_PUBLISHED)
    learnt = [{"train_loss": 2.0}, {"train_loss": 1.0}]

    def changed(history, temperature, **metrics):
        runs = [
            dataclasses.replace(
                run,
                history=history if run.config.hyperparameters.get("temperature") == temperature else learnt,
                metrics={**run.metrics, **metrics},
            )
            for run in study.trained.grid.runs
        ]
        return made.execution(STUDY, study.parameters, study.folder, runs)

    def reasons(changed):
        rows = changed.comparisons.set_index("name")["reason"]
        return [rows[name] for name in ("uniformity_falls", "uniformity_size", "tolerance_rises")]

    assert reasons(changed(learnt, 0.3)) == [""] * 3
    assert reasons(changed(learnt[::-1], 0.3)) == ["the loss did not fall in training at τ 0.3"] * 3
    assert reasons(changed(learnt, 0.3, effective_rank=1.5)) == ["effective rank below 2: Instance"] * 3
    few = {name: values[1:] for name, values in AS_PUBLISHED.items()}
    rows = made_study(tmp_path / "b", taus=TAUS[1:], **few).comparisons.set_index("name")
    assert rows["reason"]["uniformity_falls"] == "fewer than 4 temperatures of the original range"
    assert "uniformity_size" not in rows.index


def test_every_comparison_follows_the_numbers(tmp_path):
    study = made_study(tmp_path / "a", scaled=0.03, **AS_PUBLISHED)
    assert estimates(study, "uniformity_falls") == {"−ρ(τ, uniformity)": pytest.approx(1)}
    assert estimates(study, "tolerance_rises") == {"ρ(τ, tolerance)": pytest.approx(1)}
    assert estimates(study, "intermediate_best") == {
        "best τ 0.3 − lowest τ 0.07": pytest.approx(15),
        "best τ 0.3 − highest τ 1": pytest.approx(5),
    }
    assert estimates(study, "ranges_of_map") == {
        "representation": pytest.approx(15),
        "projection": pytest.approx(30),
        "projection − representation": pytest.approx(15),
    }
    assert estimates(study, "geometry") == {
        "range of plain": pytest.approx(0.9),
        "range of hard": pytest.approx(0.05),
    }
    assert estimates(study, "hard_negatives_uniform") == {
        "range of plain − range of hard": pytest.approx(0.85)
    }
    assert estimates(study, "scaled") == {
        f"Instance times τ, τ {t:g} − Instance": pytest.approx(3) for t in TAUS[:-1]
    }
    assert set(study.comparisons["dataset"]) == {"debtags"}

    study = made_study(tmp_path / "b", **OPPOSITE)
    assert estimates(study, "uniformity_falls") == {"−ρ(τ, uniformity)": pytest.approx(-1)}
    assert estimates(study, "intermediate_best") == {
        "best τ 0.1 − lowest τ 0.07": pytest.approx(-0.2),
        "best τ 0.1 − highest τ 1": pytest.approx(4.8),
    }
    assert estimates(study, "hard_negatives_uniform") == {
        "range of plain − range of hard": pytest.approx(-0.9)
    }


def test_the_claims_are_about_instance_discrimination(tmp_path):
    study = made_study(tmp_path, **AS_PUBLISHED)
    others = [
        Run(
            dataclasses.replace(run.config, loss="reg"),
            run.metrics,
            run.timings,
            run.facts,
            [],
            {},
            run.folder,
        )
        for run in study.trained.grid.runs
        if run.config.loss == "instance" and not variant(run.config)
    ]
    whole = Grid([*study.trained.grid.runs, *others], [], 0)
    study.trained = Trained(whole)
    rows = study.comparisons
    assert set(rows.loc[rows["loss"] == "reg", "name"]) == {"geometry", "best", "ranges_of_map"}
    own = rows[(rows["loss"] == "reg") & rows["name"].isin(["geometry", "best"])]
    claims = ["uniformity_falls", "uniformity_size", "tolerance_rises", "intermediate_best"]
    claimed = rows[rows["name"].isin(claims)]
    assert own[["compared", "estimate"]].values.tolist() == claimed[["compared", "estimate"]].values.tolist()
    assert (own["verdict"] == "").all()


def test_temperatures_are_ranked_within_a_loss(tmp_path):
    study = made_study(tmp_path, scaled=0.2, **AS_PUBLISHED)
    rows = study.scores.query("head == 'probe' and metric == 'map'")
    best = rows[rows["rank"] == "best"]
    assert sorted(zip(best["variant"], best["temperature"], strict=True)) == [
        ("", 0.3),
        ("hard", 0.3),
        ("scaled", 0.3),
    ]
    assert set(rows.loc[rows["loss"].isin(BASELINES), "rank"]) == {"worse"}
    table = views.results(study)
    assert table.index.tolist() == [
        *(f"Instance, τ {t:g}" for t in TAUS),
        *(f"Instance, hard negatives, τ {t:g}" for t in TAUS),
        *(f"Instance, times τ, τ {t:g}" for t in TAUS[:-1]),
        "Logistic regr.",
        "Random encoder",
    ]
    assert [head for _, head in table] == ["probe", "projection", "neighbours"]


def test_claims_are_judged_over_the_original_range(tmp_path):
    """Uniformity collapses at 0.02 alone: the trend over all is lost, that of the paper's temperatures is not."""
    collapsing = {
        "taus": (0.02, 0.07, 0.3, 0.7, 1.0),
        "scores": (0.60, 0.55, 0.57, 0.55, 0.50),
        "uniformity": (2.0, 3.8, 3.4, 3.0, 2.9),
        "hard": (2.0, 3.8, 3.8, 3.79, 3.78),
    }
    study = made_study(tmp_path, **collapsing)
    assert views.PUBLISHED["temperature"].min() == PUBLISHED_RANGE[0]
    assert verdicts(study) == {
        "uniformity_falls": ["holds"],
        "uniformity_size": ["holds"],
        "tolerance_rises": ["holds"],
        "intermediate_best": ["holds", "holds"],
        "hard_negatives_uniform": ["holds"],
    }
    views.all_temperatures(study)
    rows = pd.read_csv(study.folder / "tables" / "all_temperatures.csv").set_index("measured")
    assert rows.index.tolist() == ["−ρ(τ, uniformity)", "ρ(τ, tolerance)", "range of plain − range of hard"]
    assert rows["estimate"].tolist() == pytest.approx([1.0, 1.0, 0.88])
    assert rows["all_estimate"].tolist() == pytest.approx([0.0, 0.0, 0.0])
    assert rows["turns"].all()
    assert rows["reason"].isna().all()


def test_where_all_temperatures_are_the_original_papers_nothing_is_beside(tmp_path):
    study = made_study(tmp_path, **AS_PUBLISHED)
    assert estimates(study, "all_temperatures") == {}
    assert views.all_temperatures(study) is None


def test_a_bound_of_a_correlation_stays_a_correlation(tmp_path):
    study = made_study(tmp_path, **AS_PUBLISHED)
    plain = next(sweep for key, sweep in sweeps(study).items() if not key["variant"])
    study.arms[plain[0.1]][0].metrics["uniformity"] = 3.3  # below that at 0.3, in one replicate
    (row,) = study.comparisons.query("name == 'uniformity_falls'").to_dict("records")
    assert row["estimate"] == pytest.approx((0.8 + 4) / 5)
    assert row["upper"] == row["replicate_upper"] == 1


def test_nothing_rests_on_a_sweep_that_lost_a_replicate(tmp_path):
    study = made_study(tmp_path, **AS_PUBLISHED)
    plain = next(sweep for key, sweep in sweeps(study).items() if not key["variant"])
    lost = study.arms[plain[0.3]][2]
    silent = made.execution(
        STUDY, study.parameters, study.folder, [run for run in study.trained.grid.runs if run is not lost]
    )
    claimed = {claim for claim, found in verdicts(study).items() if found} - {"uniformity_size"}
    assert not claimed & set(silent.comparisons["name"])
    assert set(silent.comparisons.query("name == 'scaled'")["temperature"]) == {0.07, 0.1}

    known = made.execution(STUDY, study.parameters, study.folder, silent.trained.grid.runs)
    whole = dataclasses.replace(known.trained.grid, failures=[(lost.config, "diverged", 1.0)])
    known.trained = Trained(whole)
    rows = known.comparisons[known.comparisons["name"].isin(claimed)]
    assert len(rows) == 4
    assert rows["estimate"].isna().all()
    assert set(rows["reason"]) == {"runs have failed: Instance τ 0.3"}
    assert rows.set_index("name")["compared"]["intermediate_best"] == "best τ − both ends"


def test_a_weak_trend_is_shown_as_it_is(tmp_path):
    study = made_study(tmp_path, scores=(0.4, 0.5, 0.5, 0.4), uniformity=(3.0, 3.6, 3.4, 3.2))
    assert estimates(study, "uniformity_falls") == {"−ρ(τ, uniformity)": pytest.approx(-0.2)}


def test_a_constant_has_no_trend(tmp_path):
    study = made_study(tmp_path, scores=(0.4, 0.5, 0.5, 0.4), uniformity=(3.0, 3.0, 3.0, 3.0))
    assert estimates(study, "uniformity_falls") == {}
    assert estimates(study, "ranges_of_map")["representation"] == pytest.approx(10)


def test_the_headline_is_about_the_best_temperature():
    found = sentences.finding(STUDY, PUBLISHED)
    assert found.figure in views.FIGURES
    assert [line.head for line in found.lines] == ["An intermediate temperature is not best everywhere."]
