"""Tables as people's programs leave them: missing values, mixed spellings, other dialects, broken columns."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlcl_utils import data
from mlcl_utils.data.dataset import Dataset
from mlcl_utils.errors import DataError

NAMES = ("cloth", "glass", "wood")
COUNT = 60
TEXTS = [f"a text with the number {i}" for i in range(COUNT)]


def names(i: int) -> list[str]:
    return [name for bit, name in enumerate(NAMES) if (i % 7 + 1) >> bit & 1]


LISTS = [names(i) for i in range(COUNT)]
TRUTH = np.array([[name in each for name in NAMES] for each in LISTS]).astype(np.int8)


def joined(separator: str = "; ") -> list[str]:
    return [separator.join(each) for each in LISTS]


def changed(values: Sequence[Any], **cells: Any) -> list[Any]:
    """The values with some exchanged: ``_3="x"`` exchanges that of row 3."""
    values = list(values)
    for place, value in cells.items():
        values[int(place[1:])] = value
    return values


def hot(**columns: list[Any]) -> dict[str, list[Any]]:
    """A text and a column of 0 and 1 for each label; some columns exchanged."""
    return {"text": TEXTS, **{name: TRUTH[:, at].tolist() for at, name in enumerate(NAMES)}, **columns}


def write(path: Path, columns: dict[str, Sequence[Any]], sidecar: str = "", **form: Any) -> Path:
    """A CSV file of columns, or a Parquet file by the ending; with ``encoding`` and what the csv module takes."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table(dict(columns)), path)
    else:
        stream, encoding = io.StringIO(newline=""), form.pop("encoding", "utf-8")
        writer = csv.writer(stream, **form)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        path.write_bytes(stream.getvalue().encode(encoding))
    if sidecar:
        path.with_suffix(".toml").write_text(sidecar)
    return path


def load(path: Path) -> Dataset:
    return data.load(path.name, path.parent)


def refused(path: Path) -> str:
    """The one line by which a table is refused, without the folder."""
    with pytest.raises(DataError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path.with_suffix("")))
    return str(caught.value).removeprefix(f"{path.parent}/")


# --------------------------------------------------------------------------------------------------- missing values


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "<NA>", "None", "NULL", "#N/A", r"\N", "NaT"])
def test_a_word_for_a_missing_value_is_no_label(tmp_path: Path, word: str) -> None:
    cells = [word if i % 8 == 0 else cell for i, cell in enumerate(joined())]
    dataset = load(write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells}))
    assert dataset.label_names == NAMES
    assert dataset.labels.tolist() == [
        [0, 0, 0] if i % 8 == 0 else row for i, row in enumerate(TRUTH.tolist())
    ]
    assert (
        f"8 labels are missing, written as '{word}', the first at line 2; if that is a name, spell it in another way"
        in dataset.notes
    )
    assert "8 cells without labels, the first at line 2: examples without labels" in dataset.notes


def test_what_only_looks_like_a_missing_value_is_a_label(tmp_path: Path) -> None:
    cells = ["Na; Cl" if i % 2 else "Nonesuch; K" for i in range(COUNT)]
    assert load(write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells})).label_names == (
        *("Cl", "K", "Na", "Nonesuch"),
    )


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("t.csv", lambda labels: "; ".join([*labels, "nan", "nan"])),
        ("t.csv", lambda labels: str([*labels, float("nan")])),
        ("t.csv", lambda labels: str([*labels, None])),
        ("t.parquet", lambda labels: [*labels, None]),
        ("t.parquet", lambda labels: [*labels, "NA"]),
    ],
    ids=["words", "Python's nan", "Python's None", "nulls", "word in a list"],
)
def test_missing_values_among_several_labels_are_none_and_said(
    tmp_path: Path, name: str, form: Callable[[list[str]], Any]
) -> None:
    dataset = load(write(tmp_path / name, {"text": TEXTS, "labels": list(map(form, LISTS))}))
    assert dataset.label_names == NAMES
    assert np.array_equal(dataset.labels, TRUTH)
    assert any(" labels are missing, " in note for note in dataset.notes)


def test_a_real_nan_among_zeros_and_ones_is_an_unobserved_label(tmp_path: Path) -> None:
    column = [float("nan") if i % 9 == 0 else float(value) for i, value in enumerate(TRUTH[:, 1])]
    for values in (column, [None if value != value else bool(value) for value in column]):
        dataset = load(write(tmp_path / "t.parquet", hot(glass=values)))
        assert sorted(dataset.label_names) == list(NAMES)
        at = dataset.label_names.index("glass")
        assert dataset.labels[:, at].tolist() == [-1 if i % 9 == 0 else v for i, v in enumerate(TRUTH[:, 1])]
        assert "7 empty labels are unobserved" in dataset.notes


def test_words_for_missing_values_among_zeros_and_ones_are_unobserved_and_said(tmp_path: Path) -> None:
    dataset = load(
        write(
            tmp_path / "t.csv",
            hot(glass=changed(TRUTH[:, 1], _4="NA", _7="nan"), wood=changed(TRUTH[:, 2], _2="NA")),
        )
    )
    assert np.argwhere(dataset.labels == -1).tolist() == [[2, 2], [4, 1], [7, 1]]
    assert (
        "3 cells in columns 'glass', 'wood' are missing, written as 'NA', 'nan', the first at line 4; "
        "if that is a name, spell it in another way"
    ) in dataset.notes


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_rows_without_a_group_are_each_a_group(tmp_path: Path, name: str) -> None:
    group = [float(i // 4) if i < 20 else float("nan") for i in range(COUNT)]
    dataset = load(write(tmp_path / name, {"text": TEXTS, "labels": joined(), "group": group}))
    assert dataset.groups.tolist() == [*(i // 4 for i in range(20)), *range(5, 45)]


def test_missing_texts_are_counted_and_no_group(tmp_path: Path) -> None:
    texts = changed(TEXTS, _3="nan", _9="NULL", _11="")
    dataset = load(write(tmp_path / "t.csv", {"text": texts, "labels": joined()}))
    assert [dataset.texts()[i].strip() for i in (3, 9, 11)] == ["", "", ""]
    assert len(np.unique(dataset.groups)) == COUNT
    assert "3 texts are empty" in dataset.notes
    assert any(note.startswith("2 cells in column 'text' are missing, written as") for note in dataset.notes)
    assert refused(
        write(tmp_path / "n.csv", {"text": ["NA"] * COUNT, "labels": joined(), "id": range(COUNT)})
    )


@pytest.mark.parametrize(
    ("name", "columns", "said"),
    [
        ("t.csv", {"b": changed(range(COUNT), _6="NA")}, "t.csv, line 8: column 'b' has 'NA'; every feature"),
        ("t.csv", {"b": changed(range(COUNT), _6="oops")}, "t.csv, line 8: column 'b' holds numbers, but also 'oops'"),
        (
            "t.parquet",
            {"b": changed(map(float, range(COUNT)), _6=float("nan"))},
            "t.parquet, row 7: column 'b' is empty; every feature has to be a number",
        ),
        (
            "t.parquet",
            {"embedding": changed([[1.0, 2.0]] * COUNT, _6=[1.0, None])},
            "t.parquet, row 7: column 'embedding' has 'nan'; every feature",
        ),
        ("t.parquet", {"vector": changed([[1.0]] * COUNT, _6=None)}, "t.parquet, row 7: 0 features, the first"),
        ("t.csv", {"b": [f"{i} %" for i in range(COUNT)]}, "t.csv, line 2: column 'b' holds numbers, but also '0 %'"),
        ("t.csv", {"b": [f"1 {i + 100},5" for i in range(COUNT)]}, "t.csv, line 2: column 'b' holds numbers, but also"),
        ("t.csv", {"embedding": changed(["[1 2]"] * COUNT, _6="[1 nan]")}, "t.csv, line 8: column 'embedding' has '[1"),
        ("t.parquet", {"group": [[1]] * COUNT}, "t.parquet: column 'group' holds lists, not single values"),
        ("t.csv", {"id": changed(range(COUNT), _6="")}, "t.csv, line 8: column 'id' is empty; every example"),
        ("t.csv", {"split": changed(["train", "test"] * 30, _6="")}, "t.csv, line 8: '' in column 'split' is not"),
        ("t.csv", {"part": changed(["train", "test"] * 30, _6="new")}, "t.csv, line 8: 'new' in column 'part' is not"),
        (
            "t.csv",
            {"image": changed([f"{i}.png" for i in range(COUNT)], _6="nan")},
            "t.csv, line 8: column 'image' names no image, but 'nan'",
        ),
    ],
)  # fmt: skip
def test_what_has_to_be_there_is_asked_for(
    tmp_path: Path, name: str, columns: dict[str, list[Any]], said: str
) -> None:
    alone = {"image", "b", "embedding", "vector"} & set(columns)
    others = {"a": list(range(COUNT))} if "b" in columns else {} if alone else {"text": TEXTS}
    assert refused(write(tmp_path / name, {**others, **columns, "labels": joined()})).startswith(said)


# ------------------------------------------------------------------------------------------------------- 0 and 1


@pytest.mark.parametrize(
    ("zero", "one"),
    [("FALSE", "TRUE"), ("no", "yes"), ("f", "t"), ("0.0", "1.0"), ("N", "Y"), ("0", "1e0"), ("0,0", "1,0")],
)
@pytest.mark.parametrize("sidecar", ["", 'labels = ["cloth", "glass", "wood"]\n'], ids=["guessed", "named"])
def test_spellings_of_zero_and_one(tmp_path: Path, zero: str, one: str, sidecar: str) -> None:
    columns = hot(glass=[(zero, one)[value] for value in TRUTH[:, 1]])
    dataset = load(write(tmp_path / "t.csv", columns, sidecar))
    assert dataset.label_names == NAMES
    assert np.array_equal(dataset.labels, TRUTH)


@pytest.mark.parametrize("odd", ["maybe", "2", "may\nbe"])
def test_a_column_of_nearly_zeros_and_ones_is_never_left_out(tmp_path: Path, odd: str) -> None:
    shown = " ".join(odd.split())
    path = write(tmp_path / "t.csv", hot(glass=changed(TRUTH[:, 1], _4=odd)))
    assert refused(path) == (
        f"t.csv, line 6: column 'glass' holds 0 and 1, but also '{shown}'; correct it or, in t.toml, "
        'name the labels: labels = ["cloth", "wood", ...]'
    )
    write(path, hot(glass=changed(TRUTH[:, 1], _4=odd)), 'labels = ["cloth", "wood"]\n')
    assert load(path).label_names == ("cloth", "wood")


def test_one_column_of_nearly_zeros_and_ones(tmp_path: Path) -> None:
    columns = {"text": TEXTS, "label": changed(TRUTH[:, 1], _4="x")}
    path = write(tmp_path / "t.csv", columns)
    assert refused(path).startswith("t.csv, line 6: column 'label' holds 0 and 1, but also 'x'")
    write(path, columns, 'separator = ";"\n')
    assert load(path).label_names == ("0", "1", "x")
    # Numbers of classes are 0 and 1 for the most part too.
    for cell, names in (("2", ("0", "1", "2")), ("0; 1", ("0", "1"))):
        path.with_suffix(".toml").unlink(missing_ok=True)
        write(path, {"text": TEXTS, "label": changed(TRUTH[:, 1], _4=cell)})
        assert load(path).label_names == names


# ------------------------------------------------------------------------------------------------- every column


def test_every_column_is_accounted_for(tmp_path: Path) -> None:
    columns = {
        "id": range(COUNT),
        "text": TEXTS,
        "body": TEXTS,
        "labels": joined(),
        "tags": joined(),
        "stars": range(COUNT),
        "votes": [i / 2 for i in range(COUNT)],
        "city": ["Paris"] * COUNT,
        "note": [""] * COUNT,
        "new": TRUTH[:, 0],
        "fold": [i % 3 for i in range(COUNT)],
        "Unnamed: 0": range(COUNT),
    }
    assert load(write(tmp_path / "t.csv", columns)).notes[:9] == (
        "columns: text 'text', id 'id', labels 'labels'",
        "column 'body': not used, because the text is 'text'",
        "column 'tags': not used, because it holds text, and the labels are those of 'labels'",
        "columns 'stars', 'votes': not used, because they hold numbers, and the texts are those of 'text'",
        "column 'city': not used, because it holds text, and the texts are those of 'text'",
        "column 'note': not used, because it is empty",
        "column 'new': not used, because it holds 0 and 1, and the labels are those of 'labels'",
        "column 'fold' is not used as a split, nor guessed to be a label or feature: "
        "its values are not train, validation or test",
        "column 'Unnamed: 0' is not used: such a column numbers the rows; if not, name it in t.toml",
    )
    numbers = {"a": range(COUNT), "b": range(COUNT), "city": ["Paris"] * COUNT, "labels": joined()}
    notes = load(write(tmp_path / "n.csv", numbers)).notes
    assert "columns: features 'a', 'b', labels 'labels'" in notes
    assert "column 'city': not used, because it holds text, and the features are those of 'a', 'b'" in notes


# ----------------------------------------------------------------------------------------------------- dialects


def test_decimal_commas(tmp_path: Path) -> None:
    values = np.round(np.random.default_rng(0).normal(size=(COUNT, 2)), 3)
    columns = {f"f{at}": [str(v).replace(".", ",") for v in values[:, at]] for at in range(2)}
    columns |= {"f2": list(map(str, range(COUNT))), "labels": joined("|")}
    dataset = load(write(tmp_path / "t.csv", columns, delimiter=";"))
    assert np.array_equal(dataset.features[:, :2], values.astype(np.float32))
    assert dataset.features[:, 2].tolist() == list(range(COUNT))
    assert "numbers of columns 'f0', 'f1' have decimal commas" in dataset.notes
    write(tmp_path / "t.csv", columns)  # with commas between columns, and quotes
    assert np.array_equal(load(tmp_path / "t.csv").features, dataset.features)
    columns["f1"][3] = "3.5"
    assert refused(write(tmp_path / "t.csv", columns)).startswith(
        f"t.csv, line 2: column 'f1' has '{columns['f1'][0]}', where others have a decimal point; every feature"
    )


def test_commas_that_may_part_thousands(tmp_path: Path) -> None:
    columns = {"a": [f"{i + 1},{i + 100}" for i in range(COUNT)], "b": range(COUNT), "labels": joined("|")}
    path = write(tmp_path / "t.csv", columns, delimiter=";")
    assert refused(path) == (
        "t.csv, line 2: column 'a' has '1,100'; does the comma part decimals or thousands? "
        'say so in t.toml: decimal = "," or decimal = "."'
    )
    for decimal, first in ((".", 1100), (",", np.float32(1.1))):
        path.with_suffix(".toml").write_text(f'decimal = "{decimal}"\n')
        assert load(path).features[0, 0] == first
    path.with_suffix(".toml").unlink()
    write(path, {**columns, "b": [f"0,{i}" for i in range(COUNT)]}, delimiter=";")  # the other column tells
    assert load(path).features[1].tolist() == [np.float32(2.101), np.float32(0.1)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"], ids=["CR", "CRLF", "LF"])
def test_delimiters_are_found_outside_quotes_whatever_ends_the_lines(
    tmp_path: Path, delimiter: str, end: str
) -> None:
    header = "text, long; as | found,\tin full"
    texts = changed(TEXTS, _5='Of "two" lines,;|\t\nin one cell')
    for separator in (", ", "; ", " | "):
        path = write(
            tmp_path / "t.csv",
            {header: texts, "labels": joined(separator)},
            delimiter=delimiter,
            lineterminator=end,
        )
        dataset = load(path)
        assert dataset.texts()[5] == texts[5]
        assert np.array_equal(dataset.labels, TRUTH)


def test_delimiters_that_are_unsure(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "id,text|labels\n" + "".join(f"{i},{TEXTS[i]}|{'; '.join(LISTS[i])}\n" for i in range(COUNT))
    )
    assert refused(path) == (
        "t.csv, line 1: are the columns separated by ',' or by '|'? say so in t.toml, such as: delimiter = \",\""
    )
    path.with_suffix(".toml").write_text('delimiter = "|"\ntext = "id,text"\n')
    dataset = load(path)
    assert dataset.texts()[3] == f"3,{TEXTS[3]}"
    assert np.array_equal(dataset.labels, TRUTH)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str) -> None:
    texts = [f"{text} é" for text in TEXTS]
    path = write(tmp_path / "t.csv", {"text": texts, "labels": joined()}, encoding=encoding)
    assert load(path).texts() == texts
    if encoding == "utf-16":
        path.write_bytes(path.read_bytes()[2:])
        assert refused(path).startswith(
            "t.csv, line 1: a zero byte, so it is not utf-8; name its encoding in t.toml"
        )
        path.with_suffix(".toml").write_text('encoding = "utf-16-le"\n')
        assert load(path).texts() == texts


def test_blank_lines_trailing_separators_and_what_excel_adds(tmp_path: Path) -> None:
    lines = [f"{text};{cell}" for text, cell in zip(TEXTS, joined("|"), strict=True)]
    lines[3] += ";;"
    path = tmp_path / "t.csv"
    path.write_text(
        "sep=;\n\ntext;labels;\n" + "\n".join(lines[:9]) + "\n\n  \n" + "\n".join(lines[9:]) + "\n;;\n"
    )
    dataset = load(path)
    assert np.array_equal(dataset.labels, TRUTH)
    assert "1 row of empty cells at the end left out" in dataset.notes
    assert "1 row with empty cells that have no column, the first at line 7" in dataset.notes
    path.write_text(
        "text, labels\n"
        + "".join(f'"{text}", "{", ".join(each)}"\n' for text, each in zip(TEXTS, LISTS, strict=True))
    )
    assert np.array_equal(load(path).labels, TRUTH)
    assert load(path).texts() == TEXTS


# ----------------------------------------------------------------------------------------------- cells of labels


def test_a_stray_separator_is_part_of_a_name_and_said(tmp_path: Path) -> None:
    cells = changed(joined(", "), _41="cloth, glass; see note")
    dataset = load(write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells}))
    assert dataset.label_names == ("cloth", "glass", "glass; see note", "wood")
    assert np.array_equal(np.delete(dataset.labels[:, [0, 1, 3]], 41, axis=0), np.delete(TRUTH, 41, axis=0))
    assert dataset.labels[41].tolist() == [1, 0, 1, 0]
    assert (
        "1 cell of 'labels' with ';' too, which is taken for part of a name, the first at line 43: "
        "'cloth, glass; see note'"
    ) in dataset.notes


def test_names_with_commas_between_semicolons(tmp_path: Path) -> None:
    cells = ["; ".join(f"{name}, old" for name in each) for each in LISTS]
    path = write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells})
    assert refused(path).startswith(
        "t.csv, line 4: 'cloth, old; glass, old' in column 'labels': are labels separated"
    )
    path.with_suffix(".toml").write_text('separator = ";"\n')
    dataset = load(path)
    assert dataset.label_names == tuple(f"{name}, old" for name in NAMES)
    assert np.array_equal(dataset.labels, TRUTH)


@pytest.mark.parametrize("separator", [", ", "; ", "|"])
def test_the_semicolon_of_an_entity_parts_nothing(tmp_path: Path, separator: str) -> None:
    cells = [separator.join(name.replace("cloth", "R&amp;D") for name in each) for each in LISTS]
    dataset = load(write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells}))
    assert dataset.label_names == ("R&amp;D", "glass", "wood")
    assert np.array_equal(dataset.labels, TRUTH)
    assert "names of labels with HTML in them are taken as they are: 'R&amp;D'" in dataset.notes


def test_one_word_in_two_forms_of_unicode_is_one(tmp_path: Path) -> None:
    forms = ["NFC" if i % 2 else "NFD" for i in range(COUNT)]
    cells = [
        unicodedata.normalize(form, "; ".join(["café", *each]))
        for form, each in zip(forms, LISTS, strict=True)
    ]
    texts = changed([f"{text} é" for text in TEXTS], _7=unicodedata.normalize("NFD", f"{TEXTS[2]} é"))
    group = [unicodedata.normalize(form, f"né {i // 2}") for i, form in enumerate(forms)]
    dataset = load(write(tmp_path / "t.csv", {"text": texts, "labels": cells, "group": group}))
    assert dataset.label_names == ("café", *NAMES)
    assert dataset.labels[:, 0].all()
    assert np.array_equal(dataset.groups[::2], dataset.groups[1::2])
    assert dataset.groups[7] == dataset.groups[2]
    columns = {"text": TEXTS, "cafe\u0301": TRUTH[:, 0], "the\u0301": TRUTH[:, 1]}
    named = load(write(tmp_path / "c.csv", columns, 'labels = ["caf\u00e9", "th*"]\n'))
    assert named.label_names == ("caf\u00e9", "th\u00e9")
    ids = changed(list(map(str, range(COUNT))), _3="\u00e9", _4="e\u0301")
    assert "the id '\u00e9' is already that of" in refused(
        write(tmp_path / "i.csv", {"id": ids, "text": TEXTS, "labels": joined()})
    )


@pytest.mark.parametrize(
    "form",
    [
        lambda labels: f"array({labels}, dtype=object)",
        lambda labels: f"np.array({labels})",
        lambda labels: f"Index({labels}, dtype='object', name='x')",
        lambda labels: f"dict_keys({labels})",
        lambda labels: "[" + ", ".join(f"np.str_('{label}')" for label in labels) + "]",
        lambda labels: '["' + '", "'.join(labels) + '", null]',
        lambda labels: str([*labels, float("nan")]),
    ],
    ids=["array", "np.array", "index", "keys", "NumPy's texts", "JSON", "nan"],
)
def test_lists_as_programs_write_them(tmp_path: Path, form: Callable[[list[str]], str]) -> None:
    cells = changed(map(form, LISTS), _8=form([]) if "np.str" not in form(["a"]) else "[]", _9="")
    dataset = (
        load(write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells})) if '"' not in cells[0] else None
    )
    if dataset is None:
        cells[8] = "[]"
        dataset = load(write(tmp_path / "t.csv", {"text": TEXTS, "labels": cells}))
    assert dataset.label_names == NAMES
    expected = TRUTH.copy()
    expected[8:10] = 0
    assert np.array_equal(dataset.labels, expected)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("Counter({'a': 2})", "is not a list of labels"),
        ("array(['a', ..., 'b'], dtype=object)", "is not a list of labels"),
        ("[" * 5000 + "'a'" + "]" * 5000, "is not a list of labels"),
        ('["\\ud800"]', "is half a character"),
    ],
    ids=["counter", "left out", "deep", "surrogate"],
)
def test_lists_that_are_none(tmp_path: Path, cell: str, said: str) -> None:
    path = write(tmp_path / "t.csv", {"text": TEXTS, "labels": changed(map(str, LISTS), _4=cell)})
    message = refused(path)
    assert message.startswith("t.csv, line 6: ")
    assert said in message


def test_lists_of_json_have_its_escapes(tmp_path: Path) -> None:
    dataset = load(
        write(tmp_path / "t.csv", {"text": TEXTS, "labels": [r'["AC\/DC", "\ud83d\ude00"]'] * COUNT})
    )
    assert dataset.label_names == ("AC/DC", "\U0001f600")


def test_features_written_as_lists(tmp_path: Path) -> None:
    vectors = np.array([[i / 4, 2, -1] for i in range(COUNT)], dtype=np.float32)
    for cells in (list(map(str, vectors)), [str(each.tolist()) for each in vectors]):
        dataset = load(write(tmp_path / "t.csv", {"embedding": cells, "labels": joined()}))
        assert np.array_equal(dataset.features, vectors)
    cells[5] = "[1.0, 2.0]"
    path = write(tmp_path / "t.csv", {"embedding": cells, "labels": joined()})
    assert refused(path) == "t.csv, line 7: 2 features, the first row has 3"


# ------------------------------------------------------------------------------------------------------ Parquet


def broken(values: Sequence[str], row: int) -> pa.Array:
    """A column of texts of which one is not UTF-8."""
    return pa.array(
        changed([value.encode() for value in values], **{f"_{row}": b"caf\xe9"}), pa.binary()
    ).view(pa.string())


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({"text": TEXTS, "labels": LISTS, **columns}), path)
    return path


@pytest.mark.parametrize(
    "columns",
    [
        {"text": pa.array([text.encode() for text in TEXTS], pa.binary())},
        {"text": pa.array(TEXTS, pa.large_string())},
        {"text": pa.array(TEXTS).dictionary_encode()},
        {"labels": pa.array(joined()).dictionary_encode()},
        {"labels": pa.array([[name.encode() for name in each] for each in LISTS], pa.list_(pa.binary()))},
        {"labels": pa.array(LISTS, pa.large_list(pa.large_string()))},
        {"id": pa.array(range(2**62, 2**62 + COUNT), pa.timestamp("us"))},
        {"id": pa.array([i.to_bytes(16, "big") for i in range(COUNT)], pa.uuid())},
        {"group": pa.array(range(COUNT), pa.duration("ns"))},
        {"note": broken(TEXTS, 3), "text.x": TEXTS, "when": pa.array(range(COUNT), pa.timestamp("us", tz="No/Where"))},
    ],
    ids=[
        "binary", "large texts", "categories", "categories of labels", "binary labels", "large lists", "far dates",
        "UUIDs", "durations", "broken columns not in use",
    ],
)  # fmt: skip
def test_types_of_parquet(tmp_path: Path, columns: dict[str, Any]) -> None:
    dataset = load(parquet(tmp_path / "t.parquet", **columns))
    assert dataset.texts() == TEXTS
    assert dataset.label_names == NAMES
    assert np.array_equal(dataset.labels, TRUTH)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": broken(TEXTS, 3)}, r"t.parquet, row 4: 'caf\xe9' in column 'text' is not UTF-8"),
        (
            {
                "labels": pa.ListArray.from_arrays(
                    pa.array(range(COUNT + 1), pa.int32()), broken(["a"] * COUNT, 7)
                )
            },
            "t.parquet, row 8: column 'labels' cannot be decoded: 'utf-8' codec",
        ),
        (
            {"labels": [{"a": 1}] * COUNT},
            "t.parquet, row 1: '{'a': 1}' in column 'labels' is not a list of labels",
        ),
        ({"labels": pa.nulls(COUNT)}, "t.parquet: column 'labels' holds no label"),
        (
            {"group": pa.array(range(COUNT), pa.timestamp("us", tz="No/Where"))},
            "t.parquet, row 1: column 'group' cannot be decoded",
        ),
    ],
    ids=["text", "label", "struct", "nulls", "time zone"],
)
def test_broken_columns_in_use_are_refused(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    assert refused(parquet(tmp_path / "t.parquet", **columns)).startswith(said)


def test_a_broken_column_of_zeros_and_ones_is_not_left_out(tmp_path: Path) -> None:
    columns = {
        name: broken(list(map(str, values)), 4) if name == "glass" else values
        for name, values in hot().items()
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert refused(tmp_path / "t.parquet").startswith(
        r"t.parquet, row 5: column 'glass' holds 0 and 1, but also 'caf\xe9'"
    )


def test_numbers_of_other_types_are_zeros_and_ones(tmp_path: Path) -> None:
    columns = hot(
        cloth=pa.array(TRUTH[:, 0]).cast(pa.decimal128(12, 2)),
        glass=pa.array(TRUTH[:, 1]).cast(pa.string()).dictionary_encode(),
        wood=pa.array(TRUTH[:, 2]).cast(pa.float16()),
    )
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    dataset = load(tmp_path / "t.parquet")
    assert dataset.label_names == NAMES
    assert np.array_equal(dataset.labels, TRUTH)


def test_columns_of_one_name(tmp_path: Path) -> None:
    path, arrays = tmp_path / "t.parquet", [pa.array(TEXTS), pa.array(LISTS)]
    pq.write_table(
        pa.Table.from_arrays([*arrays, arrays[0], arrays[0]], names=["text", "labels", "note", "note"]), path
    )
    dataset = load(path)
    assert np.array_equal(dataset.labels, TRUTH)
    assert "column 'note': not used, because several columns have the same name" in dataset.notes
    for names in (["text", "labels", "labels"], ["text", "tags", "text"]):
        pq.write_table(pa.Table.from_arrays([*arrays, arrays[names[2] != "text"]], names=names), path)
        assert "there are two columns" in refused(path)
    columns = [pa.array(values) for values in hot().values()]
    pq.write_table(pa.Table.from_arrays([*columns, columns[1]], names=["text", *NAMES, "wood"]), path)
    assert refused(path) == "t.parquet: there are two columns 'wood'; give each a name of its own"


def test_a_damaged_page_costs_nothing_unless_it_is_used(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", note=TEXTS[::-1])
    for column, used in (("note", False), ("text", True)):
        content = bytearray(path.read_bytes())
        at = pq.ParquetFile(path).metadata.row_group(0)
        (start,) = (
            at.column(i).dictionary_page_offset or at.column(i).data_page_offset
            for i in range(at.num_columns)
            if at.column(i).path_in_schema == column
        )
        content[start + 20 : start + 60] = b"\xff" * 40
        path.write_bytes(bytes(content))
        if used:
            assert refused(path).startswith(f"t.parquet, column '{column}': it cannot be read")
        else:
            assert np.array_equal(load(path).labels, TRUTH)


@pytest.mark.parametrize("content", ["labels = " + "[" * 100_000, "labels = " + "1" * 5000, '"a\\nb" = 1'])
def test_sidecars_that_no_one_writes(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "t.csv", {"text": TEXTS, "labels": joined()}, content)
    assert refused(path).startswith("t.toml: ")
