"""What studies have left in a folder of results, read without trust: anything may be missing, old or damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlcl_utils import data, studies
from mlcl_utils.errors import DataError, UsageError
from mlcl_utils.studies import sentences
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.manifest import MANIFEST, file_digest, package_versions

PRESETS = ("paper", "standard", "quick", "smoke")
"""The presets, the most telling first."""

NOTEBOOK, PAGE, RUNS = "notebook.ipynb", "notebook.html", "runs.csv"

_FOLDER = re.compile(rf"(?P<preset>{'|'.join(PRESETS)})(-[0-9a-f]{{8}})?")
_OWN = "mlcl-studies"

# What the pages read from a manifest, with the type that it has.
_FIELDS: dict[str, type] = {
    "study": str,
    "version": int,
    "preset": str,
    "parameters": dict,
    "commit": str,
    "python": str,
    "platform": str,
    "packages": dict,
    "device": str,
    "seeds": list,
    "data": dict,
    "finished": str,
    "time_wall": float,
    "compute": dict,
    "files": dict,
}


@dataclass(frozen=True)
class Item:
    """A figure or a table with all its files.

    Attributes:
        name: of the files, without endings.
        files: paths relative to the results' folder, sorted; CSVs last, of which there may be several.
    """

    name: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name as words."""
        return self.name.replace("_", " ").capitalize()

    def get(self, ending: str) -> str | None:
        """Its file of an ending, if there is one."""
        return next((file for file in self.files if file.endswith(f".{ending}")), None)


@dataclass(frozen=True)
class Results:
    """One results folder of a study, ``<results>/<study>/<preset>`` or ``<preset>-<8 hex>``.

    Attributes:
        study: name of the study.
        folder: where the results lie.
    """

    study: str
    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder: the preset, with a hash where parameters differ from it."""
        return self.folder.name

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Order among the results of a study: complete ones first, then by preset, then as the preset is."""
        return self.state != "complete", PRESETS.index(self.name.partition("-")[0]), self.name

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The fields of the manifest that are of their type; empty if there is no manifest."""
        stored = _read_json(self.folder / MANIFEST)
        return {
            name: stored[name]
            for name, kind in _FIELDS.items()
            if isinstance(stored.get(name), (int, float) if kind is float else kind)
        }

    @property
    def compute(self) -> dict[str, float]:
        """What the results have cost, as far as the manifest says: ``runs``, ``failed``, ``existed``, ``seconds``."""
        stored = self.manifest.get("compute", {})
        return {name: value for name, value in stored.items() if isinstance(value, (int, float))}

    @cached_property
    def state(self) -> str:
        """``complete``; ``failed``, ``interrupted`` or another word of the notebook's; ``unfinished``; ``empty``."""
        if self.manifest:
            return "complete"
        if self._stopped:
            return self._stopped[0]
        return "unfinished" if any(_files(self.folder)) else "empty"

    @cached_property
    def reason(self) -> str:
        """Why the results are not complete; empty if they are."""
        if self.state == "complete":
            return ""
        if self._stopped:
            return self._stopped[1]
        if self.state == "empty":
            return "The folder is empty: the study has left nothing."
        if (self.folder / MANIFEST).exists():
            return f"'{MANIFEST}' is damaged, so that nothing vouches for these results."
        return (
            f"There is no '{MANIFEST}': the study is still running, or it ended without a word."
            " What is here may come from different executions."
        )

    @cached_property
    def _stopped(self) -> tuple[str, str] | None:
        """Status and reason that an execution has left in the notebook it did not complete."""
        noted = self._notebook.get("metadata", {}).get("mlcl", {})
        if not isinstance(noted, Mapping) or not isinstance(noted.get("status"), str):
            return None
        return noted["status"], str(noted.get("reason", ""))

    @cached_property
    def _notebook(self) -> Mapping[str, Any]:
        stored = _read_json(self.folder / NOTEBOOK)
        whole = isinstance(stored.get("cells"), list) and isinstance(stored.get("metadata", {}), Mapping)
        return stored if whole else {}

    @cached_property
    def title(self) -> str:
        """The title of the study as its notebook states it; its name if it does not."""
        return self._text(r"^# +(.+)") or self.study

    @cached_property
    def question(self) -> str:
        """The question as the notebook states it; empty if it does not."""
        return self._text(r"^\*\*Question\.\*\* +((?:.+\n?)+)")

    def _text(self, pattern: str) -> str:
        for cell in self._notebook.get("cells", []):
            if isinstance(cell, Mapping) and cell.get("cell_type") == "markdown":
                source = "".join(map(str, cell.get("source") or ""))
                match = re.search(pattern, source, re.MULTILINE)
                if match:
                    return " ".join(match[1].split())
        return ""

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader of complete results should know: what the manifest lacks, and what is another by now."""
        if self.state != "complete":
            return []
        found = []
        lacking = [name for name in _FIELDS if name not in self.manifest]
        if lacking:
            found.append(f"The manifest is of an older version or damaged; it lacks {', '.join(lacking)}.")
        if self.study not in studies.names():
            found.append("There is no study of this name in this version.")
        else:
            found += self._differing(studies.get(self.study))
        made_with = self.manifest.get("packages", {}).get(_OWN)
        if made_with is not None and made_with != package_versions()[_OWN]:
            found.append(f"Made with {_OWN} {made_with}; this is {package_versions()[_OWN]}.")
        if self.has(NOTEBOOK) and NOTEBOOK not in self.manifest.get("files", {}):
            found.append("The notebook here may be of another execution: the manifest does not list it.")
        gone = [name for name in self.manifest.get("files", {}) if not (self.folder / name).is_file()]
        if gone:
            found.append(f"Files that the manifest lists are gone: {', '.join(gone)}.")
        changed = [
            name for name, digest in self.manifest.get("files", {}).items() if self._changed(name, digest)
        ]
        if changed:
            found.append(f"Files have changed since: {', '.join(changed)}.")
        return found

    def _changed(self, name: str, digest: Any) -> bool:
        path = self.folder / name
        return path.is_file() and file_digest(path) != digest

    def _differing(self, study: Study) -> list[str]:
        found = []
        version = self.manifest.get("version", study.version)
        if version != study.version:
            found.append(f"Made by version {version} of the study; this is version {study.version}.")
        for name, stored in self.manifest.get("data", {}).items():
            try:
                current = data.version(name)
            except UsageError:
                continue  # a user's own, or not on this machine
            if stored != current:
                found.append(f"The data set {name} was version {stored}; it is {current} now.")
        return found

    @cached_property
    def of_present_sources(self) -> bool | None:
        """Whether the same study would run today; None if that cannot be told."""
        digest = _read_json(self.folder / MANIFEST).get("digest")
        if (
            self.study not in studies.names()
            or not {"preset", "parameters"} <= set(self.manifest)
            or not digest
        ):
            return None
        try:
            study = studies.get(self.study)
            stored = self.manifest["parameters"]
            given = {**stored, "preset": self.manifest["preset"], "results": self.folder.parents[1]}
            parameters = study.resolve(given)
            known = set(parameters.that_matter()) == set(stored)
            return study.digest(parameters) == digest if known else None
        except UsageError:  # parameters that it no longer takes, or data that are not here
            return None

    @cached_property
    def figures(self) -> list[Item]:
        """The figures, in the order in which the study drew them."""
        return [item for item in self._items("figures") if item.get("svg") or item.get("png")]

    @cached_property
    def finding(self) -> sentences.Finding | None:
        """What the study has found; None where its tables do not say."""
        if self.state != "complete" or self.study not in studies.names():
            return None
        try:
            return sentences.finding(studies.get(self.study), self.folder)
        except DataError:  # tables of a version that did not have them
            return None

    @property
    def key_figure(self) -> Item | None:
        """The figure that shows the finding, else the first; None if there is none."""
        named = [
            item for item in self.figures if self.finding is not None and item.name == self.finding.figure
        ]
        return next(iter([*named, *self.figures]), None)

    @cached_property
    def tables(self) -> list[Item]:
        """The tables, in the order in which the study wrote them."""
        return [item for item in self._items("tables") if item.get("csv")]

    def _items(self, kind: str) -> list[Item]:
        order = {name: at for at, name in enumerate(self.manifest.get("files", {}))}
        found: dict[str, list[str]] = {}
        names = [f"{kind}/{path.name}" for path in _files(self.folder / kind)]
        for name in sorted(names, key=lambda name: (order.get(name, len(order)), name)):
            found.setdefault(Path(name).name.partition(".")[0], []).append(name)
        return [
            Item(name, tuple(sorted(files, key=lambda file: (file.endswith(".csv"), file))))
            for name, files in found.items()
        ]

    def has(self, name: str) -> bool:
        """Whether the folder has a file of this name, and not an empty one."""
        path = self.folder / name
        return path.is_file() and path.stat().st_size > 0


def find(results: Path) -> list[Results]:
    """All results folders below a folder: those of registered studies in their order, then others by name.

    Within a study complete results come first, then those of the more telling preset.

    Args:
        results: the folder that ``mlcl run --results`` names.
    """
    known = studies.names()
    found = [
        Results(study.name, folder)
        for study in _folders(results)
        for folder in _folders(study)
        if _FOLDER.fullmatch(folder.name)
    ]
    return sorted(
        found,
        key=lambda each: (
            known.index(each.study) if each.study in known else len(known),
            each.study,
            each.rank,
        ),
    )


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return iter(())
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object; an empty one if there is no file or it holds something else."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
