"""Tables and figures of the kernel mixture study, from its runs."""

from __future__ import annotations

import math

import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data, figures
from mlcl_utils.figures import style
from mlcl_utils.studies import drawing, scores, tables
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.kernel_mixture import BASE_LABELS, VARIANTS, KernelMixtureParameters
from mlcl_utils.studies.kernel_mixture.measures import (
    CALIBRATION,
    HEALTH,
    Summary,
    against_asl,
    dead,
    mixtures,
    reliability,
)
from mlcl_utils.training import Recipe

MARGIN = 0.5
"""Points of mAP that matter."""

PUBLISHED = pd.DataFrame(
    [("TResNet-M, 224 px", 82.1, 95.2, 30.0, 95.1), ("TResNet-L, 448 px", 88.6, 96.2, 31.5, 96.5)],
    columns=["encoder", "COCO", "VOC", "ChestX-ray14", "ADP"],
)
"""mAP in per cent of the checkpoints that Sajedi et al. (arXiv 2307.03967) released."""


def _parameters(study: Execution) -> KernelMixtureParameters:
    assert isinstance(study.parameters, KernelMixtureParameters)
    return study.parameters


def tasks(study: Execution) -> pd.DataFrame:
    """The tasks of the study in numbers, for the first replicate; also written as a table."""
    parameters, rows = _parameters(study), []
    for dataset in parameters.datasets:
        labels = parameters.labels_of(dataset)
        task = data.task(parameters.dataset(dataset), num_labels=labels, base_labels=min(BASE_LABELS, labels))
        rows.append({"dataset": dataset, **task.describe(batch_size=Recipe(epochs=1).batch_size)})
    table = pd.DataFrame(rows)
    figures.save_table(
        figures.tables.plain(table.T, form=".3g", named_rows=True),
        study.folder / "tables",
        "tasks",
        data=table,
    )
    shown = table.set_index("dataset").T
    shown.index = [name.replace("_", " ") for name in shown.index]
    return tables.short(shown)


def arms(study: Execution) -> pd.DataFrame:
    """The variants, the losses that they stand beside, and the baselines."""
    parameters = _parameters(study)
    rows = [
        {"arm": style.look(VARIANTS[name].arm).label, "kind": "kernel", "settings": VARIANTS[name].meaning}
        for name in parameters.variants
    ]
    others = tables.arms(parameters.losses)[["kind", "settings"]]
    return pd.concat([pd.DataFrame(rows).set_index("arm"), others])


def results_table(study: Execution, summary: Summary, metric: str) -> pd.DataFrame:
    """One metric of every arm, by data set and head; also written as CSV and LaTeX."""
    return tables.results_table(study, summary.arms, summary.intervals, metric, name=f"results_{metric}")


def plot_parts(study: Execution, summary: Summary) -> Figure | None:
    """Every variant and loss against the asymmetric loss of the head alone: mAP, best head of each, paired."""
    rows = []
    for each in against_asl(summary, "map"):
        found = {name: 100 * value for name, value in scores.as_row(each.interval).items()}
        rows.append(
            {
                "dataset": each.first.describe(),
                "loss": each.first.loss,
                "arm": style.look(each.first.loss).label,
                "margin": MARGIN,
                **found,
                "replicates": each.interval.n,
            }
        )
    if not rows:
        return None
    table = pd.DataFrame(rows)
    ranks = {name: rank for rank, name in enumerate(style.order(table["loss"].unique().tolist()))}
    table = table.assign(rank=table["loss"].map(ranks)).sort_values(["dataset", "rank"], kind="stable")
    return drawing.draw(study, "parts", {"differences": table.drop(columns="rank")})


def health_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """How alive the terms of every variant are, on test; also written as CSV and LaTeX.

    The shares of κ that underflow and of ρ outside [0.01, 0.99], and the gradient of each weighted term by the
    features, in units of that of the asymmetric loss.
    """
    rows = []
    for task in summary.tasks:
        for variant, arm in mixtures(summary, task):
            members = summary.arms[arm]
            values = {name: scores.mean(members, name) for name in HEALTH}
            weights = {
                name: variant.hyperparameters.get(name, 1.0) for name in ("reconstruction", "contrastive")
            }
            rows.append(
                {
                    "dataset": task.dataset,
                    "arm": style.look(arm.loss).label,
                    "kappa_underflow": values["kappa_underflow"],
                    "rho_saturated": values["rho_saturated"],
                    **{
                        f"gradient_{name}": weight * values[f"gradient_{name}"] / values["gradient_asl"]
                        for name, weight in weights.items()
                    },
                    "dead": "; ".join(dead(summary, arm)),
                }
            )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    figures.save_table(
        figures.tables.plain(table, form=".3f"),
        study.folder / "tables",
        "health",
        data=table,
    )
    shown = table.set_index(["dataset", "arm"])
    for name in ("kappa_underflow", "rho_saturated"):
        shown[name] = [f"{100 * value:.1f}%" for value in shown[name]]
    for name in ("gradient_reconstruction", "gradient_contrastive"):
        shown[name] = [f"{value:.3f}" for value in shown[name]]
    return shown.rename(
        columns={
            "kappa_underflow": "κ that underflow",
            "rho_saturated": "ρ outside [0.01, 0.99]",
            "gradient_reconstruction": "gradient of the reconstruction",
            "gradient_contrastive": "gradient of the contrast",
            "dead": "dead terms",
        }
    )


def calibration_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """Squared deviations over stated variances, and their rank correlation; also written as CSV and LaTeX."""
    rows = [
        {
            "dataset": task.dataset,
            "arm": style.look(arm.loss).label,
            **{name: scores.mean(summary.arms[arm], name) for name in CALIBRATION},
        }
        for task in summary.tasks
        for _, arm in mixtures(summary, task)
    ]
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    figures.save_table(
        figures.tables.plain(table, form=".3f", missing="–"),
        study.folder / "tables",
        "calibration",
        data=table,
    )
    shown = table.set_index(["dataset", "arm"])
    for name, form in zip(CALIBRATION, (".2f", "+.2f"), strict=True):
        shown[name] = ["–" if math.isnan(value) else f"{value:{form}}" for value in shown[name]]
    names = {"variance_ratio": "squared deviation / variance", "variance_rank": "rank correlation"}
    return shown.rename(columns=names)


def plot_calibration(study: Execution, summary: Summary) -> Figure | None:
    """Stated variances against squared deviations, for the kernels of own and of other labels, by kernel."""
    rows = reliability(summary)
    if rows.empty:
        return None
    without = {VARIANTS[name].arm for name in ("asl", "released", "averaged")}
    return drawing.draw(study, "calibration", {"bins": rows[~rows["loss"].isin(without)]})


def published_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """mAP of the released checkpoints, and of KMCL here with its own head; also written as CSV and LaTeX."""
    table = PUBLISHED.assign(source="published").set_index(["source", "encoder"])
    for task in summary.tasks:
        arm = task.but(loss=VARIANTS["contrast"].arm)
        if arm in summary.arms:
            value = 100 * scores.mean(summary.arms[arm], "direct_map")
            table.loc[("here", "MLP on frozen features"), task.describe()] = value
    figures.save_table(
        figures.tables.plain(table.reset_index(), form=".1f", missing="–"),
        study.folder / "tables",
        "published",
        data=table.reset_index(),
    )
    return table.map(lambda value: "–" if pd.isna(value) else f"{value:.1f}")


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return tables.reviewers_list(
        study,
        summary.carried,
        found=summary.arms,
        exclusions="Examples without any of the ten most frequent labels are left out.",
        deviations="Frozen features in place of TResNet trained end to end, without augmentation; other data; isotropic"
        " kernels, where the released training makes anisotropic ones of 128 dimensions the default; positives focused"
        " by γ+ = 1, the default of the released loss (its training sets 0), with a gradient through the weight;"
        " batches of 256; means and variances come from linear layers that start at random; no moving average of"
        " weights.",
        limits="What the kernels do to an encoder that is trained with them from pixels or words; whether classes with"
        " several modes would need more than one kernel each.",
    )
