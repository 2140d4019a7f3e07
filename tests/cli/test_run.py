"""The label-space study from beginning to end, by `mlcl run` and by papermill, at the smallest size."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest
import yaml

from mlcl_utils import studies
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.runs import Store
from mlcl_utils.studies.manifest import file_digest

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
STUDY = studies.get("02_label_space")
# The part of the smoke grid that is on one set with one encoder, at 10 labels and all training data.
PART = (
    *("-p", "num_labels=10", "-p", "train_fractions=1", "-p", "label_draws=0"),
    *("-p", "datasets=debtags", "-p", "encoders=frozen"),
)


def command(results: Path, *arguments: str) -> list[str]:
    return [
        str(BIN / "mlcl"),
        "run",
        "02_label_space",
        "--preset",
        "smoke",
        "--results",
        str(results),
        *arguments,
    ]


def run(results: Path, *arguments: str) -> str:
    done = subprocess.run(
        command(results, *arguments), capture_output=True, text=True, timeout=600, cwd=results
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stored(results: Path) -> dict[str, int]:
    """When each stored run was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (results / "runs").glob("*/run.json")}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    assert "1 of 1 complete" in run(folder)
    return folder


@pytest.fixture(scope="module")
def table(results: Path) -> pd.DataFrame:
    return pd.read_csv(results / "02_label_space" / "smoke" / "runs.csv")


def test_all_that_belongs_to_results_is_there(results: Path) -> None:
    folder = results / "02_label_space" / "smoke"
    assert {path.name for path in folder.iterdir()} == {
        "notebook.ipynb",
        "notebook.html",
        "runs.csv",
        "scores.csv",
        "comparisons.csv",
        "tables",
        "figures",
        "manifest.json",
    }
    assert {path.suffix for path in (folder / "tables").iterdir()} == {".csv", ".tex"}
    figures = {path.name.partition(".")[0] for path in (folder / "figures").glob("*.pdf")}
    assert figures
    for name in figures:
        endings = {path.suffix for path in (folder / "figures").glob(f"{name}.*")}
        assert endings == {".pdf", ".svg", ".png", ".csv"}


def test_the_table_has_a_row_for_each_run(results: Path, table: pd.DataFrame) -> None:
    grid = {config.id: config for config in STUDY.grid(STUDY.resolve({"preset": "smoke"}))}
    assert sorted(table["run"]) == sorted(grid)
    assert list(table.columns[0:1]) == ["study"]
    assert {"study", "dataset", "loss", "num_labels", "replicate", "seed"} <= set(table.columns)
    assert set(table["study"]) == {"02_label_space"}
    assert all(Store(results).has(config) for config in grid.values())
    assert any(column.startswith("time_") for column in table.columns)
    assert any(column.startswith("mem_") for column in table.columns)


def test_the_executed_notebook_is_whole(results: Path) -> None:
    folder = results / "02_label_space" / "smoke"
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    page = (folder / "notebook.html").read_text()
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "<code>\\" not in page  # a formula that could not be drawn


def test_the_manifest_vouches_for_every_file(results: Path) -> None:
    folder = results / "02_label_space" / "smoke"
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert all(file_digest(folder / name) == digest for name, digest in manifest["files"].items())
    assert manifest["seeds"] == [0]
    assert manifest["compute"]["runs"] == len(stored(results))
    assert manifest["compute"]["failed"] == 0
    assert str(CHECKOUT) not in (folder / "manifest.json").read_text()


def test_figures_are_redrawn_from_what_was_saved(results: Path, tmp_path: Path) -> None:
    drawn = results / "02_label_space" / "smoke" / "figures"
    names = {path.name for path in drawn.glob("*.svg")}
    for venue in ("neurips", "acl"):
        arguments = [
            "--preset",
            "smoke",
            "--results",
            str(results),
            "--venue",
            venue,
            "--out",
            str(tmp_path / venue),
        ]
        done = subprocess.run(
            [str(BIN / "mlcl"), "figures", "02", *arguments], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert f"{len(names)} figures" in done.stdout
        assert {path.name for path in (tmp_path / venue).glob("*.svg")} == names
    # the notebook's own venue gives the notebook's own figures, to the byte
    for name in names:
        assert (tmp_path / "neurips" / name).read_bytes() == (drawn / name).read_bytes()
    assert all((tmp_path / "acl" / name).read_bytes() != (drawn / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--venue", "nerips"], "unknown venue 'nerips'; did you mean 'neurips'?"),
        (["--preset", "quick"], "no figures in"),
    ],
)
def test_figures_that_cannot_be_drawn(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [str(BIN / "mlcl"), "figures", "02", "--results", str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_again_it_is_up_to_date(results: Path) -> None:
    before = stored(results)
    begun = time.monotonic()
    assert "up to date" in run(results)
    assert time.monotonic() - begun < 60
    assert stored(results) == before


@pytest.mark.long
def test_other_workers_give_the_same_numbers(results: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    run(tmp_path, *PART, "-p", "workers=1")
    (again,) = (pd.read_csv(path) for path in tmp_path.glob("02_label_space/smoke-*/runs.csv"))
    assert 0 < len(again) < len(table)
    both = again.merge(table, on="run", suffixes=("", "_before"))
    assert len(both) == len(again)
    measured = set(table.select_dtypes("number").columns)  # what is empty in one part has another type
    numbers = [
        name
        for name in again.select_dtypes("number").columns
        if name in measured and not name.startswith(("time_", "mem_"))
    ]
    assert len(numbers) > 10
    for name in numbers:
        pd.testing.assert_series_equal(
            both[name], both[f"{name}_before"], check_names=False, check_exact=True
        )


def papermill(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    notebook = str(CHECKOUT / "notebooks" / "02_label_space.ipynb")
    command = [
        str(BIN / "papermill"),
        notebook,
        str(folder / "out.ipynb"),
        "-p",
        "preset",
        "smoke",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)


def test_papermill_alone_from_any_folder(results: Path, tmp_path: Path) -> None:
    before = stored(results)
    done = papermill(
        tmp_path, "-p", "results", str(results), "-p", "num_labels", "[10,30]", "-p", "epochs", "1"
    )
    assert done.returncode == 0, done.stderr
    assert stored(results) == before
    assert (results / "02_label_space" / "smoke" / "manifest.json").exists()
    assert "UsageError" not in (tmp_path / "out.ipynb").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["num_lables", "[10]"], "unknown parameter 'num_lables'; did you mean 'num_labels'?"),
        (["temperature", "warm"], "parameter 'temperature': 'warm' "),
    ],
)
def test_papermill_alone_with_bad_input(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = papermill(tmp_path, "-p", "results", str(tmp_path / "r"), "-p", *arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert not (tmp_path / "r").exists()


def test_what_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = (*PART, "-p", "seed=2", "-p", "workers=2")
    process = subprocess.Popen(command(tmp_path, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while len(stored(tmp_path)) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    _, remaining = psutil.wait_procs(family, timeout=30)
    assert remaining == []
    before = stored(tmp_path)
    (saved,) = tmp_path.glob("02_label_space/smoke-*/notebook.ipynb")
    assert "interrupted by SIGINT" in nbformat.read(saved, as_version=4).cells[0].source
    assert "1 of 1 complete" in run(tmp_path, *arguments)
    after = stored(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before) > 0
    assert list(tmp_path.rglob(".*")) == []


def summary(out: str) -> tuple[int, int, int]:
    """Runs done, existed and failed, of all studies together."""
    found = re.search(r"complete; (\d+) runs? done, (\d+) existed, (\d+) failed; wall time ", out)
    assert found is not None, out
    done, existed, failed = map(int, found.groups())
    return done, existed, failed


def test_six_shells_at_once_train_nothing_twice(tmp_path: Path) -> None:
    arguments = PART
    begun = [
        subprocess.Popen(
            command(tmp_path, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    ended = [process.communicate(timeout=600) for process in begun]
    assert [process.returncode for process in begun] == [0] * 6, ended
    assert all("1 of 1 complete" in out for out, _ in ended)
    assert sum("up to date" in out for out, _ in ended) == 5
    assert sum(summary(out)[0] for out, _ in ended) == len(stored(tmp_path)) > 0
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.long
def test_six_notebooks_at_once_train_nothing_twice(tmp_path: Path) -> None:
    losses = ("asl", "focal", "prototype", "msc", "reg", "zlpr")
    entries = [
        {
            "study": "02_label_space",
            "preset": "smoke",
            "datasets": ["debtags"],
            "encoders": ["frozen"],
            "losses": ["bce", loss],
            "num_labels": [10],
            "train_fractions": [1.0],
            "label_draws": 0,
        }
        for loss in losses
    ]
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(entries))
    results = tmp_path / "results"
    begin = [str(BIN / "mlcl"), "run", "--sweep", str(tmp_path / "sweep.yaml"), "--results", str(results)]
    done = subprocess.run([*begin, "--jobs", "6"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 of 6 complete" in done.stdout
    tables = [pd.read_csv(path) for path in results.glob("02_label_space/smoke-*/runs.csv")]
    assert len(tables) == 6
    rows = sum(map(len, tables))
    distinct = set(pd.concat(tables)["run"])
    # all but one loss of each entry are runs that the others ask for too
    assert len(distinct) == len(tables[0]) + len(losses) - 1
    assert summary(done.stdout) == (len(distinct), rows - len(distinct), 0)
    assert set(stored(results)) == distinct
    assert list(results.rglob(".*")) == []
    again = subprocess.run([*begin, "--jobs", "2"], capture_output=True, text=True, timeout=600)
    assert (again.returncode, summary(again.stdout)) == (0, (0, 0, 0))
    assert again.stdout.count("  up to date  ") == 6
