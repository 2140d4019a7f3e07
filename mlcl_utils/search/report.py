"""What a search leaves behind: its trials as a table, its best configuration as a file, and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.figures.plots import INK
from mlcl_utils.files import write_csv, write_text
from mlcl_utils.search.conduct import Result


def write(folder: Path, result: Result, runs: Sequence[str], configuration: Mapping[str, Any]) -> list[Path]:
    """Writes ``trials.csv``, ``best.toml`` and the figure ``search`` of a search.

    Args:
        folder: made if absent.
        result: the search.
        runs: identity of the run of each evaluation.
        configuration: what is written beside the best values: ``loss``, ``encoder``.

    Returns:
        The paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = result.table().assign(run=runs)
    best = folder / "best.toml"
    write_csv(folder / "trials.csv", table)
    write_text(best, best_as_toml(result, configuration))
    drawn = figures.save(plot(table), folder, "search", data=table)
    return [folder / "trials.csv", best, *drawn]


def best_as_toml(result: Result, configuration: Mapping[str, Any]) -> str:
    """The best configuration as the text of a TOML file, which ``mlcl run -p config=FILE`` takes."""
    best = result.best
    lines = [
        f"# {result.method}: the best of {len(result.evaluations)} evaluations, {result.trained} epochs in all;"
        f" validation mAP {best.score:.4f} after {best.resource} epochs",
        *(f"{name} = {json.dumps(value)}" for name, value in configuration.items()),
        "",
        "[values]",
        *(f"{_key(name)} = {json.dumps(value)}" for name, value in best.config.items()),
    ]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return json.dumps(name) if "." in name else name


def plot(table: pd.DataFrame, venue: str = "neurips") -> Figure:
    """Every evaluation and the incumbent against the epochs trained in all, and against the time that they took.

    Args:
        table: of :meth:`mlcl_utils.search.Result.table`.
        venue: whose sizes and fonts.
    """
    good = table["error"] == ""
    figure, axes = style.figure(1, 2, venue=venue, ratio=0.8, sharey=True)
    resources = sorted(table["resource"].unique())
    shades = plt.get_cmap("cividis")(np.linspace(0, 0.9, len(resources)))
    with style.use(venue):
        spent = (table["total"], table["time_seconds"].cumsum())
        for ax, used, label in zip(axes[0], spent, ("epochs trained in all", "computation (s)"), strict=True):
            ax.step(used, 100 * table["incumbent"], where="post", color=INK, label="incumbent")
            for resource, shade in zip(resources, shades, strict=True):
                part = good & (table["resource"] == resource)
                ax.scatter(
                    used[part],
                    100 * table.loc[part, "score"],
                    s=9,
                    color=[shade],
                    linewidths=0,
                    zorder=2,
                    label=f"after {resource} epoch{'s' if resource > 1 else ''}",
                )
            ax.set_xlabel(label)
        axes[0, 0].set_ylabel("validation mAP (%)")
        figures.plots.shared_legend(figure)
    return figure
