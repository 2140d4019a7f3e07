from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils import data
from mlcl_utils.data import vectors
from mlcl_utils.data.dataset import VECTORS
from mlcl_utils.data.registry import EMBEDDED_VARIABLE
from mlcl_utils.data.writing import register
from mlcl_utils.errors import DataError, UsageError


def flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_names_need_neither_torch_nor_pandas() -> None:
    heavy = {"torch", "pandas", "pyarrow"}
    code = f"import sys; from mlcl_utils import data; print(data.names(), {heavy} & {{*sys.modules}})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == f"{data.names()} set()\n"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown data set 'debtag'; did you mean 'debtags'"):
        data.load("debtag")


def test_written_set_is_read_back(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMBEDDED_VARIABLE, str(made))
    loaded = data.load("debtags")
    assert (loaded.name, loaded.modality, len(loaded)) == ("debtags", "text", 300)
    assert loaded.ids[7] == "package7"
    assert loaded.texts()[:2] == ["title 0", "title 1\ntext of 1"]
    assert loaded.features.dtype == np.float16
    assert loaded.features.shape == (300, 8)
    assert loaded.labels.dtype == np.int8
    assert loaded.splits.shape == (10, 300)
    assert loaded.card == "# made up\n"
    # The same draws as in the fixture.
    generator = np.random.default_rng(0)
    labels = (generator.random((300, 12)) < np.linspace(0.6, 0.05, 12)).astype(np.int8)
    labels[~labels.any(axis=1), 0] = 1
    assert np.array_equal(loaded.labels, labels)
    assert loaded.named is not None
    assert np.array_equal(loaded.named, (generator.random((300, 12)) < 0.3) & (labels == 1))
    assert np.array_equal(loaded.features, generator.normal(size=(300, 8)).astype(np.float16))
    with pytest.raises(ValueError, match="read-only"):
        loaded.labels[0, 0] = 1
    with pytest.raises(DataError, match="no column 'image'"):
        loaded.images()


@pytest.mark.parametrize(
    "file", ["dataset.json", "features.safetensors", "labels.safetensors", "examples.parquet", "card.md"]
)
def test_a_flipped_byte_names_the_file(made: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setenv(EMBEDDED_VARIABLE, str(made))
    data.verify("debtags")
    path = made / "debtags" / file
    flip(path, path.stat().st_size // 2)
    for read in (data.verify, data.load):
        with pytest.raises(DataError) as caught:
            read("debtags")
        assert str(path) in str(caught.value)
        assert f"git checkout -- {path}" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_every_byte_of_the_manifest_counts(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMBEDDED_VARIABLE, str(made))
    path = made / "debtags" / "dataset.json"
    content = json.loads(path.read_text())
    for key in content:
        changed = content | {key: [] if key != "version" else 4}
        path.write_text(json.dumps(changed))
        with pytest.raises(DataError, match=r"dataset\.json is damaged"):
            data.version("debtags")


@pytest.mark.parametrize("file", ["dataset.json", "features.safetensors", "card.md"])
def test_a_missing_file_is_named(made: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setenv(EMBEDDED_VARIABLE, str(made))
    (made / "debtags" / file).unlink()
    with pytest.raises(DataError, match=f"{file} is missing"):
        data.load("debtags")


def test_a_missing_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMBEDDED_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="data set 'debtags' is not at"):
        data.load("debtags")


def test_version_is_of_the_data_and_not_of_the_card(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlcl_utils.data.dataset import content_digest

    monkeypatch.setenv(EMBEDDED_VARIABLE, str(made))
    before = data.version("debtags")
    assert before.startswith("3-")
    assert before == data.load("debtags").version
    path = made / "debtags" / "dataset.json"
    content = json.loads(path.read_text())

    def after(file: str) -> str:
        changed = {key: value for key, value in content.items() if key != "digest"}
        changed["files"] = changed["files"] | {file: "0" * 64}
        path.write_text(json.dumps(changed | {"digest": content_digest(changed)}))
        return data.version("debtags")

    assert after("card.md") == before
    assert after("features.safetensors") != before
    assert after("examples.parquet") != before


def test_word_vectors_are_whole_and_no_part_of_the_version(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EMBEDDED_VARIABLE, str(made))
    folder = made / "debtags"
    before, dataset = data.version("debtags"), data.load("debtags")
    assert dataset.vectors == ()
    vectors.write(folder / VECTORS, ("text", "title"), np.eye(2))
    register(folder, VECTORS)
    assert data.version("debtags") == data.load("debtags").version == before
    assert data.load("debtags") != dataset  # or else a task that is kept of the one would serve the other
    (file,) = data.load("debtags").vectors
    assert vectors.read(file)[0] == ("text", "title")
    flip(folder / VECTORS)
    with pytest.raises(DataError, match=r"vectors\.safetensors is damaged .*git checkout"):
        data.load("debtags")
    vectors.write(folder / VECTORS, ("text", "titles"), np.eye(2))
    register(folder, VECTORS)
    (other,) = data.load("debtags").vectors
    assert (other.path, other.sha256 == file.sha256) == (file.path, False)


def test_the_same_vectors_are_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        vectors.write(tmp_path / name, ("é", "c++"), np.arange(6).reshape(2, 3))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
