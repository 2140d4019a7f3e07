"""A study's notebook as users meet it: opened in JupyterLab, all cells run, looked at."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import nbformat
import psutil
import pytest
from playwright.sync_api import Page, expect

from mlcl_utils import studies

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STUDY = "02_label_space"
TOKEN = "a-token-of-this-test"
SECONDS = 400

PRINTED = "[...document.querySelectorAll('.jp-OutputArea pre')].map(e => e.textContent)"
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent)"
LOADED = "[...document.querySelectorAll('.jp-OutputArea img')].map(e => e.complete && e.naturalWidth > 100)"

T = TypeVar("T")


class Server(NamedTuple):
    """A running JupyterLab."""

    address: str
    process: subprocess.Popen[bytes]


def wait_for(condition: Callable[[], T], what: str, seconds: float = 60) -> T:
    """What a condition gives once it is true; polled, since what is waited for is in another process."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return found


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A copy of the notebook in a folder of its own, its parameters set as a user would."""
    copy = nbformat.read(studies.get(STUDY).notebook, as_version=4)
    (cell,) = (cell for cell in copy.cells if "parameters" in cell.metadata.get("tags", []))
    for name, value in {"preset": "smoke", "results": str(tmp_path / "results")}.items():
        cell.source, count = re.subn(
            rf"^({name}: .*?) = .*$", rf"\1 = {value!r}", cell.source, flags=re.MULTILINE
        )
        assert count == 1
    path = tmp_path / "lab" / f"{STUDY}.ipynb"
    path.parent.mkdir()
    nbformat.write(copy, path)
    return path


@pytest.fixture
def server(notebook: Path, tmp_path: Path) -> Iterator[Server]:
    """JupyterLab on a free port of this machine, with nothing of the user's settings."""
    places = {
        name: str(tmp_path / "home" / name)
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
            "IPYTHONDIR",
        )
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [
        "--ServerApp.port=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={notebook.parent}",
    ]
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=os.environ | places, stdout=stream, stderr=stream)

    def started() -> str | None:
        assert process.poll() is None, log.read_text()
        for path in Path(places["JUPYTER_RUNTIME_DIR"]).glob(f"jpserver-{process.pid}.json"):
            if (text := path.read_text()).endswith("}"):
                return str(json.loads(text)["url"])
        return None

    try:
        yield Server(wait_for(started, "the server to start"), process)
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        for child in family:
            if child.is_running():
                child.kill()
        process.wait(timeout=30)


def test_a_notebook_in_jupyterlab(server: Server, notebook: Path, page: Page, tmp_path: Path) -> None:
    page.goto(f"{server.address}lab/tree/{notebook.name}?token={TOKEN}")
    page.locator(".jp-NotebookPanel .jp-Notebook").wait_for(timeout=60_000)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle", timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    seen: list[str] = []

    def progress() -> list[str]:
        return [line for line in page.evaluate(PRINTED) if re.search(r"\d+/\d+", line)]

    def ended() -> bool:
        for line in progress():
            if line not in seen:
                seen.append(line)
        return bool(re.fullmatch(r"\[\d+\]:?", page.evaluate(PROMPTS)[-1]))

    wait_for(ended, "the last cell to be executed", SECONDS)

    folder = tmp_path / "results" / STUDY / "smoke"
    with (folder / "runs.csv").open(newline="") as stream:
        runs = len(list(csv.DictReader(stream)))
    counts = [tuple(map(int, re.findall(r"(\d+)/(\d+)", line)[-1])) for line in seen]
    assert counts[-1] == (runs, runs), "the progress bar ends when all runs have"
    assert len({done for done, _ in counts}) > 2, "and it was seen to move"
    assert len(progress()) == 1, "in one line that is rewritten"

    figures = sorted(path.stem for path in (folder / "figures").glob("*.png"))
    assert figures
    assert page.evaluate(LOADED) == [True] * len(figures), f"every figure is shown: {figures}"
    assert page.locator(".jp-OutputArea table").count() > 3
    assert (
        page.locator("[data-mime-type='application/vnd.jupyter.error'], .jp-OutputArea-executeError").count()
        == 0
    )
    assert (folder / "manifest.json").exists()

    family = psutil.Process(server.process.pid).children(recursive=True)
    assert family, "the kernel at least"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == 0
    wait_for(lambda: not any(child.is_running() for child in family), "the kernel and its workers to end")
