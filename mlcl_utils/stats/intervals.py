"""Intervals over replicates and over test data, paired comparisons, aggregates."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats as distributions

from mlcl_utils.metrics.arrays import Array, Floats, mean


@dataclass(frozen=True)
class Replicates:
    """One quantity (a metric of an arm, a difference of two arms) in every replicate.

    Attributes:
        index: the replicates' numbers, which pair it with other quantities.
        values: (R,) the quantity in each.
        resamples: (R, B) its values in resamples of the test groups, column b being one draw of the data for
            all replicates (:func:`mlcl_utils.stats.group_weights` with one seed); None if there are none.
        test_ratio: number of test examples over number of training examples, 20/70 for the stored splits. It stays so
            where training sees a share of its part: replicates are correlated because their test parts overlap, which
            is the same however much is trained on. 0 for draws that share nothing, such as made-up worlds.
        shared_test: whether all replicates are tested on one official test part. What differs between them is then the
            draw of training data alone (``test_ratio`` is that of validation to training), test data are another source
            of error, and the two add instead of the wider one counting.

    Raises:
        ValueError: shapes that do not fit, no replicate, a value that is not finite, a ratio below 0.
    """

    index: tuple[int, ...]
    values: Floats
    resamples: Floats | None = None
    test_ratio: float = 20 / 70
    shared_test: bool = False

    @classmethod
    def over_seeds(
        cls, splits: Sequence[int], values: Floats, resamples: Floats | None = None, **more: Any
    ) -> Replicates:
        """A quantity of several trainings per split, averaged within each split before anything else.

        What seeds change is independent from split to split, so that it must not be corrected as if splits shared it.

        Args:
            splits: (n,) number of the split of every training.
            values: (n,) the quantity in each.
            resamples: (n, B) its resamples; None if there are none.
            more: ``test_ratio`` and ``shared_test``.

        Raises:
            ValueError: as of the class, or a split has another number of trainings than the others.
        """
        numbers, counts = np.unique(splits, return_counts=True)
        if len(set(counts.tolist())) > 1:
            raise ValueError(f"splits {numbers.tolist()} have {counts.tolist()} trainings, not as many each")
        at = [np.flatnonzero(np.asarray(splits) == number) for number in numbers]
        return cls(
            tuple(int(number) for number in numbers),
            np.array([mean(values[each]) for each in at]),
            None if resamples is None else np.stack([resamples[each].mean(axis=0) for each in at]),
            **more,
        )

    def __post_init__(self) -> None:
        if not self.index or self.values.shape != (len(self.index),):
            raise ValueError(f"{len(self.index)} replicates but values of shape {self.values.shape}")
        if not np.isfinite(self.values).all():
            broken = [r for r, value in zip(self.index, self.values, strict=True) if not math.isfinite(value)]
            raise ValueError(f"the value is not finite in replicates {broken}")
        if self.resamples is not None and (
            self.resamples.ndim != 2 or len(self.resamples) != len(self.index) or self.resamples.shape[1] < 2
        ):
            raise ValueError(f"{len(self.index)} replicates but resamples of shape {self.resamples.shape}")
        if not self.test_ratio >= 0:
            raise ValueError(f"test_ratio must be 0 or more, not {self.test_ratio}")

    def only(self, numbers: Collection[int]) -> Replicates:
        """The same quantity in some of the replicates.

        Args:
            numbers: of the replicates that stay, of which it has at least one.
        """
        at = [position for position, number in enumerate(self.index) if number in numbers]
        return Replicates(
            tuple(self.index[each] for each in at),
            self.values[at],
            None if self.resamples is None else self.resamples[at],
            self.test_ratio,
            self.shared_test,
        )

    @property
    def n(self) -> int:
        """Number of replicates."""
        return len(self.values)

    @property
    def adds(self) -> bool:
        """Whether the components of the error add, as :attr:`Interval.adds` says."""
        return self.shared_test

    @property
    def estimate(self) -> float:
        """The mean over replicates."""
        return mean(self.values)

    @property
    def replicate_error(self) -> float:
        """Corrected resampled standard error over replicates; NaN for a single one.

        The variance of the values times 1/R + n_test/n_train: the splits overlap, so that their values vary
        less than those of independent draws would (Nadeau and Bengio, "Inference for the Generalization
        Error", Machine Learning 52, 2003).
        """
        count = len(self.values)
        if count < 2:
            return math.nan
        return math.sqrt((1 / count + self.test_ratio) * float(self.values.var(ddof=1)))

    @property
    def bootstrap_error(self) -> float:
        """Standard deviation of the resampled means over replicates; NaN without resamples.

        A standard error and not percentiles, because resampled metrics are biased: copies of a positive stand
        together in the ranking and raise average precision (by three standard errors on 300 long-tailed
        labels), so that percentiles may not even enclose the estimate. Resamples in which the quantity is
        undefined are left out.
        """
        if self.resamples is None:
            return math.nan
        means = self.resamples.mean(axis=0)
        means = means[np.isfinite(means)]
        return float(means.std(ddof=1)) if len(means) > 1 else math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean: the larger component, or both together where they add; NaN without either."""
        return _error(self.replicate_error, self.bootstrap_error, self.adds)


def _error(over_replicates: float, over_tests: float, adds: bool) -> float:
    if adds and math.isfinite(over_replicates + over_tests):
        return math.hypot(over_replicates, over_tests)
    return float(np.fmax(over_replicates, over_tests))  # the other one if one is NaN


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval and the two it was chosen from.

    Attributes:
        estimate: mean over replicates; it lies in the middle of the interval.
        lower: lower bound of the wider component.
        upper: its upper bound.
        replicate: bounds over replicates (corrected resampled t); NaN with one replicate.
        bootstrap: bounds over test groups; NaN without resamples.
        level: confidence, such as 0.95.
        n: number of replicates.
        adds: whether the components add, instead of the wider one counting.
    """

    estimate: float
    lower: float
    upper: float
    replicate: tuple[float, float]
    bootstrap: tuple[float, float]
    level: float
    n: int
    adds: bool = False

    @property
    def replicate_error(self) -> float:
        """Standard error over replicates; NaN for a single one."""
        if self.n < 2:
            return math.nan
        return (self.replicate[1] - self.replicate[0]) / 2 / _quantile((1 + self.level) / 2, self.n - 1)

    @property
    def bootstrap_error(self) -> float:
        """Standard error over test groups; NaN without resamples."""
        return (self.bootstrap[1] - self.bootstrap[0]) / 2 / _quantile((1 + self.level) / 2)

    @property
    def error(self) -> float:
        """Standard error of the estimate: the larger component, or both together where they add."""
        return _error(self.replicate_error, self.bootstrap_error, self.adds)

    def within(self, low: float, high: float) -> Interval:
        """The interval of a quantity that cannot leave a range, such as a correlation: t knows nothing of its ends."""

        def cut(bounds: tuple[float, float]) -> tuple[float, float]:
            lower, upper = np.clip(bounds, low, high)  # NaN stays
            return float(lower), float(upper)

        (lower, upper), replicate, bootstrap = map(
            cut, ((self.lower, self.upper), self.replicate, self.bootstrap)
        )
        return dataclasses.replace(self, lower=lower, upper=upper, replicate=replicate, bootstrap=bootstrap)


Measured = Replicates | Interval
"""What was measured: in every replicate, or as no more than its interval."""


def interval(measured: Measured, *, level: float = 0.95) -> Interval:
    """The wider of the two components, or both together where they add; bounds are NaN if there is neither.

    Over replicates: the estimate plus and minus the corrected standard error times a quantile of Student's t
    with R - 1 degrees of freedom. Over test data: the bootstrap standard error times a normal quantile.

    Args:
        measured: in every replicate; or an interval, to have it at another level.
        level: confidence.

    Raises:
        ValueError: the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    tail, count = (1 + level) / 2, measured.n
    over_replicates = _quantile(tail, count - 1) * measured.replicate_error if count > 1 else math.nan
    over_tests = _quantile(tail) * measured.bootstrap_error
    return _wider(measured.estimate, over_replicates, over_tests, level, count, measured.adds)


@functools.cache
def _quantile(tail: float, freedom: int | None = None) -> float:
    """Of Student's t, or of the normal distribution; kept, since scipy takes longer for it than all else here."""
    return float(distributions.norm.ppf(tail) if freedom is None else distributions.t.ppf(tail, freedom))


def _wider(
    estimate: float, over_replicates: float, over_tests: float, level: float, count: int, add: bool = False
) -> Interval:
    widest = _error(over_replicates, over_tests, add)
    return Interval(
        estimate=estimate,
        lower=estimate - widest,
        upper=estimate + widest,
        replicate=(estimate - over_replicates, estimate + over_replicates),
        bootstrap=(estimate - over_tests, estimate + over_tests),
        level=level,
        n=count,
        adds=add,
    )


def interval_of(
    parts: Sequence[Replicates], statistic: Callable[[Floats], Floats], *, level: float = 0.95
) -> Interval:
    """The interval of a statistic that takes all replicates together, such as a rank correlation of means.

    Over replicates: the jackknife (one replicate left out of all parts at a time), its variance times
    1 + R * n_test/n_train, since the splits overlap, with Student's t of R - 1 degrees of freedom; for the mean of one
    quantity that is the interval of :func:`interval`. Over test data: the standard deviation of the statistic in the
    resamples. A component is NaN where the statistic is undefined without a replicate or has no resamples.

    Args:
        parts: k quantities with the same replicates, and as many resamples if they have any.
        statistic: maps an array (k, R, m) to (m,), NaN where it is undefined; R may be one less.
        level: confidence.

    Raises:
        ValueError: the parts cannot be paired, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    paired = combine(parts, lambda part: part[0])  # checks that they can be
    values, count = np.stack([part.values for part in parts]), len(paired.values)
    estimate, tail = float(statistic(values[:, :, np.newaxis])[0]), (1 + level) / 2
    over_replicates = math.nan
    if count > 1:
        without = statistic(np.stack([np.delete(values, at, axis=1) for at in range(count)], axis=2))
        variance = (count - 1) / count * float(((without - without.mean()) ** 2).sum())
        error = math.sqrt(variance * (1 + count * paired.test_ratio))
        over_replicates = float(distributions.t.ppf(tail, count - 1)) * error
    over_tests = math.nan
    draws = [part.resamples for part in parts]
    if paired.resamples is not None:
        found = statistic(np.stack([draw for draw in draws if draw is not None]))
        found = found[np.isfinite(found)]
        if len(found) > 1:
            over_tests = float(distributions.norm.ppf(tail)) * float(found.std(ddof=1))
    return _wider(estimate, over_replicates, over_tests, level, count, paired.shared_test)


def p_above(measured: Measured, bound: float) -> float:
    """One-sided p-value against "at most ``bound``": the larger of the two components'; where they add, by their sum.

    It is below (1 - level) / 2 exactly if the lower bound of :func:`interval` at that level exceeds the bound, unless
    the components add: their sum is taken as Student's t.
    """
    return _p_value(measured, measured.estimate - bound)


def p_below(measured: Measured, bound: float) -> float:
    """One-sided p-value against "at least ``bound``"; see :func:`p_above`."""
    return _p_value(measured, bound - measured.estimate)


def _p_value(measured: Measured, distance: float) -> float:
    if measured.adds and measured.n > 1:
        return _tail(distance, measured.error, measured.n - 1)
    by_replicates = _tail(distance, measured.replicate_error, measured.n - 1)
    by_tests = _tail(distance, measured.bootstrap_error, None)
    return float(np.fmax(by_replicates, by_tests))


def _tail(distance: float, error: float, freedom: int | None) -> float:
    if math.isnan(error):
        return math.nan
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    if freedom is None:
        return float(distributions.norm.sf(distance / error))
    return float(distributions.t.sf(distance / error, freedom))


def combine(parts: Sequence[Replicates], function: Callable[[Floats], Floats]) -> Replicates:
    """A quantity computed from others in each replicate and each resample.

    Args:
        parts: k quantities with the same replicates and as many resamples of the same draws.
        function: maps an array (k, m) to (m,), column by column.

    Raises:
        ValueError: the parts don't have the same replicates, resamples or test ratio.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.index != first.index:
            raise ValueError(f"replicates {list(part.index)} cannot be paired with {list(first.index)}")
        if part.test_ratio != first.test_ratio:
            raise ValueError(f"test ratios {part.test_ratio} and {first.test_ratio} differ")
        if part.shared_test != first.shared_test:
            raise ValueError("some parts share one test part, and others do not")
    draws = [part.resamples for part in parts]
    stacked = [draw for draw in draws if draw is not None]
    if len({None if draw is None else draw.shape for draw in draws}) > 1:
        shapes = [None if draw is None else draw.shape for draw in draws]
        raise ValueError(f"the resamples of the parts differ in number: their shapes are {shapes}")
    values = function(np.stack([part.values for part in parts]))
    resamples = None
    if stacked:
        flat = np.stack([draw.ravel() for draw in stacked])
        resamples = function(flat).reshape(stacked[0].shape)
    return Replicates(first.index, values, resamples, first.test_ratio, first.shared_test)


def difference(first: Replicates, second: Replicates) -> Replicates:
    """First minus second, paired by replicate and resample."""
    return combine([first, second], lambda part: part[0] - part[1])


def slope(x: Array, values: Floats) -> Floats:
    """Least-squares slopes of the columns of values (k, m) on x (k,): (m,).

    Raises:
        ValueError: x has fewer than two different values, or another length than the columns.
    """
    centred = _checked_axis(x, values) - np.mean(x)
    slopes: Floats = centred @ values / (centred @ centred)
    return slopes


def spearman(x: Array, values: Floats) -> Floats:
    """Rank correlations of the columns of values (k, m) with x (k,), ties at their mean rank: (m,).

    NaN for a column without two different values.

    Raises:
        ValueError: x has fewer than two different values, or another length than the columns.
    """
    return rank_correlations(np.tile(_checked_axis(x, values)[:, np.newaxis], values.shape[1]), values)


def rank_correlations(first: Floats, second: Floats) -> Floats:
    """Spearman's correlation of each column of one array (k, m) with the same of another, ties at mean ranks: (m,).

    NaN where a column has no two different values.

    Raises:
        ValueError: they are not matrices of one shape.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape} are not those of two equal matrices")
    ranks, others = (distributions.rankdata(each, axis=0) - (len(first) + 1) / 2 for each in (first, second))
    norms = np.sqrt((ranks**2).sum(axis=0) * (others**2).sum(axis=0))
    correlations = np.full(first.shape[1], np.nan)
    np.divide((ranks * others).sum(axis=0), norms, out=correlations, where=norms > 0)
    return correlations


def _checked_axis(x: Array, values: Floats) -> Floats:
    if values.ndim != 2 or x.shape != values.shape[:1]:
        raise ValueError(f"x has shape {x.shape} but values have shape {values.shape}")
    if len(np.unique(x)) < 2:
        raise ValueError("x needs at least two different values")
    return x.astype(np.float64)


def interquartile_mean(values: Array) -> float:
    """The mean of the middle half of all values, whole values cut at both ends (Agarwal et al., arXiv
    2108.13264).

    Args:
        values: any shape, such as (runs, tasks); pooled.
    """
    return float(distributions.trim_mean(values.ravel(), 0.25))


def probability_of_improvement(first: Array, second: Array) -> float:
    """The chance that a run of the first arm beats one of the second, ties counting half, averaged over
    tasks.

    Runs are compared all with all (Mann and Whitney's statistic; Agarwal et al., arXiv 2108.13264, section
    4.3).

    Args:
        first: (runs, tasks).
        second: (runs, tasks), the runs may differ in number.

    Raises:
        ValueError: they are not matrices of the same tasks.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"shapes {first.shape} and {second.shape} are not (runs, tasks) of the same tasks")
    gap = first[:, None, :] - second[None, :, :]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))
