"""Losses on the signal-to-noise distance of Yuan et al. 2019, in which an anchor is the signal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import positives, unit
from mlcl_utils.losses.pairs import nonzero_mean, relations

_CONSTANT = 1e-12  # share of a row's square that is its variance, below which it counts as constant


class SNR(Loss):
    """A loss on d_ij = Var(z_j - z_i) / Var(z_i), the variances being over the dimensions."""

    family = "contrastive"
    paper = (
        "Yuan et al., Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric Learning, CVPR 2019, "
        "arXiv 1904.02616"
    )

    normalise: bool = hyperparameter(
        False, "whether embeddings are scaled to unit norm first, which leaves little but their cosines"
    )

    def taken(self, embeddings: Tensor) -> Tensor:
        """The embeddings, scaled to unit norm where that is asked for."""
        return unit(embeddings) if self.normalise else embeddings

    @staticmethod
    def pairs(labels: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distances, Jaccard indices and which pairs are negative, each (batch, batch) with the anchors as rows.

        An embedding that is the same in all dimensions is no anchor: it is no signal. A distance that cannot be told
        from rounding is 0.
        """
        centred = embeddings - embeddings.mean(dim=1, keepdim=True)
        squares = centred.square().sum(dim=1)
        varies = squares > _CONSTANT * embeddings.square().sum(dim=1)
        signal = squares.where(varies, 1)[:, None]
        ratio = squares / signal
        distance = 1 + ratio - 2 * (centred @ centred.T) / signal
        rounding = 64 * torch.finfo(distance.dtype).eps * (1 + ratio.detach())
        distance = distance.where((distance > rounding) & varies[:, None], 0)
        index, negative = relations(positives(labels, embeddings))
        return distance, index * varies[:, None], negative & varies[:, None]


class SNRContrastive(SNR):
    """Distances of pairs that share labels fall to one margin, and those of others rise to another."""

    name = "snr_contrastive"
    version = 1

    positive_margin: float = hyperparameter(0.0, "distance that positives are to reach", least=0)
    negative_margin: float = hyperparameter(1.0, "distance that negatives are to exceed", above=0)

    def compute(self, labels: Tensor, *, embeddings: Tensor) -> Tensor:
        """Over the pairs that cost something: the mean of the positives, by the Jaccard index, and of the negatives."""
        distance, index, negative = self.pairs(labels, self.taken(embeddings))
        pulled = F.relu(distance - self.positive_margin)
        active = index * (pulled > 0)
        pushed = F.relu(self.negative_margin - distance) * negative
        tiny = torch.finfo(active.dtype).tiny
        return (active * pulled).sum() / active.sum().clamp(min=tiny) + nonzero_mean(pushed)


class SNRTriplet(SNR):
    """An anchor is nearer to an example that shares labels than to one that shares none, by a margin."""

    name = "snr_triplet"
    version = 1

    margin: float = hyperparameter(0.2, "by which it is to be nearer", least=0)
    regularisation: float = hyperparameter(
        0.005, "weight of the sums over the dimensions, which are to be near 0", least=0
    )

    def compute(self, labels: Tensor, *, embeddings: Tensor) -> Tensor:
        """The mean over the triplets that cost something, by the Jaccard index, plus the weighted mean of |Σ_k z_ik|.

        The latter is over the anchors of all triplets. Sums over an anchor's negatives follow from their order.
        """
        vectors = self.taken(embeddings)
        distance, index, negative = self.pairs(labels, vectors)
        # [t - d_n]₊ summed over the negatives n, for t = d_p + margin: those before t in ascending order
        ascending = distance.masked_fill(~negative, torch.inf).sort(dim=1).values
        wanted = distance + self.margin
        number = torch.searchsorted(ascending.detach(), wanted.detach())
        sums = F.pad(ascending.where(ascending < torch.inf, 0).cumsum(dim=1), (1, 0))
        hinges = number * wanted - sums.gather(1, number)
        weight = (index * number).sum()
        triplets = (index > 0).sum(dim=1) * negative.sum(dim=1)
        levels = (triplets * vectors.sum(dim=1).abs()).sum() / triplets.sum().clamp(min=1)
        violated = (index * hinges).sum() / weight.clamp(min=torch.finfo(weight.dtype).tiny)
        return violated + self.regularisation * levels
