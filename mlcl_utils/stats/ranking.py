"""Ranks of arms: which is best, and which of the others are not significantly worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from mlcl_utils.metrics.arrays import Array, Floats
from mlcl_utils.stats.intervals import Replicates, difference, p_above

Standing = Literal["best", "not worse", "worse"]

LEVEL = 0.95


def holm(p_values: Array) -> Floats:
    """Holm's adjusted p-values, which control the chance of any false rejection in the family (Holm 1979).

    Args:
        p_values: (m,).

    Returns:
        (m,) in the order given, at most 1.
    """
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def standings(arms: Mapping[str, Replicates], *, higher_is_better: bool = True) -> dict[str, Standing]:
    """Which arm is best, and which of the others are not significantly worse.

    The best has the best mean; each other is compared with it, paired, by a one-sided test at 2.5% (its 95%
    interval lies on the worse side of zero) after Holm's correction over the others. An arm for which nothing
    can be tested (one replicate, no resamples) is not called worse.

    Args:
        arms: name -> one metric of that arm, all with the same replicates.
        higher_is_better: the metric's orientation.
    """
    sign = 1.0 if higher_is_better else -1.0
    best = max(arms, key=lambda name: sign * arms[name].estimate)
    others = [name for name in arms if name != best]
    leads = [
        difference(*((arms[best], arms[name]) if higher_is_better else (arms[name], arms[best])))
        for name in others
    ]
    p_values = np.nan_to_num(np.array([p_above(lead, 0.0) for lead in leads]), nan=1.0)
    result: dict[str, Standing] = {best: "best"}
    for name, p_value in zip(others, holm(p_values), strict=True):
        result[name] = "worse" if p_value < (1 - LEVEL) / 2 else "not worse"
    return result
