"""Runs on real Ray clusters of this machine: the same results as without, whatever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlcl_utils import runs
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import Grid
from mlcl_utils.runs.cluster import RETRIES, _task
from mlcl_utils.runs.order import Failure, Order
from tests.runs.test_runs import config

pytest.importorskip("ray")

pytestmark = pytest.mark.slow

GRID = [config(loss=loss, replicate=r, seed=r) for loss in ("bce", "reg") for r in range(3)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """The same runs without Ray."""
    return runs.carry_out(GRID, results=tmp_path_factory.mktemp("alone"), workers=1, progress=False)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    yield nodes
    nodes.shutdown()


def at_work(under: psutil.Process) -> list[psutil.Process]:
    """The processes below another that are carrying out a run."""
    found = []
    for process in under.children(recursive=True):
        try:
            if process.cmdline() and process.cmdline()[0].startswith("ray::_task"):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def first_at_work(under: psutil.Process) -> psutil.Process:
    deadline = time.monotonic() + 120
    while not (found := at_work(under)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[0]


def same(one: Grid, other: Grid) -> None:
    assert not one.failures
    assert [run.config for run in one.runs] == [run.config for run in other.runs] == GRID
    for left, right in zip(one.runs, other.runs, strict=True):
        assert left.metrics == right.metrics
        assert left.history == right.history


def test_started_here_and_gone_afterwards(
    tmp_path: Path, alone: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = set(psutil.Process().children(recursive=True))
    done = runs.carry_out(GRID, results=tmp_path, workers=2, engine="ray", progress=False)
    same(done, alone)
    own = set(psutil.Process().children(recursive=True)) - before
    _, remaining = psutil.wait_procs(list(own), timeout=30)
    assert remaining == []
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(run.id for run in GRID)


@pytest.mark.long
def test_a_node_that_is_killed_is_made_up_for(tmp_path: Path, alone: Grid, cluster: Any) -> None:
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
    killed = []

    def kill() -> None:
        killed.append(first_at_work(raylet).pid)
        cluster.remove_node(second, allow_graceful=False)

    killing = threading.Thread(target=kill)
    killing.start()
    done = runs.carry_out(GRID, results=tmp_path, engine="ray", progress=False)
    killing.join()
    assert killed
    same(done, alone)
    assert not raylet.is_running()


@pytest.mark.long
def test_a_run_that_is_lost_too_often_is_recorded_and_the_others_go_on(tmp_path: Path, cluster: Any) -> None:
    deaths: set[int] = set()
    over = threading.Event()

    def kill() -> None:
        # whichever run goes first loses its worker every time
        while len(deaths) <= RETRIES and not over.is_set():
            for process in at_work(psutil.Process()):
                if process.pid not in deaths:
                    process.kill()
                    deaths.add(process.pid)
            time.sleep(0.02)

    killing = threading.Thread(target=kill)
    killing.start()
    done = runs.carry_out(GRID[:2], results=tmp_path, workers=1, engine="ray", progress=False)
    over.set()
    killing.join()
    assert len(deaths) == RETRIES + 1
    ((_, error, seconds),) = done.failures
    assert error.startswith("lost by Ray: ")
    assert seconds > 0
    assert len(done.runs) == 1


def test_nobody_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UsageError, match=r"no Ray cluster answers at RAY_ADDRESS '127.0.0.1:9'"):
        runs.carry_out(GRID, results=tmp_path, engine="ray", progress=False)


def test_a_machine_with_another_version_is_found_out() -> None:
    outcome = _task(Order(GRID[0]), GRID[1].id, "cpu", 1)
    assert isinstance(outcome, Failure)
    assert outcome.lost
    assert "another version" in outcome.error


def test_without_the_package_it_is_refused_in_one_line(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['ray'] = None\n"
        f"sys.argv = ['mlcl', 'run', '--engine', 'ray', '--results', {str(tmp_path / 'results')!r}]\n"
        "from mlcl_utils.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("mlcl: engine 'ray': the package 'ray' is missing; run pip install -e '.[ray]'\n")
    assert list(tmp_path.iterdir()) == []
