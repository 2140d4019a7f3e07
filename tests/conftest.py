"""Settings of all tests: few threads, and the slow ones last."""

from __future__ import annotations

import os

import pytest

# Before anything imports a library that reads it; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
