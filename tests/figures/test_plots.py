from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from mlcl_utils.figures import plots, style
from mlcl_utils.figures.plots.lines import _spread

VENUES = ["neurips", "acl"]


def visible_texts(figure):
    figure.canvas.draw()
    beyond = set()  # labels of ticks outside the limits exist but are not drawn
    for ax in figure.axes:
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    beyond |= {tick.label1, tick.label2}
    texts = set(figure.findobj(Text)) - beyond
    return sorted((t for t in texts if t.get_visible() and t.get_text().strip()), key=Text.get_text)


def boxes(figure):
    renderer = figure.canvas.get_renderer()
    # Of an annotation the text alone, without its leader.
    return {t: Text.get_window_extent(t, renderer) for t in visible_texts(figure)}


def assert_legible(figure):
    """No text leaves the figure, none lies over another, none is below six points."""
    found = boxes(figure)
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in found.items():
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
        assert text.get_fontsize() >= 6
    for (one, first), (other, second) in itertools.combinations(found.items(), 2):
        if one.get_rotation() % 90 or other.get_rotation() % 90:
            continue  # the box of slanted text is far larger than the text
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert not (across > 1 and down > 1), (one.get_text(), other.get_text())


def draw(results, legend="direct", venue="neurips", **options):
    lines, points = results
    with style.use(venue):
        figure, axes = style.figure(venue=venue, width="column")
        ax = plots.lines_with_intervals(
            lines,
            x="num_labels",
            y="macro_f1",
            points=points,
            log_x=True,
            legend=legend,
            ax=axes[0, 0],
            **options,
        )
    assert ax is axes[0, 0]
    return figure, ax


def test_what_is_drawn_are_the_numbers(results):
    lines, points = results
    _, ax = draw(results, legend="none")
    drawn = {line.get_label(): line for line in ax.get_lines()}
    for arm, part in lines.groupby("loss"):
        look = style.look(arm)
        line = drawn[look.label]
        np.testing.assert_allclose(line.get_ydata(), 100 * part.sort_values("num_labels").macro_f1)
        # Beside its position, by less than a quarter of the way to the next.
        assert np.abs(np.log(line.get_xdata() / [10, 30, 100, 300])).max() < 0.25 * np.log(3)
        assert line.get_color() == look.colour
        assert line.get_linestyle() == look.line
    intervals = [c for c in ax.collections if hasattr(c, "get_segments")]
    ends = np.sort([segment[:, 1] for c in intervals for segment in c.get_segments()], axis=1)
    expected = 100 * lines[["lower", "upper"]].to_numpy()
    np.testing.assert_allclose(ends[np.argsort(ends[:, 0])], expected[np.argsort(expected[:, 0])])
    dots = [c for c in ax.collections if not hasattr(c, "get_segments")]
    heights = np.concatenate([c.get_offsets()[:, 1] for c in dots])
    np.testing.assert_allclose(np.sort(heights), np.sort(100 * points.macro_f1))
    assert ax.get_ylabel() == "macro-F1 (%)"
    assert ax.get_xlabel() == "num labels"


def test_intervals_of_arms_do_not_hide_each_other(results):
    _, ax = draw(results, legend="none")
    at_ten = [line.get_xdata()[0] for line in ax.get_lines()]
    assert len(set(np.round(at_ten, 6))) == len(at_ten)


@pytest.mark.parametrize("venue", VENUES)
def test_direct_labels_stand_beside_the_frame(results, venue):
    figure, ax = draw(results, venue=venue, x_label="number of labels")
    assert_legible(figure)
    frame = ax.get_window_extent()
    names = [t for t in ax.texts if t.get_text()]
    assert {t.get_text() for t in names} == {style.look(arm).label for arm in results[0].loss.unique()}
    found = boxes(figure)
    assert all(found[name].x0 > frame.x1 for name in names)


def test_direct_labels_keep_the_order_of_the_lines(results):
    _, ax = draw(results)
    last = results[0][results[0].num_labels == 300].sort_values("macro_f1").loss
    heights = {t.get_text(): t.get_position()[1] for t in ax.texts}
    in_order = [heights[style.look(arm).label] for arm in last]
    assert in_order == sorted(in_order)


@pytest.mark.parametrize("venue", VENUES)
def test_legend_below_lies_outside_the_frame(results, venue):
    figure, ax = draw(results, legend="below", venue=venue)
    assert_legible(figure)
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(ax.get_tightbbox())
    assert figure.get_figwidth() == style.VENUES[venue].column


def test_shared_legend_names_each_arm_once(results):
    lines, points = results
    with style.use("neurips"):
        figure, axes = style.figure(1, 3, ratio=0.9)
        for ax in axes[0]:
            plots.lines_with_intervals(
                lines, x="num_labels", y="macro_f1", points=points, log_x=True, legend="none", ax=ax
            )
        legend = plots.shared_legend(figure)
    names = [t.get_text() for t in legend.get_texts()]
    assert len(names) == len(set(names)) == lines.loss.nunique()
    assert_legible(figure)
    assert not any(legend.get_window_extent().overlaps(ax.get_tightbbox()) for ax in axes[0])


def test_values_of_near_ticks_do_not_run_together():
    temperatures = [0.02, 0.07, 0.3, 0.7, 1.0]
    data = pd.DataFrame({"loss": "reg", "temperature": temperatures, "map": 0.5, "lower": 0.4, "upper": 0.6})
    ax = plots.lines_with_intervals(data, x="temperature", y="map", log_x=True)
    ax.figure.canvas.draw()
    assert ax.get_xticks().tolist() == temperatures
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.02", "0.07", "0.3", "", "1"]


def test_huge_intervals_run_out_and_leave_the_lines_readable(results):
    lines, points = results
    wide = lines.assign(lower=lines.macro_f1 - 5, upper=lines.macro_f1 + 5)
    _, ax = draw((wide, points), legend="none")
    low, high = ax.get_ylim()
    values = 100 * points.macro_f1
    assert low < values.min()
    assert high > values.max()
    assert high - low < 4 * (values.max() - values.min())


def test_gaps_and_missing_bounds(results):
    lines, _ = results
    holes = lines.copy()
    holes.loc[holes.loss == "reg", ["lower", "upper"]] = np.nan
    holes.loc[(holes.loss == "msc") & (holes.num_labels == 30), "macro_f1"] = np.nan
    _, ax = draw((holes, None), legend="none")
    drawn = {line.get_label(): line for line in ax.get_lines()}
    assert len(drawn["MSC"].get_ydata()) == 3
    assert np.isfinite(ax.get_ylim()).all()


def test_a_plot_without_axes_makes_its_own(results):
    lines, _ = results
    with style.use("icml"):
        ax = plots.lines_with_intervals(lines, x="num_labels", y="macro_f1", legend="none")
        assert ax.figure.get_figwidth() == 3.25


@pytest.mark.parametrize(
    ("columns", "message"), [(["loss", "num_labels"], r"no column \['macro_f1'"), (None, "nothing to draw")]
)
def test_bad_frames_are_refused(results, columns, message):
    lines, _ = results
    frame = lines[columns] if columns else lines.assign(macro_f1=np.nan)
    with pytest.raises(ValueError, match=message):
        plots.lines_with_intervals(frame, x="num_labels", y="macro_f1")


@pytest.mark.parametrize("count", [1, 2, 9, 30])
def test_spread_heights(count):
    wanted = np.sort(np.random.default_rng(count).uniform(0, 1, count))
    step = 0.05
    placed = _spread(wanted, step)
    assert (np.diff(placed) >= step - 1e-9).all()
    assert placed.max() <= 1 + 1e-9
    if count * step < 1:
        assert placed.min() >= 0
    apart = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(_spread(apart, step), apart)


@pytest.mark.parametrize("venue", VENUES)
def test_forest(claims, venue):
    with style.use(venue):
        ax = plots.forest(claims, label="task", group="claim", x_label="difference in points of macro-F1")
    figure = ax.figure
    assert_legible(figure)
    texts = [" ".join(t.get_text().split()) for t in visible_texts(figure)]
    for word in [*claims.task, *claims.claim, *claims.verdict]:
        assert word in texts
    assert figure.get_figwidth() == style.VENUES[venue].column
    marks = [line for line in ax.get_lines() if line.get_linestyle() == "None"]
    assert [line.get_xdata()[0] for line in marks] == claims.estimate.tolist()
    heights = [line.get_ydata()[0] for line in marks]
    assert heights == sorted(heights, reverse=True)
    assert marks[0].get_color() != marks[2].get_color()


def test_forest_without_groups_and_verdicts(claims):
    ax = plots.forest(
        claims.drop(columns=["verdict", "margin"]), label="task", verdict=None, margin=None, x_label="x"
    )
    assert_legible(ax.figure)
    assert len(ax.texts) == 0


@pytest.mark.parametrize("venue", VENUES)
def test_label_frequencies(venue):
    counts = (2000 / np.arange(1, 301) ** 0.9).astype(int)
    np.random.default_rng(0).shuffle(counts)
    with style.use(venue):
        ax = plots.label_frequencies(counts, head_from=31, medium_from=16)
    assert_legible(ax.figure)
    edges = sorted(line.get_xdata()[0] for line in ax.get_lines())
    assert edges == [(counts >= 31).sum() + 0.5, (counts >= 16).sum() + 0.5]
    assert "≥ 31" in " ".join(t.get_text() for t in ax.texts)


def test_label_frequencies_with_unused_labels():
    ax = plots.label_frequencies(np.array([5, 0, 3]))
    assert ax.get_ylim()[0] > 0


@pytest.mark.parametrize("venue", VENUES)
def test_heat(venue):
    numbers = pd.DataFrame([[0.0, 1.0], [np.nan, -0.5]], index=["BCE", "REG"], columns=["debtags", "emoji"])
    with style.use(venue):
        ax = plots.heat(numbers, title="rank correlation", limits=(-1, 1))
    assert_legible(ax.figure)
    assert [t.get_text() for t in ax.texts] == ["0.00", "1.00", "−0.50"]
    colours = {t.get_text(): to_rgba(t.get_color()) for t in ax.texts}
    assert colours["1.00"] == (0, 0, 0, 1)
    assert colours["−0.50"] == (1, 1, 1, 1)


def test_no_figure_is_left_open_by_plots_that_are_given_axes(results):
    plt.close("all")
    _, axes = style.figure()
    plots.heat(pd.DataFrame([[1.0]]), ax=axes[0, 0])
    assert len(plt.get_fignums()) == 1
