"""``mlcl data``: the data sets."""

from __future__ import annotations

import sys

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import Commands


@click.group("data", cls=Commands, default="list")
def data() -> None:
    """The data sets: what there is (list), whether it is whole (check), what is in one (show NAME)."""


@data.command("list")
def _data_list() -> None:
    """Name, version, size and place of every data set."""
    from mlcl_utils import data
    from mlcl_utils.data import registry
    from mlcl_utils.errors import DataError
    from mlcl_utils.paths import shown

    for name in data.names():
        try:
            folder = registry.folder(name)
            size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            print(f"{name:16}{data.version(name):18}{common.size(size):>9}  {shown(folder)}")
        except DataError as error:
            print(f"{name:16}not here: {error}")


@data.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def _data_check(names: tuple[str, ...]) -> int:
    """Compare every file of the data sets with its SHA-256."""
    from mlcl_utils import data
    from mlcl_utils.errors import DataError

    status = 0
    for name in names or data.names():
        try:
            data.verify(name)
            print(f"{name}: whole")
        except DataError as error:
            print(f"mlcl: {error}", file=sys.stderr)
            status = 1
    return status


@data.command("show")
@click.argument("name")
def _data_show(name: str) -> None:
    """Counts of a data set, its most and least frequent labels, and where its card is."""
    import numpy as np

    from mlcl_utils import data
    from mlcl_utils.paths import shown

    dataset = data.load(name)
    positives = (dataset.labels == 1).sum(axis=0)
    groups = len(np.unique(dataset.groups))
    cardinality = positives.sum() / len(dataset)
    print(f"{dataset.name}: {dataset.modality}, version {dataset.version}")
    print(f"{len(dataset)} examples in {groups} groups, {len(dataset.label_names)} labels")
    print(f"{cardinality:.2f} labels an example, density {cardinality / len(dataset.label_names):.4f}")
    order = np.argsort(-positives, kind="stable")
    for title, some in (("most frequent labels", order[:10]), ("least frequent labels", order[-10:])):
        print(f"\n{title}")
        for label in some:
            print(f"  {positives[label]:6}  {dataset.label_names[label]}")
    print(f"\nits card: {shown(dataset.folder / 'card.md')}")
