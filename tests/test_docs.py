"""The pages that say how to add something, followed to the letter in a copy of the package; links of all pages."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its scripts, with links in place of the embedded data."""
    for name in ("mlcl_utils", "data_scripts"):
        shutil.copytree(
            CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("embedded", "__pycache__")
        )
    embedded = tmp_path / "mlcl_utils" / "data" / "embedded"
    embedded.mkdir()
    for folder in (CHECKOUT / "mlcl_utils" / "data" / "embedded").iterdir():
        (embedded / folder.name).symlink_to(folder)
    return tmp_path


def blocks(page: str, language: str) -> list[str]:
    text = (CHECKOUT / "docs" / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def register(path: Path, opening: str, line: str) -> None:
    """Put the line after the one that opens the list of names."""
    source = path.read_text()
    assert opening in source
    path.write_text(source.replace(opening, f"{opening}\n{line}", 1))


CARRY_OUT = """
from pathlib import Path
from mlcl_utils import data, losses, runs
from mlcl_utils.runs import RunConfig
from mlcl_utils.training import Recipe
import mlcl_utils
assert Path(mlcl_utils.__file__).is_relative_to(Path.cwd())
config = RunConfig(dataset={dataset!r}, num_labels=5, base_labels=5, replicate=0, loss={loss!r}, seed=0,
                   train_fraction=0.2, recipe=Recipe(epochs=1, min_steps=0, width=16))
(run,) = runs.carry_out([config], results=Path("results"), progress=False).runs
print(round(run.metrics["probe_map"], 3))
"""


def test_a_loss_is_added_as_its_page_says(copy: Path) -> None:
    (source,) = blocks("add-a-loss.md", "python")
    (line,) = blocks("add-a-loss.md", "text")
    (copy / "mlcl_utils" / "losses" / "my_loss.py").write_text(source)
    register(
        copy / "mlcl_utils" / "losses" / "__init__.py", "_CLASSES = {  # name: module.class", line.rstrip()
    )
    value = run(
        copy,
        "-c",
        "import torch\nfrom mlcl_utils import losses\n"
        "criterion = losses.create('my_loss', margin=2.0)\n"
        "print(float(criterion(torch.tensor([[1, 0]]), logits=torch.tensor([[0.5, 0.5]]))))",
    )
    assert float(value) == 1.5 + 2.5
    assert 0 < float(run(copy, "-c", CARRY_OUT.format(dataset="debtags", loss="my_loss"))) < 1


def test_a_data_set_is_added_as_its_page_says(copy: Path) -> None:
    (source,) = blocks("add-a-data-set.md", "python")
    (line,) = blocks("add-a-data-set.md", "text")
    (copy / "data_scripts" / "toy.py").write_text(source)
    run(copy, "-m", "data_scripts.toy", "mlcl_utils/data/embedded/toy")
    registry = copy / "mlcl_utils" / "data" / "registry.py"
    registry.write_text(registry.read_text().replace("_NAMES = (", f"_NAMES = (\n{line.rstrip()}\n", 1))
    assert "600" in run(copy, "-c", "from mlcl_utils import data; print(len(data.load('toy').ids))")
    assert 0 < float(run(copy, "-c", CARRY_OUT.format(dataset="toy", loss="bce"))) <= 1


PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "THIRD_PARTY.md",
    *(path.relative_to(CHECKOUT).as_posix() for path in sorted((CHECKOUT / "docs").glob("*.md"))),
    *(path.relative_to(CHECKOUT).as_posix() for path in sorted((CHECKOUT / "notebooks").glob("*.ipynb"))),
]


def prose(path: Path) -> str:
    """The Markdown of a page or of a notebook, without code."""
    text = path.read_text()
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def places(text: str) -> set[str]:
    """The anchors that headings get on GitHub and in the site."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_between_files_lead_somewhere(page: str) -> None:
    path = CHECKOUT / page
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(path))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, place = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert "_generated" not in target.parts, f"{link} is there in the built site alone"
        assert target.is_relative_to(CHECKOUT), link
        if place:
            assert place in places(prose(target)), link


def test_links_of_the_site_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("links", CHECKOUT / "docs" / "links.py")
    assert spec is not None
    assert spec.loader is not None
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)
    (tmp_path / "deep").mkdir()
    (tmp_path / "picture.png").touch()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">a</h1><a href="#top">b</a><a href="deep/page.html#here">c</a><img src="picture.png">'
        '<a href="https://example.org/none">d</a><a href="#">e</a><script src="picture.png?v=1"></script>'
    )
    (tmp_path / "deep" / "page.html").write_text(
        '<p id="here"><a href="../index.html#top">a</a><a href="../none.html">b</a>'
        '<a href="#there">c</a><a href="../index.html#bottom">d</a><img src="none.png">'
    )
    assert links.broken(tmp_path) == [
        f"deep/page.html: {link}" for link in ("../none.html", "#there", "../index.html#bottom", "none.png")
    ]
