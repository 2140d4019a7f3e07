"""The cell in which a study's notebook declares its parameters, written from their declarations: ``make cells``.

``papermill --help-notebook`` reads type and meaning of a parameter from its line, so a description is short and has no
``=`` in it.
"""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlcl_utils import studies
from mlcl_utils.studies.base import DEFAULT_PRESET, Study
from mlcl_utils.studies.parameters import cell_head, choices

_FIRST = ("preset", "datasets", "losses")
"""Parameters of every study that stand before its own; the others of every study stand behind."""


def source(study: Study) -> str:
    """The cell of a study: a line for each parameter, with its type, None for its value, and what it means."""
    fields = study.Parameters.model_fields
    everywhere = {name for base in study.Parameters.__mro__[1:] for name in getattr(base, "model_fields", {})}
    own = [name for name in fields if name not in everywhere]
    names = [*_FIRST, *own, *(name for name in fields if name not in {*_FIRST, *own})]
    return "\n".join(
        [f"{cell_head(study.name)}; None: the preset's value", *(_line(study, name) for name in names)]
    )


def _line(study: Study, name: str) -> str:
    field = study.Parameters.model_fields[name]
    preset = name == "preset"
    words = tuple(study.presets) if preset else choices(field.annotation)
    value = f'"{DEFAULT_PRESET}"' if preset else "None"
    listed = f" ({', '.join(words)})" if words else ""
    meaning = f"{field.description}{listed}{_usual(field)}"
    return f"{name}: {kind(field.annotation)} = {value}  # {meaning}"


def _usual(field: FieldInfo) -> str:
    """What a parameter is by itself that no preset has a value of."""
    if field.is_required():
        return ""
    default = field.get_default(call_default_factory=True)
    return "" if default in (None, (), {}) else f"; None: {default}"


def kind(annotation: Any) -> str:
    """The type that a user gives for a parameter, as a notebook writes it: ``int``, ``list[str]``, ``dict``."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0])
    if origin in (Union, types.UnionType):
        return kind(next(each for each in inner if each is not type(None)))
    if origin is tuple:
        return f"list[{kind(inner[0])}]"
    if origin is dict:
        return "dict"
    if origin is Literal or issubclass(
        annotation, Path | BaseModel
    ):  # a model is given as the file that holds it
        return "str"
    return str(annotation.__name__)


def written(notebook: str, study: Study) -> str:
    """A notebook, the text of its file, with the cell of parameters as the study declares them."""
    content = json.loads(notebook)
    (cell,) = (cell for cell in content["cells"] if "parameters" in cell["metadata"].get("tags", []))
    cell["source"] = source(study).splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the cells of all notebooks."""
    for name in studies.names():
        study = studies.get(name)
        before = study.notebook.read_text(encoding="utf-8")
        study.notebook.write_text(written(before, study), encoding="utf-8")


if __name__ == "__main__":
    main()
