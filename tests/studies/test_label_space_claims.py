"""What the claims on label spaces are judged by, from made runs."""

from __future__ import annotations

import pytest

from mlcl_utils import studies
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import judgements, published
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

STUDY = studies.get("02_label_space")
VALIDATION = {"bce": 0.50, "cosine_bce": 0.40, "prototype": 0.45, "msc": 0.52, "reg": 0.55}


def judged(folder, leads, *, baseline=0.1, replicates=5):
    """The measured claims, from scores of every loss over those of BCE, by number of labels and share of data."""
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
                    "probe_macro_f1_per_label": value,
                    "own_macro_f1_half": value,
                    "linear_macro_f1_half": value - 0.025,
                    "own_validation_micro_f1_half": VALIDATION.get(loss, baseline),
                    "linear_validation_micro_f1_half": VALIDATION.get(loss, baseline),
                    "probe_ranking_loss": 0.5 - value,
                    "probe_validation_map": VALIDATION.get(loss, baseline),
                }
                runs.append(made.run(folder, config, metrics))
    parameters = STUDY.resolve({"preset": "smoke", "datasets": "debtags", "losses": list(VALIDATION)})
    study = made.execution(STUDY, parameters, folder, runs)
    rows = judgements.of(STUDY.name, study.comparisons)
    assert set(rows["claim"]) == {claim.id for claim in published.of(STUDY.name)}
    return rows[rows["reason"] != "not measured"].set_index("claim")


def test_effects_are_oriented_towards_their_claims(tmp_path):
    ladder = {"prototype": 0.01, "msc": 0.02}
    rows = judged(tmp_path, {(10, 1.0): {"reg": -0.02}, (100, 1.0): {"reg": 0.03, **ladder}})
    assert dict(zip(rows.index, zip(rows["arms"], rows["estimate"], strict=True), strict=True)) == {
        "few_labels": ("BCE − REG", pytest.approx(2)),
        "few_labels_source": ("BCE − REG", pytest.approx(4.5)),
        "many_labels": ("REG − BCE", pytest.approx(3)),
        "many_labels_source": ("REG − BCE", pytest.approx(0.5)),
        "lead_grows": ("REG − BCE", pytest.approx(5)),
        "lead_grows_source": ("REG − BCE", pytest.approx(5)),
        "not_ahead_map": ("BCE − REG", pytest.approx(-3)),
        "not_ahead_ranking_loss": ("BCE − REG", pytest.approx(-3)),
        "optimisation": ("Prototype − Cosine BCE", pytest.approx(1)),
        "interactions": ("REG − Prototype", pytest.approx(2)),
        "reg_ahead": ("REG − MSC", pytest.approx(1)),
    }
    assert {name for name, reading in rows["reading"].items() if reading == "source"} == {
        name for name in rows.index if name.endswith("_source")
    }


def test_verdicts(tmp_path):
    rows = judged(tmp_path, {(10, 1.0): {"reg": -0.03}, (100, 1.0): {"reg": 0.03, "msc": 0.03}})
    assert rows["verdict"].to_dict() == {
        "many_labels": "holds",
        "many_labels_source": "no material effect",
        "few_labels": "holds",
        "few_labels_source": "holds",
        "lead_grows": "holds",
        "lead_grows_source": "holds",
        "not_ahead_map": "opposite",
        "not_ahead_ranking_loss": "opposite",
        "optimisation": "no material effect",
        "interactions": "holds",
        "reg_ahead": "no material effect",
    }


def test_the_fall_with_tenfold_data(tmp_path):
    leads = {(10, 0.01): {"reg": 0.05}, (10, 0.1): {"reg": 0.03}, (10, 1.0): {"reg": 0.01}}
    row = judged(tmp_path, leads).loc["little_data"]
    assert row["estimate"] == pytest.approx(2)
    assert (row["task"], row["arms"]) == ("debtags, 10 labels", "REG − BCE")


def test_an_arm_below_the_untrained_encoder_is_a_remark(tmp_path):
    rows = judged(tmp_path, {(100, 1.0): {"reg": 0.03, "msc": -0.1}}, baseline=0.45)
    assert rows["verdict"]["many_labels"] == "holds"
    assert rows["verdict"]["reg_ahead"] == "holds"
    assert rows["remark"]["reg_ahead"].startswith("below the untrained encoder: MSC −5.0 [")


def test_few_labels_alone_say_nothing_of_many(tmp_path):
    assert set(judged(tmp_path, {(10, 1.0): {"reg": 0.01}}).index) == {"few_labels", "few_labels_source"}


def test_a_main_sweep_whose_runs_have_failed_leaves_its_claims_out(tmp_path):
    rows = judged(tmp_path, {(100, 0.1): {"reg": -0.02}, (100, 0.2): {"reg": 0.03}})
    assert set(rows.index) == {"little_data"}
