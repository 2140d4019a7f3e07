"""UNPG: a softmax over prototypes with the batch's negative pairs in every denominator."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlcl_utils.losses.base import Examples, Loss, hyperparameter
from mlcl_utils.losses.contrast import positives, unit
from mlcl_utils.losses.pairs import logsumexp, relations

_LARGEST = 1 - 1e-7  # cosine whose angle is taken: the slope of the angle is infinite at 1


class UNPG(Loss):
    """Each example is drawn to the prototypes of its labels, against the other prototypes and a pool of pairs."""

    name = "unpg"
    family = "contrastive"
    paper = (
        "Jung et al., Unified Negative Pair Generation toward Well-discriminative Feature Space for Face Recognition, "
        "arXiv 2203.11593"
    )
    version = 1
    compares_examples = True

    scale: float = hyperparameter(64.0, "multiplies the cosines; 1/temperature", above=0)
    margin: float = hyperparameter(
        0.5, "taken from the cosine, or added to the angle, of a positive", least=0
    )
    kind: str = hyperparameter(
        "cosine",
        "what the margin belongs to: cosine as in CosFace, angle as in ArcFace",
        choices=("cosine", "angle"),
    )
    whisker: float | None = hyperparameter(
        1.5,
        "interquartile ranges beyond the quartiles at which pairs leave the pool; none: all stay",
        least=0,
        optional=float,
    )
    pool: bool = hyperparameter(True, "whether negative pairs of examples are in the denominators")

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Mean over the examples with a label."""
        each = self.examples(labels, embeddings=embeddings, prototypes=prototypes)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Examples:
        """The terms of the mean: that over an example's labels of softplus(B_i - s f(c_il)).

        The pool is one number for the whole batch, A = log Σ_u e^{su}, so that B_i is a sum of two exponentials: over
        the prototypes of labels that i lacks, and A.
        """
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)
        vectors = unit(embeddings)
        cosines = vectors @ unit(prototypes).T
        against = logsumexp(self.scale * cosines, positive == 0, dim=1)
        if self.pool and len(vectors) > 1:
            similarity = vectors @ vectors.T
            pooled = logsumexp(self.scale * similarity, self._pool(similarity, positive), dim=(0, 1))
            against = torch.logaddexp(against, pooled)
        entries = positive * F.softplus(against[:, None] - self.scale * self._lowered(cosines))
        return Examples(entries.sum(dim=1) / sizes.clamp(min=1), sizes > 0)

    def _lowered(self, cosines: Tensor) -> Tensor:
        """The cosines of positives, less the margin."""
        if self.kind == "cosine":
            return cosines - self.margin
        return torch.cos(torch.arccos(cosines.clamp(-_LARGEST, _LARGEST)) + self.margin)

    @torch.no_grad()
    def _pool(self, similarity: Tensor, positive: Tensor) -> Tensor:
        """Which pairs i < j are in the pool: negative ones whose cosine is no outlier among them."""
        negative = relations(positive)[1].triu(diagonal=1)
        if self.whisker is None:
            return negative
        batch = len(similarity)
        rows, columns = torch.triu_indices(batch, batch, offset=1, device=similarity.device)
        upper = similarity[rows, columns].masked_fill(~negative[rows, columns], torch.inf)
        count = negative.sum()
        # positions that depend on the labels: gathered, since a GPU would be waited for if they were indices
        quartiles = upper.sort().values.gather(
            0, torch.stack([count // 4, 3 * count // 4]).clamp(max=len(upper) - 1)
        )
        low, high = quartiles.unbind()
        reach = self.whisker * (high - low)
        return negative & (similarity >= low - reach) & (similarity <= high + reach)
