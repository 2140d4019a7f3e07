"""Batches at the edge: value, gradient, and the exact zero that still has a path."""

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.losses.pairs import distances
from tests.losses.problems import IDS, SETTINGS, gradients, labels_of, tensors_of
from tests.losses.test_oracle import check

BATCHES = {
    "one example": torch.tensor([[1, 0, 1]]),
    "one example without labels": torch.tensor([[0, 0, 0]]),
    "two examples with nothing in common": torch.tensor([[1, 0, 0], [0, 1, 0]]),
    "no positives": torch.zeros(4, 3, dtype=torch.int64),
    "all positives": torch.ones(4, 3, dtype=torch.int64),
    "one label": torch.tensor([[1], [0], [1], [1], [-1]]),
    "one label, all have it": torch.ones(4, 1, dtype=torch.int64),
    "all unobserved": torch.full((4, 3), -1),
    "examples without labels": torch.tensor([[0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0], [0, -1, -1]]),
}


@pytest.mark.parametrize(("name", "given", "epoch"), SETTINGS, ids=IDS)
@pytest.mark.parametrize("batch", BATCHES)
def test_edge_is_its_oracle(name, given, epoch, batch):
    labels = BATCHES[batch]
    tensors = tensors_of(name, labels)
    check(name, given, epoch, labels, tensors)
    value = losses.create(name, **given)(labels, **tensors, epoch=epoch)
    assert value.shape == ()
    assert value.requires_grad
    assert all(g is None or g.isfinite().all() for g in gradients(value, tensors).values())


# which of two equal negatives is kept is left open, and with it the gradient
UNTIED = [
    setting
    for setting in SETTINGS
    if "hard_fraction" not in setting[1] and setting[1].get("negatives") != 1 and setting[0] != "icnn"
]


@pytest.mark.parametrize(("name", "given", "epoch"), UNTIED)
def test_duplicated_rows(name, given, epoch):
    labels = labels_of(4, 5).repeat(2, 1)
    tensors = {
        key: x if key in ("prototypes", "normals") else x[:4].detach().repeat(2, 1).requires_grad_()
        for key, x in tensors_of(name, labels).items()
    }
    check(name, given, epoch, labels, tensors)


@pytest.mark.parametrize("batch", ["no positives", "all unobserved"])
@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(
            (name, {})
            for name in losses.names()
            if losses.info(name).family == "contrastive" and not name.startswith("instance")
        ),
        ("clml", {}),
    ],
)
def test_zero_with_a_path_where_nothing_contributes(batch, name, given):
    labels = BATCHES[batch]
    tensors = tensors_of(name, labels)
    value = losses.create(name, **given)(labels, **tensors)
    assert value == 0
    assert all(g is None or not g.any() for g in gradients(value, tensors).values())


@pytest.mark.parametrize("name", ["bce", "focal", "asl", "hill", "splc", "zlpr", "cosine_bce"])
def test_zero_with_a_path_where_all_is_ignored(name):
    labels = BATCHES["all unobserved"]
    tensors = tensors_of(name, labels)
    value = losses.create(name, ignore_unobserved=True)(labels, **tensors)
    assert value == 0
    assert all(not g.any() for g in gradients(value, tensors).values())


@pytest.mark.parametrize("name", ["jaccard_supcon", "mulsupcon", "similarity_dissimilarity", "instance"])
def test_zero_with_a_path_for_one_example(name):
    labels = BATCHES["one example"]
    tensors = tensors_of(name, labels)
    value = losses.create(name)(labels, **tensors)
    assert value == 0
    assert all(not g.any() for g in gradients(value, tensors).values())


@pytest.mark.parametrize("name", [*losses.names(), "splc+clml"])
def test_empty_batch(name):
    labels = torch.zeros(0, 3)
    tensors = tensors_of(name, labels)
    value = losses.create(name)(labels, **tensors)
    assert value == 0
    assert all(not g.any() for g in gradients(value, tensors).values())


@pytest.mark.parametrize("name", [n for n in losses.names() if "embeddings" in losses.info(n).tensors])
def test_embedding_of_zero_length(name):
    labels = labels_of(6, 4)
    tensors = tensors_of(name, labels)
    with torch.no_grad():
        tensors["embeddings"][2] = 0
    value = losses.create(name)(labels, **tensors)
    assert value.isfinite()
    assert all(g.isfinite().all() for g in gradients(value, tensors).values())


def test_clml_counts_the_rows_it_leaves_out():
    labels = BATCHES["examples without labels"]
    criterion = losses.create("clml")
    for epoch in (0, 0):
        criterion(labels, **tensors_of("clml", labels), epoch=epoch)
    assert criterion.excluded == 6


def test_clml_sends_no_gradient_to_the_logits():
    labels = labels_of(7, 5)
    tensors = tensors_of("clml", labels)
    value = losses.create("clml")(labels, **tensors, epoch=2)
    assert gradients(value, tensors)["logits"] is None


def test_kmcl_in_parts_is_kmcl_whole(monkeypatch):
    from mlcl_utils.losses import kmcl

    labels = labels_of(9, 6)
    for anisotropic in (False, True):
        tensors = tensors_of("kmcl", labels, anisotropic=anisotropic)
        whole = losses.create("kmcl")(labels, **tensors)
        wanted = gradients(whole, tensors)
        with monkeypatch.context() as small:
            small.setattr(kmcl, "_CHUNK_BYTES", 1000)
            parts = losses.create("kmcl")(labels, **tensors)
            torch.testing.assert_close(parts, whole)
            for name, gradient in gradients(parts, tensors).items():
                torch.testing.assert_close(gradient, wanted[name])


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_distances_of_close_points_keep_their_value_and_gradient(factor):
    """The 1e-6 under the root only keeps it from a slope without bound: it is no floor of the squared distance."""
    x = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1e-3, 0.0]], dtype=torch.float64)
    found = distances(x, y, factor)
    expected = (factor**2 * 1e-6 + 1e-6) ** 0.5
    assert found.item() == pytest.approx(expected, rel=1e-9)
    (gradient,) = torch.autograd.grad(found.sum(), [x])
    assert gradient[0, 0].item() == pytest.approx(-(factor**2) * 1e-3 / expected, rel=1e-9)
