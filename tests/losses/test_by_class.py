"""Losses by their classes, and calls that leave out the names of the tensors."""

import pickle
import subprocess
import sys

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.losses import CLML, MSC, REG, SPLC
from mlcl_utils.models import heads
from tests.losses.problems import gradients, tensors_of


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_is_there_by_its_class(name):
    criterion = losses.create(name)
    cls = getattr(losses, type(criterion).__name__)
    assert cls is type(criterion)
    assert cls.name == name
    assert cls.__name__ in dir(losses)


def test_no_two_losses_have_classes_of_one_name():
    assert len({type(losses.create(name)).__name__ for name in losses.names()}) == len(losses.names())


def test_a_class_takes_the_hyperparameters_of_create():
    assert repr(REG(temperature=0.2, alpha=1.0)) == repr(losses.create("reg", temperature=0.2, alpha=1.0))
    assert (MSC.name, CLML.name, SPLC.name) == ("msc", "clml", "splc")
    assert pickle.loads(pickle.dumps(REG(temperature=0.2))).temperature == 0.2


def test_an_unknown_class_is_no_attribute_and_the_nearest_is_suggested():
    with pytest.raises(AttributeError, match="'REGG'; did you mean 'REG'"):
        losses.REGG  # noqa: B018
    with pytest.raises(ImportError):
        from mlcl_utils.losses import Nothing  # noqa: F401
    assert not hasattr(losses, "__wrapped__")


def test_a_class_imports_its_own_module_alone():
    code = (
        "import sys; from mlcl_utils.losses import BCE; print('torch' in sys.modules,"
        " 'mlcl_utils.losses.kmcl' in sys.modules, 'sklearn' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False", "False", "False"]


@pytest.mark.parametrize("name", [*losses.names(), "splc+clml"])
def test_tensors_without_names_are_refused_with_the_call(name):
    criterion = losses.create(name)
    z = torch.zeros(4, 8)
    with pytest.raises(TypeError) as caught:
        criterion(z, torch.zeros(4, 3))
    assert f"{name} takes the labels first" in str(caught.value)
    assert "criterion(labels, " + ", ".join(f"{tensor}=..." for tensor in criterion.tensors) in str(
        caught.value
    )


# heads on a network of one's own


def given_by(made, criterion, labels, width=8):
    """Labels and tensors of random representations, with gradient, and the representations."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, len(labels), width, generator=generator).requires_grad_()
    tensors = made(rows[0], rows[1]) if "views" in made.tensors else made(rows[0])
    if "index" in criterion.tensors:
        tensors["index"] = torch.arange(len(labels))
    return tensors, rows


@pytest.mark.parametrize("name", [*losses.names(), "splc+clml"])
def test_heads_give_every_loss_its_tensors_and_train(name):
    torch.manual_seed(0)
    criterion = losses.create(name)
    made = heads.for_loss(criterion, width=8, labels=3)
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 0]])
    tensors, rows = given_by(made, criterion, labels)
    value = criterion(labels, **tensors)
    value.backward()
    assert value.isfinite()
    assert rows.grad is not None
    assert rows.grad.isfinite().all()
    named = heads.for_loss(name, 8, 3)
    assert {key: p.shape for key, p in named.named_parameters()} == {
        key: p.shape for key, p in made.named_parameters()
    }


def test_heads_have_the_scores_of_the_loss():
    rows = torch.randn(5, 8)
    made = heads.for_loss("bce", 8, 3)
    torch.testing.assert_close(made.scores(rows), made.classifier(rows))
    assert heads.for_loss("jaccard_supcon", 8, 3).scores(rows) is None
    criterion = losses.create("z_loss")
    own = heads.for_loss(criterion, 8, 3)
    torch.testing.assert_close(own.scores(rows), criterion.scores(logits=own.classifier(rows)))


def test_a_second_view_is_asked_for_where_the_loss_takes_views():
    rows = torch.randn(5, 8)
    with pytest.raises(ValueError, match="takes views"):
        heads.for_loss("instance", 8, 3)(rows)
    with pytest.raises(ValueError, match="takes no views"):
        heads.for_loss("bce", 8, 3)(rows, rows)
    made = heads.for_loss("instance", 8, 3)
    given = made(rows, 2 * rows)
    torch.testing.assert_close(given["views"], made.projection(2 * rows))


@pytest.mark.parametrize(("width", "labels"), [(0, 3), (8, 0), (8.0, 3), (8, True), (8, "3")])
def test_sizes_of_heads_are_checked(width, labels):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        heads.for_loss("bce", width, labels)


def test_by_class_or_by_name_is_the_same_loss():
    labels = torch.tensor([[1, 0], [1, 1], [0, 1]])
    tensors = tensors_of("reg", labels)
    one = gradients(REG()(labels, **tensors), tensors)
    other = gradients(losses.create("reg")(labels, **tensors), tensors)
    for key, gradient in one.items():
        torch.testing.assert_close(gradient, other[key], rtol=0, atol=0)
