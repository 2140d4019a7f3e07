"""Extraction: what is written, what outlives a kill, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlcl_utils import data
from mlcl_utils.data import registry, user_sets
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.features import extract, extraction, open_encoder
from mlcl_utils.features.base import Example, FeatureEncoder
from tests.data.readers.conftest import write_image
from tests.features.models import WORDS, write_text_model


def write_texts(folder: Path, count: int) -> None:
    generator = np.random.default_rng(0)
    rows = [" ".join(generator.choice(WORDS, generator.integers(1, 40))) for _ in range(count)]
    lines = [f"{text} {i},{'abc'[i % 3]}" for i, text in enumerate(rows)]
    (folder / "texts.csv").write_text("text,labels\n" + "\n".join(lines) + "\n")


def write_photos(folder: Path, count: int) -> None:
    lines = [f"{i}.jpg,{'abc'[i % 3]}" for i in range(count)]
    (folder / "photos.csv").write_text("file,labels\n" + "\n".join(lines) + "\n")
    for i in range(count):
        write_image(folder / f"{i}.jpg", 7 * i)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("models") / "tiny-bert")


def test_features_are_those_of_the_encoder(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "CHUNK", 64)
    write_texts(tmp_path, 150)
    encoder = open_encoder(str(model), "text")
    assert encoder.digest() == open_encoder(str(model), "text").digest()
    extracted = extract(data.load("texts.csv", tmp_path), tmp_path, encoder, batch_size=16, shown=False)
    dataset = data.load("texts.csv", tmp_path)
    assert dataset.features.dtype == np.float16
    assert isinstance(dataset.features, np.memmap)
    assert extracted.shape == dataset.features.shape == (150, 16)
    with torch.inference_mode():
        single = [encoder.encode(encoder.prepare([("", text)]))[0].numpy() for text in dataset.texts()]
    np.testing.assert_allclose(dataset.features.astype(np.float32), single, atol=2e-3)
    assert [file.name for file in sorted(extracted.folder.iterdir())] == ["features.json", "features.npy"]
    again = extract(data.load("texts.csv", tmp_path), tmp_path, encoder, shown=False)
    assert again == extracted


_EXTRACT = """
import sys
from pathlib import Path
from mlcl_utils import data
from mlcl_utils.features import extract, extraction, open_encoder
extraction.CHUNK = 64
root = Path(sys.argv[1])
extract(data.load("texts.csv", root), root, open_encoder(sys.argv[2], "text"), batch_size=16)
"""


def test_an_extraction_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        write_texts(folder, 4000)
    command = [sys.executable, "-c", _EXTRACT, str(killed), str(model)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not _rows(killed) >= 128 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    rows = _rows(killed)
    assert 128 <= rows < 4000
    with pytest.raises(DataError, match="has no features yet"):
        _ = data.load("texts.csv", killed).features

    monkeypatch.setattr(extraction, "CHUNK", 64)
    encoder = open_encoder(str(model), "text")
    for folder in (killed, whole):
        extract(data.load("texts.csv", folder), folder, encoder, batch_size=16)
    assert f"goes on from {rows} of 4000" in capfd.readouterr().err
    (first,), (second,) = killed.rglob("features.npy"), whole.rglob("features.npy")
    assert first.read_bytes() == second.read_bytes()
    assert data.load("texts.csv", killed) == data.load("texts.csv", whole)


@pytest.mark.long
def test_of_two_processes_one_extracts_and_the_other_waits(tmp_path: Path, model: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    for folder in (together, alone):
        folder.mkdir()
        write_texts(folder, 1000)
    command = [sys.executable, "-c", _EXTRACT]
    processes = [
        subprocess.Popen([*command, str(folder), str(model)], stderr=subprocess.PIPE)
        for folder in (together, together, alone)
    ]
    for process in processes:
        _, error = process.communicate()
        assert process.returncode == 0, error
    (first,), (second,) = together.rglob("features.npy"), alone.rglob("features.npy")
    assert first.read_bytes() == second.read_bytes()
    assert sorted(file.name for file in first.parent.iterdir()) == ["features.json", "features.npy"]


def _rows(folder: Path) -> int:
    """Rows that an extraction under way says are done."""
    return max((json.loads(file.read_text())["rows"] for file in folder.rglob("*.progress.json")), default=0)


def test_a_corrupted_image_is_named_and_nothing_written(tmp_path: Path) -> None:
    write_photos(tmp_path, 40)
    path = tmp_path / "33.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    encoder = open_encoder("mobilenet_v3_small", "image", weights="random")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"33\.jpg cannot be decoded"):
        extract(data.load("photos.csv", tmp_path), tmp_path, encoder, batch_size=8, shown=False)
    assert sorted(tmp_path.rglob("*")) == before
    path.unlink()
    with pytest.raises(DataError, match=r"33\.jpg is missing"):
        extract(data.load("photos.csv", tmp_path), tmp_path, encoder, batch_size=8, shown=False)
    path.write_bytes(whole)
    extract(data.load("photos.csv", tmp_path), tmp_path, encoder, batch_size=8, shown=False)
    assert data.load("photos.csv", tmp_path).features.shape == (40, 1024)


class Numbers(FeatureEncoder):
    """Gives the length of a text, or what it is told to."""

    reads = "text"
    preparation = "none"

    def __init__(self, wrong: str | None = None, value: float = np.nan) -> None:
        super().__init__("numbers", torch.nn.Linear(1, 1), torch.device("cpu"))
        self.wrong, self.value = wrong, value

    def prepare(self, examples: Any) -> list[Example]:
        return list(examples)

    def encode(self, batch: list[Example]) -> Tensor:
        return torch.tensor(
            [[self.value if example == self.wrong else float(len(text))] for example, text in batch]
        )


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_features_that_float16_cannot_hold_are_refused(tmp_path: Path, value: float) -> None:
    write_texts(tmp_path, 50)
    with pytest.raises(
        DataError, match="encoder 'numbers' gives example '17' features that float16 cannot hold"
    ):
        extract(data.load("texts.csv", tmp_path), tmp_path, Numbers("17", value), batch_size=8, shown=False)
    assert not list(tmp_path.rglob("features.npy"))


def test_every_text_keeps_its_row_though_a_chunk_is_encoded_by_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "CHUNK", 30)
    write_texts(tmp_path, 100)
    extract(data.load("texts.csv", tmp_path), tmp_path, Numbers(), batch_size=7, shown=False)
    dataset = data.load("texts.csv", tmp_path)
    assert dataset.features[:, 0].tolist() == [len(text) for text in dataset.texts()]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_texts(tmp_path, 50)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(user_sets.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"cannot be written to .*; name another folder .*MLCL_CACHE"):
        extract(data.load("texts.csv", tmp_path), tmp_path, Numbers(), shown=False)


def test_a_set_that_ships_is_extracted_for_a_root(tmp_path: Path) -> None:
    dataset = data.load("fashion-scenes")
    with pytest.raises(UsageError, match="ships with the package"):
        registry.home("fashion-scenes")
    small = write_small(dataset, tmp_path)
    encoder = open_encoder("mobilenet_v3_small", "image", weights="random")
    extracted = extract(small, tmp_path, encoder, shown=False)
    assert extracted.shape == (6, 1024)


def write_small(dataset: data.Dataset, folder: Path) -> data.Dataset:
    """The first examples of a set that ships, its images in memory."""
    import dataclasses

    held = {name: dataset.column(name)[:6] for name in ("id", "image")}
    return dataclasses.replace(dataset, held=held, raw_files=(), labels=dataset.labels[:6])
