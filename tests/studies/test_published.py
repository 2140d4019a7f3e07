"""The results that are committed: complete, of today's sources of truth, and repeatable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlcl_utils import studies
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import published, verification
from mlcl_utils.studies.manifest import MANIFEST, file_digest

FOLDERS = [
    folder
    for name in studies.names()
    if (folder := CHECKOUT / "results" / name / "standard" / MANIFEST).is_file()
]
NAMES = [manifest.parents[1].name for manifest in FOLDERS]


@pytest.mark.parametrize("manifest", FOLDERS, ids=NAMES)
def test_every_file_is_there_and_as_it_was(manifest: Path) -> None:
    files = json.loads(manifest.read_text())["files"]
    assert {"notebook.ipynb", "notebook.html"} <= set(files)
    for name, expected in files.items():
        assert file_digest(manifest.parent / name) == expected, name


@pytest.mark.parametrize("manifest", FOLDERS, ids=NAMES)
def test_they_were_judged_by_the_claims_of_today(manifest: Path) -> None:
    table = manifest.parent / "tables" / "claims.csv"
    if not published.of(manifest.parents[1].name) and not studies.get(manifest.parents[1].name).last:
        assert not table.exists()
        return
    assert published.digest() in table.read_text()


@pytest.mark.parametrize("manifest", FOLDERS, ids=NAMES)
def test_five_replicates_at_least(manifest: Path) -> None:
    content = json.loads(manifest.read_text())
    if content["compute"]["runs"]:
        assert content["parameters"]["replicates"] >= 5


@pytest.mark.slow
@pytest.mark.parametrize("manifest", FOLDERS, ids=NAMES)
def test_a_run_of_them_repeats(manifest: Path) -> None:
    if not (manifest.parent / "runs.csv").is_file():
        return
    (again,) = verification.repeat(manifest.parent, count=1, seed=3)
    assert again.differing == {}
    assert again.metrics > 1


def test_together_they_are_small_enough() -> None:
    kept = [path for manifest in FOLDERS for path in manifest.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 40e6
