"""Settings of all tests: few threads, the slow ones last, or the longest files first where processes share the work."""

from __future__ import annotations

import gc
import os

import pytest

# Before anything imports a library that reads it; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = (
    *("cli/test_every_study", "cli/test_run", "batch/test_kills", "cli/test_own_data", "cli/test_end_to_end"),
    *("training/test_parallel", "runs/test_cluster", "search/test_trainings", "runs/test_executor"),
    *(
        "runs/test_together",
        "cli/test_odd_names",
        "training/test_large",
        "cli/test_disks",
        "cli/test_commands",
    ),
)
"""Files that take longest: begun first, so that no process is left alone with one at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=_rank)
    else:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def _rank(item: pytest.Item) -> int:
    name = item.nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_collection_finish() -> None:
    """Thousands of collected tests live as long as the process: looking through them for garbage is lost time."""
    gc.collect()
    gc.freeze()
