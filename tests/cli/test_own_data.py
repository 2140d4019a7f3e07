"""A user's own set on the command line: looked through, encoded, studied; and what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data, runs, studies
from mlcl_utils.data import features, user_sets
from mlcl_utils.files import file_digest
from mlcl_utils.paths import CHECKOUT
from tests.data.readers.conftest import SHARED, write_coco, write_image
from tests.data.test_user_sets import write_table
from tests.features.models import WORDS, write_text_model

MLCL = Path(sys.executable).with_name("mlcl")


def mlcl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MLCL), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the genuine files are not here")
    return SHARED


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    write_coco(tmp_path / "data" / "coco", train=30, validation=10)
    return tmp_path / "data"


def test_check_prints_what_a_study_would_see(coco: Path) -> None:
    write_image(coco / "coco" / "train2017" / "extra.jpg")
    before = files(coco)
    done = mlcl("data", "check", "coco", "--root", str(coco))
    assert done.returncode == 0, done.stderr
    dataset = data.load("coco", coco)
    cardinality = (dataset.labels == 1).sum() / 40
    for said in (
        "40 examples in 40 groups, 4 labels",
        f"{cardinality:.2f} labels an example, density {cardinality / 4:.4f}",
        "split 0 of 10: training 26, validation 4, test 10",
        "40 of the 123287 examples of the whole coco2017: an excerpt",
        f"1 images without annotation, such as {coco}/coco/train2017/extra.jpg",
        "coco: whole",
    ):
        assert said in done.stdout
    counts = dict(zip(dataset.label_names, (dataset.labels == 1).sum(axis=0), strict=True))
    listed = re.search(r"most frequent labels\n((?: +\d+  \w+\n)+)", done.stdout)
    assert listed is not None
    rows = [(int(count), name) for count, name in (line.split() for line in listed[1].splitlines())]
    assert rows == sorted(((count, name) for name, count in counts.items()), key=lambda row: -row[0])
    assert files(coco) == before


def test_check_names_every_image_that_cannot_be_read(coco: Path) -> None:
    folder = coco / "coco" / "train2017"
    cut, gone = folder / f"{105:012}.jpg", folder / f"{106:012}.jpg"
    cut.write_bytes(cut.read_bytes()[:-60])
    gone.unlink()
    done = mlcl("data", "check", "coco", "--root", str(coco))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert re.search(rf"mlcl: image {cut} cannot be decoded: .*truncated", done.stderr)
    assert f"mlcl: image {gone} is missing" in done.stderr
    assert "coco: whole" not in done.stdout


def test_check_says_what_became_of_every_column_of_a_table(tmp_path: Path) -> None:
    lines = [f"{i},words {i},{'NA' if i % 10 == 0 else 'ab'[i % 2]},{i % 5},Paris," for i in range(60)]
    (tmp_path / "t.csv").write_text("id,text,tags,stars,city,\n" + "\n".join(lines) + "\n")
    done = mlcl("data", "check", "t.csv", "--root", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "columns: text 'text', id 'id', labels 'tags'",
        "column 'stars': not used, because it holds numbers, and the texts are those of 'text'",
        "column 'city': not used, because it holds text, and the texts are those of 'text'",
        "6 labels are missing, written as 'NA', the first at line 2",
        "6 examples without a label",
    ):
        assert f"  {said}" in done.stdout


def test_check_of_tables_that_are_broken(tmp_path: Path) -> None:
    columns = ["text,a,b", *(f"words {i},{i % 2},{'maybe' if i == 4 else i // 2 % 2}" for i in range(60))]
    (tmp_path / "odd.csv").write_text("\n".join(columns))
    (tmp_path / "deep.csv").write_text("text,tags\nwords,a\n")
    (tmp_path / "deep.toml").write_text("labels = " + "[" * 100_000)
    (tmp_path / "none.parquet").write_bytes(b"PAR1")
    done = mlcl("data", "check", "odd.csv", "deep.csv", "none.parquet", "--root", str(tmp_path))
    assert done.returncode == 1
    odd, deep, none = done.stderr.splitlines()
    assert odd.startswith(f"mlcl: {tmp_path}/odd.csv, line 6: column 'b' holds 0 and 1, but also 'maybe'")
    assert deep.startswith(f"mlcl: {tmp_path}/deep.toml: ")
    assert none.startswith(f"mlcl: {tmp_path}/none.parquet is damaged, cut off or not a Parquet file: ")


def test_check_of_damaged_annotations(coco: Path) -> None:
    file = coco / "coco" / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text()[:200])
    done = mlcl("data", "check", "coco", "--root", str(coco))
    assert done.returncode == 1
    place = re.escape(f"{file}, line 1, character ")
    assert re.fullmatch(rf"mlcl: {place}\d+: damaged or cut off \(.*\)\n", done.stderr)


def test_check_of_a_set_that_ships_with_features_of_its_own(tmp_path: Path) -> None:
    done = mlcl("data", "check", "fashion-scenes@toy", "--root", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(
        "mlcl: 'fashion-scenes' has no features yet; extract them with: mlcl features"
    )
    dataset = data.load("fashion-scenes")
    folder = features.folder_of(dataset, tmp_path) / "toy-0123abcd"
    folder.mkdir(parents=True)
    np.save(folder / features.MATRIX, np.ones((len(dataset), 2), dtype=np.float16))
    shape = [len(dataset), 2]
    described = {
        "encoder": "toy",
        "weights": "",
        "shape": shape,
        "sha256": file_digest(folder / features.MATRIX),
    }
    (folder / features.DESCRIPTION).write_text(json.dumps(described))
    done = mlcl("data", "check", "fashion-scenes@toy", "--root", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "fashion-scenes@toy: whole\n")
    assert "unknown features 'foo'" in refused(
        mlcl("data", "check", "fashion-scenes@foo", "--root", str(tmp_path))
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_a_study_on_a_set_without_features_says_what_to_do(coco: Path, tmp_path: Path) -> None:
    before = files(coco)
    study = ("run", "02", "--results", str(tmp_path / "results"), "-p", f"data_root={coco}")
    said = refused(mlcl(*study, "-p", "datasets=coco"))
    assert f"mlcl features coco --encoder ENCODER --root {coco}" in said
    assert "'coco2014' is not in" in refused(mlcl(*study, "-p", "datasets=coco2014"))
    assert "unknown data set 'cocoa'; did you mean 'coco'?" in refused(mlcl(*study, "-p", "datasets=cocoa"))
    assert not (tmp_path / "results").exists()
    assert files(coco) == before


def test_features_are_extracted_once(coco: Path) -> None:
    command = (
        "features",
        "coco",
        "--root",
        str(coco),
        "--encoder",
        "mobilenet_v3_small",
        "--weights",
        "random",
    )
    done = mlcl(*command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"features: 40 of 40, \d+\.\d images/s", done.stderr)
    assert "coco2017: 40 examples, 1024 features by mobilenet_v3_small" in done.stdout
    assert data.load("coco", coco).features.shape == (40, 1024)
    before = files(coco)
    again = mlcl(*command)
    assert again.stderr == ""
    assert again.stdout == done.stdout
    assert files(coco) == before
    checked = mlcl("data", "check", "coco", "--root", str(coco))
    assert re.search(r"features: mobilenet_v3_small-[0-9a-f]{8}, 1024 dimensions", checked.stdout)
    (matrix,) = (path for path in before if path.name == "features.npy")
    matrix.write_bytes(before[matrix][:-1] + b"\1")
    checked = mlcl("data", "check", "coco", "--root", str(coco))
    assert checked.returncode == 1
    assert f"{matrix} is damaged (SHA-256 differs)" in checked.stderr


def test_word_vectors_are_distilled_once_and_a_study_starts_from_them(tmp_path: Path) -> None:
    write_table(tmp_path)
    model = write_text_model(tmp_path / "tiny-bert")
    command = ("features", "notes.csv", "--root", str(tmp_path), "--encoder", str(model), "--static")
    done = mlcl(*command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"notes: \d+ word vectors of \d+ dimensions by tiny-bert \(.*\), in ", done.stdout)
    before = files(tmp_path)
    again = mlcl(*command)
    assert (again.stderr, again.stdout) == ("", done.stdout)
    assert files(tmp_path) == before
    told = done.stdout.splitlines()[-1].partition("study them with: mlcl ")[2]
    assert "-p encoders=static -p data_root=" in told
    arguments = shlex.split(told.replace("STUDY", "02_label_space"))
    small = ["-p", "num_labels=2,3", "-p", "end_to_end_num_labels=3", "-p", f"results={tmp_path / 'results'}"]
    shown = mlcl(*arguments, "--preset", "smoke", *small, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    other = write_text_model(tmp_path / "other-bert", seed=1)
    second = mlcl(*(str(other) if each == str(model) else each for each in command))
    assert re.search(r"-p encoders=static@other-bert-[0-9a-f]{8} ", second.stdout)
    assert "several word vectors" in refused(mlcl(*arguments, "--preset", "smoke", *small, "--dry-run"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--encoder", "resnet18", "--static"], "--static is for texts, and 'coco' holds images"),
        (["--encoder", "resnet5"], "unknown encoder 'resnet5'; did you mean"),
        (["--encoder", "resnet18", "--weights", "nowhere.pth"], "weights nowhere.pth is missing"),
        (["--encoder", "resnet18", "--root", "/nowhere/at/all"], "'/nowhere/at/all' is not a folder"),
        ([], "--encoder"),
        (["--encoder", "resnet18", "--batch", "0"], "--batch"),
    ],
    ids=["static", "encoder", "weights", "root", "no encoder", "batch"],
)
def test_features_refused(coco: Path, arguments: list[str], said: str) -> None:
    before = files(coco)
    assert said in refused(mlcl("features", "coco", "--root", str(coco), *arguments))
    assert files(coco) == before


def test_features_of_a_damaged_image_fail_and_write_nothing(coco: Path) -> None:
    image = coco / "coco" / "val2017" / f"{503:012}.jpg"
    image.write_bytes(image.read_bytes()[:300])
    before = files(coco)
    done = mlcl(
        "features", "coco", "--root", str(coco), "--encoder", "mobilenet_v3_small", "--weights", "random"
    )
    assert done.returncode == 1
    assert f"mlcl: image {image} cannot be decoded" in done.stderr
    assert files(coco) == before


# ------------------------------------------------------------------------------------------- a study on each set


@pytest.mark.slow
def test_a_search_on_a_set_of_ones_own(tmp_path: Path) -> None:
    rows = [f"{i % 7},{i % 5 / 3},{i % 2},{int(i % 3 == 0)}" for i in range(80)]
    (tmp_path / "t.csv").write_text("f1,f2,a,b\n" + "\n".join(rows) + "\n")
    results = tmp_path / "results"
    search = ("search", "--loss", "bce", "--resource", "2", "--eta", "2", "--results", str(results))
    done = mlcl(*search, "--root", str(tmp_path), "t.csv")
    assert done.returncode == 0, done.stderr
    (folder,) = (results / "search").iterdir()
    assert folder.name.startswith("t-bce-hyperband-")
    again = mlcl(*search, str(tmp_path / "t.csv"))
    assert again.returncode == 0, again.stderr
    assert [each.name for each in (results / "search").iterdir()] == [folder.name]


def test_a_hyperband_study_on_genuine_files(shared: Path, tmp_path: Path) -> None:
    study = studies.get("05_hyperband")
    given = {
        "datasets": ["mulan:emotions"],
        "data_root": str(shared),
        "losses": ["bce"],
        "pool": 2,
        "epochs": 3,
    }
    parameters = study.resolve({"preset": "smoke", **given})
    grid = runs.carry_out(study.grid(parameters), results=tmp_path / "results", workers=1, progress=False)
    assert not grid.failures
    assert {run.config.num_labels for run in grid.runs} == {6}


def carried_out(name: str, root: Path, results: Path) -> None:
    """The study's runs at smoke size."""
    study = studies.get("02_label_space")
    parameters = study.resolve(
        {
            "preset": "smoke",
            "datasets": [name],
            "data_root": str(root),
            "num_labels": [3, 6],
            "epochs": 1,
            "label_draws": 0,
            "train_fractions": [1.0],
            "losses": ["bce", "reg"],
        }
    )
    grid = runs.carry_out(study.grid(parameters), results=results, workers=1, progress=False)
    assert not grid.failures
    assert {run.config.num_labels for run in grid.runs} == {3, 6}
    assert all(np.isfinite(run.metrics["probe_map"]) for run in grid.runs if "probe_map" in run.metrics)


@pytest.mark.parametrize(
    "name", ["mulan:emotions", pytest.param("mulan:medical", marks=pytest.mark.long), "coco"]
)
def test_a_study_on_genuine_files(
    name: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(user_sets.CACHE_VARIABLE, str(tmp_path / "cache"))
    root = shared / "coco_tiny" if name == "coco" else shared
    if name == "coco":
        done = mlcl(
            "features", name, "--root", str(root), "--encoder", "mobilenet_v3_small", "--weights", "random"
        )
        assert done.returncode == 0, done.stderr
    carried_out(name, root, tmp_path / "results")


LABELS = ("comedy", "drama", "slow", "short", "old", "new", "war", "love")


@pytest.mark.slow
def test_from_a_table_of_texts_to_a_report_by_two_commands(tmp_path: Path) -> None:
    """The page, followed to the letter but for the folder, the encoder, and the preset and results of a test."""
    page = (CHECKOUT / "docs" / "your-own-data.md").read_text()
    (table,), (commands, *_) = (
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("text", "bash")
    )
    generator = np.random.default_rng(0)
    lines = table.strip().split("\n")
    for i in range(300):
        chosen = [name for n, name in enumerate(LABELS) if (i + n) % 4 == 0 or generator.random() < 0.1]
        words = " ".join([*generator.choice(WORDS, 12), *(f"word{name}" for name in chosen)])
        lines.append(f'Film {i},"{words}, {i}.",{"; ".join(chosen)}')
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n")
    encoder = write_text_model(tmp_path / "encoder")
    results = tmp_path / "results"
    encode, study = commands.strip().split("\n")
    assert encode.count("/data") == study.count("/data") == 1
    encode = encode.replace("/data", str(tmp_path)).replace(
        "sentence-transformers/all-MiniLM-L6-v2", str(encoder)
    )
    study = study.replace("/data", str(tmp_path)) + f" --preset smoke --results {results}"
    for command in (encode, study):
        name, *arguments = shlex.split(command)
        assert name == "mlcl"
        done = mlcl(*arguments)
        assert done.returncode == 0, done.stderr
    (folder,) = (results / "02_label_space").iterdir()
    assert str(folder) in done.stdout
    report = (folder / "notebook.html").read_text()
    assert "reviews.csv: columns: text" in report
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"] == {"reviews.csv": data.version("reviews.csv", tmp_path)}
    assert manifest["compute"]["failed"] == 0
