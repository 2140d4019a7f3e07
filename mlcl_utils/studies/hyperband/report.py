"""Tables, figures and the reviewers' list of the Hyperband study, from its searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import figures, search
from mlcl_utils.figures import style
from mlcl_utils.files import write_csv
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import runs
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.drawing import draw
from mlcl_utils.studies.hyperband import Task, base, reading, space_of, tasks
from mlcl_utils.studies.hyperband.searching import METHODS, Summary, parameters_of
from mlcl_utils.studies.tables import markdown
from mlcl_utils.studies.wording import Headed

_ABOUT = {
    "hyperband": "Li et al., JMLR 18(185), 2018: all brackets in turn, again until the budget is used",
    "most_aggressive": "its first bracket alone, again and again: successive halving from the smallest resource",
    "least_aggressive": "its last bracket alone: every configuration is trained to the end, as in random search",
    "random_search": "every configuration is trained to the end",
    "random_search_2x": "the same with twice the budget",
    "tpe": "Optuna's tree-structured Parzen estimator, whole trainings: Bayesian optimisation",
    "asha": "Optuna's asynchronous successive halving on random configurations, one after the other",
}


def plan(study: Execution) -> None:
    """Prints what one pass of Hyperband does, and the budget of every search."""
    parameters = parameters_of(study)
    print(search.describe(search.brackets(parameters.epochs, parameters.eta)))
    print(
        f"budget of every search: {parameters.budget} epochs; of random search also {2 * parameters.budget}"
    )


def spaces(study: Execution) -> None:
    """Prints the search space of every loss."""
    for task in tasks(parameters_of(study)):
        if task.dataset == study.parameters.datasets[0] and task.replicate == 0:
            print(f"{style.look(task.loss).label}\n{space_of(task)}\n")


def methods() -> pd.DataFrame:
    """What is compared."""
    rows = [{"method": style.look(name).label, "what it does": _ABOUT[name]} for name in METHODS]
    return pd.DataFrame(rows).set_index("method")


def pools_table(summary: Summary) -> pd.DataFrame:
    """The pools in numbers: mAP of the own head in per cent, on validation where nothing else is said."""
    rows = []
    for task, pool in summary.pools.items():
        final = pool.validation[:, -1]
        best = int(np.nanargmax(final))
        rows.append(
            {
                "task": reading.name(task),
                "configurations": len(final),
                "failed": int(np.isnan(final).sum()),
                "median": f"{100 * np.nanmedian(final):.1f}",
                "best": f"{100 * final[best]:.1f}",
                "best, on test": f"{100 * pool.test[best, -1]:.1f}",
                "of the best": _values(pool.configs[best]),
                "at an edge": ", ".join(pool.space.at_edge(pool.configs[best])),
            }
        )
    return pd.DataFrame(rows).set_index("task")


def _values(config: Any) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in config.items()
    )


def plot_learning_curves(study: Execution, summary: Summary) -> Figure | None:
    """Validation scores of every configuration after every epoch."""
    frames = []
    for task, pool in summary.pools.items():
        final = np.nan_to_num(pool.validation[:, -1], nan=-np.inf)
        rank = (final[:, None] > final).mean(axis=1)
        count, epochs = pool.validation.shape
        frames.append(
            pd.DataFrame(
                {
                    **task._asdict(),
                    "configuration": np.repeat(np.arange(count), epochs),
                    "epoch": np.tile(np.arange(1, epochs + 1), count),
                    "validation": pool.validation.ravel(),
                    "test": pool.test.ravel(),
                    "rank": np.repeat(rank, epochs),
                }
            )
        )
    return draw(study, "learning_curves", {"curves": pd.concat(frames, ignore_index=True)})


def plot_incumbents(study: Execution, summary: Summary) -> Figure | None:
    """The incumbent's validation and test score against the epochs trained, with the real searches."""
    columns = [*Task._fields, "number", "epochs", "validation", "test"]
    real = [
        each.incumbents().assign(**task._asdict(), number=number)
        for task, made in summary.searches.items()
        for number, each in enumerate(made)
    ]
    searched = pd.concat(real, ignore_index=True)[columns] if real else pd.DataFrame(columns=columns)
    return draw(study, "incumbents", {"means": reading.incumbents(summary), "searches": searched})


def _ratios(study: Execution, summary: Summary) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **task._asdict(),
                "rival": rival,
                "score": score,
                "target": each.target,
                "epochs": each.epochs,
                "rival_epochs": each.rival_epochs,
                "ratio": each.ratio,
                "lower": each.lower,
                "upper": each.upper,
                "bound": each.rival_epochs / each.budget,
                "reached": each.reached,
                "verdict": reading.verdict(each),
            }
            for (task, rival, score), each in reading.speed_ups(study, summary).items()
        ]
    )


def plot_speed_ups(study: Execution, summary: Summary) -> Figure | None:
    """Ratios of epochs to reach each rival's final score."""
    return draw(study, "speed_ups", {"ratios": _ratios(study, summary)})


def speed_up_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """Ratios of epochs to reach each rival's final score, with their intervals; also written as CSV and LaTeX."""
    rows = [
        {"task": reading.name(task), "rival": style.look(rival).label, "score": score, "ratio": str(each)}
        for (task, rival, score), each in reading.speed_ups(study, summary).items()
    ]
    if not rows:
        return pd.DataFrame()
    shown = pd.DataFrame(rows).pivot(index=["task", "rival"], columns="score", values="ratio")
    shown = shown[["validation", "test"]]
    shown.columns.name = None
    figures.save_table(
        figures.tables.plain(shown.reset_index()),
        study.folder / "tables",
        "speed_ups",
        data=_ratios(study, summary),
    )
    return shown


def correlation_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """Rank correlations with the final score, with their intervals; also written as CSV and LaTeX."""
    found = reading.correlations(study, summary)
    found["task"] = [reading.name(Task(*row)) for row in found[list(Task._fields)].itertuples(index=False)]
    found["shown"] = [f"{row.estimate:.2f} [{row.lower:.2f}, {row.upper:.2f}]" for row in found.itertuples()]
    shown = found.pivot(index="task", columns="share", values="shown")[list(found["share"].unique())]
    shown.columns = [f"after {share} of the epochs" for share in shown.columns]
    figures.save_table(
        figures.tables.plain(shown.reset_index()),
        study.folder / "tables",
        "rank_correlations",
        data=found.drop(columns=["task", "shown"]),
    )
    return shown


def confirmation_table(study: Execution, summary: Summary) -> pd.DataFrame | None:
    """The real searches beside the replays, at their end, in per cent; None without real searches."""
    found = reading.confirmations(study, summary)
    if found.empty:
        print("no real search was made: searches is 0 in this preset")
        return None
    figures.save_table(
        figures.tables.plain(found, form=".3f"),
        study.folder / "tables",
        "real_searches",
        data=found,
    )
    found["task"] = [reading.name(Task(*row)) for row in found[list(Task._fields)].itertuples(index=False)]
    for column in ("found", "replays", "low", "high"):
        found[column] = [f"{100 * value:.1f}" for value in found[column]]
    found["middle 95% of replays"] = found["low"] + " to " + found["high"]
    columns = ["task", "number", "score", "found", "replays", "middle 95% of replays", "failed"]
    return found[columns].set_index(["task", "number", "score"])


def _searched(summary: Summary) -> list[search.Evaluation]:
    """All evaluations of the real searches."""
    return [
        each for made in summary.searches.values() for search_ in made for each in search_.result.evaluations
    ]


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    parameters = parameters_of(study)
    carried, grid = summary.carried, summary.carried.grid
    first = grid.runs[0]
    part = task_for(first.config)
    made = _searched(summary)
    seconds = [run.timings["time_training"] for run in grid.runs]
    failed = [each for each in made if each.error is not None]
    errors = sorted({error for _, error, _ in grid.failures} | {str(each.error) for each in failed})
    gaps = [run.metrics["direct_validation_map"] - run.metrics["direct_map"] for run in grid.runs]
    sizes = {f"{task.dataset} {base(parameters, task).num_labels}" for task in summary.pools}
    lines = [
        Headed(
            "Splits.",
            f" {parameters.replicates} of ten stored splits, 70/10/20 by groups that never cross a split. On"
            f" {first.config.dataset}, split 0: {len(part.train)} / {len(part.validation)} / {len(part.test)} examples;"
            f" labels: {', '.join(sorted(sizes))}.",
        ),
        Headed(
            "Search.",
            f" {parameters.pool} random configurations for each of {len(summary.pools)} tasks, all trained to"
            f" {parameters.epochs} epochs; spaces and best values with their edges stand above. Score: validation"
            " mAP of"
            " the loss's own head after every epoch, since a probe an epoch would cost more than the training.",
        ),
        Headed(
            "Replays.",
            f" {parameters.replays} searches of each method on each pool, {parameters.budget} epochs each,"
            " drawn without replacement; TPE's proposals are settled on the nearest configuration that is left."
            " A pool of"
            f" {parameters.pool} is exhausted by a search that tries more: its configurations then come again.",
        ),
        Headed(
            "Intervals.",
            " Of means: normal, over replays. Of ratios: bootstrap over replays of both methods, at 95%. Of"
            " rank correlations: bootstrap over configurations. None of them covers another draw of the pool,"
            " another split"
            " or another task: each task is printed by itself. Of verdicts: the wider of a corrected t interval"
            " over splits"
            " and a normal one over replays.",
        ),
        Headed(
            "Training.",
            f" {parameters.epochs} epochs, the schedule's horizon the same for every configuration wherever it"
            f" is stopped; {np.median(seconds):.1f} s in the median run, {max(seconds):.1f} s at most;"
            f" {min(run.facts['parameters'] for run in grid.runs):,} to"
            f" {max(run.facts['parameters'] for run in grid.runs):,} parameters.",
        ),
        Headed(
            "Validation beside test.",
            f" mAP on validation minus test at the end: mean {100 * np.mean(gaps):+.1f} points.",
        ),
        Headed(
            "Failures.",
            f" {len(grid.failures)} of {len(grid.failures) + len(grid.runs)} pool runs and {len(failed)} of"
            f" {len(made)} evaluations of real searches failed; they count as worst"
            f"{': ' + '; '.join(errors) if errors else ''}.",
        ),
        Headed(
            "Compute.",
            f" {len(grid.runs)} pool runs and {len(made)} evaluations,"
            f" {(carried.time_seconds + sum(each.time_seconds for each in made)) / 60:.1f} minutes of computation"
            " in all,"
            f" failures included; {grid.existed} pool runs existed before. Device: {first.environment['device']},"
            f" {first.environment['threads']} thread a run; peak memory of a process"
            f" {max(run.timings['mem_peak_bytes'] for run in grid.runs) / 2**30:.2f} GiB.",
        ),
        Headed(
            "Deviations from the source.",
            " Its experiments searched networks on CIFAR-10, SVHN and MNIST, kernel methods"
            " and LeNet, with resources in iterations or examples; here they are epochs of a multi-label"
            " training with a"
            " learning rate that is scheduled over all of them. Its numbers of configurations are those of Table 1.",
        ),
        Headed(
            "What this setting cannot show.",
            " Searches over architectures, longer trainings, parallel search: on many"
            " workers asynchronous methods gain what a replay one after the other does not show.",
        ),
    ]
    return markdown(lines)


def finish(study: Execution, summary: Summary) -> None:
    """Adds the real searches to ``runs.csv`` and writes the manifest."""
    carried, grid = summary.carried, summary.carried.grid
    made = _searched(summary)
    rows = runs.frame(study, carried)
    searched = [
        {"study": study.study.name, "column": f"search {number}", **run.row()}
        for task, all_ in summary.searches.items()
        for number, each in enumerate(all_)
        for run in each.runs
        if run is not None
    ]
    write_csv(study.folder / "runs.csv", pd.concat([rows, pd.DataFrame(searched)]))
    study.finish(
        device=grid.runs[0].environment["device"],
        seeds=sorted({run.config.seed for run in grid.runs}),
        compute={
            "runs": len(grid.runs) + len(made),
            "failed": len(grid.failures) + sum(each.error is not None for each in made),
            "existed": grid.existed,
            "seconds": round(carried.time_seconds + sum(each.time_seconds for each in made), 1),
        },
    )
