"""Text on its way into a markup: one function each for LaTeX, HTML, Markdown, matplotlib's mathtext and a terminal.

Names of data sets, labels and losses, and texts such as reasons of failures, are values wherever they are kept,
compared and put into sentences. They are escaped once, where a writer puts them into its markup, and nowhere else: what
these functions return is for display alone. What no display can show (control characters, halves of surrogate pairs,
overrides of the direction of writing) is written out in all of them, such as ``\\x1b``.
"""

from __future__ import annotations

import html as _html
import re
import unicodedata

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# They reorder what follows, a terminal's prompt or the rest of a page included.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def visible(text: str, keep: str = "") -> str:
    """A text with what can't be shown written out: ``\\n``, ``\\x1b``, ``\\u202e``, ``\\udcff``.

    Args:
        text: any text; other characters stay as they are.
        keep: control characters that the markup knows, such as line ends.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in keep else _written_out(character) for character in text)


def _written_out(character: str) -> str:
    if character not in _DIRECTIONS and unicodedata.category(character) not in _UNSHOWN:
        return character
    code = ord(character)
    return _NAMED.get(character, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def terminal(text: str) -> str:
    """A text for one line of a terminal or a log: it can't end the line, move the cursor or change the colour."""
    return visible(text)


def html(text: str) -> str:
    """A text for the content of an element or for an attribute in quotes."""
    return _html.escape(visible(text, keep="\n\t"), quote=True)


def mathtext(text: str) -> str:
    """A text for matplotlib, which would read what is between two dollar signs as a formula. Line ends stay."""
    return visible(text, keep="\n").replace("$", r"\$")


# MathJax, which notebooks run over the page that Markdown has become, finds a formula only within one element.
_APART = {"$": "<span>&#36;</span>", "\\": "<span>&#92;</span>"}
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_MARKDOWN = re.compile(
    r"""[$\\<>&*_`~|]
    | !(?=\[) | \](?=[\[(:]) | \[(?=\^) | ^\[          # images, links, footnotes, boxes to tick
    | :(?=//) | (?<=www)\. | @(?=[\w-]+\.)             # addresses that become links
    | ^\s*(?:[\#=%] | -(?=[\s-]|$) | \+(?=[\s+]|$) | \d+[.)](?=\s|$))  # headings, rules, comments, items
    """,
    re.VERBOSE | re.IGNORECASE,
)


def markdown(text: str) -> str:
    """A text for Markdown, in a paragraph, an item or a cell of a table: no tag, no link, no formula comes of it.

    Dollar signs and backslashes stand in a ``span`` each, which shows nothing of its own.
    """
    return _MARKDOWN.sub(_in_markdown, visible(text))


def _in_markdown(match: re.Match[str]) -> str:
    found = match.group()
    if found in _APART:
        return _APART[found]
    return _ENTITIES.get(found) or f"{found[:-1]}\\{found[-1]}"


def latex(text: str) -> str:
    """A text for LaTeX outside of formulas: ASCII that compiles without any package.

    Greek letters, signs of mathematics, arrows, dashes, quotes and letters with accents become their commands. A
    character that LaTeX has none for, such as one of Chinese, Cyrillic or an emoji, is named by its number, those that
    follow one another together: ``\\texttt{[U+96FB U+5F71]}``.
    """
    pieces: list[str] = []
    numbers: list[str] = []
    for character in unicodedata.normalize("NFC", visible(text)):
        piece = _in_latex(character)
        if piece is None and pieces and not numbers and character in _ACCENTS and _carries(pieces[-1]):
            pieces[-1] = (
                f"\\{_ACCENTS[character]}{{{pieces[-1]}}}"  # of an accent without a letter of its own
            )
        elif piece is None:
            numbers.append(f"U+{ord(character):04X}")
        else:
            pieces += [*_numbered(numbers), piece]
            numbers = []
    return _unligatured([*pieces, *_numbered(numbers)])


def latex_label(name: str) -> str:
    """A name for ``\\label`` and ``\\ref``, as it is.

    Raises:
        ValueError: it is empty or has other characters than letters, digits and ``: . / _ -``, which LaTeX could not
            look up.
    """
    if not re.fullmatch(r"[A-Za-z0-9:./_-]+", name):
        raise ValueError(f"label {name!r}: use letters, digits and : . / _ - alone")
    return name


def _numbered(numbers: list[str]) -> list[str]:
    return [rf"\texttt{{[{' '.join(numbers)}]}}"] if numbers else []


def _in_latex(character: str) -> str | None:
    """The LaTeX of a character; None if it has none."""
    if character in _LATEX:
        return _LATEX[character]
    if " " <= character <= "~":
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    kind, *parts = unicodedata.decomposition(character).split() or [""]
    if kind in {"<super>", "<sub>"} and len(parts) == 1:
        raised = chr(int(parts[0], 16))
        if raised.isascii() and (raised.isalnum() or raised in "+-=()"):
            return f"${'^' if kind == '<super>' else '_'}{{{raised}}}$"
    if kind and not kind.startswith("<") and len(parts) == 1:
        letter, accent = _in_latex(chr(int(kind, 16))), chr(int(parts[0], 16))
        if letter is not None and accent in _ACCENTS and _carries(letter):
            dotless = {"i": r"\i", "j": r"\j"}.get(letter, letter) if accent in _ABOVE else letter
            return f"\\{_ACCENTS[accent]}{{{dotless}}}"
    return None


def _carries(piece: str) -> bool:
    """Whether an accent may stand on it: a letter, a Greek one, or one with an accent."""
    return (len(piece) == 1 and piece.isalpha()) or piece in _GREEK_LETTERS or bool(_ACCENTED.match(piece))


def _unligatured(pieces: list[str]) -> str:
    """Pieces put together so that TeX sees each of them: two make no dash and no quote.

    A star or a bracket that begins a row would be taken for an option of the row before.
    """
    text = ""
    for piece in pieces:
        one = len(piece) == 1
        if one and piece in "-',`" and text.endswith(piece):
            text += "{}"
        text += f"{{{piece}}}" if one and piece in "[*" and not text.strip() else piece
    return text


_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c", "\u0331": "b",
}  # fmt: skip
"""Accents that LaTeX sets over or under any letter."""
_ABOVE = frozenset(_ACCENTS) - set("\u0323\u0327\u0331")
_ACCENTED = re.compile(r"""\\[`'^~=.\"uHvdcbr]\{""")

_GREEK = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
    ),
    *("nu", "xi", "", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega"),
)
_LETTERS = {chr(0x3B1 + at): f"${chr(92)}{name}$" for at, name in enumerate(_GREEK) if name} | {
    letter: rf"$\{name}$"
    for letter, name in zip(
        "ΓΔΘΛΞΠΣΥΦΨΩϵϕϑϱϖµ",
        (
            *("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"),
            *("epsilon", "phi", "vartheta", "varrho", "varpi", "mu"),
        ),
        strict=True,
    )
}
_GREEK_LETTERS = frozenset(_LETTERS.values())
# In print they are the same as Latin ones, and LaTeX has no others.
_LATIN_SHAPED = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
_SIGNS = {
    "−": "-", "±": r"\pm", "∓": r"\mp", "×": r"\times", "÷": r"\div", "·": r"\cdot", "⋅": r"\cdot", "∗": r"\ast",
    "∘": r"\circ", "⊕": r"\oplus", "⊗": r"\otimes", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx",
    "≡": r"\equiv", "∼": r"\sim", "≃": r"\simeq", "∝": r"\propto", "≪": r"\ll", "≫": r"\gg", "∞": r"\infty",
    "∂": r"\partial", "∇": r"\nabla", "∑": r"\sum", "∏": r"\prod", "∫": r"\int", "√": r"\surd", "∈": r"\in",
    "∉": r"\notin", "∋": r"\ni", "⊂": r"\subset", "⊆": r"\subseteq", "⊃": r"\supset", "⊇": r"\supseteq",
    "∪": r"\cup", "∩": r"\cap", "∧": r"\wedge", "∨": r"\vee", "¬": r"\neg", "∀": r"\forall", "∃": r"\exists",
    "∅": r"\emptyset", "⊥": r"\perp", "∥": r"\parallel", "‖": r"\|", "∣": r"\mid", "⟨": r"\langle",
    "⟩": r"\rangle", "⌈": r"\lceil", "⌉": r"\rceil", "⌊": r"\lfloor", "⌋": r"\rfloor", "←": r"\leftarrow",
    "→": r"\rightarrow", "↑": r"\uparrow", "↓": r"\downarrow", "↔": r"\leftrightarrow", "⇐": r"\Leftarrow",
    "⇒": r"\Rightarrow", "⇔": r"\Leftrightarrow", "↦": r"\mapsto", "ℓ": r"\ell", "ℜ": r"\Re", "ℑ": r"\Im",
    "†": r"^\dagger", "‡": r"^\ddagger", "°": r"^\circ", "′": r"^\prime", "″": r"^{\prime\prime}", "⋆": r"\star",
    "★": r"\star", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "«": r"\ll", "»": r"\gg",
    "‹": "<", "›": ">", "♭": r"\flat", "♯": r"\sharp", "♠": r"\spadesuit", "♣": r"\clubsuit",
    "♥": r"\heartsuit", "♦": r"\diamondsuit", "△": r"\triangle", "⋯": r"\cdots", "•": r"\bullet",
}  # fmt: skip
_LATEX = {
    **_LETTERS,
    **_LATIN_SHAPED,
    **{sign: f"${command}$" for sign, command in _SIGNS.items()},
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "`": r"\`{}",
    # In the usual font these four are other characters; the fixed one has them.
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\texttt{\char34}",
    "–": "--", "—": "---", "‐": "-", "‑": "-", "…": r"\ldots{}",
    "‘": "`", "’": "'", "“": "``", "”": "''", "‚": ",", "„": ",,",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "å": r"\aa{}", "Å": r"\AA{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "ȷ": r"\j{}", "¡": "!`", "¿": "?`",
    "§": r"\S{}", "¶": r"\P{}", "£": r"\pounds{}", "©": r"\copyright{}", "®": r"\textregistered{}",
    "™": r"\texttrademark{}", "\u00a0": "~", "\u2009": r"\,", "\u202f": r"\,",
}  # fmt: skip
