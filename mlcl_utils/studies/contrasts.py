"""Contrasts of two arms on the same task, paired by replicate, and what stands against them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from mlcl_utils import stats
from mlcl_utils.figures import style
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import claims, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.claims import Effect
from mlcl_utils.studies.scores import Arms


@dataclass(frozen=True)
class Contrast:
    """One arm minus another, each read with a head.

    Attributes:
        first: the arm that should be ahead.
        second: the arm it is compared with.
        heads: what each of them is read with; empty words for a metric of the representation.
        metric: what differs.
        difference: first minus second, paired.
    """

    first: Arm
    second: Arm
    heads: tuple[str, str]
    metric: str
    difference: Replicates

    @property
    def interval(self) -> Interval:
        """The difference with its 95% interval."""
        return stats.interval(self.difference)

    @property
    def label(self) -> str:
        """What is compared, in words."""
        return _label(self.first, self.second)


def _label(first: Arm, second: Arm) -> str:
    setting = f" {first.setting}" if first.setting else ""
    return f"{style.look(first.loss).label}{setting} − {style.look(second.loss).label}"


def contrast(found: Arms, first: Arm, second: Arm, metric: str, head: str = "best") -> Contrast | None:
    """One arm minus another; None if one is missing, or a replicate of one of them failed.

    Args:
        found: all arms.
        first: the arm that should be ahead.
        second: the other one.
        metric: name of a metric.
        head: ``probe``, ``direct``, ``best`` for the head of each that validation prefers, or nothing for a metric of
            the representation.
    """
    if first not in found or second not in found:
        return None
    heads = [scores.best_head(found[arm]) if head == "best" else head for arm in (first, second)]
    one, other = (
        scores.quantity(found[arm], scores.column(read, metric))
        for arm, read in zip((first, second), heads, strict=True)
    )
    if one is None or other is None or one.index != other.index:
        return None
    return Contrast(first, second, (heads[0], heads[1]), metric, stats.difference(one, other))


def effect(found: Arms, each: Contrast, *, impediment: str = "") -> Effect:
    """A contrast as what a claim is judged by; an arm below the untrained encoder is an impediment.

    Args:
        found: all arms, baselines included.
        each: oriented so that positive means the claim.
        impediment: what else stands against it, such as a dead term.
    """
    words: dict[str, list[str]] = {"impediment": [impediment] if impediment else [], "remark": []}
    for arm, head in zip((each.first, each.second), each.heads, strict=True):
        for kind, said in claims.against(found, [arm], head=head).items():
            words[kind] += [said] if said and said not in words[kind] else []
    return Effect(
        dataset=each.first.dataset,
        task=each.first.describe(),
        arms=each.label,
        measured=each.difference,
        **{kind: "; ".join(said) for kind, said in words.items()},
    )


def lost_effect(lost: Collection[Arm], first: Arm, second: Arm) -> Effect | None:
    """What stands for the effect of a contrast that there is none of; None if no run of its arms failed.

    Args:
        lost: the arms of which runs have failed.
        first: the arm that should be ahead.
        second: the other one.
    """
    names = [style.look(arm.loss).label for arm in (first, second) if arm in lost]
    if not names:
        return None
    reason = f"runs have failed: {', '.join(names)}"
    return Effect(first.dataset, first.describe(), _label(first, second), None, impediment=reason)


def by_dataset(found: Iterable[Contrast]) -> Iterator[tuple[str, list[Contrast]]]:
    """The contrasts of each data set, in the order in which data sets first occur."""
    whole = list(found)
    names = list(dict.fromkeys(each.first.dataset for each in whole))
    ordered = sorted(whole, key=lambda each: names.index(each.first.dataset))
    for name, own in itertools.groupby(ordered, key=lambda each: each.first.dataset):
        yield name, list(own)
