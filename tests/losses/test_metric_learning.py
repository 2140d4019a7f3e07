"""The losses of metric learning: what they reduce to, their controls, and those whose value is drawn."""

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.losses import contrast, hyperbolic
from mlcl_utils.losses.pairs import relations
from tests.losses import oracles
from tests.losses.problems import SETTINGS, gradients, labels_of, tensors_of
from tests.losses.test_oracle import check

SHARE = torch.tensor(0.7, dtype=torch.float64)


def one_label_each(batch=12, count=4, seed=0):
    classes = torch.randint(count, (batch,), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(classes, count)


def same(one, other, tensors, **tolerance):
    """Whether two values and their gradients are the same."""
    torch.testing.assert_close(one, other, **tolerance)
    wanted = gradients(other, tensors)
    for key, gradient in gradients(one, tensors).items():
        torch.testing.assert_close(gradient, wanted[key], **tolerance)


# with one label each, and at the limits of a hyperparameter


@pytest.mark.parametrize("temperature", [1.0, 0.1, 1 / 64])
def test_unpg_without_pool_and_margin_is_prototype_where_examples_have_one_label(temperature):
    labels = one_label_each()
    tensors = tensors_of("unpg", labels)
    plain = losses.create("unpg", scale=1 / temperature, margin=0.0, pool=False)(labels, **tensors)
    same(plain, losses.create("prototype", temperature=temperature)(labels, **tensors), tensors)


def test_other_labels_of_an_example_are_in_no_denominator_of_unpg():
    labels = torch.tensor([[1, 1, 0]])
    tensors = tensors_of("unpg", labels)
    value = losses.create("unpg", margin=0.0, scale=2.0)(labels, **tensors)
    value.backward()
    cosines = 2 * contrast.unit(tensors["embeddings"]) @ contrast.unit(tensors["prototypes"]).T
    expected = [-torch.log_softmax(cosines[0, [label, 2]], dim=0)[0] for label in (0, 1)]
    torch.testing.assert_close(value, sum(expected) / 2)


def test_a_wide_whisker_keeps_the_whole_pool_and_a_narrow_one_hardly_any():
    labels = one_label_each(40)
    tensors = tensors_of("unpg", labels)

    def pool(whisker):
        return losses.create("unpg", scale=8.0, whisker=whisker)(labels, **tensors)

    assert pool(1e6) == pool(None)
    assert pool(0.0) < pool(1.0) <= pool(None)
    assert losses.create("unpg", scale=8.0, pool=False)(labels, **tensors) < pool(0.0)


def test_the_pool_is_filtered_on_both_sides():
    criterion = losses.create("unpg", whisker=0.5)
    cosines = torch.tensor([-0.9, 0.1, 0.2, 0.3, 0.4, 0.95])
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[tuple(torch.triu_indices(4, 4, 1))] = cosines.double()
    similarity = similarity + similarity.triu(1).T
    kept = criterion._pool(similarity, torch.eye(4, dtype=torch.float64))
    # quartiles are the entries 1 and 4 of six, 0.1 and 0.4; half their distance beyond is 0.15
    assert sorted(similarity[kept].tolist()) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_proto_triplet_with_one_label_each_has_one_form():
    labels = one_label_each()
    tensors = tensors_of("proto_triplet", labels)
    mean, most = (losses.create("proto_triplet", positive=p)(labels, **tensors) for p in ("mean", "max"))
    same(mean, most, tensors)


def test_proto_triplet_scores_by_distance():
    labels = labels_of(6, 4)
    tensors = tensors_of("proto_triplet", labels)
    scores = losses.create("proto_triplet").scores(**tensors)
    expected = -(torch.cdist(tensors["embeddings"], tensors["prototypes"]) ** 2 + 1e-6).sqrt()
    torch.testing.assert_close(scores, expected)


def test_an_example_with_every_label_or_none_is_not_in_the_mean_of_proto_triplet():
    labels = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    tensors = tensors_of("proto_triplet", labels)
    rest = tensors | {"embeddings": tensors["embeddings"][:2]}
    criterion = losses.create("proto_triplet", margin=3.0)
    value = criterion(labels, **tensors)
    assert value > 0
    same(value, criterion(labels[:2], **rest), tensors)


def test_graded_margins_are_the_plain_ones_where_examples_have_one_label():
    labels = one_label_each()
    tensors = tensors_of("tcm", labels)
    graded, plain = (
        losses.create("tcm", negative_margin=0.1, graded=g)(labels, **tensors) for g in (True, False)
    )
    assert graded > 0
    same(graded, plain, tensors)


@pytest.mark.parametrize("name", ["tcm", "tcm_prototypes"])
def test_a_term_is_added_to_a_loss(name):
    labels = labels_of(7, 5)
    tensors = tensors_of(f"prototype+{name}", labels)
    given = {"positive_weight": 0.5, "negative_weight": 0.5}
    both = losses.create(f"prototype+{name}", **{name: given})(labels, **tensors)
    term = losses.create(name)(labels, **{k: tensors[k] for k in losses.info(name).tensors})
    torch.testing.assert_close(both, losses.create("prototype")(labels, **tensors) + 0.5 * term)


def test_margins_are_zero_where_every_cosine_is_on_its_side():
    labels = torch.tensor([[1, 0], [1, 0], [0, 1]])
    z = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], requires_grad=True)
    value = losses.create("tcm")(labels, embeddings=z)
    value.backward()
    assert value == 0
    assert not z.grad.any()


@pytest.mark.parametrize("batch", [3, 8])
def test_instance_at_a_high_temperature_is_instance_simple(batch):
    """L_τ = log N + (1/τ)(1 - 1/N)·[simple with weight 1/(N-1)] + O(1/τ²)."""
    labels = labels_of(batch, 3)
    tensors = tensors_of("instance", labels)
    temperature = 1e5
    limit = losses.create("instance", temperature=temperature)(labels, **tensors)
    simple = losses.create("instance_simple", weight=1 / (batch - 1))(labels, **tensors)
    factor = temperature * batch / (batch - 1)
    wanted = gradients(simple, tensors)
    for key, gradient in gradients(limit, tensors).items():
        torch.testing.assert_close(factor * gradient, wanted[key], rtol=1e-3, atol=1e-4)


# mixtures


def partners_of(batch):
    return torch.roll(torch.arange(batch), 2)


@pytest.mark.parametrize(("batch", "count", "seed"), [(7, 5, 0), (6, 9, 1), (9, 4, 2), (5, 3, 0), (4, 1, 0)])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_supcon_of_mixtures_is_its_oracle(batch, count, seed, temperature):
    labels = labels_of(batch, count, seed)
    tensors = tensors_of("metrix_supcon", labels, seed)
    partners = partners_of(batch)
    criterion = losses.create("metrix_supcon", temperature=temperature)
    value = criterion.of_mixtures(labels, tensors["embeddings"], partners, SHARE)
    expected = oracles.metrix_supcon(labels.tolist(), tensors["embeddings"], partners, 0.7, temperature)
    same(value, expected, tensors, rtol=1e-9, atol=1e-10)


def test_supcon_of_mixtures_has_the_numerical_gradient():
    labels = labels_of(7, 5)
    tensors = tensors_of("metrix_supcon", labels)
    criterion = losses.create("metrix_supcon")

    def value(embeddings):
        return criterion.of_mixtures(labels, embeddings, partners_of(7), SHARE)

    assert torch.autograd.gradcheck(value, (tensors["embeddings"],))


def test_supcon_of_unmixed_examples_is_jaccard_supcon_without_the_candidates_that_meet_their_anchor():
    labels = labels_of(9, 5)
    tensors = tensors_of("metrix_supcon", labels)
    partners, z = partners_of(9), tensors["embeddings"]
    value = losses.create("metrix_supcon").of_mixtures(labels, z, partners, SHARE / SHARE)
    total, anchors = 0, 0
    for i in range(9):  # the anchor first, then all but the candidate that it is mixed into
        rest = [i] + [j for j in range(9) if j != i and partners[j] != i]
        alone = losses.create("jaccard_supcon")(labels[rest], embeddings=z[rest], anchors=1)
        total, anchors = total + alone, anchors + bool(alone > 0)
    same(value, total / anchors, tensors)


@pytest.mark.parametrize("batch", [2, 3, 17])
def test_every_example_is_mixed_with_another(batch, monkeypatch):
    labels = labels_of(batch, 3)
    tensors = tensors_of("metrix_supcon", labels)
    criterion = losses.create("metrix_supcon")
    seen = []
    monkeypatch.setattr(criterion, "of_mixtures", lambda *given: seen.append(given[2:4]) or given[1].sum())
    for seed in range(20):
        torch.manual_seed(seed)
        criterion(labels, **tensors)
    for partners, mixing in seen:
        assert sorted(partners.tolist()) == list(range(batch))
        assert not (partners == torch.arange(batch)).any()
        assert 0 < mixing < 1
    assert batch == 2 or len({tuple(partners.tolist()) for partners, _ in seen}) > 1


@pytest.mark.parametrize("name", ["metrix", "metrix_supcon"])
@pytest.mark.parametrize("alpha", [0.5, 2.0, 8.0])
def test_shares_are_drawn_from_the_distribution_that_is_asked_for(name, alpha):
    from mlcl_utils.losses.metrix import share

    criterion = losses.create(name, alpha=alpha)
    torch.manual_seed(0)
    drawn = torch.stack([share(criterion, torch.zeros((), dtype=torch.float64)) for _ in range(4000)])
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)
    fixed = losses.create(name, alpha=alpha, mixing=0.25)
    assert share(fixed, drawn) == 0.25


@pytest.mark.parametrize("name", ["metrix", "metrix_supcon"])
def test_draws_follow_torch_s_seed(name):
    labels = labels_of(9, 5)
    tensors = tensors_of(name, labels)
    criterion = losses.create(name)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(criterion(labels, **tensors))
    assert values[0] == values[1] != values[2]


def test_order_of_the_batch_goes_with_the_partners():
    labels = labels_of(9, 5)
    z = tensors_of("metrix_supcon", labels)["embeddings"]
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    criterion = losses.create("metrix_supcon")
    value = criterion.of_mixtures(labels, z, partners_of(9), SHARE)
    moved = criterion.of_mixtures(labels[order], z[order], place[partners_of(9)[order]], SHARE)
    torch.testing.assert_close(moved, value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_supcon_of_mixtures_in_other_types(dtype, temperature):
    labels = labels_of(8, 6)
    tensors = tensors_of("metrix_supcon", labels, dtype=dtype)
    exact = {key: x.detach().double().requires_grad_() for key, x in tensors.items()}
    criterion = losses.create("metrix_supcon", temperature=temperature, mixing=0.7)
    found = []
    for given in (tensors, exact):
        torch.manual_seed(0)
        partners = torch.rand(8).argsort()  # the draws of one type are not those of another
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
            z = criterion._prepared(labels, 0, given)[1]["embeddings"]
            found.append(criterion.of_mixtures(labels, z, partners, z.new_tensor(0.7)))
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-4)


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("pairing", ["all", "sampled"])
def test_mixtures_in_parts_are_those_of_the_whole(rows, pairing, monkeypatch):
    labels = labels_of(11, 6)
    tensors = tensors_of("metrix", labels)
    criterion = losses.create("metrix", mixing=0.6, pairing=pairing, margin=1.0)
    whole = criterion(labels, **tensors)
    size = 11 if pairing == "all" else 3
    monkeypatch.setattr(contrast, "BLOCK_BYTES", rows * 11 * size * 8)
    same(criterion(labels, **tensors), whole, tensors)


def test_all_mixtures_are_the_sampled_ones_where_there_are_few_negatives():
    labels = labels_of(7, 5)
    tensors = tensors_of("metrix", labels)
    every, some = (
        losses.create("metrix", mixing=0.6, pairing=pairing, negatives=7)(labels, **tensors)
        for pairing in ("all", "sampled")
    )
    same(some, every, tensors)


def test_mixtures_of_opposite_and_equal_vectors_have_finite_gradients():
    labels = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    z = torch.tensor([[1.0, 0], [1.0, 0], [-1.0, 0], [-1.0, 0]], requires_grad=True)
    for given in (
        {"mixing": 0.5},
        {"mixing": 0.5, "mode": "anchor_negative"},
        {"mixing": 0.5, "pairing": "all"},
    ):
        value = losses.create("metrix", **given)(labels, embeddings=z)
        assert value.isfinite()
        assert torch.autograd.grad(value, z)[0].isfinite().all()


# the Poincaré ball


@pytest.mark.parametrize("curvature", [1e-8, 1e-6])
def test_a_flat_ball_gives_the_logits_of_a_euclidean_head(curvature):
    x, p, a = (
        torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in (6, 4, 3)
    )
    a = a.repeat(2, 1)[:4]
    found = hyperbolic.gyroplane_logits(hyperbolic.into_ball(x, curvature, 2.0), p, a, curvature)
    flat = hyperbolic.gyroplane_logits(hyperbolic.into_ball(x, 0, 2.0), p, a, 0)
    torch.testing.assert_close(found, flat, rtol=1e-4, atol=1e-4)
    cut = x * (2 / x.norm(dim=1, keepdim=True)).clamp(max=1)
    torch.testing.assert_close(flat, 4 * ((cut[:, None] - p) * a).sum(dim=2))


@pytest.mark.parametrize("curvature", [0.1, 1.0])
def test_distance_of_the_ball(curvature):
    """From the centre 2 artanh(√c‖x‖)/√c; and a triangle's sides are a metric."""
    x = hyperbolic.into_ball(torch.randn(9, 4, dtype=torch.float64), curvature, 2.0)
    squares = x.square().sum(dim=1)
    from_centre = hyperbolic.ball_distance(squares, squares, squares.new_zeros(9), curvature)
    root = curvature**0.5
    torch.testing.assert_close(from_centre, 2 / root * torch.atanh(root * squares.sqrt()))
    d = hyperbolic.ball_distance(torch.cdist(x, x).square(), squares[:, None], squares, curvature)
    assert (d[:, :, None] <= d[:, None, :] + d[None] + 1e-9).all()
    assert not d.diagonal().any()


def test_points_stay_within_the_ball():
    far = hyperbolic.into_ball(torch.full((2, 3), 1e6), 1.0)
    assert (far.norm(dim=1) <= 0.9991).all()
    assert not hyperbolic.into_ball(torch.zeros(2, 3), 1.0, 2.0).any()


def test_the_head_of_hyperbolic_ce_is_what_it_trains():
    labels = one_label_each(8, 3)
    tensors = tensors_of("hyperbolic_ce", labels)
    criterion = losses.create("hyperbolic_ce")
    expected = torch.nn.functional.cross_entropy(criterion.scores(**tensors), labels.argmax(dim=1))
    same(criterion(labels, **tensors), expected, tensors)


@pytest.mark.parametrize("pairs", ["halves", "all"])
def test_coincident_points_are_at_no_distance_and_pull_on_nothing(pairs):
    labels = torch.ones(4, 2)
    z = torch.ones(4, 3, requires_grad=True)
    value = losses.create("hyperbolic_confusion", pairs=pairs)(labels, embeddings=z)
    value.backward()
    assert value == 0
    assert not z.grad.any()


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("unpg", {"scale": 0}, "scale must be a number above 0, was 0"),
        ("unpg", {"whisker": -1}, "whisker must be a number at least 0, or none, was -1"),
        ("unpg", {"kind": "arc"}, "kind must be cosine or angle, was 'arc'"),
        ("unpg", {"pool": 1}, "pool must be true or false, was 1"),
        ("unpg", {"margin": -0.1}, "margin must be a number at least 0, was -0.1"),
        ("proto_triplet", {"margin": -1}, "margin must be a number at least 0, was -1"),
        ("proto_triplet", {"positive": "min"}, "positive must be mean or max, was 'min'"),
        ("tcm", {"positive_margin": 1.5}, "positive_margin must be a number at least -1 and at most 1, was 1.5"),
        ("tcm", {"positive_margin": 0.2}, "positive_margin must be above negative_margin, was 0.2 and 0.5"),
        ("tcm_prototypes", {"negative_weight": -1}, "negative_weight must be a number at least 0, was -1"),
        ("metrix", {"margin": 0}, "margin must be a number above 0 and at most 2, was 0"),
        ("metrix", {"alpha": 0}, "alpha must be a number above 0, was 0"),
        ("metrix", {"mixing": 1.5}, "mixing must be a number at least 0 and at most 1, or none, was 1.5"),
        ("metrix", {"negatives": 0}, "negatives must be a whole number at least 1, was 0"),
        ("metrix", {"mode": "both"}, "mode must be positive_negative or anchor_negative, was 'both'"),
        ("metrix_supcon", {"temperature": 0}, "temperature must be a number above 0, was 0"),
        ("instance_simple", {"weight": -1}, "weight must be a number at least 0, was -1"),
        ("instance_simple", {"hard_fraction": 1.1}, "hard_fraction must be .* at most 1, was 1.1"),
        ("hyperbolic_ce", {"curvature": 0}, "curvature must be a number above 0, was 0"),
        ("hyperbolic_ce", {"radius": -1}, "radius must be a number above 0, was -1"),
        ("hyperbolic_confusion", {"inverse": "tan"}, "inverse must be artanh or arctan, was 'tan'"),
    ],
)  # fmt: skip
def test_hyperparameters_out_of_range(name, given, words):
    with pytest.raises(ValueError, match=words):
        losses.create(name, **given)


def test_normals_must_be_as_many_as_prototypes():
    labels = labels_of(6, 4)
    tensors = tensors_of("hyperbolic_ce", labels)
    with pytest.raises(ValueError, match=r"normals must have shape \(4, 5\), was \(3, 5\)"):
        losses.create("hyperbolic_ce")(labels, **tensors | {"normals": tensors["normals"][1:]})


# mixtures that are given


def given_mixtures(batch, dim=5, seed=3):
    mixed = torch.randn(batch, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {"mixed": mixed.requires_grad_(), "partners": partners_of(batch), "mixing": SHARE}


def of_pairs_in_loops(labels, z, given, mode, margin):
    """The mean over what costs something of tD, and of (1-t)[m - D]₊, of all anchors and given mixtures."""
    z, mixed = contrast.unit(z), contrast.unit(given["mixed"])
    sets = [{label for label, y in enumerate(row) if y > 0} for row in labels.tolist()]

    def share(i, j):
        return 0.0 if i == j else len(sets[i] & sets[j]) / max(1, len(sets[i] | sets[j]))

    def negative(i, j):
        return i != j and bool(sets[i]) and not sets[i] & sets[j]

    pulled, pushed = [], []
    for i, own in enumerate(sets):
        alone = bool(own) and not any(share(i, j) for j in range(len(sets)))
        for j, other in enumerate(given["partners"].tolist()):
            t = None
            for one, two, part in ((j, other, 0.7), (other, j, 0.3)):
                if mode == "anchor_negative":
                    if one == i and alone and negative(i, two):
                        t = part
                elif share(i, one) > 0 and negative(i, two):
                    t = part * share(i, one)
            if t is not None:
                distance = (2 - 2 * z[i] @ mixed[j]).clamp(min=1e-12).sqrt()
                pulled.append(t * distance)
                pushed.append((1 - t) * (margin - distance).clamp(min=0))
    total = z.sum() * 0 + mixed.sum() * 0
    for terms in (pulled, pushed):
        kept = [term for term in terms if term > 0]
        total = total + (sum(kept) / len(kept) if kept else 0)
    return total


@pytest.mark.parametrize("mode", ["positive_negative", "anchor_negative"])
@pytest.mark.parametrize(
    ("batch", "count", "density", "seed"), [(9, 6, 0.3, 0), (14, 8, 0.15, 1), (12, 5, 0.4, 2)]
)
def test_pairs_with_given_mixtures_are_what_loops_say(mode, batch, count, density, seed):
    labels = labels_of(batch, count, seed, density=density)
    tensors = tensors_of("metrix", labels, seed)
    given = given_mixtures(batch)
    criterion = losses.create("metrix", mode=mode, margin=1.4)
    found = criterion.terms(labels, **tensors, **given)["mixed"]
    expected = of_pairs_in_loops(labels, tensors["embeddings"], given, mode, 1.4)
    assert expected > 0 or mode == "anchor_negative"
    same(found, expected, {**tensors, "mixed": given["mixed"]})


def test_some_anchors_are_mixed_with_negatives_themselves():
    labels = torch.eye(5, dtype=torch.int8)  # nobody has a positive
    tensors, given = tensors_of("metrix", labels), given_mixtures(5)
    criterion = losses.create("metrix", mode="anchor_negative", margin=2.0)
    found = criterion.terms(labels, **tensors, **given)["mixed"]
    assert found > 0
    same(found, of_pairs_in_loops(labels, tensors["embeddings"], given, "anchor_negative", 2.0), tensors)
    other = losses.create("metrix", margin=2.0).terms(labels, **tensors, **given)["mixed"]
    assert other == 0


def test_given_mixtures_of_embeddings_are_those_that_the_losses_make():
    labels = labels_of(9, 5)
    tensors = tensors_of("metrix_supcon", labels)
    unit = contrast.unit(tensors["embeddings"])
    partners = partners_of(9)
    given = {"mixed": SHARE * unit + (1 - SHARE) * unit[partners], "partners": partners, "mixing": SHARE}
    criterion = losses.create("metrix_supcon")
    found = criterion(labels, **tensors, **given)
    same(found, criterion.of_mixtures(labels, tensors["embeddings"], partners, SHARE), tensors)
    # one positive and one negative for an anchor: the only mixture of them
    labels = torch.tensor([[1, 0], [1, 0], [0, 1]])
    z = tensors["embeddings"][:3]
    unit = contrast.unit(z)
    partners = torch.tensor([2, 2, 0])
    mixed = SHARE * unit + (1 - SHARE) * unit[partners]
    made = losses.create("metrix", mixing=0.7, pairing="all", margin=1.5)
    got = losses.create("metrix", margin=1.5).terms(
        labels, embeddings=z, mixed=mixed, partners=partners, mixing=SHARE
    )
    wanted = made.terms(labels, embeddings=z)
    torch.testing.assert_close(got["clean"], wanted["clean"])
    # anchor 0 with (1, 2); anchor 1 with (0, 2), and with (2, 0), whose share of 0 is the rest
    degrees = torch.tensor([0.7, 0.7, 0.3], dtype=torch.float64)
    d = (2 - 2 * (unit[[0, 1, 1]] * contrast.unit(mixed)[[1, 0, 2]]).sum(dim=1)).sqrt()
    hinges = (1 - degrees) * (1.5 - d).clamp(min=0)
    expected = (degrees * d).mean() + hinges.sum() / (hinges > 0).sum().clamp(min=1)
    torch.testing.assert_close(got["mixed"], expected)


def test_supcon_with_given_mixtures_is_a_loop():
    labels = labels_of(8, 5)
    tensors, given = tensors_of("metrix_supcon", labels), given_mixtures(8)
    z, mixed = contrast.unit(tensors["embeddings"]), contrast.unit(given["mixed"])
    index, _ = relations((labels > 0).double())
    partners, terms = given["partners"].tolist(), []
    for i in range(8):
        rest = [j for j in range(8) if j != i and partners[j] != i]
        weights = torch.stack([0.7 * index[i, j] + 0.3 * index[i, partners[j]] for j in rest])
        if weights.sum() > 0:
            log_p = torch.stack([z[i] @ mixed[j] / 0.1 for j in rest]).log_softmax(dim=0)
            terms.append(-(weights * log_p).sum() / weights.sum())
    value = losses.create("metrix_supcon")(labels, **tensors, **given)
    same(value, sum(terms) / len(terms), {**tensors, "mixed": given["mixed"]})


@pytest.mark.parametrize("name", ["metrix", "metrix_supcon"])
def test_given_mixtures_have_the_numerical_gradient(name):
    labels = labels_of(8, 5)
    tensors, given = tensors_of(name, labels), given_mixtures(8)
    criterion = losses.create(name)

    def value(embeddings, mixed):
        return criterion(labels, embeddings=embeddings, **given | {"mixed": mixed})

    assert torch.autograd.gradcheck(value, (tensors["embeddings"], given["mixed"]))


def test_given_mixtures_go_to_the_parts_of_a_sum_that_take_them():
    labels = labels_of(8, 5)
    tensors, given = tensors_of("bce+metrix_supcon+metrix", labels), given_mixtures(8)
    both = losses.create("bce+metrix_supcon+metrix")
    assert both.takes_mixtures
    assert not losses.create("bce+prototype").takes_mixtures
    z = {"embeddings": tensors["embeddings"]}
    expected = losses.create("bce")(labels, logits=tensors["logits"])
    for name in ("metrix_supcon", "metrix"):
        expected = expected + losses.create(name)(labels, **z, **given)
    same(both(labels, **tensors, **given), expected, tensors)


@pytest.mark.parametrize("name", ["metrix", "metrix_supcon"])
def test_given_mixtures_that_are_refused(name):
    labels = labels_of(6, 4)
    z, given = tensors_of(name, labels), given_mixtures(6)
    criterion = losses.create(name)
    for change, words in (
        ({"mixed": given["mixed"][1:]}, r"mixed must have shape \(6, 5\), was \(5, 5\)"),
        ({"partners": given["partners"].double()}, r"partners must be an integer tensor, was torch.float64"),
        ({"partners": given["partners"] + 1}, "partners must be below 6, was 6"),
        ({"partners": given["partners"] - 1}, "partners must be at least 0, was -1"),
        ({"mixing": torch.tensor(1.5)}, "mixing must be at least 0 and at most 1, was 1.5"),
        ({"mixing": torch.tensor([0.5])}, r"mixing must have shape \(\), was \(1,\)"),
        ({"mixing": 0.5}, "mixing must be a floating-point tensor, was float"),
        ({"mixed": given["mixed"] * torch.nan}, "mixed must be finite, was nan"),
    ):
        with pytest.raises(ValueError, match=words):
            criterion(labels, **z, **given | change)
    for missing in given:
        rest = {key: value for key, value in given.items() if key != missing}
        with pytest.raises(ValueError, match=f"{name} takes embeddings, mixed, partners, mixing, was given"):
            criterion(labels, **z, **rest)
    with pytest.raises(ValueError, match="jaccard_supcon takes embeddings, was given"):
        losses.create("jaccard_supcon")(labels, **z, **given)


@pytest.mark.parametrize("name", ["metrix", "metrix_supcon"])
@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_of_few_with_given_mixtures_is_zero(name, batch):
    labels = torch.ones(batch, 3)
    z = torch.randn(batch, 5, requires_grad=True)
    given = {
        "mixed": torch.randn(batch, 5, requires_grad=True),
        "partners": torch.arange(batch),
        "mixing": SHARE,
    }
    value = losses.create(name)(labels, embeddings=z, **given)
    value.backward()
    assert value == 0
    assert z.grad is not None


# centroids in the place of prototypes


def to_centroids(labels, z, positive="mean", margin=0.5):
    """Each example by its own prototypes: the means of the others of each label."""
    values = []
    for i in range(len(z)):
        others = [
            [j for j in range(len(z)) if j != i and labels[j, label] > 0] for label in range(labels.shape[1])
        ]
        known = [label for label, rows in enumerate(others) if rows]
        if not known:
            continue
        means = torch.stack([z[others[label]].mean(dim=0) for label in known])
        own = labels[i : i + 1, known]
        if not (own > 0).any() or (own > 0).all():
            continue
        criterion = losses.create("proto_triplet", positive=positive, margin=margin)
        values.append(criterion(own, embeddings=z[i : i + 1], prototypes=means))
    return sum(values, z.sum() * 0) / max(1, len(values))


CENTROIDS = [
    labels_of(9, 6),
    labels_of(14, 8, 1, density=0.15),
    torch.eye(4, dtype=torch.int8),  # nobody shares a label
    torch.ones(4, 3),
    torch.tensor([[1, 0, 1]]),
    torch.zeros(3, 2),
    torch.full((3, 2), -1),
    torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1]]),  # a label with one example, one without
]


@pytest.mark.parametrize("labels", CENTROIDS)
@pytest.mark.parametrize("positive", ["mean", "max"])
def test_centroids_leave_the_example_out(labels, positive):
    z = tensors_of("metrix", labels)["embeddings"]
    criterion = losses.create("proto_triplet", positive=positive, margin=2.0, centroids=True)
    same(criterion(labels, embeddings=z), to_centroids(labels, z, positive, 2.0), {"embeddings": z})


def test_centroids_of_one_label_each_are_the_published_prototypes():
    """With a support set and queries: the distance to the mean of the support, for each query."""
    labels = one_label_each(12, 3)
    z = tensors_of("metrix", labels)["embeddings"]
    classes, d = labels.argmax(dim=1), []
    for i in range(12):
        means = [z[[j for j in range(12) if j != i and classes[j] == c]].mean(dim=0) for c in range(3)]
        d.append([(((z[i] - mean) ** 2).sum() + 1e-6).sqrt() for mean in means])
    hinges = [
        torch.relu(row[c] - min(row[k] for k in range(3) if k != c) + 0.5)
        for row, c in zip(d, classes.tolist(), strict=True)
    ]
    value = losses.create("proto_triplet", centroids=True)(labels, embeddings=z)
    same(value, torch.stack(hinges).mean(), {"embeddings": z})


def test_centroids_have_the_numerical_gradient():
    labels = labels_of(9, 5)
    criterion = losses.create("proto_triplet", centroids=True, margin=2.0)
    z = tensors_of("metrix", labels)["embeddings"]
    assert torch.autograd.gradcheck(lambda x: criterion(labels, embeddings=x), (z,))


def test_centroids_take_no_prototypes():
    labels = labels_of(6, 4)
    tensors = tensors_of("proto_triplet", labels)
    criterion = losses.create("proto_triplet", centroids=True)
    assert criterion.tensors == ("embeddings",)
    assert criterion.scores is None
    with pytest.raises(ValueError, match="proto_triplet takes embeddings, was given embeddings, prototypes"):
        criterion(labels, **tensors)
    both = losses.create("proto_triplet+tcm", proto_triplet={"centroids": True})
    assert both.tensors == ("embeddings",)
    assert getattr(both, "scores", None) is None
    assert both(labels, embeddings=tensors["embeddings"]).isfinite()
    assert losses.create("proto_triplet+tcm").scores(**tensors).shape == (6, 4)


WITH_STRANGERS = [
    s
    for s in SETTINGS
    if s[0] in {"tcm", "unpg", "metrix", "snr_contrastive", "snr_triplet", "energy_confusion", "icnn"}
]


def sparse(batch, count, seed=0):
    """Labels with many pairs that share none, and an example without any."""
    labels = (torch.rand(batch, count, generator=torch.Generator().manual_seed(seed)) < 0.2).to(torch.int8)
    labels[1] = 0
    return labels


@pytest.mark.parametrize(("name", "given", "epoch"), WITH_STRANGERS)
@pytest.mark.parametrize("seed", range(2))
def test_where_many_pairs_share_nothing_a_loss_is_its_oracle(name, given, epoch, seed):
    labels = sparse(12, 8, seed)
    assert relations((labels > 0).double())[1].sum() > 20
    check(name, given, epoch, labels, tensors_of(name, labels, seed))


# the signal-to-noise distance


def distances_of(labels, z):
    from mlcl_utils.losses.snr import SNR

    return SNR.pairs(labels, z)[0]


def test_the_distance_is_one_of_variances_and_not_symmetric():
    z = tensors_of("snr_triplet", labels_of(6, 4))["embeddings"].detach()
    d = distances_of(torch.ones(6, 1), z)
    expected = (z - z[:, None]).var(dim=2) / z.var(dim=1)[:, None]
    torch.testing.assert_close(d, expected)
    assert not torch.allclose(d, d.T)
    centred = contrast.unit(z - z.mean(dim=1, keepdim=True))
    torch.testing.assert_close(distances_of(torch.ones(6, 1), centred), 2 - 2 * centred @ centred.T)


@pytest.mark.parametrize("name", ["snr_contrastive", "snr_triplet"])
def test_neither_a_common_scale_nor_levels_change_the_distance(name):
    labels = labels_of(9, 5)
    z = tensors_of(name, labels)["embeddings"].detach()
    given = {} if name == "snr_contrastive" else {"regularisation": 0.0}
    criterion = losses.create(name, **given)
    value = criterion(labels, embeddings=z)
    torch.testing.assert_close(criterion(labels, embeddings=100 * z), value)
    levels = torch.arange(9.0, dtype=torch.float64)[:, None]
    torch.testing.assert_close(criterion(labels, embeddings=z + levels), value)
    stretched = criterion(labels, embeddings=z * (1 + levels))
    assert not torch.isclose(stretched, value)
    same_norms = losses.create(name, normalise=True, **given)
    torch.testing.assert_close(
        same_norms(labels, embeddings=z * (1 + levels)), same_norms(labels, embeddings=z)
    )


@pytest.mark.parametrize("name", ["snr_contrastive", "snr_triplet"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_and_coinciding_embeddings_have_finite_gradients(name, dtype):
    labels = labels_of(8, 3, unobserved=False)
    z = torch.randn(8, 6, dtype=dtype, generator=torch.Generator().manual_seed(0))
    z[0] = 3.7  # no signal
    z[1] = 0
    z[3] = z[2]
    z[4] = z[5] + 1
    z.requires_grad_()
    value = losses.create(name)(labels, embeddings=z)
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()
    alone = torch.full((4, 6), 2.5, dtype=dtype, requires_grad=True)  # everything is constant
    value = (
        losses.create(name, regularisation=0.0)(labels[:4], embeddings=alone)
        if "triplet" in name
        else (losses.create(name)(labels[:4], embeddings=alone))
    )
    value.backward()
    assert value == 0
    assert not alone.grad.any()


def test_rounding_is_no_distance_of_equal_embeddings():
    labels = torch.ones(6, 1)
    z = torch.randn(1, 64, generator=torch.Generator().manual_seed(0)).repeat(6, 1)
    assert not distances_of(labels, z).any()
    assert losses.create("snr_contrastive")(labels, embeddings=z) == 0


def test_triplets_of_many_examples_are_the_loop_in_little_memory():
    labels = labels_of(60, 8, density=0.15)
    z = tensors_of("snr_triplet", labels, dim=9)["embeddings"]
    value = losses.create("snr_triplet")(labels, embeddings=z)
    d = distances_of(labels, z)
    index, negative = relations((labels > 0).double())
    hinges = (d[:, :, None] - d[:, None] + 0.2).clamp(min=0) * negative[:, None] * (index > 0)[:, :, None]
    weights = index[:, :, None] * (hinges > 0)
    triplets = (negative[:, None] & (index > 0)[:, :, None]).sum(dim=(1, 2))
    levels = (triplets * z.sum(dim=1).abs()).sum() / triplets.sum()
    same(value, (weights * hinges).sum() / weights.sum() + 0.005 * levels, {"embeddings": z})


# energy confusion


def test_confusion_is_half_the_mean_squared_distance_of_examples_that_share_nothing():
    labels = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 0]])
    z = torch.tensor([[0.0, 0], [0, 0], [2, 0], [9, 9]], requires_grad=True)
    value = losses.create("energy_confusion")(labels, confused=z)
    torch.testing.assert_close(value, torch.tensor(2 + 1e-6).log())
    value.backward()
    assert z.grad[2, 0] > 0  # a step against it draws the two kinds together
    assert not z.grad[3].any()


def test_confusion_takes_either_tensor():
    labels = labels_of(7, 5)
    z = tensors_of("energy_confusion", labels)["confused"]
    ordinary = losses.create("energy_confusion", head_only=False)
    assert ordinary.tensors == ("embeddings",)
    same(
        ordinary(labels, embeddings=z), losses.create("energy_confusion")(labels, confused=z), {"confused": z}
    )
    with pytest.raises(ValueError, match="energy_confusion takes confused, was given embeddings"):
        losses.create("energy_confusion")(labels, embeddings=z)
    with pytest.raises(ValueError, match="energy_confusion takes embeddings, was given confused"):
        ordinary(labels, confused=z)


def test_confusion_of_lengths_alone_is_what_normalising_takes_out():
    labels = sparse(7, 5)
    assert relations((labels > 0).double())[1].any()
    z = tensors_of("energy_confusion", labels)["confused"].detach()
    plain, scaled = (losses.create("energy_confusion", normalise=n) for n in (False, True))
    assert plain(labels, confused=z / 10) < plain(labels, confused=z) - 4
    torch.testing.assert_close(scaled(labels, confused=z / 10), scaled(labels, confused=z))


@pytest.mark.parametrize("pairs", ["negative", "all"])
def test_confusion_of_a_collapsed_batch_has_a_finite_gradient(pairs):
    labels = sparse(7, 5)
    assert relations((labels > 0).double())[1].any()
    z = torch.ones(7, 4, requires_grad=True)
    value = losses.create("energy_confusion", pairs=pairs)(labels, confused=z)
    value.backward()
    torch.testing.assert_close(value.detach(), torch.tensor(1e-6).log())
    assert z.grad.isfinite().all()


# neighbours


@pytest.mark.parametrize(
    ("neighbours", "horizon"), [(4, None), (4, 6), (1, None), (2, 9), (30, 40), (9, None)]
)
@pytest.mark.parametrize("seed", range(3))
def test_icnn_is_the_logarithm_of_the_metric(neighbours, horizon, seed):
    from mlcl_utils import metrics

    labels = labels_of(12, 6, seed)
    z = tensors_of("icnn", labels, seed)["embeddings"]
    value = losses.create("icnn", neighbours=neighbours, horizon=horizon)(labels, embeddings=z)
    score = metrics.icnn_score(z.detach().numpy(), labels.numpy(), neighbours=neighbours, horizon=horizon)[
        "icnn_score"
    ]
    assert value.exp().item() == pytest.approx(1 / score, rel=1e-12)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_icnn_of_few_examples_with_a_label(count):
    labels = torch.zeros(6, 2)
    labels[:count, 0] = 1
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = losses.create("icnn")(labels, embeddings=z)
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()
    if count < 3:
        assert value == 0
        assert not z.grad.any()


def test_icnn_does_not_change_with_scale_and_has_no_gradient_by_the_examples_it_leaves_out():
    labels = labels_of(12, 6)
    z = tensors_of("icnn", labels)["embeddings"]
    criterion = losses.create("icnn")
    value = criterion(labels, embeddings=z)
    torch.testing.assert_close(criterion(labels, embeddings=100 * z), value, rtol=1e-5, atol=1e-6)
    (slope,) = torch.autograd.grad(value, z)
    assert not slope[(labels < 1).all(dim=1)].any()
    assert slope.any()


def test_icnn_of_coinciding_examples_has_a_finite_gradient():
    labels = labels_of(9, 4)
    z = torch.ones(9, 3, requires_grad=True)
    value = losses.create("icnn")(labels, embeddings=z)
    value.backward()
    assert value.isfinite()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("snr_contrastive", {"negative_margin": 0}, "negative_margin must be a number above 0, was 0"),
        ("snr_contrastive", {"positive_margin": -1}, "positive_margin must be a number at least 0, was -1"),
        ("snr_triplet", {"margin": -0.1}, "margin must be a number at least 0, was -0.1"),
        ("snr_triplet", {"regularisation": -1}, "regularisation must be a number at least 0, was -1"),
        ("snr_triplet", {"normalise": 1}, "normalise must be true or false, was 1"),
        ("energy_confusion", {"weight": -1}, "weight must be a number at least 0, was -1"),
        ("energy_confusion", {"pairs": "positive"}, "pairs must be negative or all, was 'positive'"),
        ("icnn", {"neighbours": 0}, "neighbours must be a whole number at least 1, was 0"),
        ("icnn", {"horizon": 3}, "horizon must be at least neighbours, was 3 and 4"),
    ],
)
def test_hyperparameters_of_the_third_part_out_of_range(name, given, words):
    with pytest.raises(ValueError, match=words):
        losses.create(name, **given)
