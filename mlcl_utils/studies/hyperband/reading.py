"""What the searches of the Hyperband study say: incumbents, speed-ups, rank correlations, and sentences on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils.figures import style
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.search.replay import SpeedUp, rank_correlations, speed_up
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.hyperband import HyperbandParameters, Task, tasks
from mlcl_utils.studies.hyperband.searching import METHODS, SCORES, Summary, parameters_of
from mlcl_utils.studies.tables import markdown
from mlcl_utils.studies.wording import Headed

RIVALS = tuple(name for name in METHODS if name != "hyperband")

ORDER_OF_MAGNITUDE = 10
"""Ratio of resources that the published claim is judged by."""


def incumbents(summary: Summary) -> pd.DataFrame:
    """The incumbent's mean scores over the replays of each method against the epochs trained.

    Columns: those of the task, ``method``, ``score`` (validation or test), ``epochs``, ``estimate``, and its 95%
    interval ``lower`` and ``upper``; rows from the epoch on at which every replay has an incumbent.
    """
    rows = []
    for task, by_method in summary.replays.items():
        for method, found in by_method.items():
            for score in SCORES:
                values: Floats = getattr(found, score)
                epochs = _spaced(values.shape[1])
                part = values[:, epochs - 1]
                there = np.isfinite(part).all(axis=0)
                mean = part[:, there].mean(axis=0)
                half = 1.96 * part[:, there].std(axis=0, ddof=1) / np.sqrt(len(part))
                rows.append(
                    pd.DataFrame(
                        {
                            **task._asdict(),
                            "method": method,
                            "score": score,
                            "epochs": epochs[there],
                            "estimate": mean,
                            "lower": mean - half,
                            "upper": mean + half,
                        }
                    )
                )
    return pd.concat(rows, ignore_index=True)


def _spaced(budget: int, points: int = 200) -> Floats:
    """Whole numbers from 1 to a budget, evenly spaced on a logarithmic axis where they are many."""
    return np.unique(np.geomspace(1, budget, points).round().astype(int))


def speed_ups(study: Execution, summary: Summary) -> dict[tuple[Task, str, str], SpeedUp]:
    """How much sooner Hyperband reaches the final score of each rival, by task, rival and score.

    None of a rival of which some replay found nothing but configurations that failed: it has no final score.
    """
    seed = parameters_of(study).seed
    return {
        (task, rival, score): speed_up(
            getattr(by_method["hyperband"], score), getattr(by_method[rival], score), seed=seed
        )
        for task, by_method in summary.replays.items()
        for rival in RIVALS
        for score in SCORES
        if np.isfinite(getattr(by_method[rival], score)[:, -1]).all()
    }


def early(parameters: HyperbandParameters) -> dict[str, int]:
    """Epochs that are 1/27, 1/9 and 1/3 of the full resource, where that is at least one, by their share."""
    shares = {f"1/{part}": parameters.epochs / part for part in (27, 9, 3)}
    return {share: round(epochs) for share, epochs in shares.items() if epochs >= 1}


def correlations(study: Execution, summary: Summary) -> pd.DataFrame:
    """Rank correlation of validation scores after a part of the resource with the final ones, over each pool.

    Columns: those of the task, ``share``, ``resource`` (epochs), ``estimate``, ``lower``, ``upper``.
    """
    parameters = parameters_of(study)
    shares = early(parameters)
    rows = []
    for task, pool in summary.pools.items():
        found = rank_correlations(pool, list(shares.values()), seed=parameters.seed)
        rows += [
            {**task._asdict(), "share": share, **row}
            for share, row in zip(shares, found.to_dict("records"), strict=True)
        ]
    return pd.DataFrame(rows)


def confirmations(study: Execution, summary: Summary) -> pd.DataFrame:
    """Each real search beside the replays, at its end; none that found nothing, or has no replay that found something.

    Columns: those of the task, ``number``, ``score``, ``found`` (the incumbent's score), ``replays`` (their mean),
    ``low`` and ``high`` (the middle 95% of them), ``inside``, ``failed`` (evaluations) and ``time_seconds``.
    """
    rows = []
    for task, made in summary.searches.items():
        for number, each in enumerate(made):
            incumbents_ = each.incumbents()
            if incumbents_.empty or task not in summary.replays:
                continue
            last = incumbents_.iloc[-1]
            for score in SCORES:
                final = getattr(summary.replays[task]["hyperband"], score)[:, -1]
                final = final[np.isfinite(final)]
                if not len(final):
                    continue
                low, high = np.quantile(final, [0.025, 0.975])
                rows.append(
                    {
                        **task._asdict(),
                        "number": number,
                        "score": score,
                        "found": last[score],
                        "replays": final.mean(),
                        "low": low,
                        "high": high,
                        "inside": bool(low <= last[score] <= high),
                        "failed": len(each.result.failures),
                        "time_seconds": sum(one.time_seconds for one in each.result.evaluations),
                    }
                )
    return pd.DataFrame(rows)


def reading(study: Execution, summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return markdown(sentences(study, summary))


def sentences(study: Execution, summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    found = speed_ups(study, summary)
    ranked = correlations(study, summary)
    lines = []
    for task in summary.replays:
        own = {
            rival: found[task, rival, "validation"]
            for rival in RIVALS
            if (task, rival, "validation") in found
        }
        if own:
            lines.append(_speeds(task, own))
        lines.append(_correlation(task, ranked))
    for rival in ("random_search", "tpe"):
        ratios = [
            each for (_, name_, score), each in found.items() if (name_, score) == (rival, "validation")
        ]
        lines += [_claim(rival, ratios)] if ratios else []
    lines += _control(summary, found)
    lost = [name(task) for task in tasks(parameters_of(study)) if task not in summary.replays]
    if lost:
        lines.append(f"Without a result, because all runs have failed: {'; '.join(lost)}.")
    made = confirmations(study, summary)
    if len(made):
        part = made[made["score"] == "validation"]
        lines.append(
            f"{part['inside'].sum()} of {len(part)} real searches end with a validation score within the middle 95% of"
            " the replays'."
        )
    return lines


def name(task: Task) -> str:
    """A task in words."""
    split = f", split {task.replicate}" if task.replicate else ""
    return f"{task.dataset}, {style.look(task.loss).label}{split}"


def verdict(each: SpeedUp) -> str:
    """What the interval of a speed-up says: ``ten times sooner``, ``sooner``, ``not told apart``, ``later``."""
    if each.lower >= ORDER_OF_MAGNITUDE:
        return "ten times sooner"
    if each.lower > 1:
        return "sooner"
    # where the target is not reached at the upper end either, the ratio is below what the budget allows
    below = each.upper < 1 if each.upper else each.rival_epochs <= each.budget
    return "later" if below else "not told apart"


_VERDICTS = {
    "ten times sooner": "at least ten times sooner than",
    "sooner": "sooner than",
    "not told apart": "neither clearly sooner nor clearly later than",
    "later": "later, if at all within its budget, than",
}


def _speeds(task: Task, found: dict[str, SpeedUp]) -> str:
    """How Hyperband compares with every rival, those of one verdict together."""
    parts = []
    for word, phrase in _VERDICTS.items():
        rivals = [
            f"{style.look(rival).label} ({each})" for rival, each in found.items() if verdict(each) == word
        ]
        if rivals:
            parts.append(f"{phrase} {', '.join(rivals)}")
    return Headed(f"{name(task)}:", f" Hyperband reaches the final validation score {'; '.join(parts)}.")


def _correlation(task: Task, ranked: pd.DataFrame) -> str:
    part = ranked[(ranked[list(task._fields)] == list(task)).all(axis=1)]
    values = [
        f"{row.estimate:.2f} [{row.lower:.2f}, {row.upper:.2f}] after {row.share}"
        for row in part.itertuples(index=False)
    ]
    return Headed(
        f"{name(task)}:",
        f" rank correlation of a configuration's score with its final one: {', '.join(values)} of the"
        " epochs.",
    )


def _claim(rival: str, found: list[SpeedUp]) -> str:
    """Whether the published order of magnitude is there, over the tasks."""
    times = sum(each.lower >= ORDER_OF_MAGNITUDE for each in found)
    sooner = sum(each.lower > 1 for each in found)
    # where the target is not reached at the upper end either, the bound is what the budget allows
    bounds = [(each.upper or each.rival_epochs / each.budget, not each.upper) for each in found]
    largest, censored = max(bounds)
    return (
        f"An order of magnitude over {style.look(rival).label}: the ratio's lower bound is 10 or more on {times} of"
        f" {len(found)} tasks, above 1 on {sooner}; the largest upper bound is"
        f" {'below ' * censored}{largest:.1f}."
    )


def _control(summary: Summary, found: dict[tuple[Task, str, str], SpeedUp]) -> list[str]:
    """The least aggressive bracket is random search by another name: what differs between them is noise."""
    gaps = [
        abs(
            found[task, "least_aggressive", "validation"].target
            - found[task, "random_search", "validation"].target
        )
        for task in summary.replays
        if all((task, rival, "validation") in found for rival in ("least_aggressive", "random_search"))
    ]
    if not gaps:
        return []
    return [
        "The least aggressive bracket is random search by another name; the two differ by at most"
        f" {100 * max(gaps):.2f} points, which is the noise of the replays."
    ]
