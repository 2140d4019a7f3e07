"""Checks and small reductions that every metric shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
Mask = NDArray[np.bool_]


def array(values: Any) -> Array:
    """What a metric was given as an array: itself, or what nested lists or a tensor of torch on any device hold.

    Raises:
        ValueError: no array holds it, such as rows of different lengths.
    """
    if hasattr(values, "detach"):  # a tensor; torch need not be imported to know one
        values = values.detach().cpu()
    return np.asarray(values)


def checked_labels(labels: Array) -> Labels:
    """The label matrix as int8.

    Raises:
        ValueError: it is not a matrix, or has a value other than -1, 0 and 1.
    """
    labels = array(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels must have shape (examples, labels), not {labels.shape}")
    if labels.size and not (labels.min() >= -1 and labels.max() <= 1):
        raise ValueError(f"labels must be -1, 0 or 1, found {labels.min()} to {labels.max()}")
    converted = labels.astype(np.int8, copy=False)
    if labels.dtype.kind == "f" and not np.array_equal(converted, labels):
        raise ValueError("labels must be -1, 0 or 1, found fractions")
    return converted


def checked_scores(scores: Array, labels: Labels) -> Floats:
    """The scores as float64, in which the comparison with a threshold is exact for every narrower type.

    Raises:
        ValueError: their shape is not that of the labels, or one is not finite.
    """
    scores = array(scores)
    if scores.shape != labels.shape:
        raise ValueError(f"scores have shape {scores.shape} but labels have shape {labels.shape}")
    converted = scores.astype(np.float64, copy=False)
    if not np.isfinite(converted).all():
        raise ValueError(f"{int((~np.isfinite(converted)).sum())} scores are not finite")
    return converted


def checked_predictions(predictions: Array, labels: Labels) -> Mask:
    """The predictions as bool.

    Raises:
        ValueError: their shape is not that of the labels, or they are not bool.
    """
    predictions = array(predictions)
    if predictions.shape != labels.shape:
        raise ValueError(f"predictions have shape {predictions.shape} but labels have shape {labels.shape}")
    if predictions.dtype != np.bool_:
        raise ValueError(f"predictions must be bool, not {predictions.dtype}")
    return predictions


def mean(values: Array) -> float:
    """The mean, NaN (without a warning) if there are no values."""
    return float(values.mean()) if values.size else float("nan")


def ratio(numerator: Array, denominator: Array, empty: float = float("nan")) -> Floats:
    """Elementwise quotient in float64; ``empty`` where the denominator is zero."""
    result = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), empty, dtype=np.float64)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
