"""The study of missing labels: its grid, and comparisons that follow the numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import losses, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid, RunConfig
from mlcl_utils.studies import figures, judgements, scores, tuning
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.missing_labels import BASE_LOSSES, published_weight, views, weight_of
from mlcl_utils.studies.missing_labels.measures import corrections
from mlcl_utils.studies.runs import Trained
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
        ({"clml_weights": [10, 1]}, "clml_weights has the published weight, 1, after others"),
        ({"one_positive": "perhaps"}, "one_positive"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        STUDY.resolve({"preset": "smoke", **given})


def test_tuning_is_done_at_the_reference_and_varies_both_parts_of_a_sum_alike():
    tried = tuning.trials(
        grid(preset="quick", trials=4, datasets="fashion-scenes", losses=["bce", "splc"], replicates=1), 4
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


def execution(
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
) -> Execution:
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
    return made.execution(STUDY, parameters, folder, runs)


def rows(study: Execution, name: str, metric: str = "map") -> pd.DataFrame:
    """A comparison by metric, with the side of zero that the intervals lie on."""
    own = study.comparisons.query("name == @name and metric == @metric")
    side = np.where(own["lower"] > 0, "above", np.where(own["upper"] < 0, "below", "across"))
    return own.assign(side=side).set_index("compared")


def found(study: Execution, name: str, metric: str = "map") -> dict[str, tuple[float, str]]:
    """Estimates and sides of a comparison at the reference, by what is compared."""
    own = rows(study, name, metric)
    own = own[own["kept_share"] == 0.4]
    assert own.index.is_unique
    return dict(zip(own.index, zip(own["estimate"], own["side"], strict=True), strict=True))


def close(estimate: float, side: str) -> tuple[object, str]:
    return pytest.approx(estimate, abs=1e-9), side


def test_comparisons_are_paired_and_read_with_the_head_that_validation_prefers(tmp_path):
    study = execution(tmp_path, datasets="debtags,fashion-scenes")
    own = rows(study, "clml").reset_index()
    plain, heavier = own[own["weight"] == 1], own[own["weight"] == 10]
    places = [(name, share) for name in ("debtags", "fashion-scenes") for share in (0.4, 1.0)]
    assert sorted(zip(plain["dataset"], plain["kept_share"], strict=True)) == places
    assert set(own["heads"]) == {"probe"}
    assert plain["estimate"].tolist() == pytest.approx([2.0] * 4)
    assert set(plain["compared"]) == {"BCE + CLML − BCE"}
    assert heavier["compared"].tolist() == ["BCE + CLML ×10 − BCE"] * 2
    assert heavier["estimate"].tolist() == pytest.approx([-1.0] * 2)
    cost = rows(study, "cost")  # CLML and controls are not asked what they lose
    assert cost.index.tolist() == ["BCE, 40% kept − all positives"] * 2
    assert cost["estimate"].tolist() == pytest.approx([-10.0] * 2)
    assert cost["task"].tolist() == ["debtags, 10 labels", "fashion-scenes, 10 labels"]


def test_comparisons_follow_the_numbers(tmp_path):
    helped = execution(tmp_path / "a")
    assert found(helped, "clml_helps") == {"BCE + CLML − BCE": close(2.0, "above")}
    by_weight = {"BCE + CLML − BCE": close(2.0, "above"), "BCE + CLML ×10 − BCE": close(-1.0, "below")}
    assert found(helped, "clml") == found(helped, "clml", "validation_map") == by_weight
    assert found(helped, "clml", "effective_rank")["BCE + CLML − BCE"] == close(10.0, "above")
    assert found(helped, "controls") == {
        "BCE + CLML − BCE + Norm": close(2.0, "above"),
        "BCE + CLML ×10 − BCE + Norm": close(-1.0, "below"),
        "BCE + CLML − Corrected BCE": close(-1.0, "below"),
        "Corrected BCE − BCE": close(3.0, "above"),
    }
    oracle = "BCE, clean validation − corrupted validation"
    assert found(helped, "oracle", "macro_f1") == {oracle: close(5.0, "above")}
    assert found(helped, "oracle") == {oracle: close(0.0, "across")}
    assert set(rows(helped, "oracle")["heads"]) == {"probe"}

    hurt = execution(tmp_path / "b", clml=-0.02, heavy=-0.03, norm=-0.02, alone=-0.01, oracle=0.0, rank=-5.0)
    assert found(hurt, "clml_helps") == {"BCE + CLML − BCE": close(-2.0, "below")}
    assert {side for _, side in found(hurt, "clml", "validation_map").values()} == {"below"}
    assert found(hurt, "clml", "effective_rank")["BCE + CLML − BCE"] == close(-5.0, "below")
    assert found(hurt, "controls") == {
        "BCE + CLML − BCE + Norm": close(0.0, "across"),
        "BCE + CLML ×10 − BCE + Norm": close(-1.0, "below"),
        "BCE + CLML − Corrected BCE": close(-1.0, "below"),
        "Corrected BCE − BCE": close(-1.0, "below"),
    }
    level = execution(tmp_path / "c", clml=0.0, replicates=2, datasets="fashion-scenes")
    assert found(level, "clml_helps") == {"BCE + CLML − BCE": close(0.0, "across")}
    assert set(level.comparisons["verdict"]) == {"", "not judged"}


def judged(study: Execution) -> pd.DataFrame:
    """The claims by data set."""
    return judgements.of("01_missing_labels", study.comparisons).set_index("dataset")


def test_arms_below_a_baseline_are_flagged(tmp_path):
    fine = execution(tmp_path / "a")
    assert set(fine.scores["flag"]) == {""}
    rows = judged(fine)
    assert rows["verdict"].to_dict() == {"debtags": "holds", "fashion-scenes": "not judged"}
    assert rows["reason"]["fashion-scenes"] == "not measured"
    assert rows["estimate"]["debtags"] == pytest.approx(2.0)
    assert rows["task"]["debtags"] == "debtags, 10 labels, 40% kept"

    below = execution(tmp_path / "b", baseline=0.55)
    own = below.scores.query("head == 'probe' and metric == 'map'")
    flags = own.loc[~own["loss"].isin(BASELINES), "flag"]
    assert len(flags) == 10
    assert flags.tolist().count(scores.UNTRAINED) == 8
    rows = judged(below)
    assert rows["verdict"]["debtags"] == "holds"
    assert rows["remark"]["debtags"].startswith("below the untrained encoder: BCE + CLML −")


def test_what_has_no_runs_with_all_positives_or_no_control_is_not_asked_for(tmp_path):
    whole = execution(tmp_path)
    gone = {"corrected_bce", "bce+norm_penalty"}
    kept = [run for run in whole.trained.grid.runs if run.config.loss not in gone]
    lost = [(run.config, "diverged", 1.0) for run in whole.trained.grid.runs if run.config.loss in gone]
    study = made.execution(STUDY, whole.parameters, tmp_path, ())
    grid = Grid(kept, lost, 0)
    study.trained = Trained(grid)
    assert len(rows(study, "cost")) == 1
    controls = rows(study, "controls")
    assert controls["estimate"].isna().all()
    assert set(controls["reason"]) == {
        "runs have failed: BCE + Norm",
        "runs have failed: Corrected BCE",
        "runs have failed: BCE + Norm ×10",
    }


def test_the_table_of_the_reference_has_every_arm_once_and_the_oracle(tmp_path):
    table = views.reference(execution(tmp_path)).loc["debtags"]
    assert table.index.is_unique
    assert table.index[:4].tolist() == ["BCE", "BCE (oracle)", "BCE + CLML", "BCE + CLML ×10"]
    assert table.loc["BCE + CLML ×10", "mAP, probe"] == "49.2"
    assert table.loc["BCE (oracle)", "macro-F1, probe"] == "55.2"
    assert table.loc["BCE + CLML", "effective rank"] == "110.0"
    assert table.loc["Random encoder", "mAP, own head"] == "–"


@pytest.mark.parametrize("right", [0.9, 0.5])
def test_corrections_pool_the_replicates_and_leave_out_the_oracle(tmp_path, right):
    rows = corrections(execution(tmp_path, right=right))
    assert set(rows["loss"]) == {"bce+clml", "bce+norm_penalty", "corrected_bce"}
    assert set(rows["kept_share"]) == {0.4}
    assert not rows["clean_validation"].any()
    last = rows[rows["epoch"] == 2]
    assert last["precision"].tolist() == pytest.approx([right] * len(last))
    assert last["recall"].tolist() == pytest.approx([right / 2] * len(last))
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
    figure = figures.drawings(STUDY)["conditions"]({"intervals": pd.DataFrame(rows)}, "acl")
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
    shares = [arm.but(kept_share=share).positives for share in (0.07, 0.4, 0.404, 0.001)]
    assert shares == ["7% kept", "40% kept", "40.4% kept", "0.1% kept"]
    assert not arm.is_main
    assert arm.but(kept_share=1.0).is_main
    one = arm.but(kept_share=1.0, one_positive=True, clean_validation=True)
    assert one.describe() == "debtags, 100 labels, one positive, clean validation"
    assert Recipe(epochs=1).batch_size == 256


def test_base_losses_are_on_logits_and_no_control():
    on_logits = {name for name in losses.names() if losses.info(name).tensors == ("logits",)}
    assert set(BASE_LOSSES) <= on_logits - {"corrected_bce"}
