from __future__ import annotations

import pandas as pd
import pytest

from mlcl_utils.figures import tables

CELLS = pd.DataFrame(
    [
        ("reg", "map", 0.6523, 0.6423, 0.6623, "best"),
        ("reg", "ranking_loss", 0.0412, 0.0402, 0.0422, "not worse"),
        ("bce", "map", 0.6478, 0.6358, 0.6598, "not worse"),
        ("bce", "ranking_loss", 0.0398, 0.0388, 0.0408, "best"),
        ("prior", "map", 0.101, float("nan"), float("nan"), "worse"),
    ],
    columns=["loss", "metric", "estimate", "lower", "upper", "standing"],
)


def test_latex():
    assert tables.latex(CELLS) == (
        r"""\begin{tabular}{lcc}
\toprule
 & mAP $\uparrow$ & ranking loss $\downarrow$ \\
\midrule
BCE & \underline{64.8}\,{\scriptsize$\pm$1.2} & \textbf{4.0}\,{\scriptsize$\pm$0.1} \\
\midrule
REG & \textbf{65.2}\,{\scriptsize$\pm$1.0} & \underline{4.1}\,{\scriptsize$\pm$0.1} \\
\midrule
Prior & 10.1 & -- \\
\bottomrule
\end{tabular}
"""
    )


def test_caption_and_label():
    text = tables.latex(CELLS, caption="Losses at 100 labels.", label="tab:losses")
    assert text.startswith("\\begin{table}\n\\centering\n\\caption{Losses at 100 labels. Best in bold;")
    assert "\\label{tab:losses}\n\\begin{tabular}" in text
    assert "5\\%" in text
    assert text.endswith("\\end{tabular}\n\\end{table}\n")
    assert "bold" not in tables.latex(CELLS.drop(columns="standing"), caption="Losses.")


def test_two_levels_of_columns():
    cells = pd.concat([CELLS.assign(num_labels=k) for k in (10, 100)])
    cells = cells.sort_values(["metric", "num_labels"], kind="stable")
    lines = tables.latex(cells, columns=["metric", "num_labels"]).splitlines()
    assert lines[2] == (
        r" & \multicolumn{2}{c}{mAP $\uparrow$} & \multicolumn{2}{c}{ranking loss $\downarrow$} \\"
    )
    assert lines[3] == r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}"
    assert lines[4] == r" & 10 & 100 & 10 & 100 \\"


def test_one_metric_against_a_setting():
    cells = CELLS[CELLS.metric == "map"].assign(num_labels=10)
    lines = tables.latex(cells, columns=["num_labels"], metric="map").splitlines()
    assert lines[2] == r" & \multicolumn{1}{c}{mAP $\uparrow$} \\"
    assert lines[4] == r" & 10 \\"


def test_words_are_escaped():
    cells = pd.DataFrame({"loss": ["my_loss"], "metric": ["a_b%"], "estimate": [1.0]})
    text = tables.latex(cells)
    assert r"my\_loss" in text
    assert r"a b\%" in text


def test_numbers_that_are_no_shares_stay_as_they_are():
    cells = pd.DataFrame({"loss": ["reg"], "metric": ["coverage"], "estimate": [12.345]})
    assert r"REG & 12.35 \\" in tables.latex(cells, digits=2)


def test_frame():
    got = tables.frame(CELLS)
    assert got.columns.tolist() == ["mAP ↑", "ranking loss ↓"]
    assert got.index.tolist() == ["BCE", "REG", "Prior"]
    assert got.loc["BCE"].tolist() == ["64.8~ ± 1.2", "4.0* ± 0.1"]
    assert got.loc["Prior"].tolist() == ["10.1", "–"]
    two = tables.frame(CELLS.assign(num_labels=10), columns=["metric", "num_labels"])
    assert two.columns.tolist() == [("mAP ↑", "10"), ("ranking loss ↓", "10")]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.drop(columns="estimate"), {}, r"no column \['estimate'\]"),
        (lambda f: pd.concat([f, f.head(1)]), {}, "two rows for reg at map"),
        (lambda f: f, {"columns": ["standing"]}, "name the metric"),
        (lambda f: f, {"columns": ["metric", "lower", "upper"]}, "one or two names, not 3"),
    ],
)
def test_bad_frames_are_refused(change, options, message):
    with pytest.raises(ValueError, match=message):
        tables.latex(change(CELLS), **options)


def test_categories_keep_their_order():
    arms = ["z, τ 1", "a, τ 0.1", "prior"]
    data = pd.DataFrame(
        {"arm": pd.Categorical(arms[::-1], arms), "metric": "map", "estimate": [0.1, 0.2, 0.3]}
    )
    assert tables.frame(data, rows="arm").index.tolist() == ["z, τ 1", "a, τ 0.1", "Prior"]
