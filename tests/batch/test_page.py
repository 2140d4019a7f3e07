"""The page of a notebook: its contents, what is folded away, tables, formulas."""

from __future__ import annotations

import base64
import html
import re
from xml.etree import ElementTree

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from mlcl_utils import markup
from mlcl_utils.batch import notebooks
from mlcl_utils.batch.page import heading, page
from mlcl_utils.batch.page.formulas import formula
from mlcl_utils.batch.page.tables import aligned
from mlcl_utils.paths import CHECKOUT

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def markdown(text: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(text)


def code(source: str, *tags: str, data: dict[str, str] | None = None) -> NotebookNode:
    outputs = [] if data is None else [nbformat.v4.new_output("display_data", data=data)]
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}, outputs=outputs)


def soup(*cells: NotebookNode) -> BeautifulSoup:
    return BeautifulSoup(page(nbformat.v4.new_notebook(cells=list(cells)), "fallback"), "html.parser")


def test_contents_lead_to_headings_and_to_paragraphs_that_begin_in_bold() -> None:
    made = soup(
        markdown("# Title & more\n\n**Question.** Not at the start of its cell."),
        markdown("## Idea & x\n\ntext\n\n### Detail"),
        markdown("**Macro-F1** of every arm"),
        markdown("no **bold** start"),
    )
    links = made.nav.find_all("a")
    assert [link.get_text() for link in links] == ["Idea & x", "Detail", "Macro-F1"]
    assert [link.parent["class"] for link in links] == [["level-2"], ["level-3"], ["level-3"]]
    targets = [made.find(id=link["href"].removeprefix("#")) for link in links]
    assert [target.get_text().strip()[:8] for target in targets] == ["Idea & x", "Detail", "Macro-F1"]
    assert made.title.get_text() == "Title & more"


def test_without_headings_there_are_no_contents() -> None:
    made = soup(markdown("text"))
    assert made.nav is None
    assert made.title.get_text() == "fallback"


def test_heading() -> None:
    cells = [code("# not this"), markdown("## Nor this"), markdown("text\n# This one\n# Not")]
    assert heading(nbformat.v4.new_notebook(cells=cells)) == "This one"
    assert heading(nbformat.v4.new_notebook()) == ""


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (code("preset = 'quick'", "parameters"), "Parameters and their defaults"),
        (code("preset = 'smoke'", "injected-parameters"), "Parameters that were given"),
        (code("import x", "hide-input"), "Code"),
        (code("study = studies.start('x')"), "Start of the study"),
        (code("runs.finish(study)"), "Manifest"),
        (code("report.tasks(study)"), None),
        (code("runs.finish(study)", "stopped-here"), None),
    ],
)
def test_plumbing_is_folded_away_with_its_output_in_sight(cell: NotebookNode, words: str | None) -> None:
    cell.outputs = [nbformat.v4.new_output("stream", text="printed")]
    made = soup(cell)
    folded = made.find("details", class_="hidden")
    source = made.find(string=re.compile("printed")).find_parent("div", class_="jp-Cell")
    assert cell.source.split("(")[0].split()[0] in source.get_text()
    if words is None:
        assert folded is None
    else:
        assert folded.summary.get_text() == words
        assert not folded.has_attr("open")
        assert "printed" not in folded.get_text()


def test_images_are_described_by_the_text_above_them() -> None:
    made = soup(
        code("draw()", data={"image/png": PIXEL}),
        markdown('**Number of "labels".** Means'),
        code("draw()", data={"image/png": PIXEL}),
    )
    assert [image["alt"] for image in made.find_all("img")] == ["figure", 'Number of "labels"']


def test_columns_of_words_are_marked() -> None:
    table = (
        "<style>x</style><table><thead>"
        "<tr><th></th><th colspan='2'>over two</th><th>kind</th></tr>"
        "<tr><th>arm</th><th>map</th><th>f1</th><th>source</th></tr></thead><tbody>"
        "<tr><th>BCE</th><td>77.5* ± 2.6</td><td>–</td><td>a paper</td></tr>"
        "<tr><th>REG</th><td>-1.0 [-2.0, +0.1]</td><td>1e-05</td><td>2020</td></tr></tbody></table>"
    )
    made = BeautifulSoup(aligned(table), "html.parser")
    marked = [cell.get_text() for cell in made.find_all(class_="words")]
    assert marked == ["kind", "arm", "source", "a paper", "2020"]
    assert made.style is None


def test_tables_of_any_shape() -> None:
    for table in ("<table></table>", "<table><tr><td>a</td></tr><tr></tr></table>", "no table", ""):
        assert (
            BeautifulSoup(aligned(table), "html.parser").get_text()
            == BeautifulSoup(table, "html.parser").get_text()
        )


@pytest.mark.parametrize(
    "tex",
    [
        r"x^2",
        r"\mathcal L_\text{BCE} = -\frac 1N \sum_i \Big[ \log \sigma(x_{il}) \Big]",
        r"\lVert X_l \rVert_* \leq \tfrac12",
        r"a < b",
        r"a \ge \delta \le \left( b \right)",
        r"\underbrace{\frac{x_{ij}}{\sqrt{y}}}_\text{one} + \underbrace{\mathcal L_\text{ASL}}_{\text{two words}}",
    ],
)
def test_formulas_are_drawn(tex: str) -> None:
    image = formula(tex)
    assert image.startswith(f'<img alt="{html.escape(tex)}"')
    data = base64.b64decode(image.partition("base64,")[2].partition('"')[0])
    assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"


def test_every_formula_of_the_studies_is_drawn() -> None:
    for path in sorted((CHECKOUT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        made = soup(*(cell for cell in cells if cell.cell_type == "markdown"))
        assert not [code.get_text() for code in made.find_all("code") if "\\" in code.get_text()], path.name
        assert "$" not in made.main.get_text(), path.name


def test_what_cannot_be_drawn_stays_readable() -> None:
    assert formula(r"\nonsense{<}") == r"<code>\nonsense{&lt;}</code>"


def test_dollars_in_code_are_no_formulas() -> None:
    cells = [nbformat.v4.new_markdown_cell("Set `$HOME` and `$PATH`; $y$ is drawn.\n\n    a $x$ b")]
    made = page(nbformat.v4.new_notebook(cells=cells), "title")
    assert "$HOME" in made
    assert "$PATH" in made
    assert "a $x$ b" in made
    assert made.count('<img alt="y"') == 1


def test_formulas_are_as_large_as_the_text() -> None:
    def height(image: str) -> float:
        return float(re.search(r"height: ([\d.]+)em", image)[1])

    assert 0.5 < height(formula("x")) < 1
    assert height(formula(r"\frac{1}{2}", display=True)) > 1.2 * height(formula(r"\frac{1}{2}"))
    assert height(formula(r"\Big[ \frac{1}{2} \Big]", display=True)) > 2 * height(formula("[x]"))


def test_brackets_without_partner() -> None:
    assert "<img" in formula(r"\big[ 0, 1 \big)")
    assert "<img" in formula(r"\big( x")


def test_formulas_on_lines_of_their_own() -> None:
    made = page(nbformat.v4.new_notebook(cells=[markdown("a $x$ b $$y$$ c")]), "title")
    assert made.count("<img") == 2
    assert made.count('<span class="formula"><img alt="y"') == 1


def test_names_are_shown_as_they_are() -> None:
    names = [
        "cost$_$x",
        "<img src=x onerror=alert(1)>",
        "a $x_1$ & $x_2$",
        r"\(x\) \begin{a}\end{a}",
        "[a](http://b.c)",
    ]
    made = soup(markdown("\n".join(f"- {markup.markdown(name)}" for name in names)))
    assert [item.get_text() for item in made.main.find_all("li")] == names
    assert made.main.find(["img", "a", "script"]) is None


def test_a_reason_is_shown_as_it_is() -> None:
    notebook = nbformat.v4.new_notebook(cells=[code("x", "parameters")])
    notebooks.mark(notebook, 0, "failed", "a $x_1$ <b> \x1b[31m *c*")
    assert "a $x_1$ <b> \\x1b[31m *c*" in soup(*notebook.cells).main.get_text()


def test_what_stopped_is_in_sight() -> None:
    cells = [code("preset = 1", "parameters"), code("fails()")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebooks.mark(notebook, 0, "failed", "<reason>")
    made = BeautifulSoup(page(notebook, "x"), "html.parser")
    assert made.find("details") is None
    assert len(made.find_all(class_="celltag_incomplete")) == 2
    assert "<reason>" in made.get_text()
    assert len(made.find_all("a", href="#stopped-here")) == 1
    assert made.find(id="stopped-here") is not None
