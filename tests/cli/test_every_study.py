"""Every notebook from beginning to end at the smallest size, in one batch as `mlcl run` carries them out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mlcl_utils import studies
from mlcl_utils.paths import CHECKOUT

pytestmark = pytest.mark.slow

MLCL = str(Path(sys.executable).parent / "mlcl")


def mlcl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MLCL, *arguments], capture_output=True, text=True, timeout=1500)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("every-study")
    done = mlcl("run", "--preset", "smoke", "--results", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", studies.names())
def test_the_notebook_runs_and_leaves_its_results(name: str, results: Path) -> None:
    folder = results / name / "smoke"
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"notebook.ipynb", "notebook.html"} <= set(manifest["files"])
    assert str(CHECKOUT) not in json.dumps(manifest)
    assert list((folder / "tables").glob("*.csv"))


# one with figures of frames and one with arrays of runs
REDRAWN = ("02_label_space", "04_temperature")


@pytest.mark.parametrize(
    "name",
    [
        *REDRAWN,
        *(pytest.param(each, marks=pytest.mark.long) for each in studies.names() if each not in REDRAWN),
    ],
)
def test_its_figures_are_redrawn_from_what_was_saved(name: str, results: Path, tmp_path: Path) -> None:
    drawn = {path.name for path in (results / name / "smoke" / "figures").glob("*.pdf")}
    if not drawn:
        pytest.skip("nothing is drawn at this size")
    given = ("--preset", "smoke", "--results", str(results), "--venue", "icml", "--out", str(tmp_path))
    done = mlcl("figures", name, *given)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("*.pdf")} == drawn


def test_the_report_shows_every_study(results: Path, tmp_path: Path) -> None:
    done = mlcl("report", "--results", str(results), "--out", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site" / "index.html").read_text()
    assert all(studies.get(name).title in index for name in studies.names())
    assert (tmp_path / "site" / "claims.html").exists()


def test_again_all_are_up_to_date(results: Path) -> None:
    done = mlcl("run", "--preset", "smoke", "--results", str(results))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("up to date") >= len(studies.names())
