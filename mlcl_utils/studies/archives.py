"""Archives of a study's runs, and what its models did on every label, beside its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlcl_utils import metrics
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import shown
from mlcl_utils.runs import Run, Store, archive
from mlcl_utils.runs.execute import task_for
from mlcl_utils.studies import runs as study_runs
from mlcl_utils.studies import scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.execution import Measures
from mlcl_utils.studies.parameters import StudyParameters

PER_LABEL = "per_label.parquet"


def make(study: Study, parameters: StudyParameters) -> tuple[Path | None, int]:
    """Archive the finished runs of a study that no shard holds yet; the shard, and how many runs all shards hold.

    A study that is not finished can be archived as often as one likes. A table of what every run's probe makes of
    every label, ``per_label.parquet``, is written next to it from the runs whose scores are here.

    Raises:
        UsageError: the study has no runs.
    """
    folder = study.folder(parameters)
    ids = study_runs.asked(parameters.results, folder)
    members = list(Store(parameters.results).of(ids))
    if not members:
        raise UsageError(f"{study.name} has no runs for {shown(folder)} yet; mlcl run {study.name}")
    measures: Measures = study.part("measures").MEASURES
    path = archive.write(folder / archive.FOLDER, members, _resampled(measures))
    labelled = [
        run for run in members if (run.folder / "scores.safetensors").is_file() and run.config.stop is None
    ]
    if labelled:
        _write_labels(folder / PER_LABEL, labelled)
    return path, len(members)


def _resampled(measures: Measures) -> set[str]:
    """The metrics of which frames use resamples: those of the scores, and those of comparisons besides."""
    heads = dict.fromkeys((*measures.heads, *scores.HEADS, *scores.SOURCE_HEADS))
    names = dict.fromkeys((*measures.metrics, "map", "macro_f1_per_label", "macro_f1_half", "ranking_loss"))
    return {scores.column(head, metric) for head in heads for metric in names}


def _write_labels(path: Path, members: Sequence[Run]) -> None:
    """Adds the runs that the table does not have yet; columns as :func:`_labels` says."""
    before = pd.read_parquet(path) if path.is_file() else pd.DataFrame()
    known = set(before["run"]) if len(before) else set()
    new = [row for run in members if run.config.id not in known for row in _labels(run)]
    if not new:
        return
    table = pd.concat([before, pd.DataFrame(new)], ignore_index=True)
    texts = ["run", "arm", "dataset", "encoder", "loss", "label"]
    table = table.astype(dict.fromkeys(texts, "category") | {"ap": "float32", "f1": "float32"})
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False, compression="zstd")


def _labels(run: Run) -> list[dict[str, Any]]:
    """What a run's probe, or the head of a baseline, makes of every label of the test part."""
    task, stored = task_for(run.config), run.scores()
    head = "probe" if "probe.test" in stored else "direct"
    validation, test = (stored[f"{head}.{split}"].astype(np.float32) for split in ("validation", "test"))
    thresholds = metrics.tune_thresholds(task.validation.apparent, validation)
    precision = metrics.average_precision(task.test.labels, test)
    f1 = metrics.label_f1(task.test.labels, test >= thresholds.per_label)
    arm, positives = Arm.of(run.config), (task.test.labels == 1).sum(axis=0)
    own: dict[str, Any] = {
        "run": run.config.id,
        "arm": f"{arm.loss}, {arm.describe()}",
        "dataset": arm.dataset,
        "encoder": arm.encoder,
    }
    own |= {"loss": arm.loss, "split": run.config.replicate, "seed": run.config.seed}
    return [
        {**own, "label": name, "positives": int(count), "ap": ap, "f1": each}
        for name, count, ap, each in zip(task.label_names, positives, precision, f1, strict=True)
    ]
