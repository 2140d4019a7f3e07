"""The Poincaré ball: its logits by gyroplanes, its distance, and the losses of Hyp-OC for sets of labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlcl_utils.losses.base import Examples, Loss, hyperparameter
from mlcl_utils.losses.contrast import positives
from mlcl_utils.losses.pairs import relations

_EDGE = 1 - 1e-3  # how far out, as a share of the ball's radius, a point may lie


def into_ball(vectors: Tensor, curvature: float, radius: float | None = None) -> Tensor:
    """The points exp₀(v) of the ball of some curvature, of vectors that are first cut to a length.

    Args:
        vectors: (n, dim), tangent at the centre.
        curvature: c at least 0; the ball has radius 1/√c, and with 0 it is the flat space.
        radius: the largest length of a vector; None for any.
    """
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    lengths = norms.where(norms > 0, 1)
    cut = lengths if radius is None else lengths.clamp(max=radius)
    if curvature > 0:
        root = math.sqrt(curvature)
        cut = torch.tanh(root * cut).clamp(max=_EDGE) / root
    # at the centre the map is the identity, and so is its slope
    factor: Tensor = (cut / lengths).where(norms > 0, 1)
    return vectors * factor


def gyroplane_logits(points: Tensor, offsets: Tensor, normals: Tensor, curvature: float) -> Tensor:
    """Signed and scaled distances of points to one hyperplane of the ball for each label.

    (2‖a‖/√c) asinh(2√c ⟨-p ⊕ x, a⟩ / (‖a‖ (1 - c‖-p ⊕ x‖²))), which with c → 0 becomes 4⟨x - p, a⟩. Worked out, the
    denominator of the Möbius addition ⊕ cancels, and what is left are three products of matrices.

    Args:
        points: (n, dim) x, in the ball.
        offsets: (labels, dim) tangents at the centre whose exp₀ are the points p on the planes.
        normals: (labels, dim) a.
        curvature: c at least 0.
    """
    on_planes = into_ball(offsets, curvature)
    along = points @ normals.T
    own: Tensor = (on_planes * normals).sum(dim=1)
    if curvature == 0:
        flat: Tensor = 4 * (along - own)
        return flat
    squares = points.square().sum(dim=1, keepdim=True)
    inside = 1 - curvature * on_planes.square().sum(dim=1)
    alpha = 1 - 2 * curvature * (points @ on_planes.T) + curvature * squares
    norms: Tensor = torch.linalg.vector_norm(normals, dim=1)
    lengths = norms.where(norms > 0, 1)
    sine = (inside * along - alpha * own) / (lengths * inside * (1 - curvature * squares))
    root = math.sqrt(curvature)
    distance: Tensor = torch.asinh(2 * root * sine)
    return 2 / root * norms * distance


def ball_distance(
    squares: Tensor, left: Tensor, right: Tensor, curvature: float, inverse: str = "artanh"
) -> Tensor:
    """The distances (2/√c) artanh(√c ‖-x ⊕ y‖) of points of the ball, 0 with a gradient of zero where they coincide.

    Args:
        squares: ‖x - y‖², of any shape.
        left: ‖x‖², of a shape that goes with it.
        right: ‖y‖², likewise.
        curvature: c above 0.
        inverse: ``arctan`` puts arctan in place of artanh, as the released code does.
    """
    ratio = 2 * curvature * squares / ((1 - curvature * left) * (1 - curvature * right))
    apart = ratio > 0
    ratio = ratio.where(apart, 1)
    if inverse == "artanh":
        angle = torch.log1p(ratio + (ratio * (ratio + 2)).sqrt())
    else:
        angle = 2 * torch.arctan((ratio / (ratio + 2)).sqrt())
    distance: Tensor = angle / math.sqrt(curvature)
    return distance.where(apart, 0)


class Hyperbolic(Loss):
    """A loss on embeddings that are mapped into the Poincaré ball."""

    family = "contrastive"
    paper = (
        "Narayan, Patel, Hyp-OC: Hyperbolic One Class Classification for Face Anti-Spoofing, arXiv 2404.14406"
    )

    curvature: float = hyperparameter(0.1, "of the ball, which has radius 1/√curvature", above=0)
    radius: float = hyperparameter(2.0, "length that embeddings are cut to before they are mapped", above=0)


class HyperbolicCE(Hyperbolic):
    """Softmax over hyperplanes of the Poincaré ball, one a label."""

    name = "hyperbolic_ce"
    version = 1

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor, normals: Tensor) -> Tensor:
        """Mean over the examples with a label of the mean over their labels of -log p."""
        each = self.examples(labels, embeddings=embeddings, prototypes=prototypes, normals=normals)
        return each.values.sum() / each.counted.sum().clamp(min=1)

    def examples(
        self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor, normals: Tensor
    ) -> Examples:
        """The terms of the mean; an example without a label has 0 and does not count."""
        positive = positives(labels, embeddings)
        sizes = positive.sum(dim=1)
        logits = self.scores(embeddings=embeddings, prototypes=prototypes, normals=normals)
        per_example = logits.logsumexp(dim=1) - (positive * logits).sum(dim=1) / sizes.clamp(min=1)
        labelled = sizes > 0
        return Examples(per_example.where(labelled, 0), labelled)

    def scores(self, *, embeddings: Tensor, prototypes: Tensor, normals: Tensor) -> Tensor:
        """Logits (batch, labels), which are the scores of the loss's own head."""
        points = into_ball(embeddings, self.curvature, self.radius)
        return gyroplane_logits(points, prototypes, normals, self.curvature)


class HyperbolicConfusion(Hyperbolic):
    """Examples that share labels are drawn together in the Poincaré ball."""

    name = "hyperbolic_confusion"
    version = 1

    inverse: str = hyperparameter(
        "artanh", "of the distance; arctan as in the released code", choices=("artanh", "arctan")
    )
    pairs: str = hyperparameter(
        "halves",
        "halves: each of the first half of the batch with one of the second; all: every pair",
        choices=("halves", "all"),
    )

    def compute(self, labels: Tensor, *, embeddings: Tensor) -> Tensor:
        """Distances weighted by the Jaccard index: over the batch's size for halves, over all weights for all."""
        points = into_ball(embeddings, self.curvature, self.radius)
        norms = points.square().sum(dim=1)
        index, _ = relations(positives(labels, embeddings))
        if self.pairs == "all":
            # the entries themselves, not a difference of products: the square root would magnify its rounding
            squares = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
            distance = ball_distance(squares, norms[:, None], norms, self.curvature, self.inverse)
            return (index * distance).sum() / index.sum().clamp(min=torch.finfo(index.dtype).tiny)
        half = len(points) // 2
        first, second = slice(half), slice(half, 2 * half)
        squares = (points[first] - points[second]).square().sum(dim=1)
        distance = ball_distance(squares, norms[first], norms[second], self.curvature, self.inverse)
        return (index.diagonal(offset=half)[:half] * distance).sum() / len(points)
