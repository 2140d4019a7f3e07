"""The report in a real browser, from the file system."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import Page, expect

from mlcl_utils import report, studies
from mlcl_utils.batch import notebooks
from mlcl_utils.batch.page import page as page_of
from mlcl_utils.paths import CHECKOUT
from tests.report import made

pytestmark = pytest.mark.browser

WIDE, NARROW = 1280, 420


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over results in every state."""
    results = tmp_path_factory.mktemp("results")
    # Executing notebooks needs an event loop, and so does the browser: in a process of its own.
    make = "import sys, pathlib; from tests.report import made; made.everything(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", make, str(results)], cwd=CHECKOUT, check=True, capture_output=True)
    return report.build(results, results / "report").folder


@pytest.fixture
def quiet(page: Page) -> Iterator[Page]:
    """A page on which nothing goes wrong and for which nothing but files is fetched."""
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: (
            urlsplit(request.url).scheme in {"file", "data"} or wrong.append(f"fetched: {request.url}")
        ),
    )
    yield page
    assert wrong == []


def file_of(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def links(page: Page) -> list[str]:
    """Where the links of a page lead that are not to the web."""
    found = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
    return [address for address in found if urlsplit(address).scheme not in {"http", "https"}]


def test_every_page_loads_and_every_link_resolves(site: Path, quiet: Page) -> None:
    begin = (site / "index.html").as_uri()
    seen, waiting = set(), [begin]
    while waiting:
        address = waiting.pop()
        quiet.goto(address)
        seen.add(address)
        assert quiet.title()
        for width in (WIDE, NARROW):
            quiet.set_viewport_size({"width": width, "height": 900})
            assert quiet.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
        broken = "[...document.images].filter(i => i.loading != 'lazy' && !i.naturalWidth).map(i => i.src)"
        assert quiet.evaluate(broken) == []
        for link in links(quiet):
            target, anchor = urldefrag(link)
            assert file_of(target).is_file(), f"{address} leads to {link}"
            assert file_of(target).is_relative_to(site)
            if anchor:
                assert target == address
                assert quiet.evaluate("id => document.getElementById(id) !== null", unquote(anchor)), link
            if target.endswith(".html") and target not in seen and target not in waiting:
                waiting.append(target)
    pages = {path.as_uri() for path in site.rglob("*.html")}
    assert seen == pages, "every page can be reached"


def shows(page: Page, column: str, texts: list[str]) -> None:
    """A column of the page's table shows these texts, or comes to show them."""
    heads = [text.strip() for text in page.locator("table.data thead th").all_inner_texts()]
    cells = page.locator(f"table.data tbody tr td:nth-child({heads.index(column) + 1})")
    expect(cells).to_have_text(texts)


def rounded(values: list[float]) -> list[str]:
    return [f"{value:.4g}" for value in values]


def stored(site: Path) -> list[dict[str, str]]:
    with (site / "02_label_space" / "quick" / "runs.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


class TestRuns:
    @pytest.fixture
    def runs(self, site: Path, quiet: Page) -> Page:
        quiet.goto((site / "02_label_space" / "quick" / "runs.html").as_uri())
        return quiet

    def test_sort_by_number(self, runs: Page, site: Path) -> None:
        head = runs.locator("table.data thead th", has_text="time_total")
        times = rounded(sorted((float(row["time_total"]) for row in stored(site)), reverse=True))
        head.click()
        shows(runs, "time_total", times[::-1][:25])
        head.click()
        shows(runs, "time_total", times[:25])
        runs.locator(".dt-paging-button", has_text="2").click()
        shows(runs, "time_total", times[25:])

    def test_missing_numbers_come_last(self, runs: Page, site: Path) -> None:
        values = [float(row["probe_map"]) for row in stored(site) if row["probe_map"]]
        assert len(values) < len(stored(site))
        runs.locator(".dt-length select").select_option("all")
        for order in (sorted(values), sorted(values, reverse=True)):
            runs.locator("table.data thead th", has_text="probe_map").click()
            shows(runs, "probe_map", [*rounded(order), ""])

    def test_search(self, runs: Page, site: Path) -> None:
        runs.locator(".dt-search input").fill("asl")
        count = sum(row["loss"] == "asl" for row in stored(site))
        assert count
        shows(runs, "loss", ["asl"] * count)
        expect(runs.locator(".dt-info")).to_contain_text(f"of {count}")

    def test_choices_of_all_pages(self, runs: Page, site: Path) -> None:
        runs.locator("select[aria-label=num_labels]").select_option("300")
        runs.locator("select[aria-label=loss]").select_option("bce")
        both = [row for row in stored(site) if row["num_labels"] == "300" and row["loss"] == "bce"]
        assert both
        shows(runs, "num_labels", ["300"] * len(both))
        shows(runs, "loss", ["bce"] * len(both))
        runs.locator("select[aria-label=num_labels]").select_option("all")
        shows(runs, "loss", ["bce"] * sum(row["loss"] == "bce" for row in stored(site)))

    def test_columns(self, runs: Page, site: Path) -> None:
        assert runs.locator("table.data thead th", has_text="run").count() == 0
        runs.locator("details.columns summary").click()
        runs.get_by_label("Search columns").fill("run")
        box = runs.locator("details.columns label:visible")
        expect(box).to_have_text(["run"])
        box.click()
        shows(runs, "run", [row["run"] for row in stored(site)][:25])
        box.click()
        expect(runs.locator("table.data thead th", has_text="run")).to_have_count(0)


def test_a_table_opens_and_shows_its_texts_as_they_are(site: Path, quiet: Page) -> None:
    quiet.goto((site / "02_label_space" / "quick" / "index.html").as_uri())
    table = quiet.locator("#table-results_map table.data")
    expect(table).to_be_hidden()
    quiet.locator("#table-results_map summary").click()
    expect(table).to_be_visible()
    shown = table.locator("tbody td")
    expect(shown).to_have_text(["BCE", "0.5123", "<b>", "REG", "1e-05", ""])
    table.locator("thead th", has_text="estimate").click()
    expect(shown).to_have_text(["REG", "1e-05", "", "BCE", "0.5123", "<b>"])


def test_a_figure_opens(site: Path, quiet: Page) -> None:
    quiet.goto((site / "02_label_space" / "quick" / "index.html").as_uri())
    small = quiet.locator("figure img").first
    width = small.bounding_box()["width"]
    small.click()
    image = quiet.locator("dialog[open] img")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    assert image.bounding_box()["width"] > 1.3 * width
    quiet.keyboard.press("Escape")
    expect(quiet.locator("dialog")).to_have_count(0)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_claims(site: Path, quiet: Page, width: int) -> None:
    quiet.set_viewport_size({"width": width, "height": 900})
    quiet.goto((site / "index.html").as_uri())
    quiet.get_by_role("link", name="All claims").click()
    expect(quiet.locator("table.claims tbody tr")).to_have_count(len(made.CLAIMS))
    effects = quiet.locator("td[data-label=Effect]")
    assert effects.all_inner_texts()[:2] == ["+1.90 [+1.20, +2.60]", "-2.4 [-3.6, -1.2]"]
    quiet.get_by_label("Verdict", exact=True).select_option("not judged")
    expect(quiet.locator("td .verdict")).to_have_text(["not judged", "not judged"])
    quiet.get_by_label("Verdict", exact=True).select_option("all")
    if width == NARROW:
        expect(quiet.locator("table.claims thead")).to_be_hidden()
    else:
        quiet.locator("thead th", has_text="Effect").click()
        expect(effects.first).to_have_text("-2.4 [-3.6, -1.2]")
        quiet.locator("thead th", has_text="Effect").click()
        expect(effects.first).to_have_text("3.1 [2.2, 4.4]")
        expect(effects.last).to_have_text("–")


@pytest.mark.parametrize("name", studies.names())
def test_the_page_of_a_notebook(tmp_path: Path, quiet: Page, name: str) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(page_of(notebooks.prepared(studies.get(name).notebook, {"preset": "smoke"}), name))
    quiet.goto(path.as_uri())
    contents = quiet.locator("nav a")
    assert contents.count() >= 4
    for link in contents.all():
        link.click()
        target = unquote(urldefrag(quiet.url)[1])
        assert (
            abs(quiet.evaluate("id => document.getElementById(id).getBoundingClientRect().top", target)) < 900
        )
    parameters = quiet.get_by_text("preset: str = ").first
    expect(parameters).to_be_hidden()
    quiet.locator("details.hidden summary").first.click()
    expect(parameters).to_be_visible()
    for media, width in (("screen", NARROW), ("print", 672)):  # 178 mm, what is left of A4 between margins
        quiet.emulate_media(media=media)
        quiet.set_viewport_size({"width": width, "height": 900})
        assert quiet.evaluate("document.documentElement.scrollWidth") <= width
    expect(quiet.locator("nav")).to_be_hidden()
    assert quiet.pdf(format="A4").startswith(b"%PDF")


def test_names_in_the_table_of_runs_are_text(tmp_path: Path, quiet: Page) -> None:
    odd = "<img src=x onerror=alert(1)>"
    folder = made.whole(tmp_path / "results")
    rows = (folder / "runs.csv").read_text().replace("debtags", odd, 20).replace("probe_map", f"probe_{odd}")
    (folder / "runs.csv").write_text(rows)
    site = report.build(tmp_path / "results", tmp_path / "site").folder
    quiet.goto((site / made.STUDY / "quick" / "runs.html").as_uri())
    expect(quiet.locator("table.data tbody td", has_text=odd).first).to_be_visible()
    quiet.locator("details.columns summary").click()
    box = quiet.locator("details.columns label", has_text=f"probe_{odd}")
    box.locator("input").check()
    expect(quiet.locator("table.data thead th", has_text=f"probe_{odd}")).to_be_visible()
    assert quiet.locator("img[src=x]").count() == 0
