"""Notebooks executed in real kernels: what is left behind when they end well, badly, or not at all."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest

from mlcl_utils import batch
from mlcl_utils.batch import Job, progress
from mlcl_utils.batch.notebooks import read
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.runs.progress import Counts
from mlcl_utils.studies.manifest import file_digest, write_manifest
from tests.batch.kernels import (
    NOTEBOOKS,
    alive,
    executed,
    job,
    kernel_folders,
    printed,
    stopped_cell,
    wait_for,
)


def test_a_notebook_that_passes(tmp_path: Path) -> None:
    given = {"word": 'it\'s "quoted"\n', "number": 2.5}
    report = batch.run([job("passes", tmp_path, **given)])
    (outcome,) = report.outcomes
    assert (outcome.status, outcome.reason, report.exit_status, report.signal) == ("done", "", 0, None)
    notebook = executed(outcome.job.folder)
    injected = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert len(injected) == 1
    assert printed(notebook) == f"{given['word']} 2.5\n{CHECKOUT}\n"
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [1, 2, 3, 4]
    assert not kernel_folders(os.getpid())


def test_the_kernel_is_the_running_interpreters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = tmp_path / "data" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(
        json.dumps(
            {"argv": ["/bin/false", "{connection_file}"], "display_name": "Python 3", "language": "python"}
        )
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "data"))
    report = batch.run([job("passes", tmp_path)])
    assert report.exit_status == 0


@pytest.mark.parametrize(("failing", "status"), [(1, "done"), (9, "failed")])
def test_a_kernel_that_does_not_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, status: str
) -> None:
    # Python runs this when it starts; it fails the first kernels.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        "starts = pathlib.Path(__file__).with_name('starts')\n"
        "if 'kernel.json' in sys.orig_argv[-2]:\n"
        "    starts.open('a').write('.')\n"
        f"    if len(starts.read_text()) <= {failing}:\n"
        "        print('no memory for it', file=sys.stderr, flush=True)\n"
        "        os._exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    (outcome,) = batch.run([job("passes", tmp_path)]).outcomes
    assert outcome.status == status
    assert (tmp_path / "starts").read_text() == "." * min(failing + 1, 3)
    if status == "failed":
        assert outcome.reason == "the kernel did not start in 3 attempts: no memory for it"
    assert not kernel_folders(os.getpid())


def test_a_cell_that_fails_is_marked_and_the_others_go_on(tmp_path: Path) -> None:
    report = batch.run([job("fails", tmp_path), job("passes", tmp_path)])
    failed, passed = report.outcomes
    assert (failed.status, passed.status, report.exit_status) == ("failed", "done", 1)
    assert failed.reason == 'ValueError: not <this> one (cell [4]: raise ValueError("not <this> one\\nmore"))'
    notebook = executed(failed.job.folder)
    assert printed(notebook) == "before\n"
    cell = stopped_cell(notebook)
    assert cell.source.startswith("# a reason")
    assert [output.ename for output in cell.outputs] == ["ValueError"]
    assert "not <this> one" not in (failed.job.folder / "notebook.html").read_text()


def test_fail_fast_begins_nothing_more(tmp_path: Path) -> None:
    report = batch.run([job("fails", tmp_path), job("passes", tmp_path)], fail_fast=True)
    assert [outcome.status for outcome in report.outcomes] == ["failed", "not started"]
    assert report.outcomes[1].reason == "stopped after fails failed"
    assert not (tmp_path / "passes").exists()
    assert report.exit_status == 1


def test_a_kernel_that_dies_is_reported_as_dead(tmp_path: Path) -> None:
    report = batch.run([job("dies", tmp_path)])
    (outcome,) = report.outcomes
    assert outcome.status == "dead"
    assert "killed by SIGKILL" in outcome.reason
    assert "(cell [4]: os.kill(os.getpid(), signal.SIGKILL))" in outcome.reason
    notebook = executed(outcome.job.folder)
    assert printed(notebook) == "before\n"
    (error,) = stopped_cell(notebook).outputs
    assert error.ename == "Dead"
    assert "SIGKILL" in error.evalue
    assert report.exit_status == 1


def test_children_of_a_dead_kernel_end_too(tmp_path: Path) -> None:
    batch.run([job("workers", tmp_path)])
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not alive(child), "the child of the kernel to end")


def test_a_timeout_interrupts_the_cell(tmp_path: Path) -> None:
    report = batch.run([job("waits", tmp_path, word="t")], timeout=6)
    (outcome,) = report.outcomes
    assert outcome.status == "timed out"
    assert outcome.reason == 'it took longer than 6 s (cell [4]: print("waiting", flush=True))'
    cell = stopped_cell(executed(outcome.job.folder))
    assert [output.ename for output in cell.outputs if output.output_type == "error"] == ["KeyboardInterrupt"]
    assert not alive(int((tmp_path / "begun-t").read_text()))


def test_several_at_a_time(tmp_path: Path) -> None:
    jobs = [
        Job(f"passes-{at}", NOTEBOOKS / "passes.ipynb", {"word": f"w{at}"}, tmp_path / str(at))
        for at in range(4)
    ]
    report = batch.run(jobs, parallel=4)
    assert [outcome.status for outcome in report.outcomes] == ["done"] * 4
    for at in range(4):
        assert printed(executed(tmp_path / str(at))).startswith(f"w{at} ")


def test_runs_are_counted_over_all_grids(tmp_path: Path) -> None:
    one = Job(
        "counts", NOTEBOOKS / "counts.ipynb", {"marks": str(tmp_path)}, tmp_path / "counts", lambda: "abc"
    )
    (outcome,) = batch.run([one]).outcomes
    assert outcome.status == "done"
    assert outcome.runs == Counts(total=10, existed=4, done=4, failed=2, compute=3.0)
    assert json.loads((tmp_path / "counts" / "manifest.json").read_text())["digest"] == "abc"
    shown = [output for cell in executed(tmp_path / "counts").cells for output in cell.get("outputs", [])]
    lines = [output.data["text/plain"] for output in shown if output.output_type == "display_data"]
    assert [line.partition("█ ")[2] for line in lines] == ["5/5, 0 s, 2 existed, 1 failed"] * 2


def test_results_that_lack_lost_runs_are_not_vouched_for(tmp_path: Path) -> None:
    given = {"marks": str(tmp_path), "word": "lost"}
    report = batch.run([Job("counts", NOTEBOOKS / "counts.ipynb", given, tmp_path / "counts", lambda: "abc")])
    (outcome,) = report.outcomes
    assert (outcome.status, report.exit_status) == ("runs lost", 1)
    assert outcome.reason == "2 runs were lost: it was struck; the same command makes up for it"
    assert "digest" not in json.loads((tmp_path / "counts" / "manifest.json").read_text())
    executed(tmp_path / "counts")


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "passes"
    (folder / "figures").mkdir(parents=True)
    left = [folder / ".notebook.ipynb.123", folder / "figures" / ".curve.pdf.123", tmp_path / ".lock-passes"]
    kept = folder / ".gitkeep"
    for path in (*left, kept):
        path.touch()
    assert batch.run([job("passes", tmp_path)]).exit_status == 0
    assert kept.exists()
    assert not any(path.exists() for path in left)


def test_without_a_terminal_there_is_a_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 2.0)
    batch.run([job("waits", tmp_path), job("passes", tmp_path)], timeout=8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "waits: started"
    assert lines[-1].startswith("passes: done in ")
    within = [line for line in lines if " cells done" in line]
    assert "waits: 4 of 6 cells done, waiting; 0 of 2 studies ended" in within
    assert len(within) <= 6


def test_outputs_and_injected_cells_of_the_source_do_not_survive(tmp_path: Path) -> None:
    batch.run([job("passes", tmp_path, word="old")])
    again = Job("again", tmp_path / "passes" / "notebook.ipynb", {"word": "new"}, tmp_path / "again")
    batch.run([again])
    assert printed(executed(tmp_path / "again")) == f"new 1\n{CHECKOUT}\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((NOTEBOOKS / "no-parameters.ipynb").read_text(), "no cell with the tag 'parameters'"),
        ("{}", "is not a notebook"),
        ("not JSON", "is not a notebook"),
        (None, "is missing"),
    ],
)
def test_notebooks_that_cannot_be_executed(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "source.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=said):
        read(path)
    report = batch.run([Job("source", path, {}, tmp_path / "out")])
    assert report.outcomes[0].status == "failed"
    assert not (tmp_path / "out").exists()


def test_the_page_is_self_contained(tmp_path: Path) -> None:
    batch.run([job("shows", tmp_path)])
    page = (tmp_path / "shows" / "notebook.html").read_text()
    assert "data:image/png;base64," in page
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=[\"']([^\"']*)", page)
    assert [address for address in loaded if not address.startswith("data:")] == []
    assert "<script" not in page
    assert "@import" not in page


class TestManifest:
    def test_is_completed(self, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        source = nbformat.read(NOTEBOOKS / "passes.ipynb", as_version=4)
        source.cells[-2].source = (
            "from pathlib import Path\nfrom mlcl_utils.studies.manifest import write_manifest\n"
            f"write_manifest(Path({str(folder)!r}), {{'study': 'own', 'files': {{}}}})"
        )
        nbformat.write(source, tmp_path / "own.ipynb")
        report = batch.run([Job("own", tmp_path / "own.ipynb", {}, folder, digest=lambda: "abc")])
        assert report.exit_status == 0
        manifest = json.loads((folder / "manifest.json").read_text())
        names = ("notebook.html", "notebook.ipynb")
        assert manifest == {
            "study": "own",
            "digest": "abc",
            "files": {name: file_digest(folder / name) for name in names},
        }

    def test_what_is_up_to_date_is_not_executed(self, tmp_path: Path) -> None:
        for name in ("notebook.ipynb", "runs.csv"):
            (tmp_path / name).write_text("as it was")
        files = {name: file_digest(tmp_path / name) for name in ("notebook.ipynb", "runs.csv")}
        write_manifest(tmp_path, {"digest": "abc", "files": files})
        own = Job("fails", NOTEBOOKS / "fails.ipynb", {}, tmp_path, digest=lambda: "abc")
        report = batch.run([own])
        assert [outcome.status for outcome in report.outcomes] == ["up to date"]
        assert report.exit_status == 0
        assert (tmp_path / "notebook.ipynb").read_text() == "as it was"
        (tmp_path / "runs.csv").write_text("changed")
        assert batch.run([own]).outcomes[0].status == "failed"

    def test_a_notebook_that_leaves_none_has_failed(self, tmp_path: Path) -> None:
        write_manifest(tmp_path, {"study": "of an earlier execution", "files": {}})
        report = batch.run([Job("passes", NOTEBOOKS / "passes.ipynb", {}, tmp_path, digest=lambda: "abc")])
        assert report.outcomes[0].status == "failed"
        assert "manifest.json" in report.outcomes[0].reason
        assert not (tmp_path / "manifest.json").exists()


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    report = batch.run([Job("passes", NOTEBOOKS / "passes.ipynb", {}, tmp_path / "taken" / "out")])
    assert report.outcomes[0].status == "failed"
    assert "taken" in report.outcomes[0].reason


def test_what_reads_the_others_begins_when_all_of_them_have_ended(tmp_path: Path) -> None:
    saved: list[bool] = []
    others = [tmp_path / name / "notebook.ipynb" for name in ("passes", "shows")]

    def begins() -> str:
        saved.extend(path.is_file() for path in others)
        return "digest"

    last = Job(
        "last", NOTEBOOKS / "passes.ipynb", {"marks": str(tmp_path)}, tmp_path / "last", begins, last=True
    )
    report = batch.run([last, job("passes", tmp_path), job("shows", tmp_path)], parallel=3)
    assert saved == [True, True]
    assert [outcome.job.name for outcome in report.outcomes] == ["last", "passes", "shows"]
    assert [outcome.status for outcome in report.outcomes[1:]] == ["done", "done"]
