"""Pages over results: an index, a page a study with its figures and tables, its runs, its notebook, the claims."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from mlcl_utils import markup, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.files import why
from mlcl_utils.paths import shown
from mlcl_utils.report import claims, tables
from mlcl_utils.report.claims import Row
from mlcl_utils.report.results import NOTEBOOK, PAGE, RUNS, Item, Results, find
from mlcl_utils.studies.manifest import MANIFEST
from mlcl_utils.units import duration

INDEX = "index.html"

_TEMPORARY = ".mlcl-report-"
_ASSETS = Path(__file__).parent / "assets"
# What the page of a notebook (mlcl_utils.batch.page) leaves to who shows it.
_EMPTY_HEADER = "<header></header>"
_GENERATOR = '<meta name="generator" content="mlcl report">'
# Metrics that are compared everywhere; the others can be chosen.
_MAIN = ("macro_f1", "map", "ranking_loss")


@dataclass(frozen=True)
class Site:
    """A site that was built.

    Attributes:
        folder: where it lies.
        results: what it shows.
        size: bytes of all its files.
    """

    folder: Path
    results: tuple[Results, ...]
    size: int


@dataclass(frozen=True)
class Card:
    """A study on the index.

    Attributes:
        name: of the study.
        title: its title.
        question: its question; may be empty.
        results: all its results, the most telling first.
    """

    name: str
    title: str
    question: str
    results: tuple[Results, ...]


def build(results: Path, folder: Path) -> Site:
    """Build the site over a folder of results, whole or not at all.

    Args:
        results: the folder that ``mlcl run --results`` names; not changed, unless the site lies in it.
        folder: where the site goes; an earlier one there is replaced. A folder that is there stays, so that it may be
            a link, or where a disk is mounted, and so does what is no part of a report in it.

    Raises:
        UsageError: there are no results to read, or something else than a report is in the way.
    """
    if not results.is_dir():
        raise UsageError(f"there is no folder of results '{shown(results)}'; make one with: mlcl run")
    _check_free(folder)
    found = tuple(find(results))
    there = folder.is_dir()
    place = folder if there else folder.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=place) as name:
            made, old = Path(name) / "site", Path(name) / "old"
            made.mkdir()
            old.mkdir()
            _write(made, found)
            total = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
            if there:
                _replace(folder, made, old)
            else:
                made.rename(folder)
    except OSError as error:
        raise UsageError(f"cannot write the report '{shown(folder)}': {why(error)}") from None
    return Site(folder, found, total)


def _replace(folder: Path, made: Path, old: Path) -> None:
    """Put a site in the place of the one that a folder holds, entry by entry.

    The index goes first: should this process be killed, the folder is still known for a report.

    Args:
        folder: an empty one, or one with an earlier site.
        made: the new site, on the same disk.
        old: where the old entries go.
    """
    os.replace(made / INDEX, folder / INDEX)
    for entry in folder.iterdir():
        ours = os.path.lexists(made / entry.name) or _is_report(entry)
        if ours and entry.name not in {INDEX, made.parent.name}:
            entry.rename(old / entry.name)
    for entry in made.iterdir():
        entry.rename(folder / entry.name)


def _check_free(folder: Path) -> None:
    """Refuse to replace anything but an empty folder or an earlier report."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UsageError(f"'{shown(folder)}' is not a folder; name another one with --out")
    if not _is_page(folder / INDEX) and not all(_is_report(entry) for entry in folder.iterdir()):
        raise UsageError(
            f"'{shown(folder)}' holds something else than a report; name another folder with --out"
        )


def _is_report(entry: Path) -> bool:
    """Whether an entry of a folder is of an earlier report: a page, a study's folder, or what a killed one has left."""
    if entry.is_symlink() or not entry.is_dir():
        return _is_page(entry)
    return entry.name.startswith(_TEMPORARY) or any(map(_is_page, entry.glob(f"*/{INDEX}")))


def _is_page(path: Path) -> bool:
    return path.is_file() and _GENERATOR in path.read_text(encoding="utf-8", errors="replace")


def _write(site: Path, found: Sequence[Results]) -> None:
    shutil.copytree(_ASSETS, site / "assets")
    pages = _Pages(site, found)
    pages.index()
    if pages.ledger is not None:
        pages.claims(pages.ledger)
    for results in found:
        pages.study(results)


@dataclass(frozen=True)
class Ledger:
    """The claims of all studies together.

    Attributes:
        results: of the study that put them together.
        rows: one a claim and task.
    """

    results: Results
    rows: list[Row]

    @property
    def count(self) -> int:
        """How many claims there are."""
        return len({row.fields["claim"] for row in self.rows})


class _Pages:
    """Writes pages; all of them know the cards and the claims."""

    def __init__(self, site: Path, found: Sequence[Results]) -> None:
        self._site = site
        self._found = found
        self.cards = _cards(found)
        made = (Ledger(results, claims.of(results)) for results in found if results.study == claims.LEDGER)
        self.ledger = next((ledger for ledger in made if ledger.rows), None)
        self._templates = Environment(
            loader=PackageLoader("mlcl_utils.report"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
            finalize=_shown,
        )
        self._templates.filters.update(
            duration=duration,
            commit=_commit,
            day=_day,
            link=quote,
            json=_json,
            words=_words,
            counted=claims.counted,
        )

    def index(self) -> None:
        complete = [card for card in self.cards if card.results and card.results[0].state == "complete"]
        compute = [card.results[0].compute for card in complete]
        self._page(
            Path(INDEX),
            "index",
            cards=[(card, claims.of(card.results[0]) if card.results else []) for card in self.cards],
            complete=len(complete),
            runs=sum(each.get("runs", 0) for each in compute),
            seconds=sum(each.get("seconds", 0) for each in compute),
        )

    def claims(self, ledger: Ledger) -> None:
        # A study's results of the same preset, or its most telling ones.
        first = {card.name: card.results[0].name for card in self.cards if card.results}
        same = {results.study: results.name for results in self._found if results.name == ledger.results.name}
        self._page(Path("claims.html"), "claims", presets={**first, **same})

    def study(self, results: Results) -> None:
        here = Path(results.study, results.name)
        (self._site / here).mkdir(parents=True)
        kept = [file for item in (*results.figures, *results.tables) for file in item.files]
        kept += [name for name in (NOTEBOOK, RUNS, MANIFEST) if results.has(name)]
        for name in kept:
            target = self._site / here / name
            target.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # a study that begins just now removes its manifest
                shutil.copyfile(results.folder / name, target)
        if results.has(PAGE):
            page = (results.folder / PAGE).read_text(encoding="utf-8", errors="replace")
            back = markup.html(f"{results.study}, {results.name}")
            header = f'<header><a href="{INDEX}">← {back}</a></header>'
            (self._site / here / PAGE).write_text(page.replace(_EMPTY_HEADER, header, 1), encoding="utf-8")
        runs = tables.read(results.folder / RUNS)
        if runs.rows:
            self._page(here / "runs.html", "runs", results=results, table=runs, view=_view(runs))
        card = next(card for card in self.cards if results in card.results)
        self._page(
            here / INDEX,
            "study",
            results=results,
            card=card,
            runs=runs,
            tables=[(item, tables.read(results.folder / str(item.get("csv")))) for item in results.tables],
            figures=[(item, _image(item, results)) for item in results.figures],
            rows=claims.of(results),
        )

    def _page(self, path: Path, template: str, **content: Any) -> None:
        root = "../" * (len(path.parts) - 1)
        text = self._templates.get_template(f"{template}.html.j2").render(
            content,
            root=root,
            generator=_GENERATOR,
            ledger=self.ledger,
        )
        # halves of surrogate pairs in the data of a script
        (self._site / path).write_text(text, encoding="utf-8", errors="backslashreplace")


def _cards(found: Iterable[Results]) -> list[Card]:
    """A card for every registered study, in order, then for every other that has results."""
    by_study: dict[str, list[Results]] = {name: [] for name in studies.names()}
    for results in found:
        by_study.setdefault(results.study, []).append(results)
    cards = []
    for name, own in by_study.items():
        if name in studies.names():
            study = studies.get(name)
            title, question = study.title, study.question
        else:
            title, question = own[0].title, own[0].question
        cards.append(Card(name, title, question, tuple(own)))
    return cards


def _image(figure: Item, results: Results) -> str:
    """The file of a figure that a page shows: the SVG, which is sharp at any size, unless it is heavy."""
    svg, png = figure.get("svg"), figure.get("png")
    if svg and not (png and (results.folder / svg).stat().st_size > 1_000_000):
        return svg
    return str(png)


def _view(runs: tables.Table) -> dict[str, Any]:
    """How a page shows runs: what is the same in all of them apart, and the order of the columns, with those first
    that are shown before others are chosen: what varies in the configuration, the main metrics, the time.

    The configuration stands before the column ``run``, which is the run's identity.
    """
    configured = runs.columns.index("run") if "run" in runs.columns else len(runs.columns)
    values = {name: set(runs.column(name)) for name in runs.columns[:configured]}
    same = {name: found.pop() for name, found in values.items() if len(found) == 1 and len(runs.rows) > 1}
    shown_first = [name for name in runs.columns[:configured] if name not in same]
    for metric in _MAIN:
        measured = (name for name in runs.columns[configured:] if name.partition("_")[2] == metric)
        shown_first += sorted(measured, reverse=True)  # the probe's before that of the loss's own head
    shown_first += [name for name in ("time_total",) if name in runs.columns[configured:]]
    order = sorted(range(len(runs.columns)), key=lambda at: _position(runs.columns[at], shown_first))
    return {
        "same": {name: value for name, value in same.items() if value},
        "shown": len(shown_first),
        "columns": [runs.columns[at] for at in order],
        "numeric": [runs.numeric[at] for at in order],
        "rows": [[row[at] for at in order] for row in runs.rows],
    }


def _position(name: str, first: Sequence[str]) -> int:
    return first.index(name) if name in first else len(first)


def _shown(value: Any) -> Any:
    """A text of results as a page shows it; what the templates have made stays."""
    return markup.visible(value, keep="\n\t") if type(value) is str else value


def _commit(commit: str) -> str:
    """A commit as a person reads it: ten digits, and whether tracked files differed."""
    digits, _, changes = commit.partition("+")
    return digits[:10] + (", with changes" if changes else "")


def _day(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return moment


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _json(value: Any) -> str:
    """JSON for a script element, which no text in it can end."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
