"""Wider losses where they become others: published forms with one label, and losses that are here already."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, fbeta_score, roc_auc_score

from mlcl_utils import losses
from tests.losses.problems import gradients, labels_of, tensors_of


def same(one, two, labels, tensors, given_one=None, given_two=None, rtol=1e-10):
    """Two losses have one value and one gradient."""
    first, second = (
        losses.create(name, **(given or {}))(labels, **tensors)
        for name, given in ((one, given_one), (two, given_two))
    )
    torch.testing.assert_close(first, second, rtol=rtol, atol=1e-12)
    wanted = gradients(second, tensors)
    for key, gradient in gradients(first, tensors).items():
        torch.testing.assert_close(gradient, wanted[key], rtol=1e-8, atol=1e-12)


def single(count=6, batch=9):
    """Labels of examples that have one each."""
    generator = torch.Generator().manual_seed(2)
    return torch.nn.functional.one_hot(torch.randint(count, (batch,), generator=generator), count)


# comp_sum


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0, 1.0 + 1e-9, 1.7])
def test_comp_sum_is_bce_and_zlpr(tau, ignore):
    labels = labels_of(9, 6)
    tensors = tensors_of("bce", labels)
    own = {"ignore_unobserved": ignore}
    for over, other in (("labels", "bce"), ("threshold", "zlpr")):
        same("comp_sum", other, labels, tensors, own | {"over": over, "tau": tau}, own | {"tau": tau})
        if abs(tau - 1) < 1e-6:
            same("comp_sum", other, labels, tensors, own | {"over": over, "tau": tau}, own)


def test_comp_sum_over_positives_is_the_published_family():
    labels = single()
    tensors = tensors_of("bce", labels)
    log_p = tensors["logits"].log_softmax(dim=1)[labels == 1]
    create = losses.create
    for tau, expected in (
        (0.0, (-log_p).exp() - 1),  # sum-exponential: Σ e^{h' - h}
        (1.0, -log_p),
        (1.7, (1 - (0.7 * log_p).exp()) / 0.7),  # generalised cross-entropy with q = τ - 1
        (2.0, 1 - log_p.exp()),
    ):
        value = create("comp_sum", over="positives", tau=tau)(labels, **tensors)
        torch.testing.assert_close(value, expected.mean())


def test_comp_sum_over_positives_does_not_see_a_row_s_level():
    labels = labels_of(9, 6)
    tensors = tensors_of("bce", labels)
    moved = tensors["logits"] + torch.arange(9.0)[:, None]
    criterion = losses.create("comp_sum", over="positives", tau=1.5)
    torch.testing.assert_close(criterion(labels, logits=moved), criterion(labels, **tensors))
    other = losses.create("comp_sum", tau=1.5)
    assert other(labels, logits=moved) != other(labels, **tensors)


def test_default_tau_changes_nothing_to_the_bit():
    labels = labels_of(9, 6)
    tensors = tensors_of("bce", labels)
    target = (labels > 0).double()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(tensors["logits"], target, reduction="none")
    assert losses.create("bce", reduction="sum")(labels, **tensors) == plain.sum()
    assert losses.info("bce").version == losses.info("zlpr").version == 1


# mw


def pooled(labels, scores, pool):
    """AUC of the pool, by scikit-learn."""
    truth = labels > 0
    if pool == "all":
        return roc_auc_score(truth.flatten(), scores.flatten())
    columns = zip(truth.T, scores.T, strict=True) if pool == "labels" else zip(truth, scores, strict=True)
    return sum(found := [roc_auc_score(y, x) for y, x in columns if 0 < y.sum() < len(y)]) / len(found)


@pytest.mark.parametrize("pool", ["all", "labels", "examples"])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_mw_bounds_one_minus_the_auc_of_its_pool(pool, temperature):
    for seed in range(4):
        labels = labels_of(12, 6, seed)
        scores = tensors_of("bce", labels, seed)["logits"].detach()
        value = losses.create("mw_logits", pool=pool, temperature=temperature)(labels, logits=scores)
        assert 1 - pooled(labels, scores, pool) <= value / torch.log(torch.tensor(2.0)) + 1e-12


@pytest.mark.parametrize("gap", [1e-4, 30.0])
def test_mw_at_a_low_temperature_counts_the_wrong_pairs(gap):
    labels = labels_of(12, 6)
    scores = tensors_of("bce", labels)["logits"].detach() * gap
    value = losses.create("mw_logits", temperature=1e-6 * gap)(labels, logits=scores) * 1e-6 * gap
    pairs = scores[labels < 1][None] - scores[labels == 1][:, None]
    torch.testing.assert_close(value, pairs.clamp(min=0).mean())


def test_mw_of_a_batch_of_queries_with_their_passages_is_published():
    labels, tensors = torch.eye(6, dtype=torch.int8), tensors_of("mw", torch.eye(6))
    z, c = (torch.nn.functional.normalize(tensors[name], dim=1) for name in ("embeddings", "prototypes"))
    scores = z @ c.T / 0.1
    others = ~torch.eye(6, dtype=torch.bool)
    expected = (
        sum(-torch.nn.functional.logsigmoid(own - scores[others]).sum() for own in scores.diagonal()) / 6
    )
    value = losses.create("mw", normalise="negatives_summed")(labels, **tensors)
    torch.testing.assert_close(value, expected)


def test_mw_of_one_label_is_one_pool():
    labels = torch.tensor([[1], [0], [1], [0], [0]])
    tensors = tensors_of("mw_logits", labels)
    same("mw_logits", "mw_logits", labels, tensors, {"pool": "all"}, {"pool": "labels"})


@pytest.mark.parametrize(("pool", "rows", "columns"), [("all", 1, 1), ("labels", 1, 0), ("examples", 0, 1)])
def test_what_shifts_mw_sees(pool, rows, columns):
    labels = labels_of(9, 6)
    x = tensors_of("mw_logits", labels)["logits"].detach()
    criterion = losses.create("mw_logits", pool=pool)
    value = criterion(labels, logits=x)
    shifted = [x + torch.arange(9.0)[:, None], x + torch.arange(6.0)]
    for moved, sees in zip(shifted, (rows, columns), strict=True):
        assert (criterion(labels, logits=moved) - value).abs().gt(1e-9) == bool(sees)


@pytest.mark.parametrize("pool", ["all", "labels", "examples"])
def test_mw_in_blocks_and_without_looking_is_mw(pool, monkeypatch):
    from mlcl_utils.losses import mw

    labels = labels_of(9, 6)
    tensors = tensors_of("mw", labels)
    given = {"pool": pool, "ignore_unobserved": True}
    whole = losses.create("mw", **given)(labels, **tensors)
    wanted = gradients(whole, tensors)
    for small, blind in ((True, False), (False, True), (True, True)):
        with monkeypatch.context() as changed:
            if small:
                changed.setattr(mw, "BLOCK_BYTES", 500)
            if blind:
                changed.setattr(torch.compiler, "is_compiling", lambda: True)
            value = losses.create("mw", **given)(labels, **tensors)
        torch.testing.assert_close(value, whole)
        for key, gradient in gradients(value, tensors).items():
            torch.testing.assert_close(gradient, wanted[key])


# anyloss


def decided(batch=12, count=5, seed=0):
    """Labels and logits so far from 0 that the answers are 0 and 1."""
    labels = labels_of(batch, count, seed, unobserved=False)
    logits = tensors_of("bce", labels, seed)["logits"].detach()
    return labels, logits + 20 * logits.sign()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("average", ["macro", "micro", "samples"])
def test_anyloss_of_sure_answers_is_one_minus_the_metric(average, seed):
    labels, logits = decided(seed=seed)
    y, answers = labels.numpy(), (logits > 0).numpy()
    kept_rows, kept_columns = y.any(1), y.any(0)
    if average == "macro":
        y, answers = y[:, kept_columns], answers[:, kept_columns]
    if average == "samples":
        y, answers = y[kept_rows], answers[kept_rows]
    for beta in (0.5, 1.0, 2.0):
        value = losses.create("anyloss", average=average, beta=beta)(labels, logits=logits)
        expected = fbeta_score(y, answers, beta=beta, average=average, zero_division=0)
        assert value.item() == pytest.approx(1 - expected, abs=1e-6)
    if average == "macro":
        both = [(t, a) for t, a in zip(y.T, answers.T, strict=True) if 0 < t.sum() < len(t)]
        value = losses.create("anyloss", metric="balanced_accuracy")(labels, logits=logits)
        expected = sum(balanced_accuracy_score(t, a) for t, a in both) / len(both)
        assert value.item() == pytest.approx(1 - expected, abs=1e-6)
        value = losses.create("anyloss", metric="gmean")(labels, logits=logits)
        expected = sum(
            (a[t == 1].mean() * (1 - a[t == 0].mean())) ** 0.5 if a[t == 1].any() else 1e-6 for t, a in both
        ) / len(both)
        assert value.item() == pytest.approx(1 - expected, abs=1e-6)
        value = losses.create("anyloss", metric="accuracy")(labels, logits=logits)
        expected = (labels.numpy() == (logits > 0).numpy()).mean()
        assert value.item() == pytest.approx(1 - expected, abs=1e-6)
    assert f1_score(y, answers, average=average, zero_division=0) > 0  # or there was nothing to compare


@pytest.mark.parametrize("metric", ["fbeta", "accuracy", "gmean", "balanced_accuracy"])
def test_anyloss_of_one_label_is_the_same_over_labels_and_entries(metric):
    labels = torch.tensor([[1], [0], [1], [0], [0]])
    tensors = tensors_of("anyloss", labels)
    same("anyloss", "anyloss", labels, tensors, {"metric": metric}, {"metric": metric, "average": "micro"})


def test_anyloss_has_no_gradient_far_from_one_half_and_much_at_it():
    """Why the classifier's bias must not start at the labels' prior."""
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    sizes = []
    for level in (0.0, -3.0):
        x = torch.full((3, 2), level, dtype=torch.float64, requires_grad=True)
        losses.create("anyloss")(labels, logits=x).backward()
        sizes.append(x.grad.abs().max())
    assert sizes[0] > 0.5
    assert 0 < sizes[1] < 1e-10


def test_anyloss_s_root_has_a_finite_slope_at_zero():
    labels = torch.tensor([[1], [1], [0]])
    x = torch.tensor([[-40.0], [-40.0], [40.0]], requires_grad=True)
    losses.create("anyloss", metric="gmean")(labels, logits=x).backward()
    assert x.grad.isfinite().all()


# ldr, aldr


def test_ldr_without_penalty_and_margin_is_cross_entropy():
    labels = single()
    tensors = tensors_of("ldr", labels)
    value = losses.create("ldr", margin=0.0, normalise="none")(labels, **tensors)
    log_p = tensors["logits"].log_softmax(dim=1)[labels == 1]
    torch.testing.assert_close(value, -log_p.mean() - torch.log(torch.tensor(6.0, dtype=torch.float64)))


def test_ldr_between_its_limits():
    labels, margin = single(), 0.5
    x = tensors_of("ldr", labels)["logits"]
    gaps = (x - x[labels == 1][:, None] + margin).where(labels == 0, 0)
    for strength, expected in ((1e-4, gaps.amax(dim=1)), (1e6, gaps.mean(dim=1))):
        value = losses.create("ldr", strength=strength, margin=margin, normalise="none")(labels, logits=x)
        torch.testing.assert_close(value, expected.mean(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["ldr", "aldr"])
@pytest.mark.parametrize("normalise", ["softplus", "l1", "softplus_l1", "none"])
def test_what_normalisation_takes_out(name, normalise):
    """The size of a row with l1, its level without; logits that are all equal have a finite gradient."""
    labels = labels_of(9, 6)
    x = tensors_of(name, labels)["logits"].detach()
    criterion = losses.create(name, normalise=normalise)
    value = criterion(labels, logits=x)
    changed = x * (1 + torch.arange(9.0))[:, None] if normalise == "l1" else x + torch.arange(9.0)[:, None]
    assert torch.allclose(criterion(labels, logits=changed), value) == (normalise in ("l1", "none"))
    flat = torch.zeros(9, 6, requires_grad=True)
    criterion(labels, logits=flat).backward()
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_the_virtual_label_sees_a_row_s_level(shift):
    labels = labels_of(9, 6)
    x = tensors_of("ldr", labels)["logits"].detach()
    criterion = losses.create("ldr", normalise="none", threshold=True)
    assert torch.equal(criterion(labels, logits=x + shift), criterion(labels, logits=x)) == (shift == 0)
    alone = torch.zeros_like(labels)  # without a positive the virtual one is against the negatives
    value = criterion(alone, logits=x)
    plain = losses.create("ldr", normalise="none")
    with_it = torch.cat([torch.ones(9, 1), alone], dim=1)
    expected = plain(with_it, logits=torch.cat([torch.zeros(9, 1, dtype=x.dtype), x], dim=1))
    torch.testing.assert_close(value, expected)


def test_a_sure_example_has_a_small_strength():
    labels = torch.tensor([[1, 0, 0], [1, 0, 0]])
    x = torch.tensor([[9.0, 0.0, 0.0], [0.1, 0.0, 0.0]], dtype=torch.float64)
    criterion = losses.create("aldr", memory=True, normalise="none").double()
    criterion(labels, logits=x, index=torch.arange(2))
    sure, unsure = criterion.strengths.logs.exp()
    assert 0.5 <= sure < 0.6
    assert 0.99 < unsure < 1


@pytest.mark.parametrize("visits", [1, 2, 3])
def test_a_memory_of_some_visits_is_as_many_iterations(visits):
    labels = labels_of(9, 6)
    tensors, index = tensors_of("aldr", labels), torch.tensor([8, 1, 2, 12, 4, 5, 6, 7, 0])
    criterion = losses.create("aldr", memory=True).double()
    assert criterion.tensors == ("logits", "index")
    for _ in range(visits):
        value = criterion(labels, **tensors, index=index)
    expected = losses.create("aldr", iterations=visits)(labels, **tensors)
    torch.testing.assert_close(value, expected)
    wanted = gradients(expected, tensors)["logits"]
    torch.testing.assert_close(gradients(value, tensors)["logits"], wanted)
    other = losses.create("aldr", memory=True).double()
    other.load_state_dict(criterion.state_dict())
    assert other(labels, **tensors, index=index) == criterion(labels, **tensors, index=index)
    # evaluation begins anew, and keeps nothing
    before = criterion.strengths.logs
    criterion.eval()
    assert criterion(labels, **tensors) == losses.create("aldr")(labels, **tensors)
    assert torch.equal(criterion.strengths.logs, before)


def test_golden_strengths():
    import json
    from pathlib import Path

    cases = json.loads(Path(__file__).with_name("classification.json").read_text())["cases"]
    rows = [(case, row) for case in cases for row in case["expected"] if row["loss"] == "aldr"]
    assert len(rows) == 6
    for case, row in rows:
        labels, x = torch.tensor(case["labels"]), torch.tensor(case["inputs"]["logits"], dtype=torch.float64)
        criterion = losses.create("aldr", memory=True, **row["hyperparameters"]).double()
        criterion(labels, logits=x, index=torch.arange(len(x)))
        expected = torch.tensor(row["strengths"], dtype=torch.float64)
        torch.testing.assert_close(criterion.strengths.logs.exp(), expected, rtol=1e-6, atol=1e-9)


# at most some negatives of mw


@pytest.mark.parametrize("pool", ["all", "labels", "examples"])
@pytest.mark.parametrize("normalise", ["pairs", "negatives_summed"])
def test_as_many_negatives_as_there_are_give_the_whole_loss_to_the_bit(pool, normalise):
    labels = labels_of(9, 6)
    tensors = tensors_of("mw", labels)
    given = {"pool": pool, "normalise": normalise, "ignore_unobserved": True}
    whole, drawn, more = (
        losses.create("mw", **given, negatives=n)(labels, **tensors) for n in (None, 53, 10**6)
    )
    if pool == "all":  # 54 entries, of which some are positive
        assert whole == drawn == more
    assert whole == more
    for one, two in zip(gradients(whole, tensors).values(), gradients(more, tensors).values(), strict=True):
        assert torch.equal(one, two)


def subsets_of(labels, pool, count):
    """For each group with both, the positions of its positives, and those of its negatives."""
    positions = [(i, j) for i in range(labels.shape[0]) for j in range(labels.shape[1])]
    keys = {"all": lambda p: 0, "labels": lambda p: p[1], "examples": lambda p: p[0]}[pool]
    groups = {}
    for p in positions:
        groups.setdefault(keys(p), ([], []))[int(labels[p] < 1)].append(p)
    return [group for group in groups.values() if all(group)]


@pytest.mark.parametrize("pool", ["all", "labels", "examples"])
@pytest.mark.parametrize("count", [1, 2])
def test_drawn_negatives_are_negatives_of_their_group_and_as_many_as_asked_for(pool, count):
    labels = labels_of(9, 6, unobserved=False)
    x = tensors_of("mw_logits", labels)["logits"]
    criterion = losses.create("mw_logits", pool=pool, negatives=count)
    for seed in range(10):
        torch.manual_seed(seed)
        value = criterion(labels, logits=x)
        (slope,) = torch.autograd.grad(value, x)
        expected, groups = 0, subsets_of(labels, pool, count)
        for positives, negatives in groups:
            drawn = [p for p in negatives if slope[p] > 0]
            assert len(drawn) == min(count, len(negatives))
            pairs = [(1 + (x[n] - x[p]).exp()).log() for p in positives for n in drawn]
            expected = expected + sum(pairs) / len(pairs) / len(groups)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(slope, torch.autograd.grad(expected, x)[0])


@pytest.mark.parametrize("normalise", ["pairs", "negatives_summed"])
@pytest.mark.parametrize("pool", ["all", "labels", "examples"])
def test_drawn_negatives_give_the_whole_loss_on_average(normalise, pool):
    labels = labels_of(9, 6)
    x = tensors_of("mw_logits", labels)["logits"].detach()
    given = {"pool": pool, "normalise": normalise, "ignore_unobserved": True}
    whole = losses.create("mw_logits", **given)(labels, logits=x)
    criterion = losses.create("mw_logits", **given, negatives=2)
    torch.manual_seed(0)
    drawn = torch.stack([criterion(labels, logits=x) for _ in range(2000)])
    assert drawn.std() > 0
    assert (drawn.mean() - whole).abs() < 4 * drawn.std() / 2000**0.5


def test_values_of_examples_are_those_of_their_drawn_negatives():
    labels = labels_of(9, 6)
    tensors = tensors_of("mw", labels)
    criterion = losses.create("mw", pool="examples", negatives=1)
    torch.manual_seed(0)
    value = criterion(labels, **tensors)
    torch.manual_seed(0)
    each = criterion.example_values(labels, **tensors)
    torch.testing.assert_close(each.values.sum() / each.counted.sum(), value)


@pytest.mark.parametrize("negatives", [0, -1, 2.5, True, "all"])
def test_a_number_of_negatives_that_is_none_is_refused(negatives):
    with pytest.raises(ValueError, match="negatives must be a whole number at least 1, or none"):
        losses.create("mw", negatives=negatives)


# z_loss


@pytest.mark.parametrize("given", [{}, {"sharpness": 5.0, "location": 1.5}])
def test_z_loss_sees_neither_level_nor_size_of_a_row(given):
    labels = labels_of(9, 6)
    tensors = tensors_of("z_loss", labels)
    criterion = losses.create("z_loss", **given)
    value = criterion(labels, **tensors)
    steps = torch.arange(9.0, dtype=torch.float64)[:, None]
    torch.testing.assert_close(criterion(labels, logits=tensors["logits"] * (1 + steps) + steps), value)
    slope = gradients(value, tensors)["logits"]
    for along in (torch.ones_like(slope), tensors["logits"]):
        torch.testing.assert_close((slope * along).sum(dim=1), torch.zeros(9, dtype=torch.float64))


def test_z_loss_of_one_positive_each_is_published():
    labels = single()
    x = tensors_of("z_loss", labels)["logits"]
    z = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True, correction=0)
    expected = torch.nn.functional.softplus(3.0 * (0.5 - z[labels == 1])).mean() / 3
    value = losses.create("z_loss", sharpness=3.0, location=0.5)(labels, logits=x)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_z_loss_of_equal_logits_has_a_finite_gradient(level):
    labels = labels_of(9, 6)
    x = torch.full((9, 6), level, requires_grad=True)
    value = losses.create("z_loss")(labels, logits=x)
    value.backward()
    torch.testing.assert_close(value.detach(), torch.tensor(2.0).log())
    assert x.grad.isfinite().all()
    assert x.grad.any()


def test_z_loss_of_one_label_is_a_constant():
    x = torch.randn(4, 1, requires_grad=True)
    value = losses.create("z_loss", location=1.0)(torch.ones(4, 1), logits=x)
    value.backward()
    torch.testing.assert_close(value.detach(), torch.nn.functional.softplus(torch.tensor(1.0)))
    assert not x.grad.any()


def test_z_loss_answers_by_its_location():
    labels = labels_of(9, 6)
    x = tensors_of("z_loss", labels)["logits"].detach()
    scores = losses.create("z_loss", location=0.7).scores(logits=x)
    z = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True, correction=0)
    torch.testing.assert_close(scores, z - 0.7)
