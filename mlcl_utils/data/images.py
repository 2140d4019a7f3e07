"""Decoding of image files: the one place where a file becomes a picture of 8 bits, whatever is in the file.

- A picture is turned as its orientation says: EXIF in JPEG, PNG, WebP and AVIF, the tag of TIFF, XMP.
- Transparency of any kind is laid on white.
- A palette, CMYK, YCbCr and black and white become red, green and blue. Colour profiles are not applied.
- Of several frames or pages, the first is the picture.
- Values of more than 8 bits are scaled, those of one depth in a set all alike, so that its pictures stay comparable:
  see :func:`mlcl_utils.data.image_values.scale_of`. An image that is decoded by itself is a set of one.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mlcl_utils import processes
from mlcl_utils.data import image_values
from mlcl_utils.data.image_values import Depth, Scale, Values
from mlcl_utils.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose
    from PIL.ImageFile import ImageFile

DECODING_VERSION = 2
"""Raised when a file is decoded to other pixels: what is kept of users' images is found under it."""

Encoded = bytes | Path
"""An image file: its content, or where it lies."""

# Formats of Pillow's that it hands to another program, or whose values it does not read as they are meant.
_NOT_READ = {"EPS", "WMF", "FITS"}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24  # where its bits a channel stand
_EIGHT_BITS = (b"\xff\xd8", b"RIFF", b"GIF8", b"BM")  # how files begin that never have more
_AHEAD = 512  # images handed to the threads at a time
_ORIENTATION = 0x0112
_WITH_ORIENTATION = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # metadata that can hold it
_SHORT_GREYS = {
    "L;2": 85,
    "L;4": 17,
}  # Pillow scales such greys of a PNG, and not the one that is transparent

# Of odd metadata, and of sizes that are large but allowed; they name no file.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Scaled:
    """An image file of more than 8 bits, with the scale that it shares with others of its set."""

    file: Encoded
    scale: Scale


@dataclass(frozen=True)
class Survey:
    """What is worth knowing of an image file that can be decoded.

    Attributes:
        depth: of its values; None for 8 bits or fewer.
        extremes: the lowest and the highest of them.
        turned: whether it is turned by its orientation.
        transparent: whether it has transparency.
        several: whether it has further frames or pages, which are not read.
    """

    depth: Depth | None
    extremes: tuple[float, float]
    turned: bool
    transparent: bool
    several: bool


def decode(source: Encoded | Scaled, example: str) -> Image:
    """The picture in an image file, of 8 bits in grey (mode ``L``) or red, green and blue (``RGB``).

    Args:
        source: the file's path, or its content, or either with the scale of its set.
        example: id of the example, for the message.

    Raises:
        DataError: it is missing, truncated, no image, or of a kind that is not supported; the message names the file,
            or the example where there is none.
    """
    file, scale = (source.file, source.scale) if isinstance(source, Scaled) else (source, None)
    with _named(file, example), _opened(file) as image:
        picture: Image
        if image_values.is_deep(image):
            values = _values(image, file)
            picture = image_values.picture(
                values, scale or image_values.scale_of(values.depth, *values.extremes)
            )
        else:
            picture, _ = _eight_bits(image)
        turn = _turn(image)
        return picture if turn is None else picture.transpose(turn)


def survey(file: Encoded, example: str) -> Survey:
    """Decode an image file whole, and say what is worth knowing of it.

    Raises:
        DataError: as :func:`decode`.
    """
    with _named(file, example), _opened(file) as image:
        # an MPO holds previews, and a PSD its layers
        several = image.format not in {"MPO", "PSD"} and getattr(image, "is_animated", False)
        depth, extremes = None, (0.0, 0.0)
        if image_values.is_deep(image):
            values = _values(image, file)
            depth, extremes, transparent = values.depth, values.extremes, values.transparent
        else:
            _, transparent = _eight_bits(image)
        return Survey(depth, extremes, _turn(image) is not None, transparent, several)


def spans(surveys: Iterable[Survey]) -> dict[Depth, tuple[float, float]]:
    """The lowest and the highest value of the images of each depth that there is."""
    found: dict[Depth, tuple[float, float]] = {}
    for each in surveys:
        if each.depth is not None:
            lowest, highest = found.get(each.depth, each.extremes)
            found[each.depth] = min(lowest, each.extremes[0]), max(highest, each.extremes[1])
    return found


def together(files: Sequence[Encoded], examples: Sequence[str]) -> list[Encoded | Scaled]:
    """The image files of a set, those of more than 8 bits with the scale of all of their depth.

    Of other files, the first bytes are read. A file that is damaged stays as it is: decoding names it.

    Args:
        files: N files.
        examples: N ids, for messages.

    Raises:
        DataError: a file of more than 8 bits cannot be decoded.
    """
    surveys: list[Survey | None] = []
    with (
        ThreadPoolExecutor(processes.cores()) as pool,
        tqdm(total=len(files), desc="range of values", unit="image", delay=2, disable=None) as bar,
    ):
        for first in range(0, len(files), _AHEAD):
            part = slice(first, first + _AHEAD)
            for each in pool.map(_survey_if_deep, files[part], examples[part]):
                surveys.append(each)
                bar.update()
    found = spans(each for each in surveys if each is not None)
    scales = {depth: image_values.scale_of(depth, *span) for depth, span in found.items()}
    return [
        file if each is None or each.depth is None else Scaled(file, scales[each.depth])
        for file, each in zip(files, surveys, strict=True)
    ]


def rgb(image: Image) -> Image:
    """The image in red, green and blue; itself if it is."""
    return image if image.mode == "RGB" else image.convert("RGB")


@contextlib.contextmanager
def _named(file: Encoded, example: str) -> Iterator[None]:
    """Whatever goes wrong with a file becomes one line that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except Exception as error:  # of many kinds, depending on the format and on what is wrong
        where = f"image of example '{example}'" if isinstance(file, bytes) else f"image {file}"
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{where} is missing") from error
        if isinstance(error, UnidentifiedImageError):
            size = len(file) if isinstance(file, bytes) else file.stat().st_size
            reason = "it is no image, or of a kind that is not supported" if size else "it is empty"
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; scale it down"
        elif isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        else:
            reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where} cannot be decoded: {reason}") from error


@contextlib.contextmanager
def _opened(file: Encoded) -> Iterator[ImageFile]:
    from PIL import Image

    if isinstance(file, Path) and not file.is_file() and file.exists():
        raise ValueError("it is not a file")  # and a pipe would never end
    # Not by its path: Pillow would map a TIFF into memory in the size that it has when it is turned, and mix it up.
    with (
        io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as stream,
        Image.open(stream) as image,
    ):
        if image.format in _NOT_READ:
            raise ValueError(f"files of the format {image.format} are not read; save it as PNG")
        if not all(image.size):
            raise ValueError("it has no pixels")
        yield image


def _values(image: ImageFile, file: Encoded) -> Values:
    return image_values.read(image, partial(_opened, file))


def _survey_if_deep(file: Encoded, example: str) -> Survey | None:
    try:
        start = _start(file)
        if start.startswith(_EIGHT_BITS) or (start.startswith(_PNG) and start[_PNG_DEPTH:] != b"\x10"):
            return None
        with _opened(file) as image:
            deep = image_values.is_deep(image)
    except Exception:  # such a file is named when it is decoded
        return None
    return survey(file, example) if deep else None


def _start(file: Encoded) -> bytes:
    size = _PNG_DEPTH + 1
    if isinstance(file, bytes):
        return file[:size]
    with file.open("rb") as stream:
        return stream.read(size)


def _eight_bits(image: ImageFile) -> tuple[Image, bool]:
    """Load an image of at most 8 bits: the picture in grey or colour, on white, and whether it has transparency."""
    from PIL import Image

    unit = _SHORT_GREYS.get(image_values.raw_mode(image), 1) if image.format == "PNG" else 1
    image.load()
    if image.has_transparency_data:
        if unit > 1 and image.mode == "L":
            image.info["transparency"] *= unit
        whole = image.convert("LA") if image.mode == "La" else image
        whole = whole if whole.mode == "RGBA" else whole.convert("RGBA")
        transparent = whole.getchannel("A").getextrema() != (255, 255)
        if transparent:
            whole = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
        return whole.convert("RGB"), transparent
    if image.mode in {"L", "RGB"}:
        return image, False
    return image.convert("L" if image.mode == "1" else "RGB"), False


def _turn(image: ImageFile) -> Transpose | None:
    """How to turn an image that is loaded; None for one that is upright, or that Pillow has turned."""
    if not any(key in image.info for key in _WITH_ORIENTATION) and image.format != "TIFF":
        return None
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        return turns.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF that is damaged says nothing of a picture that is whole
        return None
