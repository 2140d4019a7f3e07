"""Runs on the embedded data: identity, storage, repetition, failure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mlcl_utils import losses, runs, training
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.runs import RunConfig, Store
from mlcl_utils.runs.execute import measure, task_for
from mlcl_utils.runs.mixture import describe_mixture
from mlcl_utils.training import Recipe

SMALL = Recipe(epochs=1, min_steps=0, width=32)


def config(**changes) -> RunConfig:
    given = {
        "dataset": "debtags",
        "num_labels": 10,
        "base_labels": 10,
        "replicate": 0,
        "train_fraction": 0.1,
        "loss": "bce",
        "seed": 0,
        "recipe": SMALL,
    }
    return RunConfig(**(given | changes))


def test_identity_follows_from_every_field_and_nothing_else():
    same = config(hyperparameters={"a": 1, "b": 2.0}).id, config(hyperparameters={"b": 2.0, "a": 1}).id
    assert same[0] == same[1]
    changed = [
        config(),
        config(num_labels=11),
        config(base_labels=9),
        config(replicate=1),
        config(train_fraction=0.2),
        config(loss="asl"),
        config(seed=1),
        config(hyperparameters={"temperature": 0.2}),
        config(recipe=dataclasses.replace(SMALL, learning_rate=5e-3)),
        config(label_draw=0, label_pool=100),
        config(label_draw=1, label_pool=100),
        config(recipe=None, loss="prior"),
        config(encoder="bag"),
        config(encoder="static"),
        config(held_out="noto"),
        config(matched_to="emoji"),
        config(read_projection=True),
        config(recipe=dataclasses.replace(SMALL, loss_scale=0.5)),
    ]
    assert len({each.id for each in changed}) == len(changed)
    # what is at its default does not count, so that a field can be added
    assert config(encoder="frozen", kept_share=1.0, label_draw=None).id == config().id
    assert config(recipe=dataclasses.replace(SMALL, learning_rate=2e-3, ema=0)).id == config().id
    assert all(RunConfig.from_dict(each.as_dict()) == each for each in changed)


def test_a_grid_is_stored_whole_and_not_repeated(tmp_path):
    grid = [config(), config(loss="reg"), config(loss="prior", recipe=None), config()]
    first = runs.carry_out(grid, results=tmp_path, workers=1, progress=False)
    assert [run.config for run in first.runs] == grid[:3]
    assert first.existed == 0
    assert not first.failures
    stamps = {run.config.id: (run.folder / "run.json").stat().st_mtime_ns for run in first.runs}
    again = runs.carry_out(grid, results=tmp_path, workers=1, progress=False)
    assert again.existed == 3
    assert stamps == {run.config.id: (run.folder / "run.json").stat().st_mtime_ns for run in again.runs}
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(stamps)


def test_workers_and_folders_make_no_difference_to_the_bit(tmp_path):
    grid = [config(loss=loss, replicate=r, seed=r) for loss in ("bce", "reg", "msc") for r in (0, 1)]
    beside = runs.carry_out(grid, results=tmp_path / "a", workers=2, progress=False)
    alone = runs.carry_out(grid, results=tmp_path / "b", workers=1, progress=False)
    assert len(beside.runs) == len(alone.runs) == 6
    for one, other in zip(beside.runs, alone.runs, strict=True):
        assert one.metrics == other.metrics
        assert one.history == other.history
    assert len({run.metrics["probe_map"] for run in alone.runs}) == 6


def test_metrics_follow_from_the_stored_scores(tmp_path):
    (run,) = runs.carry_out([config(loss="reg")], results=tmp_path, progress=False).runs
    scores = run.scores()
    assert set(scores) == {"direct.validation", "direct.test", "probe.validation", "probe.test"}
    assert {array.dtype for array in scores.values()} == {np.dtype(np.float16)}
    again, resampled = measure(task_for(run.config), scores, base_labels=10)
    assert again
    assert all(run.metrics[name] == value for name, value in again.items() if np.isfinite(value))
    stored = run.resamples()
    assert set(stored) - set(resampled) == {"own_macro_f1_half", "linear_macro_f1_half"}
    stored = {name: stored[name] for name in resampled}
    assert all(np.array_equal(stored[name], resampled[name], equal_nan=True) for name in stored)
    assert np.nanstd(stored["probe_map"]) > 0
    assert abs(np.nanmean(stored["probe_map"]) - run.metrics["probe_map"]) < 0.05


def test_positives_that_the_text_names_are_counted_apart(tmp_path):
    grid = [config(loss="name_matching", recipe=None), config(loss="logistic_regression", recipe=None)]
    matching, regression = runs.carry_out(grid, results=tmp_path, workers=1, progress=False).runs
    # a positive that is named scores above every entry that is not, one that is not named below all that are
    assert matching.metrics["direct_map_named"] > 2 * matching.metrics["direct_map_unnamed"]
    assert regression.metrics["probe_recall_named"] > regression.metrics["probe_recall_unnamed"]
    task = task_for(grid[0])
    assert task.test.named is not None
    scores = regression.scores()["probe.test"].astype(np.float32)
    unnamed = [
        average_precision_score(task.test.labels[~named, label], scores[~named, label])
        for label, named in enumerate(task.test.named.T)
    ]
    assert regression.metrics["probe_map_unnamed"] == pytest.approx(np.mean(unnamed), abs=1e-6)


def test_nothing_is_learnt_from_shuffled_labels(tmp_path):
    grid = [
        config(loss=loss, recipe=recipe, train_fraction=1.0)
        for loss, recipe in (("shuffled_labels", SMALL), ("prior", None))
    ]
    shuffled, prior = runs.carry_out(grid, results=tmp_path, workers=1, progress=False).runs
    for head in ("probe", "direct"):
        assert abs(shuffled.metrics[f"{head}_map"] - prior.metrics["direct_map"]) < 0.03


def test_a_failed_run_is_recorded_and_the_others_go_on(tmp_path):
    diverging = config(recipe=dataclasses.replace(SMALL, learning_rate=1e30))
    grid = runs.carry_out(
        [diverging, config(loss="prior", recipe=None)], results=tmp_path, workers=1, progress=False
    )
    assert [run.config.loss for run in grid.runs] == ["prior"]
    ((failed, error, seconds),) = grid.failures
    assert failed == diverging
    assert "not finite in epoch 0" in error
    assert seconds > 0
    assert runs.pending([diverging], tmp_path) == [diverging]


def test_a_damaged_run_is_refused_with_its_folder(tmp_path):
    (run,) = runs.carry_out([config(loss="prior", recipe=None)], results=tmp_path, progress=False).runs
    (run.folder / "run.json").write_text("{")
    with pytest.raises(DataError, match=run.config.id):
        Store(tmp_path).read(run.config)


def test_a_run_that_lost_its_description_is_carried_out_again(tmp_path):
    grid = [config(loss="prior", recipe=None)]
    (run,) = runs.carry_out(grid, results=tmp_path, progress=False).runs
    (run.folder / "run.json").unlink()
    (run.folder / "left").mkdir()
    again = runs.carry_out(grid, results=tmp_path, progress=False)
    assert [each.metrics for each in again.runs] == [run.metrics]
    assert {path.name for path in run.folder.iterdir()} == {
        "run.json",
        "scores.safetensors",
        "resamples.safetensors",
    }
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.config.id]


def test_the_projection_is_read_where_it_is_asked_for(tmp_path):
    instance = {"loss": "instance", "hyperparameters": {"temperature": 0.5}}
    plain = config(**instance)
    both = dataclasses.replace(plain, read_projection=True)
    one, other = (runs.carry_out([each], results=tmp_path, progress=False).runs[0] for each in (plain, both))
    # what is read besides changes nothing else
    shared = [name for name in one.metrics if not name.startswith(("projection_", "neighbours_"))]
    assert shared == list(one.metrics)
    assert {name: other.metrics[name] for name in shared} == one.metrics
    assert one.arrays() == {}
    examples = len(task_for(both).test)
    assert other.arrays()["plane"].shape == (examples, 2)
    assert other.arrays()["similarities"].sum() > 0
    for head in ("projection", "neighbours"):
        assert 0 < other.metrics[f"{head}_map"] < 1
        assert f"{head}_map" in other.resamples()
    # penalties are those at the temperature of the loss
    cold = runs.carry_out([config(loss="instance", hyperparameters={"temperature": 0.05})], results=tmp_path)
    assert cold.runs[0].metrics["penalty_entropy"] < one.metrics["penalty_entropy"]


def test_a_matched_task_is_run_and_taken_whole(tmp_path):
    matched = config(train_fraction=1.0, matched_to="emoji", num_labels=12, loss="prior", recipe=None)
    (run,) = runs.carry_out([matched], results=tmp_path, progress=False).runs
    assert run.facts["examples_train"] == len(
        task_for(dataclasses.replace(matched, dataset="emoji", matched_to="debtags")).train
    )
    with pytest.raises(UsageError, match=r"train_fraction=0\.1"):
        task_for(dataclasses.replace(matched, train_fraction=0.1))
    # a new version of the other set is another run
    assert matched.id != dataclasses.replace(matched, matched_to="fashion-scenes").id


def test_lost_positives_are_negatives_to_whatever_is_chosen(tmp_path):
    given = {
        "dataset": "fashion-scenes",
        "loss": "logistic_regression",
        "recipe": None,
        "train_fraction": 1.0,
    }
    corrupted, oracle = runs.carry_out(
        [config(**given, kept_share=0.4), config(**given, kept_share=0.4, clean_validation=True)],
        results=tmp_path,
        progress=False,
    ).runs
    task = task_for(corrupted.config)
    truth = task.validation.truth
    assert truth is not None
    scores = corrupted.scores()["probe.validation"].astype(np.float32)
    seen = average_precision_score(task.validation.labels == 1, scores, average="macro")
    assert corrupted.metrics["probe_validation_map"] == pytest.approx(seen, abs=1e-6)
    # whoever left out what was lost would see another number, and the truth is another one still
    assert average_precision_score(truth == 1, scores, average="macro") > seen + 0.2
    assert oracle.metrics["probe_validation_map"] > seen + 0.2
    assert oracle.metrics["probe_macro_f1"] > corrupted.metrics["probe_macro_f1"]
    assert (task_for(oracle.config).train.labels == task.train.labels).all()


def test_a_trial_does_not_know_what_validation_has_lost(tmp_path):
    given = {"dataset": "fashion-scenes", "train_fraction": 1.0}
    grid = [
        config(**given, **lost, stop=stop)
        for lost in ({"kept_share": 0.3}, {"kept_share": 0.3, "clean_validation": True}, {})
        for stop in (1, None)
    ]
    found = runs.carry_out(grid, results=tmp_path, workers=1, progress=False).runs
    for trial, run in zip(found[::2], found[1::2], strict=True):  # of one epoch, both
        for name in ("direct_validation_map", "direct_map"):
            assert trial.metrics[name] == pytest.approx(run.metrics[name], abs=1e-6)
    corrupted, oracle = (each.metrics["direct_validation_map"] for each in found[:4:2])
    assert oracle > corrupted + 0.2


@pytest.mark.parametrize("loss", ["bce", "random_encoder", "kmcl", "instance"])
def test_a_text_without_a_known_word_costs_no_run(tmp_path, loss):
    words = ("red stone", "blue wood", "green sand")
    rows = [
        f'{part},"a note of {words[i % 3]} {i % 2}",{"abc"[i % 3]};{"xy"[i % 2]}'
        for part, count in (("train", 60), ("validation", 20), ("test", 30))
        for i in range(count)
    ]
    rows += ["test,zeugma,a;x", "test,?,b;y"]
    (tmp_path / "notes.csv").write_text("split,text,labels\n" + "\n".join(rows) + "\n")
    given = {"num_labels": 5, "base_labels": 5, "train_fraction": 1.0, "encoder": "bag", "loss": loss}
    read = {"read_projection": True} if loss == "instance" else {}
    grid = runs.carry_out(
        [config(dataset="notes.csv", data_root=str(tmp_path), **given, **read)],
        results=tmp_path / "results",
        progress=False,
    )
    assert not grid.failures
    (run,) = grid.runs
    assert run.facts["examples_test"] == 32
    # a projection moves the zero elsewhere
    assert run.facts.get("zero_embeddings", 0) == (0 if loss == "instance" else 2)
    assert np.isfinite([run.metrics[name] for name in ("uniformity", "tolerance", "effective_rank")]).all()


def test_a_kernel_mixture_says_what_is_alive_in_it(tmp_path):
    given = {"dataset": "fashion-scenes", "train_fraction": 1.0, "loss": "kmcl"}
    grid = [config(**given), config(**given, hyperparameters={"reconstruction": 0.0, "contrastive": 0.0})]
    whole, asl = runs.carry_out(grid, results=tmp_path, workers=1, progress=False).runs
    for run in (whole, asl):
        assert 0 < run.metrics["kappa_underflow"] <= 1
        assert 0 < run.metrics["rho_saturated"] <= 1
        assert run.metrics["gradient_asl"] > 0
        bins = run.arrays()["reliability"]
        test = task_for(run.config).test.labels
        assert bins.shape == (2, 10, 3)
        assert bins[0, :, 2].sum() == (test == 1).sum()
        assert bins[1, :, 2].sum() == (test != 1).sum()
    # only the whole loss has taught the variances anything
    assert whole.metrics["gradient_reconstruction"] < asl.metrics["gradient_reconstruction"]


def test_the_description_of_a_mixture_is_that_of_its_formulas():
    given = config(dataset="fashion-scenes", loss="kmcl", recipe=dataclasses.replace(SMALL, batch_size=4096))
    task, criterion = task_for(given), losses.create("kmcl")
    model = training.untrained(
        task, SMALL, tensors=criterion.tensors, seed=0, device=torch.device("cpu")
    ).eval()
    labels = torch.from_numpy(task.test.labels)
    features = model.encoder(torch.from_numpy(task.test.features)).detach().requires_grad_()
    measured, arrays = describe_mixture(given, model, features.detach(), labels)

    tensors = model.heads(features)
    mean, variance = tensors["mean"].detach(), tensors["variance"].detach()
    squares = ((features.detach()[:, None] - mean[:, :, None]) ** 2).mean(dim=-1)
    own = labels == 1
    ratio = (squares / variance)[own].mean()
    assert measured["variance_ratio"] == pytest.approx(float(ratio), rel=1e-4)
    assert arrays["reliability"][0, :, 1].mean() == pytest.approx(float(squares[own].mean()), rel=1e-2)
    kappa = torch.exp(-squares * features.shape[1] / (2 * variance))
    assert measured["kappa_underflow"] == pytest.approx(float((kappa == 0).float().mean()), abs=1e-3)
    for name, term in criterion.terms(labels, **tensors).items():
        (gradient,) = torch.autograd.grad(term, features, retain_graph=True)
        assert measured[f"gradient_{name}"] == pytest.approx(float(gradient.norm()), rel=1e-4)
