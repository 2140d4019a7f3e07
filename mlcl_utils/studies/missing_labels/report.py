"""Tables and figures of the study of missing labels, from its runs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data, figures
from mlcl_utils.figures import style
from mlcl_utils.studies import drawing, scores, tables, wording
from mlcl_utils.studies.arms import FEW_BASELINES, Arm
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.missing_labels import (
    BASE_LABELS,
    CORRECTED,
    STRUCTURE,
    Condition,
    MissingLabelsParameters,
    published_weight,
)
from mlcl_utils.studies.missing_labels.measures import Summary, additions, condition_of, corrections
from mlcl_utils.training import BASELINES

PUBLISHED = {"COCO": 1.2, "VOC": 1.6, "NUS-WIDE": 1.3}
"""Ma et al. (arXiv 2209.01314), abstract: points of mAP that CLML adds, with ResNet-101."""

HEADS = {"direct": "own head", "probe": "probe"}


def _parameters(study: Execution) -> MissingLabelsParameters:
    assert isinstance(study.parameters, MissingLabelsParameters)
    return study.parameters


def tasks(study: Execution) -> pd.DataFrame:
    """What each condition leaves of the training labels, in replicate 0; also written as a table."""
    parameters, rows = _parameters(study), []
    for dataset in parameters.datasets:
        labels = parameters.labels_of(dataset)
        whole = data.task(
            parameters.dataset(dataset), num_labels=labels, base_labels=min(BASE_LABELS, labels)
        )
        for condition in _ordered(parameters.conditions):
            task = data.lose_positives(
                whole,
                kept_share=condition.kept_share,
                one_positive=condition.one_positive,
                seed=parameters.seed,
            )
            described = task.describe(batch_size=parameters.batch_size)
            kept = np.count_nonzero(task.train.labels == 1) / np.count_nonzero(whole.train.labels == 1)
            rows.append(
                {
                    "dataset": dataset,
                    "positives": _words(condition),
                    "kept": kept,
                    **{
                        name: described[name]
                        for name in (
                            "num_labels",
                            "examples_train",
                            "cardinality",
                            "unlabelled_share",
                            "min_positives_train",
                            "positives_rarest_label",
                        )
                    },
                }
            )
    table = pd.DataFrame(rows)
    figures.save_table(
        figures.tables.plain(table, form=".3g"),
        study.folder / "tables",
        "tasks",
        data=table,
    )
    shown = table.set_index(["dataset", "positives"])
    shown.columns = [name.replace("_", " ") for name in shown.columns]
    return tables.short(shown)


def arms(study: Execution) -> pd.DataFrame:
    """The losses, the controls and the baselines that are compared."""
    parameters = _parameters(study)
    weight = published_weight(parameters.batch_size) * parameters.clml_weights[0]
    names = [
        *parameters.losses,
        *(f"{name}+clml" for name in parameters.losses),
        CORRECTED,
        f"{parameters.swept[0]}+norm_penalty",
    ]
    return tables.arms(names, {f"{term}.weight": f"{weight:.4g}" for term in STRUCTURE})


def results_table(study: Execution, summary: Summary, metric: str, head: str) -> pd.DataFrame:
    """One metric of every loss in every condition, read with one head; also written as CSV and LaTeX."""
    rows = summary.intervals
    rows = rows[(rows["head"] == head) & scores.is_plain(rows)]
    return tables.results_table(
        study,
        summary.arms,
        _sorted(rows),
        metric,
        name=f"results_{metric}_{head}",
        columns=("dataset", "positives"),
    )


def reference_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """Every arm at the reference: base losses, weights of CLML, controls, the oracle; also written as CSV and LaTeX.

    mAP and macro-F1 in per cent, by head; the effective rank of the representation.
    """
    rows = []
    quantities = (
        ("direct", "map"),
        ("probe", "map"),
        ("direct", "macro_f1"),
        ("probe", "macro_f1"),
        ("", "effective_rank"),
    )
    for arm, members in summary.arms.items():
        if condition_of(arm)._replace(clean_validation=False) != summary.reference:
            continue
        words = [style.look(arm.loss).label, *([arm.setting] if arm.setting else [])]
        words += ["(oracle)"] if arm["clean_validation"] else []
        rows.append(
            {
                "dataset": arm.dataset,
                "loss": arm.loss,
                "arm": " ".join(words),
                **{
                    scores.column(head, metric): scores.mean(members, scores.column(head, metric))
                    for head, metric in quantities
                },
                "remark": scores.remark(summary.arms, arm),
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    ranks = {name: rank for rank, name in enumerate(style.order(table["loss"].unique().tolist()))}
    table = table.assign(rank=table["loss"].map(ranks)).sort_values(["dataset", "rank"], kind="stable")
    table = table.drop(columns=["rank", "loss"])
    figures.save_table(
        figures.tables.plain(table, form=".3f", missing="–"),
        study.folder / "tables",
        "reference",
        data=table,
    )
    shown = table.set_index(["dataset", "arm"])
    for head, metric in quantities:
        look, name = style.metric(metric), scores.column(head, metric)
        scale = 100 if look.percent else 1
        shown[name] = ["–" if np.isnan(value) else f"{scale * value:.1f}" for value in shown[name]]
        shown = shown.rename(columns={name: f"{look.label}, {HEADS[head]}" if head else look.label})
    return shown


def corrections_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """What the correction has found after the last epoch, means over replicates; also written as CSV and LaTeX."""
    rows = corrections(summary)
    if rows.empty:
        return rows
    last = rows[rows["epoch"] == rows.groupby(list(scores.COLUMNS), dropna=False)["epoch"].transform("max")]
    table = last.assign(
        arm=[
            f"{style.look(row['loss']).label} {scores.of_row(row).setting}".strip()
            for _, row in last.iterrows()
        ]
    )
    table = table[["dataset", "arm", "epoch", "lost", "corrected", "precision", "recall", "unlabelled"]]
    figures.save_table(
        figures.tables.plain(table, form=".3f", missing="–"),
        study.folder / "tables",
        "corrections",
        data=table,
    )
    shown = table.set_index(["dataset", "arm"])
    for name in ("precision", "recall"):
        shown[name] = ["–" if np.isnan(value) else f"{value:.0%}" for value in shown[name]]
    for name in ("lost", "corrected", "unlabelled"):
        shown[name] = [f"{value:,.0f}" for value in shown[name]]
    return shown


def published_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """What CLML adds to mAP: published, and here for each base loss and condition; also written as CSV and LaTeX."""
    rows = [
        {"where": f"{name} (published, ResNet-101)", "base": "", "positives": "", "points": f"{points:+.1f}"}
        for name, points in PUBLISHED.items()
    ]
    for each in additions(summary, "map"):
        rows.append(
            {
                "where": f"{each.first.dataset} (here, frozen features)",
                "base": style.look(each.second.loss).label,
                "positives": each.first.positives,
                "points": wording.in_points(each.interval),
            }
        )
    table = pd.DataFrame(rows)
    figures.save_table(figures.tables.plain(table), study.folder / "tables", "published", data=table)
    return table.set_index(["where", "base", "positives"])


def plot_conditions(study: Execution, summary: Summary) -> Figure | None:
    """mAP of own head and probe, and macro-F1 of the probe, in every condition."""
    quantities = (("direct", "map"), ("probe", "map"), ("probe", "macro_f1"))
    return drawing.draw(
        study,
        "conditions",
        {name: _over_conditions(study, rows, quantities) for name, rows in _frames(summary).items()},
    )


def plot_rank(study: Execution, summary: Summary) -> Figure | None:
    """Effective rank of the representation in every condition, with and without CLML."""
    frames = _frames(summary)
    return drawing.draw(
        study,
        "rank",
        {name: _over_conditions(study, rows, (("", "effective_rank"),)) for name, rows in frames.items()},
    )


def plot_differences(study: Execution, summary: Summary) -> Figure | None:
    """What CLML at the published weight changes, for every base loss and condition; paired, best head of each."""
    rows = []
    for metric in ("map", "macro_f1"):
        for each in additions(summary, metric):
            found = scores.as_row(each.interval)
            label = f"change of {style.metric(metric).label}\n(points)"
            rows.append({**each.first.row(), "head": "best", "metric": metric, "quantity": label, **found})
    return drawing.draw(study, "differences", {"intervals": _placed(study, pd.DataFrame(rows))})


def plot_correction(study: Execution, summary: Summary) -> Figure | None:
    """Precision and recall of the label correction over the epochs, at the reference."""
    rows = corrections(summary)
    if rows.empty:
        return None
    rows = rows[scores.is_plain(rows) & ~rows["loss"].str.endswith("norm_penalty")]
    long = rows.melt(
        id_vars=["dataset", "loss", "epoch"],
        value_vars=["precision", "recall"],
        var_name="kind",
        value_name="estimate",
    )
    long = long.dropna(subset=["estimate"]).assign(metric="correction")
    long["quantity"] = [f"{kind} (%)" for kind in long.pop("kind")]
    return drawing.draw(study, "correction", {"intervals": long})


def _frames(summary: Summary) -> dict[str, pd.DataFrame]:
    return {"intervals": summary.intervals, "points": summary.points}


def _over_conditions(
    study: Execution, rows: pd.DataFrame, quantities: Iterable[tuple[str, str]]
) -> pd.DataFrame:
    """The rows of a figure over conditions: losses in several of them, and few baselines."""
    rows = rows[scores.is_plain(rows)]
    rows = rows[~rows["loss"].isin(set(BASELINES) - set(FEW_BASELINES))]
    rows = rows[~rows["loss"].isin([CORRECTED]) & ~rows["loss"].str.endswith("norm_penalty")]
    parts = []
    for head, metric in quantities:
        look = style.metric(metric)
        label = f"{look.label}, {HEADS[head]}" if head else look.label
        own = rows[(rows["head"] == head) & (rows["metric"] == metric)]
        parts.append(own.assign(quantity=f"{label} (%)" if look.percent else label))
    return _placed(study, pd.concat(parts, ignore_index=True))


def _placed(study: Execution, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the position of their condition on an axis, and its tick."""
    order = {each: at for at, each in enumerate(_ordered(_parameters(study).conditions))}
    found = [condition_of(scores.of_row(row)) for _, row in rows.iterrows()]
    return rows.assign(
        position=[order[each] for each in found],
        tick=["one" if each.one_positive else f"{each.kept_share:.0%}" for each in found],
    )


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(
        ["dataset", "one_positive", "kept_share"], ascending=[True, True, False], kind="stable"
    )


def _ordered(conditions: Iterable[Condition]) -> list[Condition]:
    """From all positives down, one positive last."""
    return sorted(conditions, key=lambda each: (each.one_positive, -each.kept_share))


def _words(condition: Condition) -> str:
    return Arm("", "", 0, "").but(**condition._asdict()).positives


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    parameters = _parameters(study)
    return tables.reviewers_list(
        study,
        summary.carried,
        found=summary.arms,
        search=None
        if summary.carried.choices
        else f"None: one recipe for all arms, with that of four learning rates ({parameters.learning_rate:g}) at which"
        " BCE's own head has the best validation mAP.",
        exclusions="Positives are lost at random in training and validation, never in test; the label space is that"
        " of the true labels. Thresholds and penalties are chosen on a validation part whose lost positives look"
        " negative.",
        deviations="Frozen features in place of ResNet-101 trained end to end; other data; no"
        " moving average of weights; batches of 256, and CLML's weight divided by that, since base losses are averaged"
        " over the batch; examples without any corrected label are left out of CLML's norms.",
        limits="What CLML changes in a large encoder that is trained with it; positives that are not lost at random,"
        " as when annotators overlook the small or the obvious.",
    )
