"""The ICNN loss of Méndez-Ruiz et al. 2023: whether nearest neighbours are alike, and nearer than the others."""

from __future__ import annotations

import torch
from torch import Tensor

from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import positives
from mlcl_utils.losses.pairs import distances, relations

_SMALL = 1e-7  # added to denominators, as in the released code


class ICNN(Loss):
    """Alike neighbours come nearer, in units of the nearest stranger, and unlike neighbours go away."""

    name = "icnn"
    family = "contrastive"
    paper = "Méndez-Ruiz et al., SuSana Distancia is all you need, arXiv 2305.09062"
    version = 1

    neighbours: int = hyperparameter(4, "nearest neighbours that count", least=1)
    horizon: int | None = hyperparameter(
        None,
        "nearest examples among which the nearest stranger is; none: neighbours + 1",
        least=1,
        optional=int,
    )

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters.

        Raises:
            ValueError: besides what others refuse, a horizon below the neighbours.
        """
        super().__init__(**hyperparameters)
        if self.horizon is not None and self.horizon < self.neighbours:
            raise ValueError(f"horizon must be at least neighbours, was {self.horizon} and {self.neighbours}")

    def compute(self, labels: Tensor, *, embeddings: Tensor) -> Tensor:
        """-log of the score of the examples with a label; 0 with fewer than three of them.

        The score is that of :func:`mlcl_utils.metrics.icnn_score`: the mean of the share of alike neighbours, which has
        no gradient, and the mean of two parts, of the distances of the alike and of the unlike.
        """
        if len(embeddings) < 3:
            return embeddings.sum() * 0
        positive = positives(labels, embeddings)
        labelled = positive.any(dim=1)
        # numbers of examples are tensors: a GPU would be waited for if they were Python's
        number = labelled.sum()
        few = self.neighbours + 2 >= number  # then all others but one count, and are taken to be alike
        k = torch.where(few, number - 2, self.neighbours)
        reach = k + 1 if self.horizon is None else torch.maximum((number - 1).clamp(max=self.horizon), k)
        distance, alike = self._nearest(embeddings, positive, labelled)
        place = torch.arange(distance.shape[1], device=distance.device)
        seen = (place < reach) & labelled[:, None] & distance.isfinite()
        kept = seen & (place < k)
        distance = distance.where(seen, 0)

        strange = seen & (alike == 0)
        stranger = distance.masked_fill(~strange, torch.inf).amin(dim=1, keepdim=True)
        found = strange.any(dim=1, keepdim=True)
        relative = (distance / (stranger.where(found, 1) + _SMALL)).where(kept & found, 0)
        relative = relative / relative.amax(dim=1, keepdim=True).clamp(min=1)
        alike = alike.where(kept, 0)
        same = alike.sum(dim=1)
        near = ((alike * relative).sum(dim=1) / (same + _SMALL)).sum()
        near_score = 1 - near / ((same > 0).sum().to(near.dtype) + _SMALL)

        unlike = kept & (alike == 0)
        farthest = distance.where(unlike, 0).amax()
        others = ((1 - alike) * distance).where(kept, 0).sum(dim=1) / (farthest + _SMALL)
        lacking = (k - same).where(labelled, 0)
        far = (others / (lacking + _SMALL)).sum() / ((lacking > 0).sum().to(near.dtype) + _SMALL)
        far_score = far.where(unlike.any(), 1)

        share = (same.sum() / (k * number).clamp(min=1)).where(~few, 1)
        score = ((near_score + far_score) / 2 + share) / 2
        value = -score.clamp(min=torch.finfo(score.dtype).tiny).log()
        return value.where(number >= 3, embeddings.sum() * 0)

    def _nearest(self, embeddings: Tensor, positive: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
        """Distances of the nearest others with a label, in order, and their Jaccard indices; infinite where none is."""
        index, _ = relations(positive)
        between = distances(embeddings, embeddings)
        own = torch.eye(len(between), dtype=torch.bool, device=between.device)
        between = between.masked_fill(own | ~labelled, torch.inf)
        count = self.neighbours + 1 if self.horizon is None else self.horizon
        nearest = between.topk(min(count, len(between) - 1), dim=1, largest=False)
        return nearest.values, index.gather(1, nearest.indices)
