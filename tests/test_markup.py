"""What becomes of names and texts in each markup, read back by the parser that reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from mlcl_utils import markup

ODD = st.text(
    st.sampled_from("ab1 $\\*_`[](){}<>&|~!#+-=.:/@^%'\",?\n\x1b\u202eéτ−電😀\u0301") | st.characters()
)
NAMES = [
    "cost$_$x.csv", "<img src=x onerror=alert(1)>.csv", "電影 фильм.csv", "a_b & 50% #1", r"$x_1$ {y} ~ ^ \z",
    "*bold* | cell `code`", "<script>alert(2)</script>", "[x](www.evil.com)", "a --b 'c' ''d''", "[0.5ex] UP",
    "* star", r"\(x\) \begin{a}", "https://a.b/c", "me@a.bc", "- item", "1. item", "## head", "![a](b)", "![a][b]",
]  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert not attrs

    def handle_comment(self, data: str) -> None:
        self.names.append("comment")

    def handle_data(self, data: str) -> None:
        self.text += data


def plain(text: str) -> str:
    """With blanks as a page shows them."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é 電 👩\u200d🔬", "plain, é 電 👩\u200d🔬"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("\u202etxt.exe\u2066", r"\u202etxt.exe\u2066"),
        ("bad\udcff", r"bad\udcff"),
        ("\u2028\x85", r"\u2028\x85"),
    ],
)
def test_terminal(text: str, shown: str) -> None:
    assert markup.terminal(text) == shown


@given(ODD)
def test_a_terminal_is_given_one_line_without_controls(text: str) -> None:
    shown = markup.terminal(text)
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode()  # no halves of surrogate pairs


@given(ODD)
def test_html_gives_the_text_back_and_no_element(text: str) -> None:
    read = Elements(f"<p>{markup.html(text)}</p>")
    assert read.names == ["p"]
    assert read.text == markup.visible(text, keep="\n\t")
    assert not set("<>\"'") & set(markup.html(text))


@given(ODD)
def test_markdown_gives_the_text_back_and_no_element(text: str) -> None:
    text = text.strip()
    read = Elements(markdown2html_mistune(f"- **x** {markup.markdown(text)}"))
    assert set(read.names) <= {"ul", "li", "strong", "span"}
    assert plain(read.text) == plain(f"x {markup.visible(text)}")
    own = Elements(markdown2html_mistune(f"- {markup.markdown(text)}"))
    assert set(own.names) <= {"ul", "li", "span"}
    assert plain(own.text) == plain(markup.visible(text))


@pytest.mark.parametrize("name", NAMES)
def test_names_in_markdown(name: str) -> None:
    made = Elements(markdown2html_mistune(f"- **{markup.markdown(name)}:** x\n- {markup.markdown(name)}"))
    assert set(made.names) <= {"ul", "li", "strong", "span"}
    assert plain(made.text) == plain(f"{name}: x {name}")


@given(ODD)
def test_mathtext_is_no_formula_and_drawn_as_written(text: str) -> None:
    escaped = markup.mathtext(text)
    assert not is_math_text(escaped)
    assert escaped.replace(r"\$", "$") == markup.visible(text, keep="\n")  # as matplotlib draws it


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a_b & 50% #1", r"a\_b \& 50\% \#1"),
        (r"$x$ {y} ~ ^ \z", r"\$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}z"),
        ("− τ ρ α ± × ≤ ≥ ∞", r"$-$ $\tau$ $\rho$ $\alpha$ $\pm$ $\times$ $\leq$ $\geq$ $\infty$"),
        ("→ ↑ ↓ – — … x²", r"$\rightarrow$ $\uparrow$ $\downarrow$ -- --- \ldots{} x$^{2}$"),
        ("1†, 2‡", r"1$^\dagger$, 2$^\ddagger$"),
        ("“a” ‘b’", "``a'' `b'"),
        ('"<a>|"', r"\texttt{\char34}\textless{}a\textgreater{}\textbar{}\texttt{\char34}"),
        ("é ñ ç ï ő Å ß ł", r"\'{e} \~{n} \c{c} \"{\i} \H{o} \AA{} \ss{} \l{}"),
        ("e\u0301 q\u0304 ά", r"\'{e} \={q} \'{$\alpha$}"),
        ("電影 фи", r"\texttt{[U+96FB U+5F71]} \texttt{[U+0444 U+0438]}"),
        ("a--b ''c'' ?`", r"a-{}-b '{}'c'{}' ?\`{}"),
        ("[0.5ex] *", "{[}0.5ex] *"),
        (" *x", " {*}x"),
        ("UP and DOWN", "UP and DOWN"),
        ("a\nb\x1b", r"a\textbackslash{}nb\textbackslash{}x1b"),
    ],
)
def test_latex(text: str, made: str) -> None:
    assert markup.latex(text) == made


COMMANDS = {
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
        "nu",
    ),
    *(
        "xi",
        "pi",
        "rho",
        "varsigma",
        "sigma",
        "tau",
        "upsilon",
        "varphi",
        "chi",
        "psi",
        "omega",
        "epsilon",
        "phi",
    ),
    *(
        "vartheta",
        "varrho",
        "varpi",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Pi",
        "Sigma",
        "Upsilon",
        "Phi",
    ),
    *(
        "Psi",
        "Omega",
        "pm",
        "mp",
        "times",
        "div",
        "cdot",
        "ast",
        "circ",
        "oplus",
        "otimes",
        "leq",
        "geq",
        "neq",
    ),
    *(
        "approx",
        "equiv",
        "sim",
        "simeq",
        "propto",
        "ll",
        "gg",
        "infty",
        "partial",
        "nabla",
        "sum",
        "prod",
        "int",
    ),
    *(
        "surd",
        "in",
        "notin",
        "ni",
        "subset",
        "subseteq",
        "supset",
        "supseteq",
        "cup",
        "cap",
        "wedge",
        "vee",
        "neg",
    ),
    *(
        "forall",
        "exists",
        "emptyset",
        "perp",
        "parallel",
        "mid",
        "langle",
        "rangle",
        "lceil",
        "rceil",
        "lfloor",
    ),
    *(
        "rfloor",
        "leftarrow",
        "rightarrow",
        "uparrow",
        "downarrow",
        "leftrightarrow",
        "Leftarrow",
        "Rightarrow",
    ),
    *(
        "Leftrightarrow",
        "mapsto",
        "ell",
        "Re",
        "Im",
        "dagger",
        "ddagger",
        "prime",
        "star",
        "frac",
        "flat",
        "sharp",
    ),
    *(
        "spadesuit",
        "clubsuit",
        "heartsuit",
        "diamondsuit",
        "triangle",
        "cdots",
        "bullet",
        "ldots",
        "ss",
        "ae",
        "AE",
    ),
    *(
        "oe",
        "OE",
        "o",
        "O",
        "aa",
        "AA",
        "l",
        "L",
        "i",
        "j",
        "S",
        "P",
        "pounds",
        "copyright",
        "textregistered",
    ),
    *(
        "texttrademark",
        "textasciitilde",
        "textasciicircum",
        "textbackslash",
        "textless",
        "textgreater",
        "textbar",
    ),
    *("texttt", "char", "u", "r", "H", "v", "d", "c", "b"),
}
"""What LaTeX knows without a package."""
TOKEN = re.compile(r"\\([A-Za-z]+)|\\[&%#_${}`'^\"~=.,|]|[^\\&%#]")


@given(ODD)
def test_latex_is_ascii_that_latex_knows_in_balance(text: str) -> None:
    made = markup.latex(text)
    assert made.isascii()
    assert made.isprintable()
    tokens = list(TOKEN.finditer(made))
    assert "".join(token.group() for token in tokens) == made
    assert {token[1] for token in tokens if token[1]} <= COMMANDS
    bare = [token.group() for token in tokens]
    assert bare.count("$") % 2 == 0
    inside = [at for at, token in enumerate(bare) if token == "$"]
    for at, token in enumerate(bare):
        assert token not in {"^", "_"} or sum(place < at for place in inside) % 2 == 1
    depth = 0
    for token in bare:
        depth += (token == "{") - (token == "}")
        assert depth >= 0
    assert depth == 0
    assert not made.lstrip().startswith(("[", "*"))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_latex_of_ascii_can_be_read_back(text: str) -> None:
    back = markup.latex(text)
    for made, character in (
        (r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^"), (r"\textless{}", "<"), (r"\textgreater{}", ">"),
        (r"\textbar{}", "|"), (r"\texttt{\char34}", '"'), (r"\`{}", "`"), ("{[}", "["), ("{*}", "*"),
    ):  # fmt: skip
        back = back.replace(made, character)
    back = re.sub(r"([-',`])\{\}(?=\1)", r"\1", back)
    back = back.replace(r"\textbackslash{}", "\0")
    back = re.sub(r"\\([&%#_${}])", r"\1", back).replace("\0", "\\")
    assert back == text


def test_labels() -> None:
    assert markup.latex_label("tab:losses-1.a/b_c") == "tab:losses-1.a/b_c"
    for name in ("", "a b", "a}b", "a%b", "é", "a\n"):
        with pytest.raises(ValueError, match="use letters, digits"):
            markup.latex_label(name)
