"""Whether variances that a model states are those that it has."""

from __future__ import annotations

import numpy as np
from scipy import stats

from mlcl_utils.metrics.arrays import Array, Floats


def describe_variances(stated: Array, squares: Array) -> dict[str, float]:
    """How stated variances go with the squared deviations that they are about.

    - ``variance_ratio``: mean of square over variance; 1 if calibrated, below if the variances are too large.
    - ``variance_rank``: Spearman's correlation of the two; NaN if either is constant.

    Args:
        stated: (n,) variances, positive.
        squares: (n,) squared deviations, each a mean over the dimensions that its variance is about.

    Raises:
        ValueError: shapes that differ, nothing at all, or a variance that is not positive.
    """
    if stated.shape != squares.shape or stated.ndim != 1 or stated.size == 0:
        raise ValueError(f"variances have shape {stated.shape} and squares {squares.shape}")
    if not (stated > 0).all():
        raise ValueError(f"variances must be positive, the smallest is {stated.min()}")
    varied = np.ptp(stated) > 0 and np.ptp(squares) > 0
    return {
        "variance_ratio": float(np.mean(squares / stated)),
        "variance_rank": float(stats.spearmanr(stated, squares).statistic) if varied else float("nan"),
    }


def reliability(stated: Array, squares: Array, *, bins: int = 10) -> Floats:
    """Mean stated variance, mean square and count in bins of equally many stated variances: (bins, 3).

    Fewer values than bins leave the first bins empty, with NaN means.

    Args:
        stated: (n,) variances.
        squares: (n,) squared deviations.
        bins: how many.
    """
    order = np.argsort(stated, kind="stable")
    rows = []
    for part in np.array_split(order[::-1], bins)[::-1]:
        some = len(part) > 0
        rows.append(
            (stated[part].mean() if some else np.nan, squares[part].mean() if some else np.nan, len(part))
        )
    return np.array(rows, dtype=np.float64)
