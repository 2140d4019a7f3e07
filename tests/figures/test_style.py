from __future__ import annotations

import itertools
import os
import subprocess
import sys

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from nbclient import NotebookClient

from mlcl_utils import losses
from mlcl_utils.errors import UsageError
from mlcl_utils.figures import style
from mlcl_utils.paths import CHECKOUT

LOSSES = [
    "bce", "focal", "cosine_bce", "asl", "zlpr", "hill", "splc", "jaccard_supcon", "mulsupcon", "prototype",
    "msc", "reg", "similarity_dissimilarity", "instance", "clml", "kmcl",
]  # fmt: skip
BASELINES = ["prior", "logistic_regression", "nearest_neighbours", "random_encoder", "name_matching"]

# Machado, Oliveira and Fernandes 2009, at full severity, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def seen(colour, deficiency):
    """CIELAB coordinates of a colour as seen with a deficiency."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    scaled = to_xyz @ linear / np.array([0.9505, 1.0, 1.0888])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_arm_has_a_look_of_its_own():
    arms = sorted({*LOSSES, *losses.names(), *BASELINES})
    looks = [style.look(arm) for arm in arms]
    assert all(look.label != arm for look, arm in zip(looks, arms, strict=True)), "an arm without a label"
    assert len({look.label for look in looks}) == len(arms)
    assert len({look.marker for look in looks}) == len(arms)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_arms_drawn_together_differ_to_colour_blind_readers(deficiency):
    together = ["bce", "asl", "prototype", "jaccard_supcon", "msc", "reg", "logistic_regression"]
    for first, second in itertools.combinations(together, 2):
        gap = seen(style.look(first).colour, deficiency) - seen(style.look(second).colour, deficiency)
        assert np.linalg.norm(gap) > 15, (first, second)


def test_lines_tell_the_families():
    lines = {name: style.look(name).line for name in ("bce", "asl", "reg", "msc", "prior")}
    assert lines["bce"] == lines["asl"]
    assert lines["reg"] == lines["msc"]
    assert len(set(lines.values())) == 3


def test_sums_of_losses_are_drawn_like_their_base():
    base, both = style.look("splc"), style.look("splc+clml")
    assert both.colour == base.colour
    assert both.label == "SPLC + CLML"
    assert (both.line, both.marker) != (base.line, base.marker)


def test_a_new_loss_gets_the_same_look_every_time():
    assert style.look("my_loss") == style.look("my_loss")
    assert style.look("my_loss").label == "my_loss"


def test_order_is_by_family_and_keeps_all():
    names = ["prior", "reg", "new", "bce+clml", "bce", "random_encoder", "asl"]
    assert style.order(names) == ["bce", "bce+clml", "asl", "reg", "random_encoder", "prior", "new"]


@pytest.mark.parametrize(
    ("name", "label", "higher", "percent"),
    [
        ("map", "mAP", True, True),
        ("macro_f1_head", "macro-F1 (head)", True, True),
        ("map_voc2007", "11-point mAP", True, True),
        ("macro_f1_half", "macro-F1 (at 0.5)", True, True),
        ("micro_f1_per_label", "micro-F1 (per-label thresholds)", True, True),
        ("ranking_loss", "ranking loss", False, True),
        ("coverage", "coverage", False, False),
        ("ndcg_at_5", "nDCG@5", True, True),
        ("uniformity", "uniformity", None, False),
        ("time_fit", "time fit", None, False),
    ],
)
def test_metrics_are_named(name, label, higher, percent):
    assert style.metric(name) == style.MetricLook(label, higher, percent)


def test_settings_are_given_back():
    before = dict(mpl.rcParams)
    with style.use("icml"):
        assert mpl.rcParams["pdf.fonttype"] == 42
        assert mpl.rcParams["figure.figsize"][0] == 3.25
        assert not mpl.rcParams["text.usetex"]
    assert dict(mpl.rcParams) == before


_OWN_SETTINGS = """
axes.facecolor: black
axes.formatter.use_locale: True
axes.formatter.limits: 0, 1
figure.constrained_layout.hspace: 0.5
font.family: serif
font.weight: bold
image.cmap: hot
lines.markeredgecolor: red
mathtext.default: bf
mathtext.fontset: cm
patch.linewidth: 5
path.simplify: False
savefig.transparent: True
savefig.facecolor: yellow
svg.fonttype: none
text.hinting: none
xtick.direction: in
ytick.minor.visible: True
"""

_DRAWING = """
import sys
from pathlib import Path
import pandas as pd
from mlcl_utils import figures
from mlcl_utils.batch.page import formulas
from mlcl_utils.figures import style

with style.use("icml"):
    figure, axes = style.figure(columns=2)
    axes[0, 0].plot([1, 2, 3], [1e5, 2e6, 1.5e6], marker="o", label="$\\\\tau$ = 0.1")
    axes[0, 0].legend()
    axes[0, 1].imshow([[0, 1], [2, 3]])
    axes[0, 1].set_title("Mean α")
figures.save(figure, Path(sys.argv[1]), "f", data=pd.DataFrame({"x": [1]}))
(Path(sys.argv[1]) / "formula").write_text(formulas.formula("\\\\frac{a}{b}"))
"""


@pytest.mark.parametrize("place", ["variable", "working directory", "home"])
def test_a_users_settings_change_no_figure(tmp_path, place):
    (tmp_path / "usual").mkdir()
    own = tmp_path / "home" / ".config" / "matplotlib" if place == "home" else tmp_path / "own"
    own.mkdir(parents=True)
    (own / "matplotlibrc").write_text(_OWN_SETTINGS)
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MATPLOTLIBRC", "MPLCONFIGDIR", "XDG_CONFIG_HOME"}
    } | {"PYTHONPATH": str(CHECKOUT)}
    changed = {"variable": {"MATPLOTLIBRC": str(own)}, "home": {"HOME": str(tmp_path / "home")}}
    for name, environment, folder in (
        ("without", {"HOME": str(tmp_path / "usual")}, tmp_path / "usual"),
        ("with", changed.get(place, {}), own if place == "working directory" else tmp_path / "usual"),
    ):
        command = [sys.executable, "-c", _DRAWING, str(tmp_path / name)]
        subprocess.run(command, check=True, cwd=folder, env=plain | environment, timeout=120)
    names = sorted(path.name for path in (tmp_path / "without").iterdir())
    assert names == ["f.csv", "f.pdf", "f.png", "f.svg", "formula"]
    for name in names:
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes(), name


def test_the_backend_stays():
    with mpl.rc_context({"backend": "svg", "axes.facecolor": "black"}), style.use():
        assert mpl.rcParams["backend"] == "svg"
        assert mpl.rcParams["axes.facecolor"] == "white"


def test_unknown_venue():
    with (
        pytest.raises(UsageError, match="unknown venue 'neurps'; did you mean 'neurips'"),
        style.use("neurps"),
    ):
        pass


@pytest.mark.parametrize(
    ("venue", "width", "inches"), [("neurips", "page", 5.5), ("acl", "column", 3.03), ("ieee", "page", 7.16)]
)
def test_figures_are_as_wide_as_the_venue(venue, width, inches):
    made, axes = style.figure(2, 3, venue=venue, width=width)
    assert made.get_figwidth() == inches
    assert axes.shape == (2, 3)


def test_a_notebook_shows_every_figure():
    """Not only the first, which is drawn while the backend is being loaded."""
    cells = ["from mlcl_utils.figures import style", *["style.figure();"] * 3]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, kernel_name="python3").execute()
    shown = [["image/png" in output.get("data", {}) for output in cell.outputs] for cell in notebook.cells]
    assert shown == [[], [True], [True], [True]]


def test_a_variant_of_a_loss_has_its_colour_and_stands_beside_it():
    variant = style.look("instance: hard negatives")
    assert variant.label == "Instance, hard negatives"
    assert variant.colour == style.look("instance").colour
    assert (variant.line, variant.marker) != (style.look("instance").line, style.look("instance").marker)
    names = ["prior", "instance: hard negatives", "reg", "instance", "bce"]
    assert style.order(names) == ["bce", "reg", "instance", "instance: hard negatives", "prior"]
