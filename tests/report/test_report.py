"""The report over results in every state: what it says, what it refuses, what it writes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from mlcl_utils import report, studies
from mlcl_utils.errors import UsageError
from mlcl_utils.report import claims
from mlcl_utils.report.results import Results, find
from tests.disks import mounted
from tests.report.made import STUDY
from tests.report.pages import built, contents, text


class TestComplete:
    def test_says_what_there_is(self, complete: Path, tmp_path: Path) -> None:
        site = built(complete, tmp_path)
        study = studies.get(STUDY)
        for page in (site / "index.html", site / STUDY / "quick" / "index.html"):
            said = text(page)
            assert study.title in said
            assert study.question in said
            assert "40 runs, 1 failed , 82 s of computation" in said
        said = text(site / STUDY / "quick" / "index.html")
        assert "2, seeds 0, 1" in said
        assert "as checked out" in said
        assert "Not complete" not in said

    def test_offers_every_file(self, complete: Path, tmp_path: Path) -> None:
        folder = built(complete, tmp_path) / STUDY / "quick"
        page = (folder / "index.html").read_text()
        offered = set(re.findall(r'href="([^"]+)" download', page))
        for name in ("number_of_labels", "amount_of_data"):
            endings = ("pdf", "svg", "png", "intervals.csv", "points.csv")
            assert {f"figures/{name}.{ending}" for ending in endings} <= offered
        for name in ("results_map", "tasks"):
            assert {f"tables/{name}.tex", f"tables/{name}.csv"} <= offered
        assert {"runs.csv", "manifest.json", "notebook.ipynb"} <= offered
        source = contents(complete / STUDY / "quick")
        copied = contents(folder)
        assert all(copied[name] == source[name] for name in offered)

    def test_the_key_figure_is_the_one_that_was_drawn_first(self, complete: Path, tmp_path: Path) -> None:
        (results,) = find(complete)
        assert [figure.name for figure in results.figures] == ["number_of_labels", "amount_of_data"]
        page = (built(complete, tmp_path) / "index.html").read_text()
        assert re.findall(r'<img src="([^"]+)"', page) == [f"{STUDY}/quick/figures/number_of_labels.svg"]

    def test_loads_nothing_from_elsewhere(self, everything: Path, tmp_path: Path) -> None:
        kinds = set()
        for page in built(everything, tmp_path).rglob("*.html"):
            loaded = re.findall(
                r"<(script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"([^\"]*)", page.read_text()
            )
            for kind, address in loaded:
                assert address.startswith("data:") or (page.parent / unquote(address)).exists(), address
                kinds.add(kind)
        assert kinds == {"script", "link", "img"}

    def test_the_same_results_give_the_same_bytes(self, everything: Path, tmp_path: Path) -> None:
        first = contents(report.build(everything, tmp_path / "one").folder)
        assert first == contents(report.build(everything, tmp_path / "two").folder)

    def test_its_notebook_leads_back(self, complete: Path, tmp_path: Path) -> None:
        page = (built(complete, tmp_path) / STUDY / "quick" / "notebook.html").read_text()
        assert f'<a href="index.html">← {STUDY}, quick</a>' in page

    def test_a_site_is_replaced(self, own: Path, tmp_path: Path) -> None:
        first = contents(built(own.parents[1], tmp_path))
        shutil.rmtree(own / "figures")
        second = contents(built(own.parents[1], tmp_path))
        assert f"{STUDY}/quick/figures/amount_of_data.svg" in set(first) - set(second)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "site"]

    def test_it_may_lie_in_the_results(self, own: Path) -> None:
        results = own.parents[1]
        before = contents(results)
        for _ in range(2):
            site = report.build(results, results / "report")
            assert [each.study for each in site.results] == [STUDY]
        assert contents(results).items() >= before.items()


class TestStates:
    @pytest.mark.parametrize(
        ("name", "state", "said"),
        [
            (
                "smoke",
                "failed",
                'ValueError: not <this> one (cell [4]: raise ValueError("not <this> one\\nmore"))',
            ),
            ("quick-0123abcd", "timed out", "it took longer than 6 s (cell [4]: "),
            ("paper", "empty", "The folder is empty: the study has left nothing."),
        ],
    )
    def test_what_is_not_complete(
        self, everything: Path, tmp_path: Path, name: str, state: str, said: str
    ) -> None:
        site = built(everything, tmp_path)
        page = text(site / STUDY / name / "index.html")
        assert f"Not complete: {state}. {said}" in page
        assert f"{name} ({state})" in text(site / "index.html")
        (results,) = (each for each in find(everything) if each.name == name)
        assert (results.state, results.warnings) == (state, [])

    @pytest.mark.parametrize("name", ["smoke", "quick-0123abcd", "paper"])
    def test_on_a_card_of_its_own(self, everything: Path, tmp_path: Path, name: str) -> None:
        shutil.copytree(everything / STUDY / name, tmp_path / "results" / STUDY / name)
        site = built(tmp_path / "results", tmp_path)
        said = text(site / "index.html")
        (results,) = find(tmp_path / "results")
        assert f"Not complete: {results.state}. {results.reason}" in said
        assert f"{name}: {results.state}" in said
        assert "0 of" in said

    def test_killed_outright(self, own: Path, tmp_path: Path) -> None:
        (own / "manifest.json").unlink()
        said = text(built(own.parents[1], tmp_path) / STUDY / "quick" / "index.html")
        assert "Not complete: unfinished. There is no 'manifest.json'" in said
        assert "Number of labels pdf" in said, "what is there is shown all the same"

    def test_of_an_older_version(self, everything: Path, tmp_path: Path) -> None:
        site = built(everything, tmp_path)
        said = text(site / STUDY / "standard" / "index.html")
        version = studies.get(STUDY).version
        assert "of an older version or damaged; it lacks device, seeds, compute." in said
        assert f"Made by version 0 of the study; this is version {version}." in said
        assert "The data set debtags was version 0-abc; it is " in said
        assert "Made with mlcl-studies 0.0.1; this is " in said
        assert "are gone: tables/results_map.tex" in said
        assert "of an older version" in text(site / "index.html")

    def test_of_a_study_that_is_gone(self, everything: Path, tmp_path: Path) -> None:
        site = built(everything, tmp_path)
        assert "There is no study of this name in this version." in text(
            site / "07 odd & <retired> #1" / "quick" / "index.html"
        )

    def test_none_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "results" / STUDY).mkdir(parents=True)
        said = text(built(tmp_path / "results", tmp_path) / "index.html")
        assert f"0 of {len(studies.names())}" in said
        for name in studies.names():
            assert f"No results yet. Make them with mlcl run {name} ." in said

    def test_files_that_changed_or_were_added(self, own: Path) -> None:
        (own / "tables" / "tasks.csv").write_text("a\n1\n")
        (own / "figures" / "amount_of_data.pdf").unlink()
        (own / "figures" / "new.png").write_bytes((own / "figures" / "amount_of_data.png").read_bytes())
        results = Results(STUDY, own)
        assert results.warnings == [
            "Files that the manifest lists are gone: figures/amount_of_data.pdf.",
            "Files have changed since: tables/tasks.csv.",
        ]
        assert results.figures[-1].name == "new"

    def test_sources_that_changed(self, own: Path) -> None:
        assert Results(STUDY, own).of_present_sources is True
        manifest = json.loads((own / "manifest.json").read_text())
        for changed, expected in (
            ({"digest": "another"}, False),
            ({"digest": None}, None),
            ({"parameters": {}}, None),
        ):
            (own / "manifest.json").write_text(json.dumps({**manifest, **changed}))
            assert Results(STUDY, own).of_present_sources is expected

    def test_a_notebook_of_another_execution(self, own: Path) -> None:
        """Run in JupyterLab after a batch: the manifest is new, the notebook the batch's."""
        manifest = json.loads((own / "manifest.json").read_text())
        for name in ("notebook.ipynb", "notebook.html"):
            del manifest["files"][name]
        (own / "manifest.json").write_text(json.dumps(manifest))
        assert Results(STUDY, own).warnings == [
            "The notebook here may be of another execution: the manifest does not list it."
        ]

    def test_order(self, everything: Path) -> None:
        names = [each.name for each in find(everything) if each.study == STUDY]
        assert names == ["standard", "quick", "paper", "quick-0123abcd", "smoke"]
        found = list(dict.fromkeys(each.study for each in find(everything)))
        known = [name for name in studies.names() if name in found]
        assert found[: len(known)] == known

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("manifest.json", b""),
            ("manifest.json", b"[1]"),
            ("manifest.json", b"\xff\xfe"),
            ("manifest.json", b'{"preset": 1, "files": [], "compute": null}'),
        ],
    )
    def test_a_damaged_manifest(self, own: Path, tmp_path: Path, name: str, content: bytes) -> None:
        (own / name).write_bytes(content)
        said = text(built(own.parents[1], tmp_path) / STUDY / "quick" / "index.html")
        assert "unfinished. 'manifest.json' is damaged, so that nothing vouches for these results." in said

    @pytest.mark.parametrize(
        "content", [b"", b"\n", b"\xff\xfe\x00,\x00\n1", b"a,b\n1\n1,2,3\n", b"a\n", b'"']
    )
    @pytest.mark.parametrize("name", ["runs.csv", "tables/tasks.csv", "tables/claims.csv"])
    def test_a_damaged_table(self, own: Path, tmp_path: Path, name: str, content: bytes) -> None:
        ledger = own.parents[1] / claims.LEDGER / "quick"
        shutil.copytree(own, ledger)
        for folder in (own, ledger):
            (folder / name).write_bytes(content)
        said = text(built(own.parents[1], tmp_path) / STUDY / "quick" / "index.html")
        assert name == "tables/claims.csv" or f"Files have changed since: {name}." in said

    @pytest.mark.parametrize(
        "content", ["", "[]", '{"cells": 1}', '{"cells": [1, {"cell_type": "markdown"}]}']
    )
    def test_a_damaged_notebook(self, own: Path, tmp_path: Path, content: str) -> None:
        (own / "manifest.json").unlink()
        (own / "notebook.ipynb").write_text(content)
        shutil.move(own.parent, own.parents[1] / "unknown")
        said = text(built(own.parents[1], tmp_path) / "unknown" / "quick" / "index.html")
        assert "Not complete: unfinished." in said

    @pytest.mark.parametrize(
        "change", [("compute", {"runs": "x"}), ("compute", {}), ("seeds", []), ("time_wall", 0)]
    )
    def test_odd_values(self, own: Path, tmp_path: Path, change: tuple[str, object]) -> None:
        manifest = json.loads((own / "manifest.json").read_text())
        (own / "manifest.json").write_text(json.dumps({**manifest, change[0]: change[1]}))
        built(own.parents[1], tmp_path)


def test_texts_end_no_element(own: Path, tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script>"
    (own / "runs.csv").write_text(f"loss,run,probe_map\n{attack},1,0.5\nbce,2,0.5\n")
    (own / "tables" / "tasks.csv").write_text(f"{attack}\n{attack}\n")
    site = built(own.parents[1], tmp_path)
    for name in ("index.html", "runs.html"):
        assert attack not in (site / STUDY / "quick" / name).read_text()
    page = (site / STUDY / "quick" / "runs.html").read_text()
    view = json.loads(re.search(r'<script type="application/json" id="runs">(.*?)</script>', page)[1])
    assert view["rows"][0][0] == attack


class TestRefusals:
    def test_no_results(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no folder of results"):
            report.build(tmp_path / "nowhere", tmp_path / "site")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["notes.txt", "index.html"])
    def test_something_else_in_the_way(self, complete: Path, tmp_path: Path, name: str) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / name).write_text("mine")
        with pytest.raises(UsageError, match="holds something else than a report"):
            built(complete, tmp_path)
        assert contents(tmp_path / "site").keys() == {name}

    def test_a_file_in_the_way(self, complete: Path, tmp_path: Path) -> None:
        (tmp_path / "site").write_text("mine")
        with pytest.raises(UsageError, match="is not a folder"):
            built(complete, tmp_path)
        assert (tmp_path / "site").read_text() == "mine"

    def test_a_place_that_cannot_be(self, complete: Path, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        with pytest.raises(UsageError, match="cannot write the report"):
            report.build(complete, tmp_path / "taken" / "below" / "site")

    def test_an_empty_folder_is_taken(self, complete: Path, tmp_path: Path) -> None:
        (tmp_path / "site").mkdir()
        assert (built(complete, tmp_path) / "index.html").exists()


class TestFolder:
    def test_a_link_stays_one(self, own: Path, tmp_path: Path) -> None:
        """What it points to is the same folder afterwards, with the new site in it and all that is no report."""
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "site").symlink_to(tmp_path / "elsewhere")
        before = (tmp_path / "elsewhere").stat()
        first = contents(built(own.parents[1], tmp_path))
        (tmp_path / "elsewhere" / "CNAME").write_text("mine")
        (tmp_path / "elsewhere" / "mine").mkdir()
        (tmp_path / "elsewhere" / "mine" / "index.html").write_text("mine")
        shutil.rmtree(own)
        second = contents(built(own.parents[1], tmp_path))
        assert (tmp_path / "site").is_symlink()
        assert (tmp_path / "elsewhere").stat().st_ino == before.st_ino
        assert f"{STUDY}/quick/index.html" in first
        assert f"{STUDY}/quick/index.html" not in second
        assert second.keys() - first.keys() == {"CNAME", "mine/index.html"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "results", "site"]

    def test_a_link_to_something_else(self, complete: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "mine.txt").write_text("mine")
        (tmp_path / "site").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UsageError, match="holds something else than a report"):
            built(complete, tmp_path)
        assert contents(tmp_path / "elsewhere").keys() == {"mine.txt"}

    def test_a_link_to_nothing(self, complete: Path, tmp_path: Path) -> None:
        (tmp_path / "site").symlink_to(tmp_path / "nowhere")
        with pytest.raises(UsageError, match="is not a folder"):
            built(complete, tmp_path)
        assert (tmp_path / "site").is_symlink()

    def test_what_a_killed_one_has_left_goes(self, complete: Path, tmp_path: Path) -> None:
        left = tmp_path / "site" / ".mlcl-report-abc" / "site"
        left.mkdir(parents=True)
        (left / "index.html").write_text("half")
        site = built(complete, tmp_path)
        assert not list(site.glob(".*"))
        assert (site / "index.html").exists()

    @pytest.mark.parametrize("there", [False, True])
    def test_a_full_disk(self, complete: Path, tmp_path: Path, there: bool) -> None:
        """One short line; an earlier report stays as it was, and nothing is left of the new one."""
        with mounted(tmp_path / "disk", 2_000 if there else 64) as disk:
            if there:
                first = contents(report.build(complete, disk / "site").folder)
                (disk / "full").write_bytes(b"0" * shutil.disk_usage(disk).free)
            with pytest.raises(UsageError) as refusal:
                report.build(complete, disk / "site")
            cause = "No space left on device"
            assert str(refusal.value) == f"cannot write the report '{disk / 'site'}': {cause}"
            if there:
                assert contents(disk / "site") == first
            else:
                assert list(disk.iterdir()) == []

    def test_the_whole_of_a_disk(self, complete: Path, tmp_path: Path) -> None:
        with mounted(tmp_path / "site", 20_000):
            for _ in range(2):
                assert (built(complete, tmp_path) / "index.html").exists()
        assert list((tmp_path / "site").iterdir()) == []


MLCL = Path(sys.executable).with_name("mlcl")


@pytest.fixture
def mlcl() -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(MLCL), "report", *arguments], capture_output=True, text=True, timeout=60)

    return call


def test_the_command(
    everything: Path, tmp_path: Path, mlcl: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = mlcl("--results", str(everything), "--out", str(tmp_path / "site"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [STUDY, "smoke:", "failed"] in lines
    assert [STUDY, "quick-0123abcd:", "timed", "out"] in lines
    assert lines[-1][0] == str(tmp_path / "site" / "index.html")
    assert (tmp_path / "site" / "index.html").exists()


def test_the_command_refuses(tmp_path: Path, mlcl: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = mlcl("--results", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere'" in done.stderr
    assert list(tmp_path.iterdir()) == []
