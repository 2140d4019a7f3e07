"""The page of an executed notebook: HTML in which everything lies that is needed to view and to print it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import pass_context
from jinja2.runtime import Context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from mlcl_utils import markup
from mlcl_utils.batch.page.formulas import formula
from mlcl_utils.batch.page.tables import aligned

_HEADING = re.compile(
    r'<h(?P<level>[23]) id="(?P<anchor>[^"]*)">(?P<text>.*?)(?:<a class="anchor-link".*?)?</h', re.DOTALL
)
# A paragraph that begins with a few words in bold is headed by them.
_RUN_IN = re.compile(r"\s*<p><strong>(?P<text>.*?)</strong>", re.DOTALL)

_HIDDEN_TAGS = {
    "parameters": "Parameters and their defaults",
    "injected-parameters": "Parameters that were given",
    "hide-input": "Code",
}
# What every study's notebook begins and ends with, see `mlcl_utils.studies.base`.
_HIDDEN_CALLS = {"studies.start(": "Start of the study", ".finish(": "Manifest"}


class _Entry(NamedTuple):
    """One line of the table of contents."""

    level: int
    anchor: str
    text: str


def page(notebook: NotebookNode, title: str) -> str:
    """A notebook as one HTML file that fetches nothing and runs no script.

    Images lie in it, formulas are drawn, a table of contents is next to it, and the code that only passes
    parameters on is folded away. An empty ``<header></header>`` is left to who shows it among other pages.

    Args:
        notebook: executed or not.
        title: of the page, if the notebook has no heading of the first level.
    """
    exporter = _Exporter(  # type: ignore[no-untyped-call]
        template_name="page", extra_template_basedirs=[str(Path(__file__).parents[1])], embed_images=True
    )
    resources = {"metadata": {"name": heading(notebook) or title}, "contents": []}
    text, _ = exporter.from_notebook_node(notebook, resources)
    return str(text)


def heading(notebook: NotebookNode) -> str:
    """The first heading of the first level in a notebook's text; empty if there is none."""
    sources = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = (re.search(r"^# +(.+)$", source, re.MULTILINE) for source in sources)
    return next((match[1].strip() for match in found if match), "")


class _Renderer(IPythonRenderer):  # type: ignore[misc, unused-ignore]
    """Draws a formula where Markdown has one; a dollar sign that is escaped, or stands in code, begins none."""

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{formula(body, display=True)}</span>'


class _Exporter(HTMLExporter):  # type: ignore[misc, unused-ignore]
    """Draws formulas, which the usual page leaves to a script from elsewhere, and collects the contents."""

    anchor_link_text = ""

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        renderer = _Renderer(
            escape=False,
            attachments=context["cell"].get("attachments", {}),
            embed_images=self.embed_images,
            path=context["resources"].get("metadata", {}).get("path", ""),
            anchor_link_text=self.anchor_link_text,
            exclude_anchor_links=self.exclude_anchor_links,
        )
        made = MarkdownWithMath(renderer=renderer).render(source)
        context["resources"]["contents"] += _entries(made, context["cell"])
        return made

    def default_filters(self) -> Iterable[tuple[str, Any]]:
        yield from super().default_filters()  # type: ignore[no-untyped-call, unused-ignore]
        yield "aligned", aligned
        yield "hidden", _hidden
        yield "described", _described


def _entries(made: str, cell: NotebookNode) -> list[_Entry]:
    headings = [
        _Entry(int(match["level"]), html.unescape(match["anchor"]), _plain(match["text"]))
        for match in _HEADING.finditer(made)
    ]
    run_in = _RUN_IN.match(made)
    if run_in is not None and cell.cell_type == "markdown" and "id" in cell:
        headings.insert(0, _Entry(3, f"cell-id={cell.id}", _plain(run_in["text"]).rstrip(".:")))
    return headings


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text)).strip()


def _hidden(cell: NotebookNode) -> str:
    """What is written over a code cell that is folded away; nothing over the others."""
    tags = cell.metadata.get("tags", [])
    if "stopped-here" in tags:
        return ""
    by_tag = (words for tag, words in _HIDDEN_TAGS.items() if tag in tags)
    by_call = (words for call, words in _HIDDEN_CALLS.items() if call in cell.source)
    return next(by_tag, "") or next(by_call, "")


def _described(image: str, contents: list[_Entry]) -> str:
    """An image with words for who cannot see it: those that head the text above it."""
    words = markup.html(contents[-1].text if contents else "figure")
    return image.replace("<img ", f'<img alt="{words}" ', 1)
