"""``mlcl archive``: the runs of a study in files that travel with the repository."""

from __future__ import annotations

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import RESULTS, ROOT


@click.command("archive")
@click.argument("names", metavar="STUDY...", nargs=-1, required=True)
@click.option("--preset", metavar="PRESET", default="standard", help="Whose runs (standard).")
@click.option("-p", "--parameter", "given", metavar="NAME=VALUE", multiple=True, help="As given to mlcl run.")
@RESULTS
@ROOT
def archive(
    names: tuple[str, ...], preset: str, given: tuple[str, ...], results: str | None, root: str | None
) -> None:
    """Put the finished runs of studies into archives beside their results.

    Only what no archive there holds yet, in a new file each time, so that a study that is still being trained can be
    archived as it goes. Whoever has the archives executes the notebook without training: mlcl run takes from them the
    runs that are not under results/runs.
    """
    from mlcl_utils.paths import shown
    from mlcl_utils.studies import archives

    for study in common.studies(names):
        parameters = study.resolve(common.parameters(given, preset=preset, results=results, data_root=root))
        path, count = archives.make(study, parameters)
        size = f"new in {shown(path)}, {common.size(path.stat().st_size)}" if path else "nothing new"
        print(f"{study.name}: {count} runs are archived; {size}")
