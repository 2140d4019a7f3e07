"""Training with mixtures of examples: what is mixed with what, what of, the loss of it, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from mlcl_utils import losses, training
from mlcl_utils.errors import UsageError
from mlcl_utils.losses.base import Loss
from mlcl_utils.models.bag import BagOfWords
from mlcl_utils.models.cnn import SmallCNN
from mlcl_utils.models.frozen import FrozenFeatures
from mlcl_utils.models.mixture import Mixture
from mlcl_utils.runs.config import RunConfig
from mlcl_utils.training import Recipe
from mlcl_utils.training.mixing import Mixup, draws
from mlcl_utils.training.recipe import check_setting
from tests.training.test_training import CPU, fit, make_task

SMALL = Recipe(epochs=3, min_steps=0, batch_size=32, width=24, mix="input")
MIXING = torch.tensor(0.7, dtype=torch.float64)


def drawn(sizes, seed=0, **given):
    recipe = dataclasses.replace(SMALL, **given)
    return draws(sizes, recipe, torch.Generator().manual_seed(seed), CPU)


# what is mixed


@pytest.mark.parametrize("accumulate", [1, 3])
def test_everyone_is_mixed_with_another_that_is_encoded_with_it(accumulate):
    sizes = [7, 12, 2, 6]
    found = drawn(sizes, accumulate=accumulate)
    for size, (partners, mixing) in zip(sizes, found, strict=True):
        assert sorted(partners.tolist()) == list(range(size))
        assert 0 < mixing < 1
        for part in torch.arange(size).tensor_split(min(accumulate, size)):
            own = partners[part]
            assert set(own.tolist()) == set(part.tolist())
            assert len(part) == 1 or not (own == part).any()
    assert len({float(mixing) for _, mixing in found}) == len(sizes)
    again, other = drawn(sizes, accumulate=accumulate), drawn(sizes, seed=1, accumulate=accumulate)
    for one, two in zip(found, again, strict=True):
        assert torch.equal(one.partners, two.partners)
        assert one.mixing == two.mixing
    assert not torch.equal(found[1].partners, other[1].partners)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 20.0])
def test_shares_are_drawn_from_the_distribution_that_is_asked_for(alpha):
    shares = torch.stack([mixing for _, mixing in drawn([2] * 4000, mix_alpha=alpha)]).double()
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


# what of


def model_of(tensors=("logits", "embeddings", "prototypes")):
    task = make_task(n=20)
    model = training.untrained(task, SMALL, tensors=tensors, seed=0, device=CPU).double().eval()
    return model, torch.from_numpy(task.train.features[:6]).double()


@pytest.mark.parametrize("level", ["input", "feature"])
def test_a_model_embeds_mixtures_of_its_inputs_or_of_its_representations(level):
    model, x = model_of()
    partners = torch.tensor([3, 0, 5, 1, 2, 4])

    def mixed(values):
        return 0.7 * values + 0.3 * values[partners]

    representation = model.encoder(mixed(x)) if level == "input" else mixed(model.encoder(x))
    expected = model.heads(representation)
    alone = model(x, Mixture(partners, MIXING, level, beside=False))
    beside = model(x, Mixture(partners, MIXING, level, beside=True))
    plain = model(x)
    assert set(alone) == set(plain)
    assert set(beside) == {*plain, "mixed"}
    for name in plain:
        torch.testing.assert_close(alone[name], expected[name])
        torch.testing.assert_close(beside[name], plain[name])
    torch.testing.assert_close(beside["mixed"], expected["embeddings"])


@pytest.mark.parametrize(
    "encoder",
    [
        FrozenFeatures.create(torch.randn(30, 6), width=4, dropout=0.3, augment="none"),
        SmallCNN.create(
            torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8), width=4, dropout=0.3, augment="crop"
        ),
    ],
)
def test_an_encoder_of_what_is_measured_prepares_and_encodes(encoder):
    cnn = isinstance(encoder, SmallCNN)
    x = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8) if cnn else torch.randn(8, 6)
    assert encoder.mixes_inputs
    for mode in (True, False):
        encoder.train(mode)
        found = []
        for both in (encoder, lambda values: encoder.encoded(encoder.prepared(values))):
            torch.manual_seed(0)
            found.append(both(x))
        assert torch.equal(*found)


def test_an_encoder_of_words_does_not():
    encoder = BagOfWords(torch.ones(5), width=3, dropout=0.0)
    assert not encoder.mixes_inputs
    for part in (encoder.prepared, encoder.encoded):
        with pytest.raises(NotImplementedError, match="BagOfWords does not mix its inputs"):
            part(torch.zeros(1, 2))


# the loss of it


def problem():
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(6, 4, generator=generator) < 0.4).long()
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    return labels, x, torch.tensor([3, 0, 5, 1, 2, 4])


def mixup(loss="bce", **given):
    return Mixup(losses.create(loss, **given), SMALL, loss=loss)


@pytest.mark.parametrize("reduction", ["batch", "mean", "sum"])
def test_mixup_of_bce_is_bce_with_mixed_targets(reduction):
    labels, x, partners = problem()
    value = mixup(reduction=reduction)(labels, logits=x, partners=partners, mixing=MIXING)
    targets = 0.7 * labels + 0.3 * labels[partners]
    entries = F.binary_cross_entropy_with_logits(x, targets.double(), reduction="none")
    expected = entries.sum() / {"batch": 6, "mean": 24, "sum": 1}[reduction]
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, x), torch.autograd.grad(expected, x))


@pytest.mark.parametrize("loss", ["bce", "asl", "zlpr", "comp_sum", "ldr"])
def test_without_mixtures_it_is_the_loss(loss):
    labels, x, partners = problem()
    criterion, plain = mixup(loss), losses.create(loss)
    assert criterion(labels, logits=x) == plain(labels, logits=x)
    one, none = (MIXING.new_tensor(share) for share in (1.0, 0.0))
    assert criterion(labels, logits=x, partners=partners, mixing=one) == plain(labels, logits=x)
    assert criterion(labels, logits=x, partners=partners, mixing=none) == plain(labels[partners], logits=x)


def test_unobserved_labels_of_either_partner_stay_unobserved():
    labels = torch.tensor([[1, -1], [0, 1]])
    x = torch.tensor([[0.5, -1.0], [2.0, 0.3]])
    value = mixup(ignore_unobserved=True)(labels, logits=x, partners=torch.tensor([1, 0]), mixing=MIXING)
    plus, minus = F.softplus(-x), F.softplus(x)
    first = plus[0, 0] + minus[1, 0] + plus[1, 1]
    second = minus[0, 0] + plus[0, 1] + plus[1, 0]
    torch.testing.assert_close(value, 0.7 * first / 2 + 0.3 * second / 2, check_dtype=False)


def test_it_is_a_module_like_the_loss():
    criterion = mixup("cosine_bce")
    assert criterion.tensors == ("embeddings", "prototypes")
    assert len(list(criterion.parameters())) == 2
    assert mixup("bce+asl").tensors == ("logits",)


# training


LOSSES = ["bce", "prototype", "metrix", "metrix_supcon", "bce+metrix_supcon"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mix", ["input", "feature"])
def test_a_step_in_parts_is_the_step(loss, mix):
    task = make_task(n=40)
    found = []
    for accumulate in (1, 3):
        recipe = dataclasses.replace(SMALL, accumulate=accumulate, dropout=0.0, mix=mix)
        run = training.Training(task, loss, recipe, hyperparameters={}, seed=0, device=CPU)
        (mixture,) = drawn([20], accumulate=3)
        labels = torch.from_numpy(task.train.labels[:20])
        inputs = torch.from_numpy(task.train.features[:20])
        value = run._step(1, inputs, labels, torch.arange(20), mixture)
        found.append((value, {name: p.grad for name, p in run.model.named_parameters()}))
    torch.testing.assert_close(found[0][0], found[1][0])
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-6, msg=name)
        assert gradient.abs().max() > 0, name


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mix", ["input", "feature"])
def test_training_is_changed_and_continued_to_the_bit(loss, mix, tmp_path):
    task, recipe = make_task(n=100), dataclasses.replace(SMALL, epochs=4, mix=mix)

    def start():
        return training.Training(task, loss, recipe, hyperparameters={}, seed=0, device=CPU)

    whole, first, second = start(), start(), start()
    whole.advance()
    first.advance(2)
    torch.save(first.checkpoint(), tmp_path / "checkpoint.pt")
    second.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    second.advance()
    assert second.history == whole.history
    plain = fit(task, loss, dataclasses.replace(recipe, mix="none"))
    assert plain.history != whole.history
    other = fit(task, loss, dataclasses.replace(recipe, mix_alpha=0.1))
    assert other.history != whole.history


def test_batches_are_those_of_a_training_without_mixtures(monkeypatch):
    seen: list[list[torch.Tensor]] = []
    step = training.Training._step

    def watched(self, number, inputs, labels, index, mixture):
        seen[-1].append(index)
        return step(self, number, inputs, labels, index, mixture)

    monkeypatch.setattr(training.Training, "_step", watched)
    for mix in ("none", "input"):
        seen.append([])
        fit(make_task(n=100), "bce", dataclasses.replace(SMALL, mix=mix))
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


@pytest.mark.parametrize("loss", ["metrix_supcon", "bce"])
def test_mixtures_are_given_in_training_alone(loss, monkeypatch):
    given = []
    prepared = Loss._prepared

    def watched(self, labels, epoch, tensors, anchors=None):
        given.append((self.training, set(tensors)))
        return prepared(self, labels, epoch, tensors, anchors)

    monkeypatch.setattr(Loss, "_prepared", watched)
    fit(make_task(n=60), loss, dataclasses.replace(SMALL, epochs=1))
    mixtures = {"mixed", "partners", "mixing"} if loss == "metrix_supcon" else set()
    own = set(losses.info(loss).tensors)
    assert {frozenset(names) for used, names in given if used} == {frozenset(own | mixtures)}
    assert {frozenset(names) for used, names in given if not used} == {frozenset(own)}


# what is refused


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("jaccard_supcon", "contrasts examples with each other; metrix and metrix_supcon"),
        ("instance", "contrasts examples with each other"),
        ("instance_simple", "contrasts examples with each other"),
        ("unpg", "contrasts examples with each other"),
        ("tcm", "is no mean over examples"),
        ("bce+msc", "contrasts examples with each other"),
        ("kmcl", "is no mean over examples"),
        ("anyloss", "is no mean over examples"),
        ("bce+clml", "is no mean over examples"),
    ],
)
def test_a_loss_that_mixtures_mean_nothing_to_is_refused(loss, words):
    with pytest.raises(UsageError, match=rf"mix=input mixes examples, and the loss '.*' {words}"):
        fit(make_task(n=60), loss, SMALL)


def test_a_loss_that_keeps_something_of_each_example_is_refused():
    with pytest.raises(UsageError, match=r"'aldr' keeps something of each training example"):
        fit(make_task(n=60), "aldr", SMALL, memory=True)


@pytest.mark.parametrize("name", ["alpha", "mixing", "pairing", "negatives"])
def test_hyperparameters_of_mixtures_that_the_loss_does_not_make_are_refused(name):
    value = {"alpha": 1.0, "mixing": 0.5, "pairing": "all", "negatives": 1}[name]
    with pytest.raises(UsageError, match=f"mix=input makes the mixtures of 'metrix', .*; leave {name} out"):
        fit(make_task(n=60), "metrix", SMALL, **{name: value})


def test_weights_are_refused():
    with pytest.raises(UsageError, match="mix=input does not go with reweight=upper; leave one of them out"):
        fit(make_task(n=60), "bce", dataclasses.replace(SMALL, reweight="upper"))


def test_inputs_that_are_words_are_refused():
    with pytest.raises(UsageError, match=r"mix=input: the encoder 'bag' reads words, .*; take mix=feature"):
        training.Training(
            make_task(n=60), "bce", SMALL, encoder="bag", hyperparameters={}, seed=0, device=CPU
        )


def test_settings():
    check_setting("mix", "feature")
    for name, value in (("mix", "output"), ("mix", True), ("mix_alpha", 0.0), ("mix_alpha", float("inf"))):
        with pytest.raises(UsageError, match=f"{name} must be"):
            check_setting(name, value)


def test_it_changes_the_identity_of_a_run_only_where_it_is_set():
    def run(**given):
        return RunConfig(
            dataset="debtags",
            num_labels=10,
            base_labels=10,
            replicate=0,
            loss="bce",
            seed=0,
            recipe=Recipe(epochs=1, **given),
        ).id

    assert run() == run(mix="none") == run(mix_alpha=2.0)
    assert len({run(), run(mix="input"), run(mix="feature"), run(mix="input", mix_alpha=1.0)}) == 4
