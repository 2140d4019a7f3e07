"""The evaluation by labels that training has not seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mlcl_utils import metrics, training
from mlcl_utils.errors import UsageError
from mlcl_utils.training import Recipe
from tests.training.test_training import CPU, fit, make_task

RECIPE = Recipe(epochs=6, min_steps=0, batch_size=32, width=24)
NOVEL = np.array([False, True, False, False, True])


def evaluate(task, loss="prototype", recipe=RECIPE, novel=NOVEL, **hyperparameters):
    return training.evaluate_novel(
        task, loss, recipe, novel=novel, hyperparameters=hyperparameters, seed=0, device=CPU
    )


def test_a_share_of_the_labels_is_novel():
    drawn = training.draw_novel(20, 0.3, seed=1)
    assert drawn.sum() == 6
    assert np.array_equal(drawn, training.draw_novel(20, 0.3, seed=1))
    assert not np.array_equal(drawn, training.draw_novel(20, 0.3, seed=2))
    assert training.draw_novel(2, 0.01, seed=0).sum() == training.draw_novel(2, 0.99, seed=0).sum() == 1
    for labels, share in ((1, 0.5), (5, 0.0), (5, 1.0)):
        with pytest.raises(UsageError, match="at least two labels and a share between 0 and 1"):
            training.draw_novel(labels, share, seed=0)


def test_a_task_with_some_of_its_labels_keeps_its_examples():
    task = make_task()
    named = np.zeros_like(task.train.labels, dtype=bool)
    named[:, 1] = True
    task = dataclasses.replace(
        task, train=dataclasses.replace(task.train, named=named, truth=task.train.labels)
    )
    part = training.with_labels(task, NOVEL)
    assert part.label_names == ("1", "4")
    assert part.label_index.tolist() == [1, 4]
    for split in ("train", "validation", "test"):
        assert np.array_equal(getattr(part, split).labels, getattr(task, split).labels[:, [1, 4]])
        assert len(getattr(part, split)) == len(getattr(task, split))
    assert part.train.named.tolist() == named[:, [1, 4]].tolist()
    assert np.array_equal(part.train.truth, part.train.labels)
    assert part.validation.truth is None


@pytest.mark.parametrize("loss", ["prototype", "mulsupcon", "bce", "unpg"])
def test_every_kind_of_loss_is_evaluated(loss):
    found = evaluate(make_task(), loss)
    assert list(found) == [1, 5, 20]
    for row in found.values():
        assert {"novel_map", "novel_lrap", "joint_lrap", "joint_drop", "novel_labels"} <= row.keys()
        assert all(np.isfinite(value) for value in row.values())
        assert row["novel_labels"] == 2


def test_training_sees_no_novel_label():
    task = make_task()
    others = task.train.labels.copy()
    others[:, NOVEL] = 0
    blind = dataclasses.replace(task, train=dataclasses.replace(task.train, labels=others))
    one = fit(training.with_labels(task, ~NOVEL), "prototype", RECIPE, temperature=0.05).model
    two = fit(training.with_labels(blind, ~NOVEL), "prototype", RECIPE, temperature=0.05).model
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_it_is_the_metric_of_what_the_model_gives():
    task = make_task()
    found = evaluate(task, temperature=0.05)[5]
    model = fit(training.with_labels(task, ~NOVEL), "prototype", RECIPE, temperature=0.05).model
    with torch.no_grad():
        train, test = (
            model.heads(model.encoder(torch.from_numpy(part.features)))["embeddings"].double().numpy()
            for part in (task.train, task.test)
        )
    means = metrics.label_means(train, task.train.labels, shots=5, rng=np.random.default_rng(0))
    prototypes = np.zeros_like(means)
    prototypes[~NOVEL] = model.prototypes.detach().numpy()
    expected = metrics.novel_labels(test, task.test.labels, means, NOVEL, prototypes=prototypes)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_more_shots_tell_novel_labels_better_than_chance():
    found = evaluate(make_task(n=600), temperature=0.05)
    share = (make_task(n=600).test.labels[:, NOVEL] == 1).mean()
    assert found[20]["novel_map"] > share + 0.05
    assert found[20]["novel_map"] > found[1]["novel_map"] - 0.02


def test_it_refuses_nothing_and_everything():
    for novel in (np.zeros(5, dtype=bool), np.ones(5, dtype=bool)):
        with pytest.raises(UsageError, match="of 5 labels are novel: some must be, and some must be left"):
            evaluate(make_task(), novel=novel)
