"""Tags named in the text of a Debian package: a baseline, and what sets apart the positives that are easy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mlcl_utils.data.dataset import Dataset

_WORD = re.compile(r"(?<![-'.\w])[A-Z](?![-'\w])(?:\+\+|\+|#)?|[^\W_]{2,}(?:\+\+|\+|#)?|[^\W_](?:\+\+|#)")


def phrases(tag: str) -> frozenset[tuple[str, ...]]:
    """Phrases that count as naming a tag, each a tuple of lower-case words.

    They are the last part of the tag's value and the whole value, with spaces and punctuation between words:
    ``works-with::image:raster`` is named by "raster" and by "image raster", ``implemented-in::c++`` by "c++", the label
    ``Science Fiction`` of another set by "science fiction".
    """
    value = tag.split("::", 1)[-1].lower()
    forms = {value.rsplit(":", 1)[-1], value}
    if value.endswith("c-sharp"):
        forms.add("c#")
    return frozenset(tuple(filter(None, re.split(r"[^\w+#]+|_", form))) for form in forms) - {()}


def words(text: str) -> Iterator[tuple[str, ...]]:
    """The words of a text in order, each as the tuple of lower-case forms under which it may be matched.

    A word is a run of letters and digits, with a final ``++``, ``+`` or ``#`` if it has one. A single letter is
    a word only in upper case and when not joined by a hyphen, an apostrophe or a full stop in front ("C", not
    "Objective-C" or "don't"). A word of more than two letters is also matched without its final ``+`` ("GTK+")
    and, with more than three, without its final ``s`` ("fonts").
    """
    for match in _WORD.finditer(text):
        word = match.group().lower()
        forms = [word]
        bare = word.rstrip("+#")
        if bare != word and len(bare) > 2:
            forms.append(bare)
        if len(bare) > 3 and bare.endswith("s"):
            forms.append(bare[:-1])
        yield tuple(forms)


def names_in_texts(texts: Collection[str], tags: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether each text names each tag, bool (texts, tags); see `phrases` and `words` for the rule."""
    labels_of: dict[tuple[str, ...], list[int]] = {}
    for label, tag in enumerate(tags):
        for phrase in phrases(tag):
            labels_of.setdefault(phrase, []).append(label)
    longest = max((len(phrase) for phrase in labels_of), default=0)
    found = np.zeros((len(texts), len(tags)), dtype=np.bool_)
    for row, text in enumerate(texts):
        forms = list(words(text))
        for start, first in enumerate(forms):
            for form in first:
                found[row, labels_of.get((form,), [])] = True
            # Only the last word of a phrase may be a plural.
            phrase = (first[0],)
            for following in forms[start + 1 : start + longest]:
                for form in following:
                    found[row, labels_of.get((*phrase, form), [])] = True
                phrase = (*phrase, following[0])
    return found


def name_matching_scores(dataset: Dataset) -> npt.NDArray[np.float32]:
    """Name-matching baseline: float32 (N, L) scores without any training.

    A label scores 2 if the title names it, 1 if only the text below it does, otherwise 0.
    """
    titles = names_in_texts(dataset.column("title"), dataset.label_names)
    texts = names_in_texts(dataset.texts(), dataset.label_names)
    return titles.astype(np.float32) + texts.astype(np.float32)
