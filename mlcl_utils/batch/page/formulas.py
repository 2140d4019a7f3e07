"""Formulas in TeX, drawn as images that lie in the page."""

from __future__ import annotations

import base64
import io
import re

from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image

from mlcl_utils import markup
from mlcl_utils.figures.style import settings

_POINTS = 10.0

# What may stand in braces, with braces in it and so on.
_BRACED = r"[^{}]*"
for _ in range(5):
    _BRACED = rf"(?:[^{{}}]|\{{{_BRACED}\}})*"

# TeX that matplotlib does not read, in the words that it does: it wants arguments in braces.
_REPLACED = [
    (re.compile(r"\\tfrac"), r"\\frac"),
    (re.compile(r"\\(d?)frac\s*(\w)\s*(\w)"), r"\\\1frac{\2}{\3}"),
    (re.compile(r"\\(math[a-z]+)\s+(\w)"), r"\\\1{\2}"),
    (re.compile(r"\\[lr]Vert(?![a-z])"), r"\\|"),
    (re.compile(r"\\([gl]e)(?![a-z])"), r"\\\1q"),
    (
        re.compile(rf"\\underbrace\{{({_BRACED})\}}_(\\text\{{[^{{}}]*\}}|\{{{_BRACED}\}})"),
        r"\\underset{\2}{\1}",
    ),
]
_SIZED = re.compile(r"\\[bB]igg?[lrm]?(?![a-z])\s*(?P<bracket>\\?.)")
_OPENING, _CLOSING = {"[", "(", r"\{"}, {"]", ")", r"\}"}


def formula(tex: str, *, display: bool = False) -> str:
    """An image of a formula, on the line of the text around it and as large; its source as code if it can't be drawn.

    Args:
        tex: without dollar signs.
        display: whether it stands on a line of its own, where fractions are drawn in full size.
    """
    known = " ".join(tex.split())
    for unknown, replacement in _REPLACED:
        known = unknown.sub(replacement, known)
    if display:
        known = known.replace(r"\frac", r"\dfrac").replace(r"\sum", r"\,\sum")
    for brackets in (_grown, _bare):
        try:
            return _image(tex, _SIZED.sub(brackets, known))
        except ValueError:
            continue
    return f"<code>{markup.html(tex)}</code>"


def _grown(match: re.Match[str]) -> str:
    """Brackets of a fixed size as brackets that fit what they hold, which need partners."""
    bracket = match["bracket"]
    side = r"\left" if bracket in _OPENING else r"\right" if bracket in _CLOSING else ""
    return f"{side}{bracket}"


def _bare(match: re.Match[str]) -> str:
    return match["bracket"]


def _image(tex: str, known: str) -> str:
    drawing = io.BytesIO()
    with settings({"svg.hashsalt": "mlcl"}):
        font = FontProperties(size=_POINTS, math_fontfamily="stix")
        depth = math_to_image(f"${known}$", drawing, prop=font, dpi=72, format="svg")
    svg = re.sub(rb"<metadata>.*?</metadata>", b"", drawing.getvalue(), flags=re.DOTALL)
    size = re.search(rb'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert size is not None, "matplotlib states the size of an SVG in points"
    width, height = (float(side) / _POINTS for side in size.groups())
    style = f"width: {width:.3f}em; height: {height:.3f}em; vertical-align: -{depth / _POINTS:.3f}em"
    data = base64.b64encode(svg).decode()
    return (
        f'<img alt="{markup.html(tex)}" class="math" style="{style}" src="data:image/svg+xml;base64,{data}">'
    )
