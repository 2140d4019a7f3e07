"""Names that are markup, from the terminal to the notebook, its figures and tables, and the report."""

from __future__ import annotations

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from tests.cli.test_refusals import MLCL, mlcl
from tests.figures.test_latex import check

ODD = "<img src=x onerror=alert(1)> $_$x *b* [a](b:c) | 電.csv"
LABELS = ["<script>alert(2)</script>", "$x_1$ {y} ~ ^ \\z", "*bold* | cell `code`"]


def write(folder: Path, name: str) -> Path:
    """A table of 120 texts with the odd labels."""
    words = ("lamp", "garden", "stone", "copper", "wheel")
    rows = [f'{words[i % 5]} {words[i % 3]} n{i},"{"; ".join(LABELS[: 1 + i % 3])}"' for i in range(120)]
    path = folder / name
    path.write_text("\n".join(["text,labels", *rows]) + "\n", encoding="utf-8")
    return path


class Live(HTMLParser):
    """What of a page would act, and its texts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if (
            any(name.startswith("on") for name in values)
            or values.get("src") == "x"
            or values.get("href") == "b:c"
        ):
            self.found.append(self.get_starttag_text() or tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_study_on_a_set_with_an_odd_name(tmp_path: Path) -> None:
    write(tmp_path, ODD)
    results = tmp_path / "results"
    given = {
        "datasets": json.dumps([ODD]),
        "data_root": str(tmp_path),
        "num_labels": "2,3",
        "encoders": "bag",
        "end_to_end_num_labels": "2,3",
    }
    asked = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    done = subprocess.run(
        [str(MLCL), "run", "02", "--preset", "smoke", "--results", str(results), *asked],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (results / "02_label_space").glob("smoke-*")
    assert (folder / "figures" / "label_count.pdf").is_file()
    check({path.name: path.read_text() for path in folder.glob("tables/*.tex")}, tmp_path)
    outputs = [
        output.data
        for cell in nbformat.read(folder / "notebook.ipynb", as_version=4).cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert any("text/markdown" in data for data in outputs)
    for data in outputs:
        for kind in ("text/markdown", "text/html"):
            assert "<img src=x" not in data.get(kind, "")
        assert (
            "text/html" not in data
            or "mathjax_ignore" in data["text/html"]
            or "<table" not in data["text/html"]
        )
    site = tmp_path / "site"
    assert mlcl("report", "--results", str(results), "--out", str(site)).returncode == 0
    pages = [folder / "notebook.html", *site.rglob("*.html")]
    assert len(pages) > 4
    for page in pages:
        live = Live(page)
        assert not live.found, page
        assert (page.name == "index.html" and page.parent == site) or ODD in live.text, page


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mred.csv", r"a\x1b[31mred"),
        ("a\nb.csv", r"a\nb"),
        ("\u202efdp.csv", r"\u202efdp"),
        ("cost$_$x.csv", "cost$_$x"),
    ],
)
def test_a_name_does_nothing_to_the_terminal(name: str, shown: str, tmp_path: Path) -> None:
    write(tmp_path, name)
    done = mlcl("data", "check", name, "--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"{shown}: text")
    assert done.stdout.splitlines()[-1] == f"{shown}.csv: whole"
    assert f"  {LABELS[0]}" in done.stdout
    assert "\x1b" not in done.stdout
    refused = mlcl("data", "check", f"no {name}", "--root", str(tmp_path))
    assert refused.returncode != 0
    assert f"no {shown}.csv" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "\x1b" not in refused.stderr
    planned = mlcl(
        *("run", "02", "--preset", "smoke", "--results", str(tmp_path / "results"), "--dry-run"),
        *("-p", f"datasets={json.dumps([f'no {name}'])}", "-p", f"data_root={tmp_path}"),
    )
    assert planned.returncode == 2
    assert f"no {shown}.csv" in planned.stderr
    assert "\x1b" not in planned.stderr


def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    name = b"bad\xff.csv".decode(errors="surrogateescape")
    write(tmp_path, name)
    done: subprocess.CompletedProcess[str] = mlcl("data", "check", name, "--root", str(tmp_path))
    assert done.returncode in {1, 2}
    assert done.stderr == "mlcl: data set 'bad\\udcff.csv': its name is not UTF-8; rename it\n"
