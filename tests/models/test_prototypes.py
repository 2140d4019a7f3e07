"""Prototypes that do not train, and the hyperbolic head."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from mlcl_utils import losses, training
from mlcl_utils.errors import UsageError
from mlcl_utils.models.heads import HyperbolicHead
from mlcl_utils.models.prototypes import equiangular, excess, least_coherence
from mlcl_utils.training import Recipe
from tests.training.test_training import CPU, fit, make_task

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("losses", "metric_learning.json").read_text())
ROWS = [(case, row) for case in GOLDEN["cases"] for row in case["expected"] if row["loss"] == "coherence"]


def largest_cosine(vectors: torch.Tensor) -> float:
    cosines = vectors @ vectors.T
    return float(cosines.fill_diagonal_(0).abs().max())


@pytest.mark.parametrize(("case", "row"), ROWS)
def test_excess_is_that_of_the_released_script(case, row):
    prototypes = torch.tensor(case["inputs"]["prototypes"], dtype=torch.float64, requires_grad=True)
    value = excess(prototypes, row["hyperparameters"]["threshold"])
    value.backward()
    assert value.item() == pytest.approx(row["value"], rel=row["tolerance"])
    expected = torch.tensor(row["gradients"]["prototypes"], dtype=torch.float64)
    torch.testing.assert_close(prototypes.grad, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("labels", "dim"), [(1, 4), (3, 4), (8, 8), (10, 256)])
def test_few_vectors_are_orthogonal(labels, dim):
    vectors = equiangular(labels, dim, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(labels), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("labels", "dim"), [(6, 4), (10, 4), (100, 64), (40, 39)])
def test_many_vectors_come_near_the_least_coherence(labels, dim):
    vectors = equiangular(labels, dim, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(labels))
    least = least_coherence(labels, dim)
    assert least <= largest_cosine(vectors) <= 1.2 * least + 1e-4 + 1e-6


def test_three_vectors_in_the_plane_have_the_bound_itself():
    assert least_coherence(3, 2) == pytest.approx(0.5)
    assert least_coherence(4, 4) == 0
    vectors = equiangular(3, 2, coherence=0.51, generator=torch.Generator().manual_seed(0))
    assert largest_cosine(vectors) <= 0.5102


def test_a_coherence_that_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match=r"coherence must be at least 0.5000 for 3 vectors in 2 dimensions, was 0.4"
    ):
        equiangular(3, 2, coherence=0.4)
    with pytest.raises(
        ValueError, match=r"10 vectors in 2 dimensions came to a coherence of .* and not to 0[.]7"
    ):
        equiangular(10, 2, coherence=0.7, steps=20)


@pytest.mark.parametrize("kind", ["equiangular", "random"])
@pytest.mark.parametrize("loss", ["prototype", "reg", "cosine_bce"])
def test_fixed_prototypes_stay_where_they_are(kind, loss):
    recipe = Recipe(epochs=2, min_steps=0, batch_size=32, width=16, prototypes=kind)
    task = make_task(n=64)
    before = training.untrained(task, recipe, tensors=("embeddings", "prototypes"), seed=0, device=CPU)
    after = fit(task, loss, recipe).model
    assert torch.equal(before.prototypes, after.prototypes)
    assert "prototypes" not in dict(after.named_parameters())
    usual = training.untrained(
        task, Recipe(epochs=1, width=16), tensors=("embeddings", "prototypes"), seed=0, device=CPU
    )
    assert torch.equal(usual.prototypes, before.prototypes) == (kind == "random")
    if kind == "equiangular":
        assert largest_cosine(before.prototypes) < 1e-5
        other = training.untrained(task, recipe, tensors=("prototypes",), seed=1, device=CPU)
        assert not torch.equal(other.prototypes, before.prototypes)


def test_frozen_prototypes_are_part_of_what_is_kept():
    recipe = Recipe(epochs=2, min_steps=0, batch_size=32, width=16, prototypes="equiangular", accumulate=2)
    task = make_task(n=64)
    whole = training.Training(task, "prototype", recipe, hyperparameters={}, seed=0, device=CPU)
    whole.advance(1)
    kept = copy.deepcopy(whole.checkpoint())
    whole.advance()
    again = training.Training(task, "prototype", recipe, hyperparameters={}, seed=0, device=CPU)
    again.restore(kept)
    again.advance()
    assert again.history == whole.history


@pytest.mark.parametrize(
    ("setting", "kind", "loss", "words"),
    [
        ("head", "hyperbolic", "reg", "head=hyperbolic: the loss 'reg' takes no logits"),
        ("prototypes", "random", "bce", "prototypes=random: the loss 'bce' takes no prototypes"),
    ],
)
def test_a_kind_of_head_that_a_loss_does_not_take_is_refused(setting, kind, loss, words):
    with pytest.raises(UsageError, match=words):
        fit(make_task(n=64), loss, Recipe(epochs=1, **{setting: kind}))


@pytest.mark.parametrize("curvature", [0.0, 0.1, 0.5])
def test_a_hyperbolic_head_gives_the_centre_the_prior(curvature):
    prior = torch.tensor([0.5, 0.1, 0.02])
    torch.manual_seed(0)
    head = HyperbolicHead(32, prior, curvature)
    torch.testing.assert_close(head(torch.zeros(1, 32))[0], torch.logit(prior), rtol=1e-3, atol=1e-3)


def test_a_clipped_head_is_a_linear_one_within_its_length():
    torch.manual_seed(0)
    head = HyperbolicHead(6, torch.full((4,), 0.3), 0.0)
    x = torch.randn(5, 6)
    x = x / x.norm(dim=1, keepdim=True) * torch.tensor([0.1, 1.0, 1.9, 2.0, 50.0])[:, None]
    bias = -4 * (head.offsets * head.normals).sum(dim=1)
    expected = F.linear(x, 4 * head.normals, bias)
    torch.testing.assert_close(head(x)[:4], expected[:4])
    torch.testing.assert_close(head(x)[4], head(x[4:] / 25)[0])


@pytest.mark.parametrize("head", ["hyperbolic", "clipped"])
@pytest.mark.parametrize("loss", ["bce", "asl", "zlpr"])
def test_every_loss_on_logits_takes_the_head(head, loss):
    recipe = Recipe(epochs=4, min_steps=0, batch_size=32, width=24, head=head)
    fitted = fit(make_task(), loss, recipe)
    losses_of = [row["validation_loss"] for row in fitted.history]
    assert losses_of[-1] < losses_of[0]
    assert isinstance(fitted.model.classifier, HyperbolicHead)
    assert fitted.model.scores(torch.zeros(2, fitted.model.encoder.width)).shape == (2, 5)


@pytest.mark.parametrize("loss", ["proto_triplet", "hyperbolic_ce", "proto_triplet+tcm"])
def test_a_loss_with_scores_of_its_own_gives_them_to_its_model(loss):
    task = make_task(n=64)
    model = fit(task, loss, Recipe(epochs=1, min_steps=0, batch_size=32, width=16)).model
    representation = torch.randn(7, model.encoder.width)
    given = model.heads(representation)
    first = loss.partition("+")[0]
    expected = losses.create(first).scores(**given)
    torch.testing.assert_close(model.scores(representation), expected)
    cosines = F.normalize(given["embeddings"], dim=1) @ F.normalize(given["prototypes"], dim=1).T
    assert not torch.allclose(expected, cosines)
