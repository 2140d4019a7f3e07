"""Heads: what stands between a representation and the tensors that a loss takes.

They turn the representation into logits, embeddings, prototypes, and the means and variances of kernels. Which heads a
model has follows from the tensors that its loss declares.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcl_utils.models.encoder import Encoder

EMBEDDING_WIDTH = 256
"""Width of the projection, the same for every contrastive loss."""


class Model(nn.Module):
    """An encoder with the heads that a loss needs.

    Args:
        encoder: maps a batch of inputs to (n, encoder.width).
        tensors: the tensors that the loss takes, such as ``("embeddings", "prototypes")``.
        prior: (labels,) share of positives of each label in the training part; the classifier's bias starts at its
            logit, so that training does not begin by learning how rare labels are.
    """

    def __init__(self, encoder: Encoder, *, tensors: Iterable[str], prior: Tensor) -> None:
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

        The second view of an example is a second pass of the encoder, which drops or shifts other parts of its input
        (for dropout: Gao, Yao and Chen, SimCSE, 2104.08821).
        """
        given = self.heads(self.encoder(inputs))
        if "views" in self.tensors:
            given["views"] = self.projection(self.encoder(inputs))
        return given

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
                    raise ValueError(
                        f"no head of this model gives '{name}'; "
                        "a loss that takes it needs one in mlcl_utils/models/heads.py"
                    )
        return given

    def scores(self, representation: Tensor) -> Tensor | None:
        """Scores of shape (n, labels) of the direct head: logits, or cosines to the prototypes; None without one."""
        given = self.heads(representation)
        if "logits" in given:
            return given["logits"]
        if "prototypes" in given:
            return F.normalize(given["embeddings"], dim=1) @ F.normalize(given["prototypes"], dim=1).T
        return None
