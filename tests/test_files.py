"""Files are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mlcl_utils.files import known_digest, whole, why, write_csv, write_text


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old\n")
    with whole(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old\n"
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fails() -> None:
        with whole(path) as temporary:
            temporary.write_text("half")
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_frames_have_no_index(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"loss": ["bce"], "map": [0.5]}, index=[7]))
    assert (tmp_path / "a.csv").read_bytes() == b"loss,map\nbce,0.5\n"


def test_a_link_stays_one(tmp_path: Path) -> None:
    """Also a link to a link, and one to a file that is not there yet."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(tmp_path / "elsewhere" / "a.txt")
    for text in ("one", "two"):
        write_text(tmp_path / "first", text)
        assert (tmp_path / "elsewhere" / "a.txt").read_text() == text
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("a")
    before = path.lstat()
    with pytest.raises(OSError, match=f"{path}'$"):
        write_text(path, "text")
    assert os.path.samestat(path.lstat(), before)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_text(tmp_path / "no" / "a.txt", "text")
    assert raised.value.filename == str(tmp_path / "no" / "a.txt")
    assert why(raised.value) == os.strerror(errno.ENOENT)


def test_the_cause_of_many_failures_is_the_first(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for name in ("a", "b"):
        (tmp_path / "from" / name).symlink_to("nowhere")
    with pytest.raises(shutil.Error) as raised:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    assert why(raised.value) == os.strerror(errno.ENOENT)


@pytest.mark.parametrize("replaced", [False, True], ids=["in place", "replaced"])
def test_a_digest_is_not_fooled_by_size_and_time(tmp_path: Path, replaced: bool) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("old")
    os.utime(path, ns=(0, 0))
    first = known_digest(path)
    if replaced:
        other.write_text("new")
        os.replace(other, path)
    else:
        path.write_text("new")
    os.utime(path, ns=(0, 0))
    assert known_digest(path) != first
