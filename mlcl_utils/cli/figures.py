"""``mlcl figures``: the figures of a study again, in another size."""

from __future__ import annotations

from pathlib import Path

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import PRESET, RESULTS


@click.command("figures")
@click.argument("name", metavar="STUDY")
@click.option("--venue", metavar="VENUE", default="neurips", help="neurips (the default), icml, acl or ieee.")
@PRESET
@RESULTS
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where they go, by default figures-VENUE in the study's results.",
)
def figures(name: str, venue: str, preset: str | None, results: str | None, out: Path | None) -> None:
    """Draw all figures of a study's results again in the sizes and fonts of a venue, without training."""
    from mlcl_utils.paths import shown
    from mlcl_utils.studies.figures import redraw

    (study,) = common.studies((name,))
    folder = study.folder(study.resolve(common.parameters((), preset=preset, results=results)))
    place = out or folder / f"figures-{venue}"
    written = redraw(study, folder, place, venue)
    print(f"{sum(path.suffix == '.pdf' for path in written)} figures in {shown(place)}")
