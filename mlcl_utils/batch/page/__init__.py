"""The page of an executed notebook: HTML in which everything lies that is needed to view it."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path

from jinja2 import pass_context
from jinja2.runtime import Context
from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter
from nbformat import NotebookNode

# Code is passed over: a dollar sign in it is no formula.
_FORMULA = re.compile(r"<(pre|code)\b.*?</\1>|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+?)\$", re.DOTALL)
_POINTS = 11.0

# TeX that matplotlib does not read, in the words that it does: it wants arguments in braces and knows one size.
_REPLACED = [
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\frac\s*(\w)\s*(\w)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(math[a-z]+)\s+(\w)"), r"\\\1{\2}"),
    (re.compile(r"\\[bB]igg?[lrm]?(?![a-z])\s*"), ""),
    (re.compile(r"\\[lr]Vert(?![a-z])"), r"\\|"),
]


def page(notebook: NotebookNode, title: str) -> str:
    """A notebook as one HTML file that fetches nothing: images lie in it, formulas are drawn."""
    exporter = _Exporter(  # type: ignore[no-untyped-call]
        template_name="page", extra_template_basedirs=[str(Path(__file__).parents[1])], embed_images=True
    )
    text, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return str(text)


class _Exporter(HTMLExporter):  # type: ignore[misc, unused-ignore]
    """Draws formulas, which the usual page leaves to a script from elsewhere."""

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        return _FORMULA.sub(_drawn, super().markdown2html(context, source))


def _drawn(match: re.Match[str]) -> str:
    tex = match["block"] or match["inline"]
    if tex is None:
        return match.group()
    image = formula(html.unescape(tex))
    return f'<span style="display: block; text-align: center">{image}</span>' if match["block"] else image


def formula(tex: str) -> str:
    """An image of a formula in TeX, on the line of the text around it; the source as code if it cannot be drawn."""
    known = " ".join(tex.split())
    for unknown, replacement in _REPLACED:
        known = unknown.sub(replacement, known)
    drawing = io.BytesIO()
    try:
        with rc_context({"svg.hashsalt": "mlcl"}):
            font = FontProperties(size=_POINTS, math_fontfamily="stix")
            depth = math_to_image(f"${known}$", drawing, prop=font, dpi=72, format="svg")
    except ValueError:
        return f"<code>{html.escape(tex)}</code>"
    svg = re.sub(rb"<metadata>.*?</metadata>", b"", drawing.getvalue(), flags=re.DOTALL)
    data = base64.b64encode(svg).decode()
    style = f"display: inline; max-width: 100%; vertical-align: -{depth:g}pt"
    return f'<img alt="{html.escape(tex)}" style="{style}" src="data:image/svg+xml;base64,{data}">'
