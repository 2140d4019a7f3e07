"""The tables of a study: views of its frames, with values in the CSV and what is displayed in notebook and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mlcl_utils import figures, losses
from mlcl_utils.figures import style
from mlcl_utils.stats import FEWEST_REPLICATES
from mlcl_utils.studies import headroom as headrooms
from mlcl_utils.studies import judgements, published, scores, sentences
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.execution import Execution
from mlcl_utils.training import BASELINES

MARKS = {scores.REGRESSION: "\u2020", scores.UNTRAINED: "\u2021", "": ""}

Display = Callable[[Any], str]
"""What is displayed of a value."""

Columns = Mapping[str, tuple[str, Display]]
"""Columns that are displayed, each with its heading and what is displayed of a value."""


def percent(digits: int = 1) -> Display:
    """Shares in per cent, a dash for what is missing."""
    return lambda value: sentences.number(100 * value, f".{digits}f")


def fixed(digits: int, sign: str = "") -> Display:
    """Numbers with so many digits, a dash for what is missing; with a sign if it is ``"+"``."""
    return lambda value: sentences.number(value, f"{sign}.{digits}f")


def whole(value: float) -> str:
    """A number without digits behind the point, in groups of three."""
    return sentences.number(value, ",.0f")


def short(value: float) -> str:
    """A number: whole ones whole, others to three digits, a dash for what is missing."""
    return "–" if pd.isna(value) else f"{value:.3g}" if value % 1 else f"{value:g}"


def show(
    study: Execution,
    name: str,
    rows: pd.DataFrame,
    *,
    index: Sequence[str],
    columns: Columns | None = None,
    values: pd.DataFrame | None = None,
    turned: bool = False,
) -> pd.DataFrame:
    """A table of a notebook; also written as CSV, with its values, and as LaTeX.

    Args:
        study: whose results folder it goes to.
        name: of the files.
        rows: the values.
        index: columns that name a row.
        columns: those displayed besides, each with its heading and what is displayed of a value; not given: all, as
            they are.
        values: the frame of the CSV, if it is not ``rows``.
        turned: whether rows and columns change places.
    """
    if rows.empty:
        return rows
    displayed = rows[list(index)].copy()
    for column, (heading, display) in (columns or _as_they_are(rows, index)).items():
        displayed[heading] = [display(value) for value in rows[column]]
    latex = displayed
    displayed = displayed.set_index(list(index)) if index else displayed
    if turned:
        displayed = displayed.T
        latex = displayed.copy()
        latex.columns = [" ".join(map(str, each)) if isinstance(each, tuple) else each for each in latex]
    text = figures.tables.plain(latex, named_rows=turned)
    figures.save_table(text, study.folder / "tables", name, data=rows if values is None else values)
    return displayed


def _as_they_are(rows: pd.DataFrame, index: Sequence[str]) -> dict[str, tuple[str, Display]]:
    found: dict[str, tuple[str, Display]] = {}
    for name in rows.columns.drop(list(index)):
        number = pd.api.types.is_numeric_dtype(rows[name]) and not pd.api.types.is_bool_dtype(rows[name])
        found[name] = (name.replace("_", " "), short if number else str)
    return found


def tasks(study: Execution, described: Iterable[Mapping[str, Any]], index: Sequence[str]) -> pd.DataFrame:
    """The tasks of a study in numbers, one column per task; also written.

    Args:
        study: the execution.
        described: one mapping per task, such as :meth:`mlcl_utils.data.Task.describe` gives, with the columns of the
            index.
        index: what names a task.
    """
    return show(study, "tasks", pd.DataFrame(list(described)), index=index, turned=True)


def arms(names: Sequence[str], settings: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The losses and baselines that are compared, with their hyperparameters.

    Args:
        names: of the losses.
        settings: hyperparameters that differ from the defaults, for every loss that has them.
    """
    rows = []
    for name in names:
        info = losses.info(name)
        values: dict[str, Any] = {
            key: each.default
            for key, each in info.hyperparameters.items()
            if not isinstance(each.default, str | None)
            and not key.endswith("ignore_unobserved")
            and not each.part_of
        }
        values.update({key: value for key, value in (settings or {}).items() if key in values})
        rows.append(
            {
                "arm": style.look(name).label,
                "kind": info.family,
                "takes": ", ".join(info.tensors),
                "settings": ", ".join(f"{key} {value}" for key, value in values.items()),
                "paper": info.paper,
            }
        )
    rows += [
        {"arm": style.look(name).label, "kind": "baseline", "takes": "", "settings": text, "paper": ""}
        for name, text in BASELINES.items()
    ]
    return pd.DataFrame(rows).set_index("arm")


def results(
    study: Execution,
    metric: str,
    *,
    rows: pd.DataFrame | None = None,
    name: str = "",
    task: Callable[[Arm], str] = Arm.describe,
    columns: tuple[str, str] = ("task", "head"),
    arm: Callable[[Arm], str] | None = None,
    order: Callable[[Arm], Any] | None = None,
) -> pd.DataFrame:
    """One metric of every arm on every task, by head; also written as CSV and LaTeX. Empty where no arm has it.

    With fewer than five replicates only the best is marked: nothing could be told to be worse. A dagger marks an arm
    whose mAP is below that of logistic regression on the input, a double dagger one whose mAP is below that of the
    untrained encoder.

    Args:
        study: the execution.
        metric: what is shown.
        rows: those of the frame of scores that are shown; not given: all that a head has read.
        name: of the files; not given: ``results_<metric>``.
        task: the heading of an arm's column.
        columns: what heads the columns: of the rows' columns, or ``task``, or ``positives`` for those trained with.
        arm: names the rows, in the order in which they come; not given: by loss, in the usual order.
        order: a key that these are sorted by instead.
    """
    rows = study.scores if rows is None else rows
    rows = rows[(rows["metric"] == metric) & (rows["head"] != "")].copy()
    if rows.empty:
        return rows
    if study.parameters.replicates < FEWEST_REPLICATES:
        rows["rank"] = rows["rank"].replace("not worse", "worse")
    found = [scores.of_row(row) for _, row in rows.iterrows()]
    values = rows if arm is not None else None
    rows = rows.assign(
        mark=rows["flag"].map(MARKS),
        standing=rows["rank"],
        task=[task(each) for each in found],
        positives=[each.positives for each in found],
    )
    named = "loss"
    if arm is None:
        rows = rows.sort_values(["dataset", "encoder", "num_labels", "head"], kind="stable")
    else:
        ordered = found if order is None else sorted(found, key=order)
        words = [arm(each) for each in found]
        rows["arm"] = pd.Categorical(words, list(dict.fromkeys(arm(each) for each in ordered)))
        named = "arm"
    added = ["task", "positives", "mark", "standing"]
    figures.save_table(
        figures.tables.latex(rows, columns=columns, rows=named, metric=metric),
        study.folder / "tables",
        name or f"results_{metric}",
        data=rows.drop(columns=added) if values is None else values,
    )
    return figures.tables.frame(rows, columns=columns, rows=named, metric=metric)


def compared(
    study: Execution,
    *names: str,
    rows: pd.DataFrame | None = None,
    name: str = "",
    index: Sequence[str] = ("task", "compared"),
    by: str = "metric",
) -> pd.DataFrame:
    """Comparisons with their intervals, or why there is none, one column per metric; also written as CSV and LaTeX.

    Args:
        study: the execution.
        names: of the comparisons.
        rows: those of the frame that are shown; not given: all of these names.
        name: of the files; not given: the first name.
        index: columns that name a row.
        by: the column that heads the columns.
    """
    rows = study.comparisons if rows is None else rows
    rows = rows[rows["name"].isin(names)] if names else rows
    if rows.empty:
        print(f"nothing to show: there is no comparison {' or '.join(map(repr, names))} here")
        return pd.DataFrame()
    words = rows.assign(
        words=[_result(row) for _, row in rows.iterrows()],
        loss=[style.look(name).label for name in rows["loss"]],
    )
    keys = words[list(index)].drop_duplicates()
    wide = words.pivot(index=list(index), columns=by, values="words")[list(dict.fromkeys(rows[by]))]
    wide = wide.loc[pd.MultiIndex.from_frame(keys) if len(index) > 1 else keys[index[0]]].fillna("–")
    if by == "metric":
        units = dict(zip(rows["metric"], rows["unit"], strict=True))
        wide.columns = [
            style.metric(str(each)).label + (f" ({units[each]})" if units[each] else "") for each in wide
        ]
    wide.columns.name = None
    figures.save_table(
        figures.tables.plain(wide.reset_index()), study.folder / "tables", name or names[0], data=rows
    )
    return wide


def _result(row: pd.Series[Any]) -> str:
    return sentences.effect(row) if math.isfinite(row["estimate"]) else row["reason"] or "–"


def claims(study: Execution) -> pd.DataFrame:
    """The verdicts on a study's claims; also written as CSV, for ``00_claims``, and LaTeX."""
    rows = judgements.of(study.study.name, study.comparisons)
    print(f"claims of {study.study.name}, SHA-256 {published.digest(study.study.name)}")
    return save_claims(study, rows)


def headroom(study: Execution) -> pd.DataFrame:
    """By how much the best loss is ahead of the untrained encoder on validation, for every claim on performance."""
    rows = headrooms.frame(study)
    columns: Columns = {
        **{name: (name, str) for name in ("metric", "loss")},
        "headroom": ("headroom (points)", fixed(1, "+")),
        "margin": ("margin", fixed(1)),
        "eligible": ("reaches it", lambda value: "yes" if value else "no"),
    }
    shown = rows.assign(metric=[style.metric(name).label for name in rows["metric"]])
    return show(study, "headroom", shown, index=["claim", "task"], columns=columns, values=rows)


def save_claims(study: Execution, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`mlcl_utils.studies.judgements.of` as a table, written."""
    shown = judged(rows)
    text = figures.tables.plain(shown.reset_index())
    figures.save_table(text, study.folder / "tables", judgements.CLAIMS, data=rows)
    return shown


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of claims as a table: claim, task, what is compared, reading, effect, margin, verdict, evidence, flag."""
    return pd.DataFrame(
        {
            "claim": rows["claim"],
            "task": rows["task"],
            "compared": rows["arms"],
            "reading": rows["reading"],
            "effect": [sentences.effect(row) for _, row in rows.iterrows()],
            "margin": [f"{row['margin']:g} {row['unit']}".strip() for _, row in rows.iterrows()],
            "verdict": rows["verdict"],
            "evidence": rows["evidence"],
            "flag": ["; ".join(filter(None, (row["reason"], row["remark"]))) for _, row in rows.iterrows()],
        }
    ).set_index(["claim", "task"])


def choices(study: Execution) -> pd.DataFrame | None:
    """What the tuning chose, its gain, and values at an end of their space; None without tuning.

    The gain is that on the validation parts that it chose by: mAP of the probe, in [0, 1].
    """
    rows = [
        {
            **dict(zip(("dataset", "encoder", "loss", "num_labels"), task, strict=True)),
            **choice.values,
            "trials": choice.trials,
            "validation_map": choice.score,
            "default_validation_map": choice.default,
            "at_edge": ", ".join(choice.at_edge),
        }
        for task, choice in study.trained.choices.items()
    ]
    if not rows:
        print("nothing was tuned: trials is 1 in this preset")
        return None
    index = ["dataset", "encoder", "num_labels", "loss"]
    return show(study, "choices", pd.DataFrame(rows).sort_values(index), index=index)
