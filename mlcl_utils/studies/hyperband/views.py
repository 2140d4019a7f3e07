"""Tables and figures of the Hyperband study: views of what it measures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mlcl_utils import search
from mlcl_utils.figures import plots, style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies import figures, reviewers, tables
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw, Frames, part
from mlcl_utils.studies.hyperband import Task, base, measures, space_of, tasks
from mlcl_utils.studies.hyperband.measures import METHODS, SCORES, VERDICTS
from mlcl_utils.studies.sentences import bounded, number
from mlcl_utils.studies.tables import fixed, percent

TASK = list(Task._fields)

MEANINGS = {
    "hyperband": "Li et al., JMLR 18(185), 2018: all brackets in turn, again until the budget is used",
    "most_aggressive": "its first bracket alone, again and again: successive halving from the smallest resource",
    "least_aggressive": "its last bracket alone: every configuration is trained to the end, as in random search",
    "random_search": "every configuration is trained to the end",
    "random_search_2x": "the same with twice the budget",
    "tpe": "Optuna's tree-structured Parzen estimator, whole trainings: Bayesian optimisation",
    "asha": "Optuna's asynchronous successive halving on random configurations, one after the other",
}


def plan(study: Execution) -> None:
    """Print what one pass of Hyperband does, and the budget of every search."""
    parameters = study.parameters
    print(search.describe(search.brackets(parameters.epochs, parameters.eta)))
    print(
        f"budget of every search: {parameters.budget} epochs; of random search also {2 * parameters.budget}"
    )


def spaces(study: Execution) -> None:
    """Print the search space of every loss."""
    for loss in study.parameters.losses:
        print(f"{style.look(loss).label}\n{space_of(Task('', loss, 0))}\n")


def methods(study: Execution) -> pd.DataFrame:
    """What is compared."""
    rows = [{"method": style.look(name).label, "what it does": MEANINGS[name]} for name in METHODS]
    return pd.DataFrame(rows).set_index("method")


def _words(task: Iterable[Any]) -> str:
    """A task in words."""
    dataset, loss, replicate = task
    return f"{dataset}, {style.look(loss).label}" + (f", split {replicate}" if replicate else "")


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their task in words."""
    return rows.assign(task=list(map(_words, rows[TASK].itertuples(index=False))))


def pools(study: Execution) -> pd.DataFrame:
    """The pools in numbers: mAP of the own head, on validation where nothing else is said."""
    columns: tables.Columns = {
        "configurations": ("configurations", str),
        "failed": ("failed", str),
        "median": ("median (%)", percent()),
        "best": ("best (%)", percent()),
        "best_on_test": ("best, on test (%)", percent()),
        "values": ("values of the best", str),
        "at_edge": ("at an edge", str),
    }
    return tables.show(study, "pools", _named(measures.bests(study)), index=["task"], columns=columns)


def learning_curves(study: Execution) -> Figure | None:
    """Validation scores of every configuration after every epoch."""
    return figures.draw(study, "learning_curves", {"curves": measures.curves(study)})


def draw_learning_curves(frames: Frames, venue: str) -> Figure:
    """The validation curves of the pools, ``curves``, the better in the end the lighter: a panel per task."""
    curves = frames["curves"]
    panels = list(curves.groupby(TASK, sort=False))
    columns = min(3, max(2, len(panels)))
    figure, axes = style.figure(-(-len(panels) // columns), columns, venue=venue, ratio=0.85)
    with style.use(venue):
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        for ax, (task, rows) in zip(axes.flat, panels, strict=False):
            for _, curve in rows.groupby("configuration"):
                shade = plt.get_cmap("cividis")(curve["rank"].iloc[0])
                ax.plot(curve["epoch"], 100 * curve["validation"], color=shade, linewidth=0.6)
            _log_axis(ax)
            ax.set_title(drawn(_words(task)), loc="left")
            ax.set_xlabel("epoch")
            ax.set_ylabel("validation mAP (%)")
    return figure


def correlations(study: Execution) -> pd.DataFrame:
    """Rank correlations with the final score, with their intervals."""
    found = measures.correlations(study)
    cells = [bounded(row["estimate"], row["lower"], row["upper"], ".2f") for _, row in found.iterrows()]
    rows = _named(found).assign(
        cell=cells, share=[f"after {share} of the epochs" for share in found["share"]]
    )
    return _wide(study, "rank_correlations", rows, ["task"], "share", found)


def _wide(
    study: Execution, name: str, rows: pd.DataFrame, index: list[str], by: str, values: pd.DataFrame
) -> pd.DataFrame:
    """A table with a column per value of a column, whose cells are in words."""
    if rows.empty:
        return rows
    wide = rows.pivot(index=index, columns=by, values="cell")[list(dict.fromkeys(rows[by]))]
    wide.columns.name = None
    return tables.show(study, name, wide.fillna("–").reset_index(), index=index, values=values)


def incumbents(study: Execution) -> Figure | None:
    """The incumbent's validation and test score against the epochs trained, with the real searches."""
    frames = {"means": measures.incumbents(study), "searches": measures.searched(study)}
    return figures.draw(study, "incumbents", frames)


def draw_incumbents(frames: Frames, venue: str) -> Figure:
    """The incumbent's scores, ``means`` and those of real ``searches``: a row per task, a column per score."""
    means, real = frames["means"], frames["searches"]
    panels = list(means.groupby(TASK, sort=False))
    figure, axes = style.figure(len(panels), 2, venue=venue, ratio=0.75)
    with style.use(venue):
        for row, (task, rows) in zip(axes, panels, strict=True):
            for ax, score in zip(row, SCORES, strict=True):
                _steps(ax, part(rows, {"score": score}))
                for at, search_ in part(real, dict(zip(TASK, task, strict=True))).groupby("number"):
                    ax.step(
                        search_["epochs"],
                        100 * search_[score],
                        where="post",
                        color=plots.INK,
                        linewidth=0.7,
                        linestyle=(0, (2, 1.5)),
                        label="a real search by Hyperband" if at == 0 else None,
                    )
                ax.set_xlabel("epochs trained in all")
                ax.set_ylabel(f"{score} mAP (%)")
            row[0].set_title(drawn(_words(task)), loc="left")
        plots.shared_legend(figure)
    return figure


def _steps(ax: Axes, rows: pd.DataFrame) -> None:
    for method in style.order(rows["method"].unique().tolist()):
        own, look = rows[rows["method"] == method].sort_values("epochs"), style.look(method)
        x, (middle, low, high) = own["epochs"], (100 * own[name] for name in ("estimate", "lower", "upper"))
        ax.fill_between(x, low, high, step="post", color=look.colour, alpha=0.2, linewidth=0)
        ax.step(x, middle, where="post", color=look.colour, linestyle=look.line, label=drawn(look.label))
    _log_axis(ax)
    # the first epochs of those that start low would leave no room for what is compared
    begun = rows.groupby("method")["epochs"].min().max()
    late = rows[rows["epochs"] >= min(2 * begun, rows["epochs"].max())]
    low, high = 100 * late["estimate"].min(), 100 * late["estimate"].max()
    reach = high - low or 1.0  # a pool of which one configuration is left has a single score
    low, high = low - 0.1 * reach, high + 0.05 * reach
    ax.set_ylim(low, high)
    ax.set_xlim(left=rows.loc[100 * rows["estimate"] >= low, "epochs"].min())


def _log_axis(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def speed_ups(study: Execution) -> Figure | None:
    """Ratios of epochs to reach each rival's final score."""
    return figures.draw(study, "speed_ups", {"ratios": measures.speed_ups(study)})


def draw_speed_ups(frames: Frames, venue: str) -> Figure:
    """Ratios of epochs, ``ratios``: a row per data set, a column per score, a line per rival, a mark per loss.

    A ratio whose target was not reached is drawn at its bound as an arrow to the left.
    """
    ratios = frames["ratios"]
    datasets, losses = ratios["dataset"].unique(), style.order(ratios["loss"].unique().tolist())
    rivals = style.order(ratios["rival"].unique().tolist())[::-1]
    figure, axes = style.figure(len(datasets), 2, venue=venue, ratio=0.75, sharex=True, sharey=True)
    with style.use(venue):
        for row, dataset in zip(axes, datasets, strict=True):
            for ax, score in zip(row, SCORES, strict=True):
                for rank, loss in enumerate(losses):
                    own = part(ratios, {"dataset": dataset, "score": score, "loss": loss})
                    _marks(ax, own, rivals, loss, (rank + 1) / (len(losses) + 1) - 0.5)
                for value, line in ((1, "-"), (10, (0, (3, 3)))):
                    ax.axvline(value, color=plots.INK, linewidth=0.6, linestyle=line, zorder=1)
                _log_axis(ax)
                ax.set_yticks(range(len(rivals)), [drawn(style.look(rival).label) for rival in rivals])
                ax.set_ylim(-0.6, len(rivals) - 0.4)
                ax.set_title(drawn(f"{dataset}, {score}"), loc="left")
        for ax in axes[-1]:
            ax.set_xlabel("ratio of epochs")
        plots.shared_legend(figure)
    return figure


def _marks(ax: Axes, rows: pd.DataFrame, rivals: list[str], loss: str, shift: float) -> None:
    look = style.look(loss)
    heights = np.array([rivals.index(rival) for rival in rows["rival"]]) + 0.7 * shift
    reached = rows["ratio"].to_numpy() > 0
    low, middle, high = (
        np.where(rows[name] > 0, rows[name], rows["bound"]) for name in ("lower", "ratio", "upper")
    )
    ax.hlines(heights, low, high, color=look.colour, linewidth=0.8)
    ax.scatter(
        middle[reached],
        heights[reached],
        s=14,
        color=look.colour,
        marker=MarkerStyle(look.marker),
        label=drawn(look.label),
        zorder=3,
    )
    ax.scatter(
        middle[~reached],
        heights[~reached],
        s=16,
        color=look.colour,
        marker="<",
        facecolors="white",
        label="not reached: below this" if (~reached).any() else None,
        zorder=3,
    )


def speed_ups_table(study: Execution) -> pd.DataFrame:
    """Ratios of epochs to reach each rival's final score, with their intervals, on every split."""
    found = measures.speed_ups(study)
    rivals = [style.look(rival).label for rival in found["rival"]]
    rows = _named(found).assign(rival=rivals, cell=[_ratio(row) for _, row in found.iterrows()])
    return _wide(study, "speed_ups", rows, ["task", "rival"], "score", found)


def _ratio(row: pd.Series[Any]) -> str:
    """A ratio with its interval; a bound for what was not reached."""
    ratio, low, high = (
        number(row[name], ".1f") if row[name] else f"< {number(row['bound'], '.1f')}"
        for name in ("ratio", "lower", "upper")
    )
    return f"{ratio}{'' if row['ratio'] else ' (not reached)'} [{low}, {high}]"


def verdicts(study: Execution) -> pd.DataFrame:
    """On how many splits and tasks Hyperband is how much sooner than each rival, by the interval of the ratio."""
    found = measures.verdicts(study)
    labels = [style.look(rival).label for rival in found["rival"]]
    counts: tables.Columns = {name: (name, str) for name in VERDICTS}
    columns = {**counts, "largest_upper": ("largest upper bound", fixed(1))}
    rows = found.assign(rival=labels)
    return tables.show(study, "verdicts", rows, index=["rival"], columns=columns, values=found)


def control(study: Execution) -> pd.DataFrame:
    """Two names of random search: the difference of their final validation scores is noise of the replays."""
    columns: tables.Columns = {
        "estimate": ("difference (points of mAP)", fixed(2, "+")),
        "lower": ("lower", fixed(2, "+")),
        "upper": ("upper", fixed(2, "+")),
        "points": ("on each split", str),
    }
    rows = part(study.comparisons, {"name": "control"})
    return tables.show(study, "control", rows, index=["task", "compared"], columns=columns)


def real_searches(study: Execution) -> pd.DataFrame | None:
    """The real searches next to the replays, at their end, in per cent; None without one to compare."""
    found = measures.confirmations(study)
    if found.empty:
        print("no real search to compare: searches is 0, or none found a configuration")
        return None
    middle = [f"{percent()(row.low)} to {percent()(row.high)}" for row in found.itertuples()]
    columns: tables.Columns = {
        "found": ("found", percent()),
        "replays": ("replays", percent()),
        "middle": ("middle 95% of replays", str),
        "inside": ("inside", lambda inside: "yes" if inside else "no"),
        "failed": ("failed", str),
    }
    rows, index = _named(found).assign(middle=middle), ["task", "number", "score"]
    return tables.show(study, "real_searches", rows, index=index, columns=columns, values=found)


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    parameters = study.parameters
    labels = {task.dataset: base(parameters, task).num_labels for task in tasks(parameters)}
    sizes = ", ".join(f"{name} {count}" for name, count in labels.items())
    return reviewers.checklist(
        study,
        exclusions=f"Labels: {sizes}.",
        search=f"{parameters.pool} random configurations for each loss, data set and split, all trained to"
        f" {parameters.epochs} epochs, the schedule's horizon the same wherever one is stopped; spaces and best values"
        " with their edges are above. Score: validation mAP of the loss's own head after every epoch, since a probe an"
        " epoch would cost more than the training; a run that failed counts as worst."
        f" Replays: {parameters.replays} searches of each method on each pool, {parameters.budget} epochs each, drawn"
        " without replacement; TPE's proposals are settled on the nearest configuration that is left. A pool of"
        f" {parameters.pool} is exhausted by a search that tries more: its configurations then come again.",
        intervals="Of means: normal, over replays. Of ratios: bootstrap over replays of both methods, at 95%. Of rank"
        " correlations: bootstrap over configurations. None of them covers another draw of the pool, another split or"
        " another task. Of ratios over splits, and so of verdicts: the wider of a corrected t interval over splits and"
        " a normal one over replays.",
        deviations="Its experiments searched networks on CIFAR-10, SVHN and MNIST, kernel methods and LeNet, with"
        " resources in iterations or examples; here they are epochs of a multi-label training with a learning rate that"
        " is scheduled over all of them. Its numbers of configurations are those of Table 1.",
        limits="Searches over architectures, longer trainings, parallel search: on many workers asynchronous methods"
        " gain what a replay one after the other does not show.",
    )


FIGURES: dict[str, Draw] = {
    "learning_curves": draw_learning_curves,
    "incumbents": draw_incumbents,
    "speed_ups": draw_speed_ups,
}
