"""Gradients against numerical derivatives, in float64."""

import pytest
import torch
from torch.autograd import gradcheck

from mlcl_utils import losses
from tests.losses.problems import SETTINGS, labels_of, tensors_of

# the second term of reg, the size of the penalty and the strengths of aldr are held fixed in the gradient; the oracles
# have them instead
SMOOTH = [
    setting
    for setting in SETTINGS
    if setting[0] not in ("norm_penalty", "aldr")
    and (setting[0] != "reg" or not setting[1].get("regularise", True))
] + [("reg", {"regularise": False}, 0), ("reg", {"regularise": False, "alpha": 1.0}, 0)]


@pytest.mark.parametrize(("name", "given", "epoch"), SMOOTH)
def test_gradient_is_the_derivative(name, given, epoch):
    labels = labels_of(7, 5)
    tensors = tensors_of(name, labels)
    criterion = losses.create(name, **given).double()

    def value(*inputs):
        return criterion(labels, **dict(zip(tensors, inputs, strict=True)), epoch=epoch)

    if name == "clml":  # no gradient flows to the logits, though the corrected labels depend on them
        tensors["logits"].requires_grad_(False)
    assert gradcheck(value, tuple(tensors.values()))


def test_learned_scale_and_bias_have_their_derivatives():
    labels = labels_of(7, 5)
    tensors = tensors_of("cosine_bce", labels)
    criterion = losses.create("cosine_bce").double()
    learned = dict(criterion.named_parameters())
    assert set(learned) == {"log_scale", "offset"}

    def value(*parameters):
        given = dict(zip(learned, parameters, strict=True))
        return torch.func.functional_call(criterion, given, (labels,), tensors)

    assert gradcheck(value, tuple(learned.values()))


def test_no_gradient_is_computed_where_none_is_asked_for():
    labels = labels_of(7, 5)
    tensors = {name: tensor.detach() for name, tensor in tensors_of("reg", labels).items()}
    assert not losses.create("reg")(labels, **tensors).requires_grad
    with torch.no_grad():
        assert not losses.create("reg")(labels, **tensors_of("reg", labels)).requires_grad


def test_gradient_scales_with_what_is_upstream():
    labels = labels_of(7, 5)
    tensors = tensors_of("reg", labels)
    criterion = losses.create("reg")
    (once,) = torch.autograd.grad(criterion(labels, **tensors), [tensors["embeddings"]])
    (thrice,) = torch.autograd.grad(3 * criterion(labels, **tensors), [tensors["embeddings"]])
    torch.testing.assert_close(thrice, 3 * once)
