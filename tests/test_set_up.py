"""The files that set the project up agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
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
            for extra in ("dev", "ray", "transformers")
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
