"""Binary cross-entropy on scaled cosines to prototypes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcl_utils.losses.base import ClassificationLoss, Examples, hyperparameter
from mlcl_utils.losses.contrast import unit


class CosineBCE(ClassificationLoss):
    """Binary cross-entropy on scale · cos(embedding, prototype) + bias, scale and bias learned."""

    name = "cosine_bce"
    paper = (
        "the rung between linear binary cross-entropy and a softmax over prototypes; the form is that of "
        "Zhai et al., Sigmoid Loss for Language Image Pre-Training, arXiv 2303.15343, section 3.2"
    )
    version = 1

    scale: float = hyperparameter(10.0, "initial scale", above=0)
    bias: float = hyperparameter(-3.0, "initial bias; the logit of the labels' frequency is a good one")

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters and the learned scale and bias that start from them."""
        super().__init__(**hyperparameters)
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.scale)))
        self.offset = nn.Parameter(torch.tensor(self.bias))

    def logits(self, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """The logits (batch, labels) of embeddings (batch, dim) and prototypes (labels, dim)."""
        return self.log_scale.exp() * (unit(embeddings) @ unit(prototypes).T) + self.offset

    def compute(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Binary cross-entropy of the logits, reduced."""
        return self.reduce(labels, self._entries(labels, embeddings, prototypes))

    def examples(self, labels: Tensor, *, embeddings: Tensor, prototypes: Tensor) -> Examples:
        """Binary cross-entropy of the logits, summed for each example."""
        return self.example_rows(labels, self._entries(labels, embeddings, prototypes))

    def _entries(self, labels: Tensor, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        logits = self.logits(embeddings, prototypes)
        target = (labels > 0).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none")
