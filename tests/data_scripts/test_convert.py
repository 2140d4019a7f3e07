"""Converters, on files in the layouts in which the sets are distributed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_scripts.convert import convert, main
from mlcl_utils import data
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_image


def rows(name: str, folder: Path) -> list[dict[str, Any]]:
    table = folder.parent / f"{name}.parquet"
    assert convert(name, folder, table) == pq.read_table(table).num_rows
    found: list[dict[str, Any]] = pq.read_table(table).to_pylist()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def test_aapd(folder: Path) -> None:
    for part, count in (("train", 30), ("val", 10), ("test", 10)):
        (folder / f"text_{part}").write_text("".join(f"the {part} abstract {i} .\n" for i in range(count)))
        labels = "".join("cs.it math.it\n" if i % 2 else "cs.lg\n" for i in range(count))
        (folder / f"label_{part}").write_text(labels)
    found = rows("aapd", folder)
    assert found[1] == {
        "id": "train 2", "text": "the train abstract 1 .", "labels": ["cs.it", "math.it"], "split": "train"
    }  # fmt: skip
    dataset = data.load("aapd.parquet", folder.parent)
    assert dataset.label_names == ("cs.it", "cs.lg", "math.it")
    assert (dataset.splits[0] == 2).sum() == 10
    (folder / "text_val").write_text("".join(f"one\u2028two\x85three {i}\x0c.\n" for i in range(10)))
    assert rows("aapd", folder)[30]["text"] == "one\u2028two\x85three 0\x0c."
    (folder / "label_val").write_text("cs.lg\n")
    with pytest.raises(DataError, match="text_val has 10 lines, label_val has 1"):
        convert("aapd", folder, folder.parent / "again.parquet")
    assert not list(folder.parent.glob("*again*"))


def test_rcv1(folder: Path) -> None:
    (folder / "rcv1-v2.topics.qrels").write_text("E11 2286 1\nECAT 2286 1\nC15 26151 1\nE11 26151 1\n")
    (folder / "lyrl2004_tokens_train.dat").write_text(".I 2286\n.W\nrecov recov excit\nbring mexic\n\n")
    with gzip.open(folder / "lyrl2004_tokens_test_pt0.dat.gz", "wt") as stream:
        stream.write(".I 26151\n.W\nplan bank\n\n")
    assert rows("rcv1", folder) == [
        {"id": "2286", "text": "recov recov excit bring mexic", "labels": ["E11", "ECAT"], "split": "train"},
        {"id": "26151", "text": "plan bank", "labels": ["C15", "E11"], "split": "test"},
    ]
    (folder / "lyrl2004_tokens_train.dat").write_text(".I 77\n.W\nx\n")
    with pytest.raises(DataError, match=r"story 77 has no topic in rcv1-v2\.topics\.qrels"):
        convert("rcv1", folder, folder.parent / "again.parquet")
    (folder / "rcv1-v2.topics.qrels").write_text("E11 2286 1\nE11\n")
    with pytest.raises(DataError, match=r"rcv1-v2\.topics\.qrels, line 2: 'E11' is not a topic"):
        convert("rcv1", folder, folder.parent / "again.parquet")


STORY = """<REUTERS TOPICS="{topics}" LEWISSPLIT="{split}" CGISPLIT="TRAINING-SET" OLDID="5544" NEWID="{number}">
<DATE>26-FEB-1987</DATE>
<TOPICS><D>cocoa</D><D>veg-oil</D></TOPICS>
<PLACES><D>el-salvador</D></PLACES>
<TEXT>&#2;
<TITLE>BAHIA &amp; COCOA</TITLE>
<DATELINE>    SALVADOR, Feb 26 - </DATELINE><BODY>Showers continued
throughout the week in \xe9t\xe9, prices &lt;high>.
 Reuter
&#3;</BODY></TEXT>
</REUTERS>
"""


def test_reuters(folder: Path) -> None:
    cases = [("YES", "TRAIN"), ("NO", "TRAIN"), ("YES", "NOT-USED"), ("YES", "TEST")]
    text = "".join(STORY.format(topics=t, split=s, number=i) for i, (t, s) in enumerate(cases, start=1))
    file = folder / "reut2-000.sgm"
    file.write_bytes(("<!DOCTYPE lewis>\n" + text).encode("latin-1"))
    found = rows("reuters", folder)
    assert [(row["id"], row["split"]) for row in found] == [("1", "train"), ("4", "test")]
    assert found[0]["labels"] == ["cocoa", "veg-oil"]
    assert found[0]["title"] == "BAHIA & COCOA"
    assert found[0]["text"] == "Showers continued throughout the week in \xe9t\xe9, prices <high>. Reuter"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"reut2-000\.sgm is cut off: 4 stories begin, 3 end"):
        convert("reuters", folder, folder.parent / "again.parquet")


def law(number: int, **changes: Any) -> dict[str, Any]:
    parts = {
        "header": "COUNCIL",
        "recitals": "Whereas",
        "main_body": ["Article 1", "Article 2"],
        "type": "Decision",
    }
    return {
        "celex_id": f"3199{number}",
        "title": " A law ",
        "concepts": ["192", "2356"],
        "type": "Decision",
        **parts,
        **changes,
    }


def test_eurlex(folder: Path) -> None:
    for number, part in enumerate(("train", "dev", "test")):
        (folder / "dataset" / part).mkdir(parents=True)
        (folder / "dataset" / part / f"{number}.json").write_text(json.dumps(law(number)))
    found = rows("eurlex", folder)
    assert [row["split"] for row in found] == ["train", "dev", "test"]
    assert found[0]["text"] == "COUNCIL\nWhereas\nArticle 1\nArticle 2"
    assert found[0]["labels"] == ["192", "2356"]
    assert found[0]["title"] == "A law"
    file = folder / "dataset" / "dev" / "1.json"
    file.write_text(json.dumps(law(1))[:50])
    with pytest.raises(DataError, match=r"dev/1\.json, line 1, character 43: damaged or cut off"):
        convert("eurlex", folder, folder.parent / "again.parquet")
    for odd in (
        "[" * 100_000,
        f'{{"celex_id": {"9" * 5000}}}',
        "[]",
        json.dumps(law(1) | {"concepts": [None]}),
    ):
        file.write_text(odd)
        with pytest.raises(DataError, match=r"dev/1\.json"):
            convert("eurlex", folder, folder.parent / "again.parquet")
    for key, value in (("title", 3), ("header", "\ud83d"), ("celex_id", None), ("concepts", [""])):
        file.write_text(json.dumps(law(1) | {key: value}))
        with pytest.raises(DataError, match=rf"dev/1\.json: .*'{key}'"):
            convert("eurlex", folder, folder.parent / "again.parquet")
    file.write_text('{"celex_id": "1"}')
    with pytest.raises(DataError, match=r"dev/1\.json: 'main_body' is missing"):
        convert("eurlex", folder, folder.parent / "again.parquet")


BOOK = """<book date="2018-08-18" xml:lang="en">
<title>Salt & {number}</title>
<body>A blurb; "long" & <i>bold</i>
on two lines.</body>
<copyright>(c) Penguin Random House</copyright>
<metadata>
<topics><d0>Nonfiction</d0><d1>Arts & Crafts</d1></topics>
<author>A. N. Author</author>
<isbn>978000000{number:04}</isbn>
</metadata>
</book>
"""


def test_bgc(folder: Path) -> None:
    for part, count in (("train", 3), ("dev", 1), ("test", 1)):
        text = "".join(BOOK.format(number=i) for i in range(count))
        (folder / f"BlurbGenreCollection_EN_{part}.txt").write_text(text)
    found = rows("bgc", folder)
    assert [row["split"] for row in found] == ["train"] * 3 + ["dev", "test"]
    assert found[2]["id"] == "9780000000002 3"
    assert found[2]["title"] == "Salt & 2"
    assert found[2]["labels"] == ["Nonfiction", "Arts & Crafts"]
    assert found[2]["text"].startswith('A blurb; "long" &')
    assert found[2]["text"].endswith("on two lines.")
    (folder / "BlurbGenreCollection_EN_dev.txt").write_text(BOOK.format(number=1)[:-10])
    with pytest.raises(DataError, match=r"_dev\.txt is cut off: a book does not end"):
        convert("bgc", folder, folder.parent / "again.parquet")
    (folder / "BlurbGenreCollection_EN_dev.txt").unlink()
    with pytest.raises(DataError, match=r"BlurbGenreCollection_EN_dev\.txt is missing"):
        convert("bgc", folder, folder.parent / "again.parquet")


def test_mirflickr(folder: Path) -> None:
    for i in range(1, 41):
        write_image(folder / "mirflickr" / f"im{i}.jpg", i)
    (folder / "annotations").mkdir()
    (folder / "annotations" / "README.txt").write_text("annotations of MIRFLICKR\n")
    (folder / "annotations" / "plant_life.txt").write_text("".join(f"{i}\n" for i in range(1, 41, 2)))
    (folder / "annotations" / "baby_r1.txt").write_text("".join(f"{i}\n" for i in range(1, 41, 4)))
    (folder / "mirflickr" / "doc").mkdir()
    (folder / "mirflickr" / "doc" / "common_tags.txt").write_text("sky 845\nwater 641\n")
    found = rows("mirflickr", folder)
    assert [row["labels"] for row in found[:3]] == [["baby_r1", "plant_life"], [], ["plant_life"]]
    assert found[2]["image"] == "mirflickr/im3.jpg"
    dataset = data.load(str(convert_beside(folder)))
    assert dataset.images().shape == (40, 30, 40, 3)
    (folder / "annotations" / "baby_r1.txt").write_text("1\n99\n")
    with pytest.raises(DataError, match=r"baby_r1\.txt, line 2: there is no image .*im99\.jpg"):
        convert("mirflickr", folder, folder / "again.parquet")


def convert_beside(folder: Path) -> Path:
    convert("mirflickr", folder, folder / "mirflickr.parquet")
    return folder / "mirflickr.parquet"


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aapt", str(folder), str(folder / "t.parquet")]) == 2
    assert "unknown data set 'aapt'; did you mean 'aapd'?" in capsys.readouterr().err
    assert main(["aapd", str(folder), str(folder / "t.parquet")]) == 1
    assert "text_train is missing" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is not a folder"):
        convert("aapd", folder / "nowhere", folder / "t.parquet")
    assert list(folder.iterdir()) == []
