"""Decoding of image files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from mlcl_utils.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def decode(source: bytes | Path, example: str) -> Image:
    """The image of a file or of a file's bytes, decoded whole.

    Args:
        source: the file's path, or its content.
        example: id of the example, for the message.

    Raises:
        DataError: it is missing, truncated or no image; the message names file and example.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.load()
            return image
    except Exception as error:  # of many kinds, depending on the format and on what is wrong
        where = f"image of example '{example}'" if isinstance(source, bytes) else f"image {source}"
        reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be decoded"
        raise DataError(f"{where} {reason}: {error}") from error


def rgb(image: Image) -> Image:
    """The image in red, green and blue; itself if it is."""
    return image if image.mode == "RGB" else image.convert("RGB")
