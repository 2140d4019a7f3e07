"""KMCL, the kernel mixture loss of Sajedi et al. 2023."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mlcl_utils.losses.asl import ASL
from mlcl_utils.losses.base import Loss, hyperparameter
from mlcl_utils.losses.contrast import positives

_SMALLEST = 1.17549e-38  # lower bound of a kernel in the released code
_INSIDE_LOG = 1e-7  # added inside the logarithm of the contrast in the released code
_CHUNK_BYTES = 2**27  # of one array of (pairs, batch[, width]), above which it is recomputed part by part


class KMCL(Loss):
    """Asymmetric loss, reconstruction by a mixture of kernels, and contrast between the kernels of a class.

    The head gives for each example n and class k a logit (π is its logistic function) and a Gaussian with
    mean μ and variance σ²: one number each for all M dimensions of the features (isotropic: shape (batch,
    labels)) or one for each of them (anisotropic: (batch, labels, M)). Unobserved labels are negative. An
    example without a label does not count in the means of the last two terms.
    """

    name = "kmcl"
    family = "kernel"
    paper = (
        "Sajedi, Khaki, Plataniotis, Hosseini, End-to-End Supervised Multilabel Contrastive Learning, "
        "arXiv 2307.03967"
    )
    version = 1

    temperature: float = hyperparameter(0.17, "divides the similarities of the kernels", above=0)
    gamma_neg: float = hyperparameter(4.0, "focusing of the negatives in the asymmetric loss", least=0)
    gamma_pos: float = hyperparameter(1.0, "focusing of the positives in the asymmetric loss", least=0)
    clip: float = hyperparameter(0.05, "probability below which a negative counts nothing", least=0, most=1)
    eps: float = hyperparameter(1e-7, "lower bound of a probability under a logarithm", above=0, most=0.5)
    kernel: str = hyperparameter(
        "bhattacharyya",
        "similarity of two Gaussians; mahalanobis leaves out how their variances differ, rbf takes all variances as 1",
        choices=("bhattacharyya", "mahalanobis", "rbf"),
    )
    jaccard: str = hyperparameter(
        "log",
        "where the Jaccard index of a pair stands: inside the logarithm, as released, or as a weight in front",
        choices=("log", "weight"),
    )
    stable: bool = hyperparameter(True, "log-sum-exp in place of the lower bounds of the released code")
    reconstruction: float = hyperparameter(1.0, "weight of the reconstruction term", least=0)
    contrastive: float = hyperparameter(1.0, "weight of the contrastive term", least=0)

    def __init__(self, **hyperparameters: object) -> None:
        """Set the hyperparameters."""
        super().__init__(**hyperparameters)
        self._asl = ASL(
            gamma_neg=self.gamma_neg, gamma_pos=self.gamma_pos, clip=self.clip, eps=self.eps, reduction="sum"
        )

    def compute(
        self, labels: Tensor, *, logits: Tensor, mean: Tensor, variance: Tensor, features: Tensor
    ) -> Tensor:
        """Asymmetric loss summed + weighted reconstruction and contrast; a term of weight 0 is not computed."""
        positive = positives(labels, logits)
        value = self._asl.compute(labels, logits=logits, epoch=0)
        if self.reconstruction:
            term = self._reconstruction(positive, logits, log_kernel(features, mean, variance))
            value = value + self.reconstruction * term
        if self.contrastive:
            value = value + self.contrastive * self._contrast(positive, mean, variance, features.shape[1])
        return value

    def terms(self, labels: Tensor, **tensors: Tensor) -> dict[str, Tensor]:
        """The three terms without their weights: ``asl``, ``reconstruction`` and ``contrastive``.

        Args:
            labels: (batch, labels), as for the loss itself.
            tensors: as for the loss itself.

        Raises:
            ValueError: as the loss itself.
        """
        labels, tensors = self._prepared(labels, 0, tensors)
        logits, mean, variance, features = (tensors[name] for name in self.tensors)
        positive = positives(labels, logits)
        with torch.autocast(labels.device.type, enabled=False):
            return {
                "asl": self._asl.compute(labels, logits=logits, epoch=0),
                "reconstruction": self._reconstruction(
                    positive, logits, log_kernel(features, mean, variance)
                ),
                "contrastive": self._contrast(positive, mean, variance, features.shape[1]),
            }

    def _reconstruction(self, positive: Tensor, logits: Tensor, log_kernels: Tensor) -> Tensor:
        """(1/N) Σ_n -log[Σ_k y_nk π_nk κ_nk / Σ_k π_nk κ_nk]."""
        labelled = positive.any(dim=1)
        if self.stable:
            log_shares = F.logsigmoid(logits) + log_kernels
            # an example without labels takes all of them, for a ratio of 1
            own = log_shares.masked_fill((positive == 0) & labelled[:, None], -torch.inf)
            per_example = log_shares.logsumexp(dim=1) - own.logsumexp(dim=1)
        else:
            shares = logits.sigmoid() * log_kernels.exp().clamp(min=_SMALLEST)
            ratio = (positive * shares).sum(dim=1) / shares.sum(dim=1)
            per_example = -ratio.clamp(min=self.eps).log().where(labelled, 0)
        return per_example.sum() / labelled.sum().clamp(min=1)

    def _contrast(self, positive: Tensor, mean: Tensor, variance: Tensor, width: int) -> Tensor:
        """(1/N) Σ_n -(1/|A(n)|) Σ_{m∈A(n)} Σ_{k∈y_n∩y_m} log(J_nm e^{ρ/τ} / Σ_{i≠n} e^{ρ/τ}).

        Only pairs of an anchor and one of its classes count. Finding them would wait for a GPU, so that there
        all pairs are computed and those that do not count weigh nothing.
        """
        batch, classes = positive.shape
        if batch == 1:
            return (mean.sum() + variance.sum()) * 0
        shared = positive @ positive.T
        shared.fill_diagonal_(0)
        sizes = positive.sum(dim=1)
        jaccard = shared / (sizes[:, None] + sizes - shared).clamp(min=1)
        share = 1 / shared.sign().sum(dim=1).clamp(min=1)
        if positive.device.type == "cpu" and not torch.compiler.is_compiling():
            anchors, kinds = positive.nonzero(as_tuple=True)
        else:
            every = torch.arange(batch * classes, device=positive.device)
            anchors, kinds = every // classes, every % classes
        chunk = max(1, _CHUNK_BYTES // (mean[:, 0].numel() * mean.element_size()))
        # a Jaccard index inside the logarithm is a constant beside the rest, and needs no pair's classes
        apart = self.stable and self.jaccard == "log"
        terms = [-(share[:, None] * shared * jaccard.log().where(shared > 0, 0)).sum()] if apart else []
        for start in range(0, len(anchors), chunk):
            part = slice(start, start + chunk)
            inputs = (anchors[part], kinds[part], positive, mean, variance, width, jaccard, share)
            if len(anchors) <= chunk:
                terms.append(self._pairs(*inputs))
            else:
                terms.append(checkpoint(self._pairs, *inputs, use_reentrant=False))
        if len(anchors) == 0:
            terms.append((mean.sum() + variance.sum()) * 0)
        return torch.stack(terms).sum() / positive.any(dim=1).sum().clamp(min=1)

    def _pairs(
        self,
        anchors: Tensor,
        kinds: Tensor,
        positive: Tensor,
        mean: Tensor,
        variance: Tensor,
        width: int,
        jaccard: Tensor,
        share: Tensor,
    ) -> Tensor:
        """The sum over some pairs (n, k) of the contrast; arrays are of shape (pairs, batch).

        Without the constant that :meth:`_contrast` adds apart.
        """
        similarity = self._log_similarity(anchors, kinds, mean, variance, width).exp() / self.temperature
        # not infinite, so that nothing times the logarithm is nothing
        lowest = torch.finfo(similarity.dtype).min / 2
        log_p = similarity.scatter(1, anchors[:, None], lowest).log_softmax(dim=1)
        counts = positive.T[kinds] * (positive[anchors, kinds] * share[anchors])[:, None]
        counts = counts.scatter(1, anchors[:, None], 0)
        if self.jaccard == "weight":
            counts = counts * jaccard[anchors]
        if self.stable:
            return -(counts * log_p).sum()
        inside = log_p.exp() if self.jaccard == "weight" else jaccard[anchors] * log_p.exp()
        return -(counts * (inside + _INSIDE_LOG).log()).sum()

    def _log_similarity(
        self, anchors: Tensor, kinds: Tensor, mean: Tensor, variance: Tensor, width: int
    ) -> Tensor:
        """log ρ of each pair (n, k) with every example, of shape (pairs, batch)."""

        def of_all(x: Tensor) -> Tensor:
            return x.transpose(0, 1).index_select(0, kinds)

        def of_anchor(x: Tensor) -> Tensor:
            return x[anchors, kinds][:, None]

        result = -((of_all(mean) - of_anchor(mean)) ** 2)
        if self.kernel == "rbf":
            result = result / 8
        else:
            total = of_all(variance) + of_anchor(variance)
            result = result / (4 * total)
            if self.kernel == "bhattacharyya":
                deviation = (variance.log() + math.log(2)) / 4
                result = result + (of_all(deviation) + of_anchor(deviation)) - total.log() / 2
        return result * width if mean.ndim == 2 else result.sum(dim=-1)

    @torch.no_grad()
    def health(self, labels: Tensor, **tensors: Tensor) -> dict[str, Tensor]:
        """How much of the last two terms is alive.

        Args:
            labels: (batch, labels), as for the loss itself.
            tensors: as for the loss itself.

        Returns:
            ``kappa_underflow``, the share of the κ_nk that are 0 in float32, and ``rho_saturated``, the share
            of the ρ of an anchor and another example, in the anchor's classes, outside [0.01, 0.99].
        """
        labels, tensors = self._prepared(labels, 0, tensors)
        _, mean, variance, features = (tensors[name] for name in self.tensors)
        anchors, kinds = (labels > 0).nonzero(as_tuple=True)
        rho = self._log_similarity(anchors, kinds, mean, variance, features.shape[1]).exp()
        others = torch.ones_like(rho, dtype=torch.bool).scatter_(1, anchors[:, None], False)
        return {
            "kappa_underflow": (log_kernel(features, mean, variance).float().exp() == 0).float().mean(),
            "rho_saturated": ((rho < 0.01) | (rho > 0.99))[others].float().mean(),
        }

    def _prepared(
        self, labels: Tensor, epoch: int, tensors: dict[str, Tensor], anchors: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        labels, tensors = super()._prepared(labels, epoch, tensors, anchors)
        variance = tensors["variance"]
        if variance.shape != tensors["mean"].shape:
            wanted = tuple(tensors["mean"].shape)
            raise ValueError(f"variance must have the shape of mean, {wanted}, was {tuple(variance.shape)}")
        if variance.device.type == "cpu" and not torch.compiler.is_compiling() and not (variance > 0).all():
            raise ValueError(f"variance must be above 0, was {variance.min().item()}")
        return labels, tensors


def log_kernel(features: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log κ_nk = -‖f_n - μ_nk‖²/(2σ²_nk), of shape (batch, labels).

    Args:
        features: (batch, width).
        mean: (batch, labels) or (batch, labels, width).
        variance: as ``mean``.
    """
    if mean.ndim == 3:
        return -((features[:, None] - mean) ** 2 / variance).sum(dim=-1) / 2
    # ‖f - μ1‖² from the mean and the spread of f, without an array over dimensions
    width = features.shape[1]
    centre = features.mean(dim=1, keepdim=True)
    spread = ((features - centre) ** 2).sum(dim=1, keepdim=True)
    return -(spread + width * (centre - mean) ** 2) / (2 * variance)
