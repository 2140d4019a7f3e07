"""Sweep files: what they ask for, and what is refused before anything starts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcl_utils import studies, written, yaml_values
from mlcl_utils.batch import sweep
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


WORDS = ["1e-3", "5e-2", "1e1", "010", "0x10", "1_000", "1:30", "12", "0.5", ".5", "+3", "-1", "yes", "off", "True",
         "2020-01-01", ".inf", "nan", "1e400", "null", "none", "bce", "1.", "0b11", "4_2.5e-1"]  # fmt: skip


def resolved(given: dict[str, Any], name: str) -> str:
    """The value that a parameter gets, or the refusal."""
    try:
        return repr(getattr(studies.get("02_label_space").resolve({"preset": "smoke", **given}), name))
    except UsageError as error:
        return str(error)


def swept(folder: Path, parameter: str) -> Any:
    (entry,) = sweep.read(write(folder, f"- study: 02_label_space\n  {parameter}\n"))
    return {name: value for name, value in entry.items() if name != "study"}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_means_what_it_means_on_the_command_line(tmp_path: Path, word: str) -> None:
    for name in ("temperature", "epochs", "seed", "losses", "device"):
        assert resolved(swept(tmp_path, f"{name}: {word}"), name) == resolved({name: word}, name)
        assert resolved(swept(tmp_path, f"{name}: '{word}'"), name) == resolved({name: word}, name)
    for setting in ("learning_rate", "batch_size", "ema", "compile"):
        there = swept(tmp_path, f"recipe: {{{setting}: {word}}}")
        if word != "null":  # which is nothing in YAML, and a word on the command line
            assert resolved(there, "recipe") == resolved({"recipe": f"{setting}={word}"}, "recipe")


@pytest.mark.parametrize(
    "words", [("1e1", "0x10"), ("10", "3e1"), ("010", "1e1"), ("1e-1", "2"), ("a", "1"), ("yes",)]
)
@pytest.mark.parametrize("name", ["num_labels", "train_fractions", "losses"])
def test_a_list_means_what_it_means_on_the_command_line(
    tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    text = ", ".join(words)
    accepted = [
        found.startswith("(")
        for found in (
            resolved(swept(tmp_path, f"{name}: [{text}]"), name),
            resolved({name: f"[{text}]"}, name),
            resolved({name: text}, name),
        )
    ]
    assert accepted[0] == accepted[1] == accepted[2]
    if accepted[0]:
        assert resolved(swept(tmp_path, f"{name}: [{text}]"), name) == resolved({name: f"[{text}]"}, name)


_TEXTS, _NAMES = st.text("abc e-_.0", max_size=6), st.text("abc", min_size=1, max_size=3)


@given(
    st.recursive(
        st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), _TEXTS),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_what_json_says_a_sweep_says(value: Any) -> None:
    """Numbers and truth values in mappings are themselves at any depth, and quoted words are text."""

    def words(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: words(each) for name, each in value.items()}
        if isinstance(value, list):
            return [words(each) for each in value]
        return value if isinstance(value, str) else json.dumps(value)

    node = yaml_values.yaml_node(json.dumps({"value": value}))
    assert node is not None
    assert yaml_values.yaml_value(node, str) == {"value": words(value)}
    assert yaml_values.yaml_value(node, written.plain) == {"value": value}


def test_anchors_and_merges(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "- &first\n  study: '02'\n  preset: smoke\n  recipe: &recipe {learning_rate: 1e-3, batch_size: 32}\n"
        "- <<: *first\n  recipe: {<<: [{ema: 0.5}, *recipe], batch_size: 64}\n",
    )
    first, second = (one.parameters for one in _swept(file, {}))
    assert first.recipe == {"learning_rate": 1e-3, "batch_size": 32}
    assert second.recipe == {"learning_rate": 1e-3, "batch_size": 64, "ema": 0.5}
    assert second.preset == "smoke"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipe:\n    ema: 0.5\n    ema: 0.5", "'ema' is given twice, in lines 3 and 4"),
        ("recipe:\n    ema: 0.5\n    'ema': 0.9", "'ema' is given twice, in lines 3 and 4"),
        ("config: [{loss: bce, values: {a: 1,\n    a: 2}}]", "'a' is given twice, in lines 2 and 3"),
        ("<<: {}\n  <<: {}", "'<<' is given twice, in lines 2 and 3"),
        ("<<: 5", "line 2: << takes a mapping"),
        ("? [a]\n  : 5", "line 2: a list or mapping is no key"),
        ("epochs: !!int 5", "line 2: the tag tag:yaml.org,2002:int is not known"),
        ("epochs: !!python/object/apply:os.getcwd []", "line 2: the tag "),
        ("num_labels: &all [*all]", "an alias that is part of itself"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"  {b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)),
            "more than 100,000 values",
        ),
        ("epochs: " + "[" * 20_000, "nested too deep"),
        ("epochs: *nowhere", "line 2, column 11: found undefined alias 'nowhere'"),
    ],
)  # fmt: skip
def test_what_yaml_has_besides_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, f"- study: 02_label_space\n  {text}")
    with pytest.raises(UsageError) as refusal:
        _swept(file, {})
    assert str(file) in str(refusal.value)
    assert said in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


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
