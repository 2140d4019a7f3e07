"""The loss that is drawn anew in each step: what generic tests cannot ask, since no two calls are alike."""

import json
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.errors import UsageError
from tests.losses.problems import labels_of, tensors_of

GOLDEN = json.loads(Path(__file__).with_name("classification.json").read_text())["cases"]
SETTINGS = [
    {},
    {"box_cox": 0.5},
    {"box_cox": -0.5, "group": "all"},
    {"ignore_unobserved": True},
    {"ignore_unobserved": True, "group": "all"},
]


def problem(batch=9, count=6, seed=0, **labels):
    labels = labels_of(batch, count, seed, **labels)
    return labels, tensors_of("ensloss", labels, seed)["logits"]


def draw(labels, given, seed=0):
    shape = (1, labels.numel()) if given.get("group") == "all" else labels.T.shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(labels, logits, normals, box_cox=0.0, group="label", ignore_unobserved=False):
    """The slopes by entry, and the number of examples: sorted lists, entry by entry."""
    slopes = [[0.0] * len(row) for row in labels]
    entries = [(i, j) for i, row in enumerate(labels) for j in range(len(row))]
    columns = [[(i, j) for i in range(len(labels))] for j in range(len(labels[0]))]
    groups = columns if group == "label" else [entries]
    for members, numbers in zip(groups, normals, strict=True):
        derivatives, margins = [], []
        for (i, j), n in zip(members, numbers.tolist(), strict=True):
            if labels[i][j] == -1 and ignore_unobserved:
                continue
            inside = max(1 + box_cox * n, 0)
            if box_cox == 0:
                steep = torch.tensor(n, dtype=torch.float64).exp().item()
            else:
                steep = inside ** (1 / box_cox) if inside > 0 or box_cox > 0 else float("inf")
            derivatives.append(-min(steep, 1))
            x = logits[i][j].item()
            margins.append((x if labels[i][j] == 1 else -x, i, j))
        for g, (margin, i, j) in zip(sorted(derivatives), sorted(margins), strict=True):
            slopes[i][j] = (g / margin if margin > 1 else g) - 1e-6
    examples = sum(any(v != -1 or not ignore_unobserved for v in row) for row in labels)
    return slopes, max(examples, 1)


@pytest.mark.parametrize("given", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_its_oracle(given, seed):
    labels, x = problem(seed=seed)
    labels[3] = -1
    normals = draw(labels, given, seed)
    value = losses.create("ensloss", **given)(labels, logits=x, normals=normals)
    slopes, examples = naive(labels.tolist(), x, normals, **given)
    signs = torch.where(labels == 1, 1.0, -1.0)
    expected = torch.tensor(slopes, dtype=torch.float64) * signs / examples
    torch.testing.assert_close(value, (expected * x).sum())
    (gradient,) = torch.autograd.grad(value, [x])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("box_cox", [0.0, 0.5])
def test_with_one_label_both_groups_are_one(box_cox):
    labels, x = problem(count=1)
    normals = draw(labels, {"group": "all"})
    found = [
        losses.create("ensloss", box_cox=box_cox, group=group)(labels, logits=x, normals=normals)
        for group in ("label", "all")
    ]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(*(torch.autograd.grad(value, [x]) for value in found))


ROWS = [(c, r) for c in GOLDEN for r in c["expected"] if r["loss"] == "ensloss"]


@pytest.mark.parametrize(("case", "row"), ROWS)
def test_golden(case, row):
    labels = torch.tensor(case["labels"])
    x = torch.tensor(case["inputs"]["logits"], dtype=torch.float64, requires_grad=True)
    normals = torch.tensor(row["normals"], dtype=torch.float64)
    value = losses.create("ensloss", **row["hyperparameters"])(labels, logits=x, normals=normals)
    assert value.item() == pytest.approx(row["value"], rel=1e-6, abs=1e-9)
    (gradient,) = torch.autograd.grad(value, [x])
    expected = torch.tensor(row["gradients"]["logits"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_derivatives_are_negative_and_rise_with_the_margin(given):
    labels, x = problem()
    with torch.no_grad():
        x.div_(10)  # below 1, where the tail begins
    (gradient,) = torch.autograd.grad(losses.create("ensloss", **given)(labels, logits=x), [x])
    signs = torch.where(labels == 1, 1.0, -1.0)
    observed = labels >= 0 if given.get("ignore_unobserved") else labels < 2
    slopes, margins = gradient * signs, x * signs
    assert not gradient[~observed].any()
    assert (slopes[observed] < 0).all()
    groups = [slice(None)] if given.get("group") == "all" else range(6)
    for group in groups:
        kept = observed[:, group].flatten()
        order = margins[:, group].flatten()[kept].argsort()
        assert (slopes[:, group].flatten()[kept][order].diff() >= 0).all()


def test_the_largest_draws_make_it_linear_with_a_tail():
    labels, x = problem()
    normals = torch.full((6, 9), torch.inf, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(losses.create("ensloss")(labels, logits=x, normals=normals), [x])
    signs = torch.where(labels == 1, 1.0, -1.0)
    expected = -1 / (x * signs).clamp(min=1) - 1e-6
    torch.testing.assert_close(gradient * signs * 9, expected.detach())


def test_evaluation_is_bce_which_training_reports():
    for ignore in (False, True):
        labels, x = problem()
        criterion = losses.create("ensloss", ignore_unobserved=ignore)
        plain = losses.create("bce", ignore_unobserved=ignore)(labels, logits=x)
        criterion(labels, logits=x)
        torch.testing.assert_close(criterion.reported, plain.detach())
        torch.testing.assert_close(criterion.eval()(labels, logits=x), plain)
        assert criterion.reported is None


def test_each_call_draws_anew_and_a_seed_repeats_it():
    labels, x = problem()
    criterion = losses.create("ensloss")
    torch.manual_seed(3)
    first, second = criterion(labels, logits=x), criterion(labels, logits=x)
    torch.manual_seed(3)
    assert first == criterion(labels, logits=x) != second
    state = torch.get_rng_state()
    criterion.eval()(labels, logits=x)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_order_of_the_batch(given):
    labels, x = problem()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    normals = draw(labels, given)
    if given.get("ignore_unobserved"):
        labels = labels.clamp(min=0)  # else the draws of other entries are left out
    criterion = losses.create("ensloss", **given)
    torch.testing.assert_close(
        criterion(labels[order], logits=x[order], normals=normals),
        criterion(labels, logits=x, normals=normals),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_precision(dtype):
    labels, x = problem()
    x = x.detach().to(dtype).requires_grad_()
    normals = draw(labels, {})
    exact = x.detach().double().requires_grad_()
    criterion = losses.create("ensloss")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = criterion(labels, logits=x, normals=normals)
    assert value.dtype == torch.float32
    expected = criterion(labels, logits=exact, normals=normals)
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    (gradient,), (wanted,) = torch.autograd.grad(value, [x]), torch.autograd.grad(expected, [exact])
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "labels",
    [
        torch.full((4, 3), -1),
        torch.zeros(4, 3),
        torch.ones(4, 3),
        torch.tensor([[1, 0, 1]]),
        torch.zeros(0, 3),
    ],
)
def test_edges(labels):
    x = torch.zeros(labels.shape, requires_grad=True)
    value = losses.create("ensloss", ignore_unobserved=True)(labels, logits=x)
    (gradient,) = torch.autograd.grad(value, [x])
    assert gradient.isfinite().all()
    if (labels < 0).all() or len(labels) == 0:
        assert value == 0
        assert not gradient.any()
    else:
        assert gradient.any()


def test_refusals():
    labels, x = problem()
    for given, words in (
        ({"box_cox": 2.0}, "box_cox must be a number at least -1 and at most 1, was 2.0"),
        ({"group": "row"}, "group must be label or all, was 'row'"),
    ):
        with pytest.raises(ValueError, match=words):
            losses.create("ensloss", **given)
    with pytest.raises(UsageError, match="unknown hyperparameter of ensloss 'period'"):
        losses.create("ensloss", period=10)
    with pytest.raises(ValueError, match=r"normals must have shape \(6, 9\), was \(9, 6\)"):
        losses.create("ensloss")(labels, logits=x, normals=torch.zeros(9, 6))
    with pytest.raises(ValueError, match="ensloss is no mean over examples"):
        losses.create("ensloss").per_example(labels, logits=x)


def test_compiles_whole_and_does_not_wait():
    from torch._subclasses.fake_tensor import FakeTensorMode

    labels, x = problem()
    normals = draw(labels, {})
    criterion = losses.create("ensloss")
    torch.compiler.reset()
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    found, wanted = (each(labels, logits=x, normals=normals) for each in (compiled, criterion))
    torch.testing.assert_close(found, wanted)
    compiled(labels, logits=x)
    with FakeTensorMode(), torch.device("cuda:0"):
        value = criterion(torch.zeros(7, 5), logits=torch.empty(7, 5, requires_grad=True))
        assert value.device.type == "cuda"


@pytest.mark.gpu
def test_gpu_gives_the_same():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    labels, x = problem()
    normals = draw(labels, {})
    criterion = losses.create("ensloss")
    torch.cuda.set_sync_debug_mode("error")
    try:
        value = criterion(labels.cuda(), logits=x.cuda(), normals=normals.cuda())
        criterion(labels.cuda(), logits=x.cuda())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(value.cpu(), criterion(labels, logits=x, normals=normals))
