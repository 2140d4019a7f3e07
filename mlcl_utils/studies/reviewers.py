"""The list that reviewers ask for, from the runs themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from IPython.display import Markdown

from mlcl_utils import losses
from mlcl_utils.figures import style
from mlcl_utils.runs import Run
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import scores, tuning
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.sentences import Line, markdown, number
from mlcl_utils.training import BASELINES
from mlcl_utils.training.probe import PENALTIES


def checklist(
    study: Execution,
    *,
    deviations: str,
    limits: str,
    exclusions: str = "",
    search: str = "",
    intervals: str = "",
) -> Markdown:
    """What a reviewer asks for, from the runs themselves; where none was read with the probe, nothing is said of it.

    Args:
        study: the execution.
        deviations: from the original paper, one or two sentences.
        limits: what this setting cannot show.
        exclusions: what a study leaves out besides what all of them do.
        search: what was searched, where a study does not tune as others do.
        intervals: what they are, where a study has others.
    """
    made = study.trained.grid.runs
    trained = [run for run in made if not run.config.is_baseline]
    compute = study.trained.compute
    slopes = [slope for slope in map(_validation_slope, trained) if math.isfinite(slope)]
    change = f"median {number(100 * float(np.median(slopes)), '+.2f')}%" if slopes else "none"
    first = made[0]
    task = task_for(first.config)
    probed = any("probe_map" in run.metrics for run in made)
    errors = sorted({error for part in study.trained.parts.values() for _, error, _ in part.failures})
    left_out, penalty = (_left_out(made), _penalty(made)) if probed else ("", "")
    lines = [
        Line(
            "Splits.",
            f" {study.parameters.replicates} of ten stored splits, 70/10/20 by groups that never cross a split."
            f" In replicate 0 of {first.config.dataset}: {len(task.train)} / {len(task.validation)} / {len(task.test)}"
            " examples used.",
        ),
        Line(
            "Exclusions.",
            f" Labels without a positive in test are left out of macro averages{left_out}. {exclusions}",
        ),
        Line("Search.", f" {search or _search(study)}{penalty}"),
        Line(
            "Training.",
            f" {study.parameters.epochs} epochs ({min(run.facts['steps'] for run in trained)} to"
            f" {max(run.facts['steps'] for run in trained)} steps),"
            f" {min(run.facts['parameters'] for run in trained):,} to"
            f" {max(run.facts['parameters'] for run in trained):,} parameters; {_times(trained)}."
            " Change of the validation loss over the last tenth of training, relative, without REG, whose value is no"
            " objective, and losses of two views, which are one without dropout:"
            f" {change}.",
        ),
        Line(
            "Validation next to test.", f" {_validation_beside_test(made, 'probe' if probed else 'direct')}"
        ),
        Line(
            "Thresholds.",
            " Per label, and one for all labels, tuned on validation for macro-F1; at 1/2 for the original paper's"
            f" reading.{_fallen_back(made)}",
        ),
        Line(
            "Intervals.",
            f" {intervals}"
            if intervals
            else " The wider of two at 95%: over replicates, a t interval with the variance corrected for"
            " overlapping splits; over 200 resamples of the test groups. Both are in the CSV of each figure.",
        ),
        Line(
            "Baselines.",
            f" {', '.join(style.look(name).label for name in _baselines(made)) or 'none'};"
            f" {_flag_counts(study)}.",
        ),
        Line("Failures.", f" {compute['failed']} failed runs{': ' * bool(errors) + '; '.join(errors)}."),
        Line(
            "Compute.",
            f" {compute['runs']} runs,"
            f" {study.trained.time_seconds / 60:.1f} minutes of computation in all, trials and failures included;"
            f" {compute['existed']} existed before. Device: {first.environment['device']},"
            f" {first.environment['threads']} thread per run; peak memory of a process {_peak(made):.2f} GiB.",
        ),
        Line("Deviations from the original paper.", f" {deviations}"),
        Line("What this setting cannot show.", f" {limits}"),
    ]
    of_probe = ("Thresholds.", "Baselines.")
    return markdown([line for line in lines if probed or line.head not in of_probe])


def _left_out(runs: Sequence[Run]) -> str:
    return (
        f" ({_span(runs, 'labels_without_positive', '.0f')} of them); examples with no or all labels are left out of"
        " ranking metrics"
    )


def _fallen_back(runs: Sequence[Run]) -> str:
    """How many labels take the threshold for all labels in place of their own."""
    if not any("probe_labels_fallen_back" in run.metrics for run in runs):
        return ""
    span = _span(runs, "probe_labels_fallen_back", ".0f")
    return f" Labels with fewer than ten validation positives, {span} of a task, take the latter in place of their own."


def _penalty(runs: Sequence[Run]) -> str:
    return (
        f" The probe's penalty is chosen on validation mAP from {', '.join(f'{each:g}' for each in PENALTIES)}; it lies"
        f" at an end of its grid in {_share(runs, 'probe_at_edge')} of the runs."
    )


def _baselines(runs: Sequence[Run]) -> list[str]:
    return style.order(list({run.config.loss for run in runs if run.config.is_baseline}))


def _search(study: Execution) -> str:
    choices = study.trained.choices
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
        f" count, chosen by the mean of the probe's validation mAP over splits 0 and 1; {edges} have a value at an end"
        f" of its space. Space: {listed}, of which each loss has those that it knows."
        " The table of tuning has the default configuration next to the chosen one."
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


def _validation_beside_test(runs: Sequence[Run], head: str) -> str:
    gaps = [
        run.metrics[f"{head}_validation_map"] - run.metrics[f"{head}_map"]
        for run in runs
        if {f"{head}_map", f"{head}_validation_map"} <= run.metrics.keys()
    ]
    words, gap = (
        {"probe": "the probe", "direct": "the own head"}[head],
        number(100 * float(np.mean(gaps)), "+.1f"),
    )
    return f"mAP of {words} on validation minus test: mean {gap} points; both are in runs.csv."


def _flag_counts(study: Execution) -> str:
    flags = [scores.flag(study.arms, arm) for arm in study.arms if arm.loss not in BASELINES]
    return (
        f"of {len(flags)} trained arms, read with the probe, {flags.count(scores.UNTRAINED)} lie"
        f" {scores.UNTRAINED} and {flags.count(scores.REGRESSION)} more {scores.REGRESSION} on the input"
    )
