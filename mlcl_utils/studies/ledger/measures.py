"""What the ledger reads: the claims in the results of the other studies, and why those of some cannot be used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import stats
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.stats import Measured, Replicates
from mlcl_utils.studies import comparisons, judgements, published
from mlcl_utils.studies.execution import Execution, once
from mlcl_utils.studies.ledger import Source, sources
from mlcl_utils.studies.manifest import MANIFEST, file_digest

TABLE = f"tables/{judgements.CLAIMS}.csv"


@once
def states(study: Execution) -> pd.DataFrame:
    """The studies that the claims name, one row per study.

    Columns: ``study``; ``read``, whether its results are used; ``state``, of what sources they are or why they are not
    used; their ``commit``, ``finished`` and compute, ``runs``, ``failed`` and ``seconds``.
    """
    rows = []
    for source in sources(study.parameters):
        reason, manifest = _manifest(source)
        compute = manifest.get("compute", {})
        rows.append(
            {
                "study": source.name,
                "read": not reason,
                "state": reason or _state(source, manifest),
                "commit": str(manifest.get("commit") or "")[:12],
                "finished": manifest.get("finished", ""),
                **{name: compute.get(name, math.nan) for name in ("runs", "failed", "seconds")},
            }
        )
    return pd.DataFrame(rows)


@once
def claims(study: Execution) -> pd.DataFrame:
    """The rows of :func:`mlcl_utils.studies.judgements.of` of all studies, in the order of the claims.

    Where the results of a study are not used, the reason says why.
    """
    known = states(study).set_index("study")
    parts = []
    for source in sources(study.parameters):
        if known["read"][source.name]:
            assert source.folder is not None
            parts.append(judgements.read(source.folder / TABLE))
        else:
            nothing = pd.DataFrame(columns=list(comparisons.COLUMNS))
            parts.append(judgements.of(source.name, nothing).assign(reason=known["state"][source.name]))
    order = {claim.id: at for at, claim in enumerate(published.load())}
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values("claim", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)


DECIDED = ("holds", "opposite", "no material effect", "does not hold")
"""The verdicts that decide."""

FRESH = range(5, 10)
"""Splits that nobody had looked at when the rules and the settings were chosen."""


@once
def evidence(study: Execution) -> pd.DataFrame:
    """The rows of :func:`claims` with what the ledger adds to them.

    Columns: ``error``, the probability that a decided row is decided wrongly; ``q_above`` and ``q_below``, rates of
    false discoveries (Benjamini and Hochberg) among all rows against an effect of at most, and at least, the margin;
    ``on_fresh_splits``, the effect on splits 5 to 9 alone; NaN where there is none.
    """
    rows = claims(study)
    above, within, below = (rows[name].astype(float) for name in comparisons.PROBABILITIES)
    probable = above.where(rows["test"] != "non-superiority", above + within)
    right = pd.Series(np.nan, rows.index)
    chances = {
        "holds": probable,
        "does not hold": 1 - probable,
        "opposite": below,
        "no material effect": within,
    }
    for verdict, chance in chances.items():
        right = right.where(rows["verdict"] != verdict, chance)
    effects = [comparisons.oriented(judgements.measured(row), row["test"]) for _, row in rows.iterrows()]
    bounds = [_bound(row) for _, row in rows.iterrows()]

    judged = rows["evidence"] != ""

    def rates(test: Callable[[Measured, float], float]) -> Floats:
        """Of false discoveries, among the effects that something can rest on."""
        found = np.array([test(*each) for each in zip(effects, bounds, strict=True)])
        return stats.false_discovery_rates(np.where(judged, found, np.nan))

    fresh = [_on_fresh_splits(row["points"]) for _, row in rows.iterrows()]
    return rows.assign(
        error=1 - right, q_above=rates(stats.p_above), q_below=rates(stats.p_below), on_fresh_splits=fresh
    )


def _bound(row: pd.Series[Any]) -> float:
    """The effect from which on the claim is true."""
    margin = float(row["margin"])
    return {"ratio": math.log(margin) if margin > 0 else 0.0, "non-superiority": -margin}.get(
        row["test"], margin
    )


def _on_fresh_splits(points: str) -> float:
    values = [float(each) for each in points.split()]
    own = [values[at] for at in FRESH if at < len(values)]
    return float(np.mean(own)) if own else math.nan


def pooled(study: Execution) -> pd.DataFrame:
    """Claims over data sets by random effects, one row per claim that three or more of them have an effect of.

    The rows of one data set are averaged per split first. Columns: ``claim``, ``statement``, ``datasets`` (their
    number), ``estimate``, ``lower``, ``upper``, ``spread`` between data sets, ``prior`` of that, ``p_above``,
    ``p_below``, ``unit``. They decide nothing.
    """
    return pd.DataFrame(_pooled(claims(study)), columns=[*_POOLED, "p_above", "p_below", "unit"])


_POOLED = ("claim", "statement", "datasets", "estimate", "lower", "upper", "spread", "prior")


def _pooled(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    judged = rows[(rows["verdict"] != "not judged") & (rows["points"] != "") & (rows["margin"] > 0)]
    for name, own in judged.groupby("claim", sort=False):
        sets = [_of_data_set(part) for _, part in own.groupby("dataset", sort=False)]
        if len(sets) < stats.FEWEST_POOLED:
            continue
        found, first = stats.pool(sets, float(own["margin"].iloc[0])), own.iloc[0]
        numbers = (found.n, found.estimate, found.lower, found.upper, found.spread, found.prior)
        yield {
            **dict(zip(_POOLED, (name, first["statement"], *numbers), strict=True)),
            "p_above": found.above,
            "p_below": found.below,
            "unit": first["unit"],
        }


def _of_data_set(rows: pd.DataFrame) -> Replicates:
    points = [[float(each) for each in row.split()] for row in rows["points"]]
    count = min(map(len, points))
    return Replicates(tuple(range(count)), np.mean([each[:count] for each in points], axis=0))


def _manifest(source: Source) -> tuple[str, Mapping[str, Any]]:
    """Why a study's results cannot be used, empty if they can; and their manifest."""
    if source.folder is None:
        return source.refusal, {}
    command = f"mlcl run {source.name}"
    try:
        manifest: dict[str, Any] = json.loads((source.folder / MANIFEST).read_text(encoding="utf-8"))
        expected = manifest["files"].get(TABLE)
    except FileNotFoundError:
        return f"{source.name} has no results at these parameters; {command}", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"the manifest of {source.name} is damaged; {command}", {}
    if expected is None:
        return f"{source.name} has judged no claims; {command}", manifest
    try:
        if file_digest(source.folder / TABLE) != expected:
            return f"{TABLE} of {source.name} is not the one that it left; {command}", manifest
    except OSError:
        return f"{TABLE} of {source.name} is missing; {command}", manifest
    if set(judgements.read(source.folder / TABLE)["claims_sha256"]) != {published.digest(source.name)}:
        return f"{source.name} was judged by other claims than those of today; {command}", manifest
    return "", manifest


def _state(source: Source, manifest: Mapping[str, Any]) -> str:
    assert source.study is not None
    assert source.parameters is not None
    if manifest.get("digest") == source.study.digest(source.parameters):
        return "up to date"
    return "made by other sources than those of today, or by hand"
