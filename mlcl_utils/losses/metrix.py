"""Metrix: contrast with mixtures of examples, which are positive by degrees."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mlcl_utils.losses import contrast
from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import ContrastiveLoss, positives, unit
from mlcl_utils.losses.pairs import relations

_PAPER = (
    "Venkataramanan, Psomas et al., It Takes Two to Tango: Mixup for Deep Metric Learning, ICLR 2022, "
    "arXiv 2106.04990"
)
_SMALLEST = 1e-12  # of what stands under a square root
ALPHA = hyperparameter(
    2.0, "of the distribution Beta(alpha, alpha) that the share of a mixture is drawn from", above=0
)
MIXING = hyperparameter(
    None, "share of the first partner in a mixture; none: drawn at each step", least=0, most=1, optional=float
)


class Metrix(Loss):
    """Distances to positives shrink and those to negatives grow to a margin, for examples and mixtures of two.

    An example without a label is no anchor, but a negative of all.
    """

    name = "metrix"
    family = "contrastive"
    paper = _PAPER
    version = 1

    margin: float = hyperparameter(0.5, "distance that negatives are to reach", above=0, most=2)
    weight: float = hyperparameter(0.4, "weight of the mixtures", least=0)
    alpha: float = ALPHA
    mixing: float | None = MIXING
    mode: str = hyperparameter(
        "positive_negative",
        "what is mixed with a negative of an anchor: a positive of it; or, if it has none, the anchor itself",
        choices=("positive_negative", "anchor_negative"),
    )
    pairing: str = hyperparameter(
        "sampled",
        "sampled: a positive is mixed with the nearest negatives of its anchor; all: with every one",
        choices=("sampled", "all"),
    )
    negatives: int = hyperparameter(3, "how many nearest negatives, where they are sampled", least=1)

    of_own_mixtures = ("alpha", "mixing", "pairing", "negatives")

    def compute(
        self,
        labels: Tensor,
        *,
        embeddings: Tensor,
        mixed: Tensor | None = None,
        partners: Tensor | None = None,
        mixing: Tensor | None = None,
    ) -> Tensor:
        """The loss of the pairs, and with its weight that of the mixtures."""
        terms = self.terms(labels, embeddings=embeddings, mixed=mixed, partners=partners, mixing=mixing)
        return terms["clean"] + self.weight * terms["mixed"]

    def terms(
        self,
        labels: Tensor,
        *,
        embeddings: Tensor,
        mixed: Tensor | None = None,
        partners: Tensor | None = None,
        mixing: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The two terms by name: ``clean`` of the pairs and ``mixed``, not yet weighted, of the mixtures.

        Mixtures of the embeddings are made here, unless such are given as were made before the embeddings.
        """
        positive = positives(labels, embeddings)
        index, _ = relations(positive)
        labelled = positive.any(dim=1, keepdim=True)
        pairs = labelled & ~torch.eye(len(index), dtype=torch.bool, device=index.device)
        vectors = unit(embeddings)
        similarity = vectors @ vectors.T
        negative = pairs & (index == 0)
        if mixed is None or partners is None or mixing is None:
            mixtures = self._mixtures(similarity, index, negative, share(self, embeddings))
        else:
            mixtures = self._of_given(vectors @ unit(mixed).T, index, negative, partners, mixing)
        return {
            "clean": self._means([_pulled_and_pushed(similarity, index, pairs, self.margin)]),
            "mixed": self._means(mixtures),
        }

    @staticmethod
    def _means(parts: Iterator[Tensor] | list[Tensor]) -> Tensor:
        """The mean over what costs something of both kinds, from sums and numbers of several parts."""
        pulled, count_pulled, pushed, count_pushed = torch.stack(list(parts)).sum(dim=0).unbind()
        return pulled / count_pulled.detach().clamp(min=1) + pushed / count_pushed.detach().clamp(min=1)

    def _of_given(
        self, similarity: Tensor, index: Tensor, negative: Tensor, partners: Tensor, mixing: Tensor
    ) -> Iterator[Tensor]:
        """What :func:`_pulled_and_pushed` gives of mixtures of each example j with its partner π(j).

        They count for the anchors to which one of the two is a positive and the other a negative, or, by ``mode``, for
        those without a positive that are one of the two themselves, where the other is a negative.
        """
        positive = index > 0
        if self.mode == "anchor_negative":
            own = torch.eye(len(index), dtype=torch.bool, device=index.device)
            positive = own & ~positive.any(dim=1, keepdim=True)
            index = positive.to(index.dtype)
        first, second = positive & negative[:, partners], negative & positive[:, partners]
        degree = mixing * index + (1 - mixing) * index[:, partners]
        yield _pulled_and_pushed(similarity, degree, first | second, self.margin)

    def _mixtures(
        self, similarity: Tensor, index: Tensor, negative: Tensor, mixing: Tensor
    ) -> Iterator[Tensor]:
        """What :func:`_pulled_and_pushed` gives of the mixtures, for some anchors at a time."""
        if self.mode == "anchor_negative":
            alone = ~(index > 0).any(dim=1, keepdim=True)
            mixed = (mixing + (1 - mixing) * similarity) / _length(similarity, mixing)
            yield _pulled_and_pushed(mixed, mixing.expand_as(mixed), negative & alone, self.margin)
            return
        batch = len(similarity)
        if self.pairing == "all":
            chosen = None
            size = batch
        else:
            size = min(self.negatives, batch)
            nearest = similarity.detach().masked_fill(~negative, -torch.inf).topk(size, dim=1)
            chosen = nearest.indices
        rows = max(1, contrast.BLOCK_BYTES // (batch * size * similarity.element_size()))
        for start in range(0, batch, rows):
            part = slice(start, start + rows)
            given = (similarity, index, negative, mixing, chosen, part)
            if rows >= batch:
                yield self._of_anchors(*given)
            else:
                result: Tensor = checkpoint(self._of_anchors, *given, use_reentrant=False)
                yield result

    def _of_anchors(
        self,
        similarity: Tensor,
        index: Tensor,
        negative: Tensor,
        mixing: Tensor,
        chosen: Tensor | None,
        part: slice,
    ) -> Tensor:
        """The mixtures (anchor, positive, negative) of some anchors, from the similarities alone."""
        own, against = similarity[part], negative[part]
        if chosen is None:
            to_negative, between = own[:, None, :], similarity[None]
        else:
            places = chosen[part]
            to_negative = own.gather(1, places)[:, None, :]
            between = similarity[places].transpose(1, 2)
            against = against.gather(1, places)
        mixed = (mixing * own[:, :, None] + (1 - mixing) * to_negative) / _length(between, mixing)
        degree = mixing * index[part][:, :, None]
        counted = (degree > 0) & against[:, None, :]
        return _pulled_and_pushed(mixed, degree, counted, self.margin)


class MetrixSupCon(ContrastiveLoss):
    """Supervised contrast with mixtures of two examples as candidates, whose label sets are mixed as they are."""

    name = "metrix_supcon"
    paper = f"{_PAPER}, for sets of labels and a softmax"
    version = 1

    alpha: float = ALPHA
    mixing: float | None = MIXING
    of_own_mixtures = ("alpha", "mixing")

    def compute(
        self,
        labels: Tensor,
        *,
        embeddings: Tensor,
        mixed: Tensor | None = None,
        partners: Tensor | None = None,
        mixing: Tensor | None = None,
    ) -> Tensor:
        """Mean over the anchors with a positive; every example is mixed with one other, drawn at random.

        Mixtures of the embeddings are made here, unless such are given as were made before the embeddings.
        """
        if len(embeddings) < 2:
            return embeddings.sum() * 0
        if partners is None or mixing is None:
            partners = random_partners(torch.rand(len(embeddings), device=embeddings.device))
            mixing = share(self, embeddings)
        return self.of_mixtures(labels, embeddings, partners, mixing, mixed)

    def of_mixtures(
        self,
        labels: Tensor,
        embeddings: Tensor,
        partners: Tensor,
        mixing: Tensor,
        mixed: Tensor | None = None,
    ) -> Tensor:
        """The loss with the candidates m_j = λ z_j + (1-λ) z_π(j), scaled to unit norm.

        Args:
            labels: (batch, labels).
            embeddings: (batch, dim).
            partners: (batch,) π, whole numbers.
            mixing: λ, a scalar.
            mixed: (batch, dim) what to take for the candidates; not yet scaled.
        """
        index, _ = relations(positives(labels, embeddings))
        vectors = unit(embeddings)
        candidates = unit(mixing * vectors + (1 - mixing) * vectors[partners] if mixed is None else mixed)
        own = torch.arange(len(vectors), device=vectors.device)
        allowed = (own[:, None] != own) & (partners != own[:, None])
        weights = (mixing * index + (1 - mixing) * index[:, partners]) * allowed
        mass = weights.sum(dim=1)
        logits = (vectors @ candidates.T / self.temperature).masked_fill(
            ~allowed, torch.finfo(vectors.dtype).min / 4
        )
        attracted = (weights * logits).sum(dim=1) / mass.clamp(min=torch.finfo(mass.dtype).tiny)
        active = mass > 0
        return (logits.logsumexp(dim=1) - attracted).where(active, 0).sum() / active.sum().clamp(min=1)


def share(loss: Metrix | MetrixSupCon, like: Tensor) -> Tensor:
    """The share λ of the first partner: one for the whole batch, given or drawn from Beta(alpha, alpha)."""
    if loss.mixing is not None:
        return like.new_full((), loss.mixing)
    return drawn_share(like.new_full((2,), loss.alpha))


def drawn_share(alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A draw from Beta(alpha[0], alpha[1]); from torch's own generator by default."""
    first, second = torch._standard_gamma(alpha, generator).unbind()
    return first / (first + second).clamp(min=torch.finfo(alpha.dtype).tiny)


def random_partners(keys: Tensor) -> Tensor:
    """A permutation (n,) of n examples in one cycle, so that with two or more none is its own partner.

    Args:
        keys: (n,) random numbers, whose order decides.
    """
    order = keys.argsort()
    return torch.empty_like(order).scatter(0, order, order.roll(1))


def _length(between: Tensor, mixing: Tensor) -> Tensor:
    """The length of a mixture of two unit vectors of some cosine."""
    squares = mixing**2 + (1 - mixing) ** 2 + 2 * mixing * (1 - mixing) * between
    return squares.clamp(min=_SMALLEST).sqrt()


def _pulled_and_pushed(similarity: Tensor, degree: Tensor, counted: Tensor, margin: float) -> Tensor:
    """Sums and numbers of the entries of tD and of (1-t)[m - D]₊ that are above zero, as a tensor of four.

    Args:
        similarity: cosines, of which D = √(2 - 2s) is the distance of unit vectors.
        degree: t, how positive each pair is.
        counted: which pairs count.
        margin: m.
    """
    distance = (2 - 2 * similarity).clamp(min=_SMALLEST).sqrt()
    pulled = (degree * distance).where(counted, 0)
    pushed = ((1 - degree) * F.relu(margin - distance)).where(counted, 0)
    numbers = [(each > 0).sum().to(each.dtype) for each in (pulled, pushed)]
    return torch.stack([pulled.sum(), numbers[0], pushed.sum(), numbers[1]])
