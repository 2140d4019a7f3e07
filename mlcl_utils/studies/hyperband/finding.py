"""How much search time Hyperband was found to save."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import claims, findings

FIGURE = "incumbents"


def sentence(folder: Path) -> str:
    """How many times the epochs its rivals need to reach the same test score."""
    rows = findings.judged(folder, "hyperband_random_tenfold", "hyperband_bayesian_tenfold")
    tested = rows[rows["verdict"] != "not judged"]
    if tested.empty:
        return "No search can be judged."
    said = []
    for arms, own in tested.groupby("arms", sort=False):
        rival = str(arms).split(" / ")[0]
        on = [f"{claims.effect_words(row)} times on {row['dataset']}" for _, row in own.iterrows()]
        said.append(f"{rival} {' and '.join(on)}")
    return (
        f"To a given score on test, other searches take this many times the epochs of Hyperband: {'; '.join(said)}"
        f" (that it is tenfold: {findings.counted(rows)})."
    )
