"""Images decoded once, and kept."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcl_utils import data
from mlcl_utils.data import Dataset, pixels, user_sets
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_image


@pytest.fixture
def images(tmp_path: Path) -> Dataset:
    """A set of twelve image files of different sizes and modes."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    names = [f"{number}.png" for number in range(12)]
    for number, name in enumerate(names):
        shape = (20 + number, 40 - number) if number % 2 else (20 + number, 40 - number, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    return dataclasses.replace(
        data.load("emoji"),
        name="made",
        raw_digest="0123456789abcdef",
        raw_files=(),
        held={"id": names, "image": names},
        folder=tmp_path / "read",
        home=tmp_path,
        image_folders=(folder,),
    )


def test_pixels_are_the_scaled_images_and_kept(images: Dataset, tmp_path: Path) -> None:
    found = pixels.decoded(images, 16)
    assert (found.shape, found.dtype) == ((12, 3, 16, 16), np.uint8)
    for row, name in enumerate(images.ids):
        with Image.open(tmp_path / "images" / name) as image:
            expected = np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR))
        assert np.array_equal(found[row].transpose(1, 2, 0), expected)
    (kept,) = (tmp_path / ".mlcl").rglob("*.npy")
    written = kept.stat().st_mtime_ns
    (tmp_path / "images" / "3.png").unlink()  # no longer needed
    assert np.array_equal(pixels.decoded(images, 16), found)
    assert kept.stat().st_mtime_ns == written
    assert isinstance(pixels.decoded(images, 16), np.memmap)


def test_pixels_lie_beside_the_data_before_and_after_what_was_read_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_sets, "WORTH_KEEPING", 0.0)
    for number in range(40):
        write_image(tmp_path / f"{number}.png", number)
    lines = [f"{number}.png,{'pq'[number % 2]}" for number in range(40)]
    (tmp_path / "photos.csv").write_text("file,labels\n" + "\n".join(lines) + "\n")
    first = pixels.decoded(data.load("photos.csv", tmp_path), 8)
    (kept,) = tmp_path.rglob("*.npy")
    assert kept.is_relative_to(tmp_path / ".mlcl" / "pixels")
    written = kept.stat().st_mtime_ns
    data.keep("photos.csv", tmp_path)
    again = data.load("photos.csv", tmp_path)
    assert again.folder.is_relative_to(tmp_path / ".mlcl" / "read")
    assert np.array_equal(pixels.decoded(again, 8), first)
    assert list(tmp_path.rglob("*.npy")) == [kept]
    assert kept.stat().st_mtime_ns == written


def test_an_image_that_cannot_be_decoded_is_named_and_the_rest_is_not_done_twice(
    images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_CHUNK", 4)
    broken = tmp_path / "images" / "9.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:50])
    with pytest.raises(DataError, match=r"9\.png cannot be decoded"):
        pixels.decoded(images, 16)
    assert not list((tmp_path / ".mlcl").rglob("16.npy"))
    assert not list((tmp_path / ".mlcl").rglob("*.lock"))
    broken.write_bytes(whole)
    for done in range(8):
        (tmp_path / "images" / f"{done}.png").write_bytes(b"")  # would be found if it were decoded again
    found = pixels.decoded(images, 16)
    assert found.any(axis=(1, 2, 3)).all()
    assert [path.name for path in (tmp_path / ".mlcl").rglob("*") if path.is_file()] == ["16.npy"]


@pytest.mark.slow
def test_several_processes_decode_once(images: Dataset, tmp_path: Path) -> None:
    script = (
        "import sys, pickle, numpy as np; from mlcl_utils.data import pixels;"
        "d = pickle.load(open(sys.argv[1], 'rb')); f = pixels._make;"
        "pixels._make = lambda *a: (print('decoded', flush=True), f(*a));"
        "print(pixels.decoded(d, 24).sum())"
    )
    import pickle

    (tmp_path / "set.pkl").write_bytes(pickle.dumps(images))
    command = [sys.executable, "-c", script, str(tmp_path / "set.pkl")]
    begun = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=120)[0].split() for process in begun]
    assert sum(words.count("decoded") for words in said) == 1
    assert len({words[-1] for words in said}) == 1


def test_where_nothing_can_be_written_it_says_what_to_do(
    images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLCL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match="MLCL_CACHE"):
        pixels.decoded(images, 16)
