"""The published claims that are judged here: ``notebooks/claims.toml``, checked."""

from __future__ import annotations

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


def digest(study: str, path: Path = FILE) -> str:
    """SHA-256 of the claims of one study, in hexadecimal: those of another may change and leave it frozen."""
    own = [claim.model_dump(mode="json") for claim in load(path) if claim.study == study]
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
