"""The losses against nested loops, value and gradient, with all three label states."""

import pytest
import torch

from mlcl_utils import losses
from tests.losses import oracles
from tests.losses.problems import IDS, SETTINGS, gradients, labels_of, tensors_of


def check(name, given, epoch, labels, tensors):
    value = losses.create(name, **given)(labels, **tensors, epoch=epoch)
    expected = getattr(oracles, name)(labels.tolist(), **tensors, epoch=epoch, **given)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-10)
    found = gradients(value, tensors)
    wanted = gradients(expected, tensors) if expected.requires_grad else dict.fromkeys(tensors)
    for tensor in tensors:
        one, other = (
            torch.zeros_like(tensors[tensor]) if g[tensor] is None else g[tensor] for g in (found, wanted)
        )
        torch.testing.assert_close(
            one, other, rtol=1e-7, atol=1e-9, msg=lambda m, t=tensor: f"gradient of {t}: {m}"
        )


@pytest.mark.parametrize(("name", "given", "epoch"), SETTINGS, ids=IDS)
@pytest.mark.parametrize(("batch", "count", "seed"), [(7, 5, 0), (6, 9, 1), (9, 4, 2)])
def test_loss_is_its_oracle(name, given, epoch, batch, count, seed):
    labels = labels_of(batch, count, seed)
    check(name, given, epoch, labels, tensors_of(name, labels, seed))


@pytest.mark.parametrize("kernel", ["bhattacharyya", "mahalanobis", "rbf"])
@pytest.mark.parametrize("stable", [True, False])
def test_kmcl_anisotropic_is_its_oracle(kernel, stable):
    labels = labels_of(7, 5)
    check(
        "kmcl", {"kernel": kernel, "stable": stable}, 0, labels, tensors_of("kmcl", labels, anisotropic=True)
    )


def test_kmcl_isotropic_is_anisotropic_with_equal_dimensions():
    labels = labels_of(7, 5)
    tensors = tensors_of("kmcl", labels)
    same = tensors | {name: tensors[name][..., None].expand(-1, -1, 5) for name in ("mean", "variance")}
    torch.testing.assert_close(
        losses.create("kmcl")(labels, **tensors), losses.create("kmcl")(labels, **same)
    )
