"""Images of more than 8 bits a channel: their values as they are in the file, and the scale to 8 bits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

Depth = Literal["16-bit", "32-bit", "float"]
"""Kinds of values that do not fit into 8 bits."""

LARGEST = 2.0**32
"""A float as large as this is no brightness but a mark of what is missing, such as -3.4e38."""

_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # tags of TIFF
_WHITE_IS_ZERO, _UNSIGNED = 0, 1  # their values

# Libtiff puts the bytes in order, and Pillow then swaps those of big-endian files once more.
_SWAPPED = {"I;16BS": "I;16NS", "I;32B": "I;32N", "I;32BS": "I;32NS", "F;32BF": "F;32NF", "F;64BF": "F;64NF"}

# Of two bytes of a colour Pillow gives the one that is high in the order of the raw mode; these give the other.
_OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


@dataclass(frozen=True)
class Scale:
    """The values that become black and white."""

    black: float
    white: float


@dataclass(frozen=True)
class Values:
    """The values of an image.

    Attributes:
        depth: what they are.
        array: (height, width), or (height, width, 3) in red, green and blue; finite.
        alpha: (height, width) in [0, 1]; None where all is opaque.
        inverted: whether 0 is white.
    """

    depth: Depth
    array: npt.NDArray[Any]
    alpha: npt.NDArray[np.float64] | None = None
    inverted: bool = False

    @property
    def transparent(self) -> bool:
        """Whether not all is opaque."""
        return self.alpha is not None and bool((self.alpha < 1).any())

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest value that is seen."""
        seen = self.array if self.alpha is None else self.array[self.alpha > 0]
        return (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)


def scale_of(depth: Depth, lowest: float, highest: float) -> Scale:
    """The scale of a set's images of one depth, by the lowest and the highest value among them all.

    Black is 0, or the lowest value where that is negative. White is the highest number of as many bits as the highest
    value needs, but at least 8; where there are negative values, the highest one; of floats 1, or the highest above.
    """
    if depth == "float":
        return Scale(min(0.0, lowest), max(1.0, highest))
    if lowest < 0:
        return Scale(lowest, max(0.0, highest))
    return Scale(0.0, 2.0 ** max(8, int(highest).bit_length()) - 1)


def is_deep(image: ImageFile) -> bool:
    """Whether an image that is open, and not yet loaded, has values of more than 8 bits."""
    return image.mode.startswith(("I", "F")) or _colours(image) is not None


def read(image: ImageFile, reopened: Callable[[], AbstractContextManager[ImageFile]]) -> Values:
    """Load an image for which :func:`is_deep` holds, and give its values.

    Args:
        image: the image, open and not yet loaded.
        reopened: opens the file once more.

    Raises:
        ValueError: a value is infinite or no number.
    """
    colours = _colours(image)
    values = _read_greys(image) if colours is None else _read_colours(image, colours, reopened)
    if values.depth == "float" and not (np.abs(values.array) < LARGEST).all():
        odd = values.array[~(np.abs(values.array) < LARGEST)][0]
        raise ValueError(
            f"it holds the value {odd:g}, which is no brightness; replace it and save the image again"
        )
    return values


def picture(values: Values, scale: Scale) -> Image:
    """The values in 256 equal steps from black to white, transparency on white; grey (mode ``L``) or colour (``RGB``).

    What was 8 bits once, and was spread over 16 or divided by 255, becomes the same again.
    """
    from PIL import Image

    if (
        values.depth == "16-bit" and values.alpha is None
    ):  # the quick way: every value there can be is scaled once
        lowest = -(2**15) if values.array.dtype.kind == "i" else 0
        table = _steps(_part(replace(values, array=np.arange(lowest, lowest + 2**16)), scale))
        return Image.fromarray(table[values.array.astype(np.int32) - lowest])
    part = _part(values, scale)
    if values.alpha is not None:
        alpha = values.alpha if part.ndim == 2 else values.alpha[:, :, None]
        part = part * alpha + (1 - alpha)
    return Image.fromarray(_steps(part))


def _part(values: Values, scale: Scale) -> npt.NDArray[np.float64]:
    """Values as parts of the way from black to white, in [0, 1]."""
    above = values.array.astype(np.float64)
    above = scale.white - above if values.inverted else above - scale.black
    width = scale.white - scale.black + (values.depth != "float")  # of whole numbers, white has a width too
    return np.clip(above / width, 0, 1)


def _steps(part: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return np.clip(part * 256, 0, 255).astype(np.uint8)


def raw_mode(image: ImageFile) -> str:
    """How Pillow will take the pixels from the file, such as ``RGB;16B``; empty where it does not say."""
    arguments = image.tile[0].args if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _colours(image: ImageFile) -> str | None:
    """The raw mode, where the image has colours, or grey and alpha, of 16 bits, which Pillow makes 8 of."""
    raw = raw_mode(image)
    start, _, bits = raw.partition(";")
    return raw if bits in _OTHER_BYTE and start in {"RGB", "RGBA", "RGBa", "RGBX", "LA"} else None


def _read_colours(
    image: ImageFile, raw: str, reopened: Callable[[], AbstractContextManager[ImageFile]]
) -> Values:
    start, _, order = raw.partition(";")
    if start == "LA":  # its four bytes a pixel are taken for four channels
        _take_as(image, "RGBA")
        image.load()
        four = np.asarray(image).astype(np.uint16)
        pairs = four[:, :, ::2] << 8 | four[:, :, 1::2]
        return Values("16-bit", pairs[:, :, 0], pairs[:, :, 1].astype(np.float64) / 65535)
    plain = start.upper()
    with reopened() as again:
        _take_as(again, f"{plain};{_OTHER_BYTE[order]}")
        again.load()
        low = np.asarray(again).astype(np.uint16)
    _take_as(image, f"{plain};{order}")
    image.load()
    array = np.asarray(image).astype(np.uint16) << 8 | low
    colours = array[:, :, :3]
    if start not in {"RGBA", "RGBa"}:
        return Values("16-bit", colours, _other_than(colours, image.info))
    alpha = array[:, :, 3].astype(np.float64) / 65535
    if start == "RGBa":  # they are multiplied by it
        divided = np.minimum(colours / np.where(alpha > 0, alpha, 1)[:, :, None], 65535)
        colours = np.rint(divided).astype(np.uint16)
    return Values("16-bit", colours, alpha)


def _read_greys(image: ImageFile) -> Values:
    raw = raw_mode(image)
    if image.tile and image.tile[0].codec_name == "libtiff" and raw in _SWAPPED:
        _take_as(image, _SWAPPED[raw])
    image.load()
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    array = np.asarray(image)
    depth: Depth = "float"
    if image.mode.startswith("I;16"):
        depth, array = "16-bit", array.astype(np.uint16)
    elif image.mode == "I":
        short = "16" in raw  # signed, or of a format whose 16 bits Pillow widens
        depth, array = "16-bit" if short else "32-bit", array.astype(np.int32)
        if not short and image.format == "TIFF" and _first(tags.get(_SAMPLE_FORMAT, _UNSIGNED)) == _UNSIGNED:
            array = array.view(np.uint32)  # Pillow takes the upper half of them for negative
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Values(depth, array, _other_than(array, image.info), inverted=inverted)


def _first(tag: Any) -> Any:
    return tag[0] if isinstance(tag, tuple) else tag


def _other_than(array: npt.NDArray[Any], info: Mapping[Any, Any]) -> npt.NDArray[np.float64] | None:
    """Alpha, where a file names a value or colour that is transparent."""
    if "transparency" not in info:
        return None
    other = np.atleast_3d(array != np.asarray(info["transparency"])).any(axis=2)
    return np.asarray(other, dtype=np.float64)


def _take_as(image: ImageFile, raw: str) -> None:
    """Have Pillow take the pixels from the file in another way, of as many bits."""
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
        for tile in image.tile
    ]
