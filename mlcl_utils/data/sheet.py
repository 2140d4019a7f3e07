"""A sheet of examples: what a set of images looks like, label by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from mlcl_utils.data.dataset import Dataset
from mlcl_utils.data.images import decode, rgb
from mlcl_utils.files import whole

Pixels = npt.NDArray[np.uint8]


def draw(dataset: Dataset, path: Path, *, labels: int = 40, shown: int = 8, size: int = 72) -> None:
    """Draw examples of a set's labels, the most frequent first, evenly spaced over those that have the label.

    Args:
        dataset: a set of images.
        path: where to; its ending says in which format.
        labels: rows at most.
        shown: examples in each.
        size: edge of an image on the sheet, in pixels.

    Raises:
        DataError: the set holds no images, or one cannot be decoded.
    """
    sources = dataset.encoded_images()
    positives = dataset.labels == 1
    order = np.argsort(-positives.sum(axis=0), kind="stable")[:labels]
    rows = []
    for label in order:
        having = np.flatnonzero(positives[:, label])
        chosen = having[np.linspace(0, len(having) - 1, min(shown, len(having))).astype(int)]
        images = [np.asarray(rgb(decode(sources[at], dataset.ids[at]))) for at in chosen]
        rows.append((dataset.label_names[label], images))
    contact_sheet(path, rows, size, columns=2 if len(rows) > 10 else 1)


def contact_sheet(
    path: Path, rows: Sequence[tuple[str, Sequence[Pixels]]], size: int, columns: int, caption: int = 110
) -> None:
    """Save one picture with a captioned row of examples for every label.

    Args:
        path: where to; its ending says in which format, lossy WebP for ``.webp``.
        rows: caption and images of each label.
        size: edge of an image on the sheet, in pixels.
        columns: blocks of rows beside one another.
        caption: width of the captions, in pixels.

    Raises:
        ValueError: the ending is that of no picture.
        OSError: it cannot be written; nothing is left of it.
    """
    shown = max(len(images) for _, images in rows)
    width, height = caption + shown * size, size + 2
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * width, lines * height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for number, (text, images) in enumerate(rows):
        column, line = divmod(number, lines)
        x, y = column * width, line * height
        draw.text((x + 4, y + size // 2 - 7), text, fill="black", font=font)
        for position, image in enumerate(images):
            tile = (
                Image.fromarray(image).convert("RGB").resize((size - 2, size - 2), Image.Resampling.LANCZOS)
            )
            sheet.paste(tile, (x + caption + position * size, y + 1))
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"'{path.suffix}' is no ending of a picture, such as .png")
    with whole(path) as temporary:
        sheet.save(temporary, kind, **({"quality": 72, "method": 6} if kind == "WEBP" else {}))
