"""Tables and figures of the study of images versus text, from its runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import data, figures
from mlcl_utils.data import Dataset
from mlcl_utils.figures import style
from mlcl_utils.stats import Interval
from mlcl_utils.studies import drawing, scores, tables, wording
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.vision_text import Pair, VisionTextParameters
from mlcl_utils.studies.vision_text.figures import COMPARED
from mlcl_utils.studies.vision_text.reading import (
    HEADS,
    METRICS,
    CarryOver,
    Lead,
    Summary,
    best_leads,
    carry_overs,
    leads,
    names,
    reference,
)


def _parameters(study: Execution) -> VisionTextParameters:
    assert isinstance(study.parameters, VisionTextParameters)
    return study.parameters


def _both(parameters: VisionTextParameters, pair: Pair) -> tuple[tuple[Dataset, Dataset], ...]:
    """The data sets of a pair, each first."""
    text, image = parameters.dataset(pair.text), parameters.dataset(pair.image)
    return (text, image), (image, text)


def tasks(study: Execution) -> pd.DataFrame:
    """How well the tasks of each pair are matched, for the first replicate; also written as a table."""
    parameters, rows = _parameters(study), []
    for pair in parameters.pairs:
        matched = [
            data.matched_task(*sides, num_labels=parameters.labels_of(pair))
            for sides in _both(parameters, pair)
        ]
        for part in ("train", "validation", "test"):
            labels = [getattr(task, part).labels == 1 for task in matched]
            counts = [each.sum(axis=0) for each in labels]
            rows.append(
                {
                    "pair": pair.describe(),
                    "part": part,
                    "examples": len(labels[0]),
                    "labels": labels[0].shape[1],
                    **{
                        f"{kind} {name}": value
                        for kind, each in zip(("text", "image"), matched, strict=True)
                        for name, value in (
                            ("groups", len(np.unique(getattr(each, part).groups))),
                            (
                                "cardinality",
                                round(float((getattr(each, part).labels == 1).sum(axis=1).mean()), 3),
                            ),
                        )
                    },
                    "positives": f"{min(map(min, counts))} to {max(map(max, counts))}",
                    "largest difference": int(np.abs(counts[0] - counts[1]).max()),
                }
            )
    table = pd.DataFrame(rows)
    figures.save_table(figures.tables.plain(table), study.folder / "tables", "tasks", data=table)
    return table.set_index(["pair", "part"])


def labels(study: Execution) -> pd.DataFrame:
    """The labels of the same rank of each pair, with their training positives, for the first replicate."""
    parameters, rows = _parameters(study), []
    for pair in parameters.pairs:
        text, image = (
            data.matched_task(*sides, num_labels=parameters.labels_of(pair))
            for sides in _both(parameters, pair)
        )
        for rank in range(min(8, len(text.label_names))):
            rows.append(
                {
                    "pair": pair.describe(),
                    "rank": rank + 1,
                    "text": text.label_names[rank],
                    "positives": int(text.frequency[rank]),
                    "image": image.label_names[rank],
                    "its positives": int(image.frequency[rank]),
                }
            )
    return pd.DataFrame(rows).set_index(["pair", "rank"])


def arms(study: Execution) -> pd.DataFrame:
    """The losses and baselines that are compared."""
    return tables.arms(study.parameters.losses)


def results_table(study: Execution, summary: Summary, metric: str) -> pd.DataFrame:
    """One metric of every arm on both tasks of every pair, by head."""
    return tables.results_table(study, summary.arms, summary.intervals, metric, name=f"results_{metric}")


def correlations_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """How far the order of losses carries over, beside its ceiling; also written as a table."""
    found = carry_overs(summary)
    rows = [
        {
            "pair": each.pair.describe(),
            "metric": each.metric,
            "head": each.head,
            "losses": " ".join(each.losses),
            "left_out": " ".join(each.left_out),
            "lost": " ".join(each.lost),
            **{
                f"{name}_{column}": value
                for name, interval in _intervals(each).items()
                for column, value in scores.as_row(interval).items()
                if column != "replicates"
            },
            "verdict": each.verdict,
        }
        for each in found
    ]
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    shown = pd.DataFrame(
        [
            {
                "pair": each.pair.describe(),
                "metric": style.metric(each.metric).label,
                "read by": HEADS[each.head],
                "losses": len(each.losses),
                **{name: wording.signed(interval) for name, interval in _intervals(each).items()},
                "verdict": each.verdict,
            }
            for each in found
        ]
    )
    figures.save_table(figures.tables.plain(shown), study.folder / "tables", "correlations", data=table)
    return shown.set_index(["pair", "metric", "read by"])


def _intervals(each: CarryOver) -> dict[str, Interval]:
    return {
        "between": each.between,
        "within texts": each.text,
        "within images": each.image,
        "shortfall": each.shortfall,
    }


def leads_table(study: Execution, summary: Summary) -> pd.DataFrame:
    """Leads over the reference in points on texts and on images, read with the probe; also written as a table."""
    found = [*best_leads(summary), *leads(summary)]
    rows = [_row(summary, each) for each in found]
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    shown = pd.DataFrame(
        [
            {
                "pair": each.pair.describe(),
                "metric": style.metric(each.metric).label,
                "lead": each.first if "−" in each.first else style.look(each.first).label,
                "on texts": wording.in_points(each.text),
                "on images": wording.in_points(each.image),
                "agreement": each.agreement,
            }
            for each in found
        ]
    )
    figures.save_table(figures.tables.plain(shown), study.folder / "tables", "leads", data=table)
    return shown.set_index(["pair", "metric", "lead"])


def _row(summary: Summary, each: Lead) -> dict[str, object]:
    return {
        "pair": each.pair.describe(),
        "metric": each.metric,
        "loss": each.first,
        "reference": reference(names(summary, each.pair)),
        **{
            f"{kind}_{column}": value
            for kind, interval in (("text", each.text), ("image", each.image))
            for column, value in scores.as_row(interval).items()
            if column != "replicates"
        },
        "agreement": each.agreement,
    }


def plot_carry_over(study: Execution, summary: Summary) -> Figure | None:
    """The lead of each loss on images against that on texts; None where nothing can be paired."""
    rows = [_row(summary, each) for each in leads(summary)]
    if not rows:
        return None
    return drawing.draw(study, "carry_over", {"leads": pd.DataFrame(rows)})


def plot_correlations(study: Execution, summary: Summary) -> Figure | None:
    """Rank correlations between modalities and within each, read with the probe; None where there are none."""
    rows = [
        {
            "pair": each.pair.describe(),
            "metric": each.metric,
            "compared": name,
            **scores.as_row(getattr(each, name)),
        }
        for each in carry_overs(summary)
        if each.head == "probe"
        for name in COMPARED
    ]
    if not rows:
        return None
    return drawing.draw(study, "correlations", {"correlations": pd.DataFrame(rows)})


def reviewers_list(study: Execution, summary: Summary) -> Markdown:
    """What a reviewer asks for, from the runs themselves."""
    return tables.reviewers_list(
        study,
        summary.carried,
        exclusions="Examples are subsampled so that both tasks of a pair are alike, see the first table.",
        deviations="Matched subsamples instead of whole sets; frozen features instead of encoders trained end to end;"
        " hyperparameters that tuning chose on the whole sets, where the preset tunes.",
        limits=f"Whether it is the modality that matters: two sets differ in more than that. {len(METRICS)} metrics of"
        " the same runs are not independent.",
    )
