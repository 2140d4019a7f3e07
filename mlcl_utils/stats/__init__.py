"""Uncertainty: resampled metrics, intervals over replicates and test data, verdicts on claims.

A number in this project has two sources of uncertainty. Another replicate (split and seed) would train
another model; another draw of test data would score it differently. :class:`Replicates` carries what is
needed for both: the value in every replicate, and its resamples over test groups. Arms are compared by
:func:`difference`, which pairs the same replicate and the same resample of the same test examples.
"""

from __future__ import annotations

from mlcl_utils.stats.bootstrap import group_weights, resample_f1, resample_metrics
from mlcl_utils.stats.evidence import (
    FEWEST_POOLED,
    FEWEST_REPLICATES,
    Decision,
    Evidence,
    Pooled,
    Test,
    decide,
    evidence,
    expected_errors,
    false_discovery_rates,
    grade,
    pool,
)
from mlcl_utils.stats.intervals import (
    Interval,
    Measured,
    Replicates,
    combine,
    difference,
    interquartile_mean,
    interval,
    interval_of,
    p_above,
    p_below,
    probability_of_improvement,
    rank_correlations,
    slope,
    spearman,
)
from mlcl_utils.stats.ranking import Standing, holm, standings

__all__ = [
    "FEWEST_POOLED",
    "FEWEST_REPLICATES",
    "Decision",
    "Evidence",
    "Interval",
    "Measured",
    "Pooled",
    "Replicates",
    "Standing",
    "Test",
    "combine",
    "decide",
    "difference",
    "evidence",
    "expected_errors",
    "false_discovery_rates",
    "grade",
    "group_weights",
    "holm",
    "interquartile_mean",
    "interval",
    "interval_of",
    "p_above",
    "p_below",
    "pool",
    "probability_of_improvement",
    "rank_correlations",
    "resample_f1",
    "resample_metrics",
    "slope",
    "spearman",
    "standings",
]
