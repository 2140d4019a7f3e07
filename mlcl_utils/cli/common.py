"""What commands share: groups that suggest the nearest command, options, studies by name, sizes and durations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlcl_utils import markup
from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.units import duration as duration
from mlcl_utils.units import size as size
from mlcl_utils.written import MOST, MOST_SEED, finite

if TYPE_CHECKING:
    from mlcl_utils.studies.base import Study

PRESET = click.option("--preset", metavar="PRESET", help="smoke, quick (the default), standard or paper.")
RESULTS = click.option(
    "--results", metavar="DIR", help="Folder of results, by default results/ in the checkout."
)
ROOT = click.option("--root", metavar="DIR", help="Folder that holds your data sets.")


class Number(click.FloatRange):
    """A finite number in a range; to click alone, nan is in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            click.BadParameter: it is none, not finite or out of the range.
        """
        number = super().convert(value, param, ctx)
        if not finite(number):
            self.fail(f"'{value}' is not a finite number.", param, ctx)
        return number


def whole(least: int) -> click.IntRange:
    """A whole number of at least so much, and no larger than what the libraries below take."""
    return click.IntRange(least, MOST)


SEED = click.IntRange(0, MOST_SEED)


def say(line: str) -> None:
    """Print one line, in which names and texts can do nothing to the terminal."""
    print(markup.terminal(line), flush=True)


def complain(line: str) -> None:
    """Print one line on standard error, likewise, as of ``mlcl``."""
    print(f"mlcl: {markup.terminal(line)}", file=sys.stderr)


class Commands(click.Group):
    """A group that suggests the nearest command and may have one that needs no name.

    Args:
        default: the command that is meant when none is named.
    """

    def __init__(self, *args: Any, default: str | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, with the default command put in front where none is named."""
        unnamed = not args or (args[0].startswith("-") and args[0] not in {"-h", "--help"})
        if self._default is not None and unnamed:
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named; an unknown one is an error with the nearest."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def parameters(given: Sequence[str], **options: str | None) -> dict[str, str]:
    """Parameters of ``-p`` and of the options that are short for them.

    Raises:
        UsageError: one without a value, or given twice.
    """
    values = {name: value for name, value in options.items() if value is not None}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"-p '{word}' has no value; write -p {name or 'name'}=value")
        if name in values:
            raise UsageError(f"parameter '{name}' is given twice")
        values[name] = value
    return values


def results_folder(given: str | None) -> Path:
    """The folder of results, to read from.

    Raises:
        UsageError: one is named that is not there: mistyped, not a start from nothing.
    """
    from mlcl_utils.paths import shown
    from mlcl_utils.studies import values

    folder = values.results_folder(Path(given or "results"))
    if given is not None and not folder.exists():
        raise UsageError(f"there is no folder of results '{shown(folder)}'; name another one with --results")
    return folder


def data_root(given: str | None) -> Path | None:
    """The folder of ``--root``, taken from the checkout, as the parameter data_root is.

    Raises:
        UsageError: it is not a folder.
    """
    from mlcl_utils.studies.values import data_folder

    return None if given is None else data_folder(Path(given))


def studies(names: Sequence[str]) -> list[Study]:
    """The studies of the names, each once; all of them if there is no name."""
    from mlcl_utils import studies as registered

    chosen = []
    for word in names or registered.names():
        begins = [name for name in registered.names() if name.startswith(word)]
        name = begins[0] if len(begins) == 1 else word
        if name not in chosen:
            chosen.append(name)
    return [registered.get(name) for name in chosen]


def folder_size(folder: Path) -> int:
    """Bytes of the files that lie directly in a folder."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
