"""Encoders and heads: what stands between an example and the tensors that a loss takes.

An encoder turns a batch of inputs into a representation of width ``encoder.width``; the heads turn the representation
into logits, embeddings, prototypes, and the means and variances of kernels. Which heads a model has follows from the
tensors that its loss declares.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING_WIDTH = 256
"""Width of the projection, the same for every contrastive loss."""


class FrozenFeatures(nn.Module):
    """A two-layer MLP over frozen features that are standardised first, with a linear path around it.

    The linear path starts with what matters most of the features, in a random rotation: every arm has them to start
    from, so that a loss has to improve on them instead of having to find them again.

    Args:
        mean: (d,) mean of the training features.
        scale: (d,) standard deviation of the training features, positive.
        axes: (width, d) orthonormal directions of the standardised features that the linear path starts with.
        dropout: probability of dropping a unit, in [0, 1).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, axes: Tensor, *, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.width, inputs = axes.shape
        self.linear = nn.Linear(inputs, self.width)
        # rotated, or else the probe, which standardises every dimension, would whiten them
        rotation = nn.init.orthogonal_(torch.empty(self.width, self.width))
        with torch.no_grad():
            self.linear.weight.copy_(rotation @ axes)
        self.mlp = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(inputs, self.width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(self.width, self.width),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Representation of shape (n, width) of features of shape (n, d)."""
        x = (inputs - self.mean) / self.scale
        out: Tensor = self.linear(x) + self.mlp(x)
        return out


class Model(nn.Module):
    """An encoder with the heads that a loss needs.

    Args:
        encoder: maps a batch of inputs to (n, encoder.width).
        tensors: the tensors that the loss takes, such as ``("embeddings", "prototypes")``.
        prior: (labels,) share of positives of each label in the training part; the classifier's bias starts at its
            logit, so that training does not begin by learning how rare labels are.
    """

    def __init__(self, encoder: FrozenFeatures, *, tensors: Iterable[str], prior: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.tensors = tuple(tensors)
        width, labels = encoder.width, prior.shape[0]
        if "logits" in self.tensors:
            self.classifier = nn.Linear(width, labels)
            with torch.no_grad():
                self.classifier.bias.copy_(torch.logit(prior, eps=1e-4))
        if "embeddings" in self.tensors:
            self.projection = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, EMBEDDING_WIDTH)
            )
        if "prototypes" in self.tensors:
            self.prototypes = nn.Parameter(torch.randn(labels, EMBEDDING_WIDTH) / EMBEDDING_WIDTH**0.5)

        if "mean" in self.tensors:
            self.mean = nn.Linear(width, labels)
        if "variance" in self.tensors:
            self.variance = nn.Linear(width, labels)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """The tensors that the loss takes, by name, for a batch of inputs.

        The second view of an example is a second pass with other dropout (Gao, Yao and Chen, SimCSE, 2104.08821).
        """
        given = self.heads(self.encoder(inputs))
        if "views" in self.tensors:
            given["views"] = self.projection(self.encoder(inputs))
        return given

    def heads(self, representation: Tensor) -> dict[str, Tensor]:
        """The tensors that follow from a representation of shape (n, width), by name: all but ``views``."""
        given: dict[str, Tensor] = {}
        for name in self.tensors:
            match name:
                case "logits":
                    given[name] = self.classifier(representation)
                case "embeddings":
                    given[name] = self.projection(representation)
                case "prototypes":
                    given[name] = self.prototypes
                case "features":
                    given[name] = representation
                case "mean":
                    given[name] = self.mean(representation)
                case "variance":
                    given[name] = 2 + 1e-7 + F.elu(self.variance(representation))
                case "views":
                    pass
                case _:
                    raise ValueError(f"no head of this model gives '{name}'")
        return given

    def scores(self, representation: Tensor) -> Tensor | None:
        """Scores of shape (n, labels) of the direct head: logits, or cosines to the prototypes; None without one."""
        given = self.heads(representation)
        if "logits" in given:
            return given["logits"]
        if "prototypes" in given:
            return F.normalize(given["embeddings"], dim=1) @ F.normalize(given["prototypes"], dim=1).T
        return None
