"""Disks that are full or read-only, and the environment of Python: one line, nothing half-written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_refusals import MLCL, mlcl
from tests.disks import mounted, read_only


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """The one short line on standard error."""
    assert done.returncode in {1, 2}, done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mlcl: ")]
    assert "Traceback" not in done.stderr
    assert len(line) < 250
    return line


def test_figures_on_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 256) as disk:
        line = failed(mlcl("figures", "03", "--preset", "standard", "--out", str(disk / "out")))
        assert line.startswith(f"mlcl: '{disk / 'out'}/")
        assert line.endswith(": No space left on device")
        assert not list(disk.rglob(".*"))  # what is there is whole


def test_a_sheet_on_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 64) as disk:
        (disk / "sheet.png").write_bytes(b"as it was")
        line = failed(mlcl("data", "show", "emoji", "--sheet", str(disk / "sheet.png")))
        assert line == f"mlcl: --sheet {disk / 'sheet.png'} cannot be written: No space left on device"
        assert {path.name: path.read_bytes() for path in disk.iterdir()} == {"sheet.png": b"as it was"}


def test_a_sheet_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "sheet.webp").symlink_to(tmp_path / "elsewhere.webp")
    assert mlcl("data", "show", "emoji", "--sheet", str(tmp_path / "sheet.webp")).returncode == 0
    assert (tmp_path / "sheet.webp").is_symlink()
    assert (tmp_path / "elsewhere.webp").read_bytes()[8:12] == b"WEBP"


def test_results_that_can_only_be_read(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 64) as disk:
        (disk / "runs").mkdir()
        read_only(disk)
        assert mlcl("runs", "list", "--results", str(disk)).stdout.startswith("0 runs")
        for command in (["run", "02"], ["search", "debtags", "--loss", "bce"]):
            line = failed(mlcl(*command, "--results", str(disk)))
            assert f"no permission to write in '{disk}'" in line


def test_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([MLCL, "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "mlcl: No space left on device\n")


def figures_of_03(folder: Path, **environment: str) -> dict[str, bytes]:
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "MPL"))}
    command = [MLCL, "figures", "03", "--preset", "standard", "--out", folder]
    subprocess.run(command, env=usual | environment, check=True, timeout=120)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The figures of a study's results in the usual environment."""
    return figures_of_03(tmp_path_factory.mktemp("usual") / "figures")


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        # none of these has to do with another: together they change as little as each
        {
            "PYTHONIOENCODING": "ascii",
            "HOME": "/nowhere",
            "MPLBACKEND": "of nobody",
            "PYTHONHASHSEED": "7",
            "TZ": "Asia/Kolkata",
        },
    ],
    ids=str,
)
def test_the_environment_changes_no_figure(
    usual: dict[str, bytes], tmp_path: Path, environment: dict[str, str]
) -> None:
    """Those of the results that ship are drawn to the same bytes, and letters that a terminal lacks stop nothing."""
    changed = figures_of_03(tmp_path / "figures", **environment)
    assert changed.keys() == usual.keys()
    assert [name for name in usual if changed[name] != usual[name]] == []
    assert mlcl("losses", **environment).returncode == 0


def test_python_without_docstrings() -> None:
    assert "PYTHONOPTIMIZE" in failed(mlcl("losses", PYTHONOPTIMIZE="2"))
