"""Examples weighed by their loss: the official weights, the plain mean at its limits, and training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mlcl_utils import losses, training
from mlcl_utils.errors import UsageError
from mlcl_utils.training import Recipe
from mlcl_utils.training.recipe import check_setting
from mlcl_utils.training.reweighting import Reweighted, weights
from tests.training.test_training import CPU, fit, make_task

GOLDEN = json.loads((Path(__file__).parents[1] / "losses" / "classification.json").read_text())
ROWS = [(c, r) for c in GOLDEN["cases"] for r in c["expected"] if "reweight" in r["hyperparameters"]]
SHAPES = ["linupper", "quadratic", "extremes", "upper"]


def reweighted(loss="bce", shape="linupper", spread=1.0, after=0, unit="example", **given):
    recipe = Recipe(epochs=1, reweight=shape, reweight_spread=spread, reweight_unit=unit)
    return Reweighted(losses.create(loss, **given), recipe, loss=loss, after=after)


@pytest.mark.parametrize(("case", "row"), ROWS)
def test_golden(case, row):
    given = row["hyperparameters"]
    labels = torch.tensor(case["labels"])
    x = torch.tensor(case["inputs"]["logits"], dtype=torch.float64, requires_grad=True)
    each = losses.create(row["loss"]).per_example(labels, logits=x)
    torch.testing.assert_close(each, torch.tensor(row["losses"], dtype=torch.float64), rtol=1e-6, atol=1e-9)
    found = weights(each, torch.ones(len(each), dtype=torch.bool), given["reweight"], given["spread"])
    torch.testing.assert_close(found, torch.tensor(row["weights"], dtype=torch.float64), rtol=1e-6, atol=1e-9)
    value = reweighted(row["loss"], given["reweight"], given["spread"])(labels, logits=x)
    assert value.item() == pytest.approx(row["value"], rel=1e-6, abs=1e-9)
    (gradient,) = torch.autograd.grad(value, [x])
    expected = torch.tensor(row["gradients"]["logits"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


def problem(seed=0, count=8):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, 4, generator=generator) < 0.4).long()
    return labels, torch.randn(count, 4, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", ["batch", "mean", "sum"])
def test_with_a_wide_spread_it_is_the_plain_loss(shape, reduction):
    labels, x = problem()
    found = reweighted("bce", shape, 1e12, reduction=reduction)(labels, logits=x)
    torch.testing.assert_close(found, losses.create("bce", reduction=reduction)(labels, logits=x))


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_losses_have_equal_weights(shape):
    counted = torch.tensor([True, False, True, True, True])
    values = torch.full((5,), 3.7).where(counted, 0)
    assert weights(values, counted, shape, 0.1).tolist() == [0.25, 0, 0.25, 0.25, 0.25]


def test_shapes_weigh_the_losses_that_they_are_for():
    values, counted = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), torch.ones(5, dtype=torch.bool)
    ranks = {shape: weights(values, counted, shape, 0.5).argsort(stable=True).tolist() for shape in SHAPES}
    assert ranks["linupper"][:2] == [0, 1]
    assert weights(values, counted, "linupper", 0.5)[2:].unique().numel() == 1
    assert ranks["upper"] == [0, 1, 2, 3, 4]
    assert ranks["quadratic"][-1] == 2
    assert ranks["extremes"][0] == 2
    with pytest.raises(ValueError, match=r"shape must be linupper, .* was 'lower'"):
        weights(values, counted, "lower", 0.5)


def test_examples_that_do_not_count_weigh_nothing():
    labels = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1]])
    z, c = (torch.randn(n, 3, generator=torch.Generator().manual_seed(n), requires_grad=True) for n in (4, 2))
    criterion = reweighted("prototype", "upper", 0.2)
    each = losses.create("prototype").example_values(labels, embeddings=z, prototypes=c)
    found = weights(each.values, each.counted, "upper", 0.2)
    assert found[1] == 0
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    value = criterion(labels, embeddings=z, prototypes=c)
    torch.testing.assert_close(value, (found * each.values).sum())
    torch.testing.assert_close(
        criterion.reported, losses.create("prototype")(labels, embeddings=z, prototypes=c).detach()
    )
    nothing = criterion(torch.zeros(4, 2), embeddings=z, prototypes=c)
    assert nothing == 0
    assert all(not g.any() for g in torch.autograd.grad(nothing, [z, c]))


def test_it_begins_after_some_steps_and_is_the_plain_loss_in_evaluation():
    labels, x = problem()
    criterion, plain = reweighted(spread=0.1, after=2), losses.create("bce")(labels, logits=x)
    values = [criterion(labels, logits=x) for _ in range(3)]
    assert values[0] == values[1] == plain != values[2]
    assert criterion.eval()(labels, logits=x) == plain
    other = reweighted(spread=0.1, after=2)
    other.load_state_dict(criterion.state_dict())
    assert other(labels, logits=x) == values[2]


def test_training_is_changed_and_continued_to_the_bit(tmp_path):
    task = make_task(n=100)
    recipe = Recipe(epochs=4, min_steps=0, batch_size=32, width=24, reweight="quadratic", reweight_spread=0.3)

    def start():
        return training.Training(task, "bce", recipe, hyperparameters={}, seed=0, device=CPU)

    whole, first, second = start(), start(), start()
    whole.advance()
    first.advance(2)
    torch.save(first.checkpoint(), tmp_path / "checkpoint.pt")
    second.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    second.advance()
    assert second.history == whole.history
    plain = fit(task, "bce", Recipe(epochs=4, min_steps=0, batch_size=32, width=24))
    assert plain.history != whole.history
    # the history is in the units of the plain loss
    assert whole.history[-1]["train_loss"] == pytest.approx(plain.history[-1]["train_loss"], rel=0.3)


@pytest.mark.parametrize("loss", ["reg", "kmcl", "bce+clml"])
def test_a_loss_without_values_of_examples_is_refused(loss):
    with pytest.raises(UsageError, match=r"reweight=upper weighs examples, and the loss '.*' is no mean"):
        fit(make_task(n=60), loss, Recipe(epochs=1, reweight="upper"))


def test_a_queue_is_refused():
    with pytest.raises(UsageError, match="reweight=upper does not go with queue=8"):
        fit(make_task(n=60), "msc", Recipe(epochs=1, reweight="upper", queue=8))


def test_settings():
    check_setting("reweight", "quadratic")
    for name, value in (("reweight", "lower"), ("reweight_spread", 0.0), ("reweight_after", 1.0)):
        with pytest.raises(UsageError, match=f"{name} must be"):
            check_setting(name, value)


def test_it_is_a_module_like_the_loss():
    assert isinstance(reweighted(), nn.Module)
    assert reweighted("cosine_bce").tensors == ("embeddings", "prototypes")
    assert len(list(reweighted("cosine_bce").parameters())) == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_entries_of_a_label_are_weighed_among_each_other(shape):
    """A loop over labels: with one label, an entry is an example."""
    labels, x = problem(seed=3)
    labels[1, 2] = labels[4, 0] = -1
    given = {"reduction": "sum", "ignore_unobserved": True}
    found = reweighted("bce", shape, 0.3, unit="entry", **given)(labels, logits=x)
    one = reweighted("bce", shape, 0.3, **given)
    columns = [one(labels[:, [at]], logits=x[:, [at]]) for at in range(4)]
    torch.testing.assert_close(found, sum(columns))
    (gradient,) = torch.autograd.grad(found, [x], retain_graph=True)
    (expected,) = torch.autograd.grad(sum(columns), [x])
    torch.testing.assert_close(gradient, expected)
    assert gradient[1, 2] == gradient[4, 0] == 0


@pytest.mark.parametrize("loss", ["bce", "focal", "asl", "hill"])
@pytest.mark.parametrize("reduction", ["batch", "mean", "sum"])
def test_entries_with_a_wide_spread_are_the_plain_loss(loss, reduction):
    labels, x = problem(seed=4)
    labels[2, 1] = -1
    given = {"reduction": reduction, "ignore_unobserved": True}
    criterion = reweighted(loss, "quadratic", 1e12, unit="entry", **given)
    plain = losses.create(loss, **given)(labels, logits=x)
    torch.testing.assert_close(criterion(labels, logits=x), plain)
    torch.testing.assert_close(criterion.reported, plain.detach())


@pytest.mark.parametrize("loss", ["zlpr", "prototype", "bce+norm_penalty"])
def test_losses_without_entries_are_refused(loss):
    with pytest.raises(UsageError, match=r"reweight_unit=entry|weighs examples") as refused:
        fit(make_task(n=60), loss, Recipe(epochs=1, reweight="upper", reweight_unit="entry"))
    assert loss in str(refused.value)


def test_a_unit_of_its_own_is_another_training():
    recipe = Recipe(epochs=3, min_steps=0, batch_size=32, width=24, reweight="upper", reweight_spread=0.2)
    entry = Recipe(**{**vars(recipe), "reweight_unit": "entry"})
    task = make_task(n=80)
    runs = [fit(task, "bce", each).history[-1]["train_loss"] for each in (recipe, entry, entry)]
    assert runs[0] != runs[1] == runs[2]
