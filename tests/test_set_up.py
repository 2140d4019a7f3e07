"""The files that set the project up agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LOCK = (CHECKOUT / "requirements.lock").read_text()
PINNED = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", LOCK, re.MULTILINE))


def minimum(requirement: str) -> tuple[str, tuple[int, ...]]:
    name, _, version = requirement.partition(">=")
    return name.lower().replace("_", "-"), tuple(map(int, version.split(".")))


@pytest.mark.parametrize(
    "requirement",
    [
        *PROJECT["project"]["dependencies"],
        *(
            requirement
            for extra in ("sklearn", "studies", "dev", "ray", "transformers")
            for requirement in PROJECT["project"]["optional-dependencies"][extra]
        ),
    ],
)
def test_the_lock_pins_every_dependency_within_its_bounds(requirement: str) -> None:
    name, least = minimum(requirement)
    assert name in PINNED
    assert tuple(map(int, re.findall(r"\d+", PINNED[name])[:3])) >= least


def test_what_builds_the_package_is_locked() -> None:
    assert {minimum(requirement)[0] for requirement in PROJECT["build-system"]["requires"]} <= set(PINNED)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-uv.lock"])
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = (CHECKOUT / name).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_conda_installs_the_same_lock() -> None:
    environment = yaml.safe_load((CHECKOUT / "environment.yml").read_text())
    python, _, packages = environment["dependencies"]
    assert packages == {"pip": ["-r requirements.lock"]}
    version = tuple(map(int, python.removeprefix("python=").split(".")))
    lower, upper = re.findall(r"(\d+)\.(\d+)", PROJECT["project"]["requires-python"])
    assert tuple(map(int, lower)) <= version < tuple(map(int, upper))


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]


@pytest.mark.parametrize(
    "target",
    [
        "help",
        "setup",
        "studies",
        "test",
        "test-browser",
        "coverage",
        "lint",
        "docs",
        "readme",
        "cells",
        "format",
        "mutants",
        "clean",
    ],
)
def test_make_knows_its_targets(target: str) -> None:
    subprocess.run(["make", "-n", target], cwd=CHECKOUT, check=True, capture_output=True)


def test_make_says_which_python_it_needs() -> None:
    command = ["make", "--always-make", "setup", "PYTHON="]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "3.11" in done.stderr


def test_the_core_needs_three_packages() -> None:
    names = [minimum(requirement)[0] for requirement in PROJECT["project"]["dependencies"]]
    assert names == ["numpy", "scipy", "torch"]


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
EXTRAS = PROJECT["project"]["optional-dependencies"]
MODULES = {"beautifulsoup4": "bs4", "pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}


def without(extra: str, code: str, *, kept: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The outcome of code where the packages of an extra can't be imported."""
    names = {minimum(requirement)[0] for requirement in EXTRAS[extra]} - set(kept)
    absent = {MODULES.get(name, name) for name in names}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(absent=absent) + code],
        cwd="/",
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )


def test_losses_heads_metrics_and_statistics_need_no_more_than_the_core() -> None:
    code = """
import torch
from mlcl_utils import losses, metrics, stats
from mlcl_utils.models import heads
from mlcl_utils.training.parallel import gather
labels = torch.eye(3).repeat(4, 1)
for name in losses.names():
    criterion = losses.create(name)
    made = heads.for_loss(criterion, 8, 3)
    rows = torch.randn(12, 8, requires_grad=True)
    given = made(rows, rows) if "views" in made.tensors else made(rows)
    index = {"index": torch.arange(12)} if "index" in criterion.tensors else {}
    criterion(labels, **given, **index).backward()
scores = torch.randn(12, 3)
print(metrics.evaluate(labels, scores, metrics.tune_thresholds(labels, scores))["map"] > 0)
print(stats.holm(scores[0].sigmoid().numpy()) is not None)
"""
    done = without("studies", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


def test_a_command_without_its_packages_says_in_a_line_what_to_install() -> None:
    done = without("studies", "sys.argv[1:] = ['losses']\nfrom mlcl_utils.cli import main; main()")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlcl: needs click, ")
    assert "pip install 'mlcl-studies[studies]'" in line


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel of the project puts among the installed packages."""
    folder = tmp_path_factory.mktemp("wheel")
    builds = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(builds, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = folder.glob("mlcl_studies-*.whl")
    assert wheel.stat().st_size < 2_000_000
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "embedded/" in name]
        archive.extractall(folder / "installed")
    return folder


def installed(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The outcome of ``mlcl`` from a wheel, in a working directory that is no checkout."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if k != "MLCL_EMBEDDED_DATA"}
    return subprocess.run(
        [sys.executable, "-P", "-c", "from mlcl_utils.cli import main; main()", *arguments],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(folder / "installed")} | variables,
    )


def test_a_wheel_holds_no_data_and_its_commands_say_what_needs_the_repository(unpacked: Path) -> None:
    done = installed(unpacked, "losses")
    assert done.returncode == 0, done.stderr
    assert "reg" in done.stdout
    for command in ("run", "list", "show", "report", "search"):
        refused = installed(unpacked, command)
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert line.startswith(f"mlcl: mlcl {command} needs the repository")
    assert [path.name for path in (unpacked / "installed").iterdir() if path.suffix != ".dist-info"] == [
        "mlcl_utils"
    ]


def test_data_of_a_checkout_are_found_where_a_variable_says(unpacked: Path) -> None:
    missing = installed(unpacked, "data", "list")
    assert "set MLCL_EMBEDDED_DATA to the folder mlcl_utils/data/embedded of a checkout" in missing.stdout
    there = str(CHECKOUT / "mlcl_utils" / "data" / "embedded")
    found = installed(unpacked, "data", "check", "fashion-scenes", MLCL_EMBEDDED_DATA=there)
    assert found.returncode == 0, found.stdout + found.stderr
