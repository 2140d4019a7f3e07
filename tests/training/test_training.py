"""Training, the probe and the baselines, on a small problem whose answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mlcl_utils import losses, training
from mlcl_utils.data import Part, Task
from mlcl_utils.errors import UsageError
from mlcl_utils.losses.bce import BCE
from mlcl_utils.training import Recipe, TrainingError, baselines
from mlcl_utils.training import probe as probing
from mlcl_utils.training.recipe import check_setting

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=4, min_steps=0, batch_size=32, width=24)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_task(seed: int = 0, n: int = 300, width: int = 12, labels: int = 5) -> Task:
    """Labels that are noisy linear functions of the features, rarer and rarer."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(width, labels))
    features = rng.normal(size=(2 * n, width)) * rng.uniform(0.1, 10, size=width) + rng.normal(size=width) * 5
    standard = (features - features.mean(0)) / features.std(0)
    logits = standard @ weight - np.linspace(0, 3, labels)
    truth = (logits + rng.logistic(size=logits.shape) > 0).astype(np.int8)

    def part(rows: slice) -> Part:
        index = np.arange(2 * n, dtype=np.int64)[rows]
        return Part(features[rows].astype(np.float32), truth[rows], index.astype(np.int32), index, None)

    return Task(
        name="made",
        modality="text",
        label_names=tuple(map(str, range(labels))),
        label_index=np.arange(labels),
        frequency=(truth[:n] == 1).sum(0),
        train=part(slice(0, n)),
        validation=part(slice(n, n + n // 2)),
        test=part(slice(n + n // 2, 2 * n)),
        replicate=0,
        dataset=None,  # nothing here reads raw examples
    )


def fit(task: Task, loss: str = "bce", recipe: Recipe = RECIPE, seed: int = 0, **hyperparameters):
    return training.fit(task, loss, recipe, hyperparameters=hyperparameters, seed=seed, device=CPU)


# the value of the regularised REG is no objective: its gradient is not the value's
@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        *((name, {}) for name in ("bce", "asl", "prototype", "msc", "jaccard_supcon", "comp_sum")),
        *((name, {}) for name in ("mw", "mw_logits", "anyloss")),
        ("reg", {"regularise": False}),
    ],
)
def test_training_lowers_the_loss_on_both_parts(loss, settings):
    fitted = fit(make_task(), loss, Recipe(epochs=10, min_steps=0, batch_size=32, width=24), **settings)
    assert [row["epoch"] for row in fitted.history] == list(range(10))
    assert fitted.history[-1]["train_loss"] < fitted.history[0]["train_loss"]
    assert fitted.history[-1]["validation_loss"] < fitted.history[0]["validation_loss"]


@pytest.mark.parametrize(
    "loss", ["bce", "prototype", "msc", "reg", "comp_sum", "mw", "mw_logits", "anyloss", "ensloss"]
)
def test_training_teaches_the_direct_head(loss):
    task = make_task()
    recipe = Recipe(epochs=10, min_steps=0, batch_size=32, width=24)
    fitted = fit(task, loss, recipe)
    fresh = training.untrained(task, recipe, tensors=fitted.model.tensors, seed=0, device=CPU)
    trained, untrained = (
        average_precision_score(
            task.test.labels,
            model.scores(training.represent(model, torch.from_numpy(task.test.features), device=CPU))
            .detach()
            .numpy(),
            average="macro",
        )
        for model in (fitted.model, fresh)
    )
    assert trained > untrained + 0.1


@pytest.mark.parametrize("loss", ["bce", "reg"])
def test_same_seed_same_weights_to_the_bit_another_seed_others(loss):
    task = make_task()
    first, again, other = (fit(task, loss, seed=seed).model.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.linear.weight"], other["encoder.linear.weight"])


@pytest.mark.parametrize("loss", ["bce", "cosine_bce", "instance", "ensloss"])
def test_training_that_is_stored_and_continued_is_the_same_to_the_bit(loss, tmp_path):
    task, recipe = make_task(), Recipe(epochs=9, min_steps=0, batch_size=32, width=24)

    def start() -> training.Training:
        return training.Training(task, loss, recipe, hyperparameters={}, seed=3, device=CPU)

    whole, first = start(), start()
    whole.advance()
    first.advance(3)
    torch.save(first.checkpoint(), tmp_path / "checkpoint.pt")
    first.advance(5)  # what goes on must not change what was stored
    torch.rand(7)  # nor does the caller's random state matter
    second = start()
    second.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert second.epoch == 3
    second.advance(9)
    assert whole.history == second.history
    expected, found = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert not torch.equal(
        expected["encoder.linear.weight"], first.model.state_dict()["encoder.linear.weight"]
    )


def test_more_epochs_than_the_budget_are_refused():
    started = training.Training(make_task(), "bce", RECIPE, hyperparameters={}, seed=0, device=CPU)
    with pytest.raises(ValueError, match="epochs=5 is more than the 4"):
        started.advance(5)


def test_training_does_not_disturb_the_random_state_of_the_caller():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(make_task())
    assert torch.equal(torch.rand(3), expected)


def test_a_loss_that_is_not_finite_names_the_epoch_and_the_loss():
    with pytest.raises(TrainingError, match=r"'bce' was not finite in epoch 0.*1e\+30"):
        fit(make_task(), recipe=Recipe(epochs=3, min_steps=0, batch_size=32, width=24, learning_rate=1e30))


def test_a_small_training_part_gets_its_minimum_of_steps():
    recipe = Recipe(epochs=3, min_steps=50, batch_size=32)
    assert recipe.epochs_for(10_000) == 3
    assert recipe.epochs_for(64) * recipe.steps_per_epoch(64) >= 50
    assert fit(make_task(n=64), recipe=recipe).steps >= 50


def test_the_classifier_starts_at_the_prior_and_inputs_are_standardised():
    task = make_task()
    model = training.untrained(task, RECIPE, tensors=("logits",), seed=0, device=CPU)
    share = (task.train.labels == 1).mean(0)
    assert np.allclose(torch.sigmoid(model.classifier.bias).detach().numpy(), share, atol=1e-6)
    standard = (torch.from_numpy(task.train.features) - model.encoder.mean) / model.encoder.scale
    assert torch.allclose(standard.mean(0), torch.zeros(12), atol=1e-4)
    assert torch.allclose(standard.std(0), torch.ones(12), atol=1e-4)


@pytest.mark.parametrize("width", [5, 12, 24])
def test_the_linear_path_starts_with_the_largest_directions(width):
    task = make_task()
    task.train.features[:, 6:] = task.train.features[:, :6] + 0.01 * task.train.features[:, 6:]
    encoder = training.untrained(task, Recipe(epochs=1, width=width), seed=0, device=CPU).encoder
    kept = min(width, 12)
    assert encoder.width == kept
    weight = encoder.linear.weight.detach()
    assert torch.allclose(weight @ weight.T, torch.eye(kept), atol=1e-5)
    standard = (torch.from_numpy(task.train.features) - encoder.mean) / encoder.scale
    values = np.linalg.svd(standard.numpy(), compute_uv=False)
    assert float((standard @ weight.T).square().sum()) == pytest.approx((values[:kept] ** 2).sum(), rel=1e-4)


def test_a_constant_feature_is_harmless():
    task = make_task()
    task.train.features[:, 3] = 2.5
    fitted = fit(task)
    assert np.isfinite(fitted.history[-1]["validation_loss"])


@pytest.mark.parametrize("loss", losses.names())
def test_every_registered_loss_can_be_trained(loss):
    task = make_task(n=64)
    fitted = fit(task, loss, Recipe(epochs=1, min_steps=0, batch_size=32, width=16))
    assert fitted.steps == 2
    assert np.isfinite(fitted.history[0]["validation_loss"])


def test_the_two_views_of_an_example_differ_in_training_only():
    model = training.untrained(make_task(), RECIPE, tensors=("embeddings", "views"), seed=0, device=CPU)
    inputs = torch.from_numpy(make_task().train.features[:8])
    given = model.train()(inputs)
    assert not torch.equal(given["embeddings"], given["views"])
    given = model.eval()(inputs)
    assert torch.equal(given["embeddings"], given["views"])


def probe_of(task: Task):
    train, validation = (torch.from_numpy(part.features) for part in (task.train, task.validation))
    labels = torch.from_numpy(task.train.labels), torch.from_numpy(task.validation.labels)
    return training.fit_probe(train, labels[0], validation, labels[1])


def test_the_probe_is_the_solution_that_scikit_learn_finds():
    task = make_task()
    fitted = probe_of(task)
    mean, scale = task.train.features.mean(0), task.train.features.std(0, ddof=1)
    x = (task.train.features - mean) / scale
    test = torch.from_numpy(task.test.features)
    for label in range(5):
        # scikit-learn minimises the summed loss plus |w|^2 / (2 C)
        reference = LogisticRegression(C=1 / (fitted.penalty * len(x)), tol=1e-8, max_iter=5000)
        reference.fit(x, task.train.labels[:, label])
        expected = reference.decision_function((task.test.features - mean) / scale)
        assert np.abs(fitted.scores(test)[:, label].numpy() - expected).max() < 0.02 * np.abs(expected).max()


def test_the_probe_takes_the_penalty_that_is_best_on_validation():
    task = make_task(n=80, labels=4)
    fitted = probe_of(task)
    assert fitted.tried[fitted.penalty] == max(fitted.tried.values())
    scores = fitted.scores(torch.from_numpy(task.validation.features)).numpy()
    reference = average_precision_score(task.validation.labels, scores, average="macro")
    assert fitted.tried[fitted.penalty] == pytest.approx(reference, abs=1e-6)
    assert fitted.at_edge == (fitted.penalty in (probing.PENALTIES[0], probing.PENALTIES[-1]))


def test_the_sparse_probe_is_the_solution_that_scikit_learn_finds():
    task = make_task()
    train, validation, test = (
        csr_matrix(normalize(np.maximum(part.features - 5, 0)))
        for part in (task.train, task.validation, task.test)
    )
    labels = task.train.labels.copy()
    labels[:, 4] = 0  # nothing to learn: a constant
    fitted = training.fit_sparse_probe(
        train, torch.from_numpy(labels), validation, torch.from_numpy(task.validation.labels)
    )
    assert fitted.tried[fitted.penalty] == max(fitted.tried.values())
    scores = fitted.scores(test).numpy()
    assert np.ptp(scores[:, 4]) == 0
    for label in range(4):
        reference = LogisticRegression(C=1 / (fitted.penalty * 300), solver="liblinear", tol=1e-6)
        expected = reference.fit(train, labels[:, label]).decision_function(test)
        assert np.abs(scores[:, label] - expected).max() < 0.05 * np.abs(expected).max()


def test_nearest_neighbours_of_sparse_rows_are_those_of_dense_ones():
    task = make_task()
    labels = torch.from_numpy(task.train.labels)
    dense = [np.maximum(part.features, 0) for part in (task.train, task.test)]
    expected = training.nearest_neighbours(torch.from_numpy(dense[0]), labels, torch.from_numpy(dense[1]))
    found = training.nearest_neighbours(csr_matrix(dense[0]), labels, csr_matrix(dense[1]))
    assert torch.allclose(found, expected, atol=1e-4)


def test_nearest_neighbours_are_those_of_scikit_learn():
    task = make_task()
    train, test = torch.from_numpy(task.train.features), torch.from_numpy(task.test.features)
    scores = training.nearest_neighbours(train, torch.from_numpy(task.train.labels), test, neighbours=7)
    reference = NearestNeighbors(n_neighbors=7, metric="cosine").fit(task.train.features)
    distance, nearest = reference.kneighbors(task.test.features)
    weight = np.maximum(1 - distance, 1e-6)
    votes = (weight[:, :, None] * (task.train.labels[nearest] == 1)).sum(1) / weight.sum(1, keepdims=True)
    assert np.allclose(torch.sigmoid(scores).numpy(), votes.clip(1e-3, 1 - 1e-3), atol=1e-4)


class Largest(TorchDispatchMode):
    """How many entries the largest of all tensors has that torch computes with."""

    seen = 0

    def __torch_dispatch__(self, function, types, given=(), options=None):
        result = function(*given, **(options or {}))
        tensors = [each for each in tree_leaves((given, options, result)) if isinstance(each, torch.Tensor)]
        self.seen = max([self.seen, *(each.numel() for each in tensors)])
        return result


@pytest.mark.parametrize("sparse", [False, True])
def test_nearest_neighbours_in_blocks_are_those_of_one_product(monkeypatch, sparse):
    task = make_task()
    labels = torch.from_numpy(task.train.labels)
    dense = [np.maximum(part.features, 0) for part in (task.train, task.test)]
    train, queries = [csr_matrix(each) if sparse else torch.from_numpy(each) for each in dense]
    with Largest() as unbounded:
        whole = training.nearest_neighbours(train, labels, queries)
    assert unbounded.seen == 150 * 300
    monkeypatch.setattr(baselines, "BYTES", 4 * 300 * 64)  # two blocks of 64 queries, and one of 22
    with Largest() as bounded:
        found = training.nearest_neighbours(train, labels, queries)
    assert bounded.seen == 300 * 64
    assert torch.allclose(found, whole, atol=1e-4)
    # votes are bounded too, where labels are many
    with Largest() as bounded:
        wide = training.nearest_neighbours(train, labels.repeat(1, 10), queries)
    assert bounded.seen <= 300 * 64
    assert torch.allclose(wide, whole.repeat(1, 10), atol=1e-4)


def test_the_prior_is_the_share_of_training_positives_for_everyone():
    labels = torch.tensor([[1, 0], [1, -1], [0, 0], [1, 1]], dtype=torch.int8)
    assert torch.allclose(torch.sigmoid(training.prior(labels, 2)), torch.tensor([[0.75, 0.25]] * 2))


def test_a_scaled_loss_scales_the_gradient_and_nothing_that_is_reported():
    task = make_task()
    plain = fit(task)
    assert fit(task, recipe=dataclasses.replace(RECIPE, loss_scale=1.0)).history == plain.history
    # gradients that are clipped to one length are the same whatever the scale
    huge = fit(task, recipe=dataclasses.replace(RECIPE, loss_scale=1e6)).history
    clipped = fit(task, recipe=dataclasses.replace(RECIPE, loss_scale=1e7)).history
    assert huge[-1]["train_loss"] == pytest.approx(clipped[-1]["train_loss"], rel=1e-4)
    assert huge != plain.history
    # AdamW does not move by gradients far below its epsilon
    still = fit(task, recipe=dataclasses.replace(RECIPE, loss_scale=1e-12, weight_decay=0.0)).history
    assert still[-1]["validation_loss"] == pytest.approx(still[0]["validation_loss"], rel=1e-3)
    assert plain.history[-1]["validation_loss"] < 0.98 * plain.history[0]["validation_loss"]


def with_losses(task: Task, share: float = 0.5) -> Task:
    """The task with a part of the training positives lost, the truth beside."""
    rng = np.random.default_rng(5)
    labels = task.train.labels
    lost = (labels == 1) & (rng.random(labels.shape) > share)
    train = dataclasses.replace(task.train, labels=np.where(lost, -1, labels).astype(np.int8), truth=labels)
    return dataclasses.replace(task, train=train)


@pytest.mark.parametrize("loss", ["splc", "bce+clml", "corrected_bce"])
def test_the_label_correction_is_counted(loss):
    task = with_losses(make_task(), share=0.9)
    recipe = Recipe(epochs=8, min_steps=0, batch_size=32, width=24, learning_rate=3e-2)
    fitted = fit(task, loss, recipe)
    with torch.no_grad():
        given = fitted.model(torch.from_numpy(task.train.features))
    likely = given["logits"].sigmoid().numpy() > 0.7
    observed, truth = task.train.labels == 1, task.train.truth == 1
    added = likely & ~observed
    last = fitted.history[-1]
    assert last["lost"] == (truth & ~observed).sum()
    assert last["corrected"] == added.sum()
    assert last["corrected_right"] == (added & truth).sum()
    assert last["unlabelled"] == (~(likely | observed).any(axis=1)).sum()
    assert last["corrected"] >= last["corrected_right"] > 0
    first = fitted.history[0]  # the rule is not in force in the first epoch
    assert first["corrected"] == 0
    assert first["unlabelled"] == (~observed.any(axis=1)).sum()


def test_counting_changes_nothing_and_needs_a_truth():
    task = with_losses(make_task())
    blind = dataclasses.replace(task, train=dataclasses.replace(task.train, truth=None))
    seen, unseen = fit(task, "splc"), fit(blind, "splc")
    assert all(
        torch.equal(a, b) for a, b in zip(*(m.model.parameters() for m in (seen, unseen)), strict=True)
    )
    assert "corrected" not in unseen.history[-1]
    assert "corrected" not in fit(task, "bce").history[-1]


def test_clml_of_weight_zero_is_the_base_loss_to_the_bit():
    task = with_losses(make_task())
    for base in ("bce", "splc"):
        alone = fit(task, base).model.state_dict()
        added = fit(task, f"{base}+clml", clml={"weight": 0.0}).model.state_dict()
        assert all(torch.equal(alone[name], added[name]) for name in alone)


def test_clml_and_its_control_shrink_the_features():
    task = with_losses(make_task())
    recipe = Recipe(epochs=6, min_steps=0, batch_size=32, width=24)

    def size(loss: str, **given) -> float:
        model = fit(task, loss, recipe, **given).model
        found = training.represent(model, torch.from_numpy(task.test.features), device=CPU)
        return float(found.norm(dim=1).mean())

    plain = size("bce")
    assert size("bce+norm_penalty", norm_penalty={"weight": 1.0}) < 0.9 * plain
    assert size("bce+clml", clml={"weight": 1.0}) < 0.9 * plain


class KeepsPositions(BCE):
    """BCE that writes down which examples it is given."""

    def compute(self, labels, *, logits, index, epoch):
        self.given.append((labels, index))
        return super().compute(labels, logits=logits, epoch=epoch)


@pytest.mark.parametrize("settings", [{}, {"accumulate": 3}, {"ema": 0.9}])
def test_a_loss_that_declares_it_is_given_the_position_of_each_example(monkeypatch, settings):
    task, recipe = make_task(n=100), Recipe(epochs=2, min_steps=0, batch_size=32, width=24, **settings)
    plain = fit(task, "bce", recipe)
    monkeypatch.setattr(BCE, "given", [], raising=False)
    monkeypatch.setattr(losses, "_class", lambda name: KeepsPositions)
    fitted = fit(task, "bce", recipe)
    assert fitted.history == plain.history  # the same batches, the same random draws
    trained = [(labels, index) for labels, index in BCE.given if index is not None]
    assert len(trained) == fitted.steps
    assert len(BCE.given) > fitted.steps  # in evaluation there is no position
    for labels, index in trained:
        assert torch.equal(labels, torch.from_numpy(task.train.labels)[index])
    for epoch in (trained[: fitted.steps // 2], trained[fitted.steps // 2 :]):
        assert torch.cat([index for _, index in epoch]).sort().values.tolist() == list(range(100))


def test_strengths_of_aldr_are_kept_and_continued_to_the_bit():
    recipe = Recipe(epochs=4, min_steps=0, batch_size=32, width=24)

    def start(memory: bool = True) -> training.Training:
        options = {"memory": memory}
        return training.Training(
            make_task(n=100), "aldr", recipe, hyperparameters=options, seed=3, device=CPU
        )

    whole, first, second, without = start(), start(), start(), start(memory=False)
    whole.advance()
    without.advance()
    first.advance(2)
    second.restore(first.checkpoint())
    second.advance()
    assert second.history == whole.history != without.history
    assert whole.checkpoint()["criterion"]["strengths.logs"].isfinite().all()


@pytest.mark.parametrize("loss", ["jaccard_supcon", "reg", "bce+msc"])
@pytest.mark.parametrize("settings", [{}, {"accumulate": 2}, {"queue": 40}])
def test_moving_denominators_are_kept_and_continued_to_the_bit(loss, settings, tmp_path):
    task = make_task(n=100)
    recipe = Recipe(epochs=4, min_steps=0, batch_size=32, width=24, **settings)
    options = {"denominator": "moving", "gamma": 0.4}
    given = {"msc": options} if "+" in loss else options

    def start() -> training.Training:
        return training.Training(task, loss, recipe, hyperparameters=given, seed=3, device=CPU)

    whole, first, second = start(), start(), start()
    whole.advance()
    first.advance(2)
    torch.save(first.checkpoint(), tmp_path / "checkpoint.pt")
    second.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    second.advance()
    assert second.history == whole.history
    one, two = (run.checkpoint() for run in (whole, second))
    for part in ("model", "criterion"):
        assert all(torch.equal(value, two[part][name]) for name, value in one[part].items())
    (kept,) = (value for name, value in one["criterion"].items() if name.endswith("means.logs"))
    assert len(kept) == 100 + (5 if loss == "reg" else 0)
    assert kept.isfinite().float().mean() > 0.5
    without = fit(task, loss, recipe, seed=3)
    assert without.history != whole.history


def test_a_moving_denominator_reports_the_loss_of_the_batch():
    """With the weight of the newest batch at 1 it is the plain training, up to rounding; so is what it reports."""
    task, recipe = make_task(n=100), Recipe(epochs=3, min_steps=0, batch_size=32, width=24)
    plain = fit(task, "jaccard_supcon", recipe)
    found = fit(task, "jaccard_supcon", recipe, denominator="moving", gamma=1.0)
    for one, two in zip(plain.history, found.history, strict=True):
        assert two == pytest.approx(one, rel=1e-4)


def first_bias(loss: str, **settings) -> torch.Tensor:
    recipe = Recipe(epochs=1, min_steps=0, batch_size=32, width=24, **settings)
    run = training.Training(make_task(), loss, recipe, hyperparameters={}, seed=0, device=CPU)
    return run.model.classifier.bias.detach()


def test_the_bias_starts_where_the_loss_or_the_recipe_says():
    prior = torch.from_numpy(make_task().train.labels).float().mean(dim=0).logit()
    torch.testing.assert_close(first_bias("bce"), prior)
    torch.testing.assert_close(first_bias("bce+anyloss"), prior)  # the other part starts it
    torch.testing.assert_close(first_bias("anyloss", bias="prior"), prior)
    for loss, settings in (("anyloss", {}), ("bce", {"bias": "zero"}), ("anyloss", {"bias": "zero"})):
        assert not first_bias(loss, **settings).any()
    # nothing else is drawn otherwise
    states = [
        training.Training(
            make_task(), "bce", Recipe(epochs=1, bias=bias), hyperparameters={}, seed=0, device=CPU
        )
        for bias in ("prior", "zero")
    ]
    for name, value in states[0].model.state_dict().items():
        assert torch.equal(value, states[1].model.state_dict()[name]) == (name != "classifier.bias")


def test_where_the_bias_starts_is_one_of_three_words():
    check_setting("bias", "zero")
    with pytest.raises(UsageError, match="bias must be one of loss, prior, zero, was 'half'"):
        check_setting("bias", "half")


def gradients_of(loss, **hyperparameters):
    """The gradients of one batch by what has one: the encoder, and the projection."""
    task = make_task(n=60)
    model = training.untrained(
        task, RECIPE, tensors=losses.create(loss, **hyperparameters).tensors, seed=0, device=CPU
    ).eval()
    labels, inputs = torch.from_numpy(task.train.labels), torch.from_numpy(task.train.features)
    losses.create(loss, **hyperparameters)(labels, **model(inputs)).backward()
    return {
        part: sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)
        for part, module in (("encoder", model.encoder), ("projection", model.projection))
    }


def test_the_head_alone_learns_from_confusion_unless_it_is_asked_for():
    head = gradients_of("energy_confusion")
    assert head["encoder"] == 0
    assert head["projection"] > 0
    whole = gradients_of("energy_confusion", head_only=False)
    assert whole["encoder"] > 0
    assert whole["projection"] == pytest.approx(head["projection"])
    beside = gradients_of("prototype+energy_confusion", energy_confusion={"weight": 3.0})
    alone = gradients_of("prototype")
    assert beside["encoder"] == pytest.approx(alone["encoder"])
    assert beside["projection"] != pytest.approx(alone["projection"])


@pytest.mark.parametrize("loss", ["prototype+energy_confusion", "prototype+icnn", "snr_triplet", "z_loss"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_losses_of_the_third_part_train_in_parts_and_score_by_their_heads(loss, accumulate):
    task = make_task(n=100)
    recipe = Recipe(epochs=2, min_steps=0, batch_size=32, width=24, accumulate=accumulate)
    fitted = fit(task, loss, recipe)
    assert np.isfinite([row["validation_loss"] for row in fitted.history]).all()
    inputs = torch.from_numpy(task.test.features)
    scores = fitted.model.scores(training.represent(fitted.model, inputs, device=CPU))
    assert (scores is None) == (loss == "snr_triplet")
