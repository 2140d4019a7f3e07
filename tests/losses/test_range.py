"""Rows so long or short that float32 cannot hold the squares of their numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mlcl_utils import losses
from mlcl_utils.losses.contrast import unit

FACTORS = (1e20, 1e-25, 1e36, 1e-36)


def gradients(name: str, labels: Tensor, factor: float, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The value, and the gradient by embeddings that are scaled, times their factor."""
    embeddings = (tensors["embeddings"] * factor).requires_grad_()
    value = losses.create(name)(labels, **tensors | {"embeddings": embeddings})
    value.backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    return value.detach(), embeddings.grad * factor


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    "name", ["mulsupcon", "jaccard_supcon", "msc", "reg", "prototype", "cosine_bce", "instance"]
)
def test_the_length_of_a_row_changes_nothing(name: str, factor: float) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(30, 4, generator=generator) < 0.4).float()
    sizes = {"embeddings": 30, "views": 30, "prototypes": 4}
    tensors = {each: torch.randn(sizes[each], 8, generator=generator) for each in losses.create(name).tensors}
    value, gradient = gradients(name, labels, 1, tensors)
    scaled, scaled_gradient = gradients(name, labels, factor, tensors)
    torch.testing.assert_close(scaled, value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(scaled_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_unit_rows_of_any_length() -> None:
    rows = torch.randn(5, 300, generator=torch.Generator().manual_seed(0))
    expected = rows / rows.norm(dim=1, keepdim=True)
    assert torch.equal(unit(rows), expected)
    for factor in FACTORS:
        torch.testing.assert_close(unit(rows * factor), expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(unit(torch.zeros(2, 3)), torch.zeros(2, 3))
