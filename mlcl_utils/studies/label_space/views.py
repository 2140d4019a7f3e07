"""Tables and figures of the label-space study: views of what it measures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlcl_utils import data
from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies import comparisons, figures, reviewers, scores, sentences, tables
from mlcl_utils.studies.arms import FEW_BASELINES
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw, Frames
from mlcl_utils.studies.label_space import reference_labels
from mlcl_utils.studies.label_space.measures import MAIN, NAMED, READ, matched, phases
from mlcl_utils.studies.tables import percent
from mlcl_utils.training import BASELINES, Recipe


def tasks(study: Execution) -> pd.DataFrame:
    """The tasks of the study in numbers, for the first replicate."""
    parameters, described = study.parameters, []
    for name in parameters.datasets:
        for size in parameters.sizes(name):
            task = data.task(
                parameters.dataset(name), num_labels=size, base_labels=min(parameters.num_labels)
            )
            row = {"dataset": name, **task.describe(batch_size=Recipe(epochs=1).batch_size)}
            if task.test.named is not None:
                row["named_share_test"] = float(task.test.named[task.test.labels == 1].mean())
            described.append(row)
    return tables.tasks(study, described, ["dataset", "num_labels"])


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    return tables.arms(study.parameters.losses, {"temperature": study.parameters.temperature or 0.1})


def results(study: Execution, metric: str = "map") -> pd.DataFrame:
    """One metric of every arm of the main sweep, by encoder, size of the label space and head."""
    return tables.results(study, metric, rows=study.scores[scores.is_main(study.scores)])


def label_count(study: Execution) -> Figure | None:
    """Macro-F1, mAP and ranking loss of the probe against the number of labels."""
    return _by_size(study, "label_count", MAIN)


def base_labels(study: Execution) -> Figure | None:
    """Macro-F1 and mAP of the labels of the smallest space against the number of labels."""
    return _by_size(study, "base_labels", ("macro_f1_base", "map_base"))


def _by_size(study: Execution, name: str, metrics: Sequence[str]) -> Figure | None:
    frames = {"intervals": study.scores, "points": study.points}
    main = {key: _probed(rows[scores.is_main(rows)], metrics) for key, rows in frames.items()}
    return figures.draw(study, name, {key: _varied(rows, "num_labels") for key, rows in main.items()})


def fractions(study: Execution) -> Figure | None:
    """Macro-F1, mAP and ranking loss of the probe against the share of the training part."""
    sizes = {name: reference_labels(study.parameters.sizes(name)) for name in study.parameters.datasets}
    frames = {}
    for key, rows in (("intervals", study.scores), ("points", study.points)):
        rows = rows[rows["label_draw"].isna() & rows["held_out"].isna() & rows["length"].eq("")]
        rows = rows[rows["num_labels"] == rows["dataset"].map(sizes)]
        frames[key] = _varied(_probed(rows, MAIN), "train_fraction")
    return figures.draw(study, "fractions", frames)


def _probed(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Rows of the probe, without the baselines that are far from the rest."""
    far = rows["loss"].isin(set(BASELINES) - set(FEW_BASELINES))
    return rows[(rows["head"] == "probe") & rows["metric"].isin(metrics) & ~far]


def _varied(rows: pd.DataFrame, x: str) -> pd.DataFrame:
    """The rows of those data sets and encoders that have several values of x."""
    return rows[rows.groupby(["dataset", "encoder"])[x].transform("nunique") > 1]


def differences(study: Execution) -> Figure | None:
    """Differences of the probe to BCE, or to the first loss, against the number of labels; paired."""
    rows = comparisons.fractions(study.comparisons.query("name == 'difference' and estimate.notna()"))
    columns = [*scores.COLUMNS, "head", "metric", "estimate", *comparisons.BOUNDS, "replicates", "reference"]
    rows = _varied(rows.rename(columns={"heads": "head"})[columns], "num_labels")
    return figures.draw(study, "differences", {"intervals": rows})


def matched_frequency(study: Execution) -> Figure | None:
    """Macro-F1 and mAP of the probe against the number of labels, their frequencies matched; none without draws."""
    return figures.draw(study, "matched_frequency", matched(study))


def held_out_table(study: Execution) -> pd.DataFrame:
    """mAP of the probe on a drawing family that training did without, next to that on all families."""
    rows = study.scores.query("head == 'probe' and metric == 'map'")
    keys, index = scores.COLUMNS[:4], ["dataset", "num_labels", "held_out", "loss"]
    whole = rows[scores.is_main(rows)].rename(columns={"estimate": "map_all_families"})
    held = rows[rows["held_out"].notna()].rename(columns={"estimate": "map"})
    held = held.merge(whole[[*keys, "map_all_families"]], on=keys)
    held["examples"] = [
        study.arms[scores.of_row(row)][0].facts["examples_test"] for _, row in held.iterrows()
    ]
    names = [*index, "map", "map_all_families", "examples", "flag"]
    columns: tables.Columns = {
        "map": ("mAP, held out", percent()),
        "map_all_families": ("mAP, all families", percent()),
        "examples": ("examples", tables.whole),
        "flag": ("flag", str),
    }
    shown = held.assign(loss=[style.look(name).label for name in held["loss"]])
    return tables.show(study, "held_out", shown, index=index, columns=columns, values=held[names])


def named_table(study: Execution) -> pd.DataFrame:
    """Positives that the text names next to the others: the share of each that is found, and mAP without the first.

    At the largest size of the label space, over texts; empty for images.
    """
    largest = {name: max(study.parameters.sizes(name)) for name in study.parameters.datasets}
    rows = study.scores[scores.is_main(study.scores) & study.scores["metric"].isin(NAMED)]
    rows = rows[rows["num_labels"] == rows["dataset"].map(largest)]
    index = ["dataset", "encoder", "loss", "head"]
    wide = rows.set_index([*index, "metric"])["estimate"].unstack(sort=False).reindex(columns=NAMED)
    wide = wide.rename_axis(columns=None).dropna(subset="recall_named").reset_index()
    wide["loss"] = [style.look(name).label for name in wide["loss"]]
    columns = {name: (name.replace("_", " "), percent()) for name in NAMED}
    return tables.show(study, "named", wide, index=index, columns=columns)


def changes(study: Execution) -> pd.DataFrame:
    """How the lead of contrastive losses changes with the number of labels and the amount of data."""
    index = ("task", "change", "compared")
    names = ("growth", "growth_source", "little_data")
    return tables.compared(study, *names, name="changes", index=index)


def contrasts(study: Execution) -> pd.DataFrame:
    """The best contrastive loss against the best binary-relevance loss, where positive is ahead."""
    return tables.compared(study, "contrast", name="contrasts", index=("task", "head", "compared"))


def readings(study: Execution) -> pd.DataFrame:
    """The same by macro-F1, in the equal reading and in that of the original paper."""
    index = ("task", "reading", "compared")
    return tables.compared(study, "contrast_as_read", name="readings", index=index, by="unit")


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return reviewers.checklist(
        study,
        exclusions="Examples without any label of the smallest space are left out.",
        deviations="Frozen features, or small encoders that learn from nothing, instead of a large one trained end to"
        " end; other data; a linear probe next to each loss's own head.",
        limits="What a loss changes in a large pretrained encoder that is trained with it.",
    )


def _reference(ax: Axes, rows: pd.DataFrame, frames: Frames) -> None:
    metric, loss = (str(rows[name].iloc[0]) for name in ("metric", "reference"))
    ax.set_ylabel(drawn(f"{style.metric(metric).label} − {style.look(loss).label}"))


_panels = partial(figures.facets, row=("dataset", "encoder"), log_x=True)
_sizes = partial(_panels, x="num_labels", x_label="number of labels")


def phase_table(study: Execution) -> pd.DataFrame | None:
    """The lead over BCE in every cell of the phase diagram, by loss and reading; None without made-up sets."""
    rows = phases(study)
    if rows.empty:
        print("worlds is 0 in this preset: no phase diagram")
        return None
    lead = [
        sentences.bounded(row["estimate"], row["lower"], row["upper"], "+.1f") for _, row in rows.iterrows()
    ]
    rows = rows.assign(lead=lead, loss=[style.look(loss).label for loss in rows["loss"]])
    index = ["loss", "imbalance", "examples", "num_labels"]
    wide = rows.pivot(index=index, columns="reading", values="lead")[list(READ)].reset_index()
    return tables.show(
        study, "phases", wide, index=index, columns={name: (name, str) for name in READ}, values=rows
    )


def phase_diagram(study: Execution) -> Figure | None:
    """REG over BCE on made-up sets: one panel per reading, one cell per size, imbalance and amount of data."""
    rows = phases(study)
    return None if rows.empty else figures.draw(study, "phases", {"cells": rows[rows["loss"] == "reg"]})


def draw_phases(frames: Frames, venue: str) -> Figure:
    """Leads, ``cells``, as shades: one colour where REG is ahead, another for BCE; brackets where zero is possible."""
    rows = frames["cells"]
    limit = float(rows["estimate"].abs().max())
    with style.use(venue):
        figure, axes = style.figure(2, 2, venue=venue, ratio=0.72)
        for ax, reading in zip(axes.flat, READ, strict=True):
            own = rows[rows["reading"] == reading]
            names = own["imbalance"].map({"none": "even", "zipf": "long tail"})
            own = own.assign(place=names + ", " + own["examples"].astype(str))
            own = own.assign(words=[_shade_label(row) for _, row in own.iterrows()])
            shape = {"index": "place", "columns": "num_labels"}
            sns.heatmap(
                own.pivot(**shape, values="estimate"),
                annot=own.pivot(**shape, values="words"),
                fmt="",
                cmap="PuOr",
                vmin=-limit,
                vmax=limit,
                cbar=False,
                linewidths=0.6,
                annot_kws={"fontsize": "small"},
                ax=ax,
            )
            ax.set(title=drawn(textwrap.fill(reading, 40)), xlabel="number of labels", ylabel="")
            ax.tick_params(length=0, labelleft=ax in axes[:, 0])
    return figure


def _shade_label(row: pd.Series[Any]) -> str:
    text = sentences.number(row["estimate"], "+.1f")
    return f"({text})" if row["lower"] <= 0 <= row["upper"] else text


FIGURES: dict[str, Draw] = {
    "label_count": _sizes,
    "differences": partial(_sizes, margins={}, each=_reference),
    "base_labels": _sizes,
    "matched_frequency": _sizes,
    "fractions": partial(_panels, x="train_fraction", x_label="share of training data"),
    "phases": draw_phases,
}
