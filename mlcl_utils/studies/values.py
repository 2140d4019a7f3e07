"""Types of the values of parameters: what a command line, papermill or a notebook gives, turned into them and checked.

Nothing here imports torch or pandas: parameters are checked before anything heavy is loaded.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlcl_utils import losses, models, written
from mlcl_utils.data.emoji import FAMILIES
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.paths import CHECKOUT, expanded, shown
from mlcl_utils.training.recipe import check_setting

# What pydantic reads as a number from a text; kept as it is, so that a refusal shows what was written.
_DECIMAL = re.compile(r"\s*[-+]?[\d_.]+\s*")


def number(value: Any) -> Any:
    """The value, with the number for a text that stands for one and that pydantic does not read, such as ``1e2``.

    Raises:
        ValueError: it is a truth value, which Python takes for a number.
    """
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        stands_for = written.plain(value.strip())
        value = stands_for if isinstance(stands_for, bool | int | float) else value
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def _as_list(value: Any) -> Any:
    """A list from what a shell or papermill passes: ``[10,30]``, ``bce,reg``, ``['bce']``, one bare value."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                parsed = written.literal(text)
            except ValueError:
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


def _some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("should name at least one")
    return values


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"names {value!r} twice")
    return values


def _known_losses(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        losses.check(name)
    return names


def _known_encoders(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        models.kind(name)
    return names


def _known_encoder(name: str) -> str:
    models.kind(name)
    return name


def _known_families(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in FAMILIES:
            raise unknown("drawing family", name, FAMILIES)
    return names


def _from_checkout(path: Path) -> Path:
    return CHECKOUT / expanded(path)


def results_folder(path: Path) -> Path:
    """The path from the checkout, if it is a folder or can become one.

    Raises:
        UsageError: something else stands there.
    """
    path = _from_checkout(path)
    existing = _existing(path)
    if not existing.is_dir():
        raise UsageError(f"results '{shown(path)}': '{shown(existing)}' is not a folder; name another one")
    return path


def writable_results(path: Path) -> Path:
    """A folder of results, if results can be written there; it need not exist yet.

    Args:
        path: of `results_folder`.

    Raises:
        UsageError: they cannot.
    """
    existing = _existing(path)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(
            f"results '{shown(path)}': no permission to write in '{shown(existing)}'; name another one"
        )
    return path


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if os.path.lexists(parent))


def data_folder(path: Path) -> Path:
    """The path from the checkout, if it is a folder.

    Raises:
        UsageError: it is none.
    """
    path = _from_checkout(path)
    if not path.is_dir():
        raise UsageError(f"data_root '{shown(path)}' is not a folder; give the one that holds your data sets")
    return path


def available_device(device: str) -> str:
    """The device, if there is one of its kind.

    Raises:
        UsageError: there is none.
    """
    if device == "cuda":
        import torch  # Only who asks for a GPU waits for this import.

        if not torch.cuda.is_available():
            raise UsageError("device 'cuda': torch finds no CUDA device on this machine; use 'auto' or 'cpu'")
    return device


def available_engine(engine: str) -> str:
    """An engine, if its package is there.

    Raises:
        UsageError: it is missing.
    """
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise UsageError("engine 'ray': the package 'ray' is missing; run pip install -e '.[ray]'")
    return engine


Count = Annotated[int, BeforeValidator(number), Field(ge=1, le=written.MOST)]
"""A whole number of at least 1."""
Natural = Annotated[int, BeforeValidator(number), Field(ge=0, le=written.MOST)]
"""A whole number of at least 0."""
Seed = Annotated[int, BeforeValidator(number), Field(ge=0, le=written.MOST_SEED)]
"""A seed to which the number of a replicate can be added."""
Positive = Annotated[float, BeforeValidator(number), Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""
Fraction = Annotated[float, BeforeValidator(number), Field(gt=0, le=1, allow_inf_nan=False)]
"""A number in (0, 1]."""
_List = (BeforeValidator(_as_list), AfterValidator(_distinct))
Counts = Annotated[tuple[Count, ...], *_List, AfterValidator(_some)]
"""One or more different `Count`."""
Positives = Annotated[tuple[Positive, ...], *_List, AfterValidator(_some)]
"""One or more different `Positive`."""
Fractions = Annotated[tuple[Fraction, ...], *_List, AfterValidator(_some)]
"""One or more different `Fraction`."""
Names = Annotated[tuple[str, ...], *_List, AfterValidator(_some)]
"""One or more different words; which they may be is for the study to say."""
Datasets = Annotated[tuple[str, ...], *_List, AfterValidator(_some)]
"""Names of data sets that ship, and names and paths of a user's own."""
Losses = Annotated[tuple[str, ...], *_List, AfterValidator(_some), AfterValidator(_known_losses)]
"""Names of registered losses."""
Encoders = Annotated[tuple[str, ...], *_List, AfterValidator(_some), AfterValidator(_known_encoders)]
"""Names of encoders that :func:`mlcl_utils.models.encoder_class` takes."""
Encoder = Annotated[str, AfterValidator(_known_encoder)]
"""Name of an encoder."""
Families = Annotated[tuple[str, ...], *_List, AfterValidator(_known_families)]
"""Drawing families of emoji; there may be none."""


class Configuration(BaseModel):
    """The values of a loss that a search has found: a file that ``mlcl search`` wrote, or what stands in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: str
    encoder: str
    values: dict[str, bool | int | float | str]

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, str | Path):
            return given
        path = _from_checkout(Path(given))
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"config '{shown(path)}' cannot be read: {reason}") from None

    @model_validator(mode="after")
    def _possible(self) -> Configuration:
        from mlcl_utils.search.trainings import check_value  # only who gives one waits for this import

        _known_losses((self.loss,))
        _known_encoders((self.encoder,))
        for name, value in self.values.items():
            check_value(name, value, self.loss)
        return self


Configurations = Annotated[tuple[Configuration, ...], BeforeValidator(_as_list)]
"""Files of `mlcl search`, one for each loss and encoder that is not to have its defaults."""


def as_settings(value: Any) -> Any:
    """Settings of training from what a shell or papermill passes: ``batch_size=64,ema=0.9`` or a dictionary.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("{"):
        try:
            return written.literal(text)
        except ValueError:
            raise ValueError("should be settings such as batch_size=64,ema=0.9997") from None
    pairs = [word.partition("=") for word in text.split(",") if word.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("should be settings such as batch_size=64,ema=0.9997")
    return {name.strip(): written.plain(own.strip()) for name, _, own in pairs}


def _possible_settings(settings: dict[str, Any]) -> dict[str, Any]:
    for name, value in settings.items():
        check_setting(name, value)
    return settings


Settings = Annotated[dict[str, Any], BeforeValidator(as_settings), AfterValidator(_possible_settings)]
"""Settings of `mlcl_utils.training.Recipe` by name."""
