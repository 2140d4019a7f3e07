"""Names of users in figures: drawn as they are written, whatever the figure and wherever in it they stand."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from mlcl_utils import figures, studies
from mlcl_utils.figures import fonts, style
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import figures as study_figures

ODD = {"debtags": r"cost$_$x.csv", "emoji": r"$x_1$\alpha{.csv", "fashion-scenes": "100%_$$_^фильм.csv"}
"""Names in place of those of the sets that ship; each would be read as a formula, and most would not be one."""


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def shown(figure: Figure) -> list[str]:
    """The texts of a figure as they are drawn; none of them is a formula."""
    figure.draw_without_rendering()
    texts = []
    for text in figure.findobj(Text):
        drawn, kind = text._preprocess_math(text.get_text())
        assert kind is False, drawn
        texts.append(re.sub(r"\s+", "", drawn))
    return texts


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    words = frame.select_dtypes(exclude=[np.number, bool]).columns
    for shipped, odd in ODD.items():
        for column in words:
            frame[column] = frame[column].map(
                lambda cell, of=shipped, to=odd: cell.replace(of, to) if isinstance(cell, str) else cell
            )
    return frame


@pytest.mark.parametrize("name", studies.names())
def test_no_figure_of_a_study_reads_a_formula_in_a_name(name: str) -> None:
    study = studies.get(name)
    folder = CHECKOUT / "results" / name / "standard" / "figures"
    for drawn, function in study_figures.drawings(study).items():
        frames = {key: renamed(frame) for key, frame in study_figures._frames(folder, drawn).items()}
        if not frames:
            continue
        words = [frame.select_dtypes(exclude=[np.number, bool]) for frame in frames.values()]
        cells = {str(cell) for frame in words for cell in frame.to_numpy().flat}
        texts = "\n".join(shown(function(frames, "neurips")))
        for odd in ODD.values():
            assert odd in texts or not any(odd in cell for cell in cells), f"{drawn}: {odd}"


def test_names_in_plots() -> None:
    odd = ["a$_$b", "$x$", "_hidden", r"\$1$", "line\x1b\n"]
    lines = pd.DataFrame({"x": [1, 2] * 5, "map": np.linspace(0, 1, 10), "loss": np.repeat(odd, 2)})
    for legend in ("direct", "below"):
        ax = figures.plots.lines_with_intervals(
            lines, x="x", y="map", lower=None, upper=None, x_label="$n_$", legend=legend
        )
        figure = ax.get_figure()
        assert figure is not None
        texts = [text.removeprefix("\u200b") for text in shown(figure)]
        assert {"a$_$b", "$x$", "_hidden", r"\$1$", r"line\x1b", "$n_$"} <= set(texts)
    matrix = figures.plots.heat(pd.DataFrame([[1.0]], index=["$a$"], columns=["$b_$"]), title="$$ and $c$")
    assert {"$a$", "$b_$", "$$and$c$"} <= set(shown(matrix.get_figure()))
    sides = ["replicate_lower", "replicate_upper", "bootstrap_lower", "bootstrap_upper"]
    rows = pd.DataFrame(
        {"label": ["$l_$"], "group": ["$g_$"], "estimate": [1.0], **dict.fromkeys(sides, 1.0)}
    )
    forest = figures.plots.forest(rows, x_label="$e_$", group="group", margin=None, verdict=None)
    assert {"$l_$", "$g_$", "$e_$"} <= set(shown(forest.get_figure()))


def test_a_character_without_a_font_is_a_box_and_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    with style.use(), warnings.catch_warnings():
        warnings.simplefilter("error")
        title = fonts.drawn("a\u0378b\u0379\u0378 фильм")
        figure, ax = plt.subplots()
        ax.set_title(title)
        figure.canvas.draw()
    assert title == "a□b□□ фильм"
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "U+0378" in said
    assert "U+0379" in said
    assert "Install" in said
    with style.use():
        assert fonts.drawn("\u0379") == "□"
    assert not capsys.readouterr().err


def test_many_of_them_are_not_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    with style.use():
        fonts.drawn("".join(map(chr, range(0x40000, 0x40020))))
    assert "and 24 more" in capsys.readouterr().err


def test_what_only_joins_others_leaves_no_box(capsys: pytest.CaptureFixture[str]) -> None:
    with style.use():
        assert fonts.BOX not in fonts.drawn("a\u200d\ufe0f\U000e0101b")
    assert not capsys.readouterr().err


def test_fonts_of_the_machine_stand_in_where_there_are_some() -> None:
    families = style.parameters("neurips")["font.family"]
    assert families[0] == "sans-serif"
    assert style.parameters("neurips")["font.sans-serif"] == ["DejaVu Sans"]
    here = {font.name for font in mpl.font_manager.fontManager.ttflist}
    assert set(families[1:]) <= here
    chinese = {"WenQuanYi Zen Hei", "Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "PingFang SC"}
    with style.use():
        assert fonts.drawn("фильм é") == "фильм é"
        if chinese & set(families):
            assert fonts.drawn("電影") == "電影"
