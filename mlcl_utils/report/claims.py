"""The table of claims: what the ledger study has left in ``tables/claims.csv``, one row a claim and task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlcl_utils.report import tables
from mlcl_utils.report.results import Results

STUDY, FILE = "00_claims", "tables/claims.csv"
"""The study that reads the results of the others, and what it leaves."""

VERDICTS = ("holds", "reversed", "did not transfer", "no material effect", "undetermined", "not judged")
"""The words of a verdict, in the order in which they are counted up."""

# What a row shows in places of its own. Further columns are in the file.
_SHOWN = ("claim", "statement", "source", "study", "metric", "margin", "verdict", "reason")


@dataclass(frozen=True)
class Effect:
    """An effect with its interval, and where to draw it on an axis that is centred on zero.

    Attributes:
        estimate: oriented so that positive means the claim.
        lower: of the 95% interval; NaN if there is none.
        upper: likewise.
        margin: below which an effect is immaterial; NaN if there is none.
    """

    estimate: float
    lower: float
    upper: float
    margin: float

    @property
    def text(self) -> str:
        """The estimate with its interval, which has two significant digits: ``+1.2 [-0.3, +2.7]``."""
        if not self.bounded:
            return f"{self.estimate:+.3g}"
        half = (self.upper - self.lower) / 2
        digits = min(max(1 - math.floor(math.log10(half)), 1), 6) if half > 0 else 2
        return f"{self.estimate:+.{digits}f} [{self.lower:+.{digits}f}, {self.upper:+.{digits}f}]"

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    def place(self, value: float) -> float:
        """Where a value lies on the axis, in [0, 100]; zero is at 50."""
        sizes = [
            abs(each) for each in (self.estimate, self.lower, self.upper, self.margin) if math.isfinite(each)
        ]
        return 50 + 48 * value / max(sizes) if max(sizes) > 0 else 50.0


@dataclass(frozen=True)
class Row:
    """A claim on one task.

    Attributes:
        fields: by name: ``claim``, ``statement``, ``source``, ``study``, ``metric``, ``margin``, ``verdict``,
            ``reason``; empty where the table has no such column.
        task: what it was tested on.
        effect: what was measured; None if there is no number.
    """

    fields: Mapping[str, str]
    task: str
    effect: Effect | None

    @property
    def verdict(self) -> str:
        """The verdict; ``not judged`` if the table has none."""
        return self.fields["verdict"] or "not judged"


@dataclass(frozen=True)
class Claim:
    """A claim with its rows, one a task."""

    name: str
    statement: str
    source: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Ledger:
    """The claims as one results folder holds them."""

    results: Results
    rows: tuple[Row, ...]

    @property
    def claims(self) -> list[Claim]:
        """The claims in the order of the table."""
        names = dict.fromkeys(row.fields["claim"] for row in self.rows)
        grouped = {name: tuple(row for row in self.rows if row.fields["claim"] == name) for name in names}
        return [
            Claim(name, rows[0].fields["statement"] or name, rows[0].fields["source"], rows)
            for name, rows in grouped.items()
        ]

    def of(self, study: str) -> list[Row]:
        """The rows that stand on a study."""
        return [row for row in self.rows if row.fields["study"] == study]


def ledgers(found: Iterable[Results]) -> list[Ledger]:
    """The tables of claims that there are, one a preset, in the order of the results."""
    made = (Ledger(each, _rows(tables.read(each.folder / FILE))) for each in found if each.study == STUDY)
    return [ledger for ledger in made if ledger.rows]


def counted(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """How often each verdict was given, in the usual order; those that are not among the usual ones last."""
    counts = Counter(row.verdict for row in rows)
    return [(word, counts[word]) for word in dict.fromkeys((*VERDICTS, *sorted(counts))) if counts[word]]


def _rows(table: tables.Table) -> tuple[Row, ...]:
    if "claim" not in table.columns:
        return ()
    return tuple(_row(dict(zip(table.columns, cells, strict=True))) for cells in table.rows)


def _row(cells: Mapping[str, str]) -> Row:
    fields = {name: cells.get(name, "") for name in _SHOWN}
    parts = [cells.get("task") or cells.get("dataset", "")]
    if cells.get("num_labels") and not cells.get("task"):
        parts.append(f"{cells['num_labels']} labels")
    estimate, *others = (_number(cells, name) for name in ("estimate", "lower", "upper", "margin"))
    effect = Effect(estimate, *others) if math.isfinite(estimate) else None
    return Row(fields, ", ".join(filter(None, parts)), effect)


def _number(cells: Mapping[str, str], name: str) -> float:
    value = tables.number(cells.get(name, ""))
    return math.nan if value is None else value
