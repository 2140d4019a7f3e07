"""What every study has: typed parameters, presets, a results folder and a manifest that vouches for it.

A study is one notebook with one question. Its module defines a `Study`; its notebook starts with
`mlcl_utils.studies.start`, which turns what it was given into typed parameters, and ends with
`Execution.finish`, which writes ``manifest.json``.
Nothing here imports torch or pandas: parameters are checked before anything heavy is loaded.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mlcl_utils.errors import UsageError, unknown

if TYPE_CHECKING:
    from mlcl_utils.runs import RunConfig

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds ``notebooks/`` and ``results/``; relative paths are taken from here."""

MANIFEST = "manifest.json"
DEFAULT_PRESET = "quick"

# Say where and how a study is computed, not what: they change neither the results folder nor the digest.
_INCIDENTAL = frozenset({"preset", "results", "data_root", "workers", "engine"})

# Sources that no result depends on: they start notebooks and print.
_FRONT_END = ("batch.py", "cli.py")


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in {"true", "false"}):
        raise ValueError("should be a number")
    return value


def _as_list(value: Any) -> Any:
    """A list from what a shell or papermill passes: ``[10,30]``, ``bce,reg``, ``['bce']``, one bare value."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                parsed = ast.literal_eval(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                # A shell has eaten the quotes: [bce,reg].
                if not text.endswith("]"):
                    raise ValueError(
                        "should be a list such as [a,b]: the closing bracket is missing"
                    ) from None
                text = text[1:-1]
            else:
                if not isinstance(parsed, list):
                    raise ValueError("should be a list such as [a,b]")
                return tuple(parsed)
        return tuple(word.strip().strip("'\"") for word in text.split(",")) if text else ()
    if isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(value, int | float):
        return (value,)
    raise ValueError("should be a list such as [a,b]")


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("should name at least one")
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"names {value!r} twice")
    return values


def _known_datasets(names: tuple[str, ...]) -> tuple[str, ...]:
    from mlcl_utils import data

    return _known("data set", names, data.names())


def _known_losses(names: tuple[str, ...]) -> tuple[str, ...]:
    from mlcl_utils import losses

    return _known("loss", names, losses.names())


def _known(kind: str, given: tuple[str, ...], valid: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in valid:
            raise unknown(kind, name, valid)
    return given


def _from_checkout(path: Path) -> Path:
    return CHECKOUT / path.expanduser()


def _results_folder(path: Path) -> Path:
    """The path from the checkout, if results can be written there; it need not exist yet."""
    path = _from_checkout(path)
    existing = next(parent for parent in (path, *path.parents) if os.path.lexists(parent))
    if not existing.is_dir():
        raise UsageError(f"results '{shown(path)}': '{shown(existing)}' is not a folder; name another one")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"results '{shown(path)}': no permission to write in '{shown(existing)}'")
    return path


def _data_folder(path: Path) -> Path:
    path = _from_checkout(path)
    if not path.is_dir():
        raise UsageError(f"data_root '{shown(path)}' is not a folder; give the one that holds your data sets")
    return path


def _available_device(device: str) -> str:
    if device == "cuda":
        import torch  # Only who asks for a GPU waits for this import.

        if not torch.cuda.is_available():
            raise UsageError("device 'cuda': torch finds no CUDA device on this machine; use 'auto' or 'cpu'")
    return device


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
"""A whole number of at least 1."""
Positive = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""
Fraction = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=1)]
"""A number in (0, 1]."""
Counts = Annotated[tuple[Count, ...], BeforeValidator(_as_list), AfterValidator(_distinct)]
"""One or more different `Count`."""
Fractions = Annotated[tuple[Fraction, ...], BeforeValidator(_as_list), AfterValidator(_distinct)]
"""One or more different `Fraction`."""
Datasets = Annotated[
    tuple[str, ...], BeforeValidator(_as_list), AfterValidator(_distinct), AfterValidator(_known_datasets)
]
"""Names of registered data sets."""
Losses = Annotated[
    tuple[str, ...], BeforeValidator(_as_list), AfterValidator(_distinct), AfterValidator(_known_losses)
]
"""Names of registered losses."""


class StudyParameters(BaseModel):
    """The parameters that every study has, resolved: whatever was not given has the preset's value.

    A study adds its own in a subclass. `Study.resolve` makes one from what a user gave.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["smoke", "quick", "standard", "paper"] = Field(
        description="values of all that is not given"
    )
    datasets: Datasets = Field(description="data sets, by name")
    losses: Losses = Field(description="losses to compare, by name")
    replicates: Count = Field(description="number of replicates; replicate r uses split r and seed r")
    epochs: Count = Field(description="passes over the training part")
    device: Annotated[Literal["auto", "cpu", "cuda"], AfterValidator(_available_device)] = Field(
        default="auto", description="where to train; auto takes a GPU if there is one"
    )
    workers: Count | None = Field(
        default=None, description="processes that train; not given: by cores and GPUs"
    )
    engine: Literal["local"] = Field(default="local", description="what carries out the runs")
    results: Annotated[Path, AfterValidator(_results_folder)] = Field(
        default=Path("results"), validate_default=True, description="folder that results are written to"
    )
    data_root: Annotated[Path, AfterValidator(_data_folder)] | None = Field(
        default=None, description="folder of data sets that do not ship with the repository"
    )
    seed: Annotated[int, BeforeValidator(_no_bool), Field(ge=0)] = Field(
        default=0, description="offset added to the seed of every replicate"
    )

    def that_matter(self) -> dict[str, Any]:
        """The values that results depend on, as JSON types: not where, or by how many processes."""
        return {
            name: value for name, value in self.model_dump(mode="json").items() if name not in _INCIDENTAL
        }


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
        version: raised when the study's results change for a reason that no source shows.
    """

    name: str
    title: str
    question: str
    Parameters: type[StudyParameters]
    presets: Mapping[str, Mapping[str, Any]]
    grid: Callable[[Any], list[RunConfig]]
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
        given = {name: value for name, value in given.items() if not _not_given(value)}
        for name in given:
            if name not in self.Parameters.model_fields:
                raise unknown("parameter", name, self.Parameters.model_fields)
        preset = given.get("preset", DEFAULT_PRESET)
        if preset not in self.presets:
            raise unknown("preset", str(preset), self.presets)
        try:
            return self.Parameters.model_validate({**self.presets[preset], "preset": preset, **given})
        except ValidationError as error:
            raise _refusal(error, self.Parameters) from None

    def folder(self, parameters: StudyParameters) -> Path:
        """Where the results go: ``<results>/<study>/<preset>``.

        Where parameters differ from the preset, a hyphen follows and 8 hex digits, a hash of the values that
        differ: no results overwrite those of other parameters.
        """
        usual = self.resolve({"preset": parameters.preset, "results": parameters.results}).that_matter()
        differing = {name: value for name, value in parameters.that_matter().items() if value != usual[name]}
        suffix = f"-{_hash_json(differing)[:8]}" if differing else ""
        return parameters.results / self.name / f"{parameters.preset}{suffix}"

    def digest(self, parameters: StudyParameters) -> str:
        """A hash of all that the results depend on: notebook, package sources, data and parameters.

        Outputs that are stored in the notebook do not count, nor do the sources of the command line.
        """
        from mlcl_utils import data

        return _hash_json(
            {
                "study": [self.name, self.version],
                "parameters": {"preset": parameters.preset, **parameters.that_matter()},
                "notebook": notebook_digest(self.notebook),
                "sources": package_digest(),
                "data": {name: data.version(name) for name in parameters.datasets},
            }
        )

    def up_to_date(self, parameters: StudyParameters) -> bool:
        """Whether the results folder holds an executed notebook and all its results, of the same digest."""
        folder = self.folder(parameters)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files = dict(manifest["files"])
            return (
                manifest.get("digest") == self.digest(parameters)
                and "notebook.ipynb" in files
                and all(file_digest(folder / name) == expected for name, expected in files.items())
            )
        except (OSError, ValueError, KeyError, TypeError):
            # No manifest, a damaged one or a file that is gone: the notebook has to be executed.
            return False


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
    _started: float = field(default_factory=time.time)

    def finish(self, *, device: str, seeds: Sequence[int], compute: Mapping[str, float]) -> Path:
        """Write the manifest of what this execution has left in its folder.

        Args:
            device: what was trained on, such as ``"cpu"`` or the name of a GPU.
            seeds: the seeds of the replicates.
            compute: totals over the runs that the results stand on, failures included, such as
                ``{"runs": 40, "failed": 1, "seconds": 81.5}``.

        Returns:
            The path of the manifest. It lists name and SHA-256 of every file written since the start.
        """
        from mlcl_utils import data

        finished = time.time()
        written = {
            path.relative_to(self.folder).as_posix(): file_digest(path)
            for path in sorted(self.folder.rglob("*"))
            # File times may be coarse, and a file from before the start is not this execution's.
            if path.is_file() and path.stat().st_mtime >= math.floor(self._started)
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
                "device": device,
                "cpu_count": os.cpu_count(),
                "seeds": list(seeds),
                "data": {name: data.version(name) for name in self.parameters.datasets},
                "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
                "finished": datetime.fromtimestamp(finished, UTC).isoformat(timespec="seconds"),
                "time_wall": round(finished - self._started, 3),
                "compute": dict(compute),
                "files": written,
            },
        )


def begin(study: Study, given: Mapping[str, Any]) -> Execution:
    """Resolve the parameters of a study, print them and open its results folder.

    The manifest of an earlier execution is removed: it would vouch for files that are now being replaced.

    Raises:
        UsageError: as `Study.resolve`.
    """
    parameters = study.resolve(given)
    folder = study.folder(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    print(f"{study.name}: {study.title}")
    print(describe(parameters, given))
    print(f"  results in {shown(folder)}", flush=True)
    return Execution(study, parameters, folder)


def describe(parameters: StudyParameters, given: Mapping[str, Any]) -> str:
    """The parameters as aligned lines, with what was given marked."""
    values = parameters.model_dump(mode="json")
    width = max(map(len, values))
    lines = []
    for name, value in values.items():
        text = shown(Path(value)) if name in {"results", "data_root"} and value else _plain(value)
        mark = "" if _not_given(given.get(name)) else "  (given)"
        lines.append(f"  {name:{width}}  {text}{mark}")
    return "\n".join(lines)


def shown(path: Path) -> str:
    """A path as a message shows it: relative to the checkout where it lies in it."""
    return path.relative_to(CHECKOUT).as_posix() if path.is_relative_to(CHECKOUT) else str(path)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def _not_given(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in {"none", "null"})


def _refusal(error: ValidationError, parameters: type[StudyParameters]) -> UsageError:
    """The first thing wrong, as one line that names the parameter and the offending value."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, UsageError):
        return cause
    if first["type"] == "missing":
        return UsageError(f"parameter '{name}' has no value in this preset; give one")
    if first["type"] == "literal_error":
        return unknown(name, str(first["input"]), _choices(parameters.model_fields[name].annotation))
    value = re.sub(r"\s+", " ", repr(first["input"]))
    value = value if len(value) <= 60 else f"{value[:57]}..."
    reason = str(cause) if cause else first["msg"].removeprefix("Input ")
    return UsageError(f"parameter '{name}': {value} {reason}")


def _choices(annotation: Any) -> tuple[str, ...]:
    """The words of the Literal in an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in {Annotated, types.UnionType}:
        return tuple(word for part in get_args(annotation) for word in _choices(part))
    return ()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``manifest.json`` into a folder: whole, or not at all."""
    temporary = folder / f".{MANIFEST}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(folder / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)
    return folder / MANIFEST


def notebook_digest(notebook: Path) -> str:
    """SHA-256 of a notebook's cells without their outputs.

    Raises:
        UsageError: no such notebook, or not a notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return _hash_json([[cell["cell_type"], "".join(cell["source"])] for cell in cells])
    except FileNotFoundError:
        raise UsageError(f"notebook '{shown(notebook)}' is missing; restore it with git checkout") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"'{shown(notebook)}' is not a notebook; restore it with git checkout") from None


def package_digest() -> str:
    """SHA-256 of the package's Python sources that results can depend on."""
    package = Path(__file__).resolve().parents[1]
    sources = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    return _hash_json(
        {name: file_digest(sources[name]) for name in sorted(sources) if name not in _FRONT_END}
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def commit() -> str | None:
    """The commit that is checked out, with ``+changes`` where tracked files differ; None if there is none."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def package_versions() -> dict[str, str]:
    """Installed version of this package and of each that it requires."""
    own = "mlcl-studies"
    required = [line for line in importlib.metadata.requires(own) or [] if "extra ==" not in line]
    names = [own, *(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required)]
    return {name: importlib.metadata.version(name) for name in sorted(names)}
