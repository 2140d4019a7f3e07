"""Sweep files: what they ask for, and what is refused before anything starts."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mlcl_utils.cli.run import _job, _plan, _swept
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import CHECKOUT
from tests.cli.test_refusals import mlcl, refused

GOOD = """
# the smallest sizes, then more
- study: 02_label_space
  preset: smoke
- study: "02"
  preset: smoke
  num_labels: [10]
  losses: bce,reg
  temperature: 0.2
  epochs: null
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "sweep.yaml"
    file.write_text(text)
    return file


def test_what_a_sweep_would_do(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    done = mlcl("run", "--dry-run", "--sweep", str(file), "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    first, first_runs, second, second_runs = done.stdout.splitlines()
    assert first == f"02_label_space (smoke): to be executed, in {tmp_path}/results/02_label_space/smoke"
    assert second.startswith(
        f"02_label_space (smoke): to be executed, in {tmp_path}/results/02_label_space/smoke-"
    )
    assert int(first_runs.split()[3].rstrip(",")) > int(second_runs.split()[3].rstrip(",")) > 0
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "- study: 02_label_space\n  num_lables: [10]",
            "unknown parameter 'num_lables'; did you mean 'num_labels'?",
        ),
        ("- study: 02_label_space\n  num_labels: [ten]", "entry 1: parameter 'num_labels': 'ten' "),
        ("- study: 02_label_space\n  num_labels: {a: 1}", "entry 1: parameter 'num_labels': {'a': 1} "),
        ("- study: 02_label_space\n  replicates: yes", "entry 1: parameter 'replicates': 'yes' "),
        ("- study: 02_label_space\n  temperature: -1", "entry 1: parameter 'temperature': '-1' "),
        ("- study: 02_label_space\n  losses: [bce, regg]", "unknown loss 'regg'; did you mean 'reg'?"),
        ("- study: 02_label_space\n  preset: smok", "entry 1: unknown preset 'smok'; did you mean 'smoke'?"),
        ("- study: 02_label_space\n  preset: 3", "entry 1: unknown preset '3'"),
        ("- study: 02_label_space\n  device: tpu", "entry 1: unknown device 'tpu'"),
        (
            "- study: 02_label_space\n- study: 02_label_spice",
            "entry 2: unknown study '02_label_spice'; did you mean '02_label_space'?",
        ),
        ("- study:\n", "entry 1: study None should be a name"),
        ("- preset: smoke", "entry 1: should begin with 'study: NAME'"),
        ("- 02_label_space", "entry 1: should begin with 'study: NAME'"),
        ("- study: 02_label_space\n  5: 6", "entry 1: unknown parameter '5'"),
        (
            "- study: 02_label_space\n  epochs: 2\n  epochs: 3",
            "entry 1: 'epochs' is given twice, in lines 2 and 3",
        ),
        ("- study: 02_label_space\n- study: 02_label_space\n  epochs: 10", "entry 2: the same as entry 1"),
        ("study: 02_label_space", "should be a list of entries"),
        ("[]", "should be a list of entries"),
        ("", "should be a list of entries"),
        ("- study: [", "is not YAML: line 1, column 11: "),
        ("a: b: c", "is not YAML: line 1, column 5: "),
        ("- !!python/object:os.system {}", "entry 1: line 1: the tag "),
        ("\x00", "is not YAML"),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UsageError) as refusal:
        _swept(file, {})
    assert str(file) in str(refusal.value)
    assert said in str(refusal.value)


def test_the_example_of_the_page_on_batches() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "docs" / "batch.md").read_text(), re.DOTALL)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(example)
        file.flush()
        planned = _swept(Path(file.name), {})
    assert [one.parameters.preset for one in planned] == ["quick"] * 3
    assert [one.parameters.losses for one in planned[1:]] == [("bce", "reg")] * 2


def test_a_folder_that_is_none_is_not_given(tmp_path: Path) -> None:
    file = write(tmp_path, "- study: 02_label_space\n  preset: smoke\n  data_root: null\n  results: null")
    (swept,) = _swept(file, {})
    (named,) = _plan(["02"], {"preset": "smoke", "data_root": "none", "results": str(tmp_path / "results")})
    plain, other = _job(swept, alone=True), _job(named, alone=True)
    assert (plain.parameters["data_root"], plain.parameters["results"]) == (None, "results")
    assert (other.parameters["data_root"], other.folder) == (None, named.folder)
    assert Path(other.parameters["results"]) == tmp_path / "results"


def test_refused_by_the_command(tmp_path: Path) -> None:
    file = write(tmp_path, "- study: 02_label_space\n  num_lables: [10]")
    results = ("--results", str(tmp_path / "results"))
    sweep = ("run", "--sweep", str(file), *results)
    assert refused(mlcl(*sweep)) == (
        f"mlcl: {file}, entry 1: unknown parameter 'num_lables'; did you mean 'num_labels'?\n"
    )
    write(tmp_path, GOOD)
    assert "study '02' and --sweep" in refused(mlcl(*sweep, "02"))
    twice = refused(mlcl(*sweep, "--preset", "smoke"))
    assert "entry 1: parameter 'preset' is given here and on the command line" in twice
    assert "missing.yaml': No such file" in refused(
        mlcl("run", "--sweep", str(tmp_path / "missing.yaml"), *results)
    )
    assert "Is a directory" in refused(mlcl("run", "--sweep", str(tmp_path), *results))
    file.write_bytes(b"- study: \xff")
    assert "is not YAML" in refused(mlcl(*sweep))
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_kernel(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['ipykernel'] = None\n"
        f"sys.argv = ['mlcl', 'run', '--results', {str(tmp_path / 'results')!r}]\n"
        "from mlcl_utils.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the package 'ipykernel' is missing" in refused(done)
    assert list(tmp_path.iterdir()) == []
