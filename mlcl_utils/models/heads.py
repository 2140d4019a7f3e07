"""Heads: what stands between a representation and the tensors that a loss takes.

They turn the representation into logits, embeddings, prototypes, and the means and variances of kernels. Which heads a
model has follows from the tensors that its loss declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcl_utils.losses.hyperbolic import gyroplane_logits, into_ball
from mlcl_utils.models.encoder import Encoder
from mlcl_utils.models.mixture import Mixture
from mlcl_utils.models.prototypes import equiangular

EMBEDDING_WIDTH = 256
"""Width of the projection, the same for every contrastive loss."""

CURVATURE = 0.1
"""Of the ball that a hyperbolic head works in."""

OF_LABELS = frozenset({"prototypes", "normals"})
"""The tensors with one row for each label; all others have one for each example."""


class HyperbolicHead(nn.Module):
    """Logits by one hyperplane of the Poincaré ball for each label (arXiv 2404.14406).

    A representation is cut to a length of 2 and mapped into the ball; with a curvature of 0 it stays where it is, and
    the logits are 4⟨x - p, a⟩: the same head in the flat space.

    Args:
        width: of the representation.
        prior: (labels,) share of positives of each label; at the centre of the ball the logits are its logits.
        curvature: of the ball, at least 0.
    """

    RADIUS = 2.0

    def __init__(self, width: int, prior: Tensor, curvature: float) -> None:
        super().__init__()
        self.curvature = curvature
        normals = nn.Linear(width, len(prior)).weight.detach()
        # along its normal, a plane at this tangent gives the centre exactly that logit, whatever the curvature
        offsets = (
            -torch.logit(prior, eps=1e-4)[:, None] / 4 * normals / normals.square().sum(dim=1, keepdim=True)
        )
        self.normals, self.offsets = nn.Parameter(normals), nn.Parameter(offsets)

    def forward(self, representation: Tensor) -> Tensor:
        """Logits (n, labels) of representations (n, width), in float32 whatever autocast says."""
        with torch.autocast(representation.device.type, enabled=False):
            points = into_ball(representation.float(), self.curvature, self.RADIUS)
            return gyroplane_logits(points, self.offsets, self.normals, self.curvature)


class Model(nn.Module):
    """An encoder with the heads that a loss needs.

    Args:
        encoder: maps a batch of inputs to (n, encoder.width).
        tensors: the tensors that the loss takes, such as ``("embeddings", "prototypes")``.
        prior: (labels,) share of positives of each label in the training part; the classifier's bias starts at its
            logit, so that training does not begin by learning how rare labels are.
        head: what gives logits: ``linear``, ``hyperbolic`` or ``clipped``, the hyperbolic one in flat space.
        prototypes: ``learned``; or such as do not train, ``equiangular`` or ``random``.

    Attributes:
        own_scores: gives a loss's own scores (n, labels) from the tensors that it takes, by keyword, where these are
            neither logits nor cosines to the prototypes.
    """

    own_scores: Callable[..., Tensor] | None = None

    def __init__(
        self,
        encoder: Encoder,
        *,
        tensors: Iterable[str],
        prior: Tensor,
        head: Literal["linear", "hyperbolic", "clipped"] = "linear",
        prototypes: Literal["learned", "equiangular", "random"] = "learned",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tensors = tuple(tensors)
        width, labels = encoder.width, prior.shape[0]
        self.classifier: nn.Module
        if "logits" in self.tensors and head == "linear":
            self.classifier = nn.Linear(width, labels)
            with torch.no_grad():
                self.classifier.bias.copy_(torch.logit(prior, eps=1e-4))
        elif "logits" in self.tensors:
            self.classifier = HyperbolicHead(width, prior, CURVATURE if head == "hyperbolic" else 0.0)
        if "embeddings" in self.tensors or "confused" in self.tensors:
            self.projection = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, EMBEDDING_WIDTH)
            )
        self.prototypes: Tensor
        if "prototypes" in self.tensors:
            if prototypes == "equiangular":
                self.register_buffer("prototypes", equiangular(labels, EMBEDDING_WIDTH))
            else:
                drawn = torch.randn(labels, EMBEDDING_WIDTH) / EMBEDDING_WIDTH**0.5
                if prototypes == "random":
                    self.register_buffer("prototypes", drawn)
                else:
                    self.prototypes = nn.Parameter(drawn)
        if "normals" in self.tensors:
            self.normals = nn.Parameter(torch.randn(labels, EMBEDDING_WIDTH) / EMBEDDING_WIDTH**0.5)
        if "mean" in self.tensors:
            self.mean = nn.Linear(width, labels)
        if "variance" in self.tensors:
            self.variance = nn.Linear(width, labels)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> dict[str, Tensor]:
        """The tensors that the loss takes, by name, for a batch of inputs, or for mixtures of them.

        The second view of an example is a second pass of the encoder, which drops or shifts other parts of its input
        (for dropout: Gao, Yao and Chen, SimCSE, 2104.08821).
        """
        if mixture is not None:
            return self._of_mixtures(inputs, mixture)
        given = self.heads(self.encoder(inputs))
        if "views" in self.tensors:
            given["views"] = self.projection(self.encoder(inputs))
        return given

    def _of_mixtures(self, inputs: Tensor, mixture: Mixture) -> dict[str, Tensor]:
        plain: Tensor | None = None
        if mixture.level == "input":
            prepared = self.encoder.prepared(inputs)
            mixed = self.encoder.encoded(mixture.of(prepared))
            if mixture.beside:
                plain = self.encoder.encoded(prepared)
        else:
            plain = self.encoder(inputs)
            mixed = mixture.of(plain)
        if plain is None or not mixture.beside:
            return self.heads(mixed)
        return {**self.heads(plain), "mixed": self.projection(mixed)}

    def heads(self, representation: Tensor) -> dict[str, Tensor]:
        """The tensors that follow from a representation of shape (n, width), by name: all but ``views``.

        Raises:
            ValueError: no head gives a tensor that the loss takes.
        """
        given: dict[str, Tensor] = {}
        for name in self.tensors:
            match name:
                case "logits":
                    given[name] = self.classifier(representation)
                case "embeddings":
                    given[name] = self.projection(representation)
                case "confused":  # no gradient beyond the head but zero: several devices wait for that of all
                    given[name] = self.projection(representation.detach() + 0 * representation)
                case "prototypes":
                    given[name] = self.prototypes
                case "normals":
                    given[name] = self.normals
                case "features":
                    given[name] = representation
                case "mean":
                    given[name] = self.mean(representation)
                case "variance":
                    given[name] = 2 + 1e-7 + F.elu(self.variance(representation))
                case "views":
                    pass
                case _:
                    raise ValueError(
                        f"no head of this model gives '{name}'; "
                        "a loss that takes it needs one in mlcl_utils/models/heads.py"
                    )
        return given

    def scores(self, representation: Tensor) -> Tensor | None:
        """Scores of shape (n, labels) of the loss's own head; None where it has none.

        They are the logits, or cosines to the prototypes; or what :attr:`own_scores` makes of the tensors.
        """
        given = self.heads(representation)
        if self.own_scores is not None:
            return self.own_scores(**given)
        if "logits" in given:
            return given["logits"]
        if "prototypes" in given:
            return F.normalize(given["embeddings"], dim=1) @ F.normalize(given["prototypes"], dim=1).T
        return None
