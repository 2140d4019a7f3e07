"""Tables and figures of the study of missing labels: views of what it measures."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data
from mlcl_utils.figures import style
from mlcl_utils.studies import figures, reviewers, scores, sentences, tables
from mlcl_utils.studies.arms import FEW_BASELINES, Arm, in_percent
from mlcl_utils.studies.comparisons import BOUNDS, fractions
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw
from mlcl_utils.studies.missing_labels import CORRECTED, STRUCTURE, Condition, published_weight
from mlcl_utils.studies.missing_labels.measures import at_reference, condition_of, corrections
from mlcl_utils.studies.tables import fixed, percent, whole
from mlcl_utils.training import BASELINES

PUBLISHED = {"COCO": 1.2, "VOC": 1.6, "NUS-WIDE": 1.3}
"""Ma et al. (arXiv 2209.01314), abstract: points of mAP that CLML adds, with ResNet-101."""

HEADS = {"direct": ", own head", "probe": ", probe", "": ""}
SHOWN = (
    ("direct", "map"),
    ("probe", "map"),
    ("direct", "macro_f1"),
    ("probe", "macro_f1"),
    ("", "effective_rank"),
)


def tasks_table(study: Execution) -> pd.DataFrame:
    """What each condition leaves of the training labels, in replicate 0."""
    parameters, rows = study.parameters, []
    for dataset in parameters.datasets:
        labels = parameters.labels_of(dataset)
        full = data.task(parameters.dataset(dataset), num_labels=labels, base_labels=0)
        for each in _ordered(study):
            kept, one = each.kept_share, each.one_positive
            task = data.lose_positives(full, kept_share=kept, one_positive=one, seed=parameters.seed)
            share = np.count_nonzero(task.train.labels == 1) / np.count_nonzero(full.train.labels == 1)
            positives = Arm("", "", 0, "").but(**each._asdict()).positives
            described = task.describe(batch_size=parameters.batch_size)
            rows.append({"dataset": dataset, "positives": positives, "kept": share, **described})
    facts = ["num_labels", "examples_train", "cardinality", "unlabelled_share", "min_positives_train"]
    shown = pd.DataFrame(rows)[["dataset", "positives", "kept", *facts, "positives_rarest_label"]]
    return tables.show(study, "tasks", shown, index=["dataset", "positives"])


def arms(study: Execution) -> pd.DataFrame:
    """The losses, the controls and the baselines that are compared."""
    parameters = study.parameters
    weight = published_weight(parameters.batch_size) * parameters.clml_weights[0]
    names = [*parameters.losses, *(f"{name}+clml" for name in parameters.losses)]
    names += [CORRECTED, f"{parameters.swept[0]}+norm_penalty"]
    return tables.arms(names, {f"{term}.weight": f"{weight:.4g}" for term in STRUCTURE})


def results(study: Execution, metric: str = "map", head: str = "probe") -> pd.DataFrame:
    """One metric of every loss in every condition, read with one head."""
    rows = study.scores
    rows = rows[(rows["head"] == head) & scores.is_plain(rows)]
    rows = rows.sort_values(["one_positive", "kept_share"], ascending=[True, False], kind="stable")
    name = f"results_{metric}_{head}"
    return tables.results(study, metric, rows=rows, name=name, columns=("dataset", "positives"))


def conditions(study: Execution) -> Figure | None:
    """mAP of own head and probe, and macro-F1 of the probe, in every condition."""
    return _over_conditions(study, "conditions", [("direct", "map"), ("probe", "map"), ("probe", "macro_f1")])


def rank(study: Execution) -> Figure | None:
    """Effective rank of the representation in every condition, with and without CLML."""
    return _over_conditions(study, "rank", [("", "effective_rank")])


def _over_conditions(study: Execution, name: str, quantities: list[tuple[str, str]]) -> Figure | None:
    """A figure of losses that are in several conditions, and few baselines."""
    frames = {}
    for key, rows in (("intervals", study.scores), ("points", study.points)):
        left_out = [*(set(BASELINES) - set(FEW_BASELINES)), CORRECTED]
        rows = rows[scores.is_plain(rows) & ~rows["loss"].isin(left_out)]
        rows = rows[~rows["loss"].str.endswith("norm_penalty")]
        parts = [
            rows[(rows["head"] == head) & (rows["metric"] == metric)].assign(quantity=_quantity(head, metric))
            for head, metric in quantities
        ]
        frames[key] = _placed(study, pd.concat(parts, ignore_index=True))
    return figures.draw(study, name, frames)


def _quantity(head: str, metric: str, unit: str = " (%)") -> str:
    look = style.metric(metric)
    return look.label + HEADS[head] + unit * look.percent


def _placed(study: Execution, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the position of their condition on an axis, and its tick."""
    order = {each: at for at, each in enumerate(_ordered(study))}
    found = [condition_of(scores.of_row(row)) for _, row in rows.iterrows()]
    ticks = ["one" if each.one_positive else in_percent(each.kept_share) for each in found]
    return rows.assign(position=[order[each] for each in found], tick=ticks)


def _ordered(study: Execution) -> list[Condition]:
    """From all positives down, one positive last."""
    return sorted(study.parameters.conditions, key=lambda each: (each.one_positive, -each.kept_share))


def differences(study: Execution) -> Figure | None:
    """What CLML at the published weight changes, for every base loss and condition; paired, best head of each."""
    rows = fractions(study.comparisons.query("name == 'clml' and weight == 1 and estimate.notna()"))
    parts = [
        rows[rows["metric"] == metric].assign(quantity=f"change of {style.metric(metric).label}\n(points)")
        for metric in ("map", "macro_f1")
    ]
    both = pd.concat(parts)[[*scores.COLUMNS, "metric", "quantity", "estimate", *BOUNDS, "replicates"]]
    return figures.draw(study, "differences", {"intervals": _placed(study, both.assign(head="best"))})


def reference(study: Execution) -> pd.DataFrame:
    """Every arm at the reference: base losses, weights of CLML, controls, the oracle; means, by head."""
    rows = at_reference(study, study.scores)
    if rows.empty:
        return rows
    names = [scores.column(head, metric) for head, metric in SHOWN]
    where = [scores.column(head, metric) for head, metric in zip(rows["head"], rows["metric"], strict=True)]
    rows = rows.assign(arm=[_words(scores.of_row(row)) for _, row in rows.iterrows()], where=where)
    wide = rows.pivot_table(index=["dataset", "loss", "arm"], columns="where", values="estimate", sort=False)
    flags = rows[rows["where"] == "probe_map"].set_index(["dataset", "loss", "arm"])["flag"]
    wide = wide.reindex(columns=names).assign(flag=flags).reset_index("loss")
    order = style.order(wide["loss"].unique().tolist())
    wide = wide.sort_values(
        ["dataset", "loss"], key=lambda names: names.map(order.index) if names.name == "loss" else names
    )
    columns: tables.Columns = {
        name: (_quantity(*each, unit=""), percent() if style.metric(each[1]).percent else fixed(1))
        for name, each in zip(names, SHOWN, strict=True)
    }
    values = wide.drop(columns="loss").rename_axis(columns=None).reset_index()
    return tables.show(study, "reference", values, index=["dataset", "arm"], columns=columns)


def _words(arm: Arm) -> str:
    words = [style.look(arm.loss).label, arm.setting, "(oracle)" if arm["clean_validation"] else ""]
    return " ".join(filter(None, words))


def weights(study: Execution) -> pd.DataFrame:
    """What CLML changes at the reference, at every weight."""
    rows = at_reference(study, study.comparisons.query("name == 'clml'"))
    return tables.compared(study, rows=rows, name="weights")


def correction(study: Execution) -> Figure | None:
    """Precision and recall of the label correction over the epochs, at the reference."""
    rows = corrections(study)
    if rows.empty:
        return None
    rows = rows[scores.is_plain(rows) & ~rows["loss"].str.endswith("norm_penalty")]
    index, shares = ["dataset", "loss", "epoch"], ["precision", "recall"]
    long = rows.melt(index, shares, var_name="kind", value_name="estimate").dropna(subset=["estimate"])
    long = long.assign(metric="correction", quantity=long["kind"] + " (%)").drop(columns="kind")
    return figures.draw(study, "correction", {"intervals": long})


def corrections_table(study: Execution) -> pd.DataFrame:
    """What the correction has found after the last epoch; means over replicates."""
    rows = corrections(study)
    if rows.empty:
        return rows
    last = rows[rows["epoch"] == rows.groupby(list(scores.COLUMNS), dropna=False)["epoch"].transform("max")]
    last = last.assign(arm=[_words(scores.of_row(row)) for _, row in last.iterrows()])
    columns: tables.Columns = {
        "epoch": ("epoch", str),
        **{name: (name, whole) for name in ("lost", "corrected")},
        **{name: (f"{name} (%)", percent(0)) for name in ("precision", "recall")},
        "unlabelled": ("unlabelled", whole),
    }
    return tables.show(
        study, "corrections", last[["dataset", "arm", *columns]], index=["dataset", "arm"], columns=columns
    )


def published(study: Execution) -> pd.DataFrame:
    """What CLML adds to mAP: published, and here for each base loss and condition."""
    own = study.comparisons.query("name == 'clml' and metric == 'map' and weight == 1")
    own = own[own["estimate"].notna()]
    here = own.assign(
        where=own["dataset"] + " (here, frozen features)",
        base=[style.look(loss).label for loss in own["reference"]],
        positives=[scores.of_row(row).positives for _, row in own.iterrows()],
    )
    theirs = [
        {"where": f"{name} (published, ResNet-101)", "base": "", "positives": "", "estimate": points}
        for name, points in PUBLISHED.items()
    ]
    index = ["where", "base", "positives"]
    rows = pd.concat([pd.DataFrame(theirs), here])[[*index, "estimate", "lower", "upper"]]
    bounds = zip(rows["estimate"], rows["lower"], rows["upper"], strict=True)
    points = [sentences.bounded(estimate, lower, upper, "+.1f") for estimate, lower, upper in bounds]
    return tables.show(study, "published", rows[index].assign(points=points), index=index, values=rows)


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    search = (
        f"None: one recipe for all arms, with that of four learning rates ({study.parameters.learning_rate:g}) at which"
        " BCE's own head has the best validation mAP."
    )
    return reviewers.checklist(
        study,
        search="" if study.trained.choices else search,
        exclusions="Positives are lost at random in training and validation, never in test; the label space is that"
        " of the true labels. Thresholds and penalties are chosen on a validation part whose lost positives look"
        " negative.",
        deviations="Frozen features in place of ResNet-101 trained end to end; other data; no"
        " moving average of weights; batches of 256, and CLML's weight divided by that, since base losses are averaged"
        " over the batch; examples without any corrected label are left out of CLML's norms.",
        limits="What CLML changes in a large encoder that is trained with it; positives that are not lost at random,"
        " as when annotators overlook the small or the obvious.",
    )


_draw = partial(figures.facets, column="quantity", x="position", x_label="positives kept (%)")

FIGURES: dict[str, Draw] = {
    "conditions": _draw,
    "differences": partial(_draw, margins={"map": 0.5, "macro_f1": 1.0}, ratio=0.7),
    "correction": partial(_draw, x="epoch", x_label="epoch", ratio=0.7),
    "rank": partial(_draw, ratio=0.7),
}
