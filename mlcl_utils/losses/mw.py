"""The Mann-Whitney loss of Sheikholeslami et al. 2025: positives of a batch against its negatives, pair by pair."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mlcl_utils.losses.base import IGNORE_UNOBSERVED, Examples, Loss, hyperparameter, softplus
from mlcl_utils.losses.contrast import ContrastiveLoss, unit, with_gradient

BLOCK_BYTES = 2**21  # of one array of (positives, negatives): what stays in a processor's cache


class MannWhitney:
    """Part of a loss that compares scores of positives with scores of negatives, from whichever rows they are."""

    temperature: float
    pool: str = hyperparameter(
        "all",
        "whose negatives a positive is compared with: all of the batch, those of its label, or those of its example",
        choices=("all", "labels", "examples"),
    )
    normalise: str = hyperparameter(
        "pairs",
        "pairs: mean over the pairs of a group; negatives_summed: mean over its positives of the sum over negatives",
        choices=("pairs", "negatives_summed"),
    )
    negatives: int | None = hyperparameter(
        None,
        "at most so many negatives of a group, drawn anew in each call; none: all",
        least=1,
        optional=int,
    )
    ignore_unobserved: bool = IGNORE_UNOBSERVED

    @property
    def by_example(self) -> bool:
        """Whether the groups are the examples."""
        return self.pool == "examples"

    def of_scores(self, labels: Tensor, scores: Tensor) -> Tensor:
        """The loss of scores (batch, labels): mean over the groups with positives and negatives."""
        values, counted, gradient = self._groups(labels, scores)
        number = counted.sum().clamp(min=1)
        return with_gradient(scores, values.sum() / number, gradient / number)

    def examples_of_scores(self, labels: Tensor, scores: Tensor) -> Examples:
        """The values of the rows of scores; those with positives and negatives count."""
        values, counted, gradient = self._groups(labels, scores)
        slopes = (scores - scores.detach()) * gradient  # zero, with the gradient of each row
        return Examples(values + slopes.sum(dim=1), counted)

    @torch.no_grad()
    def _groups(self, labels: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The values (groups,), which groups count, and the gradient of their sum by the scores."""
        positive = labels > 0
        negative = ~positive & (labels >= 0) if self.ignore_unobserved else ~positive
        turned = self.pool == "labels"
        shape = (1, -1) if self.pool == "all" else (labels.shape[1 if turned else 0], -1)
        rows, here, against = (
            (each.T if turned else each).reshape(shape) for each in (scores, positive, negative)
        )
        number, every = here.sum(dim=1), against.sum(dim=1)
        against = self._drawn(against)
        rivals = against.sum(dim=1)
        counted = (number > 0) & (rivals > 0)
        weight = 1 / number.clamp(min=1).to(rows.dtype)
        if self.normalise == "pairs":
            weight /= rivals.clamp(min=1)
        elif self.negatives is not None:  # those that are drawn stand for all
            weight *= every / rivals.clamp(min=1)
        pairs = _pairs(rows / self.temperature, here, against)
        values, gradient = pairs.values * weight, pairs.slopes * (weight[:, None] / self.temperature)
        gradient = gradient.reshape(scores.T.shape if turned else scores.shape)
        return values, counted, gradient.T if turned else gradient

    def _drawn(self, against: Tensor) -> Tensor:
        """Which of the negatives (groups, entries) of each group are compared."""
        if self.negatives is None or self.negatives >= against.shape[1]:
            return against
        keys = torch.rand(against.shape, device=against.device).masked_fill(~against, -1)
        chosen = keys.topk(self.negatives, dim=1).indices
        return against & torch.zeros_like(against).scatter_(1, chosen, True)


class _Pairs(NamedTuple):
    """Of each row the sum over its pairs of the logistic loss, (rows,), and its derivatives, (rows, columns)."""

    values: Tensor
    slopes: Tensor


def _pairs(scores: Tensor, positive: Tensor, negative: Tensor) -> _Pairs:
    """Σ_p Σ_n log(1 + e^{s_n - s_p}) in each row, and its gradient, for some positives at a time.

    On the CPU there is a line of negatives for each positive. Elsewhere, where finding the positives would wait for the
    device, there is one for each entry.

    Args:
        scores: (rows, columns).
        positive, negative: bool, of the same shape.
    """
    looks = scores.device.type == "cpu" and not torch.compiler.is_compiling()
    row, column = positive.nonzero(as_tuple=True) if looks else _everywhere(scores)
    own, kept = scores[row, column], positive[row, column]
    one = len(scores) == 1  # the negatives are the same for all positives, and are picked out once
    if one and looks:
        columns = negative[0].nonzero().squeeze(1)
        rivals = scores[:, columns]
    else:
        columns = None
        rivals = scores.masked_fill(~negative, -torch.inf)
    values, slopes = torch.zeros_like(scores[:, 0]), torch.zeros_like(rivals)
    of_own = torch.empty_like(own)
    step = max(1, BLOCK_BYTES // max(1, rivals.shape[1] * scores.element_size()))
    for start in range(0, len(own), step):
        part = slice(start, start + step)
        gap = (rivals if one else rivals[row[part]]) - own[part, None]
        value, slope = _logistic(gap)
        value, slope = value * kept[part], slope.mul_(kept[part, None])
        of_own[part] = slope.sum(dim=1)
        if one:
            values += value.sum()
            slopes += slope.sum(dim=0)
        else:
            values.index_add_(0, row[part], value)
            slopes.index_add_(0, row[part], slope)
    if columns is not None:
        slopes = torch.zeros_like(scores).index_copy_(1, columns, slopes)
    return _Pairs(values, slopes.index_put_((row, column), -of_own, accumulate=True))


def _logistic(gap: Tensor) -> tuple[Tensor, Tensor]:
    """The sums over columns of log(1 + e^gap), and its derivatives, entry by entry."""
    return softplus(gap).sum(dim=1), gap.sigmoid_()


def _everywhere(scores: Tensor) -> tuple[Tensor, ...]:
    """Row and column of every entry."""
    rows, columns = (torch.arange(size, device=scores.device) for size in scores.shape)
    grid = torch.meshgrid(rows, columns, indexing="ij")
    return tuple(each.flatten() for each in grid)


class MW(MannWhitney, ContrastiveLoss):
    """Every similarity of a positive is to exceed every one of a negative: one threshold for all rows."""

    name = "mw"
    paper = (
        "Sheikholeslami et al., arXiv 2510.00137, eq. 3, with the temperature of lemma 2; the multi-label pools are "
        "this project's"
    )
    version = 1

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """The loss of the similarities of embeddings and prototypes."""
        return self.of_scores(labels, unit(embeddings) @ unit(prototypes).T)

    def examples(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Examples:
        """The values of the examples, where each is a group."""
        return self.examples_of_scores(labels, unit(embeddings) @ unit(prototypes).T)


class MWLogits(MannWhitney, Loss):
    """The Mann-Whitney loss on logits: every logit of a positive is to exceed every one of a negative."""

    name = "mw_logits"
    family = "classification"
    paper = MW.paper
    version = 1

    temperature: float = hyperparameter(1.0, "divides the logits", above=0)

    def compute(self, labels: Tensor, *, logits: Tensor) -> Tensor:
        """The loss of the logits."""
        return self.of_scores(labels, logits)

    def examples(self, labels: Tensor, *, logits: Tensor) -> Examples:
        """The values of the examples, where each is a group."""
        return self.examples_of_scores(labels, logits)
