"""Blocks of rows: the same values and gradients, sparse labels, and a bounded memory."""

import subprocess
import sys

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.losses import contrast
from tests.losses.problems import PAIRWISE, gradients, labels_of, tensors_of

VARIANTS = [
    *((name, {}) for name in PAIRWISE),
    ("reg", {"alpha": 1.0}),
    ("reg", {"alpha": -1.0, "regularise": False}),
]


@pytest.mark.parametrize(("name", "given"), VARIANTS)
@pytest.mark.parametrize("block", [1, 5, 23, 24, 1000])
def test_blocks_change_nothing(name, given, block):
    labels = labels_of(23, 17, density=0.2)
    tensors = tensors_of(name, labels)
    dense = losses.create(name, **given)(labels, **tensors)
    streamed = losses.create(name, **given, block=block)(labels, **tensors)
    torch.testing.assert_close(streamed, dense, rtol=1e-12, atol=1e-12)
    wanted = gradients(dense, tensors)
    for key, gradient in gradients(streamed, tensors).items():
        torch.testing.assert_close(gradient, wanted[key], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", PAIRWISE)
def test_blocks_are_chosen_where_the_whole_would_not_fit(name, monkeypatch):
    labels = labels_of(23, 17, density=0.2)
    tensors = tensors_of(name, labels)
    seen = []
    weights_of = contrast._block

    def block(similarity, *rest):
        seen.append(similarity.shape)
        return weights_of(similarity, *rest)

    monkeypatch.setattr(contrast, "_block", block)
    dense = losses.create(name)(labels, **tensors)
    assert len(seen) == 1
    monkeypatch.setattr(contrast, "BLOCK_BYTES", 2000)
    torch.testing.assert_close(losses.create(name)(labels, **tensors), dense)
    assert len(seen) > 2
    assert all(rows * columns * 8 <= 2000 for rows, columns in seen[1:])


@pytest.mark.parametrize("name", PAIRWISE)
@pytest.mark.parametrize("sparse", [torch.Tensor.to_sparse_coo, torch.Tensor.to_sparse_csr])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.float32])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_sparse_labels(name, sparse, dtype):
    labels = labels_of(23, 17, density=0.2, unobserved=dtype != torch.bool).to(dtype)
    tensors = tensors_of(name, labels)
    criterion = losses.create(name)
    assert criterion(sparse(labels), **tensors) == criterion(labels, **tensors)


LARGE = """
import torch
from mlcl_utils import losses
from mlcl_utils.processes import peak_memory
torch.set_num_threads(1)
labels = torch.zeros(256, 12000, dtype=torch.bool)
generator = torch.Generator().manual_seed(0)
labels[torch.arange(256)[:, None], torch.randint(12000, (256, 5), generator=generator)] = True
z, c = (torch.randn(n, 16, generator=generator, requires_grad=True) for n in labels.shape)
before = peak_memory()
losses.create("reg")(labels, embeddings=z, prototypes=c).backward()
print((peak_memory() - before) / 2**30)
"""


def test_memory_is_bounded():
    """12,256 candidates: each dense array would take 0.56 GiB, and there are five."""
    run = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert 0 < float(run.stdout) < 1.8
