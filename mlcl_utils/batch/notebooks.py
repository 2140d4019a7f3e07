"""Notebooks before and after their execution: parameters put in, failures marked, files written whole."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from mlcl_utils import markup
from mlcl_utils.errors import UsageError
from mlcl_utils.files import write_text
from mlcl_utils.paths import shown

NOTEBOOK = "notebook.ipynb"
PAGE = "notebook.html"

_PARAMETERS = "parameters"
_INJECTED = "injected-parameters"


def read(path: Path) -> NotebookNode:
    """A notebook that takes parameters.

    Raises:
        UsageError: the file is missing, is not a notebook, or has no cell with the tag ``parameters``.
    """
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise UsageError(f"notebook '{shown(path)}' is missing; restore it with git checkout") from None
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError):
        raise UsageError(f"'{shown(path)}' is not a notebook; restore it with git checkout") from None
    if not any(_PARAMETERS in _tags(cell) for cell in notebook.cells):
        raise UsageError(f"notebook '{shown(path)}' has no cell with the tag 'parameters'")
    return notebook


def prepared(path: Path, parameters: Mapping[str, Any]) -> NotebookNode:
    """A notebook without outputs and with a cell that sets parameters, after the one that declares them.

    Args:
        path: the notebook; it is not changed.
        parameters: name -> value, of JSON types.

    Raises:
        UsageError: as `read`.
    """
    notebook = read(path)
    notebook.cells = [cell for cell in notebook.cells if _INJECTED not in _tags(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    declared = next(at for at, cell in enumerate(notebook.cells) if _PARAMETERS in _tags(cell))
    source = "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in parameters.items())])
    injected = nbformat.v4.new_code_cell(source, metadata={"tags": [_INJECTED]})  # type: ignore[no-untyped-call]
    notebook.cells.insert(declared + 1, injected)
    notebook.metadata["language_info"] = {
        "name": "python",
        "version": platform.python_version(),
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    }
    return notebook


def mark(notebook: NotebookNode, index: int | None, status: str, reason: str) -> None:
    """Say at the top of a notebook, and above the cell in question, why its execution ended early.

    Args:
        notebook: changed in place.
        index: position of the cell that failed or was interrupted; None if none had begun.
        status: in a word or two, such as ``"failed"``.
        reason: one line.
    """
    notebook.metadata["mlcl"] = {"status": status, "reason": reason}
    link = "" if index is None else ' <a href="#stopped-here">Go to the cell.</a>'
    banner = (
        '<p class="mathjax_ignore" style="color: #b00020">'
        f"<b>Incomplete: {markup.html(status)}.</b> {markup.html(reason)}{link}</p>"
    )
    if index is not None:
        cell = notebook.cells[index]
        cell.metadata["tags"] = [*_tags(cell), "stopped-here"]
        above = f'<p id="stopped-here" style="color: #b00020"><b>Stopped in this cell: {markup.html(status)}.</b></p>'
        notebook.cells.insert(index, _banner(above))
    notebook.cells.insert(0, _banner(banner))


def add_error(cell: NotebookNode, name: str, text: str) -> None:
    """Give a cell whose kernel can no longer speak for itself an error output."""
    output = nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])  # type: ignore[no-untyped-call]
    cell.outputs.append(output)


def save(notebook: NotebookNode, folder: Path) -> None:
    """Write ``notebook.ipynb`` and the page ``notebook.html`` into a folder, each whole or not at all."""
    from mlcl_utils.batch.page import (
        page,  # imports matplotlib and nbconvert: only once there is a page to make
    )

    write_text(folder / NOTEBOOK, nbformat.writes(notebook) + "\n")  # type: ignore[no-untyped-call]
    write_text(folder / PAGE, page(notebook, title=folder.parent.name))


def first_line(cell: NotebookNode) -> str:
    """The first line of a cell that does something, shortened."""
    lines = [line.strip() for line in cell.source.splitlines()]
    line = next((line for line in lines if line and not line.startswith(("#", "%"))), "")
    return line if len(line) <= 60 else f"{line[:57]}..."


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _banner(text: str) -> NotebookNode:
    cell: NotebookNode = nbformat.v4.new_markdown_cell(text, metadata={"tags": ["incomplete"]})  # type: ignore[no-untyped-call]
    return cell
