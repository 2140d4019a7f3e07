"""How things look and what they are called: venues, colours and markers of losses, labels of metrics."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mlcl_utils.errors import unknown
from mlcl_utils.figures import fonts
from mlcl_utils.metrics.arrays import Array

Width = Literal["column", "page"]


@dataclass(frozen=True)
class Venue:
    """Sizes of a venue's LaTeX style.

    Attributes:
        column: width of a column in inches.
        page: width of the text in inches; that of the column in a style with one column.
        font_size: of labels in points, a step below the body text; ticks and legends are a point smaller.
    """

    column: float
    page: float
    font_size: float


VENUES = {
    "neurips": Venue(column=5.5, page=5.5, font_size=8.5),
    "icml": Venue(column=3.25, page=6.75, font_size=8.0),
    "acl": Venue(column=3.03, page=6.3, font_size=8.0),
    "ieee": Venue(column=3.5, page=7.16, font_size=8.0),
}


@dataclass(frozen=True)
class Look:
    """How an arm is drawn, everywhere alike.

    Attributes:
        label: its name in figures and tables.
        colour: hexadecimal, from palettes for colour-blind readers (Okabe and Ito; Tol).
        marker: another one for each arm, so that no reading rests on colour alone.
        line: solid for contrastive losses, dashed for losses on logits, dotted for baselines.
    """

    label: str
    colour: str
    marker: str | tuple[int, int, int]
    line: str


SOLID, DASHED, DOTTED = "-", "--", ":"

_LOOKS = {
    "bce": Look("BCE", "#0072B2", "o", DASHED),
    "asl": Look("ASL", "#56B4E9", "s", DASHED),
    "focal": Look("Focal", "#332288", "p", DASHED),
    "hill": Look("Hill", "#44AA99", "h", DASHED),
    "splc": Look("SPLC", "#117733", "8", DASHED),
    "zlpr": Look("ZLPR", "#7A8BB0", "d", DASHED),
    "cosine_bce": Look("Cosine BCE", "#003C5C", "X", DASHED),
    "corrected_bce": Look("Corrected BCE", "#6699CC", "H", DASHED),
    "comp_sum": Look("Comp-sum", "#4E79A7", (3, 0, 90), DASHED),
    "mw_logits": Look("MW on logits", "#2E8B8B", (3, 0, 270), DASHED),
    "anyloss": Look("AnyLoss", "#88CCEE", (4, 2, 0), DASHED),
    "ldr": Look("LDR", "#5D8AA8", (7, 2, 30), DASHED),
    "aldr": Look("ALDR", "#1F4E79", (5, 2, 36), DASHED),
    "ensloss": Look("EnsLoss", "#66A3A3", (8, 2, 0), DASHED),
    "z_loss": Look("Z-loss", "#A6CEE3", (8, 0, 0), DASHED),
    "reg": Look("REG", "#D55E00", "D", SOLID),
    "msc": Look("MSC", "#E69F00", "^", SOLID),
    "jaccard_supcon": Look("Jaccard SupCon", "#CC79A7", "v", SOLID),
    "prototype": Look("Prototype", "#009E73", "P", SOLID),
    "mulsupcon": Look("MulSupCon", "#882255", "<", SOLID),
    "similarity_dissimilarity": Look("Sim–Dissim", "#999933", ">", SOLID),
    "instance": Look("Instance", "#AA4499", "*", SOLID),
    "instance_simple": Look("Instance, simple", "#AA4499", (7, 2, 0), SOLID),
    "snr_contrastive": Look("SNR contrastive", "#0B6E4F", (8, 1, 0), SOLID),
    "snr_triplet": Look("SNR triplet", "#4CAF7A", (8, 1, 22), SOLID),
    "energy_confusion": Look("Energy confusion", "#996515", (10, 2, 0), SOLID),
    "icnn": Look("ICNN", "#C08457", (10, 1, 0), SOLID),
    "unpg": Look("UNPG", "#6A3D9A", (7, 0, 0), SOLID),
    "proto_triplet": Look("Proto-Triplet", "#B15928", (7, 1, 0), SOLID),
    "metrix": Look("Metrix", "#1B7F79", (9, 1, 0), SOLID),
    "metrix_supcon": Look("Metrix SupCon", "#35A7A0", (9, 0, 0), SOLID),
    "tcm": Look("TCM", "#5C6B00", (9, 2, 0), SOLID),
    "tcm_prototypes": Look("TCM, prototypes", "#8A9A2B", (5, 2, 0), SOLID),
    "hyperbolic_ce": Look("Hyperbolic CE", "#A6325A", (6, 0, 30), SOLID),
    "hyperbolic_confusion": Look("Hyperbolic PC", "#D98CA8", (6, 2, 0), SOLID),
    "mw": Look("Mann–Whitney", "#B07AA1", (6, 0, 0), SOLID),
    "kmcl: asl": Look("ASL in KMCL", "#77AADD", "s", DASHED),
    "kmcl: reconstruction": Look("KMCL w/o contrast", "#BB5566", (3, 0, 180), SOLID),
    "kmcl": Look("KMCL", "#661100", (4, 1, 0), SOLID),
    "kmcl: mahalanobis": Look("KMCL, Mahalanobis", "#AA4499", (5, 0, 0), SOLID),
    "kmcl: rbf": Look("KMCL, RBF", "#DDAA33", (6, 1, 0), SOLID),
    "kmcl: released": Look("KMCL, as released", "#888888", (4, 1, 45), SOLID),
    "kmcl: averaged": Look("KMCL, heavy terms", "#225522", (5, 1, 0), SOLID),
    "clml": Look("CLML", "#C8B400", (3, 1, 0), SOLID),
    "norm_penalty": Look("Norm", "#C8B400", (3, 2, 0), SOLID),
    "logistic_regression": Look("Logistic regr.", "#222222", "x", DOTTED),
    "nearest_neighbours": Look("20-NN", "#666666", "+", DOTTED),
    "random_encoder": Look("Random encoder", "#8C8C8C", "1", DOTTED),
    "name_matching": Look("Name matching", "#555555", "2", DOTTED),
    "shuffled_labels": Look("Shuffled labels", "#A8A8A8", "3", DOTTED),
    "prior": Look("Prior", "#A8A8A8", "_", DOTTED),
    # methods of search
    "hyperband": Look("Hyperband", "#D55E00", "D", SOLID),
    "most_aggressive": Look("Most aggressive bracket", "#E69F00", "^", SOLID),
    "asha": Look("ASHA (Optuna)", "#009E73", "P", SOLID),
    "tpe": Look("TPE (Optuna)", "#0072B2", "o", DASHED),
    "random_search": Look("Random search", "#222222", "x", DOTTED),
    "random_search_2x": Look("Random search, twice the budget", "#8C8C8C", "+", DOTTED),
    "least_aggressive": Look("Least aggressive bracket", "#AA4499", "v", DOTTED),
}

_SPARE = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")


def look(name: str) -> Look:
    """How an arm is drawn.

    Losses that are added to another, such as ``"splc+clml"``, are drawn like the first with a dash-dotted
    line and its marker on end, and so is a variant of a loss, such as ``"instance: hard negatives"``. A name
    that has no look of its own (a loss that a user added) gets one from its letters, the same in every figure.

    Args:
        name: of a loss, a sum of losses, a variant or a baseline.
    """
    if name in _LOOKS:
        return _LOOKS[name]
    if "+" in name:
        parts = [look(part) for part in name.split("+")]
        return Look(" + ".join(part.label for part in parts), parts[0].colour, (4, 0, 0), "-.")
    if ": " in name:
        loss, _, words = name.partition(": ")
        return Look(f"{look(loss).label}, {words}", look(loss).colour, (4, 0, 0), "-.")
    return Look(name, _SPARE[zlib.crc32(name.encode()) % len(_SPARE)], (5, 0, 0), SOLID)


def order(names: list[str]) -> list[str]:
    """Names in the order in which figures and tables list them: losses on logits, contrastive ones, baselines."""
    ranks = {name: rank for rank, name in enumerate(_LOOKS)}

    def place(name: str) -> tuple[int, int, str]:
        if name in ranks:
            return ranks[name], 0, name
        loss = name.partition(": ")[0].split("+")[0]
        return ranks.get(loss, len(ranks)), name.count("+") + name.count(": "), name

    return sorted(names, key=place)


@dataclass(frozen=True)
class MetricLook:
    """How a metric is written.

    Attributes:
        label: its name on axes and in tables.
        higher_is_better: its orientation; None if neither end is better.
        percent: whether it is a share, to be shown as a percentage.
    """

    label: str
    higher_is_better: bool | None = True
    percent: bool = True


_METRICS = {
    "map": MetricLook("mAP"),
    "map_voc2007": MetricLook("11-point mAP"),
    "micro_ap": MetricLook("micro-AP"),
    "validation_map": MetricLook("validation mAP"),
    "validation_macro_f1_per_label": MetricLook("validation macro-F1"),
    "macro_f1": MetricLook("macro-F1"),
    "micro_f1": MetricLook("micro-F1"),
    "sample_f1": MetricLook("sample-F1"),
    "lrap": MetricLook("LRAP"),
    "ranking_loss": MetricLook("ranking loss", False),
    "coverage": MetricLook("coverage", False, percent=False),
    "hamming_loss": MetricLook("Hamming loss", False),
    "subset_accuracy": MetricLook("subset accuracy"),
    "uniformity": MetricLook("uniformity", None, percent=False),
    "tolerance": MetricLook("tolerance", None, percent=False),
    "tolerance_gap": MetricLook("tolerance gap", None, percent=False),
    "jaccard_slope": MetricLook("slope on Jaccard", None, percent=False),
    "alignment": MetricLook("alignment", None, percent=False),
    "correction": MetricLook("correction"),
    "effective_rank": MetricLook("effective rank", None, percent=False),
    "kappa_underflow": MetricLook("κ that underflow", None),
    "rho_saturated": MetricLook("ρ outside [0.01, 0.99]", None),
    "roc_auc": MetricLook("ROC-AUC"),
    "micro_roc_auc": MetricLook("micro ROC-AUC"),
    "opis_scores": MetricLook("OPIS", False, percent=False),
    "opis_pairs": MetricLook("OPIS of pairs", False, percent=False),
    "icnn_score": MetricLook("ICNN score", percent=False),
    "utilisation": MetricLook("utilisation", False, percent=False),
    "coherence_max": MetricLook("largest coherence", None, percent=False),
    "penalty_entropy": MetricLook("penalty entropy", None, percent=False),
}
_CUT = {"precision_at_": "P@", "ndcg_at_": "nDCG@"}
_SUFFIXES = {"half": "at 0.5", "per_label": "per-label thresholds", "base": "base labels"}


def metric(name: str) -> MetricLook:
    """How a metric of :mod:`mlcl_utils.metrics` is written, those of bands included (``map_head``: "mAP
    (head)").

    Args:
        name: as in the results; an unknown one is its own label, shown as it is.
    """
    if name in _METRICS:
        return _METRICS[name]
    for prefix, short in _CUT.items():
        if name.startswith(prefix) and name.removeprefix(prefix).isdigit():
            return MetricLook(short + name.removeprefix(prefix))
    for known in sorted(_METRICS, key=len, reverse=True):
        if name.startswith(f"{known}_"):
            base, rest = _METRICS[known], name.removeprefix(f"{known}_")
            label = f"{base.label} ({_SUFFIXES.get(rest, rest.replace('_', ' '))})"
            return MetricLook(label, base.higher_is_better, base.percent)
    return MetricLook(name.replace("_", " "), None, percent=False)


def sizes_of(name: str) -> Venue:
    """The sizes of a venue.

    Raises:
        UsageError: it is not among them; the nearest is suggested.
    """
    if name not in VENUES:
        raise unknown("venue", name, VENUES)
    return VENUES[name]


def parameters(name: str) -> dict[Any, Any]:
    """The matplotlib settings for a venue: its fonts and sizes, thin lines, no upper and right frame."""
    sizes = sizes_of(name)
    size = sizes.font_size
    return {
        "figure.figsize": (sizes.column, sizes.column * 0.62),
        "figure.dpi": 150,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.03,
        "figure.constrained_layout.w_pad": 0.03,
        # The first of them comes with matplotlib, so that figures are the same on every machine.
        "font.family": list(fonts.families()),
        "font.sans-serif": ["DejaVu Sans"],
        "mathtext.fontset": "dejavusans",
        "text.usetex": False,
        "font.size": size,
        "axes.labelsize": size,
        "axes.titlesize": size,
        "xtick.labelsize": size - 1,
        "ytick.labelsize": size - 1,
        "legend.fontsize": size - 1,
        "axes.linewidth": 0.6,
        "axes.edgecolor": "#444444",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.minor.width": 0.4,
        "ytick.minor.width": 0.4,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "lines.linewidth": 1.0,
        "lines.markersize": 3.5,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "mlcl",
        "savefig.dpi": 250,
        "savefig.bbox": None,  # "tight" would change the width
    }


@contextmanager
def settings(changed: Mapping[Any, Any]) -> Iterator[None]:
    """Matplotlib's own defaults with some settings changed, inside a ``with`` block.

    A user's ``matplotlibrc`` and style sheets do not count, so that figures are the same on every machine. Only where
    they are shown, the backend, stays the user's.

    Args:
        changed: settings by name.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(changed)
        yield


@contextmanager
def use(venue: str = "neurips") -> Iterator[None]:
    """Draw in the style of a venue inside a ``with`` block, whatever matplotlib is set to outside.

    Args:
        venue: ``"neurips"``, ``"icml"``, ``"acl"`` or ``"ieee"``.

    Raises:
        UsageError: there is no such venue.
    """
    # A backend is loaded when it is first needed. A notebook's then switches interactive drawing on, without which
    # it shows no figure: not inside the block, whose end would switch it off again.
    plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    with settings(parameters(venue)):
        yield


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    venue: str = "neurips",
    width: Width = "page",
    ratio: float = 0.75,
    **options: Any,
) -> tuple[Figure, Array]:
    """A figure exactly as wide as the venue's column or page, with a grid of axes.

    Args:
        rows: of axes.
        columns: of axes.
        venue: whose sizes and fonts.
        width: ``"column"`` or ``"page"``.
        ratio: height over width of one cell of the grid.
        options: passed to :func:`matplotlib.pyplot.subplots`, such as ``sharex``.

    Returns:
        The figure, and its axes as an array (rows, columns).
    """
    sizes = sizes_of(venue)
    total = sizes.column if width == "column" else sizes.page
    with use(venue):
        made, axes = plt.subplots(
            rows, columns, figsize=(total, total / columns * ratio * rows), squeeze=False, **options
        )
    return made, np.asarray(axes)
