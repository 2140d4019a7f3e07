"""What `mlcl` shows, and what it does to stored runs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcl_utils import data, losses, studies
from mlcl_utils.runs import RunConfig, Store

MLCL = Path(sys.executable).with_name("mlcl")


def mlcl(*arguments: str, folder: Path | None = None) -> str:
    done = subprocess.run([str(MLCL), *arguments], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["list", "--help"], ["data", "-h"], ["report", "-h"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = ('torch', 'pandas', 'numpy', 'pydantic', 'nbclient', 'nbformat', 'matplotlib', 'sklearn')\n"
        "atexit.register(lambda: print('HEAVY', [name for name in heavy if name in sys.modules]))\n"
        f"sys.argv = ['mlcl', *{arguments!r}]\n"
        "from mlcl_utils.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: mlcl")
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_refusal_imports_no_torch() -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print([name for name in ('torch', 'pandas') if name in sys.modules]))\n"
        "sys.argv = ['mlcl', 'run', '-p', 'temperature=warm']\n"
        "from mlcl_utils.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "[]\n")


def test_list(tmp_path: Path) -> None:
    shown = mlcl("list", folder=tmp_path)
    for name in studies.names():
        assert name in shown
        assert studies.get(name).question in shown


@pytest.mark.parametrize("word", ["02_label_space", "02"])
def test_show(tmp_path: Path, word: str) -> None:
    shown = mlcl("show", word, "--preset", "smoke", "--results", str(tmp_path))
    study = studies.get("02_label_space")
    assert study.question in shown
    assert "notebooks/02_label_space.ipynb" in shown
    for name, info in study.Parameters.model_fields.items():
        assert name in shown
        assert str(info.description) in shown
    assert f"{tmp_path}/02_label_space/smoke: none yet" in shown


def test_losses() -> None:
    shown = mlcl("losses")
    for name, info in losses.available().items():
        assert f"\n{name}  ({info.family}; " in f"\n{shown}"
        assert info.paper in shown


def test_bench_losses(tmp_path: Path) -> None:
    shown = mlcl("bench", "losses", "--size", "8,4,16", "--repeats", "1", "--out", str(tmp_path / "out"))
    with (tmp_path / "out" / "losses.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["loss"] for row in rows} == set(losses.names())
    assert {(row["batch"], row["labels"], row["dim"]) for row in rows} == {("8", "4", "16")}
    assert all(name in shown for name in losses.names())


def test_data() -> None:
    lines = mlcl("data").splitlines()
    assert [line.split()[0] for line in lines] == list(data.names())
    assert data.version("debtags") in lines[0]
    assert mlcl("data", "check", "debtags") == "debtags: whole\n"


def test_data_show() -> None:
    shown = mlcl("data", "show", "debtags")
    dataset = data.load("debtags")
    assert f"{len(dataset)} examples in {len(np.unique(dataset.groups))} groups" in shown
    most = dataset.label_names[int((dataset.labels == 1).sum(axis=0).argmax())]
    assert most in shown
    first = dataset.texts()[0].split()[0]
    assert shown.partition("\nexamples\n")[2].startswith(f"  {first}")


def test_data_show_draws_a_sheet(tmp_path: Path) -> None:
    shown = mlcl("data", "show", "fashion-scenes", "--sheet", str(tmp_path / "sheet.png"))
    assert f"a sheet of examples: {tmp_path / 'sheet.png'}" in shown
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (110 + 8 * 72, 10 * 74)  # ten labels, eight examples each
        assert np.asarray(image.convert("L"))[:, 110:].std() > 20  # not blank
    done = subprocess.run(
        [MLCL, "data", "show", "debtags", "--sheet", str(tmp_path / "no.png")], capture_output=True, text=True
    )
    assert (done.returncode, "holds no images, but texts" in done.stderr) == (2, True)
    done = subprocess.run(
        [MLCL, "data", "show", "emoji", "--sheet", str(tmp_path / "no.what")], capture_output=True, text=True
    )
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results"
    shown = mlcl("run", "--dry-run", "--preset", "smoke", "--results", str(results))
    study = studies.get("02_label_space")
    grid = {config.id for config in study.grid(study.resolve({"preset": "smoke"}))}
    assert f"runs to do {len(grid)}, existing 0" in shown
    assert not results.exists()


class TestStoredRuns:
    def store(self, results: Path, *configs: RunConfig) -> Store:
        store = Store(results)
        for config in configs:
            (store.folder / config.id).mkdir(parents=True)
            empty = {"metrics": {}, "facts": {}, "history": [], "environment": {}}
            stored = {"config": config.as_dict(), "timings": {"time_total": 30.0}, **empty}
            (store.folder / config.id / "run.json").write_text(json.dumps(stored))
        return store

    def configs(self) -> list[RunConfig]:
        """Three runs that the smoke preset asks for, and one that no preset asks for."""
        study = studies.get("02_label_space")
        wanted = study.grid(study.resolve({"preset": "smoke"}))[:3]
        return [*wanted, *study.grid(study.resolve({"preset": "smoke", "seed": 77}))[:1]]

    def test_list(self, tmp_path: Path) -> None:
        assert mlcl("runs", "--results", str(tmp_path)).startswith("0 runs, 0 B")
        self.store(tmp_path, *self.configs())
        assert mlcl("runs", "--results", str(tmp_path)).startswith("4 runs, ")

    def test_dry_run_knows_them(self, tmp_path: Path) -> None:
        self.store(tmp_path, *self.configs())
        shown = mlcl("run", "--dry-run", "--preset", "smoke", "--results", str(tmp_path), "-p", "workers=1")
        study = studies.get("02_label_space")
        total = len({config.id for config in study.grid(study.resolve({"preset": "smoke"}))})
        assert (
            f"runs to do {total - 3}, existing 3; about {(total - 3) * 30 / 60:.0f} min on 1 worker" in shown
        )

    def test_prune_removes_what_no_study_refers_to(self, tmp_path: Path) -> None:
        *wanted, unwanted = self.configs()
        store = self.store(tmp_path, *wanted, unwanted)
        assert mlcl("runs", "prune", "--dry-run", "--results", str(tmp_path)).startswith(
            "1 runs would be removed"
        )
        assert store.has(unwanted)
        assert mlcl("runs", "prune", "--results", str(tmp_path)).startswith("1 runs removed")
        assert not store.has(unwanted)
        assert all(map(store.has, wanted))

    def test_prune_spares_what_a_table_names(self, tmp_path: Path) -> None:
        *_, other = self.configs()
        store = self.store(tmp_path, other)
        table = tmp_path / "02_label_space" / "smoke-12345678" / "runs.csv"
        table.parent.mkdir(parents=True)
        with table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["study", "run"])
            writer.writeheader()
            writer.writerow({"study": "02_label_space", "run": other.id})
        assert mlcl("runs", "prune", "--results", str(tmp_path)).startswith("0 runs removed")
        assert store.has(other)


def test_output_may_be_cut_short() -> None:
    command = f"{MLCL} losses | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
