"""The results that are committed: complete, of today's sources of truth, and repeatable."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import published, verification
from mlcl_utils.studies.manifest import MANIFEST, file_digest
from mlcl_utils.training import BASELINES

FOLDERS = [
    folder
    for name in studies.names()
    if (folder := CHECKOUT / "results" / name / "standard" / MANIFEST).is_file()
]
SPLIT = ("dataset", "encoder", "num_labels", "replicate", "train_fraction", "kept_share", "one_positive")
TOLD_APART = ("01_missing_labels", "02_label_space", "03_vision_text", "04_temperature")
"""Studies whose arms are losses or temperatures; those of the others are parts of a loss, or alike by design."""

CLAIMS_OF_RULE_1 = "aab6808f466c6b8aaaabd6bd0af1b0e77afe81e74ba2fc89dadc7fed10573b2f"
"""Of ``notebooks/claims.toml`` as it was for the results of rule 1."""

TRAINER_4 = "2026-12-01"
"""Results that are older come from a trainer whose runs nothing repeats, and `mlcl verify` says so."""

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
    rows = pd.read_csv(table)
    if "rule" not in rows:
        assert set(rows["claims_sha256"]) == {CLAIMS_OF_RULE_1}
        return
    for name, own in rows.groupby("study"):
        assert set(own["claims_sha256"]) == {published.digest(str(name))}


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
    if json.loads(manifest.read_text())["finished"] < TRAINER_4:
        with pytest.raises(UsageError, match="another version than it was made with"):
            list(verification.repeat(manifest.parent, count=1, seed=3))
        return
    (again,) = verification.repeat(manifest.parent, count=1, seed=3)
    assert again.differing == {}
    assert again.metrics > 1


@pytest.mark.parametrize("manifest", FOLDERS, ids=NAMES)
def test_tolerances_of_another_processor_tell_arms_apart(manifest: Path) -> None:
    """Two arms on one split are another code to each other: most pairs differ by more than two processors may."""
    path = manifest.parent / "runs.csv"
    if manifest.parents[1].name not in TOLD_APART:
        return
    rows = pd.read_csv(path, low_memory=False)
    rows = rows[~rows["loss"].isin(BASELINES) & (rows["column"] != "trial")]
    read = ("direct_", "probe_", "projection_", "neighbours_", "uniformity", "tolerance", "effective_rank")
    metrics = [
        name for name in rows if name.startswith(read) and name not in ("probe_penalty", "probe_at_edge")
    ]
    allowed = np.array([verification.tolerance(name) for name in metrics])
    found = []
    for _, split in rows.groupby([name for name in SPLIT if name in rows], dropna=False):
        values = split[metrics].to_numpy(float)
        for one, other in itertools.combinations(values, 2):
            found.append(bool((np.abs(one - other) / np.maximum(1, np.abs(one)) > allowed).any()))
    assert len(found) > 900
    assert np.mean(found) > 0.75


def test_together_they_are_small_enough() -> None:
    kept = [path for manifest in FOLDERS for path in manifest.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 40e6
