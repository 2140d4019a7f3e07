"""The linear probe: the same reading of every representation.

Binary logistic regressions with an L2 penalty, one a label, solved to convergence for each strength of the penalty;
the strength is chosen on validation mAP for all labels together. The problem is convex, so there is no learning rate
to choose and no seed: two representations are compared, not two optimisations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlcl_utils import metrics

PENALTIES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Strengths of the L2 penalty that are tried, strongest first."""

_MAX_ITERATIONS = 100
_TOLERANCE = (
    2e-3  # largest change of a logit's root mean square in a step, by which the solution counts as found
)


@dataclass(frozen=True)
class Probe:
    """A fitted linear probe.

    Attributes:
        mean, scale: (d,) standardisation of the representation, from the training part.
        weight: (d, labels).
        bias: (labels,).
        penalty: the chosen strength.
        tried: validation mAP (in [0, 1]) of each strength that was tried.
        at_edge: whether the chosen strength is the first or the last of the grid.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    penalty: float
    tried: dict[float, float]
    at_edge: bool

    def scores(self, representation: Tensor) -> Tensor:
        """Logits of shape (n, labels) for a representation of shape (n, d)."""
        return (representation - self.mean) / self.scale @ self.weight + self.bias


@torch.no_grad()
def fit_probe(train: Tensor, train_labels: Tensor, validation: Tensor, validation_labels: Tensor) -> Probe:
    """Fits the probe on the training part and chooses its penalty on the validation part.

    The grid is walked from the strongest penalty, each solution starting the next, until validation mAP has fallen
    twice in a row.

    Args:
        train: (n, d) representation of the training part, float32.
        train_labels: (n, labels) in {-1, 0, 1}; unobserved counts as negative.
        validation: (m, d).
        validation_labels: (m, labels); unobserved entries are left out of the validation mAP.
    """
    mean, scale = train.mean(dim=0), train.std(dim=0)
    scale = torch.where(scale > 1e-6 * scale.max(), scale, 1.0)
    x = (train - mean) / scale
    y = (train_labels == 1).float()
    curvature, basis = torch.linalg.eigh((x.T @ x / len(x)).double())
    curvature, basis = curvature.clamp_min(0).float(), basis.float()
    x = x @ basis
    z = ((validation - mean) / scale) @ basis
    truth = validation_labels.cpu().numpy()

    weight = torch.zeros(x.shape[1], y.shape[1], device=x.device)
    bias = torch.logit(y.mean(dim=0), eps=1e-4)
    tried: dict[float, float] = {}
    best: tuple[float, float, Tensor, Tensor] | None = None
    falls = 0
    for penalty in PENALTIES:
        weight, bias = _solve(x, y, curvature, penalty, weight, bias)
        score = float(np.nanmean(metrics.average_precision(truth, (z @ weight + bias).cpu().numpy())))
        tried[penalty] = score
        falls = falls + 1 if best is not None and score < best[0] else 0
        if best is None or score > best[0]:
            best = (score, penalty, weight, bias)
        if falls == 2:
            break
    assert best is not None
    _, penalty, weight, bias = best
    return Probe(mean, scale, basis @ weight, bias, penalty, tried, penalty in (PENALTIES[0], PENALTIES[-1]))


def _solve(
    x: Tensor, y: Tensor, curvature: Tensor, penalty: float, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Accelerated gradient steps in the eigenbasis of the inputs, scaled by the inverse of a bound of the Hessian.

    A quarter of the inputs' covariance bounds the Hessian of every label's problem (Boehning 1992), so that the step
    needs no line search; in the eigenbasis the bound is diagonal. Momentum is restarted for a label when it points
    uphill (O'Donoghue and Candes 2015).
    """
    step = 1 / (curvature / 4 + penalty)[:, None]
    ahead_weight, ahead_bias = weight, bias
    momentum = 1.0
    for _ in range(_MAX_ITERATIONS):
        residual = torch.sigmoid(x @ ahead_weight + ahead_bias) - y
        next_weight = ahead_weight - step * (x.T @ residual / len(x) + penalty * ahead_weight)
        next_bias = ahead_bias - 4 * residual.mean(dim=0)
        uphill = ((ahead_weight - next_weight) * (next_weight - weight)).sum(dim=0) > 0
        grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        inertia = torch.where(uphill, 0.0, (momentum - 1) / grown)
        change = (
            ((next_weight - weight).square() * curvature[:, None]).sum(dim=0) + (next_bias - bias).square()
        ).sqrt()
        ahead_weight = next_weight + inertia * (next_weight - weight)
        ahead_bias = next_bias + inertia * (next_bias - bias)
        weight, bias, momentum = next_weight, next_bias, grown
        if float(change.max()) < _TOLERANCE:
            break
    return weight, bias
