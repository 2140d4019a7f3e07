"""Study 00: which published claims hold here, from the results of all other studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import published
from mlcl_utils.studies.base import Count, Datasets, Losses, Study, StudyParameters
from mlcl_utils.studies.manifest import MANIFEST

_THEIRS = "of the studies that are read; not given: their preset's"


class LedgerParameters(StudyParameters):
    """Parameters of the ledger: those that were given to the studies whose results it reads."""

    datasets: Datasets = Field(default=(), description=f"data sets {_THEIRS}")
    losses: Losses = Field(default=(), description=f"losses {_THEIRS}")
    replicates: Count | None = Field(  # type: ignore[assignment]
        default=None, description=f"replicates {_THEIRS}"
    )
    epochs: Count | None = Field(default=None, description=f"epochs {_THEIRS}")  # type: ignore[assignment]
    trials: Count | None = Field(default=None, description=f"trials {_THEIRS}")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _configurations_are_used(self) -> LedgerParameters:
        return self  # the studies that are read check them against their losses

    def passed_on(self) -> dict[str, Any]:
        """The parameters that another study has to have for its results to be those that are meant."""
        often = ("seeds", "claim_replicates", "claim_seeds")
        names = ("datasets", "losses", "replicates", *often, "epochs", "trials", "config")
        given = {name: getattr(self, name) for name in names}
        return {
            **{name: value for name, value in given.items() if value},
            **{name: getattr(self, name) for name in ("preset", "results", "data_root", "device", "seed")},
        }


class Source(NamedTuple):
    """A study that claims are judged in, and where its results are to be.

    Attributes:
        study: the study; None if there is none of that name.
        name: its name.
        parameters: resolved; None if it refuses those given.
        refusal: why it does.
    """

    study: Study | None
    name: str
    parameters: StudyParameters | None
    refusal: str = ""

    @property
    def folder(self) -> Path | None:
        """Its results folder."""
        if self.study is None or self.parameters is None:
            return None
        return self.study.folder(self.parameters)


def sources(parameters: LedgerParameters) -> list[Source]:
    """The studies that the claims name, in the order of their names."""
    found = []
    for name in sorted({claim.study for claim in published.load()}):
        if name not in studies.names():
            found.append(Source(None, name, None, "there is no such study"))
            continue
        study = studies.get(name)
        try:
            found.append(Source(study, name, study.resolve(parameters.passed_on())))
        except UsageError as error:
            found.append(Source(study, name, None, str(error)))
    return found


def inputs(parameters: LedgerParameters) -> list[Path]:
    """The manifests of the results that are read."""
    folders = [source.folder for source in sources(parameters)]
    return [folder / MANIFEST for folder in folders if folder is not None]


def grid(parameters: LedgerParameters) -> list[RunConfig]:
    """Nothing: the ledger trains nothing."""
    return []


STUDY = Study(
    name="00_claims",
    title="Published claims",
    question="Which published claims hold here?",
    Parameters=LedgerParameters,
    presets={"smoke": {}, "quick": {}, "standard": {}},
    grid=grid,
    figure="claims",
    inputs=inputs,
    last=True,
)
