"""Runs that several processes carry out together, from the executor to the stored result."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mlcl_utils import runs
from mlcl_utils.runs import RunConfig
from mlcl_utils.training import Recipe

pytestmark = pytest.mark.slow

CONFIG = RunConfig(
    dataset="debtags",
    num_labels=10,
    base_labels=10,
    replicate=0,
    train_fraction=0.1,
    loss="msc",
    seed=0,
    recipe=Recipe(epochs=1, min_steps=0, width=32, dropout=0.0),
)


def test_a_run_by_two_processes_is_that_of_one(tmp_path: Path) -> None:
    grid = [CONFIG, dataclasses.replace(CONFIG, loss="prior", recipe=None)]
    one = runs.carry_out(grid, results=tmp_path / "one", progress=False)
    two = runs.carry_out(grid, results=tmp_path / "two", devices=2, progress=False)
    assert not two.failures
    for alone, together in zip(one.runs, two.runs, strict=True):
        assert together.config == alone.config
        for name, value in alone.metrics.items():
            assert together.metrics[name] == pytest.approx(value, abs=0.01), name
    assert [run.environment["devices"] for run in two.runs] == [2, 1]


@pytest.mark.long
def test_steps_go_on_where_a_loss_leaves_a_head_out_and_trials_stay_alone(tmp_path: Path) -> None:
    recipe = dataclasses.replace(CONFIG.recipe, batch_size=64)
    alone = dataclasses.replace(
        CONFIG, loss="kmcl", recipe=recipe, hyperparameters={"reconstruction": 0.0, "contrastive": 0.0}
    )
    trial = dataclasses.replace(CONFIG, stop=1, recipe=dataclasses.replace(recipe, epochs=2))
    bag = dataclasses.replace(CONFIG, encoder="bag")
    static = dataclasses.replace(CONFIG, encoder="static")
    grid = runs.carry_out([alone, trial, bag, static], results=tmp_path, devices=2, workers=1, progress=False)
    assert not grid.failures
    assert [run.environment["devices"] for run in grid.runs] == [2, 1, 1, 1]


@pytest.mark.long
def test_an_error_of_the_processes_is_that_of_the_run(tmp_path: Path) -> None:
    diverging = dataclasses.replace(CONFIG, recipe=dataclasses.replace(CONFIG.recipe, learning_rate=1e30))
    grid = runs.carry_out([diverging], results=tmp_path, devices=2, progress=False)
    ((_, error, seconds),) = grid.failures
    assert "the loss 'msc' was not finite in epoch 0" in error
    assert seconds > 0
    small = dataclasses.replace(CONFIG, recipe=dataclasses.replace(CONFIG.recipe, batch_size=1))
    ((_, error, _),) = runs.carry_out([small], results=tmp_path, devices=2, progress=False).failures
    assert "a batch of 1 examples cannot be divided among 2 processes" in error


LONG = """
import dataclasses, sys
from pathlib import Path
from mlcl_utils import runs
from tests.runs.test_together import CONFIG
long = dataclasses.replace(CONFIG, recipe=dataclasses.replace(CONFIG.recipe, epochs=100_000))
print("begun", flush=True)
runs.carry_out([long], results=Path(sys.argv[1]), devices=2, progress=False)
"""


def test_when_who_started_them_is_killed_the_processes_end(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", LONG, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    family: list[psutil.Process] = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        family = psutil.Process(process.pid).children(recursive=True)
        if sum("mlcl_utils.runs.together" in " ".join(child.cmdline()) for child in family) >= 3:
            break  # torchrun itself and the two that it started
        time.sleep(0.1)
    else:
        raise AssertionError([child.cmdline() for child in family])
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, remaining = psutil.wait_procs(family, timeout=60)
    assert remaining == []
