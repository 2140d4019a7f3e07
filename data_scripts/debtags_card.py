"""The data card of `debtags`, and the numbers in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data_scripts.common import reflow, split_quality, unit_rows
from data_scripts.debtags_encoder import MAX_TOKENS
from data_scripts.debtags_packages import (
    DUPLICATE_COSINE,
    DUPLICATE_PHI,
    MINIMUM_GROUPS,
    MINIMUM_POSITIVES,
    MINIMUM_TAGS,
    Package,
)


def measure(
    packages: Sequence[Package],
    texts: Sequence[str],
    features: npt.NDArray[np.float16],
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.int32],
    splits: npt.NDArray[np.uint8],
    named: npt.NDArray[np.bool_],
    spoken: npt.NDArray[np.bool_],
    seed: int,
) -> dict[str, Any]:
    """The numbers of the data card that are taken from the finished data."""
    # The leak that grouping closes: the same shares with examples dealt out at random, mean of ten splits.
    random = np.stack(
        [np.random.default_rng([seed, 99, r]).permutation(splits[r]) for r in range(len(splits))]
    )
    sources = np.unique([package.source for package in packages], return_inverse=True)[1]
    positives = labels.sum(axis=0)
    sizes = np.bincount(groups)
    repeated = Counter(texts)
    paragraphs = Counter(
        paragraph for text in texts for paragraph in {*text.split("\n", 1)[-1].split("\n\n")} if paragraph
    )
    shared = {paragraph for paragraph, count in paragraphs.items() if count > 1}
    bodies = [{*text.split("\n", 1)[-1].split("\n\n")} for text in texts]
    suffixes = ("-dev", "-doc", "-data", "-common", "-utils", "-dbg")
    return {
        "source_random": float(np.mean([seen_in_training(sources, split) for split in random])),
        "source_grouped": float(np.mean([seen_in_training(sources, split) for split in splits])),
        "near_random": float(np.mean([near_training(features, split, 0.9) for split in random])),
        "near_grouped": float(np.mean([near_training(features, split, 0.9) for split in splits])),
        "near_max": max(cross_cosine(features, split) for split in splits),
        "named_share": float(named.sum() / labels.sum()),
        "spoken_precision": float(named.sum() / spoken.sum()),
        "cardinality": float(labels.sum(axis=1).mean()),
        "density": float(labels.mean()),
        "quantiles": [int(q) for q in np.quantile(positives, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])],
        "group_sizes": {
            "groups": len(sizes),
            "1": int((sizes == 1).sum()),
            "2 to 4": int(((sizes >= 2) & (sizes <= 4)).sum()),
            "5 to 9": int(((sizes >= 5) & (sizes <= 9)).sum()),
            "10 to 29": int(((sizes >= 10) & (sizes <= 29)).sum()),
            "30 and more": int((sizes >= 30).sum()),
        },
        "largest_groups": [
            (int(sizes[g]), Counter(np.array([p.source for p in packages])[groups == g]).most_common(1)[0][0])
            for g in np.argsort(-sizes, kind="stable")[:5]
        ],
        "sources": int(sources.max()) + 1,
        "sources_shared": int((np.bincount(sources) > 1).sum()),
        "repeated_texts": sum(count for count in repeated.values() if count > 1),
        "repeated_paragraph": sum(bool(body & shared) for body in bodies),
        "suffixes": {end: sum(package.name.endswith(end) for package in packages) for end in suffixes},
        "dead": [int(i) for i in np.flatnonzero(np.ptp(features.astype(np.float32), axis=0) < 1e-6)],
        "boilerplate": sum(
            bool(re.search(r"\bThis package (contains|provides|includes)\b", text)) for text in texts
        ),
        "written_in": written_in(texts, packages),
        "by_name": follows_name(packages),
        "perl": sum(bool(re.fullmatch(r"lib.*-perl", package.name)) for package in packages),
        "metapackages": sum("role::metapackage" in package.tags for package in packages),
        "short": sum(len(text) < 150 for text in texts),
        "quality": split_quality(labels, splits),
    }


def follows_name(packages: Sequence[Package]) -> float:
    """Share of the packages named by one of three conventions that have the tag that goes with it."""
    kinds = {
        r"lib.*-perl": "implemented-in::perl",
        r".*-dev": "role::devel-lib",
        r".*-doc": "role::documentation",
    }
    named = [(tag, p.tags) for kind, tag in kinds.items() for p in packages if re.fullmatch(kind, p.name)]
    return sum(tag in tags for tag, tags in named) / len(named)


def written_in(texts: Sequence[str], packages: Sequence[Package]) -> tuple[int, int]:
    """Texts that say in so many words which language the software is written in, and those not tagged with it."""
    languages = {
        name: f"implemented-in::{name.lower()}" for name in ("C", "C++", "Python", "Perl", "Java", "OCaml")
    }
    names = "|".join(sorted(map(re.escape, languages), key=len, reverse=True))
    claim = re.compile(
        rf"\b(?:written|implemented) (?:\w+ly )?in (?:pure |portable |plain |ANSI )?({names})(?![\w+#/-])"
    )
    said = [
        (match.group(1), package)
        for text, package in zip(texts, packages, strict=True)
        for match in claim.finditer(text)
    ]
    return len(said), sum(languages[language] not in package.tags for language, package in said)


def seen_in_training(keys: npt.NDArray[np.int64], split: npt.NDArray[np.uint8]) -> float:
    """Share of the test examples whose key occurs in training."""
    return float(np.isin(keys[split == 2], keys[split == 0]).mean())


def near_training(features: npt.NDArray[np.float16], split: npt.NDArray[np.uint8], threshold: float) -> float:
    """Share of the test examples with a training example of cosine above the threshold."""
    unit = unit_rows(features)
    return float(((unit[split == 2] @ unit[split == 0].T).max(axis=1) > threshold).mean())


def cross_cosine(features: npt.NDArray[np.float16], split: npt.NDArray[np.uint8]) -> float:
    """Largest cosine between a training example and any other."""
    unit = unit_rows(features)
    return float((unit[split != 0] @ unit[split == 0].T).max())


def card(facts: dict[str, Any]) -> str:
    """The data card."""
    tags, counts = facts["labels"], facts["counts"]
    quality, sizes = facts["quality"], facts["group_sizes"]
    dropped = "\n".join(
        f"- `{tag}` duplicates `{kept}` (φ = {phi:.4f})" for tag, (kept, phi) in facts["duplicates"].items()
    )
    most = ", ".join(f"`{tag}` {count}" for tag, count in zip(tags[:12], counts[:12], strict=True))
    least = ", ".join(f"`{tag}` {count}" for tag, count in zip(tags[-6:], counts[-6:], strict=True))
    groups = ", ".join(f"{size}: {count}" for size, count in sizes.items() if size != "groups")
    largest = ", ".join(f"{size} ({source})" for size, source in facts["largest_groups"])
    suffixes = ", ".join(
        f"`{end}` {count}" for end, count in facts["suffixes"].items() if end not in ("-dev", "-doc")
    )
    concentrated = ", ".join(f"`{tag}` in {count}" for tag, count in facts["concentrated"])
    same_random, same_grouped = (f"{100 * facts[key]:.1f}%" for key in ("source_random", "source_grouped"))
    dead = ", ".join(map(str, facts["dead"]))
    quantiles = " / ".join(str(q) for q in facts["quantiles"])
    return reflow(f"""# debtags

Debian packages, each with its short and long description and the community's tags (debtags) such as
`implemented-in::c` or `works-with::audio`: multi-label text classification with a long tail of labels.

| | |
|---|---|
| examples | {facts["examples"]} packages of {facts["sources"]} source packages |
| labels | {len(tags)} tags |
| cardinality, density | {facts["cardinality"]:.2f} labels an example, {100 * facts["density"]:.2f}% |
| positives of a label: minimum / 10% / 25% / median / 75% / 90% / maximum | {quantiles} |
| features | all-MiniLM-L6-v2, 384 dimensions, float16 |
| splits | ten of 70% training, 10% validation, 20% test over {sizes["groups"]} groups |

Most frequent: {most}. Least frequent: {least}.

## Origin and licence

From the package index and its English translations of {facts["index"]} (main, amd64). The texts are the
`Description` fields that the packages' maintainers wrote. They are part of each package's packaging and come
under its licence, which for everything in Debian's main archive is a free one (such as the GPL, MIT-like and
BSD-like licences and the Artistic Licence); no single licence covers them all. The columns `source` and
`version` name the source package whose `debian/copyright` states it. The tags were contributed by volunteers to
Debian's tag database, which Debian publishes as part of the package index; it states no separate licence for
them. The encoder, sentence-transformers/all-MiniLM-L6-v2, is under Apache-2.0.

## Files

- `examples.parquet`: `id` (package), `source`, `version`, `title` (short description), `text` (long
  description, paragraphs unwrapped), `tags` (all tags as published, also those that are no labels here).
- `features.safetensors`: `features`, float16, not standardised: the mean over all tokens of the last layer, of
  title and text joined by a line break and cut at {MAX_TOKENS} tokens ({facts["cut"]} texts are longer). Dimensions
  {dead} are constant: the encoder's last layer scales them by zero. Standardise with care.
- `vectors.safetensors`: `vectors`, float16, one vector of 256 dimensions for each of the {facts["words"]} words
  that at least two texts hold (`words`: their UTF-8, with line feeds between them); the encoder `static` starts
  from them. Each word was encoded alone by the same encoder, then the largest 256 principal components were taken
  and scaled to a root mean square norm of 4. The version of the set does not depend on them; that of a run
  with `static` does.
- `labels.safetensors`: `label_indptr` and `label_indices` (positives, row by row), `named` (beside them:
  whether the text names the tag), `groups`, `splits` (0 training, 1 validation, 2 test).

Everything else is negative: nothing is marked as unobserved, although much is (see the defects).

## What was left out

- Of {facts["tagged"]} tagged packages, those with fewer than {MINIMUM_TAGS} tags: {facts["four_tags"]} remain.
- Bookkeeping tags, `*::TODO` (there were {facts["bookkeeping"]} of them on {facts["todo_packages"]} of these
  packages) and `special::*` (on none of these).
- {facts["placeholders"]} transitional and dummy packages: the text speaks of the renaming, the tags of what was
  there before. Metapackages stay ({facts["metapackages"]}), since they say what they install.
- Tags that duplicate a more frequent one, φ above {DUPLICATE_PHI}:

{dropped}

- {facts["below_four_without_duplicates"]} packages that without the duplicates have fewer than {MINIMUM_TAGS}
  tags.
- {facts["tags_rare"]} tags with fewer than {MINIMUM_POSITIVES} packages, and {len(facts["concentrated"])} whose
  packages form fewer than {MINIMUM_GROUPS} of the groups described below ({concentrated}). They stay in the
  column `tags`.

## Groups and splits

Packages of one source package are one group, joined with packages of almost the same text (cosine of the stored
features above {DUPLICATE_COSINE}: {facts["similar_pairs"]} pairs, {facts["similar_across"]} of them between
different source packages). Sizes of the {sizes["groups"]} groups: {groups}. The largest: {largest}; the name is
that of the source package with most members. Groups never cross a split.

The splits are stratified over groups by all labels. Over the ten splits the share of a part in the examples is
within {100 * quality["examples_max_deviation"]:.2f} percentage points of 70/10/20; its share in a label's
positives is off by {100 * quality["label_mean_deviation"]:.2f} points in the mean,
{100 * quality["label_max_deviation"]:.1f} at most. Every label has at least {quality["min_positives_train"]}
training, {quality["min_positives_validation"]} validation and {quality["min_positives_test"]} test positives in
every split.

| share of the test packages (mean of ten splits) | at random | grouped |
|---|---|---|
| that share their source package with a training package | {same_random} | {same_grouped} |
| with a training package of cosine above 0.9 | {100 * facts["near_random"]:.1f}% | {100 * facts["near_grouped"]:.1f}% |

The largest cosine between training and any other package is {facts["near_max"]:.4f}.

## Tags named in the text

{100 * facts["named_share"]:.1f}% of the positives are named in their text, and of the places where a text names
a tag, {100 * facts["spoken_precision"]:.1f}% are positives. A tag is named if the last part of its value, or
the whole value, occurs as words, in any case: `works-with::image:raster` by "raster" or "image raster",
`use::text-formatting` by "text formatting", `implemented-in::c++` by "c++". A plural "s" and a "+" after longer
words ("GTK+") are allowed; one-letter names only in upper case, standing alone (not "Objective-C", not "C++").
Synonyms and inflections ("objc" for Objective-C, "edit" for `use::editing`) do not count.

## Known defects

- **Tags are incomplete.** Of {facts["written_in"][0]} statements like "written in C++" in the texts,
  {100 * facts["written_in"][1] / facts["written_in"][0]:.0f}% are of packages without the tag of that language.
  {facts["todo_packages"]} packages carried a `*::TODO` tag, by which a tagger says that a tag of that facet is
  missing. A negative means "nobody said so": precision against these labels is a lower bound.
- **Some tags follow the name.** Of the {facts["perl"]} packages named `lib...-perl`, the {facts["suffixes"]["-dev"]}
  named `...-dev` and the {facts["suffixes"]["-doc"]} named `...-doc`,
  {100 * facts["by_name"]:.1f}% have the tag of their kind (`implemented-in::perl`, `role::devel-lib`,
  `role::documentation`): such tags are far more complete than the others. Other names end in {suffixes}. By Debian's
  guidelines a documentation or data package does not inherit the other tags of its program.
- **Tags overlap** without being duplicates: `x11::application` with `interface::x11`, `devel::lang:perl` with
  `implemented-in::perl`, tags and their refinements (`works-with::image`, `works-with::image:raster`).
- **Texts repeat.** {facts["repeated_texts"]} packages have a text that another has word for word,
  {facts["repeated_paragraph"]} share at least a paragraph with another, mostly of the same source package; all
  exact repetitions are within groups. {facts["boilerplate"]} have a sentence that begins "This package
  contains", "provides" or "includes". {facts["short"]} texts have fewer than 150 characters.
- **Selection.** Packages with {MINIMUM_TAGS} tags and more are
  {100 * facts["four_tags"] / facts["tagged"]:.0f}% of the tagged ones: the set over-represents what somebody cared to
  describe well. {100 * facts["perl"] / facts["examples"]:.0f}% of it are Perl modules.

## Rebuilding

`python -m data_scripts.debtags --out FOLDER` with the extra `rebuild` installed, on Debian 12 after `apt-get
update -o Acquire::Languages=en`; `--check 64` encodes 64 random examples again and compares them with the
shipped features. `python -m data_scripts.debtags_vectors` makes the word vectors alone from the texts of the
folder, in half a minute; with `--check` it makes them again and compares them with those that ship. A later
point release has other packages: the script then gives another data set, and `version` has to be raised.
""")
