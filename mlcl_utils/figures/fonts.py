"""Names and texts on their way into a figure, and the fonts that have their characters.

Figures are set in DejaVu Sans, which comes with matplotlib and has Latin, Greek, Cyrillic and Arabic letters. For
others, such as Chinese, Japanese, Korean and Devanagari ones, the fonts of the machine stand in where it has any.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import unicodedata
from functools import cache

import matplotlib as mpl
from matplotlib.font_manager import FontProperties, findSystemFonts, fontManager, get_font

from mlcl_utils import markup

BOX = "\N{WHITE SQUARE}"
"""Stands for a character that no font has."""

# TrueType ones first, which a PDF holds as they are; then those with outlines of PostScript, which some readers of PDF
# warn of. Fonts that are pictures of one size, such as Noto Color Emoji, can't be drawn.
_FALLBACKS = (
    *("Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *(
        "Droid Sans Fallback",
        "IPAexGothic",
        "IPAGothic",
        "TakaoGothic",
        "VL Gothic",
        "NanumGothic",
        "UnDotum",
    ),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "MS Gothic", "Malgun Gothic", "Arial Unicode MS"),
    *("PingFang SC", "Hiragino Sans GB", "Hiragino Sans", "Heiti TC", "Apple SD Gothic Neo", "AppleGothic"),
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC", "Source Han Sans"),
    *(
        "Noto Sans Arabic",
        "Noto Sans Hebrew",
        "Noto Sans Devanagari",
        "Lohit Devanagari",
        "Kohinoor Devanagari",
    ),
    *(
        "Nirmala UI",
        "Noto Sans Bengali",
        "Noto Sans Tamil",
        "Noto Sans Telugu",
        "Noto Sans Thai",
        "Noto Sans",
    ),
    *(
        "Noto Sans Symbols",
        "Noto Sans Symbols 2",
        "Noto Emoji",
        "Symbola",
        "Segoe UI Symbol",
        "Segoe UI Emoji",
    ),
    *("FreeSans", "Unifont"),
)

_noted: set[str] = set()


@cache
def families() -> tuple[str, ...]:
    """Families of fonts for ``font.family``, in the order in which they are asked for a character."""
    known = {font.fname for font in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in known:  # installed since matplotlib made its list
            with contextlib.suppress(OSError, RuntimeError):  # one that can't be drawn
                fontManager.addfont(path)
    here = {font.name for font in fontManager.ttflist}
    # It warns of a family that has no font of just the weight that was asked for.
    logging.getLogger("matplotlib.font_manager").addFilter(_not_of_weights)
    return "sans-serif", *(name for name in _FALLBACKS if name in here)


def _not_of_weights(record: logging.LogRecord) -> bool:
    return not (
        "font weight" in record.getMessage() and any(name in record.getMessage() for name in _FALLBACKS)
    )


def drawn(text: str) -> str:
    """A text as a figure shows it: as it is written, with no formula in it.

    Characters that no font of the current style has become boxes; standard error names them, each once in a process.

    Args:
        text: a name, or words with names in them; it may have several lines.
    """
    plain = markup.visible(text, keep="\n")
    missing = _missing(plain)
    new = dict.fromkeys(
        character for character in missing if not _unseen(character) and character not in _noted
    )
    if new:
        _noted.update(new)
        print(_note("".join(new)), file=sys.stderr, flush=True)
    boxed = {ord(character): "" if _unseen(character) else BOX for character in missing}
    # A legend leaves out what begins with a low line; before it stands a blank without width.
    return markup.mathtext(("\u200b" if plain.startswith("_") else "") + plain.translate(boxed))


def _missing(text: str) -> list[str]:
    """The characters that no font of the current style has."""
    if text.isascii():
        return []
    names = tuple(mpl.rcParams["font.family"])
    return [one for one in dict.fromkeys(text) if not one.isascii() and not _has(one, names)]


@cache
def _has(character: str, names: tuple[str, ...]) -> bool:
    for name in names:
        try:
            path = fontManager.findfont(FontProperties(family=[name]), fallback_to_default=False)
        except ValueError:
            continue
        if get_font(path).get_char_index(ord(character)):
            return True
    return False


def _unseen(character: str) -> bool:
    """Whether it only joins or varies others, so that nothing is missing without it."""
    return unicodedata.category(character) == "Cf" or unicodedata.name(character, "").startswith(
        "VARIATION SELECTOR"
    )


def _note(characters: str) -> str:
    """What is said of characters without a font, which of them and what helps."""
    listed = ", ".join(f"{one} (U+{ord(one):04X})" for one in characters[:8])
    more = f" and {len(characters) - 8} more" if len(characters) > 8 else ""
    return (
        f"no font here has {listed}{more}: the figures have boxes instead. Install one that does, such as those of"
        " the Debian packages fonts-wqy-zenhei (Chinese, Japanese, Korean) and fonts-noto-core (other scripts)"
    )
