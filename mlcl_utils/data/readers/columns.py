"""Which column of a table is what: named by the user, or guessed from names and values."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlcl_utils.data.readers.common import IMAGE_ENDINGS, PART_WORDS
from mlcl_utils.data.readers.rows import Rows, cell_text
from mlcl_utils.errors import DataError, unknown

# Names that a column of a kind usually has, the likeliest first.
_USUAL = {
    "labels": ("labels", "label", "tags", "tag", "categories", "category", "topics", "topic", "genres", "genre",
               "classes", "keywords", "concepts", "targets"),
    "split": ("split", "split_name", "part", "partition", "subset", "fold", "set"),
    "id": ("id", "uid", "doc_id", "document_id", "image_id", "example_id"),
    "group": ("group", "group_id"),
    "image": ("image", "image_path", "img", "img_path", "path", "filepath", "file_path", "file", "filename",
              "file_name", "photo", "picture"),
    "features": ("features", "embedding", "embeddings", "vector"),
    "title": ("title", "headline", "subject"),
    "text": ("text", "body", "content", "abstract", "description", "document", "review", "comment", "message",
             "sentence", "summary", "synopsis", "plot"),
}  # fmt: skip

KEYS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        ("id", "title", "text", "image", "images", "group", "split", "separator", "encoding"), str
    ),
    **dict.fromkeys(("features", "labels"), (str, list)),
}
"""What the file beside a table may say, with types: columns, folder of the images, label separator, encoding."""

# Names of the numbers of rows in what pandas writes. Where rows are sorted by their labels, they tell them.
_ROW_NUMBERS = re.compile(r"|unnamed: \d+|index|__index_level_\d+__", re.IGNORECASE)
_INDICATOR = frozenset({"0", "1", "-1", "0.0", "1.0", "-1.0", "True", "False", "?", ""})
_LONG = 20  # characters of a column's mean value from which on it may be the text


@dataclass(frozen=True)
class Columns:
    """The columns by what they are; None or nothing where there is none.

    Attributes:
        labels: one column that lists labels, or several with 0 and 1, one a label.
        indicators: whether ``labels`` are such.
        features: one column of lists, or several of numbers.
        notes: which columns were left out of the guess, and why.
    """

    labels: tuple[str, ...]
    indicators: bool
    features: tuple[str, ...] = ()
    text: str | None = None
    title: str | None = None
    image: str | None = None
    id: str | None = None
    group: str | None = None
    split: str | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> str:
        """One sentence on what was taken for what."""
        single = {
            "text": self.text,
            "title": self.title,
            "image": self.image,
            "id": self.id,
            "group": self.group,
        }
        words = [f"{kind} '{name}'" for kind, name in {**single, "split": self.split}.items() if name]
        if self.features:
            words.append(f"features {_listed(self.features)}")
        words.append(f"labels {_listed(self.labels)}" + (" (0 and 1)" if self.indicators else ""))
        return f"columns: {', '.join(words)}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def choose(rows: Rows, given: Mapping[str, Any]) -> Columns:
    """Say which column is what.

    Args:
        rows: the table.
        given: what the user named, by the keys of :data:`KEYS`; the rest is guessed.

    Raises:
        DataError: a named column is not there, or there is nothing to learn from or to be learnt.
    """
    named = {kind: _named(rows, kind, given[kind]) for kind in _USUAL if kind in given}
    free = [name for name in rows.columns if name not in {n for names in named.values() for n in names}]
    guess = _Guess(rows, free)
    guess.leave_out()
    labels = named.get("labels") or guess.labels()
    single = {kind: _one(named, kind) for kind in ("id", "group", "split", "title", "text", "image")}
    for kind in ("split", "id", "group"):
        single[kind] = single[kind] or guess.usual(kind)
    features: tuple[str, ...] = named.get("features", ())
    if not (single["text"] or single["image"] or features):
        single["image"] = guess.image()
        single["text"] = None if single["image"] else guess.text()
    if single["text"]:
        single["title"] = single["title"] or guess.usual("title")
    elif not (single["image"] or features):  # a title alone is the text
        single["text"], single["title"] = single["title"] or guess.usual("title"), None
    features = features or (() if single["text"] or single["image"] else guess.features(labels))
    advice = f"name it in {rows.path.with_suffix('.toml').name}; columns: {_listed(list(rows.columns))}"
    if single["text"] and single["image"]:
        raise DataError(f"{rows.path.with_suffix('.toml')} names both a text and an image; name one of them")
    if not labels:
        raise DataError(f'{rows.path}: which column has the labels? {advice}, such as: labels = "tags"')
    if not (single["text"] or single["image"] or features):
        raise DataError(
            f'{rows.path}: which column has the text, image path or features? {advice}, such as: text = "body"'
        )
    return Columns(
        labels=labels,
        indicators=len(labels) > 1 or _is_indicator(rows.columns[labels[0]]),
        features=features,
        notes=guess.notes(),
        **single,
    )


def _named(rows: Rows, kind: str, value: str | list[Any]) -> tuple[str, ...]:
    """The columns that a user named, patterns such as ``tag_*`` filled in."""
    found: list[str] = []
    for word in [value] if isinstance(value, str) else value:
        matching = [word] if word in rows.columns else fnmatch.filter(rows.columns, str(word))
        if not matching:
            sidecar = rows.path.with_suffix(".toml")
            raise DataError(f"{sidecar}, key '{kind}': {unknown('column', str(word), rows.columns)}")
        found += matching
    return tuple(dict.fromkeys(found))


def _one(named: Mapping[str, tuple[str, ...]], kind: str) -> str | None:
    return named[kind][0] if kind in named else None


def _is_indicator(values: Iterable[Any]) -> bool:
    found = {"" if isinstance(value, list) else cell_text(value) for value in values}
    return found <= _INDICATOR and not found <= {"", "?"}


class _Guess:
    """Guesses among the columns that nobody has taken yet; what is guessed is taken."""

    def __init__(self, rows: Rows, free: list[str]) -> None:
        self._rows, self._free, self._left = rows, free, list[str]()

    def leave_out(self) -> None:
        """Take what is neither label nor feature though it is numbers: those of rows, and of the folds of a split."""
        for name in self._free:
            values = self._rows.columns[name]
            fold = name.lower() in _USUAL["split"] and not self._can_be("split", values, name)
            if _ROW_NUMBERS.fullmatch(name) or (fold and (_numeric(values) or _is_indicator(values))):
                self._left.append(name)
        self._take(*self._left)

    def notes(self) -> tuple[str, ...]:
        """What is to be said of columns that were left out, or look like a split and are none."""
        sidecar = self._rows.path.with_suffix(".toml").name
        notes = []
        for name in self._rows.columns:
            if name in self._left and _ROW_NUMBERS.fullmatch(name):
                notes.append(
                    f"column '{name}' is not used: such a column numbers the rows; if not, name it in {sidecar}"
                )
            elif name in self._left or (name in self._free and name.lower() in _USUAL["split"]):
                notes.append(
                    f"column '{name}' is not used as a split, nor guessed to be a label or feature: "
                    "its values are not train, validation or test"
                )
        return tuple(notes)

    def _take(self, *names: str) -> tuple[str, ...]:
        self._free = [name for name in self._free if name not in names]
        return names

    def usual(self, kind: str) -> str | None:
        """The column whose name is usual for the kind, and whose values can be of it."""
        by_name = {name.lower(): name for name in reversed(self._free)}
        for word in _USUAL[kind]:
            if word in by_name and self._can_be(kind, self._rows.columns[by_name[word]], word):
                return self._take(by_name[word])[0]
        return None

    def _can_be(self, kind: str, values: list[Any], name: str = "") -> bool:
        if kind == "split":
            known = (cell_text(value).lower() in PART_WORDS for value in values)
            # A name that means nothing else: a word that is unknown is an error, and no reason to ignore the column.
            return any(known) if name.lower() in {"split", "split_name"} else all(known)
        if kind == "image":
            return all(cell_text(value).lower().endswith(IMAGE_ENDINGS) for value in values)
        if kind == "features":
            return all(isinstance(value, list) for value in values)
        return True

    def labels(self) -> tuple[str, ...]:
        """A column of a usual name, or all those with nothing but 0 and 1, if they are several."""
        name = self.usual("labels")
        if name:
            return (name,)
        found = [name for name in self._free if _is_indicator(self._rows.columns[name])]
        return self._take(*found) if len(found) > 1 else ()

    def image(self) -> str | None:
        """A column of image files."""
        return self.usual("image") or next(
            (self._take(name)[0] for name in self._free if self._can_be("image", self._rows.columns[name])),
            None,
        )

    def text(self) -> str | None:
        """A column of a usual name, or the one with the longest values, if they are long."""
        name = self.usual("text")
        if name:
            return name
        lengths = {
            name: sum(len(cell_text(value)) for value in values) / len(values)
            for name, values in self._rows.columns.items()
            if name in self._free
            and all(value is None or isinstance(value, str) for value in values)
            and not _numeric(values)
        }
        longest = max(lengths, key=lambda name: lengths[name], default=None)
        return self._take(longest)[0] if longest is not None and lengths[longest] >= _LONG else None

    def features(self, labels: Sequence[str]) -> tuple[str, ...]:
        """A column of lists of numbers, or all columns of numbers."""
        name = self.usual("features")
        if name:
            return (name,)
        return self._take(
            *(name for name in self._free if name not in labels and _numeric(self._rows.columns[name]))
        )


def _numeric(values: Iterable[Any]) -> bool:
    """Whether all values that are there are numbers; what is missing is found when they are read."""
    there = [value for value in values if cell_text(value)]
    try:
        for value in there:
            float(value)
    except (TypeError, ValueError):
        return False
    return bool(there)
