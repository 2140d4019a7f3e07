"""No loss looks at a value on a GPU, shown without one; and what ``torch.compile`` can take whole."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from mlcl_utils import losses
from tests.losses.problems import IDS, SETTINGS, gradients, labels_of, tensors_of

WAITING = {"clml", "norm_penalty"}  # the sizes of their decompositions depend on the labels


def on_a_pretended_gpu(name, given, epoch):
    """Run a loss on tensors without values: whatever would wait for a value is an error."""
    shapes = {key: x.shape for key, x in tensors_of(name, labels_of(7, 5)).items()}
    with FakeTensorMode(), torch.device("cuda:0"):
        labels = torch.zeros(7, 5, dtype=torch.int8)
        tensors = {key: torch.empty(shape, requires_grad=True) for key, shape in shapes.items()}
        return losses.create(name, **given)(labels, **tensors, epoch=epoch)


@pytest.mark.parametrize(("name", "given", "epoch"), SETTINGS, ids=IDS)
def test_nothing_waits_for_the_device(name, given, epoch):
    if name in WAITING:
        with pytest.raises(DataDependentOutputException):
            on_a_pretended_gpu(name, given, epoch)
    else:
        assert on_a_pretended_gpu(name, given, epoch).device.type == "cuda"


@pytest.mark.parametrize("name", [name for name in losses.names() if name not in WAITING | {"ensloss"}])
def test_compiles_whole(name):
    labels = labels_of(7, 5)
    tensors = tensors_of(name, labels)
    criterion = losses.create(name)
    torch.compiler.reset()
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)  # some losses draw
    value = compiled(labels, **tensors)
    torch.manual_seed(0)
    expected = criterion(labels, **tensors)
    torch.testing.assert_close(value, expected)
    wanted = gradients(expected, tensors)
    for key, gradient in gradients(value, tensors).items():
        torch.testing.assert_close(gradient, wanted[key])


def test_clml_runs_under_compile_with_a_break():
    labels = labels_of(7, 5)
    tensors = tensors_of("clml", labels)
    criterion = losses.create("clml")
    torch.testing.assert_close(
        torch.compile(criterion, backend="eager")(labels, **tensors), criterion(labels, **tensors)
    )


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "given", "epoch"), SETTINGS, ids=IDS)
def test_gpu_gives_the_same(name, given, epoch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    labels = labels_of(7, 5)
    tensors = tensors_of(name, labels)
    expected = losses.create(name, **given).double()(labels, **tensors, epoch=epoch)
    moved = {key: x.detach().cuda().requires_grad_() for key, x in tensors.items()}
    criterion = losses.create(name, **given).double().cuda()
    if name not in WAITING:
        torch.cuda.set_sync_debug_mode("error")
    try:
        value = criterion(labels.cuda(), **moved, epoch=epoch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(value.cpu(), expected)
    wanted = gradients(expected, tensors)
    for key, gradient in gradients(value, moved).items():
        if gradient is not None:
            torch.testing.assert_close(gradient.cpu(), wanted[key])
