"""What must not change a loss."""

import pytest
import torch

from mlcl_utils import losses
from tests.losses.problems import IDS, SETTINGS, labels_of, tensors_of

OF_BATCH = {"embeddings", "views", "confused", "logits", "features", "mean", "variance"}
WITH_LABELS = {"logits": 1, "mean": 1, "variance": 1, "prototypes": 0, "normals": 0}
ROTATED = [
    s
    for s in SETTINGS
    if s[0] in {"clml", "cosine_bce"}
    or (losses.info(s[0]).family == "contrastive" and not s[0].startswith("snr"))
]
AS_THEY_ARE = {"clml", "proto_triplet", "icnn", "energy_confusion", "hyperbolic_ce", "hyperbolic_confusion"}
SCALED = [s for s in ROTATED if s[0] not in AS_THEY_ARE]
# an example meets the one that comes half a batch later
UNORDERED = [s for s in SETTINGS if s[0] != "hyperbolic_confusion" or s[1].get("pairs") == "all"]
IGNORING = [s for s in SETTINGS if s[1].get("ignore_unobserved")]


def value_of(setting, labels, tensors):
    name, given, epoch = setting
    return losses.create(name, **given)(labels, **tensors, epoch=epoch)


@pytest.mark.parametrize("setting", UNORDERED, ids=str)
def test_order_of_the_batch(setting):
    labels = labels_of(9, 6)
    tensors = tensors_of(setting[0], labels)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    moved = {name: x[order] if name in OF_BATCH else x for name, x in tensors.items()}
    torch.testing.assert_close(value_of(setting, labels[order], moved), value_of(setting, labels, tensors))


@pytest.mark.parametrize("setting", SETTINGS, ids=IDS)
def test_order_of_the_labels(setting):
    labels = labels_of(9, 6)
    tensors = tensors_of(setting[0], labels)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    moved = {
        name: x.index_select(WITH_LABELS[name], order) if name in WITH_LABELS else x
        for name, x in tensors.items()
    }
    torch.testing.assert_close(value_of(setting, labels[:, order], moved), value_of(setting, labels, tensors))


@pytest.mark.parametrize("setting", ROTATED, ids=str)
def test_rotation_of_the_space(setting):
    labels = labels_of(9, 6)
    tensors = tensors_of(setting[0], labels)
    rotation = torch.linalg.qr(
        torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ).Q
    turned = {name: x if name == "logits" else x @ rotation for name, x in tensors.items()}
    torch.testing.assert_close(value_of(setting, labels, turned), value_of(setting, labels, tensors))


@pytest.mark.parametrize("setting", SCALED, ids=str)
def test_length_of_embeddings(setting):
    labels = labels_of(9, 6)
    tensors = tensors_of(setting[0], labels)
    longer = {name: x * (1 + torch.arange(len(x))[:, None]) for name, x in tensors.items()}
    torch.testing.assert_close(value_of(setting, labels, longer), value_of(setting, labels, tensors))


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s not in IGNORING], ids=str)
def test_unobserved_counts_as_negative(setting):
    labels = labels_of(9, 6)
    assert (labels == -1).any()
    tensors = tensors_of(setting[0], labels)
    assert value_of(setting, labels, tensors) == value_of(setting, labels.clamp(min=0), tensors)


@pytest.mark.parametrize("setting", IGNORING, ids=str)
def test_unobserved_is_left_out(setting):
    labels = labels_of(9, 6)
    labels[0] = -1
    tensors = tensors_of(setting[0], labels)
    value = value_of(setting, labels, tensors)
    assert value != value_of(setting, labels.clamp(min=0), tensors)
    if "logits" in tensors:
        value.backward()
        assert not tensors["logits"].grad[labels == -1].any()
        assert tensors["logits"].grad[labels == 1].any()
    # an example without any observed entry might as well not be there
    rest = {name: x[1:] if name in OF_BATCH else x for name, x in tensors.items()}
    torch.testing.assert_close(value, value_of(setting, labels[1:], rest))


@pytest.mark.parametrize("setting", SETTINGS, ids=IDS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_type_of_the_labels(setting, dtype):
    labels = labels_of(9, 6, unobserved=False)
    tensors = tensors_of(setting[0], labels)
    assert value_of(setting, labels.to(dtype), tensors) == value_of(setting, labels, tensors)


def test_an_example_without_labels_stays_a_candidate():
    labels = torch.tensor([[1, 0], [1, 0], [0, 0]])
    for name in ("jaccard_supcon", "mulsupcon", "similarity_dissimilarity", "msc", "reg"):
        tensors = tensors_of(name, labels)
        value = losses.create(name)(labels, **tensors)
        value.backward()
        assert tensors["embeddings"].grad[2].any()
        rest = tensors | {"embeddings": tensors["embeddings"][:2]}
        assert value > losses.create(name)(labels[:2], **rest)
