"""The manifest that vouches for results, and the digest of all that they depend on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlcl_utils import studies
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import manifest as manifests
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.execution import begin
from mlcl_utils.studies.manifest import MANIFEST, file_digest, write_manifest

STUDY = studies.get("02_label_space")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """The label-space study over a notebook of its own."""
    notebook = tmp_path / "notebook-of-the-study.ipynb"
    cells = [
        {"cell_type": "code", "source": ["1 + 1"], "outputs": [], "execution_count": None, "metadata": {}}
    ]
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))

    class Elsewhere(Study):
        @property
        def notebook(self) -> Path:
            return notebook

    return Elsewhere(**{name: getattr(STUDY, name) for name in Study.__dataclass_fields__})


def execute(study: Study, given: dict[str, Any]) -> tuple[Path, str]:
    """What an executed notebook leaves behind."""
    execution = begin(study, given)
    (execution.folder / "tables").mkdir(exist_ok=True)
    (execution.folder / "runs.csv").write_text("study,loss\n02_label_space,bce\n")
    (execution.folder / "tables" / "main.csv").write_text("loss\nbce\n")
    digest = study.digest(execution.parameters)
    manifest = execution.finish(device="cpu", seeds=[0, 1], compute={"runs": 2, "failed": 1, "seconds": 3.5})
    (execution.folder / "notebook.ipynb").write_text("{}")
    return manifest, digest


def vouch(manifest: Path, digest: str) -> None:
    """Complete the manifest as the batch executor does once the notebook is saved."""
    content = json.loads(manifest.read_text())
    content["files"]["notebook.ipynb"] = file_digest(manifest.parent / "notebook.ipynb")
    write_manifest(manifest.parent, {**content, "digest": digest})


class TestManifest:
    def test_content(self, study: Study, tmp_path: Path) -> None:
        manifest, _ = execute(
            study, {"preset": "smoke", "results": tmp_path / "results", "temperature": "0.5"}
        )
        content = json.loads(manifest.read_text())
        assert content["study"] == "02_label_space"
        assert content["preset"] == "smoke"
        assert content["parameters"]["temperature"] == 0.5
        assert content["seeds"] == [0, 1]
        assert content["device"] == "cpu"
        assert content["compute"] == {"runs": 2, "failed": 1, "seconds": 3.5}
        assert set(content["data"]) == set(content["parameters"]["datasets"])
        assert content["files"] == {
            "runs.csv": file_digest(manifest.parent / "runs.csv"),
            "tables/main.csv": file_digest(manifest.parent / "tables" / "main.csv"),
        }
        assert {"mlcl-studies", "torch", "numpy", "pandas"} <= set(content["packages"])
        assert "ruff" not in content["packages"]
        assert content["time_wall"] >= 0
        assert str(tmp_path) not in manifest.read_text()

    def test_only_with_the_executed_notebook_is_it_up_to_date(self, study: Study, tmp_path: Path) -> None:
        given = {"preset": "smoke", "results": tmp_path / "results"}
        parameters = study.resolve(given)
        assert not study.up_to_date(parameters)
        manifest, digest = execute(study, given)
        assert not study.up_to_date(parameters)
        vouch(manifest, digest)
        assert study.up_to_date(parameters)
        assert study.up_to_date(study.resolve({**given, "workers": 2}))
        assert not study.up_to_date(study.resolve({**given, "seed": 1}))

    @pytest.mark.parametrize(
        "damage", ["edited table", "lost table", "cell changed", "manifest cut", "begun again"]
    )
    def test_what_makes_it_out_of_date(self, study: Study, tmp_path: Path, damage: str) -> None:
        given = {"preset": "smoke", "results": tmp_path / "results"}
        parameters = study.resolve(given)
        manifest, digest = execute(study, given)
        vouch(manifest, digest)
        if damage == "edited table":
            (manifest.parent / "tables" / "main.csv").write_text("loss\nreg\n")
        elif damage == "lost table":
            (manifest.parent / "tables" / "main.csv").unlink()
        elif damage == "cell changed":
            study.notebook.write_text(study.notebook.read_text().replace("1 + 1", "1 + 2"))
        elif damage == "manifest cut":
            manifest.write_bytes(manifest.read_bytes()[:100])
        else:
            begin(study, given)
            assert not (manifest.parent / MANIFEST).exists()
        assert not study.up_to_date(parameters)

    def test_outputs_stored_in_the_notebook_do_not_count(self, study: Study, tmp_path: Path) -> None:
        parameters = study.resolve({"preset": "smoke", "results": tmp_path / "results"})
        before = study.digest(parameters)
        content = json.loads(study.notebook.read_text())
        content["cells"][0].update(
            execution_count=7, outputs=[{"output_type": "stream", "name": "stdout", "text": "2"}]
        )
        study.notebook.write_text(json.dumps(content))
        assert study.digest(parameters) == before

    def test_files_from_before_are_not_vouched_for(self, study: Study, tmp_path: Path) -> None:
        given = {"preset": "smoke", "results": tmp_path / "results"}
        folder = study.folder(study.resolve(given))
        folder.mkdir(parents=True)
        (folder / "old.csv").write_text("old\n")
        os.utime(folder / "old.csv", (1_000_000_000, 1_000_000_000))
        manifest, _ = execute(study, given)
        assert "old.csv" not in json.loads(manifest.read_text())["files"]


# An execution that writes the files it is told to; "name<" is copied there with the time of a file of long ago.
_EXECUTION = """
import os, shutil, sys
from pathlib import Path
from mlcl_utils import studies
from mlcl_utils.files import write_text
from mlcl_utils.studies.execution import begin

study = begin(studies.get("02_label_space"), {"preset": "smoke", "results": sys.argv[1]})
for name in sys.argv[2:]:
    path = study.folder / name.rstrip("<")
    path.parent.mkdir(exist_ok=True)
    write_text(path, "the same\\n")
    if name.endswith("<"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
study.finish(device="cpu", seeds=[0], compute={"runs": 1, "failed": 0, "seconds": 1.0})
print(study.folder)
"""


@pytest.mark.parametrize("ahead", [-86_400, -60, 0, 60, 86_400])
def test_no_clock_decides_what_is_stale(tmp_path: Path, ahead: int) -> None:
    """The clock of this machine is so many seconds ahead of that of the files."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\n_real = time.time\ntime.time = lambda: _real() + {ahead}\n"
    )

    def execute(*names: str) -> Path:
        command = [sys.executable, "-c", _EXECUTION, str(tmp_path / "results"), *names]
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=environment, check=True
        )
        return Path(done.stdout.splitlines()[-1])

    def left(folder: Path) -> tuple[set[str], set[str]]:
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        return there - {MANIFEST}, set(json.loads((folder / MANIFEST).read_text())["files"])

    first = {"runs.csv", "figures/a.svg", "figures/old.svg", "tables/a.csv", "tables/old.csv", "old.csv"}
    folder = execute(*first)
    assert left(folder) == (first, first)
    second = {"runs.csv", "figures/a.svg", "figures/new.svg", "tables/a.csv"}
    execute(*second - {"tables/a.csv"}, "tables/a.csv<")
    assert left(folder) == (second | {"old.csv"}, second)


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        ("losses/reg.py", True),
        ("search/report.py", True),
        ("studies/comparisons.py", True),
        ("studies/temperature/views.py", True),
        ("studies/cells.py", False),
        ("studies/verification.py", False),
        ("batch/execute.py", False),
        ("report/results.py", False),
        ("cli/run.py", False),
    ],
)
def test_a_digest_is_of_the_sources_that_results_depend_on(source: str, counts: bool) -> None:
    assert (CHECKOUT / "mlcl_utils" / source).is_file()
    assert (manifests._AROUND.match(source) is None) == counts
