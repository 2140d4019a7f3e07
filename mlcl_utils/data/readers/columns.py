"""Which column of a table is what: named by the user, or guessed from names and values."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlcl_utils.data.readers import cells
from mlcl_utils.data.readers.cells import listed, normal, shown
from mlcl_utils.data.readers.common import IMAGE_ENDINGS, PART_WORDS
from mlcl_utils.data.readers.rows import Column, Rows
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
    **dict.fromkeys(("delimiter", "decimal"), str),
    **dict.fromkeys(("features", "labels"), (str, list)),
}
"""What the file beside a table may say, with types: columns, folder of the images, and how the table is written."""

# Names of the numbers of rows in what pandas writes. Where rows are sorted by their labels, they tell them.
_ROW_NUMBERS = re.compile(r"|unnamed: \d+|index|__index_level_\d+__", re.IGNORECASE)
_LONG = 20  # characters of a column's mean value from which on it may be the text
_NEARLY = 0.8  # of the values of a column from which on the others are taken for mistakes
_HEAD = 100  # rows by which columns are left out that cannot be of images

_WHAT = {"text": "the texts are", "image": "the images are", "features": "the features are"}


@dataclass(frozen=True)
class Columns:
    """The columns by what they are; None or nothing where there is none.

    Attributes:
        labels: one column that lists labels, or several with 0 and 1, one a label.
        indicators: whether ``labels`` are such.
        features: one column of lists, or several of numbers.
        notes: which columns are not used, and why.
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
        words = [
            f"{kind} {listed([name])}"
            for kind, name in {**single, "split": self.split}.items()
            if name is not None
        ]
        if self.features:
            words.append(f"features {listed(self.features)}")
        words.append(f"labels {listed(self.labels)}" + (" (0 and 1)" if self.indicators else ""))
        return f"columns: {', '.join(words)}"


def choose(rows: Rows, given: Mapping[str, Any]) -> Columns:
    """Say which column is what.

    Args:
        rows: the table.
        given: what the user named, by the keys of :data:`KEYS`; the rest is guessed.

    Raises:
        DataError: a named column is not there, there is nothing to learn from or to be learnt, or a column is nearly
            of a kind.
    """
    named = {kind: _named(rows, kind, given[kind]) for kind in _USUAL if kind in given}
    taken = {name for names in named.values() for name in names}
    guess = _Guess(rows, [name for name in rows.names if name not in taken])
    guess.leave_out()
    labels = named.get("labels") or guess.labels()
    single: dict[str, Any] = {
        kind: _one(named, kind) for kind in ("id", "group", "split", "title", "text", "image")
    }
    for kind in ("split", "id", "group"):
        single[kind] = guess.usual(kind) if single[kind] is None else single[kind]
    features: tuple[str, ...] = named.get("features", ())
    if single["text"] is None and single["image"] is None and not features:
        single["image"] = guess.image()
        single["text"] = guess.text() if single["image"] is None else None
    if single["text"] is not None:
        single["title"] = guess.usual("title") if single["title"] is None else single["title"]
    elif single["image"] is None and not features:  # a title alone is the text
        single["text"] = guess.usual("title") if single["title"] is None else single["title"]
        single["title"] = None
    sidecar = rows.path.with_suffix(".toml")
    if single["text"] is not None and single["image"] is not None:
        raise DataError(f"{sidecar} names both a text and an image; name one of them")
    advice = f"name it in {sidecar.name}; columns: {listed(rows.names)}"
    if not labels:
        raise DataError(f'{rows.path}: which column has the labels? {advice}, such as: labels = "tags"')
    if single["text"] is None and single["image"] is None:
        features = features or guess.features()
        if not features:
            raise DataError(
                f'{rows.path}: which column has the text, image path or features? {advice}, such as: text = "body"'
            )
    indicators = len(labels) > 1 or ("separator" not in given and _is_indicator(rows, labels[0]))
    chosen = Columns(labels=labels, indicators=indicators, features=features, **single)
    return replace(chosen, notes=guess.unused(chosen))


def _named(rows: Rows, kind: str, value: str | list[Any]) -> tuple[str, ...]:
    """The columns that a user named, patterns such as ``tag_*`` filled in."""
    sidecar = rows.path.with_suffix(".toml")
    words = [normal(str(word)) for word in ([value] if isinstance(value, str) else value)]
    if not words:
        raise DataError(f"{sidecar}, key '{kind}': no column is named; leave it out to have it guessed")
    found: list[str] = []
    for word in words:
        rows.refuse_twice([word] if word in rows.twice else fnmatch.filter(rows.twice, word))
        matching = [word] if word in rows.names else fnmatch.filter(rows.names, word)
        if not matching:
            raise DataError(
                f"{sidecar}, key '{kind}': {unknown('column', shown(word), map(shown, rows.names))}"
            )
        found += matching
    return tuple(dict.fromkeys(found))


def _one(named: Mapping[str, tuple[str, ...]], kind: str) -> str | None:
    return named[kind][0] if kind in named else None


def _is_indicator(rows: Rows, name: str) -> bool:
    """Whether the one column of labels holds 0 and 1, and is therefore itself a label.

    Raises:
        DataError: it does but for a few cells.
    """
    column = rows.column(name)
    if column.lists:
        return False
    if column.are_states:
        return True
    near = column.nearly_states()
    if near is None:
        return False
    digits = {text for text in column.counts if cells.is_number(text) and cells.state(text) is not None}
    # Numbers of classes, alone or in lists, are 0 and 1 too.
    odd = [text for text in near.odd if not re.fullmatch(r"[\d.]+(\W+[\d.]+)*", text)]
    if odd and sum(column.counts[text] for text in digits) * 2 > near.present:
        raise _nearly(
            rows, column, odd, "0 and 1", 'if it lists labels, name what parts them: separator = ";"'
        )
    return False


def _nearly(rows: Rows, column: Column, odd: Sequence[str], kind: str, advice: str) -> DataError:
    """The error for a column that would be of a kind, were it not for some cells."""
    row = column.texts.index(odd[0])
    return DataError(
        f"{rows.where(row)}: column '{shown(column.name)}' holds {kind}, but also {listed(odd, 3)}; "
        f"correct it or, in {rows.path.with_suffix('.toml').name}, {advice}"
    )


class _Guess:
    """Guesses among the columns that nobody has taken yet; what is guessed is taken."""

    def __init__(self, rows: Rows, free: list[str]) -> None:
        self._rows, self._free, self._left = rows, dict.fromkeys(free), list[str]()

    def leave_out(self) -> None:
        """Take what is neither label nor feature though it is numbers: those of rows, and of the folds of a split."""
        for name in self._free:
            numbers_rows = _ROW_NUMBERS.fullmatch(name) is not None
            may_be_fold = name.lower() in _USUAL["split"]
            if numbers_rows or (may_be_fold and self._rows.column(name).content in {"0 and 1", "numbers"}):
                self._left.append(name)
        self._take(*self._left)

    def unused(self, chosen: Columns) -> tuple[str, ...]:
        """What is to be said of the columns that are not used: one sentence for all of a reason."""
        sidecar = self._rows.path.with_suffix(".toml").name
        reasons: dict[str, list[str]] = {}
        for name in self._rows.names:
            if name in self._left and _ROW_NUMBERS.fullmatch(name):
                reason = f" is not used: such a column numbers the rows; if not, name it in {sidecar}"
            elif name in self._left or (name in self._free and name.lower() in _USUAL["split"]):
                reason = (
                    " is not used as a split, nor guessed to be a label or feature: "
                    "its values are not train, validation or test"
                )
            elif name in self._free:
                reason = f": not used, because {self._reason(name, chosen)}"
            else:
                continue
            reasons.setdefault(reason, []).append(name)
        notes = [_unused(names, reason) for reason, names in reasons.items()]
        if self._rows.twice:
            notes.append(_unused(self._rows.twice, ": not used, because several columns have the same name"))
        return tuple(notes)

    def _reason(self, name: str, chosen: Columns) -> str:
        """Why a column is not used: what it holds, and what is used instead."""
        column = self._rows.column(name)
        if column.flaw:
            return column.flaw
        if column.kind == "nothing":
            return "it is empty"
        places = {kind: getattr(chosen, kind) for kind in ("text", "image", "title", "id", "group", "split")}
        for kind, names in _USUAL.items():
            if name.lower() in names and places.get(kind) is not None:
                return f"the {kind} is {listed([places[kind]])}"
        if column.kind == "0 and 1" or name.lower() in _USUAL["labels"]:
            return f"it holds {column.kind}, and the labels are those of {listed(chosen.labels, 3)}"
        kind = "text" if chosen.text is not None else "image" if chosen.image is not None else "features"
        names = chosen.features if kind == "features" else (places[kind],)
        return f"it holds {column.kind}, and {_WHAT[kind]} those of {listed(names, 3)}"

    def _take(self, *names: str) -> tuple[str, ...]:
        for name in names:
            del self._free[name]
        return names

    def usual(self, kind: str) -> str | None:
        """The column whose name is usual for the kind, and whose values can be of it."""
        by_name = {name.lower(): name for name in reversed(self._free)}
        for word in _USUAL[kind]:
            self._rows.refuse_twice([name for name in self._rows.twice if name.lower() == word])
            if word in by_name and self._can_be(kind, by_name[word]):
                return self._take(by_name[word])[0]
        return None

    def _can_be(self, kind: str, name: str) -> bool:
        column = self._rows.column(name)
        if kind == "split":
            # A name that means nothing else, or nearly all words: one that is unknown is an error.
            share = _share(column, lambda text: text.lower() in PART_WORDS)
            return share > 0 if name.lower() in {"split", "split_name"} else share >= _NEARLY
        if kind == "image":
            return _share(column, _is_image) >= _NEARLY
        if kind == "features":
            return column.lists or column.first_is_vector
        if kind in {"text", "title"}:
            return column.kind not in {"0 and 1", "numbers", "lists", "nothing"}
        return True

    def labels(self) -> tuple[str, ...]:
        """A column of a usual name, or all those with nothing but 0 and 1, if they are several.

        Raises:
            DataError: a column holds 0 and 1 but for a few cells.
        """
        name = self.usual("labels")
        if name is not None:
            return (name,)
        self._rows.refuse_twice()
        candidates = [self._rows.column(name) for name in self._free]
        candidates = [column for column in candidates if column.kind in {"0 and 1", "numbers", "text"}]
        found = [column.name for column in candidates if column.are_states]
        near = [(column, fit) for column in candidates if (fit := column.nearly_states())]
        if near and len(found) + len(near) > 1:
            advice = f"name the labels: labels = [{', '.join(map(repr, found[:2]))}, ...]".replace("'", '"')
            raise _nearly(self._rows, near[0][0], near[0][1].odd, "0 and 1", advice)
        return self._take(*found) if len(found) > 1 else ()

    def image(self) -> str | None:
        """A column of image files."""
        name = self.usual("image")
        if name is not None:
            return name
        for name in self._free:
            column = self._rows.column(name)
            if any(map(_is_image, column.head(_HEAD))) and self._can_be("image", name):
                return self._take(name)[0]
        return None

    def text(self) -> str | None:
        """A column of a usual name, or the one with the longest values, if they are long."""
        name = self.usual("text")
        if name is not None:
            return name
        self._rows.refuse_twice()
        columns = [self._rows.column(name) for name in self._free]
        lengths = {
            column.name: sum(len(text) * number for text, number in column.counts.items()) / len(self._rows)
            for column in columns
            if column.kind == "text" and column.content == "text"
        }
        longest = max(lengths, key=lambda name: lengths[name], default=None)
        return self._take(longest)[0] if longest is not None and lengths[longest] >= _LONG else None

    def features(self) -> tuple[str, ...]:
        """A column of lists of numbers, or all columns of numbers.

        Raises:
            DataError: a column holds numbers but for a few cells.
        """
        name = self.usual("features")
        if name is not None:
            return (name,)
        self._rows.refuse_twice()
        found = []
        for name in self._free:
            column = self._rows.column(name)
            if column.kind not in {"0 and 1", "numbers", "text"}:
                continue
            fit = column.fit_numbers()
            like = sum(column.counts[text] for text in fit.odd if cells.is_like_number(text))
            if fit.odd and 2 * (fit.fitting + like) > fit.present:
                raise _nearly(self._rows, column, fit.odd, "numbers", 'name the features: features = ["f*"]')
            if fit.whole:
                found.append(name)
        return self._take(*found)


def _unused(names: Sequence[str], reason: str) -> str:
    """One sentence on columns that are not used for one reason, which is worded for one column."""
    if len(names) > 1:
        for one, many in (("is not used", "are not used"), ("it holds", "they hold"), ("it is", "they are")):
            reason = reason.replace(one, many, 1)
    return f"column{'s' * (len(names) > 1)} {listed(names)}{reason}"


def _is_image(text: str) -> bool:
    return text.lower().endswith(IMAGE_ENDINGS)


def _share(column: Column, fits: Callable[[str], bool]) -> float:
    """The share of the cells that are not missing for which a condition holds."""
    there = {text: number for text, number in column.counts.items() if not cells.is_absent(text)}
    return sum(number for text, number in there.items() if fits(text)) / max(sum(there.values()), 1)
