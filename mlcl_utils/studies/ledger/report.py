"""The ledger: results of the other studies read, put together, and drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from mlcl_utils import figures
from mlcl_utils.studies import claims, drawing, published
from mlcl_utils.studies.base import Execution
from mlcl_utils.studies.ledger import LedgerParameters, Source, sources
from mlcl_utils.studies.ledger.figures import FIGURES, figure_of
from mlcl_utils.studies.manifest import MANIFEST, file_digest
from mlcl_utils.studies.tables import markdown
from mlcl_utils.studies.wording import Headed

_TABLE = f"tables/{claims.TABLE}.csv"


@dataclass(frozen=True)
class Ledger:
    """What the other studies have found.

    Attributes:
        rows: those of :func:`mlcl_utils.studies.claims.judged` of all studies, in the order of the claims; where there
            are no results, the reason says so.
        read: a row a study: ``study``, ``state``, ``commit``, ``finished``, ``runs``, ``seconds``.
        compute: of the studies that were read, together.
    """

    rows: pd.DataFrame
    read: pd.DataFrame
    compute: dict[str, float]


def read(study: Execution) -> Ledger:
    """Reads the judged effects of all studies at these parameters; trains nothing. Also written as tables."""
    assert isinstance(study.parameters, LedgerParameters)
    parts, states, compute = [], [], {"runs": 0.0, "failed": 0.0, "seconds": 0.0}
    for source in sources(study.parameters):
        reason, manifest = _state(source)
        if reason:
            rows = pd.concat([claims.unmeasured(claim, reason) for claim in published.of(source.name)])
        else:
            assert source.folder is not None
            rows = claims.read(source.folder / _TABLE)
            for name in compute:
                compute[name] += manifest["compute"].get(name, 0)
        parts.append(rows)
        states.append(
            {
                "study": source.name,
                "state": reason or _remark(source, manifest),
                "commit": str(manifest.get("commit") or "")[:12],
                "finished": manifest.get("finished", ""),
                "runs": manifest.get("compute", {}).get("runs", ""),
                "seconds": manifest.get("compute", {}).get("seconds", ""),
            }
        )
    order = {claim.id: at for at, claim in enumerate(published.load())}
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.sort_values("claim", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)
    ledger = Ledger(rows, pd.DataFrame(states), compute)
    figures.save_table(_latex(claims.table_of(rows)), study.folder / "tables", claims.TABLE, data=rows)
    return ledger


def _state(source: Source) -> tuple[str, Mapping[str, Any]]:
    """Why a study's results cannot be used, empty if they can; and its manifest."""
    if source.folder is None:
        return source.refusal, {}
    command = f"mlcl run {source.name}"
    try:
        manifest: dict[str, Any] = json.loads((source.folder / MANIFEST).read_text(encoding="utf-8"))
        expected = manifest["files"].get(_TABLE)
    except FileNotFoundError:
        return f"{source.name} has no results at these parameters; {command}", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"the manifest of {source.name} is damaged; {command}", {}
    if expected is None:
        return f"{source.name} has judged no claims; {command}", manifest
    try:
        if file_digest(source.folder / _TABLE) != expected:
            return f"{_TABLE} of {source.name} is not the one that it left; {command}", manifest
    except OSError:
        return f"{_TABLE} of {source.name} is missing; {command}", manifest
    if set(claims.read(source.folder / _TABLE)["claims_sha256"]) != {published.digest()}:
        return f"{source.name} was judged by other claims than those of today; {command}", manifest
    return "", manifest


def _remark(source: Source, manifest: Mapping[str, Any]) -> str:
    assert source.study is not None
    assert source.parameters is not None
    if manifest.get("digest") == source.study.digest(source.parameters):
        return "read, up to date"
    return "read; made by other sources than those of today, or by hand"


def _latex(table: pd.DataFrame) -> str:
    return figures.tables.plain(table.reset_index())


def sources_table(ledger: Ledger) -> pd.DataFrame:
    """The studies that were read and those that could not be."""
    return ledger.read.set_index("study")


def overall_table(study: Execution, ledger: Ledger) -> pd.DataFrame:
    """One row a claim: statement, source, contrast, margin, and the verdict on every task; also written."""
    by_id = {claim.id: claim for claim in published.load()}
    rows = []
    for name, own in ledger.rows.groupby("claim", sort=False):
        claim = by_id[str(name)]
        rows.append(
            {
                "claim": claim.statement,
                "source": f"{claim.source}; {claim.where}",
                "contrast": claim.contrast,
                "margin": f"{claim.margin:g} {own['unit'].iloc[0]}".strip(),
                "verdict": claims.overall(claim, own),
                "setting": f"{claim.setting}: {claim.changes}" if claim.changes else claim.setting,
            }
        )
    table = pd.DataFrame(rows)
    figures.save_table(figures.tables.plain(table), study.folder / "tables", "overall", data=table)
    return table.set_index("claim")


def effects_table(ledger: Ledger) -> pd.DataFrame:
    """Every effect that was measured, with both components of its interval and the replicates behind it."""
    rows = ledger.rows[ledger.rows["estimate"].notna()]
    table = claims.table_of(rows)
    for name in ("replicate", "bootstrap"):
        table["over replicates" if name == "replicate" else "over test data (ratios: replays)"] = [
            f"[{row[f'{name}_lower']:+.2f}, {row[f'{name}_upper']:+.2f}]"
            if pd.notna(row[f"{name}_lower"])
            else "–"
            for _, row in rows.iterrows()
        ]
    table["points"] = rows["points"].to_numpy()
    return table


def not_judged_table(ledger: Ledger) -> pd.DataFrame:
    """What can't be judged, and why."""
    rows = ledger.rows[ledger.rows["verdict"] == "not judged"]
    return (
        rows[["claim", "task", "reason"]]
        .groupby(["claim", "reason"], sort=False)["task"]
        .agg("; ".join)
        .to_frame()
    )


def plot(study: Execution, ledger: Ledger) -> list[Figure]:
    """Forest plots of all effects that were measured, one a study and unit."""
    rows = ledger.rows[ledger.rows["estimate"].notna()]
    names = rows["claim"].map(figure_of)
    drawn = [
        drawing.draw(study, name, {"effects": rows[names == name]}) for name in FIGURES if name in set(names)
    ]
    return [figure for figure in drawn if figure is not None]


def reading(ledger: Ledger) -> Markdown:
    """What the ledger says, in sentences that follow from the verdicts."""
    return markdown(sentences(ledger))


def sentences(ledger: Ledger) -> list[str]:
    """The sentences of :func:`reading`."""
    counts = ledger.rows["verdict"].value_counts()
    words = ("holds", "reversed", "no material effect", "undetermined", "not judged")
    counted = ", ".join(f"{counts[word]} {word}" for word in words if counts.get(word, 0))
    lines = [f"Of {len(ledger.rows)} effects that the claims ask for: {counted}."]
    missing = ledger.read[~ledger.read["state"].str.startswith("read")]
    if len(missing):
        lines.append(f"Without results: {', '.join(missing['study'])}.")
    return lines + claims.lines(ledger.rows)


def reviewers_list(study: Execution, ledger: Ledger) -> Markdown:
    """What a reviewer asks for of a table of verdicts; the rest stands in the notebooks of the studies."""
    judged = ledger.rows[ledger.rows["verdict"] != "not judged"]
    families = judged[judged["corrected_over"] > 1].groupby("study")["corrected_over"].max()
    corrected = (
        ", ".join(f"{name} over {int(count)} effects" for name, count in families.items())
        or "none was judged"
    )
    below = ledger.rows["remark"].str.contains("below baseline").sum()
    compute = ledger.compute
    return markdown(
        [
            Headed(
                "Claims.",
                f" notebooks/claims.toml, SHA-256 {published.digest()}: {len(published.load())} claims,"
                " written before any run of the preset standard.",
            ),
            Headed(
                "Verdicts.",
                " Holds if the lower bound of the 95% interval exceeds the margin, reversed if the upper"
                " bound is below its negative, no material effect if the 90% interval lies within the margin, else"
                " undetermined; not judged with fewer than five replicates, on degenerate arms or with a dead term of"
                " the loss, where runs have failed, and where the preset does not measure it.",
            ),
            Headed(
                "Intervals.",
                " The wider of two: over replicates, a t interval with the variance corrected for overlapping"
                " splits; over 200 resamples of the test groups; for ratios of resources, over replays of the"
                " searches.",
            ),
            Headed(
                "Multiplicity.",
                f" Claims that choose the best of several arms are corrected by Holm within their study:"
                f" {corrected}. Claims are not corrected over studies.",
            ),
            Headed(
                "Baselines.",
                f" {below} effects rest on an arm below logistic regression on the input, and say so.",
            ),
            Headed(
                "Compute.",
                f" {compute['runs']:.0f} runs of the studies that were read, {compute['failed']:.0f} failed,"
                f" {compute['seconds'] / 60:.1f} minutes of computation; a run that serves several studies counts"
                " in each.",
            ),
            Headed(
                "Deviations from the sources.",
                " Every claim names what its setting changes; a reversal in a changed"
                " setting is no refutation and reads did not transfer.",
            ),
            Headed(
                "What this cannot show.",
                " Whether a claim holds in its source's own setting, where that was changed.",
            ),
        ]
    )


def finish(study: Execution, ledger: Ledger) -> None:
    """Writes the manifest, which vouches for the files of this execution."""
    study.finish(device="cpu", seeds=[], compute={"runs": 0, "failed": 0, "existed": 0, "seconds": 0.0})
