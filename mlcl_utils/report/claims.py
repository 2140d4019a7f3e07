"""The tables of claims that studies leave in ``tables/claims.csv``, one row per claim and task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlcl_utils.report import tables
from mlcl_utils.report.results import Results

LEDGER, FILE = "00_claims", "tables/claims.csv"
"""The study that puts the claims of the others together, and what each of them leaves."""

VERDICTS = (
    *("holds", "opposite", "did not transfer", "no material effect", "does not hold", "open", "not judged"),
)
"""The words of a verdict, in the order in which they are counted up."""

# What a page shows beside the effect. Further columns are in the file.
_SHOWN = (
    *("claim", "statement", "source", "where", "study", "task", "arms"),
    *("metric", "margin", "unit", "test", "verdict", "reason", "remark", "setting"),
)


@dataclass(frozen=True)
class Effect:
    """An effect with its interval, and where to draw it on an axis that is centred on zero.

    Attributes:
        estimate: oriented so that positive means the claim.
        lower: of the 95% interval; NaN if there is none.
        upper: likewise.
        margin: below which an effect is immaterial; NaN if there is none.
        signed: whether it is a difference, as against a ratio.
    """

    estimate: float
    lower: float
    upper: float
    margin: float
    signed: bool = True

    @property
    def text(self) -> str:
        """The estimate with its interval, which has two significant digits: ``+1.2 [-0.3, +2.7]``."""
        sign = "+" if self.signed else ""
        if not self.bounded:
            return f"{self.estimate:{sign}.3g}"
        half = (self.upper - self.lower) / 2
        digits = min(max(1 - math.floor(math.log10(half)), 1), 6) if half > 0 else 2
        form = f"{sign}.{digits}f"
        return f"{self.estimate:{form}} [{self.lower:{form}}, {self.upper:{form}}]"

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
        fields: texts by the name of their column, such as ``statement``; empty where the table has no such column.
        effect: what was measured; None if there is no number.
    """

    fields: Mapping[str, str]
    effect: Effect | None

    @property
    def verdict(self) -> str:
        """The verdict; the opposite in a setting that is not the original paper's is that it did not transfer."""
        if self.fields["verdict"] == "opposite" and self.fields["setting"] == "changed":
            return "did not transfer"
        return self.fields["verdict"] or "not judged"

    @property
    def margin(self) -> str:
        """The margin with its unit, and the kind of test where it is not the usual one."""
        unit = (
            "point"
            if (self.fields["margin"], self.fields["unit"]) == ("1", "points")
            else self.fields["unit"]
        )
        words = [f"{self.fields['margin']} {unit}".strip(), self.fields["test"]]
        return ", ".join(word for word in words if word and word != "superiority")


def of(results: Results) -> list[Row]:
    """The claims that results have judged; none if they have no table of them."""
    table = tables.read(results.folder / FILE)
    if "claim" not in table.columns:
        return []
    return [_row(dict(zip(table.columns, cells, strict=True))) for cells in table.rows]


def counted(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """How often each verdict was given, in the usual order; those that are not among the usual ones last."""
    counts = Counter(row.verdict for row in rows)
    return [(word, counts[word]) for word in dict.fromkeys((*VERDICTS, *sorted(counts))) if counts[word]]


def _row(cells: Mapping[str, str]) -> Row:
    fields = {name: cells.get(name, "") for name in _SHOWN}
    fields["statement"] = fields["statement"] or fields["claim"]
    fields["task"] = fields["task"] or cells.get("dataset", "")
    estimate, lower, upper, margin = (
        _number(cells, name) for name in ("estimate", "lower", "upper", "margin")
    )
    signed = fields["test"] != "ratio"
    return Row(fields, Effect(estimate, lower, upper, margin, signed) if math.isfinite(estimate) else None)


def _number(cells: Mapping[str, str], name: str) -> float:
    value = tables.number(cells.get(name, ""))
    return math.nan if value is None else value
