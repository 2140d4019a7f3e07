"""``mlcl run``: executing the notebooks of studies."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import PRESET, RESULTS
from mlcl_utils.errors import UsageError

if TYPE_CHECKING:
    from mlcl_utils import batch
    from mlcl_utils.studies.base import Study, StudyParameters


@click.command("run")
@click.argument("names", metavar="[STUDY]...", nargs=-1)
@PRESET
@click.option(
    "-p", "given", metavar="NAME=VALUE", multiple=True, help="A parameter; lists as [10,30] or 10,30."
)
@click.option("--jobs", metavar="N", type=click.IntRange(min=1), default=1, help="Notebooks at a time (1).")
@RESULTS
@click.option("--engine", metavar="ENGINE", help="What carries out the runs: local.")
@click.option(
    "--timeout", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Seconds for each study."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first study that fails.")
@click.option("--dry-run", is_flag=True, help="Only say which runs there are to do.")
def run(
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
    parameters = common.parameters(given, preset=preset, results=results, engine=engine)
    chosen = [(study, study.resolve(parameters)) for study in common.studies(names)]
    _check(chosen)
    if dry_run:
        _dryrun(chosen)
        return 0
    return _execute(chosen, parameters, jobs=jobs, timeout=timeout, fail_fast=fail_fast)


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


def _dryrun(chosen: Sequence[tuple[Study, StudyParameters]]) -> None:
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
            estimate = f"about {common.duration(seconds)} on {workers} worker{'s' if workers > 1 else ''}"
        else:
            estimate = "no stored run to estimate the time from"
        state = "up to date" if study.up_to_date(parameters) else "to be executed"
        print(f"{study.name} ({parameters.preset}): {state}, in {shown(study.folder(parameters))}")
        print(f"  runs to do {len(pending)}, existing {len(grid) - len(pending)}; {estimate}")
