"""Tables and figures of the temperature study: views of what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlcl_utils import data, models
from mlcl_utils.figures import plots, style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.figures.plots import SHADE
from mlcl_utils.metrics.representation import BINS
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import figures, reviewers, scores, sentences, tables
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw, Frames
from mlcl_utils.studies.tables import fixed
from mlcl_utils.studies.temperature import RATE_FACTORS, VIEWS
from mlcl_utils.studies.temperature.measures import GEOMETRY, PUBLISHED_RANGE, Sweep, named, sweeps
from mlcl_utils.training import BASELINES, Recipe

READINGS = {
    "probe": "representation, probe",
    "projection": "projection, probe",
    "neighbours": "projection, 20-NN",
}
"""What an arm is read from and with; the head of its own besides, where it has one."""

RANKS = {
    1: ("most frequent label", "#0072B2"),
    2: ("2nd label", "#D55E00"),
    3: ("3rd label", "#009E73"),
    4: ("4th label", "#CC79A7"),
}
"""Labels whose examples stand out in pictures of embeddings: rank by frequency -> name and colour."""

PUBLISHED = pd.DataFrame(
    [
        ("CIFAR-10", 0.07, 79.75, 3.86, 0.04, np.nan),
        ("CIFAR-10", 0.3, 83.27, 3.60, 0.178, np.nan),
        ("CIFAR-10", 0.7, 82.69, 3.17, 0.333, np.nan),
        ("CIFAR-10", 1.0, 82.21, 2.96, 0.372, np.nan),
        ("CIFAR-100", 0.07, 51.82, 3.86, 0.10, 50.77),
        ("CIFAR-100", 0.3, 56.44, 3.60, 0.269, 56.55),
        ("CIFAR-100", 0.7, 50.99, 3.18, 0.331, 57.54),
        ("CIFAR-100", 1.0, 48.33, 2.96, 0.343, 56.77),
    ],
    columns=["dataset", "temperature", "score", "uniformity", "tolerance", "score_hard"],
)
"""Wang and Liu (arXiv 2012.09740): accuracy in per cent, uniformity, tolerance, accuracy with hard negatives."""


def places(study: Execution) -> pd.DataFrame:
    """Where the temperature is varied: data set and encoder in numbers, and what the two views are."""
    described = []
    for place in study.parameters.places:
        labels = study.parameters.labels_of(place.dataset)
        dataset = study.parameters.dataset(place.dataset)
        task = data.task(dataset, num_labels=labels, base_labels=0)
        recipe = Recipe.of(place.encoder, epochs=study.parameters.epochs)
        views = {"two_views": VIEWS[models.kind(place.encoder)]}
        described.append({**place._asdict(), **task.describe(batch_size=recipe.batch_size), **views})
    return tables.tasks(study, described, ["dataset", "encoder"])


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    listed = ", ".join(f"{each:g}" for each in study.parameters.temperatures)
    return tables.arms(study.parameters.losses, {"temperature": listed})


def results(study: Execution, metric: str = "map") -> pd.DataFrame:
    """One metric of every loss at every temperature, by place and head; ranks are among the temperatures of a loss."""
    rows = study.scores[study.scores["head"] != ""]
    at, heads, last = list(study.parameters.places), study.measures.heads, list(BASELINES)

    def order(arm: Arm) -> tuple[Any, ...]:
        return last.index(arm.loss) if arm.loss in last else -1, arm.loss, arm["variant"], arm["temperature"]

    found = [scores.of_row(row) for _, row in rows.iterrows()]
    keys = [
        (at.index((arm.dataset, arm.encoder)), heads.index(head), order(arm))
        for arm, head in zip(found, rows["head"], strict=True)
    ]
    return tables.results(
        study,
        metric,
        rows=rows.iloc[sorted(range(len(rows)), key=keys.__getitem__)],
        task=_place,
        arm=lambda arm: named(arm) if arm.setting else arm.loss,
        order=order,
    )


def _place(arm: Arm) -> str:
    return f"{arm.dataset}, {arm.encoder}"


def geometry_table(study: Execution) -> pd.DataFrame:
    """Uniformity, tolerance and the rest of the projection at every temperature."""
    rows = study.scores[study.scores["head"] == ""]
    found = [scores.of_row(row) for _, row in rows.iterrows()]
    wide = rows.assign(place=[_place(each) for each in found], arm=[named(each) for each in found])
    wide = wide.pivot(index=["place", "arm"], columns="metric", values="estimate").reset_index()
    wide.columns.name = None
    columns = {
        name: (style.metric(name).label, fixed(1 if name == "effective_rank" else 3))
        for name in GEOMETRY
        if name in wide
    }
    return tables.show(study, "geometry", wide, index=["place", "arm"], columns=columns, values=rows)


def published(study: Execution) -> pd.DataFrame:
    """The original paper's numbers by temperature and those here, for instance discrimination.

    The score is the paper's accuracy and here mAP, each by a linear probe: they are not on one scale.
    """
    rows = PUBLISHED.assign(place=[f"{name} (published)" for name in PUBLISHED["dataset"]])
    found = rows.drop(columns="dataset").to_dict("records")
    for key, sweep in sweeps(study).items():
        for temperature, each in sweep.items() if (key.loss, key["variant"]) == ("instance", "") else ():
            own, hard = (study.arms.get(arm, ()) for arm in (each, each.but(variant="hard")))
            found.append(
                {
                    "place": f"{_place(each)} (here)",
                    "temperature": temperature,
                    "score": 100 * scores.mean(own, "probe_map"),
                    "uniformity": scores.mean(own, "uniformity"),
                    "tolerance": scores.mean(own, "tolerance"),
                    "score_hard": 100 * scores.mean(hard, "probe_map"),
                }
            )
    columns: tables.Columns = {
        "score": ("accuracy or mAP (%)", fixed(1)),
        "uniformity": ("uniformity", fixed(2)),
        "tolerance": ("tolerance", fixed(3)),
        "score_hard": ("the same, hard negatives", fixed(1)),
    }
    table = pd.DataFrame(found)
    return tables.show(study, "published", table, index=["place", "temperature"], columns=columns)


def all_temperatures(study: Execution) -> pd.DataFrame | None:
    """What claims on geometry rest on, over the original paper's range and over all; None where all are of that."""
    rows = study.comparisons[study.comparisons["estimate"].notna()].set_index(["task", "compared"])
    bounds = ["estimate", "lower", "upper"]
    wide = rows.loc[rows["name"] == "all_temperatures", bounds].add_prefix("all_")
    values = rows.loc[rows["test"] != "", [*bounds, "reason"]].join(wide, how="inner")
    values = values.reset_index(names=["task", "measured"])
    if values.empty:
        return None
    turns = (values["lower"] > 0) & (values["all_lower"] <= 0) | (values["upper"] < 0) & (
        values["all_upper"] >= 0
    )
    values = values.assign(lowest=PUBLISHED_RANGE[0], turns=turns)
    words = {
        f"{prefix}words": [
            sentences.bounded(estimate, lower, upper, "+.2f")
            for estimate, lower, upper in values[[f"{prefix}{name}" for name in bounds]].to_numpy()
        ]
        for prefix in ("", "all_")
    }
    columns: tables.Columns = {
        "words": (f"τ {PUBLISHED_RANGE[0]:g} to {PUBLISHED_RANGE[1]:g}", str),
        "all_words": ("all temperatures", str),
        "reason": ("not judged because", str),
    }
    shown, index = values.assign(**words), ["task", "measured"]
    return tables.show(study, "all_temperatures", shown, index=index, columns=columns, values=values)


PANELS = {
    **{(head, "map"): words for head, words in READINGS.items()},
    ("", "uniformity"): "uniformity",
    ("", "tolerance"): "tolerance",
    ("", "penalty_entropy"): "penalty entropy",
}
"""What is drawn against temperature: head and metric -> the title of its axes."""


def score_lines(study: Execution) -> Figure | None:
    """mAP read from the representation and from the projection against temperature."""
    # mAP of the untrained encoder, which has no projection: the same level in every panel
    level = study.scores.query("loss == 'random_encoder' and head == 'probe' and metric == 'map'")
    levels = pd.concat([level.assign(head=head) for head in READINGS], ignore_index=True)
    panels = [key for key in PANELS if key[1] == "map"]
    return figures.draw(study, "scores", {**_frames(study, panels), "levels": _framed(levels, panels)})


def geometry_lines(study: Execution) -> Figure | None:
    """Uniformity, tolerance and penalty entropy of the projection against temperature."""
    return figures.draw(study, "geometry", _frames(study, [key for key in PANELS if not key[0]]))


def control_lines(study: Execution) -> Figure | None:
    """A loss and the same loss times its temperature; None where no loss was scaled."""
    scaled = next((key for key in sweeps(study) if key["variant"] == "scaled"), None)
    if scaled is None:
        return None
    panels = [("probe", "map"), ("projection", "map"), ("", "uniformity")]
    only = {name: getattr(scaled, name) for name in ("dataset", "encoder", "loss")}
    frames = _frames(study, panels, "scaled")
    return figures.draw(study, "control", {name: figures.part(rows, only) for name, rows in frames.items()})


def _frames(study: Execution, panels: Sequence[tuple[str, str]], variant: str = "hard") -> Frames:
    """The rows of some panels, of the losses themselves and of a variant."""
    found = {}
    for name, rows in (("intervals", study.scores), ("points", study.points)):
        own = rows["temperature"].notna() & rows["variant"].isin(["", variant])
        found[name] = _framed(rows[own], panels)
    return found


def _framed(rows: pd.DataFrame, panels: Sequence[tuple[str, str]]) -> pd.DataFrame:
    words = {"hard": ": hard negatives", "scaled": ": times τ"}
    keys = list(zip(rows["head"], rows["metric"], strict=True))
    rows = rows.assign(
        place=rows["dataset"] + ", " + rows["encoder"],
        panel=[PANELS.get(key, "") for key in keys],
        arm=rows["loss"] + rows["variant"].map(words).fillna(""),
        order=[panels.index(key) if key in panels else -1 for key in keys],
    )
    return rows[rows["order"] >= 0].sort_values("order", kind="stable").drop(columns="order")


def draw_lines(frames: Frames, venue: str) -> Figure:
    """Quantities against temperature: a row of axes per place, a column per quantity.

    Temperatures below the original paper's are shaded: they are shown, and not judged.

    Args:
        frames: ``intervals`` and ``points``, rows of scores with columns ``place``, ``panel`` and ``arm``; ``levels``,
            if there are any, those of a baseline, which is drawn as a level.
        venue: whose sizes and fonts.
    """
    return figures.facets(
        frames,
        venue,
        x="temperature",
        x_label="temperature τ",
        row=["place"],
        column="panel",
        hue="arm",
        log_x=True,
        titles=True,
        ratio=0.9,
        each=_mark,
    )


def _mark(ax: Axes, here: pd.DataFrame, frames: Frames) -> None:
    """Shade what lies outside the original range, and draw a baseline's level."""
    low, high = ax.get_xlim()
    if low < PUBLISHED_RANGE[0] / 1.2:
        ax.axvspan(low, PUBLISHED_RANGE[0] / 1.2, color=SHADE, linewidth=0, zorder=0)
        ax.set_xlim(low, high)
    _level(ax, here, frames)


def _level(ax: Axes, here: pd.DataFrame, frames: Frames) -> None:
    """A horizontal line at a baseline's mean, if it lies within one vertical range of what is drawn."""
    if "levels" not in frames:
        return
    rows = figures.part(frames["levels"], {name: here[name].iloc[0] for name in ("place", "panel")})
    if rows.empty:
        return
    look, level = style.look(rows["loss"].iloc[0]), 100 * float(rows["estimate"].iloc[0])
    low, high = ax.get_ylim()
    if not 2 * low - high < level < 2 * high - low:
        return
    margin = 0.05 * (high - low)
    ax.set_ylim(min(low, level - margin), max(high, level + margin))
    label = drawn(look.label)
    ax.axhline(level, color=look.colour, linestyle=look.line, linewidth=0.8, label=label, zorder=1.5)


def embeddings(study: Execution) -> Figure | None:
    """Embeddings of the test examples in replicate 0 at a low, a middle and a high temperature, in two places."""
    first: dict[str, Sweep] = {}  # the sweep of the first loss in the first place of every encoder
    for key, sweep in sweeps(study).items():
        if (key.loss, key["variant"]) == (study.parameters.losses[0], ""):
            first.setdefault(key.encoder, sweep)
    plane, similarities = [], []
    for encoder in dict.fromkeys([*first][:1] + [*first][-1:]):
        members = {t: study.arms.get(each, ()) for t, each in first[encoder].items()}
        runs = {t: run for t, own in members.items() for run in own if run.config.replicate == 0}
        at = list(runs)
        for temperature in dict.fromkeys(at[:1] + at[len(at) // 2 :][:1] + at[-1:]):
            run = runs[temperature]
            where = {"place": _place(first[encoder][temperature]), "temperature": temperature}
            labels = task_for(run.config).test.labels[:, : len(RANKS)] == 1
            rank = np.where(labels.sum(axis=1) == 1, labels.argmax(axis=1) + 1, 0)
            x, y = run.arrays()["plane"].astype(np.float64).T
            plane.append(pd.DataFrame({**where, "x": x, "y": y, "rank": rank}))
            edges = np.linspace(-1, 1, BINS + 1)
            counts = run.arrays()["similarities"].astype(np.float64)
            share, none = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) / (2 / BINS)
            bins = {"low": edges[:-1], "high": edges[1:], "share": share, "none": none}
            similarities.append(pd.DataFrame({**where, **bins}))
    frames = {"plane": plane, "similarities": similarities}
    return figures.draw(
        study, "embeddings", {name: pd.concat([pd.DataFrame(), *rows]) for name, rows in frames.items()}
    )


def draw_embeddings(frames: Frames, venue: str) -> Figure:
    """The projection of the test examples at a low, a middle and a high temperature, in two rows per place.

    Above, the first two principal components, examples that have just one of the labels in :data:`RANKS` in colour;
    below, histograms of the cosines of pairs that share a label and of pairs that share none.

    Args:
        frames: ``plane``: one row per example, with columns ``place``, ``temperature``, ``x``, ``y`` and ``rank`` of
            that label, 0 for the others; ``similarities``: one row per bin, with ``place``, ``temperature``, ``low``,
            ``high`` and the densities ``share`` and ``none``.
        venue: whose sizes and fonts.
    """
    plane, similarities = frames["plane"], frames["similarities"]
    places = list(dict.fromkeys(similarities["place"]))
    temperatures = sorted(similarities["temperature"].unique())
    figure, axes = style.figure(2 * len(places), len(temperatures), venue=venue, ratio=0.8)
    with style.use(venue):
        for at, place in enumerate(places):
            for column, temperature in enumerate(temperatures):
                scatter, histogram = axes[2 * at, column], axes[2 * at + 1, column]
                shown = _at(similarities, place, temperature)
                if shown.empty:  # its run has failed
                    scatter.set_visible(False)
                    histogram.set_visible(False)
                    continue
                _scatter(scatter, _at(plane, place, temperature))
                _histogram(histogram, shown)
                scatter.set_title(f"τ {temperature:g}")
                histogram.set_xlabel("cosine of a pair")
            axes[2 * at, 0].set_ylabel(drawn(place))
            axes[2 * at + 1, 0].set_ylabel("density of pairs")
        figure.align_ylabels(axes[:, 0])
        plots.shared_legend(figure)
    return figure


def _at(rows: pd.DataFrame, place: str, temperature: float) -> pd.DataFrame:
    return rows[(rows["place"] == place) & (rows["temperature"] == temperature)]


def _scatter(ax: Axes, rows: pd.DataFrame) -> None:
    others = rows[rows["rank"] == 0]
    ax.scatter(others["x"], others["y"], s=1.5, color="#CFCFCF", linewidths=0, rasterized=True)
    for rank, (words, colour) in RANKS.items():
        own = rows[rows["rank"] == rank]
        ax.scatter(own["x"], own["y"], s=3, color=colour, linewidths=0, label=words, rasterized=True)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)


def _histogram(ax: Axes, rows: pd.DataFrame) -> None:
    edges = np.append(rows["low"].to_numpy(), rows["high"].to_numpy()[-1])
    for kind, words, colour in (
        ("none", "pairs that share no label", "#8C8C8C"),
        ("share", "pairs that share a label", "#111111"),
    ):
        ax.stairs(rows[kind].to_numpy(), edges, color=colour, linewidth=0.9, label=words)
    shown = rows[(rows["share"] > 0) | (rows["none"] > 0)]
    ax.set_xlim(float(shown["low"].min()), float(shown["high"].max()))
    ax.set_ylim(bottom=0)


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    choices = study.trained.choices.values()
    factors = ", ".join(f"{each:g}" for each in sorted(RATE_FACTORS))
    search = (
        f"The learning rate from {factors} times the recipe's for each of {len(choices)} combinations of loss, variant,"
        " temperature and place, by the probe's validation mAP on splits 0 and 1; in"
        f" {sum(bool(each.at_edge) for each in choices)} the choice lies at an end."
    )
    return reviewers.checklist(
        study,
        search=search if choices else "",
        deviations="Texts and images with several labels instead of CIFAR, SVHN and ImageNet-100; frozen features and"
        " small encoders; views by dropout and shifts instead of crops and colours; batches of 128 or 256 instead of a"
        " memory bank; a probe for mAP instead of accuracy.",
        limits="What temperature does to a large encoder that is trained for hundreds of epochs with strong"
        " augmentation.",
    )


FIGURES: dict[str, Draw] = {
    "scores": draw_lines,
    "geometry": draw_lines,
    "control": draw_lines,
    "embeddings": draw_embeddings,
}
