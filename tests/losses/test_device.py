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


MIXED = {
    "mixed": torch.randn(7, 5, generator=torch.Generator().manual_seed(0)),
    "partners": torch.arange(7).roll(1),
    "mixing": torch.tensor(0.3),
}
OPTIONS = [
    ("metrix", {}, MIXED),
    ("metrix", {"mode": "anchor_negative"}, MIXED),
    ("metrix_supcon", {}, MIXED),
    ("proto_triplet", {"centroids": True}, {}),
    ("mw", {"negatives": 3}, {}),
    ("mw_logits", {"negatives": 2, "pool": "labels", "normalise": "negatives_summed"}, {}),
    ("energy_confusion", {"head_only": False}, {}),
]


@pytest.mark.parametrize(("name", "given", "more"), OPTIONS)
def test_what_else_a_loss_takes_compiles_whole_and_does_not_wait(name, given, more):
    labels = labels_of(7, 5)
    criterion = losses.create(name, **given)
    tensors = {key: torch.randn(5 if key == "prototypes" else 7, 5) for key in criterion.tensors} | more
    torch.compiler.reset()
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    found = []
    for each in (compiled, criterion):
        torch.manual_seed(0)
        found.append(each(labels, **tensors))
    torch.testing.assert_close(*found)
    types = {key: (x.shape, x.dtype) for key, x in tensors.items()}
    with FakeTensorMode(), torch.device("cuda:0"):
        pretended = {key: torch.empty(shape, dtype=dtype) for key, (shape, dtype) in types.items()}
        labels = torch.zeros(7, 5, dtype=torch.int8)
        assert losses.create(name, **given)(labels, **pretended).device.type == "cuda"


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
