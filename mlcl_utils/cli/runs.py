"""``mlcl runs``: the stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import RESULTS, ROOT, Commands

if TYPE_CHECKING:
    from mlcl_utils.runs import Store


@click.group("runs", cls=Commands, default="list")
def runs() -> None:
    """The stored runs: their number and size (list); remove those that no study refers to (prune)."""


@runs.command("list")
@RESULTS
def _runs_list(results: str | None) -> None:
    """Number and size of the stored runs."""
    from mlcl_utils.paths import shown

    store = _store(results)
    folders = [run.folder for run in store]
    print(
        f"{len(folders)} runs, {common.size(sum(map(common.folder_size, folders)))}, in {shown(store.folder)}"
    )


@runs.command("prune")
@RESULTS
@ROOT
@click.option("--dry-run", is_flag=True, help="Only say how many would be removed.")
def _runs_prune(results: str | None, root: str | None, dry_run: bool) -> None:
    """Remove the runs that no table of results names and no preset of a study asks for.

    Without --root, runs on your own data stay: no telling which of them a preset asks for.
    """
    import shutil

    from mlcl_utils import data

    store = _store(results)
    wanted = _wanted(store.folder.parent, common.data_root(root))
    unwanted = [
        run.folder
        for run in store
        if run.folder.name not in wanted and (root is not None or run.config.dataset in data.names())
    ]
    begun = [path for path in store.kept_files() if path.name.removeprefix(".kept-") not in wanted and root]
    size = sum(map(common.folder_size, unwanted)) + sum(path.stat().st_size for path in begun)
    if not dry_run:
        for folder in unwanted:
            shutil.rmtree(folder)
        for path in begun:
            path.unlink(missing_ok=True)
    print(f"{len(unwanted)} runs {'would be ' if dry_run else ''}removed, {common.size(size)}")


def _store(results: str | None) -> Store:
    from mlcl_utils.runs import Store

    return Store(common.results_folder(results))


def _wanted(results: Path, root: Path | None) -> set[str]:
    """Identities of the runs that a table of results names or a preset of a study asks for."""
    import contextlib
    import csv

    from mlcl_utils.errors import UsageError

    wanted = set()
    for table in (*results.glob("*/*/runs.csv"), *results.glob("search/*/trials.csv")):
        with table.open(newline="", encoding="utf-8") as stream:
            wanted |= {row["run"] for row in csv.DictReader(stream)}
    for study in common.studies(()):
        for preset in study.presets:
            with contextlib.suppress(UsageError):  # of sets that are not here: their runs are named in tables
                wanted |= {
                    config.id for config in study.runs(study.resolve({"preset": preset, "data_root": root}))
                }
    return wanted
