"""How much search time Hyperband was found to save."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlcl_utils.studies import claims, findings

FIGURE = "speed_ups"


def sentence(folder: Path) -> str:
    """How many times the epochs its rivals need for the score on test that they end with."""
    rows = findings.judged(folder, "hyperband_random_tenfold", "hyperband_bayesian_tenfold")
    tested = rows[rows["verdict"] != "not judged"]
    if tested.empty:
        return "No search can be judged."
    censored = ", counted as reached at the end of the budget"
    unreached = tested["remark"].str.contains(censored)
    said = []
    for arms, own in tested.groupby("arms", sort=False):
        on = [
            f"{_times(row, bound=censored in row['remark'])} times on {row['task']}"
            + (f" ({row['remark'].replace(censored, '')})" if row["remark"] else "")
            for _, row in own.iterrows()
        ]
        said.append(f"{str(arms).split(' / ')[0]} {' and '.join(on)}")
    counted = "; a score that is not reached counts as reached at the end of the budget"
    return (
        "To the score on test that they end with, other searches take this many times the epochs of Hyperband:"
        f" {'; '.join(said)}{counted if unreached.any() else ''}."
        f" That it is tenfold: {findings.counted(rows)}."
    )


def _times(row: pd.Series, *, bound: bool) -> str:
    """A ratio with its interval, or what it is at most: how far below it may lie, no interval tells."""
    return f"at most {row['estimate']:.1f}" if bound else claims.effect_words(row)
