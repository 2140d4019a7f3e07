"""Tables and figures of the kernel mixture study: views of what it measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mlcl_utils import data
from mlcl_utils.figures import plots, style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies import figures, reviewers, scores, tables
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw, Frames
from mlcl_utils.studies.kernel_mixture import BATCH, VARIANTS
from mlcl_utils.studies.kernel_mixture.measures import WHOLE, health, reliability, tasks
from mlcl_utils.studies.tables import fixed, percent

MARGIN = 0.5
"""Points of mAP that matter."""

PUBLISHED = pd.DataFrame(
    [("TResNet-M, 224 px", 82.1, 95.2, 30.0, 95.1), ("TResNet-L, 448 px", 88.6, 96.2, 31.5, 96.5)],
    columns=["encoder", "COCO", "VOC", "ChestX-ray14", "ADP"],
)
"""mAP in per cent of the checkpoints that Sajedi et al. (arXiv 2307.03967) released."""


def tasks_table(study: Execution) -> pd.DataFrame:
    """The tasks of the study in numbers, for the first replicate."""
    parameters, described = study.parameters, []
    for name in parameters.datasets:
        labels = parameters.labels_of(name)
        task = data.task(parameters.dataset(name), num_labels=labels, base_labels=0)
        described.append({"dataset": name, **task.describe(batch_size=BATCH)})
    return tables.tasks(study, described, ["dataset"])


def arms(study: Execution) -> pd.DataFrame:
    """The variants, the losses that they are compared with, and the baselines."""
    own = [
        {"arm": style.look(VARIANTS[name].arm).label, "kind": "kernel", "settings": VARIANTS[name].meaning}
        for name in study.parameters.variants
    ]
    others = tables.arms(study.parameters.losses)[["kind", "settings"]]
    return pd.concat([pd.DataFrame(own).set_index("arm"), others])


def parts(study: Execution) -> Figure | None:
    """Every variant and loss against the asymmetric loss of the head alone."""
    rows = study.comparisons.query("name == 'against_asl' and estimate.notna()")
    labels = [style.look(loss).label for loss in rows["loss"]]
    rows = rows.assign(arm=labels, dataset=rows["task"], margin=MARGIN)
    places = {name: at for at, name in enumerate(style.order(rows["loss"].unique().tolist()))}
    rows = rows.sort_values("loss", key=lambda names: names.map(places), kind="stable")
    return figures.draw(study, "parts", {"differences": rows.sort_values("dataset", kind="stable")})


def draw_parts(frames: Frames, venue: str) -> Figure | None:
    """Differences in points, ``differences``, grouped by data set."""
    rows = frames["differences"].assign(metric="map")
    label = "difference of mAP to ASL in KMCL (points)"
    return figures.forest(rows, x_label=label, label=["arm"], group="dataset", venue=venue, wide=False)


def health_table(study: Execution) -> pd.DataFrame:
    """How alive the terms of every variant are, on test."""
    columns: tables.Columns = {
        "kappa_underflow": ("κ that underflow (%)", percent()),
        "rho_saturated": ("ρ outside [0.01, 0.99] (%)", percent()),
        "gradient_reconstruction": ("gradient of the reconstruction", fixed(3)),
        "gradient_contrastive": ("gradient of the contrast", fixed(3)),
        "dead": ("dead terms", str),
    }
    return _health(study, "health", columns)


def calibration_table(study: Execution) -> pd.DataFrame:
    """Squared deviations over stated variances, and their rank correlation."""
    columns: tables.Columns = {
        "variance_ratio": ("squared deviation / variance", fixed(2)),
        "variance_rank": ("rank correlation", fixed(2, "+")),
    }
    return _health(study, "calibration", columns)


def _health(study: Execution, name: str, columns: tables.Columns) -> pd.DataFrame:
    rows = health(study)
    if rows.empty:
        return rows
    rows = rows.assign(arm=[style.look(loss).label for loss in rows["arm"]])
    own = rows[["dataset", "arm", *columns]]
    return tables.show(study, name, own, index=["dataset", "arm"], columns=columns)


def calibration(study: Execution) -> Figure | None:
    """Stated variances against squared deviations, for the kernels of own and of other labels, by kernel."""
    rows = reliability(study)
    without = {VARIANTS[name].arm for name in ("asl", "released", "averaged")}
    return figures.draw(
        study, "calibration", {"bins": rows[~rows["loss"].isin(without)] if len(rows) else rows}
    )


def draw_calibration(frames: Frames, venue: str) -> Figure:
    """Stated variances against squared deviations, ``bins``: a row per data set, a column per kind of kernels."""
    rows = frames["bins"]
    datasets, kinds = (list(dict.fromkeys(rows[name])) for name in ("dataset", "kernels"))
    figure, axes = style.figure(len(datasets), len(kinds), venue=venue, ratio=0.75)
    with style.use(venue):
        for row, dataset in enumerate(datasets):
            for column, kind in enumerate(kinds):
                own = figures.part(rows, {"dataset": dataset, "kernels": kind}).dropna()
                _bins(axes[row, column], own, f"stated variance, {kind}")
                if column == 0:
                    axes[row, column].set_title(drawn(dataset), loc="left")
        plots.shared_legend(figure)
    return figure


def _bins(ax: Axes, rows: pd.DataFrame, x_label: str) -> None:
    if rows.empty:  # no bin has a deviation
        ax.set_visible(False)
        return
    for arm in style.order(rows["loss"].unique().tolist()):
        own, look = rows[rows["loss"] == arm].sort_values("stated"), style.look(arm)
        x, y, label = own["stated"], own["square"], drawn(look.label)
        ax.plot(x, y, color=look.colour, linestyle=look.line, marker=look.marker, label=label)
    both = rows[["stated", "square"]].to_numpy()
    ends = np.array([both.min(), both.max()])
    ax.plot(ends, ends, color=plots.INK, linewidth=0.7, zorder=1)
    ax.set(xscale="log", yscale="log", xlabel=drawn(x_label), ylabel="mean squared deviation")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())


def published(study: Execution) -> pd.DataFrame:
    """mAP of the released checkpoints, and of KMCL here with its own head."""
    rows = PUBLISHED.assign(where="published").set_index(["where", "encoder"])
    for task in tasks(study):
        if task.but(loss=WHOLE) in study.arms:
            own = 100 * scores.mean(study.arms[task.but(loss=WHOLE)], "direct_map")
            rows.loc[("here", "MLP on frozen features"), task.describe()] = own
    columns = {str(name): (str(name), fixed(1)) for name in rows}
    return tables.show(study, "published", rows.reset_index(), index=["where", "encoder"], columns=columns)


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return reviewers.checklist(
        study,
        deviations="Frozen features in place of TResNet trained end to end, without augmentation; other data; isotropic"
        " kernels, where the released training makes anisotropic ones of 128 dimensions the default; positives focused"
        " by γ+ = 1, the default of the released loss (its training sets 0), with a gradient through the weight;"
        " batches of 256; means and variances come from linear layers that start at random; no moving average of"
        " weights.",
        limits="What the kernels do to an encoder that is trained with them from pixels or words; whether classes with"
        " several modes would need more than one kernel each.",
    )


FIGURES: dict[str, Draw] = {"parts": draw_parts, "calibration": draw_calibration}
