"""What every study has: parameters, presets, a results folder and a manifest that vouches for it.

A study is one notebook with one question. Its module defines a `Study`; its notebook starts with
`mlcl_utils.studies.start`, which turns what it was given into typed parameters, and ends with
`Execution.finish`, which writes ``manifest.json``.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError

from mlcl_utils import data, markup
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.files import State, state
from mlcl_utils.paths import CHECKOUT, shown
from mlcl_utils.studies import published
from mlcl_utils.studies.manifest import (
    MANIFEST,
    commit,
    file_digest,
    hash_json,
    notebook_digest,
    package_digest,
    package_versions,
    processor,
    vouches,
    write_manifest,
)
from mlcl_utils.studies.parameters import StudyParameters, describe, in_notebook, not_given, refusal
from mlcl_utils.studies.values import (
    Count,
    Counts,
    Datasets,
    Encoder,
    Encoders,
    Families,
    Fraction,
    Fractions,
    Losses,
    Natural,
    Positive,
    as_settings,
    writable_results,
)

if TYPE_CHECKING:
    from mlcl_utils.runs import RunConfig

# What a study's module and its notebook need, types of parameters included.
__all__ = [
    "Count",
    "Counts",
    "Datasets",
    "Encoder",
    "Encoders",
    "Execution",
    "Families",
    "Fraction",
    "Fractions",
    "Losses",
    "Natural",
    "Positive",
    "Study",
    "StudyParameters",
    "begin",
]

DEFAULT_PRESET = "quick"


@dataclass(frozen=True)
class Study:
    """One study: its notebook, the parameters it takes and the runs it asks for.

    Attributes:
        name: name of the notebook without its ending, such as ``"02_label_space"``.
        title: the notebook's title.
        question: the one question it asks.
        Parameters: the class of its parameters.
        presets: preset name -> value of every parameter that has no default.
        grid: the runs that it asks for at given parameters.
        figures: the module with its figures, see :mod:`mlcl_utils.studies.drawing`; empty for none.
        finding: the module with its key figure and its finding, see :mod:`mlcl_utils.studies.findings`; empty for none.
        inputs: the files that it reads besides data and runs, at given parameters.
        deviations: what the preset ``paper`` does otherwise than the sources, one sentence each; printed with it.
        last: whether it reads the results of other studies, and so begins when all others have ended.
        version: raised when the study's results change for a reason that no source shows.
    """

    name: str
    title: str
    question: str
    Parameters: type[StudyParameters]
    presets: Mapping[str, Mapping[str, Any]]
    grid: Callable[[Any], list[RunConfig]]
    figures: str = ""
    finding: str = ""
    inputs: Callable[[Any], Sequence[Path]] = lambda parameters: ()
    deviations: Sequence[str] = ()
    last: bool = False
    version: int = 1

    @property
    def notebook(self) -> Path:
        """The notebook's path, whatever the working directory."""
        return CHECKOUT / "notebooks" / f"{self.name}.ipynb"

    def resolve(self, given: Mapping[str, Any]) -> StudyParameters:
        """Typed parameters from what a user gave, the rest from the preset.

        Args:
            given: parameter name -> value; strings as a command line or papermill passes them (``"[10,30]"``,
                ``"0.1"``, ``"bce,reg"``) are turned into their types, None means not given.

        Raises:
            UsageError: an unknown name, a wrong type or an impossible value; one line that names the word.
        """
        given = {name: value for name, value in given.items() if not not_given(value)}
        for name in given:
            if name not in self.Parameters.model_fields:
                raise unknown("parameter", name, self.Parameters.model_fields)
        preset = given.get("preset", DEFAULT_PRESET)
        if not isinstance(preset, str) or preset not in self.presets:
            raise unknown("preset", str(preset), self.presets)
        values = {**self.presets[preset], "preset": preset, **given}
        try:
            if "recipe" in given and "recipe" in self.presets[preset]:
                settings = as_settings(given["recipe"])
                if isinstance(settings, Mapping):  # anything else is refused as it is
                    values["recipe"] = {**self.presets[preset]["recipe"], **settings}
            return self.Parameters.model_validate(values)
        except ValidationError as error:
            raise refusal(error, self.Parameters) from None
        except ValueError as error:
            raise UsageError(f"parameter 'recipe': {given['recipe']!r} {error}") from None

    def runs(self, parameters: StudyParameters) -> list[RunConfig]:
        """The runs that it asks for, with given settings of training, and values of a loss, in place of defaults."""
        given = {(each.loss, each.encoder): each.values for each in parameters.config}
        return [
            config.with_values({**parameters.recipe, **given.get((config.loss, config.encoder), {})})
            if config.recipe is not None and config.recipe.epochs and config.stop is None
            else config  # a baseline without training; or a trial, whose values its study has drawn
            for config in self.grid(parameters)
        ]

    def folder(self, parameters: StudyParameters) -> Path:
        """Where the results go: ``<results>/<study>/<preset>``.

        Where parameters differ from the preset, or sets are a user's own, a hyphen follows and 8 hex digits, a hash
        of the values that differ and of the versions of those sets: no results overwrite those of other parameters,
        nor those of another set of the same name.
        """
        usual = self._usual(parameters.preset)
        differing = {name: value for name, value in parameters.that_matter().items() if value != usual[name]}
        # By content, not by data_root: a set that is moved keeps its results.
        own = {
            name: data.version(name, parameters.data_root)
            for name in parameters.datasets
            if name not in data.names()
        }
        if own:
            differing["data"] = own
        suffix = f"-{hash_json(differing)[:8]}" if differing else ""
        return parameters.results / self.name / f"{parameters.preset}{suffix}"

    def _usual(self, preset: str) -> dict[str, Any]:
        """The preset's own values as JSON types, whether or not its data sets are here."""
        fields = self.Parameters.model_fields
        values: dict[str, Any] = {}
        for name, value in self.presets[preset].items():
            kind: Any = fields[name].annotation
            for each in fields[name].metadata:
                kind = Annotated[kind, each]
            values[name] = TypeAdapter(kind).validate_python(value)
        return self.Parameters.model_construct(None, **values, preset=preset).that_matter()

    def digest(self, parameters: StudyParameters) -> str:
        """A hash of all that the results depend on: notebook, package sources, data, claims, inputs and parameters.

        Outputs that are stored in the notebook do not count, nor do sources that no result depends on: of the command
        line, the batch and the report, and of what checks results or puts them into a sentence.
        """
        return hash_json(
            {
                "study": [self.name, self.version],
                "parameters": {"preset": parameters.preset, **parameters.that_matter()},
                "notebook": notebook_digest(self.notebook),
                "sources": package_digest(),
                "data": {name: data.version(name, parameters.data_root) for name in parameters.datasets},
                "encoders": parameters.encoder_identities,
                "claims": published.digest() if published.of(self.name) else "",
                "inputs": [file_digest(path) if path.is_file() else None for path in self.inputs(parameters)],
            }
        )

    def up_to_date(self, parameters: StudyParameters) -> bool:
        """Whether the results folder holds an executed notebook and all its results, of the same digest."""
        return vouches(self.folder(parameters), self.digest(parameters))


@dataclass
class Execution:
    """One execution of a study's notebook, from its first cell to its last.

    Attributes:
        study: the study.
        parameters: its resolved parameters.
        folder: where its results go.
    """

    study: Study
    parameters: StudyParameters
    folder: Path
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Of a clock that nobody sets, unlike the other, which says what time it is.
    _begun: float = field(default_factory=time.perf_counter)
    # What an earlier execution has left, as the file system knows it: its clock may be another than this machine's.
    _before: dict[Path, State] = field(init=False)

    def __post_init__(self) -> None:
        self._before = {path: state(path) for path in _files(self.folder)}

    def finish(self, *, device: str, seeds: Sequence[int], compute: Mapping[str, float]) -> Path:
        """Write the manifest of what this execution has left in its folder.

        Args:
            device: what was trained on, such as ``"cpu"`` or the name of a GPU.
            seeds: the seeds of the replicates.
            compute: totals over the runs that the results stand on, failures included, such as
                ``{"runs": 40, "failed": 1, "seconds": 81.5}``.

        Figures and tables that were there at the start and have not been written since are removed.

        Returns:
            The path of the manifest. It lists name and SHA-256 of every file written since the start, in the order
            in which they were written.
        """
        finished, seconds = datetime.now(UTC), time.perf_counter() - self._begun
        new = []
        for path in _files(self.folder):
            if self._before.get(path) != state(path):
                new.append(path)
            elif path.parent.name in ("figures", "tables"):
                path.unlink()  # it would pass for one of this execution
        written = {
            path.relative_to(self.folder).as_posix(): file_digest(path)
            for path in sorted(new, key=lambda path: (path.stat().st_mtime_ns, path))
        }
        for name in (MANIFEST, "notebook.ipynb", "notebook.html"):
            written.pop(name, None)
        return write_manifest(
            self.folder,
            {
                "study": self.study.name,
                "version": self.study.version,
                "preset": self.parameters.preset,
                "parameters": self.parameters.that_matter(),
                "commit": commit(),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "packages": package_versions(),
                "processor": processor(),
                "device": device,
                "cpu_count": os.cpu_count(),
                "seeds": list(seeds),
                "data": {
                    name: data.version(name, self.parameters.data_root) for name in self.parameters.datasets
                },
                "started": self._started.isoformat(timespec="seconds"),
                "finished": finished.isoformat(timespec="seconds"),
                "time_wall": round(seconds, 3),
                "compute": dict(compute),
                "files": written,
            },
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def begin(
    study: Study, given: Mapping[str, Any], namespace: Mapping[str, Any] = MappingProxyType({})
) -> Execution:
    """Resolve the parameters of a study, print them and open its results folder.

    The manifest of an earlier execution is removed: it would vouch for files that are now being replaced.

    Args:
        study: the study.
        given: its parameters.
        namespace: the global names of its notebook, which are asked for those not given.

    Raises:
        UsageError: as `Study.resolve`, or as :func:`mlcl_utils.studies.parameters.in_notebook`; or results cannot be
            written there.
    """
    given = {**in_notebook(study.name, study.Parameters, namespace), **given}
    import matplotlib  # in a notebook, unlike on the command line, they are wanted anyway
    import pandas

    matplotlib.rcdefaults()  # a figure is shown as it is saved, whatever a user's own settings
    pandas.set_option("display.max_colwidth", None)  # tables show their texts whole
    pandas.set_option("display.html.use_mathjax", False)  # and a dollar sign in a name as it is
    parameters = study.resolve(given)
    writable_results(parameters.results)
    folder = study.folder(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    print(f"{study.name}: {study.title}")
    print(describe(parameters, given))
    for name in parameters.datasets:
        data.keep(name, parameters.data_root)  # for the processes that train
        for note in parameters.dataset(name).notes:
            print(markup.terminal(f"  {name}: {note}"))
    if parameters.preset == "paper":
        for deviation in study.deviations:
            print(f"  deviation from the source: {deviation}")
    print(markup.terminal(f"  results in {shown(folder)}"), flush=True)
    return Execution(study, parameters, folder)
