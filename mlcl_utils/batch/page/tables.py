"""Tables of numbers and words: columns of words are set flush left."""

from __future__ import annotations

import re
from itertools import takewhile

from bs4 import BeautifulSoup, Tag

from mlcl_utils import markup

# Numbers, alone or with what may stand around them in a table of results: 77.5* ± 2.6, -1.0 [-2.0, +0.1], 1e-05, –.
_NUMBERS = re.compile(r"(?:[-+−±≤≥<>~*†‡%\[\](),;:\s\d.–—]|e[-+]?\d|nan|inf|NaN)*")


def aligned(text: str) -> str:
    """HTML in which each table column of words, its head included, has the class ``words``, and so do names of rows.

    Cells are counted from the right, so that a head that spans several rows on the left moves nothing. Heads over
    several columns stay as they are. The style sheet that pandas puts before a table is dropped: the page has one. What
    can't be shown is written out.
    """
    soup = BeautifulSoup(text, "html.parser")
    for sheet in soup.find_all("style"):
        sheet.decompose()
    for text in soup.find_all(string=True):
        text.replace_with(markup.visible(text, keep="\n\t"))  # of names in cells
    for table in soup.find_all("table"):
        body = [row.find_all("td", recursive=False) for row in table.find_all("tr") if row.find("td")]
        heads = [row.find_all("th", recursive=False) for row in table.find_all("tr") if not row.find("td")]
        for place in range(1, max(map(len, heads), default=0) + 1):
            column = [cells[-place] for cells in body if place <= len(cells)]
            if column and all(_NUMBERS.fullmatch(cell.get_text()) for cell in column):
                continue
            for cell in column + [found for head in heads if (found := _over(head, place)) is not None]:
                cell["class"] = "words"
    return str(soup)


def _over(head: list[Tag], place: int) -> Tag | None:
    """The head over the column at a place from the right, if it is over that column alone."""
    single = list(takewhile(lambda cell: not cell.has_attr("colspan"), reversed(head)))
    return single[place - 1] if place <= len(single) else None
