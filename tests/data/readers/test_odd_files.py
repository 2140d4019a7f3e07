"""Files with odd content: either every label of the truth is read, or one line names file and place."""

from __future__ import annotations

import json
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlcl_utils import data
from mlcl_utils.data import readers
from mlcl_utils.data.readers import Examples
from mlcl_utils.errors import DataError, UsageError
from tests.data.readers.conftest import write_coco, write_image

ODD = "\u2028\x85\x0b\x0c\x1c\x1d\x1e\u00a0\u3000'\"%,;{}\\#:?ée\u0301ñ漢🙂 \t"
"""Characters that readers are tempted to take for the end of a line, a value or a name."""


def read(path: Path) -> Examples:
    """What the reader makes of a file, before it is split."""
    source = readers.find(str(path), None)
    return source.read(source)


def attempt(read: Callable[[], Examples], path: Path) -> Examples | None:
    """What was read, or None where one line refuses it that names the file."""
    try:
        return read()
    except DataError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert message.isprintable()
    return None


def refused(path: Path, place: str = "") -> str:
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(UsageError) as caught:
        data.load(str(path))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    assert path.name.partition(".")[0] in message
    assert place in message
    return message


# ------------------------------------------------------------------------------------------------------- COCO


def instances(root: Path, part: str = "train", **changes: Any) -> Path:
    file = root / "annotations" / f"instances_{part}2017.json"
    if not file.is_file():
        write_coco(root)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return file


def refused_coco(root: Path) -> str:
    with pytest.raises(UsageError) as caught:
        data.load("coco2017", root)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"person"', '"per\\ud83dson"', "categories[1]: the name of a category 'per\\ud83dson' holds half a"),
        ('"person"', "null", "categories[1]: the name of a category is None, not a text"),
        ('"person"', '"  "', "categories[1]: the name of a category is empty"),
        ('"person"', '"\\u200b"', "categories[1]: the name of a category is empty ('\\u200b')"),
        ('"image_id": 100', '"image_id": "100"', "annotation 1000 is of image '100', which 'images' does not"),
        ('"person"', "17", "categories[1]: the name of a category is 17, not a text"),
        ('"person"', "[" * 50 + "]" * 50, "categories[1]: the name of a category is [[[[...]]]], not a text"),
        ('"person"', '" car\\u00a0"', "has two labels 'car'; give each a name of its own (categories[1] and"),
        ('"000000000100.jpg"', "null", "images[0]: 'file_name' is None, not a text"),
        ('"000000000100.jpg"', '""', "images[0]: 'file_name' is empty"),
        ('"000000000100.jpg"', '"a\\u0000.jpg"', "images[0]: 'file_name' 'a\\x00.jpg' holds a NUL"),
        ('"000000000100.jpg"', '"/data/other/a.jpg"', "images[0]: no image of "),
        ('"000000000100.jpg"', '"C:\\\\data\\\\a.jpg"', "has the absolute path 'C:\\data\\a.jpg'"),
        ('"000000000100.jpg"', '"../../a.jpg"', "images[0]: 'file_name' leads out of the folder"),
        ('"id": 100', '"id": ' + "9" * 5000, "line 1, character "),
        ('"id": 100', '"id": ' + "[" * 100_000, "line 1, character "),
        ('"id": 100', '"id": NaN', "images[0]: 'id' of an entry of 'images' is not a whole number or a text: nan"),
        ('"id": 100', '"id": -Infinity', "'images' is not a whole number or a text: -inf"),
        ('"id": 100', '"id": 1e999', "'images' is not a whole number or a text: inf"),
        ('"id": 100', '"id": 0.5', "'images' is not a whole number or a text: 0.5"),
        ('"id": 100', '"id": true', "'images' is not a number or text: True"),
        ('"id": 100', '"id": 1, "id": 2', "'id' is there twice in {'file_name': '000000000100.jpg'"),
        ('"images": [', '"images": 7, "x": [', "the list 'images' is missing"),
        ('"images": [', '"images": [7, ', "images[0]: an entry of 'images' has no 'id': 7"),
        ('{"info"', '[], {"info"', "line 1, character 3: damaged or cut off"),
    ],
    ids=[
        "surrogate", "null name", "blank name", "invisible name", "text as id",
        "number as name", "list as name", "equal names", "null file",
        "empty file", "NUL", "absolute", "Windows", "outside", "5,000 digits", "100,000 deep", "NaN", "infinite",
        "overflow", "half", "boolean", "key twice", "number as list", "number as image", "rest",
    ],
)  # fmt: skip
def test_odd_instances_name_file_and_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    message = refused_coco(tmp_path)
    assert message.startswith(str(file))
    assert said in message


@pytest.mark.parametrize("content", ["[]", "7", "null", '"text"', "", " ", '{"images": []}', "{}", "\x00"])
def test_files_that_are_something_else(tmp_path: Path, content: str) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    file.write_text(content)
    assert str(file) in refused_coco(tmp_path)


def test_encodings_of_instances(tmp_path: Path) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    text = file.read_text()
    file.write_text(text, encoding="utf-8-sig")
    assert len(data.load("coco2017", tmp_path)) == 18
    file.write_text(text, encoding="utf-16")
    assert "byte 0xff is not utf-8; it is UTF-16, save it as UTF-8" in refused_coco(tmp_path)


def test_no_image_and_no_category(tmp_path: Path) -> None:
    file = instances(tmp_path, images=[], annotations=[])
    instances(tmp_path, "val", images=[], annotations=[])
    assert f"{file}: the list 'images' is empty" in refused_coco(tmp_path)
    instances(tmp_path, categories=[])
    assert f"{file}: the list 'categories' is empty" in refused_coco(tmp_path)


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    write_coco(tmp_path)
    expected = data.load("coco2017", tmp_path).labels
    file = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        annotation["image_id"] = float(annotation["image_id"])
    file.write_text(json.dumps(content))
    assert np.array_equal(data.load("coco2017", tmp_path).labels, expected)


def test_names_of_categories_are_in_one_form(tmp_path: Path) -> None:
    names = {1: "cafe\u0301", 2: " tab\t", 3: "b\u2028c", 90: "z"}
    categories = [{"id": key, "name": name} for key, name in names.items()]
    other = [{"id": key, "name": unicodedata.normalize("NFC", name).strip()} for key, name in names.items()]
    instances(tmp_path, categories=categories)
    instances(tmp_path, "val", categories=other)
    assert data.load("coco2017", tmp_path).label_names == ("café", "tab", "b\u2028c", "z")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("train2017/{name}", "train2017/{name}"),
        ("train2017\\{name}", "train2017/{name}"),
        ("./{name}", "train2017/./{name}"),
        ("../train2017/{name}", "train2017/../train2017/{name}"),
        ("val2017/{name}", "val2017/{name}"),
        ("{root}/train2017/{name}", "train2017/{name}"),
    ],
)
def test_file_names_that_carry_a_folder(tmp_path: Path, written: str, kept: str) -> None:
    write_coco(tmp_path)
    write_image(tmp_path / "val2017" / "000000000100.jpg")
    file = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    name = content["images"][0]["file_name"]
    content["images"][0]["file_name"] = written.format(name=name, root=tmp_path)
    file.write_text(json.dumps(content))
    dataset = data.load("coco2017", tmp_path)
    assert dataset.ids[0] == kept.format(name=name)
    assert all(isinstance(image, Path) and image.is_file() for image in dataset.encoded_images())


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
def test_names_of_images_are_found_in_either_form(tmp_path: Path, on_disk: Any, in_file: Any) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"][0]["file_name"] = unicodedata.normalize(in_file, "café.jpg")
    file.write_text(json.dumps(content))
    write_image(tmp_path / "train2017" / unicodedata.normalize(on_disk, "café.jpg"))
    dataset = data.load("coco2017", tmp_path)
    assert dataset.ids[0] == unicodedata.normalize(in_file, "train2017/café.jpg")
    assert dataset.encoded_images()[0] == tmp_path / "train2017" / unicodedata.normalize(on_disk, "café.jpg")


def test_a_name_too_long_for_the_file_system_is_one_line(tmp_path: Path) -> None:
    file = instances(tmp_path)
    content = json.loads(file.read_text())
    content["images"][0]["file_name"] = "a" * 5000 + ".jpg"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="cannot be reached: File name too long"):
        data.load("coco2017", tmp_path).encoded_images()
    with pytest.raises(UsageError, match=r"unknown file"):
        data.load("a" * 5000 + ".arff", tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(ODD + "ab\ud800\x00/", max_size=4),
    lambda each: (
        st.lists(each, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "image_id", "category_id", "name", "file_name"]), each)
    ),
    max_leaves=8,
)
PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@PROPERTY
@given(
    key=st.sampled_from(["images", "annotations", "categories"]),
    row=st.integers(0, 3),
    field=st.sampled_from(["id", "name", "file_name", "image_id", "category_id", None]),
    value=JSON,
)
def test_any_instances(key: str, row: int, field: str | None, value: Any) -> None:
    content: dict[str, Any] = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)],
        "annotations": [{"id": i, "image_id": i, "category_id": i % 2} for i in range(4)],
        "categories": [{"id": i, "name": f"c{i}"} for i in range(4)],
    }
    if field is None:
        content[key][row] = value
    else:
        content[key][row][field] = value
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "annotations" / "instances_train2017.json"
        file.parent.mkdir()
        file.write_text(json.dumps(content))
        source = readers.find("coco2017", Path(folder))
        examples = attempt(lambda: source.read(source), file)
    if examples is None:
        return
    ids = [image["id"] for image in content["images"]]
    keys = sorted(category["id"] for category in content["categories"])
    truth = {(ids.index(a["image_id"]), keys.index(a["category_id"])) for a in content["annotations"]}
    assert {(int(row), int(column)) for row, column in np.argwhere(examples.labels == 1)} == truth


# ------------------------------------------------------------------------------------------------- XML, ARFF


def arff(path: Path, rows: Sequence[str], *, head: str = "", labels: str = "-C 2") -> Path:
    header = (
        head or "@attribute red {0,1}\n@attribute blue {0,1}\n@attribute f0 numeric\n@attribute f1 numeric\n"
    )
    path.write_text(f"@relation 'x: {labels}'\n{header}@data\n" + "\n".join(rows) + "\n", newline="")
    return path


ROWS = [f"{i % 2},{i // 2 % 2},{i / 4},{i}" for i in range(40)]
TRUTH = [[i % 2, i // 2 % 2] for i in range(40)]


@pytest.mark.parametrize(
    ("xml", "place", "said"),
    [
        (b'<?xml version="1.0" encoding="no-such"?><l/>', "", "there is no encoding 'no-such'"),
        (b'<?xml version="1.0" encoding="hex"?><l/>', "", "there is no encoding 'hex'"),
        (b'<?xml version="1.0" encoding="ascii"?>\n<l><label name="caf\xe9"/></l>', ", line 2", "is not ascii"),
        (b'<l>\n<label name="caf\xe9"/></l>', ", line 2", "byte 0xe9 is not utf-8"),
        (b'<?xml version="1.0" encoding="utf-16"?><l/>', "", "utf-16"),
        (
            b'<!DOCTYPE l [\n<!ENTITY a "ha">\n<!ENTITY b "&a;&a;&a;">]><l><label name="&b;"/></l>',
            ", line 2",
            "declares the entity 'a'",
        ),
        (
            b'<!DOCTYPE l SYSTEM "file:///etc/passwd">\n<l><label name="red&x;"/></l>',
            ", line 2",
            "'&x' stands for something that is not in this file",
        ),
        (b'<l><label name="red"/>\n<label/></l>', ", line 2", "the name of a label is None, not a text"),
        (b'<l><label name="red"/>\n<label name=" "/></l>', ", line 2", "the name of a label is empty"),
        (b'<l><label name="red"/>\n<label name="red"/></l>', "", "two labels 'red'; give each a name of its"),
        (b'<l><label name="red">\n<label name="red"/></label></l>', "", "(lines 1 and 2)"),
        (b'<l><label name="blau"/></l>', "", "label 'blau' is not an attribute of set.arff (line 1)"),
        (b'<l><label name="a\xc2\x85b"/></l>', "", "label 'a\\x85b' is not an attribute"),
        (b"<l/>", "", "names no label"),
        (b"", ", line 1", "damaged or cut off (no element found)"),
        (b"<l>" * 100_000, ", line 1", "damaged or cut off"),
        (b"\x00\xff", ", line 1", "byte 0xff is not utf-8"),
    ],
    ids=[
        "encoding", "codec", "ascii", "latin-1", "utf-16", "bomb", "entity elsewhere", "no name", "blank", "twice",
        "nested twice", "unknown", "control", "none", "empty", "deep", "bytes",
    ],
)  # fmt: skip
def test_odd_label_files_name_file_and_place(tmp_path: Path, xml: bytes, place: str, said: str) -> None:
    path = arff(tmp_path / "set.arff", ROWS)
    (tmp_path / "set.xml").write_bytes(xml)
    message = refused(path)
    assert message.startswith(f"{tmp_path / 'set.xml'}{place}")
    assert said in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "shift_jis", "gb18030"])
def test_label_files_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    head = "@attribute 漢字 {0,1}\n@attribute blue {0,1}\n@attribute f0 numeric\n@attribute f1 numeric\n"
    path = arff(tmp_path / "set.arff", ROWS, head=head)
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?><m:l xmlns:m="u"><m:label name="漢字"/></m:l>'
    (tmp_path / "set.xml").write_bytes(text.encode(encoding))
    assert read(path).label_names == ["漢字"]


def test_names_of_labels_are_matched_in_either_form(tmp_path: Path) -> None:
    head = "@attribute cafe\u0301 {0,1}\n@attribute 'blue ' {0,1}\n@attribute f0 numeric\n@attribute f1 numeric\n"
    path = arff(tmp_path / "set.arff", ROWS, head=head)
    assert read(path).label_names == ["café", "blue"]
    (tmp_path / "set.xml").write_text('<l><label name="blue"/><label name="caf&#233;"/></l>')
    examples = read(path)
    assert examples.label_names == ["blue", "café"]
    assert examples.labels.tolist() == [[b, a] for a, b in TRUTH]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_what_is_no_line_end_stays_in_its_value(tmp_path: Path, odd: str, end: str) -> None:
    head = f"% made by hand{odd} on a slow day{end}@relation 'items: -C 2'{end}"
    head += f"@attribute 'r{odd}ed' {{0,1}}{end}@attribute blue {{0,1}}{end}@attribute f0 numeric{end}"
    head += f"@attribute kind {{'a{odd}b', 'c{odd}d'}}{end}@data{end}"
    rows = [f"{i % 2},{i // 2 % 2},{i / 4},'{'ac'[i % 3 > 0]}{odd}{'bd'[i % 3 > 0]}'" for i in range(40)]
    path = tmp_path / "items.arff"
    path.write_text(head + end.join(rows) + end, newline="")
    examples = read(path)
    assert examples.label_names == [f"r{odd}ed", "blue"]
    assert examples.labels.tolist() == TRUTH
    assert examples.features is not None
    assert examples.features.tolist() == [[i / 4, i % 3 == 0, i % 3 > 0] for i in range(40)]


def test_blanks_comments_and_weights_in_rows(tmp_path: Path) -> None:
    head = "@attribute red {0,1} % the first\n@attribute blue {0,1}\n@attribute 'f 0' REAL [0, 1]\n"
    head += "@attribute kind {'50%', 'a %b', 'it\\'s', '?'} % {not, these}\n"
    kinds = ("'50%'", "'a %b'", "'it\\'s'", "'?'")
    rows = [f"{i % 2},{i // 2 % 2},{i / 4},{kinds[i % 4]}" for i in range(40)]
    rows[1] += " % said 'so'"
    rows[2] = rows[2].replace(",", "\t")
    rows[3] = "  " + rows[3].replace(",", "  ") + "  % a, b"
    rows[5] += ", {5}"
    rows[6] = f"{{1 1, 2 {6 / 4}, 3 'it\\'s'}}, {{0.5}} % heavy"
    rows.insert(4, "% 1,1,1,plain")
    examples = read(arff(tmp_path / "set.arff", rows, head=head))
    assert examples.labels.tolist() == TRUTH
    assert examples.features is not None
    assert examples.features.tolist() == [[i / 4, *(i % 4 == k for k in range(4))] for i in range(40)]
    assert "set.arff: 2 rows have a weight, which is left out" in examples.notes


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{0 1, 0 0}", "column 0 is there twice"),
        ("{" + "9" * 5000 + " 1}", "of 4 attributes, from 0"),
        ("{-1 1}", "'-1 1' is not a column and a value"),
        ("{0 1 2 1}", "'0 1 2 1' is not a column and a value"),
        ("1,0,1_000,2", "'1_000' for attribute 'f0' is not a number"),
        ("1,0,٣x,2", "for attribute 'f0' is not a number"),
        ("1,0,50%,2", "'50%' for attribute 'f0' is not a number"),
        ("1,0,,2", "'' for attribute 'f0' is not a number"),
        ("1 0 3", "1 values for 4 attributes"),
        ("1 0, 3 2", "2 values for 4 attributes"),
        ("1,0,'3,2", "''3' for attribute 'f0' is not a number"),
        ("1,0,\x1b[31m\u2028,2", "'\\x1b[31m\\u2028' for attribute 'f0' is not a number"),
        ("1,0,\x00,2", "'\\x00' for attribute 'f0' is not a number"),
    ],
    ids=[
        "column twice", "digits", "negative", "no comma", "underscore", "word", "percent", "nothing", "short", "both",
        "quote", "terminal", "NUL",
    ],
)  # fmt: skip
def test_odd_rows_name_file_and_line(tmp_path: Path, row: str, said: str) -> None:
    path = arff(tmp_path / "set.arff", [*ROWS[:7], row, *ROWS])
    assert said in refused(path, f"{path}, line 14: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@relation x\n@data\n1\n", "there is no attribute before @data"),
        ("@relation 'x -C 1'\n@attribute a {0,1}\n@attribute b real\n@data 1,2\n1,2\n", ", line 4: the rows"),
        ("@relation x\n@attribute a {0,1\n", ", line 2: the list of values has no closing brace"),
        ("@relation x\n@attribute a real than life\n", ", line 2: 'than life' stands behind the type"),
        ("@relation x\n@attribute a relational\n@attribute b real\n@end a\n", ", line 2: attribute 'a' is of type"),
        ('@relation x\n@attribute a date "yyyy"\n@data\n', ", line 2: attribute 'a' is of type date"),
        ("@relation x\n@attribute\n", ", line 2: '@attribute' is not an attribute"),
        ("@relation x\n@attribute a real\n@attribute b real\n@attribute a real\n@data\n1\n", "in lines 2 and 4"),
        (f"@relation 'x -C {'9' * 5000}'\n@attribute a real\n@data\n1\n", "which attributes are the labels?"),
        ("@relation 'x -C 1'\n@attribute '' {0,1}\n@attribute b real\n@data\n1,2\n", "the name of a label is empty"),
        (
            "@relation 'x -C 2'\n@attribute a {0,1}\n@attribute 'a ' {0,1}\n@attribute b real\n@data\n1,1,2\n",
            "has two labels 'a'; give each a name of its own (attribute 1 and attribute 2)",
        ),
        ("\x00\x01\n", ", line 1: '\\x00\\x01' is not part of a header"),
    ],
    ids=[
        "no attribute", "data on the line", "brace", "type", "relational", "date", "bare", "twice", "count",
        "no name", "equal names", "bytes",
    ],
)  # fmt: skip
def test_odd_headers_name_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "set.arff"
    path.write_text(text)
    assert said in refused(path)


def test_parts_with_other_attributes_name_the_first(tmp_path: Path) -> None:
    path = arff(tmp_path / "set-train.arff", ROWS)
    arff(
        tmp_path / "set-test.arff",
        ROWS,
        head="@attribute red {0,1}\n@attribute blue {0,1}\n@attribute f0 real\n@attribute g real\n",
    )
    assert "its attributes are not those of set-train.arff, from 'g' on" in refused(path)


def test_a_file_whose_name_has_a_line_end(tmp_path: Path) -> None:
    path = arff(tmp_path / "a\nb.arff", ROWS)
    assert read(path).labels.tolist() == TRUTH


def quote(text: str) -> str:
    """A value as Weka writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


VALUES = st.lists(st.text(ODD + "ab", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


@PROPERTY
@given(
    names=st.lists(st.text(ODD + "ab", max_size=5), min_size=2, max_size=2),
    values=VALUES,
    labels=st.lists(st.tuples(*[st.sampled_from("01?")] * 2), min_size=1, max_size=6),
    number=st.floats(width=32) | st.sampled_from(["1e39", "-0", "+.5", "1d", "0x1", "inf", "?", ""]),
    sparse=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_arff(
    names: list[str],
    values: list[str],
    labels: list[tuple[str, str]],
    number: float | str,
    sparse: bool,
    end: str,
) -> None:
    plain = [unicodedata.normalize("NFC", name).strip() for name in names]
    head = [f"@attribute {quote(name)} {{0,1}}" for name in names]
    head += [f"@attribute k {{{','.join(map(quote, values))}}}", "@attribute n numeric", "@data"]
    rows = []
    for i, (a, b) in enumerate(labels):
        cells = [a, b, quote(values[i % len(values)]), str(number)]
        listed = ", ".join(f"{column} {cell}" for column, cell in enumerate(cells) if cell != "0")
        rows.append(f"{{{listed}}}" if sparse else ",".join(cells))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.arff"
        path.write_text(end.join(["@relation 'x: -C 2'", *head, *rows]), newline="", encoding="utf-8")
        examples = attempt(lambda: read(path), path)
    if examples is None:
        assert len({*plain}) < 2 or "" in plain or not is_number(number)
        return
    assert is_number(number)
    assert examples.label_names == plain
    states = {"0": 0, "1": 1, "?": -1}
    assert examples.labels.tolist() == [[states[a], states[b]] for a, b in labels]
    assert examples.features is not None
    chosen = [i % len(values) for i in range(len(labels))]
    assert np.argmax(examples.features[:, :-1], axis=1).tolist() == chosen
    assert (examples.features[:, -1] == np.float32(number)).all()


def is_number(value: float | str) -> bool:
    try:
        return abs(float(value)) < 3.4e38
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------------------ lists


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_lists_and_class_files_end_lines_only_at_line_ends(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "set.txt"
    path.write_text("".join(f"a{odd}{i}.jpg,{i % 3}\r\n" for i in range(40)), newline="")
    (tmp_path / "classes.txt").write_text(f"x{odd}y\r\ncafe\u0301\r\n z \r\n\r\n", newline="")
    examples = read(path)
    assert examples.label_names == [f"x{odd}y", "café", "z"]
    assert list(examples.images) == [f"a{odd}{i}.jpg" for i in range(40)]
    assert examples.labels.tolist() == [[int(i % 3 == c) for c in range(3)] for i in range(40)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.jpg,1 \u20282", "is not an image, a comma and label indices"),
        ("a.jpg,-1", "is not an image, a comma and label indices"),
        ("a.jpg,1.0", "is not an image, a comma and label indices"),
        ("a.jpg,²", "is not an image, a comma and label indices"),
        ("a.jpg," + "9" * 5000, "is no index"),
        (",3", "the name of the image is empty"),
        ("b.jpg,0,1", "'b.jpg,0,1' has commas between labels; write blanks"),
        ("\x00.jpg,3", "the name of the image '\\x00.jpg' holds a NUL"),
        ("7.jpg,1", "the id '7.jpg' is already that of"),
    ],
)
def test_odd_lines_of_lists(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "set.txt"
    path.write_text("".join(f"{i}.jpg,{i % 3}\n" for i in range(40)) + line + "\n")
    assert said in refused(path, f"{path}, line 41: ")


def test_zeros_before_an_index_are_no_digits_of_it(tmp_path: Path) -> None:
    path = tmp_path / "set.txt"
    path.write_text("".join(f"{i}.jpg,{'0' * 5000}{i % 3}\n" for i in range(40)))
    assert read(path).labels.shape == (40, 3)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("a\n\nc\n", "classes.txt, line 2: is blank; every line names a label"),
        ("a\nb\na \n", "classes.txt has two labels 'a'; give each a name of its own (line 1 and line 3)"),
        ("cafe\u0301\nx\ncafé\n", "classes.txt has two labels 'café'"),
    ],
)
def test_odd_class_files(tmp_path: Path, names: str, said: str) -> None:
    path = tmp_path / "set.txt"
    path.write_text("".join(f"{i}.jpg,{i % 3}\n" for i in range(40)))
    (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(DataError) as caught:
        data.load(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        ('labels = "none/such.txt"', "none/such.txt, which "),
        ('labels = ""', "is missing"),
        ('labels = "a\\u0000"', "is missing"),
        ("labels = " + "[" * 100_000, "nested too deeply"),
        ("labels = " + "9" * 5000, "set.toml"),
        ("labels = 7", "'labels' is 7, which is not of its type"),
        ('"la\\nbels" = 7', "unknown key 'la\\nbels'"),
    ],
)
def test_odd_sidecars(tmp_path: Path, sidecar: str, said: str) -> None:
    path = tmp_path / "set.txt"
    path.write_text("".join(f"{i}.jpg,{i % 3}\n" for i in range(40)))
    (tmp_path / "set.toml").write_text(sidecar)
    with pytest.raises(UsageError) as caught:
        data.load(str(path))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "set" in str(caught.value)


def test_a_matrix_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcl_utils.data.readers.common.memory", lambda: 10_000_000)
    path = tmp_path / "set.txt"
    path.write_text("".join(f"{i}.jpg,{i % 3}\n" for i in range(40)) + "x.jpg,999999\n")
    assert "41 examples with 1,000,000 labels take 82 MB of memory" in refused(path)
