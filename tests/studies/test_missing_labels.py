"""The study of missing labels: its grid, the contrasts, and a reading that follows the numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import losses, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import claims, drawing, tuning
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.missing_labels import BASE_LOSSES, published_weight, weight_of
from mlcl_utils.studies.missing_labels.measures import (
    Summary,
    additions,
    corrections,
    costs,
    effects,
    summarise,
)
from mlcl_utils.studies.missing_labels.reading import sentences
from mlcl_utils.training import BASELINES, Recipe
from tests.studies import made

STUDY = studies.get("01_missing_labels")


def grid(**given) -> list[RunConfig]:
    return STUDY.grid(STUDY.resolve(given))


def test_every_loss_is_there_with_and_without_clml_and_the_controls_at_the_reference():
    configs = grid(preset="standard")
    assert len({config.id for config in configs}) == len(configs)
    assert len(configs) <= 500
    found: dict = {}
    for config in configs:
        if config.replicate == 1 and config.dataset == "debtags" and not config.is_baseline:
            key = (config.kept_share, config.one_positive, config.clean_validation)
            found.setdefault(key, set()).add((config.loss, weight_of(config)))
    swept = {("bce", 0), ("bce+clml", 1), ("splc", 0), ("splc+clml", 1)}
    for condition in ((1.0, False, False), (0.75, False, False), (0.2, False, False), (1.0, True, False)):
        assert found.pop(condition) == swept
    assert found.pop((0.4, False, True)) == {("bce", 0), ("bce+clml", 1)}
    others = {
        (f"{name}{added}", at) for name in ("focal", "asl", "hill") for added, at in (("", 0), ("+clml", 1))
    }
    heavier = {(f"bce+{term}", weight) for term in ("clml", "norm_penalty") for weight in (1, 10, 100)}
    assert found.pop((0.4, False, False)) == swept | others | heavier | {("corrected_bce", 0)}
    assert not found
    for config in configs:
        assert config.seed == config.replicate
        if config.recipe is not None and config.recipe.epochs:
            assert config.recipe.learning_rate == 5e-4
        if "clml" in config.hyperparameters and weight_of(config) == 1:
            assert (
                config.hyperparameters["clml"]["weight"]
                == published_weight(config.recipe.batch_size)
                == 1 / 256
            )


def test_every_condition_has_the_baselines_that_mark_its_arms():
    found: dict = {}
    for config in grid(preset="quick"):
        place = (
            config.dataset,
            config.replicate,
            config.kept_share,
            config.one_positive,
            config.clean_validation,
        )
        found.setdefault(place, set()).add(config.loss)
    assert len(found) == 2 * 2 * 3
    assert all({"bce", "logistic_regression", "random_encoder"} <= names for names in found.values())
    shuffled = {place for place, names in found.items() if "shuffled_labels" in names}
    assert shuffled == {(name, 0, 0.4, False, False) for name in ("fashion-scenes", "debtags")}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"losses": ["bce", "reg"]}, "loss 'reg' is no base loss on logits"),
        ({"losses": ["bce+clml"]}, r"loss 'bce\+clml' is no base loss"),
        ({"swept": ["focal"]}, "swept 'focal' is not among losses"),
        ({"reference_share": 0.5}, "reference_share 0.5 is not among kept_shares"),
        ({"kept_shares": [0.4, 0]}, "kept_shares"),
        ({"clml_weights": [-1]}, "clml_weights"),
        ({"one_positive": "perhaps"}, "one_positive"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_tuning_is_done_at_the_reference_and_varies_both_parts_of_a_sum_alike():
    tried = tuning.trials(
        grid(preset="quick", trials=4, datasets="fashion-scenes", losses=["bce", "splc"]), 4
    )
    assert {(config.kept_share, config.clean_validation, config.replicate) for config in tried} == {
        (0.4, False, 0)
    }
    by_task: dict = {}
    for config in tried:
        by_task.setdefault(tuning.task(config), []).append(config)
    assert {len(several) for several in by_task.values()} == {4}
    assert ("fashion-scenes", "frozen", "bce+clml (clml.weight 0.0390625)", 10) in by_task
    both = by_task["fashion-scenes", "frozen", "splc+clml (clml.weight 0.00390625)", 10]
    assert {config.hyperparameters["clml"]["weight"] for config in both} == {1 / 256}
    alone = by_task["fashion-scenes", "frozen", "splc", 10]
    assert [config.recipe for config in both] == [config.recipe for config in alone]
    assert [config.hyperparameters["splc"]["gamma"] for config in both[1:]] == [
        config.hyperparameters["gamma"] for config in alone[1:]
    ]
    gammas = [config.hyperparameters["splc"]["gamma"] for config in both if "splc" in config.hyperparameters]
    assert len(gammas) == 3
    assert set(gammas) <= set(tuning.LOSS_SPACE["gamma"])
    names = set(tuning.space("splc")), set(tuning.space("splc+clml"))
    assert {name.removeprefix("splc.") for name in names[1]} == names[0]


def made_summary(
    folder: Path,
    *,
    clml: float = 0.02,
    heavy: float = -0.01,
    norm: float = 0.0,
    alone: float = 0.03,
    oracle: float = 0.05,
    rank: float = 10.0,
    right: float = 0.9,
    baseline: float = 0.3,
    replicates: int = 5,
    datasets: str = "debtags",
) -> Summary:
    """BCE at 60% with all positives, at 50% with 40% of them; what each addition changes there."""
    parameters = STUDY.resolve(
        {
            "preset": "smoke",
            "datasets": datasets,
            "losses": "bce",
            "clml_weights": [1, 10],
            "replicates": replicates,
        }
    )
    runs = []
    for config in STUDY.grid(parameters):
        value = 0.5 if config.kept_share < 1 else 0.6
        base, _, term = config.loss.partition("+")
        if config.loss in BASELINES:
            value = baseline
        elif config.loss == "corrected_bce":
            value += alone
        elif term == "norm_penalty":
            value += norm
        elif term == "clml":
            value += clml if weight_of(config) == 1 else heavy
        value += 0.001 * config.replicate
        f1 = value + (oracle if config.clean_validation else 0.0)
        metrics = {
            f"probe_{name}": value for name in ("map", "validation_map", "micro_f1", "lrap", "ranking_loss")
        }
        metrics |= {"probe_macro_f1": f1, "effective_rank": 100 + (rank if term == "clml" else 0.0)}
        if base == "bce":  # the own head is behind on validation and far ahead on test, which must not matter
            metrics |= {"direct_map": 0.9, "direct_validation_map": 0.1, "direct_macro_f1": 0.9}
        run = made.run(folder, config, metrics)
        if term or config.loss == "corrected_bce":
            found = {"lost": 100.0, "corrected": 50.0, "corrected_right": 50 * right, "unlabelled": 7.0}
            nothing = dict.fromkeys(found, 0.0) | {"lost": 100.0}
            run = dataclasses.replace(run, history=[nothing, found])
        runs.append(run)
    return summarise(made.carried(runs), parameters)


def said(summary: Summary, *words: str) -> str:
    """The one sentence with all of some words."""
    (line,) = [line for line in sentences(summary) if all(word in line for word in words)]
    return line


def test_default_configurations_stand_beside_tuned_ones(tmp_path):
    tuned, default = made_summary(tmp_path / "a"), made_summary(tmp_path / "b", clml=-0.01)
    line = said(dataclasses.replace(tuned, untuned=default.arms), "default configuration")
    assert "-1.0 to -1.0 points" in line
    assert line.endswith("hangs on that for BCE (40% kept).")
    same = said(dataclasses.replace(tuned, untuned=tuned.arms), "default configuration")
    assert same.endswith("+2.0 to +2.0 points.")
    assert not any("default configuration" in line for line in sentences(tuned))  # where nothing was tuned


def test_contrasts_are_paired_and_read_with_the_head_that_validation_prefers(tmp_path):
    summary = made_summary(tmp_path, datasets="debtags,fashion-scenes")
    found = {(each.first.dataset, each.first["kept_share"]): each for each in additions(summary, "map")}
    assert set(found) == {(name, share) for name in ("debtags", "fashion-scenes") for share in (0.4, 1.0)}
    for each in found.values():
        assert each.heads == ("probe", "probe")
        assert each.interval.estimate == pytest.approx(0.02)
        assert each.label == "BCE + CLML − BCE"
    heavier = [each for each in additions(summary, "map", every_weight=True) if each.first.setting]
    assert [each.first.setting for each in heavier] == ["×10"] * 2
    assert heavier[0].interval.estimate == pytest.approx(-0.01)
    lost = {each.first.loss: each.interval.estimate for each in costs(summary, "map")}
    assert lost == pytest.approx({"bce": -0.1, "bce+clml": -0.1})


def test_the_reading_follows_the_numbers(tmp_path):
    helped = made_summary(tmp_path / "a")
    assert "raises that of BCE (40% kept): +2.0" in said(helped, "debtags: at the published weight")
    assert "BCE -10.0" in said(helped, "debtags: against training with all positives")
    assert "validation prefers weight ×1; " in said(helped, "debtags", "beside BCE")
    assert "ahead at ×1" in said(helped, "debtags: CLML beside a plain norm")
    assert "behind at ×10" in said(helped, "debtags: CLML beside a plain norm")
    alone = said(helped, "debtags", "the label correction alone")
    assert "raises the mAP of BCE (+3.0" in alone
    assert "BCE with CLML is behind it (-1.0" in alone
    assert "+5.0" in said(helped, "debtags, oracle")
    assert "110 from 100, up" in said(helped, "debtags", "effective rank")
    found = said(helped, "debtags, correction after the last epoch")
    assert "a lower bound" in found
    assert "BCE + CLML finds 45% of the lost positives, right in 90%" in found
    assert not any("no verdict" in line for line in sentences(helped))

    hurt = made_summary(
        tmp_path / "b", clml=-0.02, heavy=-0.03, norm=-0.02, alone=-0.01, oracle=0.0, rank=-5.0, right=0.5
    )
    assert "lowers that of BCE (40% kept): -2.0" in said(hurt, "debtags: at the published weight")
    assert "validation prefers no CLML; " in said(hurt, "debtags", "beside BCE")
    assert "not told apart at ×1" in said(hurt, "debtags: CLML beside a plain norm")
    assert "lowers the mAP of BCE (-1.0" in said(hurt, "debtags", "the label correction alone")
    assert "95 from 100, down" in said(hurt, "debtags", "effective rank")
    assert "finds 25% of the lost positives, right in 50%" in said(hurt, "debtags, correction")

    level = made_summary(tmp_path / "c", clml=0.0, replicates=2, datasets="fashion-scenes")
    assert "does not clearly change that of BCE" in said(level, "fashion-scenes: at the published weight")
    assert "a lower bound" not in said(level, "fashion-scenes, correction after the last epoch")
    assert "2 replicates" in said(level, "no verdict")


def test_arms_below_a_baseline_are_counted_and_carry_no_verdict(tmp_path):
    fine = made_summary(tmp_path / "a")
    assert "0 of 10 trained arms are below the untrained encoder" in said(fine, "Read with the probe")
    judged = claims.judged("01_missing_labels", effects(fine)).set_index("dataset")
    assert judged["verdict"].to_dict() == {"debtags": "holds", "fashion-scenes": "not judged"}
    assert judged["reason"]["fashion-scenes"] == "not measured"
    assert judged["estimate"]["debtags"] == pytest.approx(2.0)
    assert judged["task"]["debtags"] == "debtags, 10 labels, 40% kept"

    below = made_summary(tmp_path / "b", baseline=0.55)
    assert "8 of 10 trained arms are below the untrained encoder" in said(below, "Read with the probe")
    judged = claims.judged("01_missing_labels", effects(below)).set_index("dataset")
    assert judged["verdict"]["debtags"] == "not judged"
    assert judged["reason"]["debtags"] == "degenerate: BCE + CLML; degenerate: BCE"


def test_corrections_pool_the_replicates_and_leave_out_the_oracle(tmp_path):
    rows = corrections(made_summary(tmp_path))
    assert set(rows["loss"]) == {"bce+clml", "bce+norm_penalty", "corrected_bce"}
    assert set(rows["kept_share"]) == {0.4}
    assert not rows["clean_validation"].any()
    last = rows[rows["epoch"] == 2]
    assert last["precision"].tolist() == pytest.approx([0.9] * len(last))
    assert last["recall"].tolist() == pytest.approx([0.45] * len(last))
    assert last["lost"].tolist() == pytest.approx([100.0] * len(last))
    assert rows[rows["epoch"] == 1]["precision"].isna().all()


def test_figures_are_drawn_again_from_their_frames():
    shares = [(1.0, "100%"), (0.4, "40%"), (1.0, "one")]
    rows = [
        {
            "dataset": "debtags",
            "quantity": "mAP (%)",
            "metric": "map",
            "loss": loss,
            "position": position,
            "tick": tick,
            "estimate": 0.5 - 0.1 * position,
            "lower": 0.4 - 0.1 * position,
            "upper": 0.6 - 0.1 * position,
        }
        for loss in ("bce", "bce+clml")
        for position, (_, tick) in enumerate(shares)
    ]
    figure = drawing.drawings(STUDY)["conditions"]({"intervals": pd.DataFrame(rows)}, "acl")
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["100", "40", "one"]
    (line,) = [line for line in ax.lines if line.get_label() == "BCE"]
    heights = np.asarray(line.get_ydata(), dtype=float)
    # one positive is no share: the line does not lead to it
    assert heights[:2].tolist() == pytest.approx([50, 40])
    assert np.isnan(heights[2])
    assert heights[3] == pytest.approx(30)


def test_arms_say_which_positives_they_had():
    arm = Arm("debtags", "frozen", 100, "bce").but(kept_share=0.4)
    assert arm.describe() == "debtags, 100 labels, 40% kept"
    assert not arm.is_main
    assert arm.but(kept_share=1.0).is_main
    one = arm.but(kept_share=1.0, one_positive=True, clean_validation=True)
    assert one.describe() == "debtags, 100 labels, one positive, clean validation"
    assert Recipe(epochs=1).batch_size == 256


def test_base_losses_are_on_logits_and_no_control():
    on_logits = {name for name in losses.names() if losses.info(name).tensors == ("logits",)}
    assert set(BASE_LOSSES) <= on_logits - {"corrected_bce"}
