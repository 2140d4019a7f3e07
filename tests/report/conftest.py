"""Results that the tests of the report read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.report import made


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results in every state, made once; tests that change something copy what they need."""
    return made.everything(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.whole(tmp_path_factory.mktemp("complete")).parents[1]


@pytest.fixture
def own(complete: Path, tmp_path: Path) -> Path:
    """Complete results of the test's own: ``results/02_label_space/quick``."""
    shutil.copytree(complete, tmp_path / "results")
    return tmp_path / "results" / made.STUDY / "quick"
