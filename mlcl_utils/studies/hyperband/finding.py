"""How much search time Hyperband was found to save."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import claims, findings

FIGURE = "incumbents"


def sentence(folder: Path) -> str:
    """How many times the epochs its rivals need for the score on test that they end with."""
    rows = findings.judged(folder, "hyperband_random_tenfold", "hyperband_bayesian_tenfold")
    tested = rows[rows["verdict"] != "not judged"]
    if tested.empty:
        return "No search can be judged."
    said = []
    for arms, own in tested.groupby("arms", sort=False):
        on = [
            f"{claims.effect_words(row)} times on {row['task']}"
            + (f" ({row['remark']})" if row["remark"] else "")
            for _, row in own.iterrows()
        ]
        said.append(f"{str(arms).split(' / ')[0]} {' and '.join(on)}")
    return (
        "To the score on test that they end with, other searches take this many times the epochs of Hyperband:"
        f" {'; '.join(said)} (that it is tenfold: {findings.counted(rows)})."
    )
