"""Problems for the losses, and the forms that each is compared with: its own first."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils import losses as loss_library
from mlcl_utils.bench.measuring import Size, Step
from mlcl_utils.losses.contrast import unit

_DIRECT_BYTES = 2**30  # of one array of (anchors, candidates, labels) above which the direct form is left out
_LOOP_PAIRS = 20_000  # of examples and labels above which the usual forms of kmcl and clml are left out


_PAIRED = ("mw", "mw_logits")  # whose time goes with positives times negatives of the whole batch
_MOST_PAIRS = 1e9


def takes_too_long(name: str, size: Size) -> bool:
    """Whether a loss compares so many pairs at a size that it is left out there: minutes for one step."""
    batch, count, _ = size
    return name in _PAIRED and 4 * batch * batch * count > _MOST_PAIRS  # about four positives to an example


def forms_of(name: str, size: Size, device: str) -> dict[str, Step]:
    """The forms of a loss that are compared, each forward and backward on the same problem, its own first."""
    return dict(_forms(name, _labels(size, device), size, device))


def _forms(name: str, labels: Tensor, size: Size, device: str) -> Iterator[tuple[str, Step]]:
    batch, count, _ = size
    criterion = loss_library.create(name).to(device)
    tensors = _tensors(loss_library.info(name).tensors, size, device)
    yield "package", _step(lambda: criterion(labels, **tensors), tensors)
    products = list(_products(name, size))
    if products:
        yield "products", _products_step(products, device)
    anchors = {"reg": batch + count}.get(name, batch)
    candidates = {"reg": batch + count, "msc": batch + count}.get(name, batch)
    if name in _DIRECT and 4 * anchors * candidates * count <= _DIRECT_BYTES:
        yield "direct", _step(lambda: _direct(name, labels, tensors), tensors)
    if name == "kmcl" and batch * count <= _LOOP_PAIRS:
        yield "loop", _step(lambda: _kmcl_in_a_loop(labels, tensors), tensors)
    if name == "clml" and batch * count <= _LOOP_PAIRS:
        yield "svds", _step(lambda: _clml_by_svd(labels, tensors["features"]), tensors)


def _step(value: Callable[[], Tensor], tensors: dict[str, Tensor]) -> Step:
    def step() -> None:
        for tensor in tensors.values():
            tensor.grad = None
        value().backward()  # type: ignore[no-untyped-call]

    return step


# problems


def _labels(size: Size, device: str) -> Tensor:
    """Labels with a long tail, about five to an example and at least one."""
    batch, count, _ = size
    generator = torch.Generator().manual_seed(0)
    weights = 1 / (torch.arange(count) + 10.0)
    chosen = torch.multinomial(weights.expand(batch, -1), min(5, count), generator=generator)
    kept = torch.rand(chosen.shape, generator=generator) < 0.8
    kept[:, 0] = True
    labels = torch.zeros(batch, count, dtype=torch.bool)
    labels[torch.arange(batch)[:, None].expand_as(chosen)[kept], chosen[kept]] = True
    return labels.to(device)


def _tensors(names: Sequence[str], size: Size, device: str) -> dict[str, Tensor]:
    batch, count, dim = size
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "prototypes": (count, dim),
        "normals": (count, dim),
        "logits": (batch, count),
        "mean": (batch, count),
        "variance": (batch, count),
    }
    tensors = {name: torch.randn(shapes.get(name, (batch, dim)), generator=generator) for name in names}
    if "variance" in tensors:
        tensors["variance"] = 1 + tensors["variance"].exp()
    return {name: tensor.to(device).requires_grad_() for name, tensor in tensors.items()}


# what cannot be avoided


def _products(name: str, size: Size) -> Iterator[tuple[int, int, int]]:
    """The matrix products of a loss, each (rows, inner, columns): similarities, their gradient, weights."""
    batch, count, dim = size
    both = batch + count
    if name == "reg":  # the gradients as rows and as columns are of one symmetric matrix
        yield from [(both, dim, both), (both, both, dim), (batch, count, batch)]
    elif name == "msc":
        yield from [(batch, dim, both), (batch, both, dim), (both, batch, dim)]
        yield from [(batch, count, batch), (batch, batch, count), (batch, count, batch)]
    elif name in ("jaccard_supcon", "mulsupcon", "similarity_dissimilarity"):
        yield from [(batch, dim, batch), (batch, batch, dim), (batch, count, batch)]
    elif name in ("prototype", "cosine_bce", "mw", "proto_triplet", "tcm_prototypes"):
        yield from [(batch, dim, count), (batch, count, dim), (count, batch, dim)]
    elif name in ("instance", "instance_simple"):
        yield from [(batch, dim, batch), (batch, batch, dim), (batch, batch, dim)]
    elif name in (
        "tcm",
        "metrix",
        "metrix_supcon",
        "snr_contrastive",
        "snr_triplet",
        "energy_confusion",
        "icnn",
    ):
        yield from [(batch, dim, batch), (batch, batch, dim), (batch, batch, dim), (batch, count, batch)]
    elif name == "unpg":
        yield from [(batch, dim, batch), (batch, batch, dim), (batch, batch, dim), (batch, count, batch)]
        yield from [(batch, dim, count), (batch, count, dim), (count, batch, dim)]
    elif name == "hyperbolic_ce":  # the points meet the planes' positions and their normals
        yield from [(batch, dim, count), (batch, count, dim), (count, batch, dim)] * 2


def _products_step(products: Sequence[tuple[int, int, int]], device: str) -> Step:
    pairs = [
        (torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device))
        for rows, inner, columns in products
    ]

    def step() -> None:
        for left, right in pairs:
            left @ right

    return step


# the forms that the formulas suggest


def _direct_reg(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    preference = (shared.sum(dim=2) / sizes.clamp(min=1)) ** 0.0
    preferred = shared * preference[:, :, None]
    return (preferred / preferred.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=2) / sizes[:, None].clamp(
        min=1
    )


def _direct_msc(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    batch = len(sizes)
    union = sizes[:, None] + candidates.sum(dim=1) - shared.sum(dim=2)
    closeness = shared / union[:, :, None].clamp(min=1)
    closeness[:, batch:] = shared[:, batch:]
    return (closeness / closeness.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=2) / sizes[:, None].clamp(
        min=1
    )


def _direct_jaccard_supcon(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    common = shared.sum(dim=2)
    jaccard = common / (sizes[:, None] + sizes - common).clamp(min=1)
    return jaccard / jaccard.sum(dim=1, keepdim=True).clamp(min=1e-12)


def _direct_mulsupcon(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    weights = (shared / shared.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=2)
    return weights * len(sizes) / sizes.sum()


def _direct_similarity_dissimilarity(shared: Tensor, sizes: Tensor, candidates: Tensor) -> Tensor:
    common = shared.sum(dim=2)
    weights = common / sizes[:, None].clamp(min=1) / (1 + sizes - common)
    return weights / (common > 0).sum(dim=1, keepdim=True).clamp(min=1)


_DIRECT = {
    "reg": _direct_reg,
    "msc": _direct_msc,
    "jaccard_supcon": _direct_jaccard_supcon,
    "mulsupcon": _direct_mulsupcon,
    "similarity_dissimilarity": _direct_similarity_dissimilarity,
}


def _direct(name: str, labels: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    """A contrastive loss by the array of which labels each anchor shares with each candidate."""
    batch, count = labels.shape
    candidates = labels.float()
    vectors = unit(tensors["embeddings"])
    if name in ("reg", "msc"):
        candidates = torch.cat([candidates, torch.eye(count, device=labels.device)])
        vectors = torch.cat([vectors, unit(tensors["prototypes"])])
    anchors = len(vectors) if name == "reg" else batch
    own_pairs = torch.eye(anchors, len(vectors), dtype=torch.bool, device=labels.device)
    shared = candidates[:anchors, None] * candidates[None]
    shared[own_pairs] = 0
    weights = _DIRECT[name](shared, candidates[:anchors].sum(dim=1), candidates)
    del shared
    similarity = vectors[:anchors] @ vectors.T / 0.1
    biased = similarity.masked_fill(own_pairs, -math.inf)
    if name == "msc":
        biased = torch.cat([biased[:, :batch] + math.log(0.1), biased[:, batch:]], dim=1)
    log_p = similarity - biased.logsumexp(dim=1, keepdim=True)
    terms = weights * log_p
    if name == "reg":
        terms = terms + (log_p.exp() - weights).clamp(min=0).detach() * (weights != 0) * similarity
    active = len(weights) if name == "mulsupcon" else (weights.sum(dim=1) > 0).sum()
    loss: Tensor = -terms.sum() / active
    return loss


def _kmcl_in_a_loop(labels: Tensor, tensors: dict[str, Tensor]) -> Tensor:
    """KMCL with an array over all pairs and classes, and a loop over the anchors."""
    logits, mean, variance, features = (tensors[name] for name in ("logits", "mean", "variance", "features"))
    positive, width = labels.float(), features.shape[1]
    asl: Tensor = loss_library.create("asl", reduction="sum", eps=1e-7)(labels, logits=logits)
    squares = ((features[:, :, None] - mean[:, None]) ** 2 / variance[:, None]).sum(dim=1)
    shares = F.logsigmoid(logits) - squares / 2
    inside = shares.masked_fill(~labels, -math.inf)
    reconstruction = (shares.logsumexp(dim=1) - inside.logsumexp(dim=1)).mean()
    both = variance[:, None] + variance
    log_rho = -width * (mean[:, None] - mean) ** 2 / both / 4
    log_rho = log_rho - width / 2 * (both / (2 * (variance[:, None] * variance).sqrt())).log()
    scores = log_rho.exp() / 0.17
    contrast = logits.new_zeros(())
    for n in range(len(labels)):
        others = torch.arange(len(labels), device=labels.device) != n
        common = positive[others] * positive[n]
        sharing = common.sum(dim=1) > 0
        if not sharing.any():
            continue
        union = ((positive[others] + positive[n]) > 0).sum(dim=1)
        jaccard = common.sum(dim=1) / union
        log_p = scores[n, others] - scores[n, others].logsumexp(dim=0)
        log_terms = jaccard[sharing, None].log() + log_p[sharing]
        contrast = contrast - (common[sharing] * log_terms).sum() / sharing.sum()
    return asl + reconstruction + contrast / len(labels)


def _clml_by_svd(labels: Tensor, features: Tensor) -> Tensor:
    """CLML by one singular value decomposition for each label."""
    value: Tensor = -torch.linalg.svdvals(features).sum()
    for label in range(labels.shape[1]):
        rows = features[labels[:, label]]
        value = value + (torch.linalg.svdvals(rows).sum() if len(rows) else features.new_ones(())).clamp(
            min=1
        )
    return value / len(labels)


def metric_learning(size: Size, device: str) -> dict[str, Step]:
    """``jaccard_supcon`` and SupConLoss of pytorch-metric-learning, which takes one label for an example.

    Nothing where that package is missing.
    """
    if importlib.util.find_spec("pytorch_metric_learning") is None:
        print("pytorch-metric-learning is not installed: its SupConLoss is left out")
        return {}
    from pytorch_metric_learning.losses import SupConLoss  # type: ignore[import-not-found]

    batch, count, _ = size
    classes = torch.randint(count, (batch,), generator=torch.Generator().manual_seed(0)).to(device)
    labels = F.one_hot(classes, count).bool()
    criterion = loss_library.create("jaccard_supcon")
    other = SupConLoss(temperature=0.1)
    tensors = _tensors(("embeddings",), size, device)
    torch.testing.assert_close(criterion(labels, **tensors), other(tensors["embeddings"], classes))
    return {
        "package": _step(lambda: criterion(labels, **tensors), tensors),
        "pytorch-metric-learning": _step(lambda: other(tensors["embeddings"], classes), tensors),
    }
