"""Tables that every study has: its losses, its results, what tuning chose, and the list that reviewers ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils import figures, losses, markup
from mlcl_utils.figures import style
from mlcl_utils.runs import Run
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies import scores, tuning
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.scores import Arms
from mlcl_utils.studies.wording import Headed
from mlcl_utils.training import BASELINES
from mlcl_utils.training.probe import PENALTIES

FEW = 5  # replicates below which nothing is judged
MARKS = {"below baseline": "\u2020", "degenerate": "\u2021", "": ""}


def short(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as a notebook shows them: whole ones whole, others to three digits, a dash for missing ones."""
    return table.map(lambda value: "–" if pd.isna(value) else f"{value:.3g}" if value % 1 else f"{value:g}")


def markdown(lines: Sequence[str]) -> Markdown:
    """Sentences as a list; they are text, and heads (:class:`mlcl_utils.studies.wording.Headed`) are set in bold."""
    return Markdown("\n".join(f"- {_item(line)}" for line in lines))  # type: ignore[no-untyped-call]


def _item(line: str) -> str:
    if not isinstance(line, Headed):
        return markup.markdown(line.strip())
    head, rest = line.head.strip(), line.rest
    return f"**{markup.markdown(head)}**{markup.markdown(rest)}"


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
                "source": info.paper,
            }
        )
    rows += [
        {"arm": style.look(name).label, "kind": "baseline", "takes": "", "settings": text, "source": ""}
        for name, text in BASELINES.items()
    ]
    return pd.DataFrame(rows).set_index("arm")


def results_table(
    study: Execution,
    found: Arms,
    rows: pd.DataFrame,
    metric: str,
    *,
    name: str,
    task: Callable[[Arm], str] = Arm.describe,
    columns: tuple[str, str] = ("task", "head"),
) -> pd.DataFrame:
    """One metric of every arm on every task, by head; also written as CSV and LaTeX. Empty where no arm has it.

    With fewer than five replicates only the best is marked: nothing could be told to be worse. A dagger marks an arm
    whose mAP is below that of logistic regression on the input, a double dagger one whose mAP is below that of the
    untrained encoder.

    Args:
        study: the execution.
        found: all arms.
        rows: those of :func:`mlcl_utils.studies.scores.intervals` that are shown, one row an arm and head.
        metric: what is shown.
        name: of the files, without an ending.
        task: the heading of an arm's column.
        columns: what heads the columns: of the rows' columns, or ``task``, or ``positives`` for those trained with.
    """
    rows = rows[rows["metric"] == metric].copy()
    if rows.empty:
        return rows
    better = style.metric(metric).higher_is_better is not False
    standing = {
        (arm, head): placed
        for head in scores.HEADS
        for arm, placed in scores.standings(found, head, metric, higher_is_better=better).items()
    }
    arms_ = [scores.of_row(row) for _, row in rows.iterrows()]
    rows["standing"] = [standing[arm, head] for arm, head in zip(arms_, rows["head"], strict=True)]
    if study.parameters.replicates < FEW:
        rows["standing"] = rows["standing"].replace("not worse", "worse")
    rows["remark"] = [
        scores.remark(found, arm, f"{head}_map") for arm, head in zip(arms_, rows["head"], strict=True)
    ]
    rows["mark"] = rows["remark"].map(MARKS)
    rows["task"] = [task(arm) for arm in arms_]
    rows["positives"] = [arm.positives for arm in arms_]
    rows = rows.sort_values(["dataset", "encoder", "num_labels", "head"], kind="stable")
    figures.save_table(
        figures.tables.latex(rows, columns=columns, metric=metric),
        study.folder / "tables",
        name,
        data=rows.drop(columns=["task", "positives", "mark"]),
    )
    return figures.tables.frame(rows, columns=columns, metric=metric)


def choices_table(study: Execution, carried: Carried) -> pd.DataFrame | None:
    """What the tuning chose, its gain, and values at an end of their space; None without tuning.

    The gain is that on the validation of replicate 0, by which was chosen, and that on test over the replicates that
    both have: mAP of the probe, in [0, 1]. Where a study learns from a matched subset, tests are those of the subset
    and trials those of the whole.
    """
    tests = _tests(carried)
    rows = [
        {
            **dict(zip(("dataset", "encoder", "loss", "num_labels"), task, strict=True)),
            **choice.values,
            "trials": choice.trials,
            "validation_map": choice.score,
            "default_validation_map": choice.default,
            **tests.get(task, {}),
            "at_edge": ", ".join(choice.at_edge),
        }
        for task, choice in carried.choices.items()
    ]
    if not rows:
        print("nothing was tuned: trials is 1 in this preset")
        return None
    index = ["dataset", "encoder", "num_labels", "loss"]
    table = pd.DataFrame(rows).sort_values(index)
    figures.save_table(
        figures.tables.plain(table, form=".3g"),
        study.folder / "tables",
        "choices",
        data=table,
    )
    return table.set_index(index)


def reviewers_list(
    study: Execution,
    carried: Carried,
    *,
    deviations: str,
    limits: str,
    exclusions: str = "",
    search: str | None = None,
    found: Arms | None = None,
) -> Markdown:
    """What a reviewer asks for, from the runs themselves.

    Args:
        study: the execution.
        carried: its runs.
        deviations: from the source, one or two sentences.
        limits: what this setting cannot show.
        exclusions: what a study leaves out besides what all of them do.
        search: what was searched, where a study does not tune as others do.
        found: the arms, where they differ in a setting.
    """
    made = carried.grid.runs
    trained = [run for run in made if not run.config.is_baseline]
    compute = carried.compute
    slopes = [slope for slope in map(_validation_slope, trained) if math.isfinite(slope)]
    first = made[0]
    task = task_for(first.config)
    found = study_runs.arms(carried.grid) if found is None else found
    lines = [
        Headed(
            "Splits.",
            f" {study.parameters.replicates} of ten stored splits, 70/10/20 by groups that never cross a split."
            f" In replicate 0 of {first.config.dataset}: {len(task.train)} / {len(task.validation)} / {len(task.test)}"
            " examples used.",
        ),
        Headed(
            "Exclusions.",
            " Labels without a positive in test are left out of macro averages"
            f" ({_span(made, 'labels_without_positive', '.0f')} of them); examples with no or all labels are left"
            " out of"
            f" ranking metrics. {exclusions}",
        ),
        Headed(
            "Search.",
            f" {_search(study, carried) if search is None else search} The probe's penalty is chosen on"
            f" validation mAP from {', '.join(f'{each:g}' for each in PENALTIES)}; it lies at an end of its grid in"
            f" {_share(made, 'probe_at_edge')} of the runs.",
        ),
        Headed(
            "Training.",
            f" {study.parameters.epochs} epochs ({min(run.facts['steps'] for run in trained)} to"
            f" {max(run.facts['steps'] for run in trained)} steps),"
            f" {min(run.facts['parameters'] for run in trained):,} to"
            f" {max(run.facts['parameters'] for run in trained):,} parameters; {_times(trained)}."
            " Change of the validation loss over the last tenth of training, relative, without REG, whose value is no"
            " objective, and losses of two views, which are one without dropout:"
            f" {f'median {np.median(slopes):+.2%}' if slopes else 'none'}.",
        ),
        Headed("Validation beside test.", f" {_validation_beside_test(made)}"),
        Headed(
            "Thresholds.",
            " One for all labels, tuned on validation for macro-F1; at 0.5 and per label are in runs.csv.",
        ),
        Headed(
            "Intervals.",
            " The wider of two at 95%: over replicates, a t interval with the variance corrected for"
            " overlapping splits; over 200 resamples of the test groups. Both are in the CSV of each figure.",
        ),
        Headed(
            "Baselines.",
            f" {', '.join(style.look(name).label for name in _baselines(made)) or 'none'};"
            f" {_remark_counts(found)}.",
        ),
        Headed("Failures.", f" {compute['failed']} failed runs."),
        Headed(
            "Compute.",
            f" {compute['runs']} runs,"
            f" {carried.time_seconds / 60:.1f} minutes of computation in all, trials and failures included;"
            f" {compute['existed']} existed before. Device: {first.environment['device']},"
            f" {first.environment['threads']} thread a run; peak memory of a process {_peak(made):.2f} GiB.",
        ),
        Headed("Deviations from the source.", f" {deviations}"),
        Headed("What this setting cannot show.", f" {limits}"),
    ]
    return markdown(lines)


def _baselines(runs: Sequence[Run]) -> list[str]:
    return style.order(list({run.config.loss for run in runs if run.config.is_baseline}))


def _tests(carried: Carried) -> dict[tuning.Task, dict[str, float]]:
    """The probe's mAP on test with the chosen and with the default values, over the replicates that both have.

    Where all data were learnt from and labels were missing as in the trials.
    """

    def missing(run: Run) -> tuple[object, ...]:
        return run.config.kept_share, run.config.one_positive, run.config.clean_validation

    tried = {tuning.task(run.config): missing(run) for run in carried.trials.runs}
    found: dict[tuning.Task, dict[str, dict[int, float]]] = {}
    for name, grid in (("test_map", carried.grid), ("default_test_map", carried.default)):
        for run in grid.runs:
            task = tuning.task(run.config)
            if tuning.is_whole(run.config) and tried.get(task) == missing(run):
                score = run.metrics.get("probe_map", math.nan)
                found.setdefault(task, {}).setdefault(name, {})[run.config.replicate] = score
    means: dict[tuning.Task, dict[str, float]] = {}
    for task, by_name in found.items():
        shared = set.intersection(*(set(scores) for scores in by_name.values()))
        if len(by_name) == 2 and shared:
            means[task] = {
                name: float(np.mean([scores[each] for each in sorted(shared)]))
                for name, scores in by_name.items()
            }
            means[task]["replicates"] = len(shared)
    return means


def _search(study: Execution, carried: Carried) -> str:
    choices = carried.choices
    if not choices and study.parameters.config:
        found = "; ".join(
            f"{style.look(each.loss).label} ({each.encoder}) "
            + ", ".join(f"{name} {value}" for name, value in each.values.items())
            for each in study.parameters.config
        )
        return f"Values from searches outside this study: {found}. All others: default hyperparameters."
    if not choices:
        return "None: default hyperparameters, the same for every arm."
    edges = sum(bool(choice.at_edge) for choice in choices.values())
    spaces = {
        name: values
        for _, encoder, loss, _ in choices
        for name, values in tuning.space(loss, encoder).items()
    }
    listed = "; ".join(
        f"{name} {', '.join(f'{each:g}' for each in values)}" for name, values in spaces.items()
    )
    return (
        f"{study.parameters.trials} trials for each of {len(choices)} combinations of loss, encoder, data set and label"
        f" count, chosen by the probe's validation mAP on replicate 0; {edges} have a value at an end of its space."
        f" Space: {listed}, of which each loss has those that it knows."
        " The table of tuning has the default configuration beside the chosen one."
    )


def _validation_slope(run: Run) -> float:
    """Relative change of the validation loss over the last tenth of training; NaN where its value is no objective."""
    if run.config.loss == "reg" or "views" in losses.info(run.config.loss).tensors:
        return math.nan
    last = [row["validation_loss"] for row in run.history][-max(2, len(run.history) // 10) :]
    return (last[-1] - last[0]) / abs(last[0]) if len(last) > 1 and last[0] else math.nan


def _span(runs: Sequence[Run], metric: str, form: str) -> str:
    values = [value for run in runs for name, value in run.metrics.items() if name.endswith(metric)]
    low, high = min(values), max(values)
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


def _share(runs: Sequence[Run], fact: str) -> str:
    values = [run.facts[fact] for run in runs if fact in run.facts]
    return f"{np.mean(values):.0%}"


def _times(runs: Sequence[Run]) -> str:
    seconds = [run.timings["time_training"] for run in runs]
    return f"{np.median(seconds):.1f} s of training in the median run, {max(seconds):.1f} s at most"


def _peak(runs: Sequence[Run]) -> float:
    return max(run.timings["mem_peak_bytes"] for run in runs) / 2**30


def _validation_beside_test(runs: Sequence[Run]) -> str:
    gaps = [
        run.metrics["probe_validation_map"] - run.metrics["probe_map"]
        for run in runs
        if {"probe_map", "probe_validation_map"} <= run.metrics.keys()
    ]
    return f"mAP of the probe on validation minus test: mean {100 * np.mean(gaps):+.1f} points; both are in runs.csv."


def _remark_counts(found: Arms) -> str:
    words = [scores.remark(found, arm) for arm in found if arm.loss not in BASELINES]
    return (
        f"of {len(words)} trained arms, read with the probe, {words.count('degenerate')} are degenerate (below the"
        f" untrained encoder) and {words.count('below baseline')} more are below logistic regression on the input"
    )
