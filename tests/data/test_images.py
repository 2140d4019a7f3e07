"""Image files of every kind become the right picture of 8 bits, or one line says why not."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mlcl_utils import data
from mlcl_utils.data import checking, images, pixels, user_sets
from mlcl_utils.data.image_values import Scale, scale_of
from mlcl_utils.data.images import Scaled, decode, rgb, survey, together
from mlcl_utils.errors import DataError
from tests.data.readers.conftest import write_image

Array = npt.NDArray[Any]

RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
"""(32, 64), grey from left to right."""

COLOUR = np.stack([RAMP, 252 - RAMP, np.full_like(RAMP, 77)], axis=2)
"""(32, 64, 3), without a symmetry."""

# How a file's rows and columns lie where its orientation is 1 to 8: what makes a stored picture of an upright one.
STORED: dict[int, Callable[[Array], Array]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


def pixels_of(path: Path) -> Array:
    return np.asarray(decode(path, "example"))


def write_png(path: Path, values: Array, colour: int, *, bits: int = 16, key: Sequence[int] = ()) -> None:
    """A PNG of 16 bits, or of fewer for rows that are packed already; `key` is the transparent value or colour."""
    height, width = values.shape[:2]
    kind = ">u2" if bits == 16 else "u1"
    rows = b"".join(b"\0" + row.astype(kind).tobytes() for row in values)
    width = width if bits >= 8 else width * 8 // bits
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    if key:
        chunks.append((b"tRNS", struct.pack(f">{len(key)}H", *key)))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))


def write_tiff(path: Path, values: Array, *, order: str = "<", deflated: bool = False, **tags: int) -> None:
    """A TIFF of one strip with the values as they are; tags by name: photometric, orientation, extra."""
    height, width, channels = np.atleast_3d(values).shape
    content = values.astype(values.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]
    content = zlib.compress(content) if deflated else content
    content += b"\0" * (len(content) % 2)
    sample = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    bits = [8 * values.dtype.itemsize] * channels
    fields: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", bits),
        259: ("H", [8 if deflated else 1]),
        262: ("H", [tags.get("photometric", 1 if channels == 1 else 2)]),
        273: ("I", [8]),
        274: ("H", [tags.get("orientation", 1)]),
        277: ("H", [channels]),
        278: ("I", [height]),
        279: ("I", [len(content)]),
        339: ("H", [sample] * channels),
    }
    if "extra" in tags:
        fields[338] = ("H", [tags["extra"]])
    start = 8 + len(content)
    beyond, entries, at = b"", b"", start + 2 + 12 * len(fields) + 4
    for tag, (kind, numbers) in sorted(fields.items()):
        packed = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(packed) > 4:
            packed, beyond = struct.pack(f"{order}I", at + len(beyond)), beyond + packed
        entries += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[kind], len(numbers)) + packed.ljust(
            4, b"\0"
        )
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    path.write_bytes(head + content + struct.pack(f"{order}H", len(fields)) + entries + b"\0" * 4 + beyond)


# ------------------------------------------------------------------------------------------------ orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
def test_an_image_is_turned_as_its_orientation_says(tmp_path: Path, ending: str, orientation: int) -> None:
    file = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(
        ending, {}
    )
    Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOUR))).save(file, exif=exif, **options)
    found = pixels_of(file).astype(int)
    assert found.shape == COLOUR.shape
    assert np.abs(found - COLOUR).max() <= {"jpg": 4, "avif": 12}.get(ending, 0)
    assert survey(file, "a").turned == (orientation != 1 and ending != "tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_tiff_of_every_depth_is_turned(tmp_path: Path, orientation: int, deflated: bool, kind: type) -> None:
    """Pillow mixes up those that it maps into memory."""
    file = tmp_path / "a.tif"
    values = {np.uint16: RAMP.astype(np.uint16) * 257, np.float32: RAMP / 255}.get(kind, RAMP).astype(kind)
    for channels in (1, 3) if np.dtype(kind).kind == "u" else (1,):
        many, right = (np.squeeze(np.dstack([each] * channels)) for each in (values, RAMP))
        stored = np.ascontiguousarray(STORED[orientation](many))
        write_tiff(file, stored, orientation=orientation, deflated=deflated)
        assert np.array_equal(pixels_of(file), right)
        assert np.array_equal(decode(file.read_bytes(), "a"), right)


def test_orientation_is_read_from_xmp_and_what_is_damaged_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    turned = Image.fromarray(np.ascontiguousarray(STORED[6](COLOUR)))
    turned.save(
        tmp_path / "a.jpg", quality=100, subsampling=0, xmp=b'<x:xmpmeta tiff:Orientation="6"></x:xmpmeta>'
    )
    assert np.abs(pixels_of(tmp_path / "a.jpg").astype(int) - COLOUR).max() <= 4
    for exif in (
        b"Exif\0\0nonsense",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x2a\0\0\0\0\0\0",
    ):
        Image.fromarray(COLOUR).save(file, exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which decoding does by itself, but not under pytest
            assert np.array_equal(pixels_of(file), COLOUR)


# ------------------------------------------------------------------------------------------------ more than 8 bits


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("16.png", RAMP.astype(np.uint16) * 257),
        ("12 bits in 16.png", RAMP.astype(np.uint16) * 16),
        ("8 bits in 16.tif", np.where(RAMP == 252, 255, RAMP).astype(np.uint16)),
        ("16.tif", RAMP.astype(np.uint16) * 257),
        ("12 bits in 16.tif", RAMP.astype(np.uint16) * 16),
        ("signed.tif", RAMP.astype(np.int16) * 128),
        ("32.tif", RAMP.astype(np.int32) * 257),
        ("8 bits in 32.tif", np.where(RAMP == 252, 255, RAMP).astype(np.int32)),
        ("float.tif", RAMP.astype(np.float32) / 255),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
def test_greys_are_scaled_by_their_range(
    tmp_path: Path, name: str, values: Array, order: str, deflated: bool
) -> None:
    file = tmp_path / name
    if file.suffix == ".png":
        write_png(file, values, 0)
    else:
        write_tiff(file, values, order=order, deflated=deflated)
    picture = decode(file, "a")
    assert picture.mode == "L"
    assert np.array_equal(picture, np.where(RAMP == 252, 255, RAMP) if name.startswith("8") else RAMP)
    assert np.array_equal(decode(file.read_bytes(), "a"), picture)


def test_modes_that_pillow_writes_are_scaled(tmp_path: Path) -> None:
    short = RAMP.astype(np.uint16) * 257
    for name, values in (("a.png", short), ("a.tif", short), ("b.tif", short.astype(np.int32))):
        Image.fromarray(values).save(tmp_path / name)
        assert np.array_equal(pixels_of(tmp_path / name), RAMP)
    (tmp_path / "a.pgm").write_bytes(
        b"P5 64 32 4095\n" + (RAMP.astype(np.uint16) * 16).astype(">u2").tobytes()
    )
    assert np.abs(pixels_of(tmp_path / "a.pgm").astype(int) - RAMP).max() <= 1


def test_unsigned_32_bits_are_not_taken_for_negative(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", RAMP.astype(np.uint32) * 0x01010101)
    assert np.array_equal(pixels_of(tmp_path / "a.tif"), RAMP)


def test_negative_values_start_at_black(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", np.linspace(-1024, 3071, 4096).astype(np.int16).reshape(64, 64))
    assert np.array_equal(pixels_of(tmp_path / "a.tif"), (np.arange(4096) // 16).reshape(64, 64))
    write_tiff(tmp_path / "a.tif", np.linspace(-1, 1, 257, dtype=np.float32)[None])
    assert np.array_equal(pixels_of(tmp_path / "a.tif")[0], [*range(256), 255])


def test_zero_is_white_where_the_file_says_so(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", RAMP.astype(np.uint16) * 257, photometric=0)
    assert np.array_equal(pixels_of(tmp_path / "a.tif"), 255 - RAMP)
    write_tiff(tmp_path / "a.tif", (RAMP / 255).astype(np.float32), photometric=0)
    assert np.array_equal(pixels_of(tmp_path / "a.tif"), 255 - RAMP)
    write_tiff(tmp_path / "a.tif", RAMP, photometric=0)
    assert np.array_equal(pixels_of(tmp_path / "a.tif"), 255 - RAMP)


@pytest.mark.parametrize("times", [257, 16])
def test_colours_of_16_bits_keep_what_they_have(tmp_path: Path, times: int) -> None:
    colour = COLOUR.astype(np.uint16) * times
    write_png(tmp_path / "a.png", colour, 2)
    assert np.array_equal(pixels_of(tmp_path / "a.png"), COLOUR)
    for order in "<>":
        for deflated in (False, True):
            write_tiff(tmp_path / "a.tif", colour, order=order, deflated=deflated)
            assert np.array_equal(pixels_of(tmp_path / "a.tif"), COLOUR)
            four = np.dstack([colour, np.full_like(colour[:, :, 0], 65535)])
            for extra in (0, 2):
                write_tiff(tmp_path / "a.tif", four, order=order, deflated=deflated, extra=extra)
                assert np.array_equal(pixels_of(tmp_path / "a.tif"), COLOUR)


@pytest.mark.parametrize("constant", [0, 1, 200, 255])
def test_a_constant_image_keeps_its_brightness(tmp_path: Path, constant: int) -> None:
    write_png(tmp_path / "a.png", np.full((4, 4), constant), 0)
    assert (pixels_of(tmp_path / "a.png") == constant).all()
    write_tiff(tmp_path / "a.tif", np.full((4, 4), constant / 255, dtype=np.float32))
    assert (pixels_of(tmp_path / "a.tif") == constant).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3.4e38])
def test_values_that_are_no_brightness_are_refused(tmp_path: Path, value: float) -> None:
    values = np.full((8, 8), 0.5, dtype=np.float32)
    values[3, 3] = value
    write_tiff(tmp_path / "a.tif", values)
    with pytest.raises(
        DataError, match=rf"^image {tmp_path}/a\.tif cannot be decoded: it holds the value .*$"
    ):
        decode(tmp_path / "a.tif", "a")


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_scaling_keeps_the_order_and_uses_more_than_half_of_the_range(values: list[int]) -> None:
    scale = scale_of("16-bit", min(values), max(values))
    assert scale.black == 0
    assert max(values) <= scale.white < max(256, 2 * max(values))
    assert scale_of("16-bit", 0, scale.white) == scale  # it stays so, whichever of its images a set has


def test_images_of_a_set_are_scaled_alike(tmp_path: Path) -> None:
    """Each by itself would become as bright as the other."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, times in (("dark.png", 1), ("bright.png", 16)):
        write_png(folder / name, RAMP.astype(np.uint16) * times, 0)
    Image.fromarray(COLOUR).save(folder / "usual.png")
    names = ["dark.png", "bright.png", "usual.png"]
    found = together([folder / name for name in names], names)
    scale = Scale(0, 4095)
    assert found == [
        Scaled(folder / "dark.png", scale),
        Scaled(folder / "bright.png", scale),
        folder / "usual.png",
    ]
    assert np.array_equal(decode(found[0], "a"), RAMP // 16)
    assert np.array_equal(decode(found[1], "b"), RAMP)
    rows = [f"{name},{'xy'[i % 2]}" for i, name in enumerate(names)]
    for i in range(30):
        write_image(folder / f"{i}.png", i)
        rows.append(f"{i}.png,{'xy'[i % 2]}")
    (tmp_path / "t.csv").write_text("image,labels\n" + "\n".join(rows) + "\n")
    dataset = data.load("t.csv", tmp_path)
    dark, bright = pixels.decoded(dataset, 32)[:2]
    assert dark.max() < bright.max() / 10
    first = next(dataset.each_image())
    assert np.array_equal(first, np.dstack([RAMP // 16] * 3))
    remarks = checking.check("t.csv", tmp_path).remarks
    assert (
        "2 images of 16-bit values, from 0 to 4032: 0 is black and 4095 white in all of them; such as dark.png"
        in remarks
    )


# ------------------------------------------------------------------------------------------------ transparency

ALPHA = np.zeros((32, 64), dtype=np.uint8)
ALPHA[:, 20:40], ALPHA[:, 40:] = 128, 255
MASKED = np.where(RAMP == 100, 255, RAMP)  # where the grey of 100 is transparent


def on_white(picture: Array) -> Array:
    part = ALPHA[:, :, None] / 255
    return part * picture + (1 - part) * 255


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "tga"])
def test_alpha_is_laid_on_white(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    image = Image.fromarray(np.dstack([COLOUR, ALPHA]))
    image.save(file, **options)
    assert decode(file, "a").mode == "RGB"
    assert np.abs(pixels_of(file) - on_white(COLOUR)).max() <= 1
    assert survey(file, "a").transparent
    image.putalpha(255)
    image.save(file, **options)
    assert np.array_equal(pixels_of(file), COLOUR)
    assert not survey(file, "a").transparent


def test_grey_with_alpha_and_palettes_are_laid_on_white(tmp_path: Path) -> None:
    grey = Image.fromarray(RAMP).convert("LA")
    grey.putalpha(Image.fromarray(ALPHA))
    grey.save(tmp_path / "la.png")
    assert np.abs(pixels_of(tmp_path / "la.png") - on_white(RAMP[:, :, None])).max() <= 1
    palette = Image.fromarray(RAMP // 4)
    palette.putpalette([level for entry in range(64) for level in (entry * 4, 7, 252 - entry * 4)])
    colour = np.stack([RAMP, np.full_like(RAMP, 7), 252 - RAMP], axis=2)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(pixels_of(tmp_path / "p.png"), colour)
    palette.save(tmp_path / "one.png", transparency=25)
    palette.save(tmp_path / "one.gif", transparency=25)
    for name in ("one.png", "one.gif"):
        assert np.array_equal(pixels_of(tmp_path / name), np.where(RAMP[:, :, None] == 100, 255, colour))
    palette.save(tmp_path / "each.png", transparency=bytes(4 * entry for entry in range(64)))
    part = RAMP[:, :, None] / 255
    assert np.abs(pixels_of(tmp_path / "each.png") - (part * colour + (1 - part) * 255)).max() <= 1


def test_a_transparent_value_or_colour_is_white(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(RAMP).save(file, transparency=100)
    assert np.array_equal(rgb(decode(file, "a")).getchannel(0), MASKED)
    Image.fromarray(COLOUR).save(file, transparency=(100, 152, 77))
    expected = np.where(RAMP[:, :, None] == 100, 255, COLOUR)
    assert np.array_equal(pixels_of(file), expected)
    write_png(file, RAMP.astype(np.uint16) * 257, 0, key=[100 * 257])
    assert np.array_equal(pixels_of(file), MASKED)
    write_png(file, RAMP.astype(np.uint16) * 257, 0, key=[100 * 256])  # no value is that one
    assert np.array_equal(pixels_of(file), RAMP)
    write_png(file, COLOUR.astype(np.uint16) * 257, 2, key=[100 * 257, 152 * 257, 77 * 257])
    assert np.array_equal(pixels_of(file), expected)


@pytest.mark.parametrize(("bits", "packed"), [(1, 0b01), (2, 0b00011011), (4, 0b00011111)])
def test_a_transparent_value_of_few_bits_is_white(tmp_path: Path, bits: int, packed: int) -> None:
    levels = [packed >> shift & (2**bits - 1) for shift in range(8 - bits, -1, -bits)]
    for key in set(levels):
        write_png(tmp_path / "a.png", np.full((3, 1), packed), 0, bits=bits, key=[key])
        expected = [255 if level == key else level * 255 // (2**bits - 1) for level in levels]
        assert np.asarray(rgb(decode(tmp_path / "a.png", "a")))[1, :, 2].tolist() == expected


def test_alpha_of_16_bits_is_laid_on_white(tmp_path: Path) -> None:
    alpha = ALPHA.astype(np.uint16) * 257
    for times in (257, 16):
        colour = COLOUR.astype(np.uint16) * times
        write_png(tmp_path / "a.png", np.dstack([colour, alpha]), 6)
        assert np.abs(pixels_of(tmp_path / "a.png") - on_white(COLOUR)).max() <= 1.5
        write_tiff(tmp_path / "a.tif", np.dstack([colour, alpha]), extra=2)
        assert np.abs(pixels_of(tmp_path / "a.tif") - on_white(COLOUR)).max() <= 1.5
        multiplied = np.rint(colour * (ALPHA[:, :, None] / 255)).astype(np.uint16)
        write_tiff(tmp_path / "a.tif", np.dstack([multiplied, alpha]), extra=1)
        assert np.abs(pixels_of(tmp_path / "a.tif") - on_white(COLOUR)).max() <= 1.5
        write_png(tmp_path / "a.png", np.dstack([colour[:, :, 0], alpha]), 4)
        assert np.abs(pixels_of(tmp_path / "a.png") - on_white(RAMP[:, :, None])[:, :, 0]).max() <= 1.5


# ------------------------------------------------------------------------------------------------ other kinds


def test_other_colours_become_red_green_and_blue(tmp_path: Path) -> None:
    for mode, ending, far in (("CMYK", "jpg", 6), ("CMYK", "tif", 0), ("YCbCr", "tif", 3)):
        file = tmp_path / f"{mode}.{ending}"
        Image.fromarray(COLOUR).convert(mode).save(file, **({"quality": 100} if ending == "jpg" else {}))
        with Image.open(file) as image:
            assert image.mode == mode
        assert np.abs(pixels_of(file).astype(int) - COLOUR).max() <= far
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(COLOUR), to_lab)
    assert lab is not None
    lab.save(tmp_path / "lab.tif")
    assert np.abs(pixels_of(tmp_path / "lab.tif").astype(int) - COLOUR).mean() < 3
    Image.fromarray(RAMP > 100).save(tmp_path / "one.png")
    assert np.array_equal(pixels_of(tmp_path / "one.png"), np.where(RAMP > 100, 255, 0))


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif", "avif", "mpo"])
def test_the_first_frame_or_page_counts(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    options: dict[str, Any] = {"webp": {"lossless": True}, "avif": {"quality": 100}, "mpo": {"quality": 100}}
    first, second = (Image.new("RGB", (64, 32), colour) for colour in ("#10f020", "#f02010"))
    first.save(file, save_all=True, append_images=[second], **options.get(ending, {}))
    assert np.abs(pixels_of(file).astype(int) - (0x10, 0xF0, 0x20)).max() <= 3
    assert survey(file, "a").several == (ending != "mpo")


def test_a_plain_picture_stays_what_it_is(tmp_path: Path) -> None:
    for name, picture, mode in (("l.png", RAMP, "L"), ("rgb.png", COLOUR, "RGB")):
        Image.fromarray(picture).save(tmp_path / name)
        decoded = decode(tmp_path / name, "a")
        assert decoded.mode == mode
        assert np.array_equal(decoded, picture)
        assert decode(tmp_path / name, "a").size == (64, 32)
    Image.fromarray(COLOUR).save(tmp_path / "wrong.jpg", "PNG")
    assert np.array_equal(pixels_of(tmp_path / "wrong.jpg"), COLOUR)


# ------------------------------------------------------------------------------------------------ refusals


def test_what_is_no_image_is_named_in_one_line(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    write_png(tmp_path / "whole.png", COLOUR.astype(np.uint16) * 257, 2)
    write_png(tmp_path / "bomb.png", np.zeros((1, 1)), 0)
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    header += struct.pack(">I", zlib.crc32(header))
    bomb = (tmp_path / "bomb.png").read_bytes()
    contents = {
        "empty.jpg": (b"", "it is empty"),
        "text.jpg": (b"<html>", "it is no image, or of a kind that is not supported"),
        "cut.jpg": (whole[:-40], "image file is truncated"),
        "cut.png": ((tmp_path / "whole.png").read_bytes()[:200], "image file is truncated"),
        "bomb.png": (bomb[:12] + header + bomb[33:], "it has more than 178,956,970 pixels"),
        "drawing.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "format EPS"),
    }
    for name, (content, reason) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as failed:
            decode(tmp_path / name, "a")
        message = str(failed.value)
        assert message.startswith(f"image {tmp_path / name} cannot be decoded: ")
        assert reason in message
        assert "\n" not in message
        assert "<_io" not in message
        with pytest.raises(DataError, match=r"^image of example 'a' cannot be decoded: "):
            decode(content, "a")
    write_tiff(tmp_path / "double.tif", RAMP.astype(np.float64))
    with pytest.raises(DataError, match="not supported"):
        decode(tmp_path / "double.tif", "a")
    with pytest.raises(DataError, match=r"none\.png is missing$"):
        decode(tmp_path / "none.png", "a")


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "folder.png").mkdir(parents=True)
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    Image.fromarray(COLOUR).save(folder / "real.png")
    (folder / "good.png").symlink_to("real.png")
    long = "x" * 300 + ".png"
    reasons = {
        "folder.png": "is a folder",
        "pipe.png": "is not a file",
        "link.png": "is a link to nowhere.png, which is missing",
        "loop.png": "is a link to loop.png",
        "none.png": "is missing",
        long: "cannot be reached: File name too long",
    }
    rows = [f"{name},{'xy'[i % 2]}" for i, name in enumerate([*reasons, "good.png"])]
    for i in range(30):
        write_image(folder / f"{i}.png", i)
        rows.append(f"{i}.png,{'xy'[i % 2]}")
    (tmp_path / "t.csv").write_text("image,labels\n" + "\n".join(rows) + "\n")
    problems = checking.check("t.csv", tmp_path).problems
    assert len(problems) == len(reasons)
    for (name, reason), problem in zip(reasons.items(), problems, strict=True):
        assert problem.endswith(f"{name} {reason}") or (name == "loop.png" and reason in problem)
    for name in ("folder.png", "pipe.png"):
        with pytest.raises(DataError, match="cannot be decoded: it is not a file"):
            decode(folder / name, "a")


def test_images_are_described_by_the_check(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for i in range(30):
        write_image(folder / f"{i}.png", i)
        rows.append(f"{i}.png,{'xy'[i % 2]}")
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in (3, 4):
        Image.fromarray(COLOUR).save(folder / f"{i}.png", exif=exif)
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(folder / "5.png")
    Image.fromarray(COLOUR).save(
        folder / "6.png", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])]
    )
    (tmp_path / "t.csv").write_text("image,labels\n" + "\n".join(rows) + "\n")
    found = checking.check("t.csv", tmp_path)
    assert not found.problems
    assert [remark for remark in found.remarks if "images" in remark] == [
        "2 images turned by their orientation (EXIF), such as 3.png",
        "1 images with transparency, laid on white, such as 5.png",
        "1 images with several frames or pages, of which the first is read, such as 6.png",
    ]


def test_odd_metadata_are_no_warnings(tmp_path: Path) -> None:
    palette = Image.fromarray(RAMP // 4).convert("P")
    palette.save(tmp_path / "a.png", transparency=bytes(range(64)))
    script = (
        "import sys; from pathlib import Path; from mlcl_utils.data.images import decode; "
        "decode(Path(sys.argv[1]), 'a')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.png")], capture_output=True, text=True, check=True
    )
    assert not done.stderr


# ------------------------------------------------------------------------------------------------ what is kept


def test_what_was_decoded_in_another_way_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_sets, "WORTH_KEEPING", 0.0)
    rows = []
    for i in range(30):
        write_image(tmp_path / f"{i}.png", i)
        rows.append(f"{i}.png,{'xy'[i % 2]}")
    (tmp_path / "t.csv").write_text("image,labels\n" + "\n".join(rows) + "\n")
    data.keep("t.csv", tmp_path)
    now = data.load("t.csv", tmp_path)
    pixels.decoded(now, 8)
    monkeypatch.setattr(user_sets, "DECODING_VERSION", images.DECODING_VERSION + 1)
    later = data.load("t.csv", tmp_path)
    assert later.raw_digest != now.raw_digest
    assert later.version != now.version
    pixels.decoded(later, 8)
    kept = list((tmp_path / ".mlcl" / "pixels").rglob("8.npy"))
    assert len({file.parent for file in kept}) == 2


def test_sets_that_ship_are_decoded_as_they_were() -> None:
    """Their pixels are what published results are of: drawings on white already, upright, and of 8 bits."""
    for name, raw in (("emoji", "860cd081f931"), ("fashion-scenes", "970882bcf2ba")):
        dataset = data.load(name)
        assert dataset.raw_digest.startswith(raw)
        sources = dataset.encoded_images()
        assert all(isinstance(source, bytes) for source in sources)
        for example, source in zip(dataset.ids[::200], sources[::200], strict=True):
            assert isinstance(source, bytes)
            found = survey(source, example)
            assert (found.depth, found.turned, found.transparent) == (None, False, False)
