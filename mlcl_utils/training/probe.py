"""The linear probe: the same reading of every representation.

Binary logistic regressions with an L2 penalty, one a label, solved for each strength of the penalty; the strength is
chosen on validation mAP for all labels together. The problem is convex, so there is no learning rate to choose and no
seed: two representations are compared, not two optimisations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlcl_utils import metrics
from mlcl_utils.metrics.arrays import Array, Floats
from mlcl_utils.metrics.thresholds import HALF
from mlcl_utils.models.frozen import moments

PENALTIES = (1e1, 3e0, 1e0, 3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
"""Strengths of the L2 penalty, strongest first."""

_FIRST = 5  # where the walk over the penalties starts: most solutions lie within two steps of it

_STEPS = 30
_TOLERANCE = 2e-2  # a change of the logits (root mean square, of any label) in a step that counts as none


@dataclass(frozen=True)
class Probe:
    """A fitted linear probe.

    Attributes:
        mean, scale: (d,) standardisation of the representation, from the training part.
        weight: (d, labels).
        bias: (labels,).
        penalty: the chosen strength.
        tried: validation mAP (in [0, 1]) of each strength that was tried, in the order tried.
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


@dataclass(frozen=True)
class SparseProbe:
    """A fitted linear probe on sparse inputs, not standardised: their zeros would be lost.

    Attributes:
        weight: (d, labels).
        bias: (labels,).
        penalty: the chosen strength.
        tried: validation mAP (in [0, 1]) of each strength that was tried, in the order tried.
        at_edge: whether the chosen strength is the first or the last of the grid.
    """

    weight: Floats
    bias: Floats
    penalty: float
    tried: dict[float, float]
    at_edge: bool

    def scores(self, inputs: Any) -> Tensor:
        """Logits of shape (n, labels) for a sparse SciPy matrix (n, d)."""
        return torch.from_numpy((inputs @ self.weight + self.bias).astype(np.float32))


SPARSE_PENALTIES = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Strengths of the L2 penalty on sparse inputs with rows of unit norm, strongest first."""


def fit_sparse_probe(
    train: Any, train_labels: Tensor, validation: Any, validation_labels: Tensor
) -> SparseProbe:
    """The probe on sparse inputs: scikit-learn's logistic regression by liblinear, a problem a label.

    The grid is walked as in :func:`fit_probe`; labels without a positive (or without a negative) get a constant.

    Args:
        train: sparse SciPy matrix (n, d).
        train_labels: (n, labels) in {-1, 0, 1}; unobserved counts as negative.
        validation: (m, d).
        validation_labels: (m, labels); unobserved entries are left out of the validation mAP.
    """
    from sklearn.linear_model import LogisticRegression

    y, truth = (train_labels == 1).cpu().numpy(), validation_labels.cpu().numpy()
    solutions: dict[int, tuple[Floats, Floats]] = {}

    def try_(position: int) -> float:
        weight = np.zeros((train.shape[1], y.shape[1]))
        bias = np.where(y.all(axis=0), 10.0, -10.0)
        for label in np.flatnonzero(y.any(axis=0) & ~y.all(axis=0)):
            strength = 1 / (SPARSE_PENALTIES[position] * train.shape[0])
            solved = LogisticRegression(C=strength, solver="liblinear", tol=1e-3, random_state=0)
            solved.fit(train, y[:, label])
            weight[:, label], bias[label] = solved.coef_[0], solved.intercept_[0]
        solutions[position] = weight, bias
        return float(np.nanmean(metrics.average_precision(truth, validation @ weight + bias)))

    tried = _walk(try_, len(SPARSE_PENALTIES), start=2)
    chosen = max(tried, key=lambda position: tried[position])
    return SparseProbe(
        *solutions[chosen],
        penalty=SPARSE_PENALTIES[chosen],
        tried={SPARSE_PENALTIES[position]: score for position, score in tried.items()},
        at_edge=chosen in (0, len(SPARSE_PENALTIES) - 1),
    )


def _walk(try_: Callable[[int], float], count: int, *, start: int) -> dict[int, float]:
    """Scores of the positions of a grid tried from ``start`` on while they rise, by position in the order tried.

    First towards the end; only if that does not help at all, towards the beginning.
    """
    tried = {start: try_(start)}
    for direction in (1, -1):
        position, best = start, tried[start]
        while 0 <= position + direction < count:
            position += direction
            tried[position] = try_(position)
            if tried[position] <= best:
                break
            best = tried[position]
        if best > tried[start]:
            break  # better on this side: the other one need not be tried
    return tried


Criterion = Callable[[Array, Array], float]
"""A score of validation, higher is better, of labels and logits (examples, labels)."""


def mean_average_precision(labels: Array, logits: Array) -> float:
    """What the probe's penalty is chosen by."""
    return float(np.nanmean(metrics.average_precision(labels, logits)))


def micro_f1_half(labels: Array, logits: Array) -> float:
    """What the linear layer's penalty is chosen by in the reading of the original papers: a threshold of one half."""
    return metrics.micro_f1(labels, logits >= HALF)


def fit_probe(train: Tensor, train_labels: Tensor, validation: Tensor, validation_labels: Tensor) -> Probe:
    """Fits the probe on the training part and chooses its penalty on the validation part.

    The grid is walked from a strength in its middle towards weaker ones until validation mAP falls, each solution
    starting the next; if it falls at the first step, towards stronger ones.

    Args:
        train: (n, d) representation of the training part, float32.
        train_labels: (n, labels) in {-1, 0, 1}; unobserved counts as negative.
        validation: (m, d).
        validation_labels: (m, labels); unobserved entries are left out of the validation mAP.
    """
    return fit_probes(train, train_labels, validation, validation_labels, [mean_average_precision])[0]


@torch.no_grad()
def fit_probes(
    train: Tensor,
    train_labels: Tensor,
    validation: Tensor,
    validation_labels: Tensor,
    criteria: Sequence[Criterion],
) -> list[Probe]:
    """Probes that differ in what their penalty is chosen by; a strength is solved once for all of them.

    Arguments as those of :func:`fit_probe`; the first criterion starts the walk.
    """
    mean, scale = moments(train)
    scale = torch.where(scale > 1e-6 * scale.max(), scale, 1.0)
    x = (train - mean) / scale
    y = (train_labels == 1).float()
    curvature, basis = _eigen((x.T @ x / len(x)).double())
    curvature, basis = curvature.clamp_min(0).float(), basis.float()
    x = x @ basis
    z = ((validation - mean) / scale) @ basis
    truth = validation_labels.cpu().numpy()

    start = torch.zeros(x.shape[1], y.shape[1], device=x.device), torch.logit(y.mean(dim=0), eps=1e-4)
    solutions: dict[int, tuple[Tensor, Tensor]] = {}

    def try_(position: int, criterion: Criterion) -> float:
        if position not in solutions:
            near = solutions.get(position - 1) or solutions.get(position + 1) or start
            solutions[position] = _solve(x, y, curvature, PENALTIES[position], *near)
        weight, bias = solutions[position]
        return criterion(truth, (z @ weight + bias).cpu().numpy())

    found, chosen = [], _FIRST
    for criterion in criteria:  # each walks on from what the one before has chosen
        tried = _walk(partial(try_, criterion=criterion), len(PENALTIES), start=chosen)
        chosen = max(tried, key=lambda position, tried=tried: tried[position])  # type: ignore[misc]
        weight, bias = solutions[chosen]
        found.append(
            Probe(
                mean=mean,
                scale=scale,
                weight=basis @ weight,
                bias=bias,
                penalty=PENALTIES[chosen],
                tried={PENALTIES[position]: score for position, score in tried.items()},
                at_edge=chosen in (0, len(PENALTIES) - 1),
            )
        )
    return found


RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
"""Penalties of the ridge classifier, in units of the mean variance of the representation."""


@torch.no_grad()
def ridge_map(train: Tensor, train_labels: Tensor, validation: Tensor, validation_labels: Tensor) -> float:
    """Validation mAP, in [0, 1], of a ridge classifier on a representation, the best of a few penalties.

    Least squares on the labels in closed form: a fraction of the probe's cost, for choosing among checkpoints.
    Arguments as those of :func:`fit_probe`.
    """
    y = (train_labels == 1).to(train)
    mean = train.mean(dim=0)
    x, z = (train - mean).double(), (validation - mean).double()
    variance, basis = _eigen(x.T @ x / len(x))
    variance = variance.clamp_min(0)
    along = basis.T @ (x.T @ (y - y.mean(dim=0)).double() / len(x))
    projected, truth = z @ basis, validation_labels.cpu().numpy()
    scale = variance.mean().clamp_min(1e-12)
    scores = (projected @ (along / (variance + ridge * scale)[:, None]) for ridge in RIDGES)
    return max(mean_average_precision(truth, each.cpu().numpy()) for each in scores)


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, in ascending order, and eigenvectors of a symmetric matrix in float64."""
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except (
        RuntimeError
    ):  # divide and conquer fails now and then where nearly all features are constant; QR does not
        from scipy import linalg

        found = linalg.eigh(matrix.cpu().numpy(), driver="ev")
        values, vectors = (torch.from_numpy(each).to(matrix.device) for each in found)
    return values, vectors


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
    for _ in range(_STEPS):
        residual = (x @ ahead_weight).add_(ahead_bias).sigmoid_().sub_(y)
        next_weight = ahead_weight - step * (x.T @ residual / len(x) + penalty * ahead_weight)
        next_bias = ahead_bias - 4 * residual.mean(dim=0)
        moved, moved_bias = next_weight - weight, next_bias - bias
        uphill = ((ahead_weight - next_weight) * moved).sum(dim=0) > 0
        grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        inertia = torch.where(uphill, 0.0, (momentum - 1) / grown)
        change = (curvature @ moved.square() + moved_bias.square()).sqrt()
        ahead_weight = next_weight + inertia * moved
        ahead_bias = next_bias + inertia * moved_bias
        weight, bias, momentum = next_weight, next_bias, grown
        if float(change.max()) < _TOLERANCE:
            break
    return weight, bias
