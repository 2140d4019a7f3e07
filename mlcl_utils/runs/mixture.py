"""What a kernel mixture has become: how alive the terms of its loss are, and whether its variances are calibrated."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mlcl_utils import losses, metrics
from mlcl_utils.losses.kmcl import KMCL
from mlcl_utils.models import Model
from mlcl_utils.runs.config import RunConfig


def describe_mixture(
    config: RunConfig, model: Model, representation: Tensor, labels: Tensor
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Diagnostics of a model trained with KMCL, on examples that it was not trained on.

    Args:
        config: of the run; the loss must be ``kmcl``.
        model: trained, in evaluation mode.
        representation: (n, width).
        labels: (n, labels), on the same device.

    Returns:
        Metrics by name: ``kappa_underflow`` and ``rho_saturated`` (see :meth:`mlcl_utils.losses.kmcl.KMCL.health`);
        ``gradient_asl``, ``gradient_reconstruction`` and ``gradient_contrastive``, the norm of each unweighted term's
        gradient by the features; all of them means over batches of the size of training, since the terms depend on it;
        and ``variance_ratio`` and ``variance_rank`` over the kernels of the examples' own labels (see
        :func:`mlcl_utils.metrics.describe_variances`). And arrays: ``reliability``, float64 (2, bins, 3), for the
        kernels of own labels and of all others.
    """
    criterion = losses.create(config.loss, **config.hyperparameters).to(representation.device)
    assert isinstance(criterion, KMCL)
    assert config.recipe is not None
    found: dict[str, list[float]] = {}
    batches = torch.arange(len(labels)).tensor_split(config.recipe.steps_per_epoch(len(labels)))
    for batch in batches:
        features = representation[batch].detach().float().requires_grad_()
        given = model.heads(features)
        values = dict(criterion.health(labels[batch], **given))
        for name, term in criterion.terms(labels[batch], **given).items():
            (gradient,) = torch.autograd.grad(term, features, retain_graph=True)
            values[f"gradient_{name}"] = gradient.norm()
        for name, value in values.items():
            found.setdefault(name, []).append(float(value))
    with torch.no_grad():
        given = model.heads(representation.float())
        stated, squares = given["variance"], _squares(representation.float(), given["mean"])
    own = (labels > 0).cpu().numpy()
    variance, square = (each.double().cpu().numpy() for each in (stated, squares))
    measured = {name: float(np.mean(values)) for name, values in found.items()}
    measured |= metrics.describe_variances(variance[own], square[own])
    bins = [metrics.reliability(variance[chosen], square[chosen]) for chosen in (own, ~own)]
    return measured, {"reliability": np.stack(bins)}


def _squares(features: Tensor, mean: Tensor) -> Tensor:
    """‖f_n - μ_nk 1‖²/M, of shape (n, labels), for a mean that stands for all M dimensions."""
    centre = features.mean(dim=1, keepdim=True)
    spread = features.var(dim=1, correction=0, keepdim=True)
    return spread + (centre - mean) ** 2
