"""Tables of made-up reviews with their labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TAGS = ("funny", "long", "sci fi", "slow")


def tags(i: int) -> list[str]:
    return [TAGS[i % 4], *(["slow"] if i % 5 == 0 and i % 4 != 3 else [])]


def reviews(count: int = 60, **changes: Any) -> list[dict[str, str]]:
    rows = [
        {
            "key": f"r{i}",
            "body": f"This review, number {i}, is about film {i}.",
            "tags": "; ".join(tags(i)),
            "stars": "3",
        }
        for i in range(count)
    ]
    for column, values in changes.items():
        for row, value in zip(rows, values, strict=True):
            row[column] = value
    return rows


def write_csv(path: Path, rows: Sequence[dict[str, str]], **form: Any) -> Path:
    with path.open("w", newline="", encoding=form.pop("encoding", "utf-8")) as stream:
        writer = csv.DictWriter(stream, list(rows[0]), **form)
        writer.writeheader()
        writer.writerows(rows)
    return path


def expected_labels(count: int = 60) -> np.ndarray:
    return np.array([[name in tags(i) for name in TAGS] for i in range(count)]).astype(np.int8)
