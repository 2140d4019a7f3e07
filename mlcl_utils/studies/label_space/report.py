"""Tables and figures of the label-space study, from its runs."""

from __future__ import annotations

import math

import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data, figures
from mlcl_utils.figures import style
from mlcl_utils.studies import drawing, scores, tables, wording
from mlcl_utils.studies.arms import FEW_BASELINES
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.label_space import LabelSpaceParameters, reference_labels
from mlcl_utils.studies.label_space.reading import MAIN, Summary, contrasts, differences, matched
from mlcl_utils.training import BASELINES, Recipe

NAMED = ("recall_named", "recall_unnamed", "map", "map_unnamed")


def _parameters(study: Execution) -> LabelSpaceParameters:
    assert isinstance(study.parameters, LabelSpaceParameters)
    return study.parameters


def tasks(study: Execution) -> pd.DataFrame:
    """The tasks of the study in numbers, for the first replicate; also written as a table."""
    parameters = _parameters(study)
    rows = []
    for dataset in parameters.datasets:
        for k in parameters.sizes(dataset):
            task = data.task(
                parameters.dataset(dataset), num_labels=k, base_labels=min(parameters.num_labels)
            )
            described = task.describe(batch_size=Recipe(epochs=1).batch_size)
            named = task.test.named
            if named is not None:
                described["named_share_test"] = float(named[task.test.labels == 1].mean())
            rows.append({"dataset": dataset, **described})
    table = pd.DataFrame(rows)
    figures.save_table(
        figures.tables.plain(table.T, form=".3g", named_rows=True),
        study.folder / "tables",
        "tasks",
        data=table,
    )
    shown = table.set_index(["dataset", "num_labels"]).T
    shown.index = [name.replace("_", " ") for name in shown.index]
    return tables.short(shown)


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    return tables.arms(study.parameters.losses, {"temperature": _parameters(study).temperature or 0.1})


def results_table(study: Execution, summary: Summary, metric: str) -> pd.DataFrame:
    """One metric of every arm of the main sweep, by encoder, size of the label space and head."""
    rows = summary.intervals[scores.is_main(summary.intervals)]
    return tables.results_table(study, summary.arms, rows, metric, name=f"results_{metric}")


def plot_label_count(study: Execution, summary: Summary) -> Figure | None:
    """Macro-F1, mAP and ranking loss of the probe against the number of labels."""
    return _plot(study, summary, "label_count", MAIN, x="num_labels")


def plot_differences(study: Execution, summary: Summary) -> Figure | None:
    """Differences of the probe to that of BCE, or of the first loss, against the number of labels; paired."""
    names = study.parameters.losses
    reference = "bce" if "bce" in names else names[0]
    rows = differences(summary, reference, MAIN)
    if len(rows):
        rows = _varied(rows[_drawn(rows)], "num_labels")
    if rows.empty:
        return None
    return drawing.draw(study, "differences", {"intervals": rows.assign(reference=reference)})


def plot_base_labels(study: Execution, summary: Summary) -> Figure | None:
    """Macro-F1 and mAP of the labels of the smallest space against the number of labels."""
    return _plot(study, summary, "base_labels", ("macro_f1_base", "map_base"), x="num_labels")


def plot_fractions(study: Execution, summary: Summary) -> Figure | None:
    """Macro-F1, mAP and ranking loss of the probe against the share of the training part."""
    return _plot(study, summary, "fractions", MAIN, x="train_fraction")


def plot_matched(study: Execution, summary: Summary) -> Figure | None:
    """Macro-F1 and mAP of the probe against the number of labels, their frequencies matched; None without draws.

    Values are means over the draws of labels; at the largest size there is nothing to draw.
    """
    frames = matched(summary, ("macro_f1", "map"))
    if frames is None:
        print("no labels were drawn: label_draws is 0 in this preset")
        return None
    return drawing.draw(study, "matched_frequency", frames)


def _drawn(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows a figure shows: the probe's, without the baselines that are far from the rest."""
    return (rows["head"] == "probe") & ~rows["loss"].isin(set(BASELINES) - set(FEW_BASELINES))


def _varied(rows: pd.DataFrame, x: str) -> pd.DataFrame:
    """The rows of those data sets and encoders that have several values of x."""
    several = rows.groupby(["dataset", "encoder"])[x].transform("nunique") > 1
    return rows[several]


def _plot(
    study: Execution, summary: Summary, name: str, metrics: tuple[str, ...], *, x: str
) -> Figure | None:
    reference = {each: reference_labels(_parameters(study).sizes(each)) for each in study.parameters.datasets}

    def chosen(rows: pd.DataFrame) -> pd.DataFrame:
        if x == "num_labels":
            within = scores.is_main(rows)
        else:
            at_reference = rows["num_labels"] == rows["dataset"].map(reference)
            within = at_reference & rows["label_draw"].isna() & rows["held_out"].isna()
        return _varied(rows[within & _drawn(rows) & rows["metric"].isin(metrics)], x)

    frames = {"intervals": chosen(summary.intervals), "points": chosen(summary.points)}
    if frames["intervals"].empty:
        print(f"nothing varies: one value of {x} in this preset")
        return None
    return drawing.draw(study, name, frames)


def held_out_table(study: Execution, summary: Summary) -> pd.DataFrame | None:
    """mAP of the probe on a drawing family that training did without, beside that on all families.

    None where no family is held out. Also written as a table.
    """
    rows = []
    for arm, members in summary.arms.items():
        whole = summary.arms.get(arm.but(held_out=None))
        if arm["held_out"] is not None and whole:
            rows.append(
                {
                    "dataset": arm.dataset,
                    "num_labels": arm.num_labels,
                    "held_out": arm["held_out"],
                    "loss": arm.loss,
                    "map": scores.mean(members, "probe_map"),
                    "map_all_families": scores.mean(whole, "probe_map"),
                    "examples": members[0].facts["examples_test"],
                    "remark": scores.remark(summary.arms, arm),
                }
            )
    if not rows:
        return None
    table = pd.DataFrame(rows)
    figures.save_table(
        figures.tables.plain(table, form=".3f"),
        study.folder / "tables",
        "held_out",
        data=table,
    )
    shown = table.assign(loss=[style.look(name).label for name in table["loss"]])
    for column in ("map", "map_all_families"):
        shown[column] = [f"{100 * value:.1f}" for value in shown[column]]
    return shown.set_index(["dataset", "num_labels", "held_out", "loss"])


def named_table(study: Execution, summary: Summary) -> pd.DataFrame | None:
    """Positives that the text names beside the others: the share of each kind that is found, and mAP without the first.

    At the largest size of the label space, over texts; None for images. Also written as a table.
    """
    rows = []
    for arm, members in summary.arms.items():
        largest = arm.num_labels == max(_parameters(study).sizes(arm.dataset))
        if not largest or not arm.is_main:
            continue
        for head in scores.HEADS:
            values = {name: scores.mean(members, f"{head}_{name}") for name in NAMED}
            if not math.isnan(values["recall_named"]):
                rows.append(
                    {
                        "dataset": arm.dataset,
                        "encoder": arm.encoder,
                        "loss": style.look(arm.loss).label,
                        "head": head,
                        **values,
                    }
                )
    if not rows:
        return None
    table = pd.DataFrame(rows)
    figures.save_table(
        figures.tables.plain(table, form=".3f"),
        study.folder / "tables",
        "named",
        data=table,
    )
    return table.set_index(["dataset", "encoder", "loss", "head"]).map(lambda value: f"{100 * value:.1f}")


def contrasts_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """The contrasts in points, positive where the contrastive loss is ahead; also written as CSV and LaTeX."""
    rows = [
        {
            "dataset": each.task.dataset,
            "encoder": each.task.encoder,
            "num_labels": each.task.num_labels,
            "train_fraction": each.task["train_fraction"],
            "head": each.head,
            "contrastive": each.first,
            "bce_type": each.second,
            "metric": each.metric,
            **scores.as_row(each.interval),
            "shown": wording.in_points(each.interval),
        }
        for each in contrasts(summary)
        if each.task["label_draw"] is None and each.task["held_out"] is None
    ]
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    index = ["dataset", "encoder", "num_labels", "train_fraction", "head", "contrastive", "bce_type"]
    for column in ("contrastive", "bce_type"):
        table[column] = [style.look(name).label for name in table[column]]
    wide = table.pivot(index=index, columns="metric", values="shown")[list(MAIN)]
    wide.columns = [style.metric(name).label for name in MAIN]
    figures.save_table(
        figures.tables.plain(wide.reset_index()),
        study.folder / "tables",
        "contrasts",
        data=table.drop(columns="shown"),
    )
    return wide


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return tables.reviewers_list(
        study,
        summary.carried,
        exclusions="Examples without any label of the smallest space are left out.",
        deviations="Frozen features, or small encoders that learn from nothing, instead of a large one trained end to"
        " end; other data; a linear probe beside each loss's own head.",
        limits="What a loss changes in a large pretrained encoder that is trained with it.",
    )
