"""The encoder of a set's own features: what it makes of sparse and of dense ones, and which checkpoint is read."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from mlcl_utils import data, metrics, models, runs, training
from mlcl_utils.models.mlp import PlainMLP
from mlcl_utils.runs import RunConfig
from mlcl_utils.training import Recipe
from mlcl_utils.training.probe import RIDGES

CONFIG = RunConfig(
    dataset="debtags",
    num_labels=10,
    base_labels=10,
    replicate=0,
    train_fraction=0.1,
    loss="reg",
    seed=3,
    encoder="mlp",
    recipe=dataclasses.replace(Recipe.of("mlp", epochs=5), width=32, min_steps=0),
)


def made(train: torch.Tensor) -> PlainMLP:
    torch.manual_seed(0)
    return PlainMLP.create(train, width=8, dropout=0.5, augment="none").eval()


def test_sparse_rows_have_one_length_and_keep_their_zeros() -> None:
    words = (torch.rand(50, 40, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    words[7] = 0
    encoder = made(words)
    prepared = encoder.prepared(words)
    lengths = prepared.norm(dim=1)
    assert torch.allclose(lengths[words.any(dim=1)], torch.tensor(math.sqrt(40)))
    assert (prepared == 0).eq(words == 0).all()
    assert torch.isfinite(encoder(words)).all()


@pytest.mark.parametrize("change", [lambda x: x + 0.5, lambda x: -x, lambda x: 2 * x])
def test_other_features_are_standardised(change) -> None:
    words = (torch.rand(60, 30, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    prepared = made(change(words)).prepared(change(words))
    assert torch.allclose(prepared.mean(dim=0), torch.zeros(30), atol=1e-5)
    assert torch.allclose(prepared.std(dim=0), torch.ones(30), atol=1e-4)


def test_nothing_goes_around_the_network() -> None:
    encoder = made(torch.randn(20, 5))
    with torch.no_grad():
        encoder.mlp[-1].weight.zero_()
    out = encoder(torch.randn(4, 5))
    assert torch.equal(out, encoder.mlp[-1].bias.expand(4, -1))


def test_the_ridge_classifier_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    x, z = (
        generator.normal(size=(200, 12)) * np.arange(1, 13),
        generator.normal(size=(80, 12)) * np.arange(1, 13),
    )
    directions = generator.normal(size=(12, 4))
    y, truth = (x @ directions > 5).astype(np.int8), (z @ directions > 5).astype(np.int8)
    variance = np.linalg.eigvalsh(np.cov(x.T, bias=True)).mean()
    scores = []
    for ridge in RIDGES:
        fitted = Ridge(alpha=ridge * variance * len(x)).fit(x, y)
        scores.append(
            np.mean(
                [average_precision_score(t, s) for t, s in zip(truth.T, fitted.predict(z).T, strict=True)]
            )
        )
    found = training.ridge_map(*(torch.from_numpy(part) for part in (x, y, z, truth)))
    assert found == pytest.approx(max(scores), abs=1e-6)


def test_the_best_checkpoint_is_read(tmp_path) -> None:
    (run,) = runs.carry_out([CONFIG], results=tmp_path, progress=False).runs
    by_epoch = {
        row["epoch"] + 1: row["ridge_validation_map"] for row in run.history if "ridge_validation_map" in row
    }
    assert list(by_epoch) == [1, 2, 4, 5, 8, 10]
    kept = int(run.facts["kept_epoch"])
    assert by_epoch[kept] == max(by_epoch.values())
    last = dataclasses.replace(CONFIG, recipe=dataclasses.replace(CONFIG.recipe, keep="last"))
    assert last.id != CONFIG.id
    # trained until the kept epoch of the same schedule, it is the same model
    task = data.task("debtags", num_labels=10, base_labels=10, train_fraction=0.1)
    again = training.Training(
        task, "reg", CONFIG.recipe, encoder="mlp", hyperparameters={}, seed=3, device=torch.device("cpu")
    )
    again.advance(kept)
    model = again.fitted().model
    inputs = models.encoder_class("mlp").inputs(task)
    parts = {
        name: training.represent(model, inputs[name], device="cpu")
        for name in ("train", "validation", "test")
    }
    labels = {name: torch.from_numpy(getattr(task, name).apparent) for name in parts}
    probe = training.fit_probe(parts["train"], labels["train"], parts["validation"], labels["validation"])
    scores = training.as_float16(probe.scores(parts["test"])).astype(np.float32)
    precision = metrics.average_precision(task.test.labels, scores)
    assert run.metrics["probe_map"] == pytest.approx(float(np.nanmean(precision)), abs=1e-9)
