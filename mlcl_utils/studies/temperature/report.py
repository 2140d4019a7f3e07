"""Tables and figures of the temperature study, from its runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data, figures, losses, models, stats
from mlcl_utils.figures import style
from mlcl_utils.metrics.representation import BINS
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import drawing, scores, tables, wording
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.temperature import BASE_LABELS, VIEWS, Place, TemperatureParameters, rates
from mlcl_utils.studies.temperature.figures import RANKS
from mlcl_utils.studies.temperature.sweeps import (
    GEOMETRY,
    LOWEST_OF_SOURCE,
    READINGS,
    Summary,
    Sweep,
    comparisons,
    quantities,
)
from mlcl_utils.training import BASELINES, Recipe

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


def _parameters(study: Execution) -> TemperatureParameters:
    assert isinstance(study.parameters, TemperatureParameters)
    return study.parameters


def places(study: Execution) -> pd.DataFrame:
    """Where the temperature is varied: examples, labels, what the two views are."""
    parameters = _parameters(study)
    rows = []
    for place in parameters.places:
        labels = parameters.labels_of(place.dataset)
        dataset = parameters.dataset(place.dataset)
        task = data.task(dataset, num_labels=labels, base_labels=min(BASE_LABELS, labels))
        described = task.describe()
        recipe = Recipe.of(place.encoder, epochs=parameters.epochs)
        rows.append(
            {
                "data set": place.dataset,
                "encoder": place.encoder,
                "examples": f"{len(task.train)} / {len(task.validation)} / {len(task.test)}",
                "labels": labels,
                "cardinality": f"{described['cardinality']:.2f}",
                "batch": recipe.batch_size,
                "two views": VIEWS[models.kind(place.encoder)],
            }
        )
    return pd.DataFrame(rows).set_index(["data set", "encoder"])


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    parameters = _parameters(study)
    table = tables.arms(parameters.losses)
    listed = ", ".join(f"{t:g}" for t in parameters.temperatures)
    for name in parameters.losses:
        label = style.look(name).label
        table.loc[label, "settings"] = str(table.loc[label, "settings"]).replace(
            f"temperature {losses.info(name).hyperparameters['temperature'].default}", f"temperature {listed}"
        )
    return table


def results_table(study: Execution, summary: Summary, metric: str) -> pd.DataFrame:
    """One metric of every loss at every temperature, by place and reading; also written as CSV and LaTeX.

    Within each loss and variant the best temperature is marked, and from five replicates on those that are not
    significantly worse.
    """
    rows = summary.intervals[
        (summary.intervals["metric"] == metric) & summary.intervals["head"].isin(["direct", *READINGS])
    ].copy()
    if rows.empty:
        return rows
    standing: dict[tuple[Arm, str], stats.Standing] = {}
    for sweep in summary.sweeps:
        for head in READINGS:
            found = quantities(summary, sweep, f"{head}_{metric}") or {}
            named = {f"{t:g}": each for t, each in found.items()}
            ranked = stats.standings(named) if named else {}
            standing.update({(sweep.arms[t], head): ranked[f"{t:g}"] for t in found})
    found_arms = [scores.of_row(row) for _, row in rows.iterrows()]
    rows["standing"] = [
        standing.get((arm, head), "worse") for arm, head in zip(found_arms, rows["head"], strict=True)
    ]
    if study.parameters.replicates < tables.FEW:
        rows["standing"] = rows["standing"].replace("not worse", "worse")
    rows["remark"] = [
        scores.remark(summary.arms, arm, f"{head}_map")
        for arm, head in zip(found_arms, rows["head"], strict=True)
    ]
    rows["mark"] = rows["remark"].map(tables.MARKS)
    rows["arm"] = [row["setting"] or row["loss"] for _, row in rows.iterrows()]
    rows["place"] = _place_words(rows)
    ranks = {name: rank for rank, name in enumerate(BASELINES)}
    rows["rank"] = [ranks.get(loss, -1) for loss in rows["loss"]]
    rows = rows.sort_values(["rank", "loss", "variant", "temperature"], kind="stable")
    rows["arm"] = pd.Categorical(rows["arm"], list(dict.fromkeys(rows["arm"])))
    places, heads = list(_parameters(study).places), ["direct", *READINGS]
    rows["at"] = [
        (places.index(Place(row["dataset"], row["encoder"])), heads.index(row["head"]))
        for _, row in rows.iterrows()
    ]
    rows = rows.sort_values("at", kind="stable").drop(columns="at")
    columns = ("place", "head")
    figures.save_table(
        figures.tables.latex(rows, columns=columns, rows="arm", metric=metric),
        study.folder / "tables",
        f"results_{metric}",
        data=rows.drop(columns=["mark", "rank", "arm", "place"]),
    )
    return figures.tables.frame(rows, columns=columns, rows="arm", metric=metric)


def geometry_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """Uniformity, tolerance and the rest of the projection at every temperature; also written as CSV and LaTeX."""
    rows = summary.intervals[summary.intervals["head"] == ""]
    rows = rows.assign(
        place=_place_words(rows),
        arm=[row["setting"] or style.look(row["loss"]).label for _, row in rows.iterrows()],
        shown=[
            f"{row['estimate']:.{1 if row['metric'] == 'effective_rank' else 3}f}"
            for _, row in rows.iterrows()
        ],
    )
    wide = rows.pivot(index=["place", "arm"], columns="metric", values="shown")[list(GEOMETRY)]
    wide.columns = [style.metric(name).label for name in GEOMETRY]
    figures.save_table(
        figures.tables.plain(wide.reset_index()),
        study.folder / "tables",
        "geometry",
        data=rows.drop(columns=["place", "arm", "shown"]),
    )
    return wide


def published_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """The source's numbers by temperature and ours beside them, for instance discrimination; also written.

    The score is the source's accuracy and our mAP, each by a linear probe: they are not on one scale.
    """
    rows = PUBLISHED.assign(place=[f"{name} (published)" for name in PUBLISHED["dataset"]])
    ours = []
    for sweep in summary.sweeps:
        if sweep.loss != "instance" or sweep.variant:
            continue
        hard = next(
            (s for s in summary.sweeps if (s.place, s.loss, s.variant) == (sweep.place, "instance", "hard")),
            None,
        )
        for temperature, arm in sweep.arms.items():
            members = summary.arms.get(arm, [])
            twin = None if hard is None else hard.arms.get(temperature)
            ours.append(
                {
                    "place": f"{', '.join(sweep.place)} (here)",
                    "temperature": temperature,
                    "score": 100 * scores.mean(members, "probe_map"),
                    "uniformity": scores.mean(members, "uniformity"),
                    "tolerance": scores.mean(members, "tolerance"),
                    "score_hard": np.nan
                    if twin is None
                    else 100 * scores.mean(summary.arms.get(twin, []), "probe_map"),
                }
            )
    table = pd.concat([rows.drop(columns="dataset"), pd.DataFrame(ours)], ignore_index=True)
    figures.save_table(
        figures.tables.plain(table, form=".3g", missing="–"),
        study.folder / "tables",
        "published",
        data=table,
    )
    forms = {"score": ".1f", "uniformity": ".2f", "tolerance": ".3f", "score_hard": ".1f"}
    shown = table.assign(
        **{name: ["–" if pd.isna(v) else f"{v:{form}}" for v in table[name]] for name, form in forms.items()}
    )
    names = {"score": "accuracy or mAP (%)", "score_hard": "the same, hard negatives"}
    return shown.set_index(["place", "temperature"]).rename(columns=names)[
        [names["score"], "uniformity", "tolerance", names["score_hard"]]
    ]


def source_table(study: Execution, summary: Summary) -> pd.DataFrame | None:
    """What claims on geometry are judged by, over all temperatures and the source's; also written as CSV and LaTeX.

    None where the source has all of the temperatures.
    """
    found = comparisons(summary)
    if not found:
        return None
    rows = pd.DataFrame(
        {
            "task": each.sweep.task,
            "measured": each.words,
            **{name: getattr(each.everywhere, name) for name in ("estimate", "lower", "upper")},
            **{f"source_{name}": getattr(each.source, name) for name in ("estimate", "lower", "upper")},
            "lowest": LOWEST_OF_SOURCE,
            "turns": each.turns,
            "impediment": each.impediment,
        }
        for each in found
    )
    shown = rows[["task", "measured"]].assign(
        all=[wording.signed(each.everywhere) for each in found],
        source=[wording.signed(each.source) for each in found],
        impediment=rows["impediment"],
    )
    names = {
        "all": "all temperatures",
        "source": f"from τ {LOWEST_OF_SOURCE:g} on",
        "impediment": "against these",
    }
    shown = shown.rename(columns=names)
    figures.save_table(figures.tables.plain(shown), study.folder / "tables", "source_range", data=rows)
    return shown.set_index("task")


def _place_words(rows: pd.DataFrame) -> list[str]:
    return [f"{row['dataset']}, {row['encoder']}" for _, row in rows.iterrows()]


PANELS = {
    ("probe", "map"): "representation, probe",
    ("projection", "map"): "projection, probe",
    ("neighbours", "map"): "projection, 20-NN",
    ("", "uniformity"): "uniformity",
    ("", "tolerance"): "tolerance",
    ("", "penalty_entropy"): "penalty entropy",
}


def plot_scores(study: Execution, summary: Summary) -> Figure | None:
    """mAP read from the representation and from the projection against temperature."""
    return _plot(
        study, summary, "scores", [key for key in PANELS if key[1] == "map"], ("", "hard"), level=True
    )


def plot_geometry(study: Execution, summary: Summary) -> Figure | None:
    """Uniformity, tolerance and penalty entropy of the projection against temperature."""
    return _plot(study, summary, "geometry", [key for key in PANELS if key[1] != "map"], ("", "hard"))


def plot_control(study: Execution, summary: Summary) -> Figure | None:
    """A loss beside the same loss times its temperature; None where no loss was scaled."""
    scaled = [sweep for sweep in summary.sweeps if sweep.variant == "scaled"]
    if not scaled:
        return None
    (first, *_) = scaled
    chosen = [("probe", "map"), ("projection", "map"), ("", "uniformity")]
    return _plot(study, summary, "control", chosen, ("", "scaled"), only=first)


def _plot(
    study: Execution,
    summary: Summary,
    name: str,
    panels: Iterable[tuple[str, str]],
    variants: tuple[str, ...],
    *,
    only: Sweep | None = None,
    level: bool = False,
) -> Figure | None:
    frames = {}
    for key, rows in (("intervals", summary.intervals), ("points", summary.points)):
        if only is not None:
            rows = rows[
                (rows["dataset"] == only.place.dataset)
                & (rows["encoder"] == only.place.encoder)
                & (rows["loss"] == only.loss)
            ]
        frames[key] = _framed(rows[rows["temperature"].notna() & rows["variant"].isin(variants)], panels)
    if level:
        # mAP of the untrained encoder, which has no projection: the same level in every panel
        encoder = summary.intervals.query("loss == 'random_encoder' and head == 'probe' and metric == 'map'")
        frames["levels"] = _framed(
            pd.concat([encoder.assign(head=head) for head in READINGS], ignore_index=True), panels
        )
    return drawing.draw(study, name, frames)


def _framed(rows: pd.DataFrame, panels: Iterable[tuple[str, str]]) -> pd.DataFrame:
    wanted = list(panels)
    keys = list(zip(rows["head"], rows["metric"], strict=True))
    rows = rows.assign(
        place=_place_words(rows),
        panel=[PANELS.get(key, "") for key in keys],
        arm=[_arm_name(row) for _, row in rows.iterrows()],
        order=[wanted.index(key) if key in wanted else -1 for key in keys],
    )
    return rows[rows["order"] >= 0].sort_values("order", kind="stable").drop(columns="order")


def _arm_name(row: pd.Series[Any]) -> str:
    words = {"hard": ": hard negatives", "scaled": ": times τ"}
    return f"{row['loss']}{words.get(row['variant'], '')}"


def plot_embeddings(study: Execution, summary: Summary) -> Figure | None:
    """Embeddings of the test examples in replicate 0 at a low, a middle and a high temperature, in two places."""
    sweeps = [
        sweep for sweep in summary.sweeps if not sweep.variant and sweep.loss == study.parameters.losses[0]
    ]
    by_encoder = {sweep.place.encoder: sweep for sweep in reversed(sweeps)}
    shown = [sweep for sweep in sweeps if sweep in by_encoder.values()]
    plane, similarities = [], []
    for sweep in [shown[0], shown[-1]] if len(shown) > 1 else shown:
        first = {  # runs of replicate 0, by temperature
            temperature: run
            for temperature, arm in sweep.arms.items()
            for run in summary.arms.get(arm, [])
            if run.config.replicate == 0
        }
        temperatures = list(first)
        if not temperatures:
            continue
        for temperature in dict.fromkeys(
            [temperatures[0], temperatures[len(temperatures) // 2], temperatures[-1]]
        ):
            run = first[temperature]
            arrays = run.arrays()
            where = {"place": ", ".join(sweep.place), "temperature": temperature}
            labels = task_for(run.config).test.labels[:, : len(RANKS)] == 1
            rank = np.where(labels.sum(axis=1) == 1, labels.argmax(axis=1) + 1, 0)
            x, y = arrays["plane"].astype(np.float64).T
            plane.append(pd.DataFrame({**where, "x": x, "y": y, "rank": rank}))
            edges = np.linspace(-1, 1, BINS + 1)
            counts = arrays["similarities"].astype(np.float64)
            density = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) / (2 / BINS)
            bins = {"low": edges[:-1], "high": edges[1:], "share": density[0], "none": density[1]}
            similarities.append(pd.DataFrame({**where, **bins}))
    if not plane:
        return None
    frames = {
        "plane": pd.concat(plane, ignore_index=True),
        "similarities": pd.concat(similarities, ignore_index=True),
    }
    return drawing.draw(study, "embeddings", frames)


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return tables.reviewers_list(
        study,
        summary.carried,
        found=summary.arms,
        search=rates.sentence(summary.carried),
        exclusions=f"Examples without any of the {BASE_LABELS} most frequent labels are left out.",
        deviations="Texts and images with several labels instead of CIFAR, SVHN and ImageNet-100; frozen features and"
        " small encoders; views by dropout and shifts instead of crops and colours; batches of 128 or 256 instead of a"
        " memory bank; a probe for mAP instead of accuracy.",
        limits="What temperature does to a large encoder that is trained for hundreds of epochs with strong"
        " augmentation.",
    )
