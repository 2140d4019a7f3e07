from __future__ import annotations

import re
import struct

import pandas as pd
import pytest

from mlcl_utils import figures
from mlcl_utils.figures import plots, style


def drawn(lines, points, venue="icml"):
    with style.use(venue):
        made, axes = style.figure(venue=venue, width="column")
        plots.lines_with_intervals(
            lines, x="num_labels", y="macro_f1", points=points, log_x=True, ax=axes[0, 0]
        )
    return made


def test_files_and_sizes(results, tmp_path):
    lines, points = results
    written = figures.save(
        drawn(lines, points), tmp_path / "figures", "macro_f1", data={"lines": lines, "points": points}
    )
    assert sorted(path.name for path in written) == sorted(
        path.name for path in (tmp_path / "figures").iterdir()
    )
    assert {path.name for path in written} == {
        "macro_f1.pdf", "macro_f1.svg", "macro_f1.png", "macro_f1.lines.csv", "macro_f1.points.csv",
    }  # fmt: skip
    width, _ = struct.unpack(">II", (tmp_path / "figures/macro_f1.png").read_bytes()[16:24])
    assert width == pytest.approx(3.25 * 250, abs=1)
    pdf = (tmp_path / "figures/macro_f1.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ *0 0 ([\d.]+) ", pdf)
    assert float(box.group(1)) == pytest.approx(3.25 * 72, abs=0.01)


def test_fonts_in_pdf_are_truetype(results, tmp_path):
    figures.save(drawn(*results), tmp_path, "f", data=results[0])
    pdf = (tmp_path / "f.pdf").read_bytes()
    assert b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    assert b"/Type3" not in pdf


def test_same_figure_same_bytes(results, tmp_path):
    for folder in ("one", "two"):
        figures.save(drawn(*results), tmp_path / folder, "f", data=results[0])
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_figure_can_be_drawn_again_from_its_csv(results, tmp_path):
    lines, points = results
    figures.save(drawn(lines, points), tmp_path / "a", "f", data={"lines": lines, "points": points})
    again = [pd.read_csv(tmp_path / "a" / f"f.{part}.csv") for part in ("lines", "points")]
    pd.testing.assert_frame_equal(again[0], lines)
    figures.save(drawn(*again), tmp_path / "b", "f", data=again[0])
    assert (tmp_path / "a/f.svg").read_bytes() == (tmp_path / "b/f.svg").read_bytes()


def test_table(results, tmp_path):
    written = figures.save_table("text\n", tmp_path / "tables", "t", data=results[0])
    assert [path.name for path in written] == ["t.tex", "t.csv"]
    assert written[0].read_text() == "text\n"
    assert len(pd.read_csv(written[1])) == len(results[0])
