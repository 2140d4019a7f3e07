"""The parameters of a study: their names, what they mean, and how a wrong one is refused.

Nothing here imports torch or pandas: parameters are checked before anything heavy is loaded.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from mlcl_utils import data, markup, models, processes
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.models.catalogue import STATIC
from mlcl_utils.paths import shown
from mlcl_utils.studies.values import (
    Configurations,
    Count,
    Datasets,
    Losses,
    Seed,
    Settings,
    available_device,
    available_engine,
    data_folder,
    results_folder,
)

if TYPE_CHECKING:
    from mlcl_utils.data import Dataset

# Say where and how a study is computed, not what: they change neither the results folder nor the digest.
_INCIDENTAL = frozenset({"preset", "results", "data_root", "workers", "devices", "engine"})


MOST_TRIALS = 25
"""As many as the smallest space of recipes has, :data:`mlcl_utils.studies.tuning.PRETRAINED_SPACE`."""


class StudyParameters(BaseModel):
    """The parameters that every study has, resolved: whatever was not given has the preset's value.

    A study adds its own in a subclass. `Study.resolve` makes one from what a user gave.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["smoke", "quick", "standard", "paper"] = Field(
        description="gives the value of every parameter that is None"
    )
    datasets: Datasets = Field(
        description="data sets that ship, such as debtags, or your own, by name or path"
    )
    losses: Losses = Field(description="losses to compare, by name")
    replicates: Annotated[Count, Field(le=10)] = Field(
        description="number of splits, at most 10; replicate r uses split r and seed r"
    )
    seeds: Annotated[Count, Field(le=10)] = Field(
        default=1, description="trainings on every split, averaged within it"
    )
    claim_replicates: Annotated[Count, Field(le=10)] | None = Field(
        default=None, description="splits of the arms that a claim compares; not given: those of all"
    )
    claim_seeds: Annotated[Count, Field(le=10)] | None = Field(
        default=None, description="trainings on each of them; not given: those of all"
    )
    epochs: Count = Field(description="passes over the training part")
    trials: Annotated[Count, Field(le=MOST_TRIALS)] = Field(
        description="configurations tried for each loss, task and label count, at most 25; 1 for the defaults"
    )
    config: Configurations = Field(
        default=(), description="files that mlcl search wrote: values in place of a loss's defaults"
    )
    recipe: Settings = Field(
        default_factory=dict,
        description='settings of training in place of the encoder\'s own, such as {"batch_size": 64}',
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], AfterValidator(available_device)] = Field(
        default="auto", description="where to train; auto takes a GPU if there is one"
    )
    workers: Count | None = Field(
        default=None, description="processes that train; not given: by cores and GPUs"
    )
    devices: Count = Field(
        default=1, description="GPUs, or processes on the CPU, that train one run together (torchrun)"
    )
    engine: Annotated[Literal["local", "ray"], AfterValidator(available_engine)] = Field(
        default="local", description="what executes the runs: this machine, or a Ray cluster"
    )
    results: Annotated[Path, AfterValidator(results_folder)] = Field(
        default=Path("results"), validate_default=True, description="folder that results are written to"
    )
    data_root: Annotated[Path, AfterValidator(data_folder)] | None = Field(
        default=None, description="folder that holds your own data sets"
    )
    seed: Seed = Field(default=0, description="offset added to the seed of every replicate")

    @model_validator(mode="after")
    def _configurations_are_used(self) -> StudyParameters:
        for number, each in enumerate(self.config):
            if each.loss not in self.losses:
                raise UsageError(
                    f"config is of loss '{each.loss}', which is not among the losses; "
                    "add it there, or leave the file out"
                )
            if any((each.loss, each.encoder) == (one.loss, one.encoder) for one in self.config[:number]):
                raise UsageError(
                    f"config has two files for loss '{each.loss}' and encoder '{each.encoder}'; give one"
                )
        return self

    @model_validator(mode="after")
    def _datasets_exist(self) -> Self:
        frozen = "frozen" in self.trained_encoders
        for name in self.datasets:
            if name not in data.names():
                dataset = self.dataset(name)
                if frozen:
                    _ = dataset.features
            if self.trained_encoders != ("frozen",):
                modality = self.dataset(name).modality
                if not any(models.suitable(each, modality) for each in self.trained_encoders):
                    raise UsageError(
                        f"encoder '{self.trained_encoders[0]}' cannot read {name}, which holds {modality}s"
                    )
        return self

    @model_validator(mode="after")
    def _devices_exist(self) -> Self:
        if self.devices > 1 and self.engine == "local" and self.device != "cpu":
            gpus = len(processes.gpus())
            if self.devices > gpus and (gpus or self.device == "cuda"):
                raise UsageError(f"devices {self.devices}: this machine has {gpus}; ask for no more")
        return self

    @property
    def repeated(self) -> Self | None:
        """The parameters of the arms that a claim compares; None if they are trained no more often than others."""
        often = {"replicates": self.claim_replicates, "seeds": self.claim_seeds}
        given = {
            name: value for name, value in often.items() if value is not None and value != getattr(self, name)
        }
        return self.model_copy(update=given) if given else None

    @property
    def trained_encoders(self) -> tuple[str, ...]:
        """The encoders of the study: those of its parameter ``encoders`` or ``encoder``, else the frozen one."""
        named: tuple[str, ...] = getattr(self, "encoders", (getattr(self, "encoder", "frozen"),))
        return named

    @property
    def encoder_identities(self) -> list[str]:
        """What the trained encoders are, weights included; one that starts from word vectors, on each set of texts."""
        found = []
        for name in self.trained_encoders:
            if models.kind(name) == STATIC:
                texts = [each for each in self.datasets if self.dataset(each).modality == "text"]
                found += [models.identity(name, each, self.data_root) for each in texts]
            else:
                found.append(models.identity(name))
        return found

    def dataset(self, name: str) -> Dataset:
        """One of the data sets, wherever it lies."""
        return data.load(name, self.data_root)

    @property
    def root(self) -> str | None:
        """``data_root`` as a configuration holds it."""
        return None if self.data_root is None else str(self.data_root)

    def labels_to_learn(self, name: str, base_labels: int = 0) -> int:
        """Size of the largest label space that a data set has in every replicate.

        Args:
            name: of the data set.
            base_labels: number of labels that decide which examples are used; 0 for all examples.
        """
        return data.supported_labels(self.dataset(name), base_labels=base_labels, replicates=self.replicates)

    def that_matter(self) -> dict[str, Any]:
        """The values that results depend on, as JSON types: not where, or by how many processes."""
        return {
            name: value for name, value in self.model_dump(mode="json").items() if name not in _INCIDENTAL
        }


def describe(parameters: StudyParameters, given: Mapping[str, Any]) -> str:
    """The parameters as aligned lines, with what was given marked."""
    values = parameters.model_dump(mode="json")
    width = max(map(len, values))
    lines = []
    for name, value in values.items():
        text = shown(Path(value)) if name in {"results", "data_root"} and value else _plain(value)
        mark = "" if not_given(given.get(name)) else "  (given)"
        lines.append(markup.terminal(f"  {name:{width}}  {text}{mark}"))
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items()) or "-"
    return "-" if value is None else str(value)


def cell_head(study: str) -> str:
    """How the cell begins in which a study's notebook declares its parameters."""
    return f"# Parameters of {study}"


def in_notebook(
    study: str, parameters: type[StudyParameters], namespace: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters that a notebook sets: of its global names those that the study declares.

    Args:
        study: name of the study.
        parameters: the class of its parameters.
        namespace: the notebook's global names with their values.

    Raises:
        UsageError: the notebook sets a parameter that the study does not declare, or one has lost its name to an
            import or a definition.
    """
    declared = parameters.model_fields
    for name in _set_in_cells(study):
        if name not in declared:
            raise unknown("parameter", name, declared)
    found = {name: namespace[name] for name in declared if name in namespace}
    for name, value in found.items():
        if isinstance(value, types.ModuleType) or callable(value):
            raise UsageError(
                f"parameter '{name}' is a {type(value).__name__} here: an import or a definition has taken its name; "
                "call that otherwise and run the cell of parameters again"
            )
    return found


def _set_in_cells(study: str) -> list[str]:
    """The names that a notebook sets as parameters, those included that its study does not declare.

    They are set in its own cell and then in the one that papermill puts behind it, which begins with the line
    ``# Parameters``; papermill only warns of unknown names. A cell that was run again counts as it was the last time.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    sources: list[str] = shell.user_ns.get("In", []) if shell is not None else []
    own = [at for at, source in enumerate(sources) if source.startswith(cell_head(study))]
    since = sources[own[-1] :] if own else sources
    injected = [source for source in since if source.startswith("# Parameters\n")]
    return [name for source in (*since[: len(own[-1:])], *injected[-1:]) for name in _assigned(source)]


def _assigned(source: str) -> list[str]:
    """The names that a cell assigns to; none for one with an error in it, which has set nothing."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return []
    targets = [
        target
        for statement in statements
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    ]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def not_given(value: Any) -> bool:
    """Whether a value stands for "from the preset": None, also as papermill and command lines spell it."""
    return value is None or (isinstance(value, str) and value.strip().lower() in {"none", "null"})


def refusal(error: ValidationError, parameters: type[StudyParameters]) -> UsageError:
    """The first thing wrong, as one line that names the parameter and the offending value."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, UsageError):
        return cause
    if not first["loc"]:  # of all parameters together, as a check of the whole says it
        return UsageError(f"parameters: {' '.join(str(cause or first['msg']).split())}")
    name = str(first["loc"][0])
    if first["type"] == "missing" and len(first["loc"]) > 1:
        return UsageError(f"parameter '{name}': '{first['loc'][-1]}' is missing")
    if first["type"] == "missing":
        return UsageError(f"parameter '{name}' has no value in this preset; give one")
    if first["type"] == "literal_error":
        return unknown(name, str(first["input"]), choices(parameters.model_fields[name].annotation))
    value = re.sub(r"\s+", " ", repr(first["input"]))
    value = value if len(value) <= 60 else f"{value[:57]}..."
    reason = str(cause) if cause else first["msg"].removeprefix("Input ")
    return UsageError(f"parameter '{name}': {value} {reason}")


def choices(annotation: Any) -> tuple[str, ...]:
    """The words of the Literal in an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in {Annotated, types.UnionType}:
        return tuple(word for part in get_args(annotation) for word in choices(part))
    return ()
