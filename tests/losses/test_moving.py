"""Moving denominators: their gradient, what is kept of each training example, and what evaluation does without."""

import json
import math
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.losses.moving import MovingMeans
from tests.losses.oracles import label_sets, scaled
from tests.losses.problems import PAIRWISE, gradients, labels_of, tensors_of

GOLDEN = json.loads(Path(__file__).with_name("classification.json").read_text())
VARIANTS = [
    *((name, {}) for name in PAIRWISE),
    ("msc", {"alpha": 0.5, "beta": 1.0, "temperature": 0.5}),
    ("msc", {"beta": 0.0, "alpha": 0.0}),
    ("reg", {"alpha": 1.0, "regularise": False}),
    ("mulsupcon", {"temperature": 0.02, "block": 2}),
    ("reg", {"block": 4}),
]


def moving(name, **given):
    return losses.create(name, denominator="moving", **given).double()


@pytest.mark.parametrize(("name", "given"), VARIANTS)
def test_with_the_newest_batch_alone_the_gradient_is_that_of_the_plain_loss(name, given):
    labels, index = labels_of(9, 5), torch.tensor([4, 1, 7, 0, 11, 3, 2, 9, 5])
    tensors = tensors_of(name, labels)
    criterion = moving(name, gamma=1.0, **given)
    plain = losses.create(name, **given)(labels, **tensors)
    for _ in range(2):  # what was kept plays no part
        value = criterion(labels, **tensors, index=index)
        torch.testing.assert_close(criterion.reported, plain.detach(), rtol=1e-12, atol=1e-12)
        wanted = gradients(plain, tensors) if plain.requires_grad else {}
        for key, gradient in gradients(value, tensors).items():
            torch.testing.assert_close(gradient, wanted[key], rtol=1e-9, atol=1e-12)
        plain = losses.create(name, **given)(labels, **tensors)


def naive(labels, embeddings, state, index, gamma, temperature):
    """`jaccard_supcon` with moving denominators, pair by pair; ``state`` is a dictionary of means."""
    sets, z = label_sets(labels), scaled(embeddings)
    total, anchors = 0, 0
    for i, own in enumerate(sets):
        others = [j for j in range(len(z)) if j != i]
        jaccard = {j: len(own & sets[j]) / len(own | sets[j]) for j in others if own & sets[j]}
        if not jaccard:
            continue
        anchors += 1
        pairs = {j: z[i] @ z[j] / temperature for j in others}
        new = sum(math.exp(pairs[j].item()) for j in others) / len(others)
        old = state.get(index[i])
        state[index[i]] = new if old is None else (1 - gamma) * old + gamma * new
        for j in others:
            share = math.exp(pairs[j].item()) / len(others) / state[index[i]]
            total = total + (share - jaccard.get(j, 0) / sum(jaccard.values())) * pairs[j]
    return total / anchors


@pytest.mark.parametrize("gamma", [0.1, 0.9])
@pytest.mark.parametrize("block", [None, 3])
def test_three_batches_in_turn_are_the_loop_over_pairs(gamma, block):
    criterion, state = moving("jaccard_supcon", gamma=gamma, temperature=0.2, block=block), {}
    for seed, index in enumerate(([0, 1, 2, 3, 4, 5, 6], [6, 9, 0, 12, 3, 4, 1], [5, 2, 9, 0, 8, 6, 1])):
        labels = labels_of(7, 5, seed)
        tensors = tensors_of("jaccard_supcon", labels, seed)
        value = criterion(labels, **tensors, index=torch.tensor(index))
        expected = naive(labels.tolist(), tensors["embeddings"], state, index, gamma, 0.2)
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
        (found,) = gradients(value, tensors).values()
        torch.testing.assert_close(found, *gradients(expected, tensors).values(), rtol=1e-8, atol=1e-11)
    kept = criterion.means.logs.exp()
    assert {row for row, value in enumerate(kept) if value > 0} == set(state)  # idle anchors keep nothing
    torch.testing.assert_close(kept[list(state)], torch.tensor(list(state.values()), dtype=torch.float64))


@pytest.mark.parametrize(
    ("case", "row"),
    [(c, r) for c in GOLDEN["cases"] for r in c["expected"] if r["loss"] == "moving_denominator"],
)
def test_golden(case, row):
    given = row["hyperparameters"]
    assert given["weights"] == "jaccard"
    labels = torch.tensor(case["labels"])
    z = torch.tensor(case["inputs"]["embeddings"], dtype=torch.float64, requires_grad=True)
    criterion = moving("jaccard_supcon", temperature=given["temperature"], gamma=given["gamma"])
    criterion.expect(len(labels))
    criterion.means.logs.copy_(torch.tensor(row["u_before"], dtype=torch.float64).log())
    value = criterion(labels, embeddings=z, index=torch.arange(len(labels)))
    assert value.item() == pytest.approx(row["value"], rel=1e-6, abs=1e-9)
    (gradient,) = torch.autograd.grad(value, [z])
    expected = torch.tensor(row["gradients"]["embeddings"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)
    after = torch.tensor(row["u_after"], dtype=torch.float64)
    torch.testing.assert_close(criterion.means.logs.exp(), after, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("made", [other for other in GOLDEN["others"] if other["what"] == "sogclr"])
def test_the_means_are_those_of_sogclr(made):
    """Its candidates are the negatives of two views alone, which no loss here has; what is kept is the same."""
    temperature, gamma = made["hyperparameters"]["temperature"], made["hyperparameters"]["gamma"]
    means = {way: MovingMeans() for way in ("there", "back")}
    for step in made["steps"]:
        index = torch.tensor(step["index"])
        z, other = (
            torch.tensor(step[name], dtype=torch.float64, requires_grad=True)
            for name in ("embeddings", "views")
        )
        unit, unit_other = (torch.nn.functional.normalize(x, dim=1) for x in (z, other))
        own = torch.eye(len(index), dtype=torch.bool)
        total = 0
        for way, anchor, far in (("there", unit, unit_other), ("back", unit_other, unit)):
            scores = torch.cat([(anchor @ anchor.T)[~own], (anchor @ far.T)[~own]]).reshape(2, len(index), -1)
            scores = scores.transpose(0, 1).flatten(1)
            mean = (scores / temperature).logsumexp(dim=1) - math.log(scores.shape[1])
            means[way].make_room(index, 0)
            kept = means[way].step(index, mean.detach(), gamma, torch.ones(len(index), dtype=torch.bool))
            share = (scores.detach() / temperature - kept[:, None]).exp() / scores.shape[1]
            total = total - ((anchor * far).sum(dim=1) - (share * scores).sum(dim=1)).mean()
        assert total.item() == pytest.approx(step["value"], rel=1e-6, abs=1e-9)
        for name, found in zip(("embeddings", "views"), torch.autograd.grad(total, [z, other]), strict=True):
            expected = torch.tensor(step["gradients"][name], dtype=torch.float64)
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
        # kept there: the mean of both directions, from which both go on
        both = torch.stack([each.logs.exp() for each in means.values()]).mean(dim=0)
        torch.testing.assert_close(both, torch.tensor(step["u"], dtype=torch.float64), rtol=1e-6, atol=1e-9)
        for each in means.values():
            each.logs = both.log()


@pytest.mark.parametrize("name", PAIRWISE)
def test_evaluation_is_the_plain_loss_and_keeps_nothing(name):
    labels, index = labels_of(9, 5), torch.arange(9)
    tensors = tensors_of(name, labels)
    criterion = moving(name)
    criterion(labels, **tensors, index=index)
    before = criterion.means.logs.clone()
    criterion.eval()
    plain = losses.create(name).double()(labels, **tensors)
    assert criterion(labels, **tensors) == criterion(labels, **tensors, index=index) == plain
    assert torch.equal(criterion.means.logs, before)
    assert criterion.reported is None


@pytest.mark.parametrize("name", PAIRWISE)
def test_what_is_kept_goes_with_the_module(name):
    labels, index = labels_of(9, 5), torch.tensor([4, 1, 7, 0, 11, 3, 2, 9, 5])
    tensors = tensors_of(name, labels)
    first, second = moving(name, gamma=0.3), moving(name, gamma=0.3)
    first(labels, **tensors, index=index)
    second.load_state_dict(first.state_dict())
    later = labels_of(9, 5, seed=4)
    assert first(later, **tensors, index=index) == second(later, **tensors, index=index)
    assert losses.create(name).state_dict() == {}


@pytest.mark.parametrize("name", PAIRWISE)
def test_candidates_alone_need_no_index(name):
    labels = labels_of(9, 5)
    tensors = tensors_of(name, labels)
    value = moving(name)(labels, **tensors, anchors=4, index=torch.arange(4))
    criterion = losses.create(name).double()
    assert value.isfinite()
    with pytest.raises(ValueError, match=r"index must have shape \(4\), was \(9,\)"):
        moving(name)(labels, **tensors, anchors=4, index=torch.arange(9))
    assert "index" not in criterion.tensors


def test_index_is_asked_for_and_checked():
    labels = labels_of(6, 4)
    tensors = tensors_of("jaccard_supcon", labels)
    criterion = moving("jaccard_supcon")
    assert criterion.tensors == ("embeddings", "index")
    assert losses.info("jaccard_supcon").tensors == ("embeddings",)
    with pytest.raises(ValueError, match=r"jaccard_supcon takes embeddings, index, was given embeddings$"):
        criterion(labels, **tensors)
    with pytest.raises(ValueError, match="takes embeddings, was given embeddings, index"):
        losses.create("jaccard_supcon")(labels, **tensors, index=torch.arange(6))
    for wrong, words in (
        (torch.arange(6.0), "index must be an integer tensor, was torch.float32"),
        (torch.arange(6) > 2, "index must be an integer tensor, was torch.bool"),
        (torch.arange(6) - 1, "index must be at least 0, was -1"),
        (torch.arange(5), r"index must have shape \(6\), was \(5,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            criterion(labels, **tensors, index=wrong)
    criterion.expect(6)
    with pytest.raises(ValueError, match="index must be below the 6 examples that are expected, was 6"):
        criterion(labels, **tensors, index=torch.arange(6) + 1)


@pytest.mark.parametrize("given", [{"denominator": "slow"}, {"gamma": 0.0}, {"gamma": 1.5}])
def test_refusals(given):
    with pytest.raises(ValueError, match="must be"):
        losses.create("msc", **given)


@pytest.mark.parametrize("name", PAIRWISE)
def test_nothing_contributes(name):
    for labels in (torch.zeros(4, 3, dtype=torch.int8), torch.zeros(0, 3, dtype=torch.int8)):
        tensors = tensors_of(name, labels)
        criterion = moving(name)
        value = criterion(labels, **tensors, index=torch.arange(len(labels)))
        assert value == 0
        assert all(not g.any() for g in gradients(value, tensors).values())
        assert not criterion.means.logs.isfinite().any()
    one = torch.tensor([[1, 0, 1]])
    tensors = tensors_of(name, one)
    value = moving(name)(one, **tensors, index=torch.tensor([3]))
    assert all(g.isfinite().all() for g in gradients(value, tensors).values())


def test_low_temperatures_do_not_overflow():
    labels = labels_of(9, 5)
    tensors = tensors_of("jaccard_supcon", labels, dtype=torch.float32)
    criterion = losses.create("jaccard_supcon", denominator="moving", temperature=0.003)
    for _ in range(2):
        value = criterion(labels, **tensors, index=torch.arange(9))
    exact = losses.create("jaccard_supcon", temperature=0.003)(labels, **tensors)
    for key, gradient in gradients(value, tensors).items():
        torch.testing.assert_close(gradient, gradients(exact, tensors)[key], rtol=1e-3, atol=1e-3)


def test_compiles_whole_with_room_made():
    labels = labels_of(7, 5)
    tensors = tensors_of("jaccard_supcon", labels)
    one, two = moving("jaccard_supcon"), moving("jaccard_supcon")
    one.expect(7), two.expect(7)
    torch.compiler.reset()
    compiled = torch.compile(one, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        found, wanted = (each(labels, **tensors, index=torch.arange(7)) for each in (compiled, two))
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(one.means.logs, two.means.logs)


def test_nothing_waits_for_the_device_with_room_made():
    from torch._subclasses.fake_tensor import FakeTensorMode

    shapes = {key: x.shape for key, x in tensors_of("reg", labels_of(7, 5)).items()}
    with FakeTensorMode(), torch.device("cuda:0"):
        criterion = losses.create("reg", denominator="moving")
        criterion.expect(20)
        tensors = {key: torch.empty(shape, requires_grad=True) for key, shape in shapes.items()}
        labels, index = torch.zeros(7, 5, dtype=torch.int8), torch.arange(7)
        assert criterion(labels, **tensors, index=index).device.type == "cuda"


def test_a_sum_passes_the_index_on_and_reports():
    labels = labels_of(7, 5)
    tensors = tensors_of("bce+msc", labels)
    criterion = losses.create("bce+msc", msc={"denominator": "moving", "gamma": 0.5})
    criterion.expect(7)
    assert criterion.tensors == ("logits", "embeddings", "prototypes", "index")
    criterion(labels, **tensors, index=torch.arange(7))
    plain = losses.create("bce+msc")
    torch.testing.assert_close(criterion.reported, plain(labels, **tensors).detach())
    assert plain.reported is None
    assert criterion.eval()(labels, **tensors) == plain(labels, **tensors)
