"""Claims and tables of the report: numbers, words, and what is left out."""

from __future__ import annotations

import math
from pathlib import Path

from mlcl_utils.report import claims, tables
from mlcl_utils.report.claims import Effect
from tests.report import made
from tests.report.made import STUDY
from tests.report.pages import built, text


class TestClaims:
    def test_on_the_cards_and_pages(self, everything: Path, tmp_path: Path) -> None:
        site = built(everything, tmp_path)
        said = text(site / "claims.html")
        for row in made.CLAIMS:
            assert f"{row[1]} Audibert, Gauffre, Amini, arXiv 2412.00101, abstract" in said
        assert "BCE − REG macro_f1 +0.4 1 point not judged 2 replicates, 5 are needed" in said
        assert "REG − BCE macro_f1 +1.90 [+1.20, +2.60] 1 point holds below baseline: ASL" in said
        assert "random search / Hyperband resource 3.1 [2.2, 4.4] 10, ratio opposite" in said
        own = "1 holds 1 did not transfer 1 no material effect 1 open 1 not judged"
        assert f"Claims {own} What is claimed" in text(site / STUDY / "quick" / "index.html")
        assert own not in text(site / STUDY / "standard" / "index.html"), "there is no table of claims"
        overall = "2 holds 1 opposite 1 did not transfer 1 no material effect 2 open 2 not judged"
        assert f"5 claims on 9 tasks, preset quick. All claims {overall}" in text(site / "index.html")
        page = (site / "claims.html").read_text()
        assert f'<a href="{STUDY}/quick/index.html">{STUDY}</a>' in page
        assert "05_hyperband/" not in page, "there are no results to lead to"

    def test_only_where_there_are_some(self, complete: Path, tmp_path: Path) -> None:
        site = built(complete, tmp_path)
        assert not (site / "claims.html").exists()
        assert "claims.html" not in (site / "index.html").read_text()

    def test_columns_that_are_missing(self, tmp_path: Path) -> None:
        folder = tmp_path / "results" / claims.LEDGER / "quick"
        (folder / "tables").mkdir(parents=True)
        (folder / claims.FILE).write_text("claim,dataset,estimate\nmany,emoji,x\nmany,debtags,1.5\n")
        said = text(built(tmp_path / "results", tmp_path) / "claims.html")
        assert "many emoji – not judged" in said
        assert "many debtags +1.5 not judged" in said
        assert "The ledger is not complete" in said

    def test_words_of_an_effect(self) -> None:
        assert Effect(1.2345, -0.3, 2.7, 1).text == "+1.2 [-0.3, +2.7]"
        assert Effect(-0.004, -0.011, 0.003, 1).text == "-0.0040 [-0.0110, +0.0030]"
        assert Effect(25.0, 1.0, 49.0, 1).text == "+25.0 [+1.0, +49.0]"
        assert Effect(0.5, 0.5, 0.5, 1).text == "+0.50 [+0.50, +0.50]"
        assert Effect(0.12345, math.nan, math.nan, 1).text == "+0.123"
        assert Effect(3.1, 2.2, 4.4, 10, signed=False).text == "3.1 [2.2, 4.4]"

    def test_places_of_an_effect(self) -> None:
        effect = Effect(1.0, -2.0, 4.0, 0.5)
        assert effect.place(0) == 50
        assert effect.place(4) == 98
        assert effect.place(-4) == 2
        assert Effect(0.0, 0.0, 0.0, math.nan).place(0.0) == 50


class TestTables:
    def test_numbers_and_words(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text("name,value,count,mixed\na,0.123456,3,1\nb,,1e-05,x\nc,nan,12345678,2\n")
        table = tables.read(path)
        assert table.numeric == (False, True, True, False)
        assert table.rows == (("a", "0.1235", "3", "1"), ("b", "", "1e-05", "x"), ("c", "", "12345678", "2"))
        assert table.column("name") == ("a", "b", "c")

    def test_long_tables_say_what_is_left_out(self, own: Path, tmp_path: Path) -> None:
        rows = tables.MOST_ROWS + 7
        (own / "tables" / "tasks.csv").write_text("a\n" + "1\n" * rows)
        (own / "runs.csv").write_text("a,run\n" + "1,2\n" * rows)
        site = built(own.parents[1], tmp_path)
        assert "7 more rows are in the file ." in text(site / STUDY / "quick" / "index.html")
        assert "The last 7 are only in the file." in text(site / STUDY / "quick" / "runs.html")
