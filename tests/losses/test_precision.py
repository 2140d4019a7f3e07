"""Types of 32 and 16 bits, autocast, and temperatures down to 0.01.

All arithmetic is in float32 at least, so that the only error beside float32's own is the rounding of the inputs, which
the comparison shares. Tolerances: values 1e-4 relative (similarities divided by a temperature of 0.01 reach 100, and
float32 resolves 1e-5 of that); gradients 1e-3 of the largest for float32, 4 units in the last place of it for others,
since the gradient is rounded to the type of the input.
"""

import pytest
import torch

from mlcl_utils import losses
from tests.losses.problems import IDS, SETTINGS, gradients, labels_of, tensors_of

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 4 * 2**-8, torch.float16: 4 * 2**-11}
# the released arithmetic of kmcl overflows in float32 below a temperature of 0.0113: that is what `stable` is for
TEMPERED = [
    setting
    for setting in SETTINGS
    if "temperature" in losses.info(setting[0]).hyperparameters and setting[1].get("stable", True)
]


def compare(name, given, epoch, dtype, autocast):
    labels = labels_of(8, 6)
    tensors = tensors_of(name, labels, dtype=dtype)
    exact = {key: x.detach().double().requires_grad_() for key, x in tensors.items()}
    expected = losses.create(name, **given).double()(labels, **exact, epoch=epoch)
    with torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
        value = losses.create(name, **given)(labels, **tensors, epoch=epoch)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    wanted = gradients(expected, exact)
    for key, gradient in gradients(value, tensors).items():
        if wanted[key] is None:
            continue
        assert gradient.dtype == dtype
        assert gradient.isfinite().all()
        error = (gradient.double() - wanted[key]).abs().max()
        assert error <= TOLERANCE[dtype] * wanted[key].abs().max() + 1e-6, key


@pytest.mark.parametrize(("name", "given", "epoch"), SETTINGS, ids=IDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
def test_types(name, given, epoch, dtype, autocast):
    compare(name, given, epoch, dtype, autocast)


@pytest.mark.parametrize(("name", "given", "epoch"), TEMPERED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_temperature(name, given, epoch, dtype):
    if given.get("stable") is False:
        pytest.skip(
            "the released arithmetic overflows below a temperature of 0.0113; that is what stable is for"
        )
    compare(name, given | {"temperature": 0.01}, epoch, dtype, dtype if dtype != torch.float32 else None)


@pytest.mark.parametrize("name", [name for name in losses.names() if "logits" in losses.info(name).tensors])
@pytest.mark.parametrize("size", [30.0, 1e4])
def test_large_logits(name, size):
    labels = labels_of(8, 6)
    tensors = tensors_of(name, labels, dtype=torch.float32)
    with torch.no_grad():
        tensors["logits"].mul_(size)
    value = losses.create(name)(labels, **tensors)
    assert value.isfinite()
    assert all(g is None or g.isfinite().all() for g in gradients(value, tensors).values())


def test_kmcl_lives_where_the_released_arithmetic_underflows():
    """At 1,280 dimensions nearly all kernels are zero in float32; the ratio of their sums is not."""
    labels = labels_of(8, 6)
    tensors = tensors_of("kmcl", labels, dtype=torch.float32, dim=1280)
    health = losses.create("kmcl").health(labels, **tensors)
    assert health["kappa_underflow"] > 0.9
    exact = {name: x.detach().double() for name, x in tensors.items()}
    found = losses.create("kmcl").terms(labels, **tensors)["reconstruction"]
    torch.testing.assert_close(
        found.double(), losses.create("kmcl").terms(labels, **exact)["reconstruction"], rtol=1e-4, atol=0
    )
    dead = losses.create("kmcl", stable=False).terms(labels, **tensors)["reconstruction"]
    assert abs(dead - found) > 1
