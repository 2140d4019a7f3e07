"""What a study has found, in one sentence that follows from its tables, beside the figure that shows it.

The README, the documentation and the report quote it; :func:`of` reads what an executed notebook has left.
"""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlcl_utils.errors import DataError
from mlcl_utils.paths import shown
from mlcl_utils.studies import claims
from mlcl_utils.studies.base import Study

VERDICTS = ("holds", "reversed", "did not transfer", "no material effect", "undetermined", "not judged")
"""The words of a verdict, in the order in which they are counted up."""


@dataclass(frozen=True)
class Finding:
    """The key figure of a study and what it has found.

    Attributes:
        figure: name of the figure, without its ending.
        sentence: one sentence; its numbers are those of the tables.
    """

    figure: str
    sentence: str


def of(study: Study, folder: Path) -> Finding | None:
    """The finding of a study from its results; None if it states none.

    Args:
        study: the study.
        folder: the results of an executed notebook.

    Raises:
        DataError: the results lack a table that the sentence follows from, or it is damaged.
    """
    if not study.finding:
        return None
    module = importlib.import_module(study.finding)
    try:
        return Finding(module.FIGURE, module.sentence(folder))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"'{shown(folder)}' has tables of another version: {error!r}") from error


def table(folder: Path, name: str) -> pd.DataFrame:
    """A CSV of the results.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return pd.read_csv(folder / name)
    except (OSError, ValueError) as error:
        raise DataError(f"'{shown(folder / name)}' cannot be read: {error}") from error


def judged(folder: Path, *ids: str) -> pd.DataFrame:
    """The rows of some claims in the results, or of all, those that were not judged included.

    Raises:
        DataError: there is no table of claims.
    """
    rows = claims.read(folder / "tables" / f"{claims.TABLE}.csv")
    return rows[rows["claim"].isin(ids)] if ids else rows


def verdict(row: pd.Series) -> str:
    """The verdict of a row; in a changed setting a reversal is that the claim did not transfer."""
    changed = row["verdict"] == "reversed" and row["setting"] == "changed"
    return "did not transfer" if changed else str(row["verdict"])


def counted(rows: pd.DataFrame) -> str:
    """On how many tasks each verdict was given: ``holds on 3, undetermined on 1``."""
    counts = Counter(verdict(row) for _, row in rows.iterrows())
    return ", ".join(f"{word} on {counts[word]}" for word in VERDICTS if counts[word])


def span(rows: pd.DataFrame) -> str:
    """The smallest and the largest effect: ``-0.3 to +1.2``; a single one with its interval."""
    if len(rows) == 1:
        return claims.effect_words(rows.iloc[0])
    return f"{rows['estimate'].min():+.1f} to {rows['estimate'].max():+.1f}"
