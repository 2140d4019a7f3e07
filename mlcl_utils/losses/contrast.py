"""The arithmetic that the contrastive losses share.

Five of them have one form, a weighted cross-entropy of a softmax over similarities,

    -(1/A) Σ_i Σ_j w_ij log p_ij,    log p_ij = s_ij/τ - log Σ_{k≠i} b_k exp(s_ik/τ),

and differ only in the weights and in what the anchors i and the candidates j are. :func:`contrast` computes
it, with its gradient in the same pass, for some rows of anchors at a time, so that neither the similarities
nor the weights need ever be held whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlcl_utils.losses.base import INDEX, Examples, Loss, hyperparameter, keywords_of
from mlcl_utils.losses.moving import MovingMeans

BLOCK_BYTES = 2**28  # of one array of (anchors, candidates) above which it is cut into blocks of rows


class ContrastiveLoss(Loss):
    """A loss on the similarities of embeddings; unobserved labels are simply not positive."""

    family = "contrastive"
    temperature: float = hyperparameter(0.1, "divides the similarities", above=0)


@dataclass(frozen=True)
class Problem:
    """What a pairwise loss is about: the arguments of :func:`contrast` that differ from loss to loss.

    Attributes:
        vectors, weights, anchors, total, log_bias, regularise: as :func:`contrast` takes them.
        prototypes: how many of the anchors, the last, are prototypes, not examples of the batch.
    """

    vectors: Tensor
    weights: Callable[[slice], Tensor]
    anchors: int
    total: Tensor | None = None
    log_bias: Tensor | None = None
    regularise: bool = False
    prototypes: int = 0


class PairwiseLoss(ContrastiveLoss):
    """A contrastive loss in the form of :func:`contrast`, which can work in blocks of rows.

    A subclass says what its ``problem(labels, embeddings=..., anchors=...)`` is; the tensors that it takes are the
    keyword arguments of that.
    """

    takes_sparse_labels: ClassVar[bool] = True
    compares_examples: ClassVar[bool] = True
    block: int | None = hyperparameter(
        None, "anchors at a time; none: all of them where the memory allows", least=1, optional=int
    )
    denominator: str = hyperparameter(
        "batch",
        "batch: the sum over the batch's candidates; moving: a moving mean of it for each training example",
        choices=("batch", "moving"),
    )
    gamma: float = hyperparameter(
        0.9, "weight of the newest batch in a moving denominator", above=0, most=1, part_of="moving"
    )
    problem: Callable[..., Problem]

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters; a moving denominator has its state in ``means``."""
        super().__init__(**hyperparameters)
        self.means = MovingMeans() if self.denominator == "moving" else None
        if self.means is not None:
            self.tensors += (INDEX,)

    @classmethod
    def _keywords(cls) -> tuple[str, ...]:
        return keywords_of(cls.problem)

    def compute(self, labels: Tensor, *, index: Tensor | None = None, **given: Any) -> Tensor:
        """The problem's weighted cross-entropy, with the denominators that are asked for."""
        problem = self.problem(labels, **given)
        if self.means is None or index is None:
            self.reported = None
            return contrast(problem, temperature=self.temperature, block=self.block)
        self.means.make_room(index, problem.prototypes)
        own = torch.arange(problem.prototypes, device=index.device)
        rows = torch.cat([index + problem.prototypes, own])
        value, self.reported = moving_contrast(
            problem,
            lambda part, log_mean, active: self._step(rows[part], log_mean, active),
            temperature=self.temperature,
            block=self.block,
        )
        return value

    def _step(self, rows: Tensor, log_mean: Tensor, active: Tensor) -> Tensor:
        assert self.means is not None
        return self.means.step(rows, log_mean, self.gamma, active)

    def expect(self, examples: int) -> None:
        """Make room for the denominators of so many training examples."""
        if self.means is not None:
            self.means.expect(examples)

    @property
    def by_example(self) -> bool:
        """Whether it is a mean over examples: neither prototypes are anchors nor is its value a surrogate."""
        return self.denominator == "batch" and self.anchors_are_examples

    anchors_are_examples: ClassVar[bool] = True

    def examples(self, labels: Tensor, **given: Any) -> Examples:
        """The weighted cross-entropy of each anchor; those without a positive do not count."""
        problem = self.problem(labels, **given)
        values, active = contrast_each(problem, temperature=self.temperature, block=self.block)
        if problem.total is not None:  # the mean is over something else, of which an example may have several
            active = (labels > 0).any(dim=1)
            values = values * (active.sum() / problem.total.clamp(min=1))
        return Examples(values, active)


def unit(vectors: Tensor) -> Tensor:
    """Rows scaled to unit norm; a row of zeros stays zero and passes a finite gradient."""
    rows = vectors / _scale(vectors)
    return rows / _lengths(rows)


@torch.no_grad()
def _scale(vectors: Tensor) -> Tensor:
    """What to divide each row by before its squares are summed, as a column: 1 unless these leave the type's range.

    Squares of float32 are infinite from 1.8e19 on and zero below 1e-23: a row of such numbers would have the norm of
    none, and count as a row of zeros.
    """
    limits = torch.finfo(vectors.dtype)
    largest = torch.linalg.vector_norm(vectors, ord=torch.inf, dim=-1, keepdim=True)
    small = (largest < limits.tiny**0.5 * 1024) & (largest >= limits.tiny)
    scale: Tensor = largest.where(small | (largest > limits.max**0.5 / 1024), 1)
    return scale


def _lengths(vectors: Tensor) -> Tensor:
    """The norms of the rows as a column, 1 for rows of zeros."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return norms.where(norms > 0, 1)


def positives(labels: Tensor, like: Tensor) -> Tensor:
    """The indicator of the positive labels (batch, labels), in the type of ``like``."""
    return (labels > 0).to(like.dtype)


def contrast(problem: Problem, *, temperature: float, block: int | None) -> Tensor:
    """The weighted cross-entropy described at the top of this module.

    Args:
        problem: ``vectors`` (candidates, dim), the candidates, the first of which are the ``anchors``; scaled to unit
            norm here. ``weights`` gives the weights w_ij, not negative, of some rows of anchors as a new array (rows,
            candidates); what it has for self-pairs is ignored, and the arrays are overwritten. ``total``: the number A
            of which the loss is a mean; by default the number of anchors with a positive weight. ``log_bias``
            (candidates,): the logarithms of the b_j; by default all zero. ``regularise``: add
            -(1/A) Σ_ij sg(max(p_ij - w_ij, 0)) [w_ij ≠ 0] s_ij/τ, sg being without gradient, which takes away the part
            of the gradient that pushes positives away.
        temperature: τ.
        block: the number of anchors at a time, by default as many as :data:`BLOCK_BYTES` allows.

    Returns:
        A scalar.
    """
    value, _, gradient = _pass(problem, temperature, block)
    return with_gradient(problem.vectors, value, gradient)


Moving = Callable[[slice, Tensor, Tensor], Tensor]
"""Gives for some rows of anchors, from the logarithms of the means over their candidates and whether they have a
positive, the logarithms of the moving means."""


def moving_contrast(
    problem: Problem, moving: Moving, *, temperature: float, block: int | None
) -> tuple[Tensor, Tensor]:
    """A surrogate, whose gradient has moving means in the place of the batch's denominators, and the batch's loss.

    -(1/A) Σ_i Σ_j w_ij [s_ij/τ - Σ_{k≠i} sg(b_k e^{s_ik/τ} / (B_i u_i)) s_ik/τ] with B_i = Σ_{k≠i} b_k and u_i the
    moving mean of Σ_{k≠i} b_k e^{s_ik/τ} / B_i. With u_i that of the batch alone its gradient is that of
    :func:`contrast`.

    Returns:
        The surrogate, and the value of :func:`contrast` without gradient.
    """
    value, plain, gradient = _pass(problem, temperature, block, moving)
    return with_gradient(problem.vectors, value, gradient), plain


def contrast_each(problem: Problem, *, temperature: float, block: int | None) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each anchor, of which :func:`contrast` is the mean, and which have a positive.

    Returns:
        (anchors,) with gradient, which is computed in another pass over the rows; (anchors,) bool.
    """
    with torch.no_grad():
        candidates = unit(problem.vectors)
        rows: list[Tensor] = []
        active = torch.cat(
            [
                _block(candidates[part] @ candidates.T / temperature, problem, part, values=rows).active
                for part in _parts(problem, candidates, block)
            ]
        )
        values = torch.cat(rows)
    each: Tensor = _Each.apply(problem.vectors, values, problem, temperature, block)
    return each, active


class _Each(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values: Tensor, problem: Problem, temperature: float, block: int | None
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.rest = problem, temperature, block
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        problem, temperature, block = ctx.rest
        alone = dataclasses.replace(problem, vectors=x, total=torch.ones_like(upstream[:1]).squeeze())
        *_, gradient = _pass(alone, temperature, block, scales=upstream, needs_gradient=True)
        return gradient, None, None, None, None


def _parts(problem: Problem, candidates: Tensor, block: int | None) -> Iterator[slice]:
    """The rows of anchors that are worked on at a time."""
    rows = block or max(1, BLOCK_BYTES // (candidates.shape[0] * candidates.element_size()))
    for start in range(0, problem.anchors, rows):
        yield slice(start, min(start + rows, problem.anchors))


def _pass(
    problem: Problem,
    temperature: float,
    block: int | None,
    moving: Moving | None = None,
    scales: Tensor | None = None,
    needs_gradient: bool | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The value, that with the batch's own denominators, and the gradient by the vectors, block by block.

    Args:
        problem, temperature, block: as in :func:`contrast`.
        moving: gives moving denominators.
        scales: (anchors,) factors of the anchors' shares of the gradient.
        needs_gradient: by default where the vectors need one.
    """
    vectors = problem.vectors
    with torch.no_grad():
        scale = _scale(vectors)
        candidates = vectors / scale
        lengths = _lengths(candidates)
        candidates /= lengths
        if needs_gradient is None:
            needs_gradient = vectors.requires_grad
        value = candidates.new_zeros(())
        plain = candidates.new_zeros(())
        count = candidates.new_zeros(())
        gradient = torch.zeros_like(candidates)
        for part in _parts(problem, candidates, block):
            scaled = candidates[part] / temperature
            found = _block(scaled @ candidates.T, problem, part, moving)
            value += found.value
            plain += found.plain
            count += found.active.sum()
            if not needs_gradient:
                continue
            slope = found.slope if scales is None else found.slope * scales[part, None]
            if part.stop - part.start == len(
                candidates
            ):  # each pair is there twice: one product instead of two
                gradient.addmm_(slope + slope.T, scaled)
            else:
                gradient[part].addmm_(slope, candidates, alpha=1 / temperature)
                gradient.addmm_(slope.T, scaled)
        mean = 1 / (count if problem.total is None else problem.total).clamp(min=1)
        # by the unit vectors; along them there is nothing to gain
        gradient -= candidates * (gradient * candidates).sum(dim=1, keepdim=True)
        gradient *= mean / lengths / scale
    return value * mean, plain * mean, gradient


class _Block(NamedTuple):
    """What a block of rows gives: the value, that by the batch's own denominators, which rows have a positive, and the
    gradient by the similarities."""

    value: Tensor
    plain: Tensor
    active: Tensor
    slope: Tensor


def _block(
    similarity: Tensor,
    problem: Problem,
    rows: slice,
    moving: Moving | None = None,
    values: list[Tensor] | None = None,
) -> _Block:
    """One block of rows of anchors.

    Args:
        similarity: (rows, candidates) s_ij/τ.
        problem: see :func:`contrast`.
        rows: of the anchors.
        moving: gives moving denominators.
        values: takes the values of the rows, if it is there.
    """
    start, log_bias = rows.start, problem.log_bias
    weight = problem.weights(rows)
    weight.diagonal(offset=start).zero_()
    mass = weight.sum(dim=1, keepdim=True)
    similarity.diagonal(offset=start).fill_(-torch.inf)
    logits = similarity if log_bias is None else similarity + log_bias
    # finite, so that an anchor without candidates does not turn into inf - inf
    highest = logits.amax(dim=1, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)
    exponentials = (logits - highest).exp_()
    normaliser = exponentials.sum(dim=1, keepdim=True).clamp(min=torch.finfo(logits.dtype).tiny)
    active = mass.squeeze(1) > 0
    log_total = highest + normaliser.log()
    entropy = mass * log_total
    value = entropy.sum()
    similarity.diagonal(offset=start).zero_()
    value -= torch.dot(weight.flatten(), similarity.flatten())
    plain = value
    if values is not None:
        values.append(entropy.squeeze(1) - (weight * similarity).sum(dim=1))
    if moving is not None:
        if problem.regularise:
            excess = (exponentials * (mass / normaliser) - weight).clamp_(min=0).mul_(weight.sign())
            plain = value - torch.dot(excess.flatten(), similarity.flatten())
        log_count = _log_count(similarity, log_bias, start)
        log_mean = (log_total - log_count).squeeze(1)
        normaliser = (moving(rows, log_mean, active)[:, None] + log_count - highest).exp()
    slope = exponentials.mul_(mass / normaliser)  # mass · p: none for an anchor without positives
    if moving is not None:
        value = torch.dot((slope - weight).flatten(), similarity.flatten())
    slope -= weight
    if problem.regularise:
        excess = slope.clamp(min=0).mul_(weight.sign_())
        value -= torch.dot(excess.flatten(), similarity.flatten())
        slope -= excess
    return _Block(value, plain, active, slope)


def _log_count(similarity: Tensor, log_bias: Tensor | None, start: int) -> Tensor:
    """The logarithms (rows, 1) of the sums of the candidates' b_k without that of the anchor itself."""
    rows, candidates = similarity.shape
    bias = similarity.new_ones(candidates) if log_bias is None else log_bias.exp()
    own = bias[start : start + rows]
    return (bias.sum() - own).clamp(min=torch.finfo(bias.dtype).tiny).log()[:, None]


def with_gradient(x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """A scalar whose gradient with respect to ``x`` is already known.

    Args:
        x: of any shape.
        value: the scalar.
        gradient: of the scalar, in the shape of ``x``.
    """
    result: Tensor = _WithGradient.apply(x, value, gradient)
    return result


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None
