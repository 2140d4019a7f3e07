"""A matrix that grows on disk: gone on with when interrupted, begun anew when what is there does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlcl_utils.data.growing import Growing


def begun(folder: Path, done: int) -> Growing:
    growing = Growing(folder / "matrix.npy", 4)
    matrix = growing.create((3,), np.float16)
    matrix[:done] = 1
    growing.keep(done)
    return growing


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    begun(tmp_path, 2)
    growing = Growing(tmp_path / "matrix.npy", 4)
    assert growing.done == 2
    assert growing.matrix is not None
    assert growing.matrix.tolist() == [[1] * 3] * 2 + [[0] * 3] * 2
    growing.matrix[2:] = 2
    growing.keep(4)
    growing.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.npy"]
    assert np.load(tmp_path / "matrix.npy").sum() == 2 * 3 + 2 * 6


def test_a_note_without_its_matrix_says_nothing_of_the_next_one(tmp_path: Path) -> None:
    begun(tmp_path, 4)
    (tmp_path / "matrix.npy").unlink()
    growing = Growing(tmp_path / "matrix.npy", 4)
    assert (growing.matrix, growing.done) == (None, 0)
    growing.create((3,), np.float16)
    assert Growing(tmp_path / "matrix.npy", 4).done == 0  # killed before anything was written down


@pytest.mark.parametrize("note", ["", "[1]", "{}", '{"rows": "some"}', '{"rows": 9}', '{"rows": -1}'])
def test_a_note_that_is_none_begins_anew(tmp_path: Path, note: str) -> None:
    begun(tmp_path, 2)
    (tmp_path / "matrix.progress.json").write_text(note)
    growing = Growing(tmp_path / "matrix.npy", 4)
    assert (growing.matrix, growing.done) == (None, 0)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", None])
def test_a_matrix_that_is_none_begins_anew(tmp_path: Path, content: bytes | None) -> None:
    begun(tmp_path, 2)
    if content is None:
        np.save(tmp_path / "matrix.npy", np.zeros((5, 3), np.float16))
    else:
        (tmp_path / "matrix.npy").write_bytes(content)
    growing = Growing(tmp_path / "matrix.npy", 4)
    assert (growing.matrix, growing.done) == (None, 0)
    assert json.loads((tmp_path / "matrix.progress.json").read_text()) == {"rows": 2}
