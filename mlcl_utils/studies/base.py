"""What every study has: a question, parameters, presets, runs and a results folder.

A study is one notebook with one question. Its package defines a `Study`, its ``measures`` what is measured, its
``views`` the tables and figures; its notebook starts with `mlcl_utils.studies.start`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError

from mlcl_utils import data
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import published
from mlcl_utils.studies.manifest import file_digest, hash_json, notebook_digest, package_digest, vouches
from mlcl_utils.studies.parameters import StudyParameters, not_given, refusal
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
    "Families",
    "Fraction",
    "Fractions",
    "Losses",
    "Natural",
    "Positive",
    "Study",
    "StudyParameters",
]

DEFAULT_PRESET = "quick"


def _seeds(config: RunConfig, count: int) -> list[RunConfig]:
    if config.is_baseline and config.loss not in _DRAWN:
        return [config]
    return [replace(config, seed=config.seed + 10 * number) for number in range(count)]


_DRAWN = ("random_encoder", "shuffled_labels")
"""Baselines that depend on the seed."""


@dataclass(frozen=True)
class Study:
    """One study: its notebook, the parameters it takes and the runs it asks for.

    Its package has two more modules, which are imported when they are used: ``measures``, with ``MEASURES``
    (:class:`mlcl_utils.studies.execution.Measures`), and ``views``, with ``FIGURES``
    (:mod:`mlcl_utils.studies.figures`).

    Attributes:
        name: name of the notebook without its ending, such as ``"02_label_space"``.
        title: the notebook's title.
        question: the one question it asks.
        Parameters: the class of its parameters.
        presets: preset name -> value of every parameter that has no default.
        grid: the runs that it asks for at given parameters.
        figure: name of the key figure.
        headline: the claims that the headline is about; empty for all of the study's.
        inputs: the files that it reads besides data and runs, at given parameters.
        deviations: what the preset ``paper`` does otherwise than the papers, one sentence each; printed with it.
        last: whether it reads the results of other studies, and so begins when all others have ended.
        version: raised when the study's results change for a reason that no source shows.
    """

    name: str
    title: str
    question: str
    Parameters: type[StudyParameters]
    presets: Mapping[str, Mapping[str, Any]]
    grid: Callable[[Any], list[RunConfig]]
    figure: str = ""
    headline: Sequence[str] = ()
    inputs: Callable[[Any], Sequence[Path]] = lambda parameters: ()
    deviations: Sequence[str] = ()
    last: bool = False
    version: int = 1

    @property
    def notebook(self) -> Path:
        """The notebook's path, whatever the working directory."""
        return CHECKOUT / "notebooks" / f"{self.name}.ipynb"

    def part(self, name: str) -> ModuleType:
        """A module of the study's package: ``measures`` or ``views``."""
        return importlib.import_module(f"{self.Parameters.__module__}.{name}")

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
        """The runs that it asks for, with given settings of training, and values of a loss, in place of defaults.

        Training s on split r has the seed of the first plus 10 s, so that no two of a study share one; a baseline that
        draws nothing is run once.
        """
        given = {(each.loss, each.encoder): each.values for each in parameters.config}
        configs = self.grid(parameters)
        if parameters.seeds > 1:
            configs = [each for config in configs for each in _seeds(config, parameters.seeds)]
        return [
            config.with_values({**parameters.recipe, **given.get((config.loss, config.encoder), {})})
            if config.recipe is not None and config.recipe.epochs and config.stop is None
            else config  # a baseline without training; or a trial, whose values its study has drawn
            for config in configs
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
                "claims": published.digest(self.name) if published.of(self.name) else "",
                "inputs": [file_digest(path) if path.is_file() else None for path in self.inputs(parameters)],
            }
        )

    def up_to_date(self, parameters: StudyParameters) -> bool:
        """Whether the results folder holds an executed notebook and all its results, of the same digest."""
        return vouches(self.folder(parameters), self.digest(parameters))
