from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcl_utils.data import user_sets
from mlcl_utils.paths import CHECKOUT

SHARED = CHECKOUT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def nothing_is_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(user_sets.CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the genuine files are not here")
    return SHARED


def write_image(path: Path, colour: int = 0, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), colour % 256, dtype=np.uint8)
    pixels[::2] = 255 - pixels[::2]
    Image.fromarray(pixels).save(path)


def write_coco(root: Path, year: str = "2017", train: int = 12, validation: int = 6) -> None:
    """COCO in its layout: image i has category 1 + i % 3 twice, and every fourth one category 90 too."""
    categories = [
        {"id": i, "name": n} for i, n in ((90, "toothbrush"), (1, "person"), (2, "bicycle"), (3, "car"))
    ]
    for part, count, first in (("train", train, 100), ("val", validation, 500)):
        ids = range(first, first + count)
        images = [{"id": i, "file_name": f"{i:012}.jpg", "height": 30, "width": 40} for i in ids]
        annotations = [
            {"id": 10 * i + n, "image_id": i, "category_id": c, "iscrowd": 0, "segmentation": [[1, 2, 3, 4]]}
            for i in ids
            for n, c in enumerate([1 + i % 3, 1 + i % 3, *([90] if i % 4 == 0 else [])])
        ]
        content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
        file = root / "annotations" / f"instances_{part}{year}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
        for i in ids:
            write_image(root / f"{part}{year}" / f"{i:012}.jpg", i)
