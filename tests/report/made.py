"""Results folders as studies and batches leave them: whole, failed, interrupted, empty, old."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd

from mlcl_utils import batch, figures, losses, studies
from mlcl_utils.batch import Job, notebooks
from mlcl_utils.figures import style
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.manifest import complete

STUDY = "02_label_space"
NOTEBOOKS = Path(__file__).parents[1] / "batch" / "notebooks"

MANY = "With many labels, contrastive losses are ahead on macro-F1."
FEW = "With few labels, losses of the BCE type are ahead."
BEST = "An intermediate temperature is best."

CLAIMS = [
    # claim, statement, study, dataset, task, arms, metric, estimate, lower, upper, margin, unit, test, verdict, reason,
    # remark, setting
    ("many_labels", MANY, "02_label_space", "debtags", "debtags, 300 labels", "REG − BCE", "macro_f1",
     1.9, 1.2, 2.6, 1.0, "points", "superiority", "holds", "", "below baseline: ASL", "changed"),
    ("many_labels", MANY, "02_label_space", "emoji", "emoji, 100 labels", "MSC − ASL", "macro_f1",
     -2.4, -3.6, -1.2, 1.0, "points", "superiority", "opposite", "", "", "changed"),
    ("few_labels", FEW, "02_label_space", "debtags", "debtags, 10 labels", "BCE − MSC", "macro_f1",
     0.1, -0.4, 0.6, 1.0, "points", "superiority", "no material effect", "", "", "changed"),
    ("few_labels", FEW, "02_label_space", "emoji", "emoji, 10 labels", "BCE − MSC", "macro_f1",
     0.9, -0.9, 2.7, 1.0, "points", "superiority", "open", "", "", "changed"),
    ("few_labels", FEW, "02_label_space", "fashion-scenes", "fashion-scenes, 10 labels", "BCE − REG", "macro_f1",
     0.4, "", "", 1.0, "points", "superiority", "not judged", "2 replicates, 5 are needed", "", "changed"),
    ("clml", "CLML helps any base loss: “any” < all & every one.", "01_missing_labels", "debtags", "debtags, 40% kept",
     "SPLC + CLML − SPLC", "map", 0.8, 0.2, 1.4, 0.5, "points", "superiority", "open", "", "", "same"),
    ("hyperband", "Hyperband needs a tenth of random search's resources.", "05_hyperband", "debtags", "debtags, REG",
     "random search / Hyperband", "resource", 3.1, 2.2, 4.4, 10.0, "", "ratio", "opposite", "", "", "same"),
    ("temperature", BEST, "04_temperature", "debtags", "debtags", "τ* − τ at an end", "map",
     1.4, 0.9, 2.0, 0.5, "points", "superiority", "holds", "", "", "same"),
    ("temperature", BEST, "04_temperature", "emoji", "emoji", "", "map",
     "", "", "", 0.5, "points", "superiority", "not judged", "not measured at these parameters", "", "same"),
]  # fmt: skip


def whole(results: Path, *, preset: str = "quick", study: str = "02_label_space") -> Path:
    """Complete results with two figures, two tables, forty runs and an executed notebook, vouched for.

    The manifest is the study's own, so that a change of its form reaches the tests.
    """
    registered = studies.get("02_label_space")
    parameters = registered.resolve({"preset": preset, "results": str(results)})
    folder = results / study / preset
    folder.mkdir(parents=True)
    execution = Execution(registered, parameters, folder)
    for name in ("number_of_labels", "amount_of_data"):
        _draw(folder, name)
    for name in ("results_map", "tasks"):
        frame = pd.DataFrame({"loss": ["BCE", "REG"], "estimate": [0.5123456, 1e-5], "note": ["<b>", ""]})
        figures.save_table(figures.tables.plain(frame), folder / "tables", name, data=frame)
    _runs(folder)
    execution.finish(
        device="cpu", seeds=[0, 1], compute={"runs": 40, "failed": 1, "existed": 3, "seconds": 81.5}
    )
    notebooks.save(_notebook(registered.title, registered.question), folder)
    complete(folder, registered.digest(parameters), (notebooks.NOTEBOOK, notebooks.PAGE))
    return folder


def _draw(folder: Path, name: str) -> None:
    frame = pd.DataFrame(
        {"x": [10, 100, 300] * 2, "y": np.linspace(0.9, 0.4, 6), "loss": ["bce"] * 3 + ["reg"] * 3}
    )
    figure, axes = style.figure(1, 2)
    for loss, rows in frame.groupby("loss"):
        for ax in axes.flat:
            ax.plot(rows["x"], rows["y"], label=loss)
    axes[0, 0].set_xlabel(name.replace("_", " "))
    figures.save(figure, folder / "figures", name, data={"intervals": frame, "points": frame})
    plt.close(figure)


def _runs(folder: Path) -> None:
    head = [
        "study",
        "dataset",
        "num_labels",
        "replicate",
        "loss",
        "run",
        "probe_map",
        "probe_macro_f1",
        "time_total",
    ]
    with (folder / "runs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        for at in range(40):
            loss, k = losses.names()[at % 4], (10, 300)[at // 20]
            found = ["" if at == 7 else 0.3 + at / 100, 0.9 - at / 100]
            writer.writerow(
                ["02_label_space", "debtags", k, at // 4 % 5, loss, f"{at:016x}", *found, 1.25 * at]
            )


def _notebook(title: str, question: str) -> nbformat.NotebookNode:
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}\n\n**Question.** {question}"),
        nbformat.v4.new_code_cell("preset = 'quick'", metadata={"tags": ["parameters"]}, execution_count=1),
        nbformat.v4.new_markdown_cell("## Result\n\nWith $x^2$."),
        nbformat.v4.new_code_cell("study.finish()", execution_count=2),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def claims(results: Path, *, preset: str = "quick") -> Path:
    """What the ledger leaves beside results of its own, and what the label-space study leaves for it."""
    folder = whole(results, preset=preset, study="00_claims")
    _claims(folder, CLAIMS)
    _claims(results / "02_label_space" / preset, [row for row in CLAIMS if row[2] == "02_label_space"])
    return folder


def _claims(folder: Path, rows: Sequence[Sequence[Any]]) -> None:
    columns = [
        "claim",
        "statement",
        "study",
        "dataset",
        "task",
        "arms",
        "metric",
        "estimate",
        "lower",
        "upper",
    ]
    columns += ["margin", "unit", "test", "verdict", "reason", "remark", "setting"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["source"] = "Audibert, Gauffre, Amini, arXiv 2412.00101"
    frame["where"] = "abstract"
    figures.save_table("", folder / "tables", "claims", data=frame)


def failed(results: Path, *, preset: str = "smoke", timeout: float | None = None) -> Path:
    """What a batch leaves of a notebook with a cell that fails or, with a timeout, of one that waits."""
    folder = results / "02_label_space" / preset
    name = "fails" if timeout is None else "waits"
    batch.run([Job(name, NOTEBOOKS / f"{name}.ipynb", {"marks": str(results)}, folder)], timeout=timeout)
    for mark in results.glob("begun-*"):
        mark.unlink()
    return folder


def older(results: Path) -> Path:
    """Results of an earlier version of the study, with a manifest that knows less and lists no digest."""
    folder = whole(results, preset="standard")
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("compute", "seeds", "device", "digest"):
        del manifest[name]
    manifest["version"] = 0
    manifest["data"] = {"debtags": "0-abc"}
    manifest["packages"]["mlcl-studies"] = "0.0.1"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(folder / "tables")
    return folder


def everything(results: Path) -> Path:
    """Complete results, a ledger of claims, and results in every other state; returns the folder of results."""
    whole(results)
    claims(results)
    older(results)
    failed(results)
    failed(results, preset="quick-0123abcd", timeout=6)
    (results / "02_label_space" / "paper").mkdir()
    whole(results, study="07 odd & <retired> #1")
    return results
