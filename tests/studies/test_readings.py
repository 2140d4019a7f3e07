"""Two readings of a trained model: what runs store, which head each takes; and seeds apart from splits."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlcl_utils import data, metrics, models, runs, studies, training
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Run, RunConfig, own_head
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import comparisons, scores
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.execution import begin
from mlcl_utils.training import Recipe
from tests.data.test_user_sets import write_features, write_table
from tests.studies import made


def config(loss: str = "bce", replicate: int = 0, **more: Any) -> RunConfig:
    recipe = None if loss == "logistic_regression" else Recipe(epochs=7)
    given = {"dataset": "debtags", "num_labels": 10, "base_labels": 10, "recipe": recipe, "seed": replicate}
    return RunConfig(**given | {"loss": loss, "replicate": replicate} | more)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    asked = [config("bce"), config("reg")]
    grid = runs.carry_out(asked, results=tmp_path_factory.mktemp("runs"), progress=False)
    return {run.config.loss: run for run in grid.runs}


def test_the_own_head_is_read_along_training_and_taken_at_its_best_on_validation(
    stored: dict[str, Run],
) -> None:
    run = stored["bce"]
    read = [row for row in run.history if "own_macro_f1_half" in row]
    epochs = len(run.history)  # a small part is trained longer
    assert [row["epoch"] + 1 for row in read] == [math.ceil(share * epochs) for share in own_head.SHARES]
    best = max(read, key=lambda row: row["own_validation_micro_f1_half"])
    assert run.facts["own_epoch"] == best["epoch"] + 1
    for name in ("macro_f1_half", "micro_f1_half", "validation_micro_f1_half"):
        assert run.metrics[f"own_{name}"] == pytest.approx(best[f"own_{name}"])
    # after the last epoch it is the head whose scores are stored
    last = run.scores()["direct.test"].astype(np.float32) >= 0
    assert read[-1]["own_macro_f1_half"] == pytest.approx(
        metrics.macro_f1(task_for(run.config).test.labels, last)
    )
    drawn = run.resamples()["own_macro_f1_half"]
    assert abs(np.nanmean(drawn) - run.metrics["own_macro_f1_half"]) < 0.05


def test_the_linear_layer_is_one_of_the_probes_solutions(stored: dict[str, Run]) -> None:
    run = stored["reg"]
    task = task_for(run.config)
    fitted = training.fit(
        task, "reg", Recipe(epochs=7), hyperparameters={}, seed=0, device=torch.device("cpu")
    )
    inputs = models.encoder_class("frozen").inputs(task)
    parts = {
        split: training.represent(fitted.model, inputs[split], device=torch.device("cpu"))
        for split in ("train", "validation", "test")
    }
    labels = {split: torch.from_numpy(getattr(task, split).labels) for split in ("train", "validation")}
    probe, layer = training.fit_probes(
        parts["train"], labels["train"], parts["validation"], labels["validation"],
        [training.mean_average_precision, training.micro_f1_half],
    )  # fmt: skip
    assert (probe.penalty, layer.penalty) == (run.facts["probe_penalty"], run.facts["linear_penalty"])
    predicted = layer.scores(parts["test"]).half().float().numpy() >= 0
    assert run.metrics["linear_macro_f1_half"] == pytest.approx(metrics.macro_f1(task.test.labels, predicted))
    # chosen by what it is read by: no strength that was tried is better on validation
    assert layer.tried[layer.penalty] == max(layer.tried.values())
    truth, seen = task.validation.labels, layer.scores(parts["validation"]).numpy()
    assert layer.tried[layer.penalty] == pytest.approx(metrics.micro_f1(truth, seen >= 0))
    alone = training.fit_probe(parts["train"], labels["train"], parts["validation"], labels["validation"])
    assert torch.equal(alone.weight, probe.weight)


def test_what_a_killed_training_has_read_of_its_own_head_is_kept() -> None:
    task = data.task(data.load("debtags"), num_labels=10, base_labels=10)

    def made_() -> tuple[training.Training, own_head.OwnHead]:
        cpu = torch.device("cpu")
        run = training.Training(task, "bce", Recipe(epochs=4), hyperparameters={}, seed=0, device=cpu)
        return run, own_head.OwnHead(task, models.encoder_class("frozen").inputs(task), cpu)

    whole, observe = made_()
    for epoch in range(1, 5):
        whole.advance(epoch)
        observe(whole)
        if epoch == 2:
            halfway = copy.deepcopy(whole.checkpoint())
    again, observe = made_()
    again.restore(halfway)
    for epoch in (3, 4):
        again.advance(epoch)
        observe(again)
    assert again.history == whole.history
    assert again.observed["epoch"] == whole.observed["epoch"]
    for split in ("validation", "test"):
        assert torch.equal(again.observed["scores"][split], whole.observed["scores"][split])


def test_each_family_is_read_as_the_original_papers_read_it(tmp_path: Path) -> None:
    values = {"bce": (0.50, 0.40), "asl": (0.45, 0.40), "reg": (0.10, 0.47), "msc": (0.10, 0.49)}
    arms: dict[Arm, list[Run]] = {}
    for loss, (own, linear) in values.items():
        for replicate in range(5):
            found = {
                "own_macro_f1_half": own, "linear_macro_f1_half": linear,
                "own_validation_micro_f1_half": own, "linear_validation_micro_f1_half": linear - (loss == "msc") * 0.1,
            }  # fmt: skip
            run = made.run(tmp_path, config(loss, replicate), found)
            arms.setdefault(Arm.of(run.config), []).append(run)
    by_loss = {arm.loss: arm for arm in arms}
    assert {loss: scores.source_head(arm) for loss, arm in by_loss.items()} == {
        "bce": "own", "asl": "own", "reg": "linear", "msc": "linear"
    }  # fmt: skip
    pair = [[by_loss["msc"], by_loss["reg"]], [by_loss["asl"], by_loss["bce"]]]
    declared = comparisons.of_best(
        arms, (), pair, ("source",), name="many_labels_source", metric="macro_f1_half"
    )
    row = comparisons.frame("02_label_space", [declared], arms).iloc[0]
    # the best of each kind on validation, in the reading
    assert (row["compared"], row["heads"], row["reading"]) == ("REG − BCE", "linear, own", "source")
    assert row["estimate"] == pytest.approx(-3.0)
    assert row["verdict"] == "opposite"
    probe = Comparison("a", [by_loss["reg"], by_loss["bce"]], "macro_f1_half", ("linear", "probe"))
    assert scores.reading(probe.head) == "source"
    assert scores.reading(["probe", "probe"]) == "equal"
    assert scores.reading(["direct", "probe"]) == ""


# --- seeds apart from splits


def test_seeds_are_trainings_on_a_split_and_a_baseline_that_draws_nothing_is_run_once() -> None:
    study = studies.get("06_kernel_mixture")
    once, twice = (
        study.runs(study.resolve({"preset": "smoke", "replicates": 3, "seeds": seeds, "seed": 7}))
        for seeds in (1, 2)
    )
    assert {each.id for each in once} < {each.id for each in twice}
    drawn = [
        each for each in twice if not each.is_baseline or each.loss in ("random_encoder", "shuffled_labels")
    ]
    assert len(twice) - len(once) == len(drawn) / 2
    assert {each.seed - 7 - each.replicate for each in drawn} == {0, 10}
    assert len({each.id for each in twice}) == len(twice)
    with pytest.raises(UsageError, match="seeds"):
        studies.get("05_hyperband").resolve({"preset": "smoke", "seeds": 2})


def test_an_arm_is_averaged_within_its_splits_before_anything_else(tmp_path: Path) -> None:
    values = {(0, 0): 0.50, (0, 10): 0.52, (1, 1): 0.60, (1, 11): 0.58}
    members = [
        made.run(tmp_path, config("bce", split, seed=seed), {"probe_map": value})
        for (split, seed), value in values.items()
    ]
    found = scores.quantity(members, "probe_map")
    assert found is not None
    assert found.index == (0, 1)
    assert found.values.tolist() == pytest.approx([0.51, 0.59])


def test_claims_are_judged_on_more_runs_and_what_was_chosen_rests_on_those_that_all_have(
    tmp_path: Path,
) -> None:
    """A study trained for real: the claimed arms get four splits and two seeds, all others two and one."""
    write_table(tmp_path, 160)
    write_features(data.load("notes.csv", tmp_path), tmp_path)
    given = {
        "preset": "smoke", "datasets": "notes.csv", "data_root": str(tmp_path), "results": str(tmp_path / "results"),
        "encoders": "frozen", "losses": "bce,asl,reg", "num_labels": [2, 4], "train_fractions": [1.0],
        "matched_num_labels": [2], "label_draws": 0, "replicates": 2, "claim_replicates": 4, "claim_seeds": 2,
        "workers": 1,
    }  # fmt: skip
    study = begin(studies.get("02_label_space"), given)
    rows = study.run()
    claimed = {
        arm for each in study.measures.comparisons(study) if each.name == "optimisation" for arm in each.arms
    }
    assert not claimed  # neither of its losses is here
    found = study.comparisons.set_index("name")
    # 2 and 4 labels are no 10: of the claims only those on the largest space would be asked, and it is too small
    assert not set(found.index) & {"many_labels", "few_labels"}
    assert set(rows["column"]) == {"default"}
    # a claim on it is judged on all its runs, and everything else on those that all arms have
    own = next(arm for arm in study.arms if arm.loss == "reg" and arm.num_labels == 4)
    trained = study_runs.repeat(
        study.study, study.parameters, study.trained, lambda config: study.arm(config) == own
    )
    assert {(run.config.replicate, run.config.seed) for run in trained.repeated.runs} == {
        (split, split + 10 * seed) for split in range(4) for seed in (0, 1)
    }
    repeated = {**study.arms, **study_runs.arms(trained.repeated, study.arm)}
    twice = [own, own.but(loss="reg")]
    declared = [Comparison(name, twice, "map", "probe") for name in ("not_ahead_map", "descriptive")]
    frame = comparisons.frame("02_label_space", declared, study.arms, repeated=repeated).set_index("name")
    assert frame["replicates"].to_dict() == {"not_ahead_map": 4, "descriptive": 2}
    # without more splits there is nothing to repeat
    usual = studies.get("02_label_space").resolve(
        {"preset": "quick", "claim_replicates": 2, "claim_seeds": 1}
    )
    assert usual.repeated is None
