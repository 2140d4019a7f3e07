"""The values of a batch's examples: their mean or sum is the loss, value and gradient."""

import pytest
import torch

from mlcl_utils import losses
from tests.losses.problems import IDS, SETTINGS, gradients, labels_of, tensors_of

BY_EXAMPLE = [setting for setting in SETTINGS if losses.create(setting[0], **setting[1]).by_example]
OTHERS = sorted({name for name in losses.names() if not losses.create(name).by_example})


def reduced(criterion, found):
    total = found.values.sum()
    return total if criterion.is_sum else total / found.counted.sum().clamp(min=1)


def test_which_losses_have_them():
    assert {"clml", "kmcl", "norm_penalty", "reg"} <= set(OTHERS)
    assert {"bce", "zlpr", "prototype", "jaccard_supcon", "mulsupcon", "msc"} <= {
        name for name, *_ in BY_EXAMPLE
    }


@pytest.mark.parametrize(
    "setting", BY_EXAMPLE, ids=[i for i, s in zip(IDS, SETTINGS, strict=True) if s in BY_EXAMPLE]
)
@pytest.mark.parametrize("unobserved", [False, True])
def test_their_reduction_is_the_loss(setting, unobserved):
    name, given, epoch = setting
    labels = labels_of(9, 6, unobserved=unobserved)
    if unobserved:
        labels[5] = -1
    tensors = tensors_of(name, labels)
    criterion = losses.create(name, **given)
    value = criterion(labels, **tensors, epoch=epoch)
    found = criterion.example_values(labels, **tensors, epoch=epoch)
    assert found.values.shape == found.counted.shape == (9,)
    assert not found.values[~found.counted].any()
    torch.testing.assert_close(reduced(criterion, found), value)
    wanted = gradients(value, tensors)
    for key, gradient in gradients(reduced(criterion, found), tensors).items():
        torch.testing.assert_close(gradient, wanted[key])
    assert torch.equal(criterion.per_example(labels, **tensors, epoch=epoch), found.values)


@pytest.mark.parametrize("name", ["jaccard_supcon", "mulsupcon", "similarity_dissimilarity", "msc"])
@pytest.mark.parametrize("block", [None, 2])
def test_a_weighted_sum_over_anchors_has_its_gradient(name, block):
    labels = labels_of(7, 5)
    tensors = tensors_of(name, labels)
    weights = torch.linspace(-1, 2, 7, dtype=torch.float64)
    criterion = losses.create(name, block=block)

    def weighted(*inputs):
        return criterion.per_example(labels, **dict(zip(tensors, inputs, strict=True))) @ weights

    assert torch.autograd.gradcheck(weighted, tuple(tensors.values()))


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_refuse(name):
    labels = labels_of(6, 4)
    with pytest.raises(ValueError, match=f"{name} is no mean over examples"):
        losses.create(name).per_example(labels, **tensors_of(name, labels))


def test_a_surrogate_refuses():
    labels = labels_of(6, 4)
    criterion = losses.create("msc", denominator="moving")
    with pytest.raises(ValueError, match="msc is no mean over examples"):
        criterion.per_example(labels, **tensors_of("msc", labels), index=torch.arange(6))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("bce+prototype", {}),  # which count different examples
        ("bce+focal", {"bce": {"reduction": "sum"}, "focal": {"reduction": "sum"}}),
        ("bce+prototype", {"bce": {"reduction": "sum"}}),
    ],
)
def test_those_of_a_sum(name, given):
    labels = labels_of(9, 6)
    tensors = tensors_of(name, labels)
    criterion = losses.create(name, **given)
    assert criterion.by_example
    found = criterion.example_values(labels, **tensors)
    torch.testing.assert_close(reduced(criterion, found), criterion(labels, **tensors))
    assert torch.equal(criterion.per_example(labels, **tensors), found.values)


def test_a_sum_with_another_part_refuses():
    labels = labels_of(6, 4)
    criterion = losses.create("bce+clml")
    assert not criterion.by_example
    with pytest.raises(ValueError, match="clml is no mean over examples"):
        criterion.per_example(labels, **tensors_of("bce+clml", labels))


@pytest.mark.parametrize("name", ["bce", "zlpr", "prototype", "msc", "bce+zlpr"])
def test_empty_batch(name):
    labels = torch.zeros(0, 3)
    found = losses.create(name).example_values(labels, **tensors_of(name, labels))
    assert found.values.shape == found.counted.shape == (0,)
