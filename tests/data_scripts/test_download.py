"""Downloads from a server on this machine: resumed, checked, extracted."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data_scripts import download
from data_scripts.download import COLLECTIONS, Collection, File, fetch, main
from mlcl_utils.errors import DataError, UsageError
from tests.data_scripts.test_archives import write_zip

CONTENT = bytes(range(251)) * 4000


class Server(ThreadingHTTPServer):
    """Serves files from memory, with ranges unless told otherwise, and may hang up early."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.hang_up_after: int | None = None
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path.lstrip("/"))
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if content is None:
            self.send_error(404)
            return
        start = int(re.findall(r"bytes=(\d+)-", asked)[0]) if asked and self.server.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = None if self.server.hang_up_after is None else start + self.server.hang_up_after
        self.wfile.write(content[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.files["file.bin"] = CONTENT
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def file(
    server: Server, name: str = "file.bin", checksum: str | None = sha256(CONTENT), size: int | None = None
) -> File:
    return File(f"http://127.0.0.1:{server.server_port}/{name}", checksum, size)


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    path = fetch(file(server), tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]
    fetch(file(server), tmp_path / "new")
    assert server.asked == [None]


def test_a_download_that_was_cut_off_goes_on(server: Server, tmp_path: Path) -> None:
    server.hang_up_after = 300_000
    for have in (300_000, 600_000, 900_000):
        with pytest.raises(DataError, match=f"the connection ended after {have} of {len(CONTENT)} bytes"):
            fetch(file(server), tmp_path)
        assert not (tmp_path / "file.bin").exists()
    assert fetch(file(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(file(server), tmp_path).read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(file(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["file.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(
        DataError, match=r"file\.bin\.part: its sha256 is [0-9a-f]{64}, not [0-9a-f]{64}; remove it"
    ):
        fetch(file(server), tmp_path)
    assert not (tmp_path / "file.bin").exists()
    (tmp_path / "file.bin").write_bytes(b"not it")
    with pytest.raises(DataError, match="its sha256 is"):
        fetch(file(server), tmp_path)
    md5 = f"md5:{hashlib.md5(server.files['file.bin']).hexdigest()}"
    (tmp_path / "file.bin").unlink()
    (tmp_path / "file.bin.part").unlink()
    assert fetch(file(server, checksum=md5), tmp_path).is_file()


def test_without_a_checksum_nothing_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no checksum of file\.bin is known for sure; .* --sha256 file\.bin=HEX"
    ):
        fetch(file(server, checksum=None), tmp_path)
    assert server.asked == []
    assert fetch(file(server, checksum=None), tmp_path, sha256(CONTENT)).is_file()


def test_what_the_server_has_not(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/other\.bin: 404"):
        fetch(file(server, "other.bin"), tmp_path)
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=rf"http://127\.0\.0\.1:{port}/file\.bin: .*run again to go on"):
        fetch(file(server), tmp_path)


def test_a_set_is_fetched_and_extracted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_zip(tmp_path / "good.zip", {"lists/a.txt": b"a"}).read_bytes()
    bad = write_zip(tmp_path / "bad.zip", {"lists/b.txt": b"b", "../out.txt": b"bad"}).read_bytes()
    server.files |= {"good.zip": good, "bad.zip": bad}
    files = (file(server, "good.zip", sha256(good)), file(server, "bad.zip", None))
    monkeypatch.setitem(COLLECTIONS, "made", Collection("made", files))
    root = tmp_path / "root"
    assert main(["made", "--root", str(root)]) == 2
    assert "no checksum of bad.zip is known for sure" in capsys.readouterr().err
    assert (root / "made" / "lists" / "a.txt").read_text() == "a"
    given = f"bad.zip={hashlib.sha256(bad).hexdigest()}"
    assert main(["made", "--root", str(root), "--sha256", given]) == 1
    assert "entry '../out.txt' would be written outside the folder" in capsys.readouterr().err
    assert not (root / "made" / "lists" / "b.txt").exists()
    assert not (root / "out.txt").exists()
    assert main(["maid"]) == 2
    assert "unknown data set 'maid'; did you mean 'made'?" in capsys.readouterr().err
    assert main(["nus-wide"]) == 2
    assert "cannot be downloaded freely: images by request" in capsys.readouterr().err


def test_the_catalogue_is_in_order() -> None:
    for name, collection in COLLECTIONS.items():
        assert collection.files or collection.ask, name
        for each in collection.files:
            assert each.url.startswith(("http://", "https://"))
            if each.checksum is not None:
                algorithm, _, digest = each.checksum.partition(":")
                assert len(digest) == 2 * hashlib.new(algorithm).digest_size
    assert len(download.listing().splitlines()) == len(COLLECTIONS)
