"""What an effect says about a claim (rule 2): a verdict by its interval, graded probabilities, and what both may err.

An effect is oriented so that positive means the claim, in the units of its margin; ratios are given as logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats as distributions

from mlcl_utils.metrics.arrays import Array, Floats
from mlcl_utils.stats.intervals import Measured, Replicates, interval

Decision = Literal["holds", "opposite", "no material effect", "does not hold", "open"]
"""The verdicts of rule 2 on an effect that is judged; all but ``open`` decide."""

Test = Literal["superiority", "non-superiority", "ratio"]

FEWEST_REPLICATES = 5
"""Splits from which on a verdict is given."""


def decide(effect: Measured, margin: float, *, test: Test = "superiority") -> Decision:
    """The verdict on the claim that an effect exceeds a margin, by the first of these that is true.

    *opposite*: the two-sided 95% interval lies below the negative of the margin. *no material effect*: the 90% interval
    lies within the margin on both sides. *does not hold*: the one-sided 95% upper bound, that of the 90% interval, lies
    below the margin. *holds*: the 95% interval lies above the margin. Else *open*. So *holds* is wrong in at most 2.5%
    and *does not hold* in at most 5% of effects at the margin.

    A claim of non-superiority (``effect`` is the other side's lead, so that positive means the claim here too) is that
    the effect exceeds the negative of the margin; a ratio has no band of immaterial effects, since its margin is the
    bound that is claimed.

    Args:
        effect: in every replicate, or its interval.
        margin: the smallest effect that matters, 0 or more; of a ratio the logarithm that is claimed.
        test: what is claimed.

    Raises:
        ValueError: the margin is negative or not finite.
    """
    if not (margin >= 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be 0 or more, not {margin}")
    wide, near = interval(effect, level=0.95), interval(effect, level=0.90)
    claimed = -margin if test == "non-superiority" else margin
    if wide.upper < -margin:
        return "opposite"
    if test == "superiority" and -margin < near.lower and near.upper < margin:
        return "no material effect"
    if near.upper < claimed:
        return "does not hold"
    return "holds" if wide.lower > claimed else "open"


@dataclass(frozen=True)
class Evidence:
    """How probable it is where a true effect lies.

    Attributes:
        above: probability that it is above the margin.
        within: that it is within the margin on both sides.
        below: that it is below the negative of the margin.
    """

    above: float
    within: float
    below: float

    def claim(self, test: Test = "superiority") -> float:
        """The probability of the claim: above the margin; of non-superiority, not below its negative."""
        return self.above + self.within if test == "non-superiority" else self.above


STRONG, LEANING = 0.95, 0.80


def grade(probability: float) -> str:
    """A probability in words: ``strong`` from 0.95 on, ``leaning`` from 0.80 on, else ``unclear``."""
    return "strong" if probability >= STRONG else "leaning" if probability >= LEANING else "unclear"


def evidence(effect: Measured, margin: float) -> Evidence:
    """Posterior probabilities of an effect by the Bayesian correlated t-test, under a flat prior.

    Student's t around the estimate with R - 1 degrees of freedom (Corani and Benavoli, "A Bayesian approach for
    comparing cross-validated algorithms", Machine Learning 100, 2015), whose scale is the standard error of the wider
    component; a normal distribution with one replicate. All three are NaN where nothing is known of the error.

    Args:
        effect: in every replicate, or its interval.
        margin: the smallest effect that matters, 0 or more.
    """
    scale, freedom = effect.error, effect.n - 1
    if math.isnan(scale):
        return Evidence(math.nan, math.nan, math.nan)
    if scale == 0:
        value = effect.estimate
        return Evidence(float(value > margin), float(-margin <= value <= margin), float(value < -margin))
    spread = distributions.t(freedom) if freedom else distributions.norm()
    below, not_above = (float(spread.cdf((bound - effect.estimate) / scale)) for bound in (-margin, margin))
    return Evidence(1 - not_above, not_above - below, below)


def expected_errors(probabilities: Sequence[float]) -> float:
    """How many of some decided rows are expected to be wrong: the sum of one minus the probability of each verdict."""
    return float(sum(1 - each for each in probabilities))


def false_discovery_rates(p_values: Array) -> Floats:
    """Benjamini and Hochberg's q of each p-value: the rate of false discoveries if all up to it are called so.

    Args:
        p_values: (m,), NaN where nothing was tested.

    Returns:
        (m,) in the order given, NaN where nothing was tested.
    """
    found = np.full(len(p_values), math.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested])]
    steps = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return found


@dataclass(frozen=True)
class Pooled:
    """An effect over data sets, by random effects.

    Attributes:
        estimate: posterior mean of the mean over data sets.
        lower: of its central 95% interval.
        upper: likewise.
        spread: posterior mean of the standard deviation between data sets.
        prior: scale of the half-normal prior of that.
        above: probability that the mean is above the margin.
        below: that it is below its negative.
        n: number of data sets.
    """

    estimate: float
    lower: float
    upper: float
    spread: float
    prior: float
    above: float
    below: float
    n: int


FEWEST_POOLED = 3
"""Data sets from which on effects are pooled."""


def pool(effects: Sequence[Replicates], margin: float) -> Pooled:
    """The mean effect over data sets, each with the error of its own.

    Random effects: true effects are normal around the mean, with a standard deviation whose prior is half-normal with
    the margin as its scale; the prior of the mean is flat. Integrated over a grid of the standard deviation. The error
    of each data set is that of the wider component, made larger where replicates are few by the ratio of the quantiles
    of Student's t and of the normal distribution.

    Args:
        effects: one per data set, at least three; those of one data set are averaged before.
        margin: the smallest effect that matters, above 0.

    Raises:
        ValueError: fewer than three data sets, an error that is unknown, or a margin that is not above 0.
    """
    if len(effects) < FEWEST_POOLED:
        raise ValueError(f"{len(effects)} data sets, {FEWEST_POOLED} are needed to pool them")
    if not margin > 0:
        raise ValueError(f"margin must be above 0, not {margin}")
    means = np.array([each.estimate for each in effects])
    halves = np.array([(interval(each).upper - each.estimate) for each in effects])
    if not np.isfinite(halves).all():
        raise ValueError("the error of a data set is unknown: it has one replicate and no resamples")
    variances = (halves / float(distributions.norm.ppf(0.975))) ** 2
    spreads = np.linspace(0, 6, 601)[1:] * max(margin, float(means.std()), 1e-12)
    weights = 1 / (variances + spreads[:, np.newaxis] ** 2)
    totals = weights.sum(axis=1)
    centres = (weights * means).sum(axis=1) / totals
    log = -0.5 * (spreads / margin) ** 2 + 0.5 * np.log(weights).sum(axis=1) - 0.5 * np.log(totals)
    log -= 0.5 * (weights * (means - centres[:, np.newaxis]) ** 2).sum(axis=1)
    share = np.exp(log - log.max())
    share /= share.sum()
    errors = totals**-0.5

    def up_to(bound: float) -> float:
        return float((share * distributions.norm.cdf((bound - centres) / errors)).sum())

    def quantile(level: float) -> float:
        low, high = float((centres - 12 * errors).min()), float((centres + 12 * errors).max())
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if up_to(middle) < level else (low, middle)
        return (low + high) / 2

    return Pooled(
        estimate=float((share * centres).sum()),
        lower=quantile(0.025),
        upper=quantile(0.975),
        spread=float((share * spreads).sum()),
        prior=margin,
        above=1 - up_to(margin),
        below=up_to(-margin),
        n=len(effects),
    )
