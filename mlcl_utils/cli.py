"""The command line, ``mlcl``: a thin layer over the package.

Nothing but click is imported before a command needs it, so that ``mlcl --help`` answers at once. Exit status: 0 all
done; 1 something failed while running; 2 refused before anything started; 130 and 143 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mlcl_utils.errors import UsageError, unknown

if TYPE_CHECKING:
    from mlcl_utils import batch, runs
    from mlcl_utils.studies.base import Study, StudyParameters

_PRESET = click.option("--preset", metavar="PRESET", help="smoke, quick (the default), standard or paper.")
_RESULTS = click.option(
    "--results", metavar="DIR", help="Folder of results, by default results/ in the checkout."
)


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
    print(f"mlcl: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


class _Commands(click.Group):
    """A group that suggests the nearest command and may have one that needs no name.

    Args:
        default: the command that is meant when none is named.
    """

    def __init__(self, *args: Any, default: str | None = None, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        unnamed = not args or (args[0].startswith("-") and args[0] not in {"-h", "--help"})
        if self._default is not None and unnamed:
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, name="mlcl", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlcl-studies", prog_name="mlcl")
def _commands() -> None:
    """Studies in multi-label contrastive learning: carry them out, look at what there is."""


@_commands.command("run")
@click.argument("names", metavar="[STUDY]...", nargs=-1)
@_PRESET
@click.option(
    "-p", "given", metavar="NAME=VALUE", multiple=True, help="A parameter; lists as [10,30] or 10,30."
)
@click.option("--jobs", metavar="N", type=click.IntRange(min=1), default=1, help="Notebooks at a time (1).")
@_RESULTS
@click.option("--engine", metavar="ENGINE", help="What carries out the runs: local.")
@click.option(
    "--timeout", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Seconds for each study."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first study that fails.")
@click.option("--dry-run", is_flag=True, help="Only say which runs there are to do.")
def _run(
    names: tuple[str, ...],
    preset: str | None,
    given: tuple[str, ...],
    jobs: int,
    results: str | None,
    engine: str | None,
    timeout: float | None,
    fail_fast: bool,
    dry_run: bool,
) -> int:
    """Execute the notebooks of studies: all of them, or those named (02 stands for 02_label_space).

    A study whose results are up to date is not executed again, and a run that exists is not repeated.
    """
    parameters = _parameters(given, preset=preset, results=results, engine=engine)
    chosen = [(study, study.resolve(parameters)) for study in _studies(names)]
    _check(chosen)
    if dry_run:
        _dry_run(chosen)
        return 0
    return _execute(chosen, parameters, jobs=jobs, timeout=timeout, fail_fast=fail_fast)


def _parameters(given: Sequence[str], **options: str | None) -> dict[str, str]:
    """Parameters of ``-p`` and of the options that are short for them.

    Raises:
        UsageError: one without a value, or given twice.
    """
    parameters = {name: value for name, value in options.items() if value is not None}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"-p '{word}' has no value; write -p {name or 'name'}=value")
        if name in parameters:
            raise UsageError(f"parameter '{name}' is given twice")
        parameters[name] = value
    return parameters


def _studies(names: Sequence[str]) -> list[Study]:
    """The studies of the names, each once; all of them if there is no name."""
    from mlcl_utils import studies

    chosen = []
    for word in names or studies.names():
        begins = [name for name in studies.names() if name.startswith(word)]
        name = begins[0] if len(begins) == 1 else word
        if name not in chosen:
            chosen.append(name)
    return [studies.get(name) for name in chosen]


def _check(chosen: Sequence[tuple[Study, StudyParameters]]) -> None:
    """What has to be right before a kernel starts, besides the parameters.

    Raises:
        UsageError: a notebook that cannot be executed, a damaged data set.
    """
    import importlib.util

    from mlcl_utils import data
    from mlcl_utils.batch import notebooks

    if importlib.util.find_spec("ipykernel") is None:
        raise UsageError("the package 'ipykernel' is missing from this environment; run make setup")
    for study, _ in chosen:
        notebooks.read(study.notebook)
    for dataset in dict.fromkeys(name for _, parameters in chosen for name in parameters.datasets):
        data.verify(dataset)


def _execute(
    chosen: Sequence[tuple[Study, StudyParameters]],
    given: Mapping[str, str],
    *,
    jobs: int,
    timeout: float | None,
    fail_fast: bool,
) -> int:
    from mlcl_utils import batch

    todo = [_job(study, parameters, given, jobs) for study, parameters in chosen]
    report = batch.run(todo, parallel=jobs, timeout=timeout, fail_fast=fail_fast)
    _summarise(report)
    return report.exit_status


def _job(study: Study, parameters: StudyParameters, given: Mapping[str, str], jobs: int) -> batch.Job:
    from mlcl_utils import batch
    from mlcl_utils.paths import shown

    values = parameters.model_dump(mode="json")
    passed = {"preset": parameters.preset, **{name: values[name] for name in given}}
    for name in ("results", "data_root"):
        if name in passed:
            passed[name] = shown(Path(values[name]))
    if jobs > 1 and parameters.workers is None:
        # Each kernel would otherwise take all cores.
        passed["workers"] = max(1, (os.cpu_count() or 1) // jobs)
    return batch.Job(
        name=study.name,
        notebook=study.notebook,
        parameters=passed,
        folder=study.folder(parameters),
        digest=lambda: study.digest(parameters),
    )


def _summarise(report: batch.Report) -> None:
    from mlcl_utils.paths import shown

    outcomes = report.outcomes
    print(
        f"\n{sum(outcome.good for outcome in outcomes)} of {len(outcomes)} complete, {report.seconds:.0f} s"
    )
    width = max(len(outcome.job.name) for outcome in outcomes)
    for outcome in outcomes:
        where = "" if outcome.status == "not started" else f"  {shown(outcome.job.folder)}"
        print(f"  {outcome.job.name:{width}}  {outcome.status:11}  {outcome.seconds:5.0f} s{where}")
    sys.stdout.flush()
    for outcome in outcomes:
        if not outcome.good:
            print(f"mlcl: {outcome.job.name} {outcome.status}: {outcome.reason}", file=sys.stderr)


def _dry_run(chosen: Sequence[tuple[Study, StudyParameters]]) -> None:
    from mlcl_utils import runs
    from mlcl_utils.paths import shown

    for study, parameters in chosen:
        grid = {config.id: config for config in study.grid(parameters)}
        pending = runs.pending(grid.values(), parameters.results)
        workers = min(parameters.workers or runs.default_workers(), max(1, len(pending)))
        known = sorted(run.timings["time_total"] for run in runs.Store(parameters.results))
        if not pending:
            estimate = "nothing to train"
        elif known:
            seconds = known[len(known) // 2] * len(pending) / workers
            estimate = f"about {_duration(seconds)} on {workers} worker{'s' if workers > 1 else ''}"
        else:
            estimate = "no stored run to estimate the time from"
        state = "up to date" if study.up_to_date(parameters) else "to be executed"
        print(f"{study.name} ({parameters.preset}): {state}, in {shown(study.folder(parameters))}")
        print(f"  runs to do {len(pending)}, existing {len(grid) - len(pending)}; {estimate}")


@_commands.command("list")
def _list() -> None:
    """The studies and their questions."""
    for study in _studies(()):
        print(f"{study.name}  {study.title}\n    {study.question}")


@_commands.command("show")
@click.argument("name", metavar="STUDY")
@_PRESET
@_RESULTS
def _show(name: str, preset: str | None, results: str | None) -> None:
    """A study's question, its parameters with their values in a preset, and its results."""
    from mlcl_utils.paths import shown
    from mlcl_utils.studies.parameters import describe

    (study,) = _studies((name,))
    given = _parameters((), preset=preset, results=results)
    parameters = study.resolve(given)
    grid = {config.id for config in study.grid(parameters)}
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


@_commands.command("losses")
def _losses() -> None:
    """The losses: what they take, their hyperparameters and defaults, their papers."""
    from mlcl_utils import losses

    for name, info in losses.available().items():
        print(f"{name}  ({info.family}; takes {', '.join(info.tensors)})\n    {info.paper}")
        for parameter, about in info.hyperparameters.items():
            print(f"    {parameter} = {about.default}: {about.description}")


@_commands.group("data", cls=_Commands, default="list")
def _data() -> None:
    """The data sets: what there is (list), whether it is whole (check), what is in one (show NAME)."""


@_data.command("list")
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
            print(f"{name:16}{data.version(name):18}{_size(size):>9}  {shown(folder)}")
        except DataError as error:
            print(f"{name:16}not here: {error}")


@_data.command("check")
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


@_data.command("show")
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


@_commands.group("runs", cls=_Commands, default="list")
def _runs() -> None:
    """The stored runs: their number and size (list); remove those that no study refers to (prune)."""


@_runs.command("list")
@_RESULTS
def _runs_list(results: str | None) -> None:
    """Number and size of the stored runs."""
    from mlcl_utils.paths import shown

    store = _store(results)
    folders = [run.folder for run in store]
    print(f"{len(folders)} runs, {_size(sum(map(_folder_size, folders)))}, in {shown(store.folder)}")


@_runs.command("prune")
@_RESULTS
@click.option("--dry-run", is_flag=True, help="Only say how many would be removed.")
def _runs_prune(results: str | None, dry_run: bool) -> None:
    """Remove the runs that no table of results names and no preset of a study asks for."""
    import shutil

    store = _store(results)
    wanted = _wanted(store.folder.parent)
    unwanted = [run.folder for run in store if run.folder.name not in wanted]
    size = sum(map(_folder_size, unwanted))
    if not dry_run:
        for folder in unwanted:
            shutil.rmtree(folder)
    print(f"{len(unwanted)} runs {'would be ' if dry_run else ''}removed, {_size(size)}")


def _store(results: str | None) -> runs.Store:
    from mlcl_utils import runs
    from mlcl_utils.studies.parameters import results_folder

    return runs.Store(results_folder(Path(results or "results")))


def _wanted(results: Path) -> set[str]:
    """Identities of the runs that a table of results names or a preset of a study asks for."""
    import csv

    wanted = set()
    for table in results.glob("*/*/runs.csv"):
        with table.open(newline="", encoding="utf-8") as stream:
            wanted |= {row["run"] for row in csv.DictReader(stream)}
    for study in _studies(()):
        for preset in study.presets:
            wanted |= {config.id for config in study.grid(study.resolve({"preset": preset}))}
    return wanted


@_commands.group("bench", cls=_Commands, default="losses")
def _bench() -> None:
    """Measurements of speed and memory."""


@_bench.command("losses")
@click.option(
    "--size", "sizes", metavar="N,L,D", multiple=True, help="Batch, labels, dimensions; may be repeated."
)
@click.option(
    "--repeats", metavar="N", type=click.IntRange(min=1), default=7, help="Of each measurement (7)."
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where to measure (cpu).")
@click.option(
    "--out", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Also table and plot."
)
def _bench_losses(sizes: tuple[str, ...], repeats: int, device: str, out: Path | None) -> None:
    """Time and memory of the losses, beside the forms that their formulas suggest."""
    chosen = [_bench_size(word) for word in sizes]
    from mlcl_utils import bench

    bench.losses(chosen or bench.SIZES, out=out, repeats=repeats, device=device)


def _bench_size(word: str) -> tuple[int, int, int]:
    numbers = word.split(",")
    if len(numbers) != 3 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise UsageError(f"--size '{word}' is not three whole numbers above 0, such as 256,100,256")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
