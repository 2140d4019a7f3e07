"""One execution of a study's notebook: its runs, the frames that are measured on them, and the manifest.

    study = studies.start("06_kernel_mixture", globals())
    runs = study.run()
    scores, comparisons = study.scores, study.comparisons

Everything that a notebook shows is a view of these frames; docs/frames.md lists their columns.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pandas as pd

from mlcl_utils import data, markup
from mlcl_utils.errors import UsageError
from mlcl_utils.files import State, state, write_csv
from mlcl_utils.paths import shown
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import comparisons, published, scores
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.manifest import (
    MANIFEST,
    commit,
    file_digest,
    package_versions,
    processor,
    write_manifest,
)
from mlcl_utils.studies.parameters import describe, in_notebook
from mlcl_utils.studies.runs import Trained
from mlcl_utils.studies.scores import Arms
from mlcl_utils.studies.values import writable_results

T = TypeVar("T")


@dataclass(frozen=True)
class Measures:
    """What a study measures on its runs; ``MEASURES`` in its module ``measures``.

    Attributes:
        comparisons: what is compared.
        metrics: of every arm and head.
        representation: metrics of the representation itself, which no head reads.
        heads: what a representation is read with.
        arm: the arm that a run with a loss is of, at given parameters; a baseline has no settings of its own.
        among: the arms that one is ranked with, as that which they share; None for one that is not ranked.
        train: how the runs are made.
    """

    comparisons: Callable[[Execution], Iterable[Comparison]]
    metrics: Sequence[str] = ()
    representation: Sequence[str] = ()
    heads: Sequence[str] = scores.HEADS
    arm: Callable[[RunConfig, Any], Arm] = lambda config, parameters: Arm.of(config)
    among: Callable[[Arm], Arm | None] = lambda arm: arm.task
    train: Callable[[Study, Any, Path], Trained] = study_runs.train


@dataclass(eq=False)
class Execution:
    """One execution of a study's notebook, from its first cell to its last.

    The frames are measured when they are first asked for, once, and written into the results folder.

    Attributes:
        study: the study.
        parameters: its resolved parameters.
        folder: where its results go.
        trained: its runs; there once :meth:`run` has ended.
        kept: what functions with :func:`once` have measured.
    """

    study: Study
    parameters: Any  # of the study's own class
    folder: Path
    trained: Trained = field(init=False)
    kept: dict[Callable[..., Any], Any] = field(init=False, default_factory=dict)
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Of a clock that nobody sets, unlike the other, which says what time it is.
    _begun: float = field(default_factory=time.perf_counter)
    # What an earlier execution has left, as the file system knows it: its clock may be another than this machine's.
    _before: dict[Path, State] = field(init=False)

    def __post_init__(self) -> None:
        self._before = {path: state(path) for path in _files(self.folder)}

    def run(self) -> pd.DataFrame:
        """Train the runs that do not exist yet; the frame of runs, which is written to ``runs.csv``.

        Raises:
            RuntimeError: no training of the study succeeded.
        """
        self.trained = self.measures.train(self.study, self.parameters, self.folder)
        if self.parameters.repeated is not None:
            names = {claim.id for claim in published.of(self.study.name)}
            claimed = {
                arm for each in self.measures.comparisons(self) if each.name in names for arm in each.arms
            }
            self.trained = study_runs.repeat(
                self.study,
                self.parameters,
                self.trained,
                lambda config: self.arm(config) in claimed,
                self.folder,
            )
        rows = study_runs.frame(self.study.name, self.trained)
        write_csv(self.folder / "runs.csv", rows)
        return rows

    @cached_property
    def measures(self) -> Measures:
        """What the study measures."""
        found: Measures = self.study.part("measures").MEASURES
        return found

    def __getattr__(self, name: str) -> Any:
        if name == "trained":
            raise UsageError("the study has no runs yet; call study.run() first")
        raise AttributeError(name)

    def arm(self, config: RunConfig) -> Arm:
        """The arm of a run."""
        return Arm.of(config) if config.is_baseline else self.measures.arm(config, self.parameters)

    @cached_property
    def arms(self) -> Arms:
        """The runs of every arm, in the order of their replicates."""
        return study_runs.arms(self.trained.grid, self.arm)

    @cached_property
    def repeated(self) -> Arms:
        """The same, with all runs of the arms that a claim compares."""
        return {**self.arms, **study_runs.arms(self.trained.repeated, self.arm)}

    @cached_property
    def lost(self) -> dict[Arm, list[RunConfig]]:
        """The runs that failed, by arm."""
        return study_runs.lost(self.trained.grid, self.arm)

    @cached_property
    def lost_repeated(self) -> dict[Arm, list[RunConfig]]:
        """The same, with those of the arms that a claim compares."""
        return {**study_runs.lost(self.trained.repeated, self.arm), **self.lost}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The frame of scores (:func:`mlcl_utils.studies.scores.frame`), written to ``scores.csv``."""
        own = self.measures
        rows = scores.frame(self.arms, own.metrics, own.heads, own.representation, own.among)
        write_csv(self.folder / "scores.csv", rows)
        return rows

    @cached_property
    def points(self) -> pd.DataFrame:
        """The replicates behind the scores (:func:`mlcl_utils.studies.scores.points`)."""
        own = self.measures
        return scores.points(self.arms, own.metrics, own.heads, own.representation)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """The frame of comparisons (:func:`mlcl_utils.studies.comparisons.frame`), written to ``comparisons.csv``."""
        declared = list(self.measures.comparisons(self))
        rows = comparisons.frame(
            self.study.name, declared, self.arms, self.lost, self.repeated, self.lost_repeated
        )
        absent = [
            name for name in dict.fromkeys(each.name for each in declared) if name not in set(rows["name"])
        ]
        if absent:
            print(f"not compared, since an arm is not among those of these parameters: {', '.join(absent)}")
        write_csv(self.folder / "comparisons.csv", rows)
        return rows

    def finish(
        self,
        *,
        device: str | None = None,
        seeds: Sequence[int] | None = None,
        compute: Mapping[str, float] | None = None,
    ) -> Path:
        """Write the manifest of what this execution has left in its folder.

        Args:
            device: what was trained on, such as ``"cpu"`` or the name of a GPU; not given: what the runs say.
            seeds: the seeds of the replicates; not given: those of the runs.
            compute: totals over the runs that the results stand on, failures included, such as
                ``{"runs": 40, "failed": 1, "seconds": 81.5}``; not given: those of the runs.

        Figures and tables that were there at the start and have not been written since are removed.

        Returns:
            The path of the manifest. It lists name and SHA-256 of every file written since the start, in the order
            in which they were written.
        """
        finished, seconds = datetime.now(UTC), time.perf_counter() - self._begun
        new = []
        for path in _files(self.folder):
            if self._before.get(path) != state(path):
                new.append(path)
            elif path.parent.name in ("figures", "tables"):
                path.unlink()  # it would pass for one of this execution
        written = {
            path.relative_to(self.folder).as_posix(): file_digest(path)
            for path in sorted(new, key=lambda path: (path.stat().st_mtime_ns, path))
        }
        for name in (MANIFEST, "notebook.ipynb", "notebook.html"):
            written.pop(name, None)
        return write_manifest(
            self.folder,
            {
                "study": self.study.name,
                "version": self.study.version,
                "preset": self.parameters.preset,
                "parameters": self.parameters.that_matter(),
                "commit": commit(),
                "python": platform.python_version(),
                "platform": platform.platform(),
                "packages": package_versions(),
                "processor": processor(),
                "device": device or self.trained.grid.runs[0].environment["device"],
                "cpu_count": os.cpu_count(),
                "seeds": sorted({run.config.seed for run in self.trained.grid.runs})
                if seeds is None
                else list(seeds),
                "data": {
                    name: data.version(name, self.parameters.data_root) for name in self.parameters.datasets
                },
                "started": self._started.isoformat(timespec="seconds"),
                "finished": finished.isoformat(timespec="seconds"),
                "time_wall": round(seconds, 3),
                "compute": dict(self.trained.compute if compute is None else compute),
                "files": written,
            },
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def begin(
    study: Study, given: Mapping[str, Any], namespace: Mapping[str, Any] = MappingProxyType({})
) -> Execution:
    """Resolve the parameters of a study, print them and open its results folder.

    The manifest of an earlier execution is removed: it would vouch for files that are now being replaced.

    Args:
        study: the study.
        given: its parameters.
        namespace: the global names of its notebook, which are asked for those not given.

    Raises:
        UsageError: as `Study.resolve`, or as :func:`mlcl_utils.studies.parameters.in_notebook`; or results cannot be
            written there.
    """
    given = {**in_notebook(study.name, study.Parameters, namespace), **given}
    import matplotlib  # in a notebook, unlike on the command line, it is wanted anyway

    matplotlib.rcdefaults()  # a figure is shown as it is saved, whatever a user's own settings
    pd.set_option("display.max_colwidth", None)  # tables show their texts whole
    pd.set_option("display.html.use_mathjax", False)  # and a dollar sign in a name as it is
    parameters = study.resolve(given)
    writable_results(parameters.results)
    folder = study.folder(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    print(f"{study.name}: {study.title}")
    print(describe(parameters, given))
    for name in parameters.datasets:
        data.keep(name, parameters.data_root)  # for the processes that train
        for note in parameters.dataset(name).notes:
            print(markup.terminal(f"  {name}: {note}"))
    if parameters.preset == "paper":
        for deviation in study.deviations:
            print(f"  deviation from the original paper: {deviation}")
    print(markup.terminal(f"  results in {shown(folder)}"), flush=True)
    return Execution(study, parameters, folder)


def once(measure: Callable[[Execution], T]) -> Callable[[Execution], T]:
    """A function of an execution that is measured once, however often it is called."""

    @functools.wraps(measure)
    def kept(study: Execution) -> T:
        if measure not in study.kept:
            study.kept[measure] = measure(study)
        found: T = study.kept[measure]
        return found

    return kept
