"""The figures of the label-space study, from the frames that are saved with them."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.figures import style
from mlcl_utils.figures.fonts import drawn
from mlcl_utils.studies.drawing import Draw, Frames


def panels(
    frames: Frames,
    venue: str,
    *,
    x: str = "num_labels",
    label: str = "number of labels",
    difference: bool = False,
) -> Figure:
    """Metrics against one variable: a column of axes a metric, a row a data set and encoder.

    Args:
        frames: ``intervals``, rows of :func:`mlcl_utils.studies.scores.intervals`, and for most figures ``points``,
            those of :func:`mlcl_utils.studies.scores.points`; differences have a column ``reference``.
        venue: whose sizes and fonts.
        x: column of the variable, drawn on a logarithmic axis.
        label: of the variable.
        difference: whether the values are paired differences.
    """
    intervals, points = frames["intervals"], frames.get("points")
    rows = list(intervals[["dataset", "encoder"]].drop_duplicates().itertuples(index=False, name=None))
    metrics = list(dict.fromkeys(intervals["metric"]))
    figure, axes = style.figure(len(rows), len(metrics), venue=venue, ratio=0.95)
    with style.use(venue):
        for row, place in enumerate(rows):
            for column, metric in enumerate(metrics):
                ax = axes[row, column]
                figures.plots.lines_with_intervals(
                    _part(intervals, place, metric),
                    x=x,
                    y="estimate",
                    points=None if points is None else _part(points, place, metric),
                    metric=metric,
                    x_label=label,
                    log_x=True,
                    legend="none",
                    ax=ax,
                )
                if difference:
                    ax.axhline(0, color="black", linewidth=0.6, zorder=1.5)
                    reference = style.look(str(intervals["reference"].iloc[0])).label
                    ax.set_ylabel(drawn(f"{style.metric(metric).label} − {reference}"))
                if column == 0:
                    ax.set_title(drawn(", ".join(place)), loc="left")
        figures.plots.shared_legend(figure)
    return figure


def _part(rows: pd.DataFrame, place: tuple[str, str], metric: str) -> pd.DataFrame:
    return rows[(rows["dataset"] == place[0]) & (rows["encoder"] == place[1]) & (rows["metric"] == metric)]


FIGURES: dict[str, Draw] = {
    "label_count": panels,
    "differences": partial(panels, difference=True),
    "base_labels": panels,
    "matched_frequency": panels,
    "fractions": partial(panels, x="train_fraction", label="share of training data"),
}
