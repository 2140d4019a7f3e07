"""What the claims on label spaces are judged by, from made runs."""

from __future__ import annotations

import pytest

from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import claims
from mlcl_utils.studies.label_space import reading
from mlcl_utils.studies.label_space.effects import effects
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

VALIDATION = {"bce": 0.50, "cosine_bce": 0.40, "prototype": 0.45, "msc": 0.52, "reg": 0.55}


def summary(folder, leads, *, fractions=(1.0,), baseline=0.1, replicates=5):
    """Scores of every loss over those of BCE, by size of the label space (and fraction of the data)."""
    runs = []
    for (k, fraction), ahead in leads.items():
        for replicate in range(replicates):
            for loss in (*VALIDATION, "logistic_regression", "random_encoder"):
                config = RunConfig(
                    dataset="debtags",
                    num_labels=k,
                    base_labels=10,
                    replicate=replicate,
                    train_fraction=fraction,
                    loss=loss,
                    seed=replicate,
                    recipe=None if loss in BASELINES else Recipe(epochs=1),
                )
                value = baseline if loss in BASELINES else 0.5 + ahead.get(loss, 0.0)
                value += 0.0002 * replicate
                metrics = {
                    "probe_map": value,
                    "probe_macro_f1": value,
                    "probe_ranking_loss": 0.5 - value,
                    "probe_validation_map": VALIDATION.get(loss, baseline),
                }
                runs.append(made.run(folder, config, metrics))
    return reading.summarise(made.carried(runs))


def by_claim(found):
    return {claim: (several[0].arms, several[0].measured.estimate) for claim, several in found.items()}


def test_effects_are_oriented_towards_their_claims(tmp_path):
    ladder = {"prototype": 0.01, "msc": 0.02}
    found = by_claim(
        effects(summary(tmp_path, {(10, 1.0): {"reg": -0.02}, (100, 1.0): {"reg": 0.03, **ladder}}))
    )
    assert found == {
        "few_labels": ("BCE − REG", pytest.approx(0.02)),
        "many_labels": ("REG − BCE", pytest.approx(0.03)),
        "lead_grows": ("REG − BCE", pytest.approx(0.05)),
        "not_ahead_map": ("BCE − REG", pytest.approx(-0.03)),
        "not_ahead_ranking_loss": ("BCE − REG", pytest.approx(-0.03)),
        "optimisation": ("Prototype − Cosine BCE", pytest.approx(0.01)),
        "interactions": ("REG − Prototype", pytest.approx(0.02)),
        "reg_ahead": ("REG − MSC", pytest.approx(0.01)),
    }


def test_verdicts(tmp_path):
    made_ = summary(tmp_path, {(10, 1.0): {"reg": -0.03}, (100, 1.0): {"reg": 0.03, "msc": 0.03}})
    rows = claims.judged("02_label_space", effects(made_))
    rows = rows[rows["dataset"] == "debtags"].set_index("claim")
    assert rows["verdict"].to_dict() == {
        "many_labels": "holds",
        "few_labels": "holds",
        "lead_grows": "holds",
        "not_ahead_map": "reversed",
        "not_ahead_ranking_loss": "reversed",
        "little_data": "not judged",
        "optimisation": "no material effect",
        "interactions": "holds",
        "reg_ahead": "no material effect",
    }
    # all but the step of the optimisation choose the best of several, and are corrected together
    tested = rows[rows["verdict"] != "not judged"]["corrected_over"].to_dict()
    assert tested.pop("optimisation") == 1
    assert set(tested.values()) == {7}


def test_the_fall_with_tenfold_data(tmp_path):
    leads = {(10, 0.01): {"reg": 0.05}, (10, 0.1): {"reg": 0.03}, (10, 1.0): {"reg": 0.01}}
    (effect,) = effects(summary(tmp_path, leads))["little_data"]
    assert effect.measured.estimate == pytest.approx(0.02)
    assert effect.task == "debtags, 10 labels"


def test_degenerate_arms_are_an_impediment(tmp_path):
    found = effects(summary(tmp_path, {(100, 1.0): {"reg": 0.03, "msc": -0.1}}, baseline=0.45))
    assert found["many_labels"][0].impediment == ""
    assert found["reg_ahead"][0].impediment == "degenerate: MSC"
    rows = claims.judged("02_label_space", found).query("claim == 'reg_ahead' and dataset == 'debtags'")
    assert rows["verdict"].tolist() == ["not judged"]
    assert rows["reason"].tolist() == ["degenerate: MSC"]


def test_few_labels_alone_say_nothing_of_many(tmp_path):
    assert set(effects(summary(tmp_path, {(10, 1.0): {"reg": 0.01}}))) == {"few_labels"}


def test_a_main_sweep_whose_runs_have_failed_leaves_its_claims_out(tmp_path):
    found = effects(summary(tmp_path, {(100, 0.1): {"reg": -0.02}, (100, 0.2): {"reg": 0.03}}))
    assert set(found) == {"little_data"}
