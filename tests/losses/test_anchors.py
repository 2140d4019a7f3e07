"""Examples that are candidates alone, as those of a momentum queue are."""

import pytest
import torch

from mlcl_utils import losses
from tests.losses import oracles
from tests.losses.problems import IDS, PAIRWISE, SETTINGS, gradients, labels_of, tensors_of

PAIRS = [setting for setting in SETTINGS if setting[0] in PAIRWISE]
NAMES = [name for name, setting in zip(IDS, SETTINGS, strict=True) if setting[0] in PAIRWISE]


@pytest.mark.parametrize("anchors", [0, 1, 4, 9])
@pytest.mark.parametrize(("name", "given", "epoch"), PAIRS, ids=NAMES)
def test_a_loss_with_some_anchors_is_its_oracle(name, given, epoch, anchors):
    labels = labels_of(9, 5)
    tensors = tensors_of(name, labels)
    value = losses.create(name, **given)(labels, **tensors, anchors=anchors)
    expected = getattr(oracles, name)(labels.tolist(), **tensors, epoch=0, anchors=anchors, **given)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-10)
    if expected.requires_grad:
        wanted = gradients(expected, tensors)
        for tensor, found in gradients(value, tensors).items():
            expected_of = torch.zeros_like(found) if wanted[tensor] is None else wanted[tensor]
            torch.testing.assert_close(found, expected_of, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("name", "given", "epoch"), PAIRS, ids=NAMES)
def test_with_all_examples_as_anchors_a_loss_is_the_plain_one_to_the_bit(name, given, epoch):
    labels = labels_of(9, 5)
    tensors = tensors_of(name, labels)
    criterion = losses.create(name, **given)
    plain, queued = criterion(labels, **tensors), criterion(labels, **tensors, anchors=9)
    assert torch.equal(plain, queued)
    found = gradients(queued, tensors)
    assert all(torch.equal(one, found[key]) for key, one in gradients(plain, tensors).items())


@pytest.mark.parametrize("name", PAIRWISE)
def test_anchors_in_blocks_are_those_without(name):
    labels = labels_of(9, 5)
    tensors = tensors_of(name, labels)
    whole = losses.create(name)(labels, **tensors, anchors=5)
    torch.testing.assert_close(losses.create(name, block=2)(labels, **tensors, anchors=5), whole)


@pytest.mark.parametrize("name", ["prototype", "instance", "bce", "clml"])
def test_a_loss_that_contrasts_no_examples_refuses_anchors(name):
    labels = labels_of(4, 3)
    with pytest.raises(ValueError, match=f"anchors must be None for {name}"):
        losses.create(name)(labels, **tensors_of(name, labels), anchors=2)


@pytest.mark.parametrize("anchors", [-1, 5, 2.0, "all"])
def test_a_number_of_anchors_that_cannot_be_is_refused(anchors):
    labels = labels_of(4, 3)
    with pytest.raises(ValueError, match="anchors must be a whole number from 0 to 4, was"):
        losses.create("msc")(labels, **tensors_of("msc", labels), anchors=anchors)
