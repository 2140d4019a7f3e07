"""Writes what the studies have found into the README, between two marks: ``make readme``; the table of all claims."""

from __future__ import annotations

import json
from pathlib import Path

from mlcl_utils import markup, studies
from mlcl_utils.paths import CHECKOUT
from mlcl_utils.studies import published, sentences
from mlcl_utils.studies.base import Study
from mlcl_utils.studies.manifest import MANIFEST, whole

README = CHECKOUT / "README.md"
BEGIN, END = "<!-- results: begin, written by make readme -->", "<!-- results: end -->"
LEDGER = "00_claims"


def results_of(study: Study) -> Path | None:
    """The folder of a study's published results, complete; None if there are none."""
    folder = CHECKOUT / "results" / study.name / "standard"
    return folder if whole(folder) else None


SHOWN = (
    "02_label_space",
    "01_missing_labels",
    "04_temperature",
    "05_hyperband",
    "06_kernel_mixture",
    "03_vision_text",
)
"""The studies in the order of the findings."""


def block() -> str:
    """The overview of all claims, and the headline of every study with a link to its rows."""
    ledger = results_of(studies.get(LEDGER))
    found = None if ledger is None else sentences.finding(studies.get(LEDGER), ledger)
    if ledger is None or found is None:
        return "No results at the preset `standard` yet."
    place = ledger.relative_to(CHECKOUT).as_posix()
    (total,) = found.lines
    alt = "Every effect in units of the smallest that matters, one row per claim"
    path = f"{place}/figures/{found.figure}.png"
    if not (CHECKOUT / path).is_file():  # results of rule 1, judged again by docs/rule_1.py
        path = "results/00_claims/rule_1.png"
    figure = f"![{alt}]({path})"
    listed = "\n".join(_finding(studies.get(name)) for name in SHOWN)
    return f"{listed}\n\n{figure}\n\n{sentences.bold(total)} {_compute()}"


def _finding(study: Study) -> str:
    """One line per study: its headline, and where it comes from."""
    folder = results_of(study)
    found = None if folder is None else sentences.finding(study, folder)
    if folder is None or found is None:
        return f"- {markup.markdown(study.question)} No results at the preset `standard` yet."
    place = folder.relative_to(CHECKOUT).as_posix()
    return f"- {sentences.bold(found.lines[0])} [{study.name[:2]}]({place}/notebook.ipynb)"


def ledger(folder: Path) -> str:
    """A table of all claims: what is claimed, and how often each verdict was given."""
    rows = sentences.judged(folder)
    strict = {claim.id for claim in published.load() if claim.every}
    lines = [
        f"| {markup.markdown(own['statement'].iloc[0].rstrip('.'))} | "
        f"{'every one has to hold: ' * (name in strict)}{sentences.counted(own)} |"
        for name, own in rows.groupby("claim", sort=False)
    ]
    return "\n".join(["| published claim | effects |", "|---|---|", *lines])


def _compute() -> str:
    """What all of it took, from the manifests."""
    folders = [folder for name in studies.names() if (folder := results_of(studies.get(name))) is not None]
    manifests = [json.loads((folder / MANIFEST).read_text(encoding="utf-8")) for folder in folders]
    runs, failed, seconds = (
        sum(each["compute"][name] for each in manifests) for name in ("runs", "failed", "seconds")
    )
    return f"They took {runs:,} runs ({failed} failed) and {seconds / 3600:.1f} hours on one thread each."


def written(text: str) -> str:
    """A README with the block in it.

    Raises:
        ValueError: it lacks the two marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the marks '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{block()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
