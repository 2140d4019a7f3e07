"""What temperature was found to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlcl_utils import stats
from mlcl_utils.stats import Interval, Replicates
from mlcl_utils.studies import claims, findings, wording
from mlcl_utils.studies.temperature import sweeps
from mlcl_utils.studies.temperature.sweeps import FEWEST_OF_TREND, LOWEST_OF_SOURCE

FIGURE = "scores"


def sentence(folder: Path) -> str:
    """On how many tasks an intermediate temperature is best, and by how much it leads on all that can be judged."""
    rows = findings.judged(folder, "intermediate_best")
    tasks = list(rows.groupby("task", sort=False))
    tested = [(str(task), own) for task, own in tasks if (own["verdict"] != "not judged").all()]
    holds = [(task, own) for task, own in tested if (own["verdict"] == "holds").all()]
    if not tested:
        return f"On none of {len(tasks)} tasks can the best temperature be judged."
    count = f"{len(holds)}" if holds else "none"
    return (
        f"Of {len(tasks)} tasks {len(tested)} can be judged, and an intermediate temperature is clearly best on {count}"
        f" of them: {'; '.join(_best(task, own) for task, own in tested)}.{_geometry(folder)}"
    )


def _geometry(folder: Path) -> str:
    """What claims on the geometry would rest on over the source's temperatures alone, where that points elsewhere."""
    rows = findings.judged(folder, "uniformity_falls", "tolerance_rises", "hard_negatives_uniform")
    points = findings.table(folder, "figures/geometry.points.csv")
    points = points[points["loss"] == "instance"]
    said = []
    for _, row in rows[rows["verdict"] != "not judged"].iterrows():
        own = points[_task(points) == row["task"]]
        parts = own, own[own["temperature"] >= LOWEST_OF_SOURCE]
        whole, part = (_effect(str(row["claim"]), each) for each in parts)
        if whole is not None and part is not None and wording.direction(whole) != wording.direction(part):
            words = f"{wording.signed(part)} from there on and {wording.signed(whole)} over all"
            said.append(f"{row['arms']} on {row['task']} is {words}")
    if not said:
        return ""
    return (
        f" Verdicts on the geometry hang on temperatures below τ {LOWEST_OF_SOURCE:g}, where the source begins:"
        f" {'; '.join(said)}."
    )


def _task(points: pd.DataFrame) -> pd.Series:
    encoder = points["encoder"].map(lambda name: "" if name == "frozen" else f", {name}")
    return points["dataset"] + ", " + points["num_labels"].astype(str) + " labels" + encoder


def _effect(claim: str, points: pd.DataFrame) -> Interval | None:
    """What a claim is judged by, from the points of the figure; None where a temperature lacks replicates."""

    def by_temperature(metric: str, variant: str) -> dict[float, Replicates]:
        own = points[(points["metric"] == metric) & (points["variant"].fillna("") == variant)]
        each = {t: own[own["temperature"] == t] for t in sorted(own["temperature"].unique().tolist())}
        return {
            t: Replicates(tuple(rows["replicate"]), rows["estimate"].to_numpy()) for t, rows in each.items()
        }

    if claim == "hard_negatives_uniform":
        wide, narrow = (sweeps.spread_of(by_temperature("uniformity", each)) for each in ("", "hard"))
        if wide is None or narrow is None or wide.index != narrow.index:
            return None
        return stats.interval(stats.difference(wide, narrow))
    metric, sign = ("uniformity", -1) if claim == "uniformity_falls" else ("tolerance", 1)
    found = by_temperature(metric, "")
    measured = sweeps.trend_of(found) if len(found) >= FEWEST_OF_TREND else None
    if measured is None:
        return None
    return stats.interval(stats.combine([measured], lambda part: sign * part[0])).within(-1, 1)


def _best(task: str, rows: pd.DataFrame) -> str:
    best = rows["arms"].iloc[0].split(" − ")[0].removeprefix("best ")
    ends = [f"{claims.effect_words(row)} to the {row['arms'].split(' − ')[1]}" for _, row in rows.iterrows()]
    return f"on {task}, the lead of {best} in points of mAP is {' and '.join(ends)}"
