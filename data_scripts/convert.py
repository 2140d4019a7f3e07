"""Make tables of public sets that have no reader, from the files in which they are distributed.

    python -m data_scripts.convert reuters /data/reuters21578 /data/reuters.parquet
    mlcl data check reuters.parquet --root /data

| set | files that are read |
|---|---|
| aapd | `text_train`, `label_train`, `text_val`, ... of SGM's release: a text or the labels a line |
| rcv1 | `lyrl2004_tokens_*.dat` and `rcv1-v2.topics.qrels`, gzipped or not |
| reuters | `reut2-*.sgm` of Reuters-21578; the ModApte split, topics as labels |
| eurlex | `train/*.json`, `dev/*.json`, `test/*.json` of EURLEX57K, EuroVoc concepts as labels |
| bgc | `BlurbGenreCollection_EN_train.txt`, `_dev.txt`, `_test.txt` |
| mirflickr | `im*.jpg` in `mirflickr`, annotations such as `baby.txt` and `baby_r1.txt` in the folder or below it |

The table has the columns `id`, `title`, `text` (or `image`), `labels` (a list) and, where the set has one, `split`.
"""

from __future__ import annotations

import argparse
import gzip
import html
import re
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from mlcl_utils.data.readers.common import quoted, read_json, read_lines, read_text, split_lines, valid_text
from mlcl_utils.errors import DataError, UsageError, unknown

Row = dict[str, Any]


def aapd(folder: Path) -> Iterator[Row]:
    """arXiv abstracts with their subjects; ids are part and line."""
    for part in ("train", "val", "test"):
        texts, labels = (_lines(folder / f"{kind}_{part}") for kind in ("text", "label"))
        if len(texts) != len(labels):
            raise DataError(f"{folder}/text_{part} has {len(texts)} lines, label_{part} has {len(labels)}")
        for number, (text, listed) in enumerate(zip(texts, labels, strict=True), start=1):
            yield {"id": f"{part} {number}", "text": text.strip(), "labels": listed.split(), "split": part}


def _lines(file: Path) -> list[str]:
    """The lines of a file, blank ones too, but for what stands behind the last line's end."""
    lines = split_lines(read_text(_existing(file)))
    return lines if lines[-1] else lines[:-1]


def rcv1(folder: Path) -> Iterator[Row]:
    """Stemmed words of Reuters stories with all their topics, the hierarchy's included; the split is LYRL2004's."""
    topics: dict[str, list[str]] = defaultdict(list)
    listed = _first(folder, "rcv1*v2.topics.qrels*")
    for number, line in enumerate(_opened(listed), start=1):
        words = line.split()
        if len(words) != 3:
            raise DataError(f"{listed}, line {number}: '{line.strip()[:60]}' is not a topic, a story and 1")
        topics[words[1]].append(words[0])
    for part, pattern in (("train", "lyrl2004_tokens_train.dat*"), ("test", "lyrl2004_tokens_test_pt*.dat*")):
        files = sorted(folder.glob(pattern))
        if not files:
            raise DataError(f"{folder}/{pattern.rstrip('*')} is missing")
        for file in files:
            for story, words in _stories(file):
                if story not in topics:
                    raise DataError(f"{file}: story {story} has no topic in {listed.name}")
                yield {"id": story, "text": words, "labels": topics[story], "split": part}


def _stories(file: Path) -> Iterator[tuple[str, str]]:
    """Number and words of each story: a line `.I NUMBER`, a line `.W`, then words."""
    story, words = "", list[str]()
    for number, line in enumerate(_opened(file), start=1):
        if line.startswith(".I"):
            if story:
                yield story, " ".join(words)
            story, words = line[2:].strip(), []
        elif not story:
            raise DataError(f"{file}, line {number}: expected .I and a story's number")
        elif not line.startswith(".W"):
            words += line.split()
    if story:
        yield story, " ".join(words)


_STORY = re.compile(r"<REUTERS(?P<head>[^>]*)>(?P<body>.*?)</REUTERS>", re.DOTALL)
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


def reuters(folder: Path) -> Iterator[Row]:
    """Reuters-21578 in the ModApte split: stories whose TOPICS is YES, with the topics they have, if any."""
    files = sorted(folder.glob("reut2-*.sgm"))
    if not files:
        raise DataError(f"{folder}/reut2-000.sgm is missing")
    for file in files:
        text = read_text(file, "latin-1")
        opened, closed = text.count("<REUTERS "), text.count("</REUTERS>")
        if opened != closed:
            raise DataError(f"{file} is cut off: {opened} stories begin, {closed} end")
        for found in _STORY.finditer(text):
            head = dict(_ATTRIBUTE.findall(found["head"]))
            split = head.get("LEWISSPLIT")
            if head.get("TOPICS") != "YES" or split not in {"TRAIN", "TEST"}:
                continue
            topics = _between(found["body"], "TOPICS")
            if "NEWID" not in head:
                raise DataError(f"{file}, line {_line(text, found)}: a story has no NEWID")
            yield {
                "id": head["NEWID"],
                "title": _plain(_between(found["body"], "TITLE")),
                "text": _plain(_between(found["body"], "BODY")),
                "labels": [_plain(topic) for topic in re.findall(r"<D>(.*?)</D>", topics)],
                "split": split.lower(),
            }


def _line(text: str, found: re.Match[str]) -> int:
    return len(split_lines(text[: found.start()]))


def _between(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return found[1] if found else ""


def _plain(text: str) -> str:
    """Without entities, control characters and line ends."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", html.unescape(text)).split())


def eurlex(folder: Path) -> Iterator[Row]:
    """EURLEX57K: laws with EuroVoc concepts; the text is header, recitals and main body."""
    base = next((f for f in (folder, folder / "dataset") if (f / "train").is_dir()), folder)
    for part in ("train", "dev", "test"):
        files = sorted(_existing(base / part).glob("*.json"))
        for file in files:
            law = read_json(file)
            body, concepts = (_law_list(file, law, key) for key in ("main_body", "concepts"))
            header, recitals, title = (_law_text(file, law, key) for key in ("header", "recitals", "title"))
            yield {
                "id": valid_text(law.get("celex_id"), str(file), "'celex_id'"),
                "title": title.strip(),
                "text": "\n".join([header, recitals, *body]).strip(),
                "labels": [valid_text(concept, str(file), "an entry of 'concepts'") for concept in concepts],
                "split": part,
            }


def _law_text(file: Path, law: Any, key: str) -> str:
    """A text of a law; it may be empty, but neither missing nor null."""
    value = law.get(key) if isinstance(law, dict) else None
    if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
        raise DataError(f"{file}: '{key}' is missing or not what it should be: {quoted(value)}")
    return value


def _law_list(file: Path, law: Any, key: str) -> list[str]:
    """A text or a list of texts of a law; numbers, as concepts may be written, count as texts."""
    value = law.get(key) if isinstance(law, dict) else None
    listed = value if isinstance(value, list) else [value]
    plain = [str(each) if type(each) is int else each for each in listed]
    return [_law_text(file, {key: each}, key) for each in plain]


_BOOK = re.compile(r"<book\b.*?</book>", re.DOTALL)


def bgc(folder: Path) -> Iterator[Row]:
    """Blurb Genre Collection: blurbs of books with the genres of all levels; ids are ISBNs."""
    for part in ("train", "dev", "test"):
        file = _existing(folder / f"BlurbGenreCollection_EN_{part}.txt")
        text = read_text(file)
        if text.count("<book ") != text.count("</book>"):
            raise DataError(f"{file} is cut off: a book does not end")
        for number, found in enumerate(_BOOK.finditer(text), start=1):
            book = found[0]
            genres = re.findall(r"<d\d+>(.*?)</d\d+>", _between(book, "topics"), re.DOTALL)
            yield {
                "id": f"{_between(book, 'isbn').strip() or part} {number}",
                "title": _plain(_between(book, "title")),
                "text": _plain(_between(book, "body")),
                "labels": [_plain(genre) for genre in genres],
                "split": part,
            }


def mirflickr(folder: Path) -> Iterator[Row]:
    """MIRFLICKR-25000: images with the 24 topics that may be in them and the 14 that are clearly so (`_r1`)."""
    images = next((f for f in (folder / "mirflickr", folder) if (f / "im1.jpg").is_file()), None)
    if images is None:
        raise DataError(f"{folder}/mirflickr/im1.jpg is missing")
    numbers = sorted(int(file.stem[2:]) for file in images.glob("im*.jpg") if file.stem[2:].isdecimal())
    topics: dict[int, list[str]] = {number: [] for number in numbers}
    lists = [
        file
        for file in sorted(folder.rglob("*.txt"))
        if re.fullmatch(r"[a-z_]+(_r1)?", file.stem) and _numbers(file)
    ]
    if not lists:
        raise DataError(f"{folder} holds no annotations such as baby_r1.txt")
    for file in lists:
        for line, number in _numbers(file):
            if number not in topics:
                raise DataError(f"{file}, line {line}: there is no image {images}/im{number}.jpg")
            topics[number].append(file.stem)
    for number in numbers:
        yield {
            "id": f"im{number}",
            "image": f"{images.relative_to(folder)}/im{number}.jpg",
            "labels": topics[number],
        }


def _numbers(file: Path) -> list[tuple[int, int]]:
    """Line and number of each line, or nothing if the file is not a list of numbers."""
    lines = list(read_lines(file))
    return (
        [(number, int(line)) for number, line in lines]
        if all(line.isascii() and line.isdecimal() and len(line) < 10 for _, line in lines)
        else []
    )


CONVERTERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "aapd": aapd,
    "rcv1": rcv1,
    "reuters": reuters,
    "eurlex": eurlex,
    "bgc": bgc,
    "mirflickr": mirflickr,
}


def convert(name: str, folder: Path, table: Path) -> int:
    """Write the table of a set; whole, or not at all.

    Args:
        name: of the set.
        folder: with its files.
        table: the Parquet file to write.

    Returns:
        The number of rows.

    Raises:
        UsageError: no such set or folder.
        DataError: a file is missing, damaged or not in its layout.
    """
    if name not in CONVERTERS:
        raise unknown("data set", name, CONVERTERS)
    if not folder.is_dir():
        raise UsageError(f"'{folder}' is not a folder")
    rows = _listed(CONVERTERS[name](folder), name)
    if not rows:
        raise DataError(f"{folder} holds no example of {name}")
    table.parent.mkdir(parents=True, exist_ok=True)
    temporary = table.with_name(f".{table.name}.writing")
    try:
        pq.write_table(pa.Table.from_pylist(rows), temporary, compression="zstd")
        temporary.replace(table)
    finally:
        temporary.unlink(missing_ok=True)
    return len(rows)


def _listed(rows: Iterable[Row], name: str) -> list[Row]:
    return list(tqdm(rows, desc=name, unit="row", disable=None))


def _existing(path: Path) -> Path:
    if not path.exists():
        raise DataError(f"{path} is missing")
    return path


def _first(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise DataError(f"{folder}/{pattern.rstrip('*')} is missing")
    return found[0]


def _opened(file: Path) -> Iterator[str]:
    """The lines of a text file, which may be gzipped."""
    try:
        with (
            gzip.open(file, "rt", encoding="utf-8")
            if file.suffix == ".gz"
            else file.open(encoding="utf-8") as stream
        ):
            yield from stream
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{file} is damaged or cut off: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="one of: " + ", ".join(CONVERTERS))
    parser.add_argument("folder", type=Path, help="with the set's files")
    parser.add_argument("table", type=Path, help="the Parquet file to write")
    options = parser.parse_args(arguments)
    try:
        rows = convert(options.name, options.folder, options.table)
    except UsageError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1 if isinstance(error, DataError) else 2
    print(f"{options.table}: {rows} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
