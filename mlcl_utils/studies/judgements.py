"""The table of claims that every study leaves: its effects on published claims with their verdicts, by rule 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from mlcl_utils.errors import DataError
from mlcl_utils.figures import style
from mlcl_utils.paths import shown
from mlcl_utils.stats import Interval
from mlcl_utils.studies import comparisons, published, scores
from mlcl_utils.studies.comparisons import BOUNDS, PROBABILITIES
from mlcl_utils.studies.published import Claim

CLAIMS = "claims"
"""Name of the table, in ``tables/`` of a study's results, that holds its claims."""

RULE = 2
"""The rule by which verdicts are given; docs/rules.md says what it changed and why."""

_DESCRIBED = (
    "claim",
    "statement",
    "source",
    "where",
    "study",
    "dataset",
    "task",
    "reading",
    "metric",
    "head",
    "arms",
)
_JUDGED = ("verdict", "evidence", "reason", "remark")
_SETTING = ("setting", "changes", "claims_sha256")
_TEXTS = (*_DESCRIBED, "points", "unit", "test", *_JUDGED, *_SETTING)
COLUMNS = (
    *_DESCRIBED,
    *("estimate", *BOUNDS, "replicates", "points", "margin", "unit", "test", "rule"),
    *("verdict", "evidence", *PROBABILITIES, "reason", "remark", "censored", *_SETTING),
)


def of(study: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The claims of a study, from its frame of comparisons: one row per effect, in the order of ``claims.toml``.

    A claim without an effect on one of its data sets has a row there that says so. Columns: ``claim`` (the id),
    ``statement``, ``source``, ``where``, ``study``, ``dataset``, ``task``, ``reading``, ``metric``, ``head``, ``arms``
    (what is compared), then those of the frame from ``estimate`` on with ``remark`` for ``flag``, ``rule``,
    ``setting``, ``changes``, ``claims_sha256``.
    """
    found: list[dict[Any, Any]] = []
    for claim in published.of(study):
        own = rows[rows["name"] == claim.id].rename(columns={"compared": "arms", "flag": "remark"})
        found += [{**row, **_described(claim)} for row in own.to_dict("records")]
        absent = [name for name in claim.datasets if name not in set(own["dataset"])]
        found += [unmeasured(claim, name, "not measured") for name in absent]
    return pd.DataFrame(found, columns=list(COLUMNS))


def unmeasured(claim: Claim, dataset: str, reason: str) -> dict[str, Any]:
    """The row of a claim of which there is nothing on a data set."""
    return {
        **_described(claim),
        **dict.fromkeys(("arms", "points", "evidence", "remark"), ""),
        "dataset": dataset,
        "task": dataset,
        "unit": "points" if style.metric(claim.metric).percent else "",
        "censored": False,
        "verdict": "not judged",
        "reason": reason,
    }


def _described(claim: Claim) -> dict[str, Any]:
    words = ("statement", "source", "where", "study", "metric", "margin", "test", "setting", "changes")
    return {
        "claim": claim.id,
        **claim.model_dump(include=set(words)),
        "reading": claim.reading or "",
        "head": claim.head or "",
        "rule": RULE,
        "claims_sha256": published.digest(claim.study),
    }


def read(path: Path) -> pd.DataFrame:
    """The rows of :func:`of` from the CSV that a notebook has written, with the claims' words of today.

    Those of an earlier rule are judged again.

    Raises:
        DataError: it cannot be read, or is no such table.
    """
    try:
        rows = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str))
        if "rule" not in rows:
            rows = _of_rule_1(rows)
        rows[list(_TEXTS)] = rows[list(_TEXTS)].fillna("")  # an empty cell is no number
        worded = {claim.id: claim.statement for claim in published.load()}
        rows["statement"] = rows["claim"].map(worded).fillna(rows["statement"])
        return rows[list(COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"'{shown(path)}' is no table of claims: {error}") from error


_RULE_1 = ("degenerate: ", f"{scores.UNTRAINED}: ")
"""How reasons began that rule 2 turns into remarks."""


def _of_rule_1(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that rule 1 has judged, judged again from their bounds.

    An arm below the untrained encoder was a reason; which arms are dead by rule 2, these tables do not say.
    """
    rows = rows.assign(rule=RULE, reading="", evidence="", **dict.fromkeys(PROBABILITIES, float("nan")))
    if "censored" not in rows:  # as the oldest of them say it
        rows["censored"] = rows["remark"].fillna("").str.startswith("not reached")
    rows["censored"] &= ~rows["remark"].fillna("").str.match(
        r"not reached on [12] of 5 "
    )  # reached on most splits
    for at, row in rows.fillna({"reason": "", "remark": ""}).iterrows():
        parts = [part for part in row["reason"].split("; ") if part and not part.endswith("are needed")]
        moved = [part.replace("degenerate", scores.UNTRAINED) for part in parts if part.startswith(_RULE_1)]
        reason = "; ".join(part for part in parts if not part.startswith(_RULE_1))
        found = {"reason": reason, "remark": "; ".join(filter(None, [row["remark"], *moved]))}
        if pd.notna(row["estimate"]):
            said = comparisons.judge(
                measured(row), row["margin"], row["test"], censored=bool(row["censored"])
            )
            found = {**said, **({"verdict": "not judged", "evidence": ""} if reason else {}), **found}
        for name, value in found.items():
            rows.at[at, name] = value
    return rows


def measured(row: pd.Series[Any]) -> Interval:
    """What was measured, from the bounds of a row, in its units; NaN in all where there is no number."""
    bounds = {kind: (row[f"{kind}_lower"], row[f"{kind}_upper"]) for kind in ("replicate", "bootstrap")}
    count = int(row["replicates"]) if pd.notna(row["replicates"]) else 1
    edges = bounds["replicate"], bounds["bootstrap"]
    return Interval(row["estimate"], row["lower"], row["upper"], *edges, 0.95, count)
