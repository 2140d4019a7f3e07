"""Uncertainty: resampled metrics, intervals over replicates and test data, verdicts on claims.

A number in this project has two sources of uncertainty. Another replicate (split and seed) would train
another model; another draw of test data would score it differently. :class:`Replicates` carries what is
needed for both: the value in every replicate, and its resamples over test groups. Arms are compared by
:func:`difference`, which pairs the same replicate and the same resample of the same test examples.
"""

from __future__ import annotations

from mlcl_utils.stats.bootstrap import group_weights, resample_metrics
from mlcl_utils.stats.evidence import (
    Decision,
    Evidence,
    Pooled,
    decide,
    evidence,
    expected_errors,
    false_discovery_rates,
    grade,
    pool,
)
from mlcl_utils.stats.intervals import (
    Interval,
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
from mlcl_utils.stats.verdicts import (
    Judgement,
    Standing,
    Verdict,
    holm,
    judge,
    judge_family,
    judge_not_ahead,
    overall,
    standings,
)

__all__ = [
    "Decision",
    "Evidence",
    "Interval",
    "Judgement",
    "Pooled",
    "Replicates",
    "Standing",
    "Verdict",
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
    "judge",
    "judge_family",
    "judge_not_ahead",
    "overall",
    "p_above",
    "p_below",
    "pool",
    "probability_of_improvement",
    "rank_correlations",
    "resample_metrics",
    "slope",
    "spearman",
    "standings",
]
