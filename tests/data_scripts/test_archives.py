"""Archives are extracted wholly or not at all, and never outside their folder."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from data_scripts.archives import extract
from mlcl_utils.errors import DataError


def write_tar(path: Path, entries: dict[str, bytes], *, link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link is not None:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return path


def write_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


WRITERS = {"a.tar": write_tar, "a.tar.gz": write_tar, "a.zip": write_zip}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_there_stays_and_what_comes_is_added(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "old.txt").write_text("old")
    (folder / "images" / "new.txt").write_text("to be replaced")
    path = WRITERS[name](tmp_path / name, {"images/new.txt": b"new", "lists/a.txt": b"a"})
    extract(path, folder)
    found = {
        file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()
    }
    assert found == {"images/old.txt": "old", "images/new.txt": "new", "lists/a.txt": "a"}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "entry",
    ["../outside.txt", "images/../../outside.txt", "/outside.txt", "..\\outside.txt", "C:\\outside.txt"],
)
def test_a_path_that_climbs_out_is_refused_and_nothing_extracted(
    tmp_path: Path, name: str, entry: str
) -> None:
    folder = tmp_path / "here" / "data"
    folder.mkdir(parents=True)
    path = WRITERS[name](tmp_path / name, {"good.txt": b"good", entry: b"bad"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as caught:
        extract(path, folder)
    assert str(path) in str(caught.value)
    assert f"entry '{entry}' would be written outside the folder" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/outside.txt").exists()


@pytest.mark.parametrize("link", ["/etc/passwd", "good.txt"])
def test_links_are_refused(tmp_path: Path, link: str) -> None:
    path = write_tar(tmp_path / "a.tar", {"good.txt": b"good"}, link=link)
    with pytest.raises(DataError, match="entry 'link' is neither a file nor a folder"):
        extract(path, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DataError, match="entry 'link' is neither a file nor a folder"):
        extract(tmp_path / "a.zip", tmp_path / "data")


@pytest.mark.parametrize("name", WRITERS)
def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, {f"{i}.txt": bytes(range(256)) * 40 for i in range(9)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"{name} is damaged or cut off"):
        extract(path, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
