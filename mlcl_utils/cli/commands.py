"""The command line, ``mlcl``: a thin layer over the package, one module a command and one line below.

Nothing but click is imported before a command needs it, so that ``mlcl --help`` answers at once. Exit status: 0 all
done; 1 something failed while running; 2 refused before anything started; 130 and 143 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from mlcl_utils.cli import archive, bench, data, features, figures, report, run, runs, search, show, verify
from mlcl_utils.cli.common import Commands, complain
from mlcl_utils.errors import StorageError, UsageError
from mlcl_utils.files import why
from mlcl_utils.paths import IN_CHECKOUT, shown

_ANYWHERE = frozenset({"bench", "data", "features", "losses"})  # commands that need no notebooks


def main() -> NoReturn:
    """Run the command line and exit; a refusal is one line on standard error, and so is a file that fails."""
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, wherever a user's own are shown
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter shows its number
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if sys.flags.optimize > 1:
            raise UsageError(
                "Python without docstrings (PYTHONOPTIMIZE=2) knows no loss; set PYTHONOPTIMIZE to 0 or 1"
            )
        status = _commands.main(standalone_mode=False) or 0
        sys.stdout.flush()
        sys.exit(status)
    except UsageError as error:
        _refuse(str(error))
    except click.ClickException as error:
        _refuse(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        _end_output()  # whoever reads it has seen enough
        sys.exit(1)
    except OSError as error:
        place = f"'{shown(Path(os.fsdecode(error.filename)))}': " if error.filename is not None else ""
        complain(f"{place}{why(error)}")
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.exit(1)
        _end_output()  # it was the output that failed
        sys.exit(1)
    except StorageError as error:
        complain(str(error))
        sys.exit(1)


def _end_output() -> None:
    """Have nothing more written to standard output, not even when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str) -> NoReturn:
    complain(message)
    sys.exit(2)


@click.group(cls=Commands, name="mlcl", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlcl-studies", prog_name="mlcl")
@click.pass_context
def _commands(context: click.Context) -> None:
    """Studies in multi-label contrastive learning: run them, look at what there is."""
    if not IN_CHECKOUT and context.invoked_subcommand not in _ANYWHERE:
        raise UsageError(
            f"mlcl {context.invoked_subcommand} needs the repository with its notebooks: clone it and run 'make setup'"
            f" there; without it there are {', '.join(sorted(_ANYWHERE))}"
        )


for command in (
    run.run,
    show.list_studies,
    show.show,
    show.losses,
    data.data,
    features.features,
    runs.runs,
    figures.figures,
    report.report,
    search.search,
    archive.archive,
    verify.verify,
    bench.bench,
):
    _commands.add_command(command)
