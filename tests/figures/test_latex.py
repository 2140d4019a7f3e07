"""What the writers of tables make compiles with LaTeX and booktabs alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from mlcl_utils import markup
from mlcl_utils.figures import tables
from mlcl_utils.paths import CHECKOUT
from tests.test_markup import COMMANDS, NAMES, TOKEN

# Of tables, besides those that texts become.
TABLE_COMMANDS = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "cmidrule", "multicolumn", "textbf", "underline"),
    *("scriptsize", "caption", "label", "centering"),
}


def check(made: dict[str, str], place: Path) -> None:
    """Compile all tables in one run where there is a LaTeX; in any case look at every character and command."""
    for name, text in made.items():
        assert text.isascii(), name
        tokens = list(TOKEN.finditer(text.replace("\\\\", "")))
        assert {token[1] for token in tokens if token[1]} <= COMMANDS | TABLE_COMMANDS, name
    if shutil.which("pdflatex") is None:
        return
    lines = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}"]
    for name, text in made.items():
        lines += [rf"\typeout{{table {name}}}", text, r"\clearpage"]
    (place / "all.tex").write_text("\n".join([*lines, r"\end{document}"]), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    log = (place / "all.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-1500:]
    assert "Missing character" not in log


def test_the_published_tables_made_again_compile(tmp_path: Path) -> None:
    made = {}
    for path in sorted(CHECKOUT.glob("results/*/standard/tables/*.csv")):
        rows = pd.read_csv(path)
        name = f"{path.parts[-4]}/{path.stem}"
        made[name] = tables.plain(rows, form=".3g")
        made[f"{name} turned"] = tables.plain(rows.T, form=".3g", named_rows=True)
        if {"standing", "estimate", "loss", "metric", "head", "arm"} <= set(rows) | {"arm"}:
            rows["place"] = rows[
                ["dataset", "encoder", "num_labels", "kept_share", "one_positive", "setting"]
            ].agg(lambda values: ", ".join(map(str, values)), axis=1)
            rows = rows.drop_duplicates(["place", "head", "loss"])
            made[f"{name} by arm"] = tables.latex(
                rows,
                columns=("place", "head"),
                metric=str(rows["metric"].iloc[0]),
                caption=name,
                label="tab:x",
            )
    assert len(list(CHECKOUT.glob("results/*/standard/tables/*.tex"))) == 44
    assert sum(" " not in name for name in made) == 44
    assert sum(name.endswith("by arm") for name in made) > 5
    check(made, tmp_path)


def test_odd_names_compile_wherever_they_stand(tmp_path: Path) -> None:
    arms = pd.DataFrame(
        [{"loss": name, "metric": name, "estimate": 0.1, "standing": "best", "mark": "†"} for name in NAMES]
    )
    frame = pd.DataFrame(dict.fromkeys(NAMES, NAMES), index=NAMES)
    made = {
        "arms": tables.latex(arms, caption=" ".join(NAMES), label="tab:odd_names"),
        "values": tables.latex(arms.assign(task=NAMES), columns=("task", "metric")),
        "plain": tables.plain(frame, named_rows=True),
        "beginnings": tables.plain(pd.DataFrame({"a": ["[x]", "*", "  [1ex]", "-", "\\", ""], "b": 1.5})),
    }
    check(made, tmp_path)


def test_every_character_with_a_command_compiles(tmp_path: Path) -> None:
    known = [chr(code) for code in range(0x20, 0xFFFF) if not 0xD800 <= code < 0xE000]
    known = [one for one in known if not re.search(r"\[U\+|textbackslash\{\}u", markup.latex(one))]
    assert len(known) > 800
    halves = {str(at): tables.plain(pd.DataFrame({"a": known[at::20]})) for at in range(20)}
    check(halves, tmp_path)


def test_plain() -> None:
    frame = pd.DataFrame(
        {"a_b": ["x & y", None], "share": [0.12345, float("nan")], "count": [1, 20], "good": [True, False]}
    )
    assert tables.plain(frame, form=".3f", missing="–") == (
        r"""\begin{tabular}{lrrl}
\toprule
a\_b & share & count & good \\
\midrule
x \& y & 0.123 & 1 & True \\
-- & -- & 20 & False \\
\bottomrule
\end{tabular}
"""
    )
    turned = tables.plain(frame[["count"]].T, named_rows=True).splitlines()
    assert turned[0] == r"\begin{tabular}{lrr}"
    assert turned[2] == r" & 0 & 1 \\"
    assert turned[4] == r"count & 1 & 20 \\"


def test_arrows_are_not_words_of_a_name() -> None:
    cells = pd.DataFrame({"loss": ["UP"], "metric": ["DOWN_UP"], "estimate": [1.0]})
    made = tables.latex(cells)
    assert r" & DOWN UP \\" in made
    assert r"UP & 1.0 \\" in made


def test_a_label_that_latex_cannot_look_up_is_refused() -> None:
    cells = pd.DataFrame({"loss": ["reg"], "metric": ["map"], "estimate": [1.0]})
    with pytest.raises(ValueError, match=r"label 'a}b'"):
        tables.latex(cells, caption="x", label="a}b")
