"""Time and memory of the losses, beside the forms that their formulas suggest.

Forward plus backward on one thread (on a GPU: with all of it), repetitions of the forms interleaved, so that a busy
moment falls on all of them. Ratios are of minima within one run; what else the machine does can move a time but hardly
a ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mlcl_utils import losses as loss_library
from mlcl_utils.bench.forms import forms_of, metric_learning, takes_too_long
from mlcl_utils.bench.measuring import Size, compare, hardware, threads
from mlcl_utils.figures import save, style
from mlcl_utils.figures.fonts import drawn

SIZES: tuple[Size, ...] = (
    (64, 20, 256),
    (256, 100, 256),
    (256, 400, 256),
    (512, 400, 256),
    (1024, 4000, 256),
)
OTHERS: dict[str, tuple[Size, ...]] = {  # sizes at which a loss is compared with its usual form besides
    "kmcl": ((64, 20, 256), (128, 80, 256)),
    "clml": ((128, 80, 2048),),
}
HUGE: Size = (1024, 30_000, 256)
METRIC_LEARNING: Size = (512, 50, 256)  # of the comparison with pytorch-metric-learning
STREAMED = ("msc", "reg")


def losses(
    sizes: Sequence[Size] = SIZES, out: Path | None = None, repeats: int = 7, device: str = "cpu"
) -> pd.DataFrame:
    """Measure every loss at every size that it can take, print the table and, with ``out``, save it with a plot.

    Args:
        sizes: (batch, labels, dim) each; with the default ones also the further comparisons of :data:`OTHERS` and the
            huge label space of :data:`HUGE`.
        out: a folder for ``losses.csv`` and the plot as PDF, SVG and PNG.
        repeats: of each measurement.
        device: ``cpu`` or ``cuda``.

    Returns:
        One row for each loss, size and form: ``loss``, ``batch``, ``labels``, ``dim``, ``form``,
        ``time_minimum`` and ``time_median`` in milliseconds, ``mem_peak`` in MiB beyond what was there before.
    """
    rows: list[dict[str, object]] = []
    print(f"forward + backward on {hardware(device)}, {repeats} interleaved repetitions; minimum (median)")
    whole = tuple(sizes) == SIZES
    with threads(1):
        for size in sizes:
            for name in loss_library.names():
                if takes_too_long(name, size):
                    print(f"{name} at {'x'.join(map(str, size))} is left out: too many pairs")
                else:
                    rows += _measure(name, size, repeats, device)
        if whole:
            for name, further in OTHERS.items():
                for size in further:
                    if size not in sizes:
                        rows += _measure(name, size, repeats, device)
            beside = metric_learning(METRIC_LEARNING, device)
            if beside:
                rows += compare("jaccard_supcon", METRIC_LEARNING, beside, repeats, device)
    if whole:
        print("in blocks of rows, on two threads, once:")
        with threads(2):
            for name in STREAMED:
                rows += _measure(name, HUGE, 1, device)
    table = pd.DataFrame(rows)
    if out is not None:
        save(_plot(table), out, "losses", data=table)
    return table


def _measure(name: str, size: Size, repeats: int, device: str) -> list[dict[str, object]]:
    return compare(name, size, forms_of(name, size, device), repeats, device)


def _plot(table: pd.DataFrame) -> Figure:
    """Time and memory by size, one line per loss, with the direct forms as crosses."""
    problem = ["batch", "labels", "dim"]
    shared = table.groupby(problem).filter(lambda rows: rows["loss"].nunique() > 1)
    sizes = sorted(set(shared[problem].itertuples(index=False, name=None)))
    shared = shared.assign(
        place=[sizes.index(size) for size in shared[problem].itertuples(index=False, name=None)]
    )
    with style.use():
        figure, axes = style.figure(columns=2, ratio=1.3)
        for ax, column, name in (
            (axes[0][0], "time_minimum", "forward + backward (ms)"),
            (axes[0][1], "mem_peak", "peak memory (MiB)"),
        ):
            for loss in style.order(list(shared["loss"].unique())):
                look, rows = style.look(loss), shared[shared["loss"] == loss]
                own, direct = (rows[rows["form"] == form] for form in ("package", "direct"))
                shown = {"color": look.colour, "ms": 3}
                ax.plot(
                    own["place"],
                    own[column],
                    ls=look.line,
                    marker=look.marker,
                    label=drawn(look.label),
                    **shown,
                )
                ax.plot(direct["place"], direct[column], ls="none", marker="x", **shown)
            ax.plot([], [], ls="none", marker="x", color="black", ms=3, label="direct form")
            ax.set_yscale("log")
            ax.set_ylabel(name)
            ax.set_xticks(
                range(len(sizes)), ["×".join(map(str, size)) for size in sizes], rotation=40, ha="right"
            )
            ax.set_xlabel("batch × labels × dim")
        axes[0][1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=5, ncols=2)
    return figure
