"""What `mlcl` refuses: exit status 2, at most two lines that name the word, and nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlcl_utils.data import registry

MLCL = Path(sys.executable).with_name("mlcl")


def mlcl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MLCL), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a refusal."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert 1 <= len(done.stderr.splitlines()) <= 2
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["02_label_spice"], "unknown study '02_label_spice'; did you mean '02_label_space'?"),
        (["02_label_space", "nonsense"], "unknown study 'nonsense'"),
        (["-p", "num_lables=[10]"], "unknown parameter 'num_lables'; did you mean 'num_labels'?"),
        (["02", "-p", "num_labels=[0]"], "'num_labels': 0 "),
        (["-p", "num_labels=[10"], "'[10'"),
        (["02", "-p", "temperature=-1"], "'temperature': '-1' "),
        (["02", "-p", "temperature=warm"], "'temperature': 'warm' "),
        (["-p", "replicates=-3"], "'replicates': '-3' "),
        (["-p", "replicates=true"], "'replicates': 'true' "),
        (["-p", "preset=fats"], "unknown preset 'fats'"),
        (["--preset", "fats"], "unknown preset 'fats'"),
        (["-p", 'losses=["regg"]'], "unknown loss 'regg'; did you mean 'reg'?"),
        (["-p", "losses=[regg]"], "unknown loss 'regg'; did you mean 'reg'?"),
        (["-p", "datasets=debtag"], "unknown data set 'debtag'; did you mean 'debtags'?"),
        (["-p", "device=tpu9"], "unknown device 'tpu9'"),
        (["-p", "data_root=/nowhere/at/all"], "/nowhere/at/all"),
        (["-p", "datasets=~nobody-here/a.csv"], "'~nobody-here/a.csv' begins with the home of nobody"),
        (["--results", "~nobody-here/results"], "'~nobody-here/results' begins with"),
        (["-p", "epochs"], "-p 'epochs' has no value"),
        (["-p", "=3"], "-p '=3' has no value"),
        (["-p", "epochs=2", "-p", "epochs=3"], "parameter 'epochs' is given twice"),
        (["--preset", "smoke", "-p", "preset=quick"], "parameter 'preset' is given twice"),
        (["-p"], "'-p' requires an argument"),
        (["-p", "two\nlines=1"], "two\\nlines"),
        (["-p", "config=/nowhere.toml"], "config '/nowhere.toml' cannot be read: No such file"),
        (["05", "-p", "trials=2"], "trials 2: this study tunes nothing besides"),
        (["--engine", "rai"], "unknown engine 'rai'"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "many"], "many"),
        (["--timeout", "0"], "--timeout"),
        (["--prest", "smoke"], "--prest"),
        (["--dry-run", "-p", "epochs=0"], "'epochs': '0' "),
    ],
    ids=" ".join,
)
def test_run(tmp_path: Path, arguments: list[str], said: str) -> None:
    results = tmp_path / "results"
    assert said in refused(mlcl("run", "--results", str(results), *arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_cores_that_is_none(tmp_path: Path) -> None:
    done = mlcl("run", "02", "--preset", "smoke", "--results", str(tmp_path / "results"), MLCL_CORES="abc")
    assert "MLCL_CORES='abc' in the environment: give a whole number" in refused(done)
    assert list(tmp_path.iterdir()) == []


def test_results_that_are_a_file(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("as it was")
    assert "taken' is not a folder" in refused(mlcl("run", "--results", str(taken)))
    assert taken.read_text() == "as it was"


# A superuser whom permissions bind, or who cannot be made so.
_BOUND = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]
SUPERUSER = os.geteuid() == 0


@pytest.mark.skipif(SUPERUSER and shutil.which("setpriv") is None, reason="permissions do not bind root")
@pytest.mark.parametrize("below", [".", "below", "below/below"])
def test_results_that_cannot_be_written(tmp_path: Path, below: str) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    command = [*(_BOUND if SUPERUSER else []), str(MLCL), "run", "--results", str(locked / below)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert f"results '{locked / below}': no permission to write in '{locked}'" in refused(done)
    assert list(locked.iterdir()) == []


@pytest.fixture
def embedded(tmp_path: Path) -> Path:
    """A copy of the embedded data sets that may be damaged."""
    return Path(shutil.copytree(registry.folder("debtags"), tmp_path / "embedded" / "debtags")).parent


@pytest.mark.parametrize("name", ["features.safetensors", "labels.safetensors", "dataset.json"])
def test_a_flipped_byte_in_the_data(tmp_path: Path, embedded: Path, name: str) -> None:
    file = embedded / "debtags" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    results = tmp_path / "results"
    done = mlcl("run", "02_label_space", "--results", str(results), MLCL_EMBEDDED_DATA=str(embedded))
    message = refused(done)
    assert name in message
    assert "git checkout -- " in message
    assert not results.exists()


def test_a_missing_data_file(tmp_path: Path, embedded: Path) -> None:
    (embedded / "debtags" / "labels.safetensors").unlink()
    message = refused(mlcl("run", "--results", str(tmp_path / "r"), MLCL_EMBEDDED_DATA=str(embedded)))
    assert "labels.safetensors" in message
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
        (["data", "shwo"], "unknown command 'shwo'; did you mean 'show'?"),
        (["data", "show", "debtag"], "unknown data set 'debtag'; did you mean 'debtags'?"),
        (["data", "check", "debtag"], "unknown data set 'debtag'; did you mean 'debtags'?"),
        (["show", "02_label_spice"], "unknown study '02_label_spice'"),
        (["show"], "STUDY"),
        (["runs", "--results", "README.md"], "README.md' is not a folder"),
        (["runs", "--results", "resluts"], "there is no folder of results 'resluts'"),
        (["verify", "--results", "resluts"], "there is no folder of results 'resluts'"),
        (["bench", "losses", "--size", "64,0,8"], "--size '64,0,8'"),
        (["bench", "losses", "--device", "tpu9"], "tpu9"),
        (["runs", "purge"], "unknown command 'purge'; did you mean 'prune'?"),
        (["search", "debtag", "--loss", "bce"], "unknown data set 'debtag'; did you mean 'debtags'?"),
        (["search", "debtags", "--loss", "regg"], "unknown loss 'regg'; did you mean 'reg'?"),
        (["search", "debtags"], "--loss"),
        (["search", "debtags", "--loss", "instance"], "'instance' has no head of its own"),
        (["search", "debtags", "--loss", "bce", "--method", "hyperbnad"], "did you mean 'hyperband'?"),
        (["search", "debtags", "--loss", "bce", "--encoder", "cnn"], "'cnn' cannot read debtags"),
        (["search", "debtags", "--loss", "bce", "--num-labels", "5000"], "num_labels=5000"),
        (["search", "debtags", "--loss", "bce", "--eta", "1"], "--eta"),
        (
            ["search", "debtags", "--loss", "bce", "--space", "nowhere.toml"],
            "space 'nowhere.toml': cannot be read",
        ),
        (["search", "debtags", "--loss", "bce", "--results", "README.md"], "README.md' is not a folder"),
        (["--nonsense"], "--nonsense"),
    ],
    ids=" ".join,
)
def test_other_commands(arguments: list[str], said: str) -> None:
    assert said in refused(mlcl(*arguments))
