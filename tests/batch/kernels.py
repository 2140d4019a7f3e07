"""Notebooks executed in real kernels: jobs of them, and what they leave."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mlcl_utils.batch import Job

NOTEBOOKS = Path(__file__).parent / "notebooks"


def job(name: str, folder: Path, **parameters: object) -> Job:
    return Job(name, NOTEBOOKS / f"{name}.ipynb", {"marks": str(folder), **parameters}, folder / name)


def executed(folder: Path) -> NotebookNode:
    """The notebook that was saved, which is valid, with its page beside it and nothing half-written."""
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert (folder / "notebook.html").read_text().rstrip().endswith("</html>")
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
    return notebook


def printed(notebook: NotebookNode) -> str:
    return "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )


def stopped_cell(notebook: NotebookNode) -> NotebookNode:
    """The one cell that is marked; a note stands above it and at the top, and no later cell was executed."""
    (index,) = [
        at for at, cell in enumerate(notebook.cells) if "stopped-here" in cell.metadata.get("tags", [])
    ]
    assert "Incomplete" in notebook.cells[0].source
    assert "Stopped in this cell" in notebook.cells[index - 1].source
    later = [cell for cell in notebook.cells[index + 1 :] if cell.cell_type == "code"]
    assert all(cell.execution_count is None and not cell.outputs for cell in later)
    return notebook.cells[index]


def alive(process: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def kernel_folders(process: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"mlcl-kernel-{process}-*"))
