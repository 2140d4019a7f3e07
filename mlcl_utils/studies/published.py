"""The published claims that are judged here: ``notebooks/claims.toml``, checked."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlcl_utils import data
from mlcl_utils.errors import DataError, unknown
from mlcl_utils.paths import CHECKOUT, shown

FILE = CHECKOUT / "notebooks" / "claims.toml"

PILOT = CHECKOUT / "notebooks" / "pilot.csv"
"""The headroom that pilot runs found, task by task: :func:`mlcl_utils.studies.headroom.frame` of two splits."""


class Claim(BaseModel):
    """A published claim and how it is judged; the fields are explained at the top of ``notebooks/claims.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    statement: str
    otherwise: str
    advice: str = ""
    advice_otherwise: str = ""
    source: str
    where: str
    study: str = Field(pattern=r"^\d\d_[a-z_]+$")
    contrast: str
    metric: str
    head: Literal["probe", "best"] | None = None
    reading: Literal["source", "equal"] | None = None
    eligible: tuple[str, ...] | None = None
    datasets: tuple[str, ...] = Field(min_length=1)
    num_labels: tuple[int, ...] | Literal["largest", "all"]
    test: Literal["superiority", "non-superiority", "ratio"]
    margin: float = Field(ge=0, allow_inf_nan=False)
    best_of: bool = False
    every: bool = False
    setting: Literal["same", "changed"]
    changes: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Claim:
        for name in self.datasets:
            if name not in data.names():
                raise unknown("data set", name, data.names())
        if (self.setting == "changed") != bool(self.changes):
            raise ValueError("'changes' says what a changed setting changes, and nothing else")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _ids_differ(self) -> _File:
        ids = [claim.id for claim in self.claims]
        for position, name in enumerate(ids):
            if name in ids[:position]:
                raise ValueError(f"two claims have the id '{name}'")
        return self


@functools.cache
def load(path: Path = FILE) -> tuple[Claim, ...]:
    """The claims, in the order of the file.

    Raises:
        DataError: the file is missing or a claim in it is not whole; one line that names the claim and the field.
    """
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).claims
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"'{shown(path)}' cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "claims"
        raise DataError(f"'{shown(path)}': {where}: {first['msg']}") from None


def of(study: str) -> tuple[Claim, ...]:
    """The claims that a study measures."""
    return tuple(claim for claim in load() if claim.study == study)


@functools.cache
def piloted() -> frozenset[tuple[str, str]]:
    """Claims and tasks that pilot runs have looked at; others, such as those of a user's sets, are judged as well."""
    if not PILOT.is_file():
        return frozenset()
    with PILOT.open(newline="", encoding="utf-8") as file:
        return frozenset((row["claim"], row["task"]) for row in csv.DictReader(file))


def has_headroom(claim: Claim, task: str) -> bool:
    """Whether a claim can be judged on a task: it is not one of those where a pilot has found too little to gain."""
    return claim.eligible is None or task in claim.eligible or (claim.id, task) not in piloted()


def digest(study: str, path: Path = FILE) -> str:
    """SHA-256 of the claims of one study, in hexadecimal: those of another may change and leave it frozen.

    What a claim that is settled is worded like does not count: it changes no verdict.
    """
    wording = {"otherwise", "advice", "advice_otherwise"}
    own = [claim.model_dump(mode="json", exclude=wording) for claim in load(path) if claim.study == study]
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
