"""``mlcl data``: the data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import ROOT, Commands

if TYPE_CHECKING:
    from mlcl_utils.data import Dataset

_SHOWN = 20  # problems of a set that are listed


@click.group("data", cls=Commands, default="list")
def data() -> None:
    """The data sets: what there is (list), whether one is whole (check), what is in it (show NAME)."""


@data.command("list")
def _data_list() -> None:
    """Name, version, size and place of every data set that ships."""
    from mlcl_utils import data
    from mlcl_utils.data import registry
    from mlcl_utils.errors import DataError
    from mlcl_utils.paths import shown

    for name in data.names():
        try:
            folder = registry.folder(name)
            size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            common.say(f"{name:16}{data.version(name):18}{common.size(size):>9}  {shown(folder)}")
        except DataError as error:
            common.say(f"{name:16}not here: {error}")


@data.command("check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@ROOT
def _data_check(names: tuple[str, ...], root: str | None) -> int:
    """Compare every file of the sets that ship with its SHA-256, or look your own set through and say what is in it."""
    from mlcl_utils import data
    from mlcl_utils.data import registry
    from mlcl_utils.errors import DataError

    folder = common.data_root(root)
    status = 0
    for name in names or data.names():
        try:
            base, wanted = registry.parted(name)
            if base in data.names():
                data.verify(name, folder)
                if wanted is not None:
                    _ = data.load(
                        name, folder
                    ).features  # there are some of that name, or this says what to do
                problems: Sequence[str] = ()
            else:
                problems = _looked_through(name, folder)
        except DataError as error:
            problems = (str(error),)
        for problem in problems[:_SHOWN]:
            common.complain(problem)
        if len(problems) > _SHOWN:
            common.complain(f"and {len(problems) - _SHOWN} more")
        if problems:
            status = 1
        else:
            common.say(f"{name}: whole")
    return status


def _looked_through(name: str, root: Path | None) -> Sequence[str]:
    """Look a user's set through, print what is in it, and return what is wrong with it."""
    from mlcl_utils import data
    from mlcl_utils.data.checking import check

    found = check(name, root)
    dataset = data.load(name, root)
    for line in _description(dataset):
        common.say(line)
    print("\nhow it was read")
    for line in (*dataset.notes, *found.remarks):
        common.say(f"  {line}")
    return found.problems


@data.command("show")
@click.argument("name")
@ROOT
@click.option(
    "--sheet",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw examples of its labels into a picture, for a set of images.",
)
def _data_show(name: str, root: str | None, sheet: Path | None) -> None:
    """Counts of a data set, its most and least frequent labels, some examples, and where its card is."""
    from mlcl_utils import data
    from mlcl_utils.errors import UsageError
    from mlcl_utils.files import why
    from mlcl_utils.paths import shown

    dataset = data.load(name, common.data_root(root))
    if sheet is not None and dataset.modality != "image":
        raise UsageError(f"--sheet: '{name}' holds no images, but {dataset.modality}s")
    for line in _description(dataset):
        common.say(line)
    print("\nexamples")
    for line in _examples(dataset):
        common.say(f"  {line}")
    if dataset.card:
        print()
        common.say(f"its card: {shown(dataset.folder / 'card.md')}")
    kept = dataset.folder / "sheet.webp"
    if dataset.card and kept.is_file():
        common.say(f"a sheet of examples: {shown(kept)}")
    if sheet is not None:
        from mlcl_utils.data import sheet as sheets

        try:
            sheets.draw(dataset, sheet)
        except (OSError, ValueError) as error:
            cause = why(error) if isinstance(error, OSError) else error
            raise UsageError(f"--sheet {sheet} cannot be written: {cause}") from None
        common.say(f"a sheet of examples: {sheet}")


def _examples(dataset: Dataset, count: int = 5) -> Iterator[str]:
    """Some examples with their labels, evenly spaced over the set: the beginning of a text, else the id."""
    import numpy as np

    beginnings = dataset.texts() if dataset.modality == "text" else dataset.ids
    for at in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        labels = [dataset.label_names[label] for label in np.flatnonzero(dataset.labels[at] == 1)]
        yield f"{' '.join(beginnings[at].split())[:60]}: {', '.join(labels) or 'no label'}"


def _description(dataset: Dataset) -> list[str]:
    """What a study would see of a data set, in lines."""
    import numpy as np

    positives = (dataset.labels == 1).sum(axis=0)
    cardinality = positives.sum() / len(dataset)
    labels = len(dataset.label_names)
    parts = ", ".join(
        f"{word} {count}"
        for word, count in zip(
            ("training", "validation", "test"), np.bincount(dataset.splits[0]), strict=True
        )
    )
    lines = [
        f"{dataset.name}: {dataset.modality}, version {dataset.version}",
        f"{len(dataset)} examples in {len(np.unique(dataset.groups))} groups, {labels} labels",
        f"{cardinality:.2f} labels an example, density {cardinality / labels:.4f}",
        f"split 0 of {len(dataset.splits)}: {parts}",
    ]
    order = np.argsort(-positives, kind="stable")
    for title, some in (("most frequent labels", order[:10]), ("least frequent labels", order[-10:])):
        lines += ["", title, *(f"  {positives[label]:6}  {dataset.label_names[label]}" for label in some)]
    return lines
