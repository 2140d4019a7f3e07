"""Replays of searches on stored learning curves: what a method would have found, hundreds of times, without training.

A pool of configurations is trained once to the full resource, and the scores after every epoch are kept. A method then
searches within the pool as if it trained; each replay draws from it in an order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.search.conduct import Config, EvaluationError
from mlcl_utils.search.methods import Method
from mlcl_utils.search.space import Choice, Sampler, Scalar, Space


@dataclass(frozen=True)
class Pool:
    """Configurations with their learning curves.

    Attributes:
        space: what they were drawn from.
        configs: n different configurations.
        validation: (n, R) score after each epoch, higher is better; NaN from the epoch on in which one failed, or
            everywhere if that is not known.
        test: (n, R) the same on test, which no method sees.

    Raises:
        ValueError: shapes that do not fit, or a configuration that is there twice.
    """

    space: Space
    configs: Sequence[Config]
    validation: Floats
    test: Floats

    def __post_init__(self) -> None:
        shapes = self.validation.shape, self.test.shape
        if len(shapes[0]) != 2 or shapes[0] != shapes[1] or len(self.configs) != shapes[0][0]:
            raise ValueError(
                f"{len(self.configs)} configurations but scores of shapes {shapes[0]}, {shapes[1]}"
            )
        if len({_key(config) for config in self.configs}) < len(self.configs):
            raise ValueError("a configuration is in the pool twice")

    @property
    def resource(self) -> int:
        """Epochs of every curve, R."""
        return int(self.validation.shape[1])


def _key(config: Config) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted(config.items()))


class PoolSampler(Sampler):
    """Draws without replacement from a pool, and from the whole of it again when none is left.

    Args:
        pool: what is drawn from.
        seed: of the order.
    """

    def __init__(self, pool: Pool, seed: int) -> None:
        super().__init__(pool.space, seed)
        self.pool = pool
        self.index = {_key(config): index for index, config in enumerate(pool.configs)}
        self._places = np.stack([_place(pool.space, config) for config in pool.configs])
        self._unordered = np.array(
            [isinstance(each, Choice) and not each.ordered for each in pool.space.dimensions.values()]
        )
        self._left = self._shuffled()

    def _shuffled(self) -> list[int]:
        return [int(index) for index in self._rng.permutation(len(self.pool.configs))]

    def __call__(self) -> dict[str, Scalar]:
        """The next configuration."""
        return self._take(0)

    def settle(self, proposed: Config) -> dict[str, Scalar]:
        """The configuration nearest to a proposed one among those that are left.

        The distance is Euclidean over shares of ranges; a choice without order that differs counts 1, and so does a
        value that only one of the two has.
        """
        place, places = _place(self.space, proposed), self._places[self._left]
        gaps = np.nan_to_num(np.abs(places - place))
        gaps[:, self._unordered] = gaps[:, self._unordered] > 0
        gaps[np.isnan(places) != np.isnan(place)] = 1
        return self._take(int((gaps**2).sum(axis=1).argmin()))

    def _take(self, position: int) -> dict[str, Scalar]:
        index = self._left.pop(position)
        self._left = self._left or self._shuffled()
        return dict(self.pool.configs[index])

    def evaluate(self, config: Config, resource: int, checkpoint: int | None) -> tuple[float, int]:
        """The stored validation score of a configuration at a resource.

        Raises:
            EvaluationError: the configuration had failed by then. Where it is not known when, as in a real search, all
                epochs that were asked for are charged.
        """
        curve = self.pool.validation[self.index[_key(config)]]
        score = float(curve[resource - 1])
        if math.isnan(score):
            before = int(np.isnan(curve).argmax())  # epochs without a failure
            done = before + 1 if before else resource
            raise EvaluationError(f"failed within {done} epochs", trained=done - (checkpoint or 0))
        return score, resource


def _place(space: Space, config: Config) -> Floats:
    """Where a configuration lies: its share of each range, NaN where it has no value."""
    return np.array(
        [
            dimension.position(config[name]) if name in config else np.nan
            for name, dimension in space.dimensions.items()
        ]
    )


@dataclass(frozen=True)
class Incumbents:
    """The best configuration by validation that each replay had found after each epoch of training.

    Attributes:
        validation: (replays, budget) its validation score, column t after t + 1 epochs in all; minus infinity while
            there is none.
        test: (replays, budget) its test score.
    """

    validation: Floats
    test: Floats


def replay(
    pool: Pool, method: Method, eta: int, *, budget: int, replays: int, seed: int | Sequence[int]
) -> Incumbents:
    """Searches a pool many times.

    Args:
        pool: what is searched.
        method: of :data:`mlcl_utils.search.METHODS`, or one with settings of its own.
        eta: as in the method's call; its R is that of the pool.
        budget: epochs of each search.
        replays: how many.
        seed: of the draws; methods that are given different ones draw independently.
    """
    validation = np.full((replays, budget), -np.inf)
    test = np.full((replays, budget), -np.inf)
    epochs = np.arange(1, budget + 1)
    for row, number in enumerate(np.random.SeedSequence(seed).generate_state(replays)):
        sample = PoolSampler(pool, int(number))
        made = method(pool.resource, eta, sample, sample.evaluate, budget=budget).evaluations
        scores = np.array([each.score for each in made])
        members = np.array([sample.index[_key(each.config)] for each in made], dtype=int)
        tests = pool.test[members, np.array([each.resource for each in made], dtype=int) - 1]
        ahead = np.flatnonzero(scores > np.maximum.accumulate(np.append(-np.inf, scores[:-1])))
        used = np.cumsum([each.trained for each in made])[ahead]
        current = np.searchsorted(used, epochs, side="right") - 1
        found = current >= 0
        validation[row, found] = scores[ahead][current[found]]
        test[row, found] = tests[ahead][current[found]]
    return Incumbents(validation, test)


@dataclass(frozen=True)
class SpeedUp:
    """How much sooner a method reaches what a rival has in the end, on the mean over replays.

    Attributes:
        target: the rival's mean score at the end of its budget.
        epochs: that the method took to reach it; infinity if it did not within its budget.
        rival_epochs: that the rival took.
        budget: epochs of the method.
        lower: lower bound of the ratio's interval over replays; 0 if the target is not reached at that end.
        upper: its upper bound; likewise.
        reached: share of the resamples in which the target was reached.
    """

    target: float
    epochs: float
    rival_epochs: float
    budget: int
    lower: float
    upper: float
    reached: float

    @property
    def ratio(self) -> float:
        """Epochs of the rival over epochs of the method; 0 where the target was not reached.

        The ratio is then below ``rival_epochs / budget``, and no more is known.
        """
        return self.rival_epochs / self.epochs

    def __str__(self) -> str:
        bound = f"< {self.rival_epochs / self.budget:.1f}"
        low, high = (f"{each:.1f}" if each else bound for each in (self.lower, self.upper))
        return f"{self.ratio:.1f} [{low}, {high}]" if self.ratio else f"{bound} (not reached) [{low}, {high}]"


def speed_up(
    method: Floats, rival: Floats, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> SpeedUp:
    """Compares the mean incumbents of two methods: resource to reach the rival's final score.

    The interval is over replays, which are resampled for both; a target that is not reached within the budget is
    censored.

    Args:
        method: (replays, budget) one score of :class:`Incumbents`.
        rival: (replays, budget) the same of the rival, whose replays and budget may be others.
        resamples: of the bootstrap.
        level: of the interval.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    own, others = (_means(scores, resamples, rng) for scores in (method, rival))
    targets = others[:, -1:] - 1e-12  # equal means may differ in the last digit
    epochs, rival_epochs = _first(own, targets), _first(others, targets)
    ratios = rival_epochs[1:] / epochs[1:]
    tail = (1 - level) / 2
    lower, upper = np.quantile(ratios, [tail, 1 - tail], method="inverted_cdf")
    return SpeedUp(
        target=float(others[0, -1]),
        epochs=float(epochs[0]),
        rival_epochs=float(rival_epochs[0]),
        budget=method.shape[1],
        lower=float(lower),
        upper=float(upper),
        reached=float(np.isfinite(epochs[1:]).mean()),
    )


def _means(scores: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means over replays, (1 + resamples, budget): of all, then of each resample; -inf until all have an incumbent."""
    count, budget = scores.shape
    weights = rng.multinomial(count, np.full(count, 1 / count), size=resamples) / count
    weights = np.concatenate([np.full((1, count), 1 / count), weights])
    means = np.full((1 + resamples, budget), -np.inf)
    there = np.isfinite(scores).all(axis=0)
    means[:, there] = weights @ scores[:, there]
    return means


def _first(means: Floats, targets: Floats) -> Floats:
    """Epochs until each row of means reaches its target; infinity if it does not."""
    at_least = means >= targets
    return np.where(at_least.any(axis=1), at_least.argmax(axis=1) + 1.0, np.inf)


def rank_correlations(
    pool: Pool, resources: Sequence[int], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """What early stopping stands on: Spearman's correlation of validation scores at a resource with the final ones.

    A configuration that failed ranks last. Columns: ``resource``, ``estimate``, and ``lower`` and ``upper``, a
    bootstrap interval over configurations.

    Args:
        pool: the learning curves.
        resources: epochs at which configurations are compared.
        resamples: of the bootstrap.
        level: of the interval.
        seed: of the bootstrap.
    """
    count = len(pool.configs)
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    drawn = np.concatenate([np.arange(count)[None], drawn])
    scores = np.nan_to_num(pool.validation, nan=-np.inf)
    final = _ranks(scores[:, -1][drawn])
    tail = (1 - level) / 2
    rows = []
    for resource in resources:
        early = _ranks(scores[:, resource - 1][drawn])
        norms = np.sqrt((early**2).sum(axis=1) * (final**2).sum(axis=1))
        found = np.divide(
            (early * final).sum(axis=1), norms, out=np.full(1 + resamples, np.nan), where=norms > 0
        )
        lower, upper = np.nanquantile(found[1:], [tail, 1 - tail])
        rows.append({"resource": resource, "estimate": found[0], "lower": lower, "upper": upper})
    return pd.DataFrame(rows)


def _ranks(scores: Floats) -> Floats:
    """Ranks within each row, centred; equal scores have their mean rank."""
    ranks: Floats = rankdata(scores, axis=1) - (scores.shape[1] + 1) / 2
    return ranks
