from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_scripts.common import write_dataset
from mlcl_utils import data
from mlcl_utils.data.splits import grouped_splits


@pytest.fixture(scope="session")
def debtags() -> data.Dataset:
    return data.load("debtags")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder of embedded sets with one small made-up `debtags` in it, written by the rebuild scripts' writer."""
    generator = np.random.default_rng(0)
    count, width = 300, 12
    frequency = np.linspace(0.6, 0.05, width)
    labels = (generator.random((count, width)) < frequency).astype(np.int8)
    labels[~labels.any(axis=1), 0] = 1
    groups = np.repeat(np.arange(100), 3).astype(np.int32)
    named = (generator.random((count, width)) < 0.3) & (labels == 1)
    write_dataset(
        tmp_path / "debtags",
        name="debtags",
        modality="text",
        version=3,
        label_names=[f"facet::tag{i}" for i in range(width)],
        labels=labels,
        features=generator.normal(size=(count, 8)),
        groups=groups,
        splits=grouped_splits(labels, groups, seed=1),
        named=named,
        columns={
            "id": [f"package{i}" for i in range(count)],
            "title": [f"title {i}" for i in range(count)],
            "text": ["" if i == 0 else f"text of {i}" for i in range(count)],
        },
        card="# made up\n",
    )
    return tmp_path
