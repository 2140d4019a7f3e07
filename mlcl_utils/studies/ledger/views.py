"""Tables and figures of the ledger: views of the claims that it reads."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import studies
from mlcl_utils.figures import plots, style
from mlcl_utils.studies import comparisons, figures, published, scores, sentences, tables
from mlcl_utils.studies.execution import Execution
from mlcl_utils.studies.figures import Draw, Frames
from mlcl_utils.studies.ledger import measures
from mlcl_utils.studies.ledger.measures import DECIDED, claims, evidence, states
from mlcl_utils.studies.published import Claim
from mlcl_utils.studies.sentences import Line


def sources(study: Execution) -> pd.DataFrame:
    """The studies that were read and those that could not be."""
    columns: tables.Columns = {
        "read": ("read", lambda value: "yes" if value else "no"),
        **{name: (name, str) for name in ("state", "commit", "finished")},
        **{name: (name, tables.whole) for name in ("runs", "failed", "seconds")},
    }
    return tables.show(study, "sources", states(study), index=["study"], columns=columns)


def overall(study: Execution) -> pd.DataFrame:
    """One row per claim: statement, source, contrast, margin, and the verdict on every task."""
    by_id, rows = {claim.id: claim for claim in published.load()}, []
    for name, own in claims(study).groupby("claim", sort=False):
        claim = by_id[str(name)]
        rows.append(
            {
                "claim": claim.statement,
                "source": f"{claim.source}; {claim.where}",
                "contrast": claim.contrast,
                "margin": f"{claim.margin:g} {own['unit'].iloc[0]}".strip(),
                "verdict": sentences.overall(own),
                "setting": f"{claim.setting}: {claim.changes}" if claim.changes else claim.setting,
            }
        )
    return tables.show(study, "overall", pd.DataFrame(rows), index=["claim"])


def effects(study: Execution) -> pd.DataFrame:
    """Every effect that was measured, with both components of its interval and the splits behind it.

    What is written holds those that could not be measured, too, and what :func:`measures.evidence` adds.
    """
    rows = evidence(study)
    tables.save_claims(study, rows)
    rows = rows[rows["estimate"].notna()]
    parts = {"replicate": "over splits", "bootstrap": "over test data (ratios: replays)"}
    intervals = {
        words: [
            f"[{sentences.number(low, '+.2f')}, {sentences.number(high, '+.2f')}]"
            if np.isfinite(low)
            else "–"
            for low, high in zip(rows[f"{part}_lower"], rows[f"{part}_upper"], strict=True)
        ]
        for part, words in parts.items()
    }
    added = {
        f"{name.replace('_', ' ')}": rows[name].map(tables.fixed(3)).to_numpy()
        for name in ("q_above", "q_below")
    }
    fresh = rows["on_fresh_splits"].map(tables.fixed(2, "+")).to_numpy()
    table = tables.judged(rows).assign(**intervals, **added, points=rows["points"].to_numpy())
    return table.assign(**{"on splits 5 to 9": fresh}) if (fresh != "–").any() else table


def verdicts(study: Execution) -> pd.DataFrame:
    """How often each verdict was given, and how many of the decided rows are expected to be wrong."""
    rows = evidence(study)
    rows = rows.assign(word=[sentences.verdict(row) for _, row in rows.iterrows()])
    groups = rows.groupby("word")["error"]
    found = pd.DataFrame({"effects": groups.size(), "error": groups.sum(min_count=1)})
    found = found.reindex([word for word in sentences.VERDICTS if word in found.index])
    found = found.rename_axis("verdict").reset_index()
    columns: tables.Columns = {
        "effects": ("effects", tables.whole),
        "error": ("expected to be wrong", tables.fixed(1)),
    }
    return tables.show(study, "verdicts", found, index=["verdict"], columns=columns)


def pooled(study: Execution) -> pd.DataFrame:
    """Claims over three or more data sets, by random effects; they decide nothing."""
    rows = measures.pooled(study)
    if rows.empty:
        print("no claim has judged effects on three data sets")
        return rows
    shown = rows.assign(
        effect=[
            sentences.bounded(row["estimate"], row["lower"], row["upper"], "+.2f")
            for _, row in rows.iterrows()
        ]
    )
    columns: tables.Columns = {
        "datasets": ("data sets", tables.whole),
        "effect": ("mean effect", str),
        "spread": ("spread between data sets", tables.fixed(2)),
        "prior": ("scale of its prior", tables.fixed(2)),
        "p_above": ("P(above the margin)", tables.fixed(2)),
        "p_below": ("P(below its negative)", tables.fixed(2)),
    }
    return tables.show(study, "pooled", shown, index=["statement"], columns=columns, values=rows)


def not_judged(study: Execution) -> pd.DataFrame:
    """What cannot be judged, and why."""
    rows = claims(study).query("verdict == 'not judged'")
    rows = rows.groupby(["claim", "reason"], sort=False)["task"].agg("; ".join).reset_index()
    return tables.show(study, "not_judged", rows, index=["claim", "reason"])


def overview(study: Execution) -> Figure | None:
    """One row per claim in plain words, a mark for every effect in units of its margin; drawn from ``claims.csv``."""
    rows = claims(study)
    return figures.draw(study, "claims", {"effects": in_margins(rows[rows["estimate"].notna()])})


def in_margins(rows: pd.DataFrame) -> pd.DataFrame:
    """Effects over their margins; of ratios the logarithm over that of the margin, or of 2 where that is 1."""
    ratio = rows["test"] == "ratio"
    logs = np.log(rows["estimate"].where(ratio, 1.0).clip(lower=1e-3))
    unit = np.log(rows["margin"].where(ratio, 10.0).clip(lower=2.0))
    titles = {name: studies.get(name).title for name in rows["study"].unique()}
    return rows.assign(
        in_margins=np.where(ratio, logs / unit, rows["estimate"] / rows["margin"].where(~ratio, 1.0)),
        title=rows["study"].map(titles),
    )


def draw_claims(frames: Frames, venue: str) -> Figure:
    """The overview of all claims, ``effects``."""
    with style.use(venue):
        figure = plt.figure(figsize=(style.sizes_of(venue).page, 3))
        label = "effect in favour of the claim, in units of the smallest that matters (ratios: of logarithms)"
        plots.verdicts(frames["effects"], x_label=label, group="title", figure=figure)
    return figure


def forests(study: Execution) -> list[Figure | None]:
    """Forest plots of all effects that were measured, one per study and unit."""
    rows = claims(study)
    rows = rows[rows["estimate"].notna()]
    drawn_in = rows["claim"].map(_FIGURE_OF)
    names = [name for name in FIGURES if name in set(drawn_in)]
    return [figures.draw(study, name, {"effects": rows[drawn_in == name]}) for name in names]


def draw_forest(frames: Frames, venue: str) -> Figure | None:
    """Effects, ``effects``, with margins and verdicts, grouped by claim; ratios on a logarithmic axis."""
    rows = frames["effects"]
    unit = "points" if (rows["unit"] == "points").all() else style.metric(str(rows["metric"].iloc[0])).label
    label = f"effect in favour of the claim ({unit})"
    if (rows["test"] == "ratio").all():
        numbers = ["estimate", *comparisons.BOUNDS]
        # a ratio has a bound to reach, and no margin on both sides
        rows = rows.assign(margin=0.0, **rows[numbers].clip(lower=0.01).apply(np.log10))
        label = "decimal logarithm of the ratio of resources: 0 as fast, 1 tenfold"
    return figures.forest(rows, x_label=label, label=["task", "arms"], group="statement", venue=venue)


def summary(study: Execution) -> Markdown:
    """What the ledger says: how often each verdict was given, what is missing, and the verdicts on each claim."""
    return sentences.collected(claims(study), states(study).query("not read")["study"].tolist())


def headline(folder: Path) -> list[Line]:
    """How often each verdict was given, from the results of the ledger."""
    return [Line("", sentences.total(sentences.judged(folder)))]


def checklist(study: Execution) -> Markdown:
    """What a reviewer asks for of a table of verdicts; the rest is in the notebooks of the studies."""
    rows, compute = evidence(study), states(study).query("read")[["runs", "failed", "seconds"]].sum()
    decided = rows["verdict"].isin(DECIDED)
    below = rows["remark"].str.contains(scores.REGRESSION).sum()
    hashes = "; ".join(f"{name} {published.digest(name)}" for name in dict.fromkeys(rows["study"]))
    return sentences.markdown(
        [
            Line(
                "Claims.",
                f" notebooks/claims.toml: {len(published.load())} claims, written before any run of the preset"
                f" standard; SHA-256 of those of each study: {hashes}.",
            ),
            Line(
                "Verdicts.",
                " By rule 2, in this order: opposite, no material effect, does not hold, holds, else open, as the table"
                " above says; not judged with fewer than five splits, in a setting without headroom, on a dead arm or"
                " term of the loss, where runs have failed, and where the preset does not measure it.",
            ),
            Line(
                "Intervals.",
                " The wider of two: over splits, seeds averaged within each, a t interval with the variance corrected"
                " for overlapping splits; over 200 resamples of the test groups; for ratios of resources, over replays"
                " of the searches.",
            ),
            Line(
                "Multiplicity.",
                f" Of {decided.sum()} decided rows {rows['error'].sum():.1f} are expected to be wrong: the sum of one"
                " minus the probability of each verdict. Rates of false discoveries stand in tables/claims.csv; nothing"
                " is corrected.",
            ),
            Line(
                "Baselines.",
                f" {below} effects rest on an arm below logistic regression on the input, and say so.",
            ),
            Line(
                "Compute.",
                f" {compute['runs']:.0f} runs of the studies that were read, {compute['failed']:.0f} failed,"
                f" {compute['seconds'] / 60:.1f} minutes of computation; a run that serves several studies counts"
                " in each.",
            ),
            Line(
                "Deviations from the original papers.",
                " Every claim names what its setting changes; the opposite in a changed setting is no refutation: the"
                " claim did not transfer.",
            ),
            Line(
                "What this cannot show.",
                " Whether a claim holds in the original paper's own setting, where that was changed.",
            ),
        ]
    )


def _figure_of(claim: Claim) -> str:
    """The figure that a claim is drawn in: those of one study in one unit share it."""
    return claim.study[3:] + ("" if style.metric(claim.metric).percent else f"_{claim.metric}")


_FIGURE_OF = {claim.id: _figure_of(claim) for claim in published.load()}

FIGURES: dict[str, Draw] = {"claims": draw_claims, **dict.fromkeys(_FIGURE_OF.values(), draw_forest)}
