"""Tables, figures and reading of the label-space study, from its runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data, figures, losses
from mlcl_utils.figures import style
from mlcl_utils.runs import Run
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import analysis
from mlcl_utils.studies.analysis import Arm
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.label_space import FEW_BASELINES, LabelSpaceParameters, reference_labels
from mlcl_utils.studies.label_space.reading import MAIN, Summary, contrasts, differences, matched
from mlcl_utils.training import BASELINES, Recipe
from mlcl_utils.training.probe import PENALTIES

FEW = 5  # replicates below which nothing is judged
NAMED = ("recall_named", "recall_unnamed", "map", "map_unnamed")
MARKS = {"below baseline": "\u2020", "degenerate": "\u2021", "": ""}


def _parameters(study: Execution) -> LabelSpaceParameters:
    assert isinstance(study.parameters, LabelSpaceParameters)
    return study.parameters


def tasks(study: Execution) -> pd.DataFrame:
    """The tasks of the study in numbers, for the first replicate; also written as a table."""
    parameters = _parameters(study)
    rows = []
    for dataset in parameters.datasets:
        for k in parameters.sizes(dataset):
            task = data.task(dataset, num_labels=k, base_labels=min(parameters.num_labels))
            described = task.describe(batch_size=Recipe(epochs=1).batch_size)
            named = task.test.named
            if named is not None:
                described["named_share_test"] = float(named[task.test.labels == 1].mean())
            rows.append({"dataset": dataset, **described})
    table = pd.DataFrame(rows)
    figures.save_table(table.T.to_latex(float_format="%.3g"), study.folder / "tables", "tasks", data=table)
    shown = table.set_index(["dataset", "num_labels"]).T
    shown.index = [name.replace("_", " ") for name in shown.index]
    return shown.map(lambda value: "–" if pd.isna(value) else f"{value:.3g}" if value % 1 else f"{value:g}")


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    rows = []
    for name in study.parameters.losses:
        info = losses.info(name)
        settings: dict[str, Any] = {
            key: each.default
            for key, each in info.hyperparameters.items()
            if not isinstance(each.default, str | None) and key != "ignore_unobserved"
        }
        if _parameters(study).temperature is not None and "temperature" in settings:
            settings["temperature"] = _parameters(study).temperature
        rows.append(
            {
                "arm": style.look(name).label,
                "kind": info.family,
                "takes": ", ".join(info.tensors),
                "settings": ", ".join(f"{key} {value}" for key, value in settings.items()),
                "source": info.paper,
            }
        )
    rows += [
        {"arm": style.look(name).label, "kind": "baseline", "takes": "", "settings": text, "source": ""}
        for name, text in BASELINES.items()
    ]
    return pd.DataFrame(rows).set_index("arm")


def results_table(study: Execution, summary: Summary, metric: str = "map") -> pd.DataFrame:
    """One metric of every arm at every size of the label space, by head; also written as CSV and LaTeX.

    With fewer than five replicates only the best is marked: nothing could be told to be worse. A dagger marks an arm
    whose mAP is below that of logistic regression on the input, a double dagger one whose mAP is below that of the
    untrained encoder.
    """
    rows = summary.intervals
    rows = rows[(rows["metric"] == metric) & (rows["train_fraction"] == 1) & rows["label_draw"].isna()].copy()
    better = style.metric(metric).higher_is_better is not False
    standing = {
        (*arm, head): found
        for head in analysis.HEADS
        for arm, found in analysis.standings(summary.arms, head, metric, higher_is_better=better).items()
    }
    arms_ = [
        Arm(*key)._replace(label_draw=None)
        for key in zip(*(rows[name] for name in analysis.ARM), strict=True)
    ]
    rows["standing"] = [standing[*arm, head] for arm, head in zip(arms_, rows["head"], strict=True)]
    if study.parameters.replicates < FEW:
        rows["standing"] = rows["standing"].replace("not worse", "worse")
    rows["remark"] = [
        analysis.remark(summary.arms, arm, f"{head}_map")
        for arm, head in zip(arms_, rows["head"], strict=True)
    ]
    rows["mark"] = rows["remark"].map(MARKS)
    rows["task"] = [
        f"{dataset}, {k} labels" for dataset, k in zip(rows["dataset"], rows["num_labels"], strict=True)
    ]
    rows = rows.sort_values(["dataset", "num_labels", "head"])
    columns = ("task", "head")
    figures.save_table(
        figures.tables.latex(rows, columns=columns, metric=metric),
        study.folder / "tables",
        f"results_{metric}",
        data=rows.drop(columns=["task", "mark"]),
    )
    return figures.tables.frame(rows, columns=columns, metric=metric)


def plot_label_count(study: Execution, summary: Summary) -> Figure:
    """Macro-F1, mAP and ranking loss of the probe against the number of labels."""
    return _plot(study, summary, "label_count", MAIN, x="num_labels", label="number of labels")


def plot_differences(study: Execution, summary: Summary) -> Figure | None:
    """Differences of the probe to that of BCE, or of the first loss, against the number of labels; paired."""
    names = study.parameters.losses
    reference = "bce" if "bce" in names else names[0]
    rows = differences(summary, reference, MAIN)
    rows = rows[~rows["loss"].isin(set(BASELINES) - set(FEW_BASELINES))] if len(rows) else rows
    if rows.empty:
        return None
    figure = draw(
        rows, None, MAIN, x="num_labels", label="number of labels", reference=style.look(reference).label
    )
    figures.save(figure, study.folder / "figures", "differences", data=rows)
    return figure


def plot_base_labels(study: Execution, summary: Summary) -> Figure:
    """Macro-F1 and mAP of the labels of the smallest space against the number of labels."""
    return _plot(
        study, summary, "base_labels", ("macro_f1_base", "map_base"), x="num_labels", label="number of labels"
    )


def plot_fractions(study: Execution, summary: Summary) -> Figure:
    """Macro-F1, mAP and ranking loss of the probe against the share of the training part."""
    return _plot(study, summary, "fractions", MAIN, x="train_fraction", label="share of training data")


def plot_matched(study: Execution, summary: Summary) -> Figure | None:
    """Macro-F1 and mAP of the probe against the number of labels, their frequencies matched; None without draws.

    Values are means over the draws of labels; at the largest size there is nothing to draw.
    """
    metrics = ("macro_f1", "map")
    frames = matched(summary, metrics)
    if frames is None:
        print("no labels were drawn: label_draws is 0 in this preset")
        return None
    figure = draw(frames["intervals"], frames["points"], metrics, x="num_labels", label="number of labels")
    figures.save(figure, study.folder / "figures", "matched_frequency", data=frames)
    return figure


def named_table(study: Execution, summary: Summary) -> pd.DataFrame | None:
    """Positives that the text names beside the others: the share of each kind that is found, and mAP without the first.

    At the largest size of the label space, over texts; None for images. Also written as a table.
    """
    rows = []
    for arm, members in summary.arms.items():
        largest = arm.num_labels == max(_parameters(study).sizes(arm.dataset))
        if not largest or arm.train_fraction < 1 or arm.label_draw is not None:
            continue
        for head in analysis.HEADS:
            values = {name: analysis.mean(members, f"{head}_{name}") for name in NAMED}
            if not math.isnan(values["recall_named"]):
                rows.append(
                    {"dataset": arm.dataset, "loss": style.look(arm.loss).label, "head": head, **values}
                )
    if not rows:
        return None
    table = pd.DataFrame(rows)
    figures.save_table(
        table.to_latex(index=False, escape=True, float_format="%.3f"),
        study.folder / "tables",
        "named",
        data=table,
    )
    return table.set_index(["dataset", "loss", "head"]).map(lambda value: f"{100 * value:.1f}")


def choices_table(study: Execution, summary: Summary) -> pd.DataFrame | None:
    """What the tuning chose, its gain on validation, and values at an end of their space; None without tuning."""
    rows = [
        {
            "dataset": dataset,
            "num_labels": k,
            "loss": loss,
            **choice.values,
            "trials": choice.trials,
            "validation_map": choice.score,
            "default_validation_map": choice.default,
            "at_edge": ", ".join(choice.at_edge),
        }
        for (dataset, loss, k), choice in summary.carried.choices.items()
    ]
    if not rows:
        print("nothing was tuned: trials is 1 in this preset")
        return None
    table = pd.DataFrame(rows).sort_values(["dataset", "num_labels", "loss"])
    figures.save_table(
        table.to_latex(index=False, escape=True, float_format="%.3g"),
        study.folder / "tables",
        "choices",
        data=table,
    )
    return table.set_index(["dataset", "num_labels", "loss"])


def _plot(
    study: Execution, summary: Summary, name: str, metrics: tuple[str, ...], *, x: str, label: str
) -> Figure:
    def chosen(rows: pd.DataFrame) -> pd.DataFrame:
        if x == "num_labels":
            within = (rows["train_fraction"] == 1) & rows["label_draw"].isna()
        else:
            reference = {
                name: reference_labels(_parameters(study).sizes(name)) for name in study.parameters.datasets
            }
            within = (rows["num_labels"] == rows["dataset"].map(reference)) & rows["label_draw"].isna()
        drawn = (rows["head"] == "probe") & ~rows["loss"].isin(set(BASELINES) - set(FEW_BASELINES))
        chosen_rows: pd.DataFrame = rows[within & drawn & rows["metric"].isin(metrics)]
        return chosen_rows

    frames = {"intervals": chosen(summary.intervals), "points": chosen(summary.points)}
    figure = draw(frames["intervals"], frames["points"], metrics, x=x, label=label)
    figures.save(figure, study.folder / "figures", name, data=frames)
    return figure


def draw(
    intervals: pd.DataFrame,
    points: pd.DataFrame | None,
    metrics: tuple[str, ...],
    *,
    x: str,
    label: str,
    reference: str | None = None,
    venue: str = "neurips",
) -> Figure:
    """Metrics against one variable: a column of axes a metric, a row a data set.

    Args:
        intervals: rows of :func:`mlcl_utils.studies.analysis.intervals`.
        points: rows of :func:`mlcl_utils.studies.analysis.points`; None for none.
        metrics: what is drawn, one column of axes each.
        x: column of the variable, drawn on a logarithmic axis.
        label: of the variable.
        reference: what the values are differences to; None where they are no differences.
        venue: whose sizes and fonts.
    """
    names = sorted(intervals["dataset"].unique())
    figure, axes = style.figure(len(names), len(metrics), venue=venue, ratio=0.95)
    with style.use(venue):
        for row, dataset in enumerate(names):
            for column, metric in enumerate(metrics):
                ax = axes[row, column]
                figures.plots.lines_with_intervals(
                    intervals[(intervals["dataset"] == dataset) & (intervals["metric"] == metric)],
                    x=x,
                    y="estimate",
                    points=None
                    if points is None
                    else points[(points["dataset"] == dataset) & (points["metric"] == metric)],
                    metric=metric,
                    x_label=label,
                    log_x=True,
                    legend="none",
                    ax=ax,
                )
                if reference is not None:
                    ax.axhline(0, color="black", linewidth=0.6, zorder=1.5)
                    ax.set_ylabel(f"{style.metric(metric).label} − {reference}")
                if len(names) > 1 and column == 0:
                    ax.set_title(dataset, loc="left")
        figures.plots.shared_legend(figure)
    return figure


def contrasts_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """The contrasts in points, positive where the contrastive loss is ahead; also written as CSV and LaTeX."""
    rows = [
        {
            "dataset": each.task.dataset,
            "num_labels": each.task.num_labels,
            "train_fraction": each.task.train_fraction,
            "head": each.head,
            "contrastive": each.first,
            "bce_type": each.second,
            "metric": each.metric,
            **analysis.as_row(each.interval),
            "shown": analysis.in_points(each.interval),
        }
        for each in contrasts(summary)
        if each.task.label_draw is None
    ]
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    index = ["dataset", "num_labels", "train_fraction", "head", "contrastive", "bce_type"]
    for column in ("contrastive", "bce_type"):
        table[column] = [style.look(name).label for name in table[column]]
    wide = table.pivot(index=index, columns="metric", values="shown")[list(MAIN)]
    wide.columns = [style.metric(name).label for name in MAIN]
    figures.save_table(
        wide.reset_index().to_latex(index=False, escape=True),
        study.folder / "tables",
        "contrasts",
        data=table.drop(columns="shown"),
    )
    return wide


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    grid = summary.carried.grid
    runs = grid.runs
    trained = [run for run in runs if not run.config.is_baseline]
    slopes = [slope for slope in map(_validation_slope, trained) if math.isfinite(slope)]
    first = runs[0]
    task = task_for(first.config)
    lines = [
        f"**Splits.** {study.parameters.replicates} of ten stored splits, 70/10/20 by groups that never cross a split."
        f" In replicate 0: {len(task.train)} / {len(task.validation)} / {len(task.test)} examples used.",
        "**Exclusions.** Examples without any label of the smallest space; labels without a positive in test are left"
        f" out of macro averages ({_span(runs, 'labels_without_positive', '.0f')} of them); examples with no or all"
        " labels are left out of ranking metrics.",
        f"**Search.** {_search(study, summary)} The probe's penalty is chosen on validation mAP from"
        f" {', '.join(f'{each:g}' for each in PENALTIES)}; it lies at an end of them in"
        f" {_share(runs, 'probe_at_edge')} of the runs.",
        f"**Training.** {study.parameters.epochs} epochs ({min(run.facts['steps'] for run in trained)} to"
        f" {max(run.facts['steps'] for run in trained)} steps), {min(run.facts['parameters'] for run in trained):,} to"
        f" {max(run.facts['parameters'] for run in trained):,} parameters; {_times(trained)}."
        " Change of the validation loss over the last tenth of training, relative, without REG, whose value is no"
        f" objective: {f'median {np.median(slopes):+.2%}' if slopes else 'none'}.",
        f"**Validation beside test.** {_validation_beside_test(summary)}",
        "**Thresholds.** One for all labels, tuned on validation for macro-F1; at 0.5 and per label are in `runs.csv`.",
        "**Intervals.** The wider of two at 95%: over replicates, a t interval with the variance corrected for"
        " overlapping splits; over 200 resamples of the test groups. Both are in the CSV of each figure.",
        f"**Failures.** {sum(len(part.failures) for part in summary.carried.parts)} failed runs;"
        f" {_remark_counts(summary)}.",
        f"**Compute.** {sum(len(part.runs) for part in summary.carried.parts)} runs,"
        f" {summary.carried.time_seconds / 60:.1f} minutes of computation in all, trials and failures included;"
        f" {sum(part.existed for part in summary.carried.parts)} existed before. Device: {first.environment['device']},"
        f" {first.environment['threads']} thread a run; peak memory of a process {_peak(runs):.2f} GiB.",
        "**Deviations from the source.** Frozen features instead of an encoder trained end to end; other data; a linear"
        " probe beside each loss's own head.",
    ]
    return Markdown("\n".join(f"- {line}" for line in lines))  # type: ignore[no-untyped-call]


def _search(study: Execution, summary: Summary) -> str:
    choices = summary.carried.choices
    if not choices:
        return "None: default hyperparameters, the same for every arm."
    edges = sum(bool(choice.at_edge) for choice in choices.values())
    return (
        f"{study.parameters.trials} trials for each of {len(choices)} combinations of loss, data set and label count,"
        f" chosen by the probe's validation mAP on replicate 0; {edges} have a value at an end of its space."
        " Spaces, choices and the default column stand above."
    )


def _validation_slope(run: Run) -> float:
    """Relative change of the validation loss over the last tenth of training; NaN for REG, whose value is none."""
    if run.config.loss == "reg":
        return math.nan
    last = [row["validation_loss"] for row in run.history][-max(2, len(run.history) // 10) :]
    return (last[-1] - last[0]) / abs(last[0]) if len(last) > 1 and last[0] else math.nan


def _span(runs: list[Run], metric: str, form: str) -> str:
    values = [value for run in runs for name, value in run.metrics.items() if name.endswith(metric)]
    low, high = min(values), max(values)
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


def _share(runs: list[Run], fact: str) -> str:
    values = [run.facts[fact] for run in runs if fact in run.facts]
    return f"{np.mean(values):.0%}"


def _times(runs: list[Run]) -> str:
    seconds = [run.timings["time_training"] for run in runs]
    return f"{np.median(seconds):.1f} s of training in the median run, {max(seconds):.1f} s at most"


def _peak(runs: list[Run]) -> float:
    return max(run.timings["mem_peak_bytes"] for run in runs) / 2**30


def _validation_beside_test(summary: Summary) -> str:
    gaps = [
        run.metrics["probe_validation_map"] - run.metrics["probe_map"]
        for run in summary.carried.grid.runs
        if "probe_map" in run.metrics
    ]
    return f"mAP of the probe on validation minus test: mean {100 * np.mean(gaps):+.1f} points; both are in `runs.csv`."


def _remark_counts(summary: Summary) -> str:
    words = [analysis.remark(summary.arms, arm) for arm in summary.arms if arm.loss not in BASELINES]
    return f"{words.count('degenerate')} degenerate arms and {words.count('below baseline')} below baseline (probe)"
