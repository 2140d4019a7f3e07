"""``mlcl list``, ``mlcl show`` and ``mlcl losses``: what there is."""

from __future__ import annotations

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import PRESET, RESULTS, ROOT


@click.command("list")
def list_studies() -> None:
    """The studies and their questions."""
    for study in common.studies(()):
        print(f"{study.name}  {study.title}\n    {study.question}")


@click.command("show")
@click.argument("name", metavar="STUDY")
@PRESET
@RESULTS
@ROOT
def show(name: str, preset: str | None, results: str | None, root: str | None) -> None:
    """A study's question, its parameters with their values in a preset, and its results."""
    from mlcl_utils.paths import shown
    from mlcl_utils.studies.parameters import describe

    (study,) = common.studies((name,))
    given = common.parameters((), preset=preset, results=results, data_root=root)
    parameters = study.resolve(given)
    grid = {config.id for config in study.runs(parameters)}
    print(f"{study.name}: {study.title}\n{study.question}\n")
    print(f"notebook  {shown(study.notebook)}")
    print(f"presets   {', '.join(study.presets)}\n")
    print(f"parameters at {parameters.preset}")
    print(describe(parameters, given))
    print("\nwhat they are")
    width = max(map(len, study.Parameters.model_fields))
    for field, info in study.Parameters.model_fields.items():
        print(f"  {field:{width}}  {info.description}")
    folder = study.folder(parameters)
    state = "up to date" if study.up_to_date(parameters) else "out of date" if folder.exists() else "none yet"
    print(f"\nruns      {len(grid)}\nresults   {shown(folder)}: {state}")


@click.command("losses")
def losses() -> None:
    """The losses: what they take, their hyperparameters and defaults, their papers."""
    from mlcl_utils import losses

    for name, info in losses.available().items():
        print(f"{name}  ({info.family}; takes {', '.join(info.tensors)})\n    {info.paper}")
        for parameter, about in info.hyperparameters.items():
            print(f"    {parameter} = {about.default}: {about.description}")
