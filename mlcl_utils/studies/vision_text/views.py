"""Tables and figures of the study of images versus text: views of what it measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlcl_utils import data
from mlcl_utils.data import Task
from mlcl_utils.figures import plots, style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.figures.plots import INK
from mlcl_utils.metrics.arrays import Floats
from mlcl_utils.studies import comparisons, figures, reviewers, sentences, tables
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw, Frames
from mlcl_utils.studies.sentences import Line
from mlcl_utils.studies.vision_text import Pair
from mlcl_utils.studies.vision_text.measures import COLUMNS, HEADS, METRICS, ORDERS, SIDES

NUMBERS = ("estimate", *comparisons.BOUNDS)
BEST = "best contrastive − best binary-relevance"

COMPARED = {
    "between": ("texts with images", INK, "o"),
    "text": ("within texts", "#0072B2", "s"),
    "image": ("within images", "#D55E00", "D"),
}
"""Correlations that are drawn: name, colour and marker."""


def _matched(study: Execution, pair: Pair) -> list[Task]:
    """The tasks of a pair in the first replicate, that of texts first."""
    both, labels = [study.parameters.dataset(name) for name in pair], study.parameters.labels_of(pair)
    return [data.matched_task(*each, num_labels=labels) for each in (both, both[::-1])]


def tasks(study: Execution) -> pd.DataFrame:
    """How well the tasks of each pair are matched, for the first replicate."""
    rows = []
    for pair in study.parameters.pairs:
        matched = _matched(study, pair)
        for part in ("train", "validation", "test"):
            examples = [getattr(task, part) for task in matched]
            labels = [each.labels == 1 for each in examples]
            counts = [each.sum(axis=0) for each in labels]
            row = {"pair": pair.describe(), "part": part}
            row |= {"examples": len(labels[0]), "labels": labels[0].shape[1]}
            for side, each, own in zip(SIDES, examples, labels, strict=True):
                row[f"{side} groups"] = len(np.unique(each.groups))
                row[f"{side} cardinality"] = round(float(own.sum(axis=1).mean()), 3)
            row["positives"] = f"{min(map(min, counts))} to {max(map(max, counts))}"
            rows.append(row | {"largest difference": int(np.abs(counts[0] - counts[1]).max())})
    return tables.show(study, "tasks", pd.DataFrame(rows), index=["pair", "part"])


def labels(study: Execution) -> pd.DataFrame:
    """The labels of the same rank of each pair, with their training positives, for the first replicate."""
    rows: list[dict[str, Any]] = []
    for pair in study.parameters.pairs:
        text, image = _matched(study, pair)
        for rank in range(min(8, len(text.label_names))):
            row = {"pair": pair.describe(), "rank": rank + 1}
            row |= {"text": text.label_names[rank], "positives": int(text.frequency[rank])}
            rows.append(row | {"image": image.label_names[rank], "its positives": int(image.frequency[rank])})
    return pd.DataFrame(rows).set_index(["pair", "rank"])


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    return tables.arms(study.parameters.losses)


def _rows(study: Execution, names: Iterable[str]) -> pd.DataFrame:
    """The comparisons of these names, with all columns that the study adds."""
    rows = study.comparisons
    return rows[rows["name"].isin(list(names))].reindex(columns=[*comparisons.COLUMNS, *COLUMNS])


def _side_by_side(rows: pd.DataFrame, keys: Sequence[str], by: str, names: Iterable[str]) -> pd.DataFrame:
    """One row per key, with the numbers of its rows next to each other: ``<name>_<number>``."""
    cells = {f"{name}_{number}": (number, name) for name in names for number in NUMBERS}
    found = []
    for key, own in rows.groupby(list(keys), sort=False):
        at = own.set_index(by)
        numbers = {cell: at[number].get(name, math.nan) for cell, (number, name) in cells.items()}
        found.append({**dict(zip(keys, key, strict=True)), **numbers})
    return pd.DataFrame(found, columns=[*keys, *cells])


def _at(row: pd.Series[Any], name: str) -> tuple[float, float, float]:
    """One of the intervals that are next to each other."""
    return row[f"{name}_estimate"], row[f"{name}_lower"], row[f"{name}_upper"]


def _side(row: pd.Series[Any], name: str) -> str:
    return sentences.side(pd.Series(_at(row, name)[1:], index=["lower", "upper"]))


def _verdict(row: pd.Series[Any]) -> str:
    """Descriptive: the order carries over if it correlates and is not below the ceiling."""
    short = _side(row, "shortfall") == "above"
    if math.isnan(row["shortfall_estimate"]):
        return "cannot be told"
    if _side(row, "between") == "above":
        return "carries over in part" if short else "carries over"
    return "does not carry over" if short else "cannot be told"


def _agreement(row: pd.Series[Any]) -> str:
    """Whether the leads on both sides of a pair are on the same side of zero, where their intervals say so."""
    found = {_side(row, name) for name in SIDES}
    if "across" in found:
        return "cannot be told"
    return "same direction" if len(found) == 1 else "opposite directions"


def _bounded(rows: pd.DataFrame, name: str, form: str, scale: float = 1.0) -> list[str]:
    numbers = [scale * rows[f"{name}_{number}"] for number in ("estimate", "lower", "upper")]
    return [sentences.bounded(mean, low, high, form) for mean, low, high in zip(*numbers, strict=True)]


def correlations_table(study: Execution) -> pd.DataFrame | None:
    """How far the order of losses carries over, next to its ceilings; None where there is none to compare."""
    keys = ["pair", "ordered_by", "head", "losses", "left_out", "lost"]
    wide = _side_by_side(_rows(study, ORDERS), keys, "name", ORDERS).rename(columns={"ordered_by": "metric"})
    if wide.empty:
        print("no three losses have all replicates on both sides and are above the untrained encoder")
        return None
    wide["verdict"] = [_verdict(row) for _, row in wide.iterrows()]
    shown = wide[["pair"]].assign(
        metric=[style.metric(name).label for name in wide["metric"]],
        **{"read by": wide["head"].map(HEADS)},
        losses=[len(names.split()) for names in wide["losses"]],
        **{name: _bounded(wide, name, "+.2f") for name in ORDERS},
        verdict=wide["verdict"],
    )
    return tables.show(study, "correlations", shown, index=["pair", "metric", "read by"], values=wide)


def _leads(study: Execution, *names: str) -> pd.DataFrame:
    """Leads on both sides of a pair, next to each other: one row per metric and loss."""
    rows = comparisons.fractions(_rows(study, names))
    keys = ["name", "pair", "metric", "first"]
    wide = _side_by_side(rows, keys, "side", SIDES)
    own = [each for _, each in rows.groupby(keys, sort=False)]
    best = [" / ".join(dict.fromkeys(filter(None, each["compared"]))) for each in own]
    wide["loss"] = wide["first"].where(wide["first"] != "", [words or BEST for words in best])
    wide["reference"] = [each["reference"].iloc[0] if each["first"].iloc[0] else "" for each in own]
    wide["agreement"] = [_agreement(row) for _, row in wide.iterrows()]
    wide["reason"] = ["; ".join(dict.fromkeys(filter(None, each["reason"]))) for each in own]
    numbers = [name for name in wide.columns if name.startswith(SIDES)]
    return wide[["pair", "metric", "loss", "reference", *numbers, "agreement", "reason"]]


def leads_table(study: Execution) -> pd.DataFrame:
    """Leads in points on texts and on images, read with the probe."""
    wide = _leads(study, "best_lead", "lead")
    shown = wide[["pair"]].assign(
        metric=[style.metric(name).label for name in wide["metric"]],
        lead=[style.look(name).label for name in wide["loss"]],
        **{f"on {side}s": _bounded(wide, side, "+.1f", 100) for side in SIDES},
        agreement=wide["agreement"],
        reason=wide["reason"],
    )
    return tables.show(study, "leads", shown, index=["pair", "metric", "lead"], values=wide)


def carry_over(study: Execution) -> Figure | None:
    """The lead of each loss on images against that on texts."""
    rows = _leads(study, "lead").dropna(subset=[f"{side}_estimate" for side in SIDES])
    return figures.draw(study, "carry_over", {"leads": rows})


def correlations(study: Execution) -> Figure | None:
    """Rank correlations between modalities and within each, read with the probe."""
    names = dict(zip(ORDERS, COMPARED, strict=False))
    rows = _rows(study, names).query("head == 'probe'")
    rows = rows.assign(metric=rows["ordered_by"], compared=rows["name"].map(names))
    columns = ["pair", "metric", "compared", *NUMBERS, "replicates"]
    return figures.draw(study, "correlations", {"correlations": rows[columns]})


def draw_carry_over(frames: Frames, venue: str) -> Figure:
    """The lead of each loss on images against that on texts, ``leads``: a row per pair, a column per metric."""
    rows = frames["leads"]
    pairs, metrics = list(dict.fromkeys(rows["pair"])), list(dict.fromkeys(rows["metric"]))
    figure, axes = style.figure(len(pairs), len(metrics), venue=venue, ratio=0.95)
    with style.use(venue):
        for row, pair in enumerate(pairs):
            for column, metric in enumerate(metrics):
                _draw_leads(axes[row, column], figures.part(rows, {"pair": pair, "metric": metric}))
                if row == 0:
                    axes[row, column].set_title(drawn(style.metric(metric).label))
            axes[row, 0].set_ylabel(drawn(f"{pair}\nlead on images (points)"))
        plots.shared_legend(figure)
    return figure


def _draw_leads(ax: Axes, rows: pd.DataFrame) -> None:
    ax.axhline(0, color=INK, linewidth=0.6, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
    for _, row in rows.iterrows():
        look = style.look(row["loss"])
        (x, left, right), (y, low, high) = ([100 * value for value in _at(row, side)] for side in SIDES)
        ax.plot([left, right], [y, y], color=look.colour, linewidth=0.6, alpha=0.5)
        ax.plot([x, x], [low, high], color=look.colour, linewidth=0.6, alpha=0.5)
        label, marker = drawn(look.label), look.marker
        ax.plot([x], [y], color=look.colour, marker=marker, markersize=5, linestyle="none", label=label)
    ends = [
        [100 * rows[f"{side}_{each}"].to_numpy() for each in ("estimate", "lower", "upper")] for side in SIDES
    ]
    ax.set(xlim=_limits(*ends[0]), ylim=_limits(*ends[1]), xlabel="lead on texts (points)")


def _limits(middle: Floats, lower: Floats, upper: Floats) -> tuple[float, float]:
    """Limits that hold zero and all means, and of the intervals what lies within one range of them."""
    low, high = min(0.0, float(middle.min())), max(0.0, float(middle.max()))
    reach = high - low or 1.0
    ends = np.concatenate([lower, upper])
    ends = ends[np.isfinite(ends)]
    if len(ends):
        low, high = max(low - reach, min(low, ends.min())), min(high + reach, max(high, ends.max()))
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def draw_correlations(frames: Frames, venue: str) -> Figure:
    """Rank correlations of the order of losses, ``correlations``: a column per pair."""
    rows = frames["correlations"]
    pairs, metrics = list(dict.fromkeys(rows["pair"])), list(dict.fromkeys(rows["metric"]))
    ratio = 0.42 if len(pairs) == 1 else 0.7
    figure, axes = style.figure(1, len(pairs), venue=venue, ratio=ratio, sharey=True)
    with style.use(venue):
        for ax, pair in zip(axes[0], pairs, strict=True):
            for offset, (name, (label, colour, marker)) in enumerate(COMPARED.items()):
                own = figures.part(rows, {"pair": pair, "compared": name}).set_index("metric").loc[metrics]
                heights = np.arange(len(metrics)) + 0.22 * (offset - 1)
                ends = (own[bound].clip(-1, 1) for bound in ("lower", "upper"))
                ax.hlines(heights, *ends, color=colour, linewidth=0.9)
                ax.plot(own["estimate"], heights, color=colour, marker=marker, linestyle="none", label=label)
            ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
            ax.set_xlim(-1.05, 1.05)
            ax.set_title(drawn(pair))
            ax.set_xlabel("rank correlation of losses")
            ax.grid(visible=False, axis="y")
        axes[0, 0].set_yticks(range(len(metrics)), [drawn(style.metric(metric).label) for metric in metrics])
        axes[0, 0].invert_yaxis()
        plots.shared_legend(figure)
    return figure


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return reviewers.checklist(
        study,
        exclusions="Examples are subsampled so that both tasks of a pair are alike, see the first table.",
        deviations="Matched subsamples instead of whole sets; frozen features instead of encoders trained end to end;"
        " hyperparameters that tuning chose on the whole sets, where the preset tunes.",
        limits=f"Whether it is the modality that matters: two sets differ in more than that. {len(METRICS)} metrics of"
        " the same runs are not independent.",
    )


def headline(folder: Path) -> list[Line]:
    """How far the order of losses by mAP is the same in texts and in images, for every pair of data sets."""
    path = folder / "tables" / "correlations.csv"
    if not path.is_file():
        return [Line("Too few losses can be judged in both modalities to compare their order.", "")]
    rows = pd.read_csv(path)
    return [_headline(row) for _, row in rows.query("head == 'probe' and metric == 'map'").iterrows()]


def _headline(row: pd.Series[Any]) -> Line:
    names = ("between", "within texts", "within images")
    between, texts, images = (sentences.bounded(*_at(row, name), "+.2f") for name in names)
    kinds = ("losses", "left_out", "lost")
    ordered, *others = (len(row[kind].split()) if isinstance(row[kind], str) else 0 for kind in kinds)
    carries = row["verdict"].replace("cannot be told", "cannot be said to carry over or not")
    without = f" (of {ordered + sum(others)})" if sum(others) else ""
    return Line(
        f"The order of {ordered} losses{without} by mAP {carries} between {row['pair']}.",
        f" The rank correlation is {between} between modalities, {texts} within texts, {images} within images."
        f" {ADVICE.get(row['verdict'], '')}".rstrip(),
    )


ADVICE = {
    "carries over": "A ranking of losses found on texts is a fair first guess for images, and the other way round.",
    "does not carry over": "Compare losses anew on every modality.",
}


FIGURES: dict[str, Draw] = {"carry_over": draw_carry_over, "correlations": draw_correlations}
