"""The command line, ``mlcl``: a thin layer over the package, one module a command and one line below.

Nothing but click is imported before a command needs it, so that ``mlcl --help`` answers at once. Exit status: 0 all
done; 1 something failed while running; 2 refused before anything started; 130 and 143 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from mlcl_utils.cli import bench, data, features, figures, report, run, runs, search, show, verify
from mlcl_utils.cli.common import Commands, complain
from mlcl_utils.errors import UsageError


def main() -> NoReturn:
    """Run the command line and exit; a refusal is one line on standard error."""
    try:
        sys.exit(_commands.main(standalone_mode=False) or 0)
    except UsageError as error:
        _refuse(str(error))
    except click.ClickException as error:
        _refuse(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # Whoever reads the output has seen enough; nothing more can be written, not even when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _refuse(message: str) -> NoReturn:
    complain(message)
    sys.exit(2)


@click.group(cls=Commands, name="mlcl", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlcl-studies", prog_name="mlcl")
def _commands() -> None:
    """Studies in multi-label contrastive learning: carry them out, look at what there is."""


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
    verify.verify,
    bench.bench,
):
    _commands.add_command(command)
