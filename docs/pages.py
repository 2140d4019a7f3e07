"""The pages that are made when the site is built: a page a study, the data cards, the reference."""

from __future__ import annotations

import json
import pkgutil
import shutil
from pathlib import Path

from readme import LEDGER, ledger, results_of

import mlcl_utils
from mlcl_utils import data, studies
from mlcl_utils.data.registry import folder
from mlcl_utils.markup import markdown
from mlcl_utils.studies import sentences
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.sentences import bold

PACKAGES = (
    "data", "losses", "metrics", "features", "models", "training", "estimator", "stats", "runs", "figures",
    "search", "studies", "batch", "report",
)  # fmt: skip
"""The packages of the reference, in the order in which data flow through them."""


def write(place: Path) -> None:
    """Write all of them into a folder, which is emptied first."""
    shutil.rmtree(place, ignore_errors=True)
    for name, text in {**_studies(place), **_cards(place), **_reference()}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _studies(place: Path) -> dict[str, str]:
    names = studies.names()
    index = "# The studies\n\n" + "\n".join(
        f"- [{markdown(studies.get(name).title)}](studies/{name}.md): {markdown(studies.get(name).question)}"
        for name in names
    )
    toc = "\n".join(f"studies/{name}" for name in names)
    pages = {"studies.md": f"{index}\n\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"}
    return pages | {f"studies/{name}.md": _study(studies.get(name), place) for name in names}


def _study(study: Study, place: Path) -> str:
    """Question and idea as the notebook has them, what the published results show, parameters and presets."""
    cells = json.loads(study.notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    idea = next((text for text in texts if text.startswith("## Idea")), "")
    limits = next((text for text in texts if text.startswith("## Limits")), "")
    parts = [
        f"# {markdown(study.title)}",
        f"**{markdown(study.question)}**",
        idea,
        *_results(study, place),
        limits,
    ]
    parts += [
        "## Parameters",
        f"`mlcl run {study.name} -p name=value`; the notebook is `notebooks/{study.name}.ipynb`.",
        _table(
            ("parameter", "meaning"),
            [
                (f"`{name}`", markdown(info.description or ""))
                for name, info in study.Parameters.model_fields.items()
            ],
        ),
    ]
    if any(study.presets.values()):
        names = list(dict.fromkeys(name for preset in study.presets.values() for name in preset))
        parts += [
            "## Presets",
            _table(
                ("parameter", *study.presets),
                [
                    (f"`{name}`", *(markdown(_value(preset.get(name))) for preset in study.presets.values()))
                    for name in names
                ],
            ),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _results(study: Study, place: Path) -> list[str]:
    """What the published results have found, and their figures, if there are any."""
    folder = results_of(study)
    if folder is None:
        return []
    target = place / "studies" / "figures" / study.name
    target.mkdir(parents=True, exist_ok=True)
    found = sentences.finding(study, folder)
    parts = ["## Results at the preset standard"]
    parts += [bold(line) for line in found.lines] if found else []
    if study.name == LEDGER:
        parts.append(ledger(folder))
    figures = [path.stem for path in sorted((folder / "figures").glob("*.png"))]
    for name in sorted(figures, key=lambda name: found is None or name != found.figure):
        shutil.copyfile(folder / "figures" / f"{name}.png", target / f"{name}.png")
        words = name.replace("_", " ")
        parts.append(f"![{words}](figures/{study.name}/{name}.png)\n\n*{words.capitalize()}*")
    return parts


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cards(place: Path) -> dict[str, str]:
    """The data cards, with the pictures that they show."""
    pages = {}
    for name in data.names():
        card = (folder(name) / "card.md").read_text(encoding="utf-8")
        for picture in folder(name).glob("*.webp"):
            (place / "cards").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, place / "cards" / f"{name}-{picture.name}")
            card = card.replace(f"({picture.name})", f"({name}-{picture.name})")
        pages[f"cards/{name}.md"] = card
    toc = "\n".join(f"cards/{name}" for name in data.names())
    pages["data-cards.md"] = f"# Data cards\n\n```{{toctree}}\n:maxdepth: 1\n\n{toc}\n```\n"
    return pages


def _reference() -> dict[str, str]:
    """One page a package, with everything public in it and in its modules."""
    toc = "\n".join(f"reference/{name}" for name in PACKAGES)
    pages = {"reference.md": f"# Reference\n\n```{{toctree}}\n:maxdepth: 2\n\n{toc}\n```\n"}
    for name in PACKAGES:
        package = f"{mlcl_utils.__name__}.{name}"
        path = str(Path(mlcl_utils.__file__).parent / name)
        modules = [
            f"{package}.{module.name}"
            for module in pkgutil.iter_modules([path])
            if not module.name.startswith("_")
        ]
        blocks = [f"## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```" for module in modules]
        top = f"# {package}\n\n```{{eval-rst}}\n.. automodule:: {package}\n   :no-members:\n```"
        pages[f"reference/{name}.md"] = "\n\n".join([top, *blocks]) + "\n"
    return pages
