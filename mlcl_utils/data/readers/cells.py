"""What a cell is, the same for every column and every format: missing, 0 or 1, a number, a list of labels, a name."""

from __future__ import annotations

import ast
import itertools
import json
import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html.entities import name2codepoint
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcl_utils.errors import DataError

# ------------------------------------------------------------------------------------------------- missing, texts

MISSING_WORDS = frozenset(
    {"NA", "na", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-NaN", "-nan", "NaT"}
    | {"None", "none", "NONE", "NULL", "null", "Null", "nil", r"\N", "?"}
)
"""What programs write for a missing value: R, pandas, NumPy, SQL, JSON, Excel, Weka.

Spelled as they write it, so that a chemist's ``Na`` stays sodium.
"""


def is_missing(value: Any) -> bool:
    """Whether a value is missing whatever its column holds: None, a NaN of any type, or nothing but white space."""
    if isinstance(value, str):
        return not value.strip()
    if value is None:
        return True
    if hasattr(value, "__len__"):
        return False
    same = value == value  # only NaN differs from itself; pandas' NA is neither equal nor unequal
    return not (isinstance(same, bool | np.bool_) and same)


def is_absent(text: str) -> bool:
    """Whether the text of a cell says that nothing is there: it is empty, or one of :data:`MISSING_WORDS`."""
    return not text or text in MISSING_WORDS


def cell_text(value: Any) -> str:
    """A cell as text without white space around it; a missing one is the empty text."""
    if isinstance(value, str):
        return value.strip()
    return "" if is_missing(value) else str(value).strip()


def normal(text: str) -> str:
    """A text without white space around it, in NFC: what looks the same is the same."""
    return unicodedata.normalize("NFC", text).strip()


def label_name(value: Any, where: str) -> str:
    """The name of a label, as a text.

    Args:
        value: as it was read.
        where: file and place, for the error.

    Raises:
        DataError: it is no text, or an empty one.
    """
    if not isinstance(value, str) or not normal(value):
        raise DataError(f"{where}: the name of a label is {'empty' if value == '' else value!r}, not a text")
    return normal(value)


def shown(value: Any, limit: int = 40) -> str:
    """A value for a message: in one line, cut where it is long, without characters that cannot be printed."""
    text = " ".join(str(value).split())
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names in quotes, the first few of many, and how many more there are."""
    some = ", ".join(f"'{shown(name)}'" for name in names[:most])
    return some if len(names) <= most else f"{some} and {len(names) - most} more"


def counted(number: int, noun: str) -> str:
    """A number and a noun, in the plural where that is so."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# ------------------------------------------------------------------------------------------------------- 0 and 1

_STATES = {
    **dict.fromkeys(("1", "true", "t", "yes", "y"), 1),
    **dict.fromkeys(("0", "false", "f", "no", "n"), 0),
    "-1": -1,
}


def state(text: str) -> int | None:
    """What the text of a cell says of a label: 1 positive, 0 negative, -1 unobserved; None if it says neither."""
    if is_absent(text):
        return -1
    known = _STATES.get(text.lower())
    if known is None and is_number(text) and not _THOUSANDS.fullmatch(text):
        known = {1.0: 1, 0.0: 0, -1.0: -1}.get(float(text.replace(",", ".")))
    return known


@dataclass(frozen=True)
class Fit:
    """How well the cells of a column fit a kind.

    Attributes:
        present: cells that are not missing.
        fitting: those of them that are of the kind.
        odd: the different texts of the others, the most frequent first.
    """

    present: int
    fitting: int
    odd: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every cell that is there is of the kind, and one is there."""
        return not self.odd and self.fitting > 0


def fit_states(counts: Mapping[str, int]) -> Fit:
    """How well cells fit 0 and 1 and what is written for them.

    Args:
        counts: how often each text occurs.
    """
    there = {text: count for text, count in counts.items() if not is_absent(text)}
    odd = [text for text in there if state(text) is None]
    return _fit(there, odd)


def nearly_states(counts: Mapping[str, int]) -> Fit | None:
    """The fit of cells that are 0 and 1 but for a few odd ones; None if they are of another kind.

    Odd texts are few where most cells are 0 and 1. Odd numbers have to be much fewer: counts, such as those of words,
    are often 0 and 1 too.
    """
    fit = fit_states(counts)
    if not fit.odd or 2 * fit.fitting <= fit.present:
        return None
    if all(is_number(text) for text in fit.odd):
        states = {state(text) for text in counts if not is_absent(text)}
        few = len(fit.odd) <= 5 and fit.present - fit.fitting <= max(2, fit.present // 5)
        return fit if few and {0, 1} <= states else None
    return fit


def _fit(there: Mapping[str, int], odd: Iterable[str]) -> Fit:
    ranked = tuple(sorted(odd, key=lambda text: -there[text]))
    present = sum(there.values())
    return Fit(present, present - sum(there[text] for text in ranked), ranked)


# ------------------------------------------------------------------------------------------------------- numbers

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
# A number whose comma may part the thousands.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


# Numbers that people read and programs do not: 1 234,5; 1'234.5; 5 %; a real minus sign.
_LIKE_NUMBER = re.compile(
    r"[+\-\u2212]?\s?(?:\d{1,3}(?:[ '\u2019\u00a0\u202f.,]\d{3})*|\d+)(?:[.,]\d+)?(?:[eE][+\-\u2212]?\d+)?\s?%?"
)


def is_like_number(text: str) -> bool:
    """Whether a text is a number to its reader, however it is written."""
    return _LIKE_NUMBER.fullmatch(text) is not None


def is_number(text: str) -> bool:
    """Whether a text is a number, with a decimal point or a decimal comma."""
    return _NUMBER.fullmatch(text) is not None or _COMMA.fullmatch(text) is not None


def fit_numbers(counts: Mapping[str, int]) -> Fit:
    """How well cells fit numbers; the words for 0 and 1 are numbers too where a column holds only them.

    Args:
        counts: how often each text occurs.
    """
    there = {text: count for text, count in counts.items() if not is_absent(text)}
    fit = _fit(there, [text for text in there if not is_number(text)])
    if fit.odd and (states := fit_states(there)).whole:
        return states
    return fit


@dataclass(frozen=True)
class Numbers:
    """The numbers of a column.

    Attributes:
        values: float64 (N,), NaN where there is none.
        decimal: how fractions are written, ``"."`` or ``","``; ``"?"`` if each comma could part thousands too.
    """

    values: npt.NDArray[np.float64]
    decimal: str


def plain_numbers(texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """float64 (N,): the numbers of N cells with a decimal point; None if any is another or no number."""
    try:
        values = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        return None
    # What Python takes for a number and nobody else does: 1_000, inf, nan.
    return None if not np.isfinite(values).all() or any("_" in text for text in texts) else values


def numbers(texts: Sequence[str], decimal: str | None = None) -> Numbers:
    """The numbers of a column.

    Decimal commas count where all fractions are written so; where some have a point, a comma is no number.

    Args:
        texts: of the N cells.
        decimal: how fractions are written, if it is known. The other of point and comma may then part thousands.
    """
    if decimal != "," and (values := plain_numbers(texts)) is not None:
        return Numbers(values, ".")
    different = dict.fromkeys(texts, 1)
    if decimal is None:
        style = _decimal(different)
        thousands = ""
    else:
        style, thousands = decimal, "," if decimal == "." else "."
    known = {text: _number(text, "," if style == "?" else style, thousands) for text in different}
    states = {text: state(text) for text in different if known[text] != known[text] and not is_absent(text)}
    if states and fit_states(different).whole:
        known |= {text: float(value) for text, value in states.items() if value is not None}
    return Numbers(np.fromiter((known[text] for text in texts), dtype=np.float64, count=len(texts)), style)


def _decimal(texts: Iterable[str]) -> str:
    commas = [text for text in texts if _COMMA.fullmatch(text)]
    if not commas or any("." in text and _NUMBER.fullmatch(text) for text in texts):
        return "."
    return "?" if all(_THOUSANDS.fullmatch(text) for text in commas) else ","


def _number(text: str, decimal: str, thousands: str) -> float:
    if thousands and re.fullmatch(rf"[+-]?\d{{1,3}}(?:\{thousands}\d{{3}})+(?:\{decimal}\d*)?", text):
        text = text.replace(thousands, "")
    elif decimal == "," and "." in text:
        return np.nan
    if decimal == ",":
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def number_list(text: str) -> list[float] | None:
    """The numbers of a text such as ``[0.1, 0.2]`` or, as NumPy writes it, ``[0.1 0.2]``; None if it is none."""
    call = _CALL.fullmatch(text)
    text = call["inner"] if call else text
    if not (text.startswith("[") and text.endswith("]")):
        return None
    words = text[1:-1].replace(",", " ").split()
    return [float(word) for word in words] if all(map(_NUMBER.fullmatch, words)) else None


# ------------------------------------------------------------------------------------------------ lists of labels

# As Python writes what is not a list: set(), array(['a'], dtype=object), Index(['a'], dtype='object').
_CALL = re.compile(
    r"(?:(?:frozen)?set|list|tuple|deque|(?:\w+\.)*array)\(\s*(?P<plain>|\(.*?\))\s*\)"
    r"|[A-Za-z_][\w.]*\(\s*(?P<inner>[\[{].*?[\]}])\s*(?:,\s*\w+=[^\[\](){}]*)*\)",
    re.DOTALL,
)
# In brackets, and round ones and braces not around parts of the text alone.
_BRACKETS = re.compile(r"""\[.*\]|\((?:\s*['"].*|[^()]*)\)|\{(?:\s*['"].*|[^{}]*)\}""", re.DOTALL)
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_TOKEN = re.compile(rf"""{_QUOTED}|,|[^\s,'"]+|['"]""", re.DOTALL)
# NumPy's scalars, and bare words for what is missing, outside quotes.
_SCALAR = re.compile(
    rf"""(?P<kept>{_QUOTED})|np\.\w+\((?P<scalar>{_QUOTED}|[^()'"]*)\)"""
    r"|(?<![\w.<-])(?P<missing>nan|NaN|NA|<NA>|NaT|null)(?![\w.>])",
    re.DOTALL,
)
_NO_LABEL = (list, tuple, set, dict, bytes, type(...))


def is_bracketed(text: str) -> bool:
    """Whether a text looks like a list, set or tuple as Python or NumPy write it."""
    return _BRACKETS.fullmatch(text) is not None or _CALL.fullmatch(text) is not None


def written_list(text: str) -> list[Any] | None:
    """The labels of a text that is bracketed; None where it is no list of them, or its meaning is unsure."""
    call = _CALL.fullmatch(text)
    if call:
        text = call["inner"] or call["plain"] or "[]"
    try:
        return labels_of(json.loads(text))  # its escapes are not those of Python
    except (ValueError, RecursionError):
        pass
    text = _SCALAR.sub(_without_scalars, text)
    tokens = _TOKEN.findall(text[1:-1])
    if any(one[0] in "'\"" and after != "," for one, after in itertools.pairwise(tokens)):
        # Python would join what no comma parts: it is NumPy's list of texts, or a comma is missing.
        if text[0] != "[" or any(token[0] not in "'\"" and token != "None" for token in tokens):
            return None
        text = f"[{', '.join(tokens)}]"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            return labels_of(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _without_scalars(match: re.Match[str]) -> str:
    if match["kept"]:
        return match["kept"]
    inner = match["scalar"] or ""
    return "None" if match["missing"] or inner in MISSING_WORDS else inner


def labels_of(value: Any) -> list[Any] | None:
    """The labels of a list, tuple or set; None if it is none of them, or holds what is no label."""
    if value == {}:
        return []
    if not isinstance(value, list | tuple | set):
        return None
    return None if any(isinstance(each, _NO_LABEL) for each in value) else list(value)


# Entities of HTML that are written for a character of a name; of others, such as &or;, a separator is likelier.
_ENTITY_NAMES = "|".join(["apos", *(name for name, code in name2codepoint.items() if code < 256)])
_ENTITY = re.compile(rf"&(?:{_ENTITY_NAMES}|#\d{{1,7}}|#[xX][0-9A-Fa-f]{{1,6}});")


def has_entity(text: str) -> bool:
    """Whether a text holds an entity of HTML, such as ``&amp;``."""
    return "&" in text and _ENTITY.search(text) is not None


def split_cell(text: str, separator: str) -> list[str]:
    """The parts of a cell between separators; the semicolon that ends an HTML entity is none."""
    if separator != ";" or not has_entity(text):
        return text.split(separator)
    of_entities = {match.end() - 1 for match in _ENTITY.finditer(text)}
    ends = [at for at, char in enumerate(text) if char == separator and at not in of_entities]
    return [text[start + 1 : end] for start, end in itertools.pairwise([-1, *ends, len(text)])]
