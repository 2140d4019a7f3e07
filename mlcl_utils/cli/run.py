"""``mlcl run``: executing the notebooks of studies."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import PRESET, RESULTS
from mlcl_utils.errors import UsageError

if TYPE_CHECKING:
    from mlcl_utils import batch
    from mlcl_utils.studies.base import Study, StudyParameters


class Planned(NamedTuple):
    """An execution of a study: its parameters, resolved and as they were given."""

    study: Study
    parameters: StudyParameters
    given: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where its results go."""
        return self.study.folder(self.parameters)


@click.command("run")
@click.argument("names", metavar="[STUDY]...", nargs=-1)
@PRESET
@click.option(
    "-p", "given", metavar="NAME=VALUE", multiple=True, help="A parameter; lists as [10,30] or 10,30."
)
@click.option("--sweep", metavar="FILE", help="A YAML list of entries: a study each, with its parameters.")
@click.option("--jobs", metavar="N", type=common.whole(1), default=1, help="Notebooks at a time (1).")
@RESULTS
@click.option("--engine", metavar="ENGINE", help="Where runs are computed: local (the default) or ray.")
@click.option(
    "--timeout", metavar="S", type=common.Number(min=0, min_open=True), help="Seconds for each study."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first study that fails.")
@click.option("--dry-run", is_flag=True, help="Only say which runs there are to do.")
def run(
    names: tuple[str, ...],
    preset: str | None,
    given: tuple[str, ...],
    sweep: str | None,
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
    parameters = common.parameters(given, preset=preset, results=results, engine=engine)
    if sweep is not None and names:
        raise UsageError(f"study '{names[0]}' and --sweep: name the studies in the sweep file")
    planned = _plan(names, parameters) if sweep is None else _swept(Path(sweep), parameters)
    _check(planned)
    if dry_run:
        _dryrun(planned)
        return 0
    return _execute(planned, jobs=min(jobs, len(planned)), timeout=timeout, fail_fast=fail_fast)


def _plan(names: Sequence[str], given: Mapping[str, Any]) -> list[Planned]:
    return [Planned(study, study.resolve(given), given) for study in common.studies(names)]


def _swept(file: Path, given: Mapping[str, Any]) -> list[Planned]:
    """What a sweep file asks for; parameters of the command line go to all of its entries.

    Raises:
        UsageError: something is wrong with an entry; the message says with which.
    """
    from mlcl_utils.batch import sweep
    from mlcl_utils.paths import shown

    planned: list[Planned] = []
    folders: dict[Path, int] = {}
    for number, entry in enumerate(sweep.read(file), start=1):
        try:
            name = entry.pop("study")
            for twice in sorted(entry.keys() & given.keys()):
                raise UsageError(f"parameter '{twice}' is given here and on the command line")
            (one,) = _plan([name], {**entry, **given})
            earlier = folders.setdefault(one.folder, number)
            if earlier != number:
                raise UsageError(f"the same as entry {earlier}")
        except UsageError as error:
            raise UsageError(f"{shown(file)}, entry {number}: {error}") from None
        planned.append(one)
    return planned


def _check(planned: Sequence[Planned]) -> None:
    """What has to be right before a kernel starts, besides the parameters.

    Raises:
        UsageError: a notebook that cannot be executed, results that cannot be written, a damaged data set, a wrong
            number of cores.
    """
    import importlib.util

    from mlcl_utils import data, processes
    from mlcl_utils.batch import notebooks
    from mlcl_utils.studies.values import writable_results

    if importlib.util.find_spec("ipykernel") is None:
        raise UsageError("the package 'ipykernel' is missing from this environment; run make setup")
    processes.cores()  # refused here, and not by a kernel
    for notebook in dict.fromkeys(one.study.notebook for one in planned):
        notebooks.read(notebook)
    for results in dict.fromkeys(one.parameters.results for one in planned):
        writable_results(results)
    sets = {(name, one.parameters.data_root) for one in planned for name in one.parameters.datasets}
    for name, root in sorted(sets, key=str):
        data.verify(name, root)


def _execute(planned: Sequence[Planned], *, jobs: int, timeout: float | None, fail_fast: bool) -> int:
    from mlcl_utils import batch

    times = Counter(one.study.name for one in planned)
    todo = [_job(one, alone=times[one.study.name] == 1) for one in planned]
    report = batch.run(todo, parallel=jobs, timeout=timeout, fail_fast=fail_fast)
    _summarise(report)
    return report.exit_status


def _job(one: Planned, *, alone: bool) -> batch.Job:
    from mlcl_utils import batch
    from mlcl_utils.paths import shown

    study, parameters = one.study, one.parameters
    values = parameters.model_dump(mode="json")
    passed = {"preset": parameters.preset, **{name: values[name] for name in one.given}}
    for name in ("results", "data_root"):
        if passed.get(name) is not None:
            passed[name] = shown(Path(passed[name]))
    return batch.Job(
        name=study.name if alone else f"{study.name}/{one.folder.name}",
        notebook=study.notebook,
        parameters=passed,
        folder=one.folder,
        digest=lambda: study.digest(parameters),
        last=study.last,
    )


def _summarise(report: batch.Report) -> None:
    from mlcl_utils.batch.progress import counted
    from mlcl_utils.paths import shown
    from mlcl_utils.runs.progress import Counts

    outcomes = report.outcomes
    counts = sum((outcome.runs for outcome in outcomes), Counts())
    print(
        f"\n{sum(outcome.good for outcome in outcomes)} of {len(outcomes)} complete; {counted(counts)}; "
        f"wall time {common.duration(report.seconds)}, compute {common.duration(counts.compute)}"
    )
    width = max(len(outcome.job.name) for outcome in outcomes)
    for outcome in outcomes:
        where = "" if outcome.status == "not started" else f"  {shown(outcome.job.folder)}"
        told = f"; {counted(outcome.runs)}" if outcome.runs.total else ""
        common.say(
            f"  {outcome.job.name:{width}}  {outcome.status:11}  {outcome.seconds:5.0f} s{where}{told}"
        )
    sys.stdout.flush()
    for outcome in outcomes:
        if not outcome.good:
            common.complain(f"{outcome.job.name} {outcome.status}: {outcome.reason}")


def _dryrun(planned: Sequence[Planned]) -> None:
    from mlcl_utils import runs
    from mlcl_utils.paths import shown

    for one in planned:
        study, parameters = one.study, one.parameters
        grid = {config.id: config for config in study.runs(parameters)}
        pending = runs.pending(grid.values(), parameters.results)
        workers = min(parameters.workers or runs.default_workers(), max(1, len(pending)))
        known = sorted(run.timings["time_total"] for run in runs.Store(parameters.results))
        if not pending:
            estimate = "nothing to train"
        elif known:
            seconds = known[len(known) // 2] * len(pending) / workers
            estimate = f"about {common.duration(seconds)} on {workers} worker{'s' if workers > 1 else ''}"
        else:
            estimate = "no stored run to estimate the time from"
        state = "up to date" if study.up_to_date(parameters) else "to be executed"
        common.say(f"{study.name} ({parameters.preset}): {state}, in {shown(one.folder)}")
        print(f"  runs to do {len(pending)}, existing {len(grid) - len(pending)}; {estimate}")
        if (parameters.trials or 1) > 1:
            print(
                f"  not counted: {parameters.trials} trials for all that is tuned, and the runs with what they choose"
            )
