"""Runs of results done again, beside their table."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.studies import verification
from mlcl_utils.studies.execution import begin
from mlcl_utils.studies.manifest import processor

pytestmark = pytest.mark.slow

MLCL = str(Path(sys.executable).with_name("mlcl"))
KNOWN = ", family " in processor()
"""Whether this system tells the processor's generation; where it does not, bits are not asked for."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two studies at smoke size, without their notebooks: sums of losses, and tuned recipes."""
    results = tmp_path_factory.mktemp("results")
    for name, given in (
        ("01_missing_labels", {"datasets": "fashion-scenes"}),
        ("02_label_space", {"datasets": "debtags", "encoders": "bag,frozen", "recipe": "batch_size=128"}),
    ):
        execution = begin(
            studies.get(name), {"preset": "smoke", "results": str(results), "epochs": 1, **given}
        )
        execution.run()
        execution.finish()
    return results


def folders(made: Path) -> list[Path]:
    return [table.parent for table in sorted(made.glob("0*/*/runs.csv"))]


def test_every_row_of_a_table_is_its_configuration(made: Path) -> None:
    for folder in folders(made):
        rows = verification.drawn(folder, 10_000, 0)
        assert len(rows) > 10
        for row in rows:
            assert verification.config_of(row, None).id == row["run"]


def test_runs_repeat_to_the_bit(made: Path) -> None:
    for folder in folders(made):
        found = list(verification.repeat(folder, count=2, seed=1))
        assert [each.differing for each in found] == [{}, {}]
        assert all(each.exact == KNOWN and each.metrics > 20 for each in found)
        assert all(each.farthest[1] == 0 for each in found)


def test_what_differs_is_found(made: Path, tmp_path: Path) -> None:
    shutil.copytree(folders(made)[1], tmp_path / "copy")
    path = tmp_path / "copy" / "runs.csv"
    rows = pd.read_csv(path)
    rows = rows[rows["probe_map"].notna()].head(3)
    rows["probe_map"] += 1e-9
    rows.to_csv(path, index=False)
    found = list(verification.repeat(tmp_path / "copy", count=2, seed=0))
    assert ["probe_map" in each.differing for each in found] == [KNOWN, KNOWN]
    # on another processor the last digits do not count, but five points do
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    manifest["processor"] = "another"
    (tmp_path / "copy" / "manifest.json").write_text(json.dumps(manifest))
    found = list(verification.repeat(tmp_path / "copy", count=2, seed=0))
    assert not any(each.differing or each.exact for each in found)
    assert [each.farthest for each in found] == [("probe_map", pytest.approx(1e-9, rel=1e-3))] * 2
    rows["probe_map"] += 0.05
    rows["direct_map"] += 0.05
    rows.to_csv(path, index=False)
    assert all(each.differing for each in verification.repeat(tmp_path / "copy", count=2, seed=0))
    rows["probe_map"] -= 0.05
    rows["direct_map"] -= 0.05
    rows["probe_examples_ranked"] += 1  # a count is of the data, whatever the processor
    rows.to_csv(path, index=False)
    found = list(verification.repeat(tmp_path / "copy", count=2, seed=0))
    assert [set(each.differing) for each in found] == [{"probe_examples_ranked"}] * 2
    assert [each.farthest[0] for each in found] == ["probe_examples_ranked"] * 2


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        *((f"direct_{name}", 0.04) for name in ("map", "micro_ap", "ranking_loss")),
        *((f"probe_{name}", 0.04) for name in ("map_voc2007", "lrap", "validation_map", "ndcg_at_5")),
        *((f"probe_{name}", 0.1) for name in ("map_head", "map_unnamed", "precision_at_3_max")),
        *((name, 0.1) for name in ("projection_map", "neighbours_ndcg_at_1")),
        *(
            (f"probe_{name}", 0.15)
            for name in ("macro_f1", "macro_f1_half", "recall_named", "subset_accuracy", "coverage")
        ),
        *((name, 0.15) for name in ("direct_hamming_loss", "projection_coverage")),
        *(
            (f"projection_{name}", 0.3)
            for name in ("macro_f1", "macro_f1_head", "recall_named", "subset_accuracy", "hamming_loss")
        ),
        ("neighbours_micro_f1_per_label", 0.3),
        *((name, 0.15) for name in ("uniformity", "effective_rank", "tolerance_gap")),
        *((f"direct_{name}", 0.0) for name in ("labels_evaluated", "examples_ranked")),
        ("gradient_asl", 1.5),
    ],
)
def test_what_ranks_may_differ_less_than_what_has_a_threshold(name: str, allowed: float) -> None:
    assert verification.tolerance(name) == allowed


def test_one_arithmetic_is_one_processor_and_one_set_of_versions(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = json.loads((folders(made)[0] / "manifest.json").read_text())
    this = str(manifest["processor"])
    assert verification.same_arithmetic(manifest) == KNOWN
    for changed in (
        {"processor": this.partition(",")[0]},  # of an older manifest: the name of several generations
        {"processor": f"{this}1"},  # another model of the same name
        {"processor": this[:3]},
        {"processor": this[:-1]},
        {"processor": None},
        {"device": "NVIDIA H200"},
        {"packages": manifest["packages"] | {"torch": "2.0.0"}},
    ):
        assert not verification.same_arithmetic({**manifest, **changed})
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "another")
    assert not verification.same_arithmetic(manifest)


def test_rounding_is_no_difference(made: Path, tmp_path: Path) -> None:
    """What a sum of many terms differs by between two generations of processors of one name."""
    shutil.copytree(folders(made)[0], tmp_path / "copy")
    path = tmp_path / "copy" / "runs.csv"
    rows = pd.read_csv(path)
    rows = rows[rows["effective_rank"].notna()].head(2)
    rows["effective_rank"] *= 1 + 1e-12
    rows["jaccard_slope"] += 1e-13
    rows.to_csv(path, index=False)
    found = list(verification.repeat(tmp_path / "copy", count=2, seed=0))
    assert [each.differing for each in found] == [{}, {}]
    assert all(0 < each.farthest[1] < verification.ROUNDING for each in found)


def test_a_run_of_another_version_is_refused(made: Path) -> None:
    (row,) = verification.drawn(folders(made)[1], 1, 0)
    with pytest.raises(UsageError, match="cannot be repeated: data, loss or training have another version"):
        verification.config_of({**row, "run": "0" * 16}, None)


def test_from_the_command_line(made: Path, tmp_path: Path) -> None:
    command = [MLCL, "verify", "01", "--results", str(made), "--preset", "smoke", "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    # the results of the fixture lie in a folder of other parameters: epochs were given
    assert (done.returncode, done.stdout) == (2, "")
    assert "there are no results to verify" in done.stderr
    (given,) = (made / "01_missing_labels").iterdir()
    shutil.copytree(given, tmp_path / "01_missing_labels" / "smoke")
    command[4] = str(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "metrics identical" in done.stdout) == (0, True), done.stderr
    path = tmp_path / "01_missing_labels" / "smoke" / "runs.csv"
    rows = pd.read_csv(path)
    for name in rows.columns:
        if name.startswith(("probe_", "direct_")) and rows[name].dtype == float:
            rows[name] += 1e-9
    rows.to_csv(path, index=False)
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "metrics differ, such as" in done.stdout) == (1, True), done.stdout


def test_nothing_verified_is_no_success(tmp_path: Path) -> None:
    done = subprocess.run([MLCL, "verify", "--results", str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there are no results to verify" in done.stderr


def test_the_ledger_has_nothing_to_repeat() -> None:
    refused = subprocess.run([MLCL, "verify", "03", "00"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "00_claims has no runs of its own" in refused.stderr
