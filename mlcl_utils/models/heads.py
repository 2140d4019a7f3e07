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

from mlcl_utils import losses
from mlcl_utils.errors import UsageError
from mlcl_utils.losses.base import INDEX, Loss
from mlcl_utils.losses.combined import Combined
from mlcl_utils.losses.hyperbolic import gyroplane_logits, into_ball
from mlcl_utils.models.encoder import Encoder
from mlcl_utils.models.mixture import Mixture
from mlcl_utils.models.prototypes import equiangular

EMBEDDING_WIDTH = 256
"""Width of the projection, the same for every contrastive loss."""

CURVATURE = 0.1
"""Of the ball that a hyperbolic head works in."""

HeadKind = Literal["linear", "hyperbolic", "clipped"]
PrototypeKind = Literal["learned", "equiangular", "random"]

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


class _WithHeads(nn.Module):
    """What has the heads that a loss needs.

    Attributes:
        tensors: what they give.
        own_scores: gives a loss's own scores (n, labels) from the tensors that it takes, by keyword, where these are
            neither logits nor cosines to the prototypes.
    """

    own_scores: Callable[..., Tensor] | None = None
    tensors: tuple[str, ...]
    classifier: nn.Module
    prototypes: Tensor

    def _add_heads(self, width: int, prior: Tensor, head: HeadKind, prototypes: PrototypeKind) -> None:
        """The heads for the tensors, on a representation of so many dimensions."""
        labels = prior.shape[0]
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


class Model(_WithHeads):
    """An encoder with the heads that a loss needs.

    Args:
        encoder: maps a batch of inputs to (n, encoder.width).
        tensors: the tensors that the loss takes, such as ``("embeddings", "prototypes")``.
        prior: (labels,) share of positives of each label in the training part; the classifier's bias starts at its
            logit, so that training does not begin by learning how rare labels are.
        head: what gives logits: ``linear``, ``hyperbolic`` or ``clipped``, the hyperbolic one in flat space.
        prototypes: ``learned``; or such as do not train, ``equiangular`` or ``random``.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        tensors: Iterable[str],
        prior: Tensor,
        head: HeadKind = "linear",
        prototypes: PrototypeKind = "learned",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tensors = tuple(tensors)
        self._add_heads(encoder.width, prior, head, prototypes)

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


class Heads(_WithHeads):
    """The heads of a loss on representations of a network of your own; see :func:`for_loss`.

    Args:
        width: of the representations.
        tensors: the tensors that the loss takes.
        labels: how many.
    """

    def __init__(self, width: int, *, tensors: Iterable[str], labels: int) -> None:
        super().__init__()
        self.tensors = tuple(tensors)
        self._add_heads(width, torch.full((labels,), 0.5), "linear", "learned")

    def forward(self, representation: Tensor, view: Tensor | None = None) -> dict[str, Tensor]:
        """The tensors that the loss takes, by name.

        Args:
            representation: (n, width) of a batch.
            view: (n, width) of a second view of the same examples, for a loss that takes ``views``, such as
                ``instance``: the network once more, with other dropout or another augmentation.

        Raises:
            ValueError: there has to be a second view, or there must be none.
        """
        wanted = "views" in self.tensors
        if wanted and view is None:
            raise ValueError(
                "the loss takes views: call heads(representation, view), view of the same examples"
            )
        if view is not None and not wanted:
            raise ValueError("the loss takes no views: call heads(representation)")
        given = self.heads(representation)
        if view is not None:
            given["views"] = self.projection(view)
        return given


def for_loss(loss: str | Loss | Combined, width: int, labels: int) -> Heads:
    """The heads that give a loss its tensors, on the representations of a network of your own.

        criterion = losses.REG()
        heads = for_loss(criterion, width=768, labels=90)
        value = criterion(labels, **heads(network(inputs)))

    They have to be trained with the network, and lie on its device. What is not of a network stays the caller's:
    ``index``, which some losses take in training.

    Args:
        loss: a name of :func:`mlcl_utils.losses.names`, a sum of some, or a criterion.
        width: of the representations.
        labels: how many.

    Raises:
        UsageError: there is no such loss; or a width or number of labels below 1.
    """
    for name, value in (("width", width), ("labels", labels)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} must be a whole number of at least 1, was {value!r}")
    criterion = losses.create(loss) if isinstance(loss, str) else loss
    made = Heads(width, tensors=[name for name in criterion.tensors if name != INDEX], labels=labels)
    made.own_scores = getattr(criterion, "scores", None)
    return made
