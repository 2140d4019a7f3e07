"""How Sphinx builds these pages: ``make docs``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import links  # noqa: E402
import pages  # noqa: E402
from docutils import nodes  # noqa: E402
from sphinx.util import logging  # noqa: E402

from mlcl_utils.batch.page.formulas import formula  # noqa: E402

project = "mlcl-studies"
author = copyright = "the mlcl-studies contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Studies in multi-label contrastive learning"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_math_renderer = "drawn"  # nothing is fetched when a page is read
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_use_ivar = True
nitpicky = False
viewcode_follow_imported_members = False  # or source pages link back to places that there are not


def _outside_links(app: Any, name: str, source: list[str]) -> None:
    """A link to a file that is not part of these pages is shown as the file's path in the repository."""
    source[0] = re.sub(r"\[([^\]]*)\]\((?:\.\./)+([^)]*)\)", lambda m: f"`{m[2].rstrip('/')}`", source[0])


def _plain(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Formulas in docstrings are plain text: what reStructuredText would make of their signs is not meant.

    Lines that are indented after an empty one are code or a formula on lines of their own.
    """
    plain: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        literal = line.startswith("    ")
        if literal and not before and not any(each.startswith("    ") for each in plain[-1:]):
            plain += ["::", ""]
        plain.append(line if literal else line.replace("|", "\\|").replace("*", "\\*"))
    lines[:] = plain


def _fields(app: Any, what: str, name: str, obj: object, skip: bool, options: Any) -> bool | None:
    """Fields of a tuple that nobody has described stand in its signature already."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def _inline_formula(translator: Any, node: nodes.math) -> None:
    translator.body.append(formula(node.astext()))
    raise nodes.SkipNode


def _block_formula(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{formula(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def _check_links(app: Any, error: Exception | None) -> None:
    """Links that lead nowhere are warnings, which fail the build; so are pages that Sphinx writes over."""
    if error is not None or app.builder.format != "html":
        return
    warn = logging.getLogger(__name__).warning
    for page in sorted({"search", "genindex", "py-modindex"} & app.env.found_docs):
        warn("%s.html is a page of Sphinx's own: call the source otherwise", page)
    for link in links.broken(Path(app.outdir)):
        warn("link that leads nowhere: %s", link)


def setup(app: Any) -> None:
    """Write the pages that are made from the package and its results, and hook into the reading of sources."""
    pages.write(DOCS / "_generated")
    app.add_html_math_renderer("drawn", (_inline_formula, None), (_block_formula, None))
    app.connect("source-read", _outside_links)
    app.connect("autodoc-process-docstring", _plain, priority=400)
    app.connect("autodoc-skip-member", _fields)
    app.connect("build-finished", _check_links)
