"""``mlcl report``: a site over results."""

from __future__ import annotations

from pathlib import Path

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import RESULTS


@click.command("report")
@RESULTS
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where it goes; by default report/ in the results.",
)
def report(results: str | None, out: Path | None) -> None:
    """Make a site over the results: studies, figures, tables of runs, notebooks, claims.

    It needs no server and fetches nothing: open its index.html.
    """
    from mlcl_utils import report as reports
    from mlcl_utils.paths import CHECKOUT, expanded, shown

    folder = CHECKOUT / expanded(results or "results")
    site = reports.build(folder, folder / "report" if out is None else CHECKOUT / expanded(out))
    width = max((len(each.study) for each in site.results), default=0)
    for each in site.results:
        print(f"{each.study:{width}}  {each.name}: {each.state}")
    print(f"{shown(site.folder / 'index.html')}  {common.size(site.size)}")
