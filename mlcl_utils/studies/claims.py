"""How a study's effects are judged by the published claims (:mod:`mlcl_utils.studies.published`).

A study measures effects, by the id of a claim, and :func:`table` in its notebook judges them; the ledger ``00_claims``
puts the tables of all studies together. Margins, tests and corrections come from ``notebooks/claims.toml`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlcl_utils import figures, stats
from mlcl_utils.errors import DataError, unknown
from mlcl_utils.figures import style
from mlcl_utils.paths import shown
from mlcl_utils.stats import Interval, Judgement, Replicates, Verdict
from mlcl_utils.studies import published, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.published import Claim
from mlcl_utils.studies.scores import Arms
from mlcl_utils.studies.wording import Headed

TABLE = "claims"
"""Name of the table, in ``tables/`` of a study's results, that its judged effects are written to."""


@dataclass(frozen=True)
class Effect:
    """What a claim is judged by on one task.

    Attributes:
        dataset: name of the data set.
        task: the task in words, such as those of :meth:`mlcl_utils.studies.Arm.describe`.
        arms: what is compared, such as ``"REG − BCE"``.
        measured: the effect in every replicate, oriented so that positive means the claim, shares as fractions; or,
            of a ratio, its interval. None where it cannot be measured, because runs have failed.
        impediment: why no verdict can rest on it, such as a degenerate arm or a dead term; empty if nothing is wrong.
        remark: what a reader has to know besides, such as an arm below the baseline.
    """

    dataset: str
    task: str
    arms: str
    measured: Replicates | Interval | None
    impediment: str = ""
    remark: str = ""


Effects = Mapping[str, Sequence[Effect]]
"""Effects by the id of the claim."""


def judged(study: str, effects: Effects) -> pd.DataFrame:
    """The verdicts on a study's claims: one row an effect, and one a data set of a claim that has no effect on it.

    Claims that choose the best of several arms are corrected by Holm together. Numbers are in points where the metric
    is a share.

    Columns: ``claim``, ``statement``, ``source``, ``where``, ``study``, ``dataset``, ``task``, ``metric``, ``head``,
    ``arms``, ``estimate``, ``lower``, ``upper``, the bounds ``replicate_*`` and ``bootstrap_*``, ``replicates`` (their
    number), ``points`` (the effect in each), ``margin``, ``unit``, ``test``, ``p_value`` (after the correction),
    ``corrected_over`` (number of effects; 1 for no correction), ``verdict``, ``reason`` (why it was not judged),
    ``remark``, ``setting``, ``changes``, ``claims_sha256``.

    Raises:
        UsageError: an effect of a claim that the study does not have.
    """
    claims = {claim.id: claim for claim in published.of(study)}
    for name in effects:
        if name not in claims:
            raise unknown(f"claim of {study}", name, claims)
    asked = [(claim, effect) for claim in claims.values() for effect in effects.get(claim.id, ())]
    asked = [pair for pair in asked if pair[1].measured is not None]
    together = [pair for pair in asked if pair[0].best_of]
    judgements = {id(effect): found for (_, effect), found in zip(together, _judge(together), strict=True)}
    tested = sum(found.verdict != "not judged" for found in judgements.values())
    rows = []
    for claim in claims.values():
        offered = effects.get(claim.id, ())
        for effect in offered:
            if effect.measured is None:
                lost = _empty_row(claim, effect.dataset, effect.impediment)
                rows.append(lost | {"task": effect.task, "arms": effect.arms})
                continue
            found = judgements.get(id(effect)) or _judge([(claim, effect)])[0]
            count = tested if claim.best_of and found.verdict != "not judged" else 1
            rows.append(_row(claim, effect, found, count))
        measured = {effect.dataset for effect in offered}
        rows += [_empty_row(claim, name, "not measured") for name in claim.datasets if name not in measured]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def read(path: Path) -> pd.DataFrame:
    """The rows of :func:`judged` from the CSV that :func:`table` has written.

    Raises:
        DataError: it cannot be read, or is no such table.
    """
    try:
        rows = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str))
        rows[list(_TEXTS)] = rows[list(_TEXTS)].fillna("")  # an empty cell is no number
        return rows[list(_COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"'{shown(path)}' is no table of claims: {error}") from error


def unmeasured(claim: Claim, reason: str) -> pd.DataFrame:
    """Rows as those of :func:`judged` for a claim on which there is nothing: one a data set."""
    return pd.DataFrame([_empty_row(claim, name, reason) for name in claim.datasets], columns=list(_COLUMNS))


def _judge(asked: Sequence[tuple[Claim, Effect]]) -> list[Judgement]:
    """Verdicts on effects of which several are corrected together; a ratio stands alone."""
    if len(asked) == 1 and isinstance(asked[0][1].measured, Interval):
        return [_judge_ratio(*asked[0])]
    replicates = []
    for claim, effect in asked:
        assert effect.measured is not None
        if isinstance(effect.measured, Interval) or claim.test == "ratio":
            raise TypeError(f"claim '{claim.id}': an interval is judged as a ratio, replicates are not")
        sign = -_scale(claim) if claim.test == "non-superiority" else _scale(claim)
        replicates.append(stats.combine([effect.measured], lambda part, by=sign: by * part[0]))  # type: ignore[misc]
    return stats.judge_family(
        replicates,
        [claim.margin for claim, _ in asked],
        impediments=[effect.impediment for _, effect in asked],
        leads=[claim.test == "non-superiority" for claim, _ in asked],
    )


def _judge_ratio(claim: Claim, effect: Effect) -> Judgement:
    """*Holds* if the whole interval is at the margin or above, *reversed* if it is below."""
    assert isinstance(effect.measured, Interval)
    if claim.test != "ratio":
        raise TypeError(f"claim '{claim.id}' is not of a ratio: give the effect in every replicate")
    if effect.impediment:
        return Judgement("not judged", effect.measured, math.nan, effect.impediment)
    if effect.measured.lower >= claim.margin:
        return Judgement("holds", effect.measured, math.nan)
    verdict: Verdict = "reversed" if effect.measured.upper < claim.margin else "undetermined"
    return Judgement(verdict, effect.measured, math.nan)


def _scale(claim: Claim) -> float:
    return 100.0 if style.metric(claim.metric).percent else 1.0


_CLAIM = ("statement", "source", "where", "study", "metric", "head", "margin", "test", "setting", "changes")
_BOUNDS = ("lower", "upper", "replicate_lower", "replicate_upper", "bootstrap_lower", "bootstrap_upper")
_TEXTS = (
    *(
        "claim",
        "statement",
        "source",
        "where",
        "study",
        "dataset",
        "task",
        "metric",
        "head",
        "arms",
        "points",
        "unit",
    ),
    *("test", "verdict", "reason", "remark", "setting", "changes", "claims_sha256"),
)
_COLUMNS = (
    *("claim", "statement", "source", "where", "study", "dataset", "task", "metric", "head", "arms"),
    *("estimate", *_BOUNDS, "replicates", "points", "margin", "unit", "test", "p_value", "corrected_over"),
    *("verdict", "reason", "remark", "setting", "changes", "claims_sha256"),
)


def _described(claim: Claim) -> dict[str, Any]:
    return {
        "claim": claim.id,
        **claim.model_dump(include=set(_CLAIM)),
        "head": claim.head or "",
        "unit": "points" if style.metric(claim.metric).percent else "",
        "claims_sha256": published.digest(),
    }


def _row(claim: Claim, effect: Effect, found: Judgement, count: int) -> dict[str, Any]:
    scale, measured = _scale(claim), effect.measured
    assert measured is not None
    bounds = measured if isinstance(measured, Interval) else stats.interval(measured)
    row = scores.as_row(bounds)
    points = [] if isinstance(measured, Interval) else list(measured.values)
    return {
        **_described(claim),
        **{name: scale * row[name] for name in ("estimate", *_BOUNDS)},
        "replicates": row["replicates"],
        "dataset": effect.dataset,
        "task": effect.task,
        "arms": effect.arms,
        "points": " ".join(f"{scale * value:.4g}" for value in points),
        "p_value": found.p_value,
        "corrected_over": count,
        "verdict": found.verdict,
        "reason": found.reason,
        "remark": effect.remark,
    }


def _empty_row(claim: Claim, dataset: str, reason: str) -> dict[str, Any]:
    return {
        **_described(claim),
        "dataset": dataset,
        "task": dataset,
        **dict.fromkeys(("arms", "points", "remark"), ""),
        "verdict": "not judged",
        "reason": reason,
    }


def lines(rows: pd.DataFrame) -> list[str]:
    """One line a claim: its verdict on every task, none pooled; a claim on every one says how many hold."""
    claims = {claim.id: claim for claim in published.load()}
    said: list[str] = []
    for name, own in rows.groupby("claim", sort=False):
        words = overall(claims[str(name)], own)
        said.append(Headed(f"{claims[str(name)].statement}", f" {words[0].upper()}{words[1:]}."))
    return said


def overall(claim: Claim, rows: pd.DataFrame) -> str:
    """The verdict on every task of one claim, from its rows; in a changed setting a reversal did not transfer."""
    several = rows["task"].duplicated(keep=False)
    names = [
        f"{row['task']} ({row['arms']})" if also else row["task"]
        for (_, row), also in zip(rows.iterrows(), several, strict=True)
    ]
    verdicts = dict(zip(names, rows["verdict"], strict=True))
    words = stats.overall(verdicts, setting=claim.setting)
    tested = [verdict for verdict in verdicts.values() if verdict != "not judged"]
    if claim.every and tested:
        words = f"{tested.count('holds')} of {len(tested)} hold, where every one has to; {words}"
    return words


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as a table of a notebook: claim, task, what is compared, effect, margin, verdict."""
    return pd.DataFrame(
        {
            "claim": rows["claim"],
            "task": rows["task"],
            "compared": rows["arms"],
            "effect": [effect_words(row) for _, row in rows.iterrows()],
            "margin": [f"{row['margin']:g} {row['unit']}".strip() for _, row in rows.iterrows()],
            "verdict": rows["verdict"],
            "remark": ["; ".join(filter(None, (row["reason"], row["remark"]))) for _, row in rows.iterrows()],
        }
    ).set_index(["claim", "task"])


def effect_words(row: pd.Series[Any]) -> str:
    """The effect of a row with its interval: ``+0.3 [-0.1, +0.7]``; a dash where nothing was measured."""
    if not math.isfinite(row["estimate"]):
        return "–"
    ratio = row["test"] == "ratio"
    form = ".1f" if ratio else "+.1f" if row["unit"] == "points" else "+.2f"
    text = f"{row['estimate']:{form}}"
    if math.isfinite(row["lower"]):
        text += f" [{row['lower']:{form}}, {row['upper']:{form}}]"
    return text


def table(study: Execution, effects: Effects) -> pd.DataFrame:
    """The verdicts on a study's claims, as a table of its notebook; also written as CSV, for the ledger, and LaTeX."""
    rows = judged(study.study.name, effects)
    print(f"claims.toml, SHA-256 {published.digest()}")
    seen = table_of(rows)
    figures.save_table(figures.tables.plain(seen.reset_index()), study.folder / "tables", TABLE, data=rows)
    return seen


def against(found: Arms, arms: Iterable[Arm], *, head: str = "probe") -> dict[str, str]:
    """What stands against a contrast of arms, as ``impediment`` and ``remark`` of an :class:`Effect`.

    Arms without an untrained encoder beside them cannot be told from degenerate ones, which is an impediment too.

    Args:
        found: all arms of the study, baselines included.
        arms: those of the contrast.
        head: ``probe`` or ``direct``, what they are read with.
    """
    words: dict[str, list[str]] = {"degenerate": [], "below baseline": []}
    compared = list(arms)
    if any(arm.beside("random_encoder") not in found for arm in compared):
        return {"impediment": "no untrained encoder to compare with", "remark": ""}
    for arm in compared:
        word = scores.remark(found, arm, f"{head}_map")
        label = style.look(arm.loss).label
        if word and label not in words[word]:
            words[word].append(label)
    said = {word: f"{word}: {', '.join(names)}" if names else "" for word, names in words.items()}
    return {"impediment": said["degenerate"], "remark": said["below baseline"]}
