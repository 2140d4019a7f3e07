"""Refusals that pydantic words: of several parameters together, and of settings beside those of a preset."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import pytest
from pydantic import model_validator

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.studies.base import Study

STUDY = studies.get("02_label_space")


class Together(STUDY.Parameters):
    """Parameters that are refused only together, by an error that is not one of ours."""

    @model_validator(mode="after")
    def _never(self) -> Self:
        raise ValueError("epochs and\nseed do not go together")


def test_what_is_wrong_with_all_of_them_names_none() -> None:
    study: Study = dataclasses.replace(STUDY, Parameters=Together)
    with pytest.raises(UsageError, match=r"^parameters: epochs and seed do not go together$"):
        study.resolve({"preset": "smoke"})


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("{1,2}", r"\{1, 2\} should be"),
        ([1, 2], r"\[1, 2\] should be"),
        (5, "5 should be"),
        ("{1: 2}", "1 should"),
    ],
)
def test_a_recipe_that_is_none_is_refused_at_every_preset(preset: str, recipe: Any, said: str) -> None:
    with pytest.raises(UsageError, match=f"parameter 'recipe': {said}"):
        STUDY.resolve({"preset": preset, "recipe": recipe})
