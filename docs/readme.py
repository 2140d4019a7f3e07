"""Writes what the studies have found into the README, between two marks: ``make readme``."""

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


def block() -> str:
    """Question, finding and key figure of every study, then the verdicts on the published claims."""
    names = [name for name in studies.names() if name != LEDGER]
    parts = [_study(studies.get(name)) for name in names]
    return "\n\n".join([*parts, _claims(studies.get(LEDGER)), _compute()])


def _study(study: Study) -> str:
    head = f"### [{markup.markdown(study.title)}](notebooks/{study.name}.ipynb)\n\n*{markup.markdown(study.question)}*"
    folder = results_of(study)
    found = None if folder is None else sentences.finding(study, folder)
    if folder is None or found is None:
        return f"{head} No results at the preset `standard` yet."
    place = folder.relative_to(CHECKOUT).as_posix()
    return (
        f"{head} {markup.markdown(found.sentence)} [Executed notebook]({place}/notebook.ipynb)\n\n"
        f"![{markup.markdown(study.title)}: {found.figure.replace('_', ' ')}]({place}/figures/{found.figure}.png)"
    )


def _claims(study: Study) -> str:
    head = f"### [{markup.markdown(study.title)}](notebooks/{study.name}.ipynb)\n\n*{markup.markdown(study.question)}*"
    folder = results_of(study)
    found = None if folder is None else sentences.finding(study, folder)
    if folder is None or found is None:
        return f"{head} No results at the preset `standard` yet."
    place = folder.relative_to(CHECKOUT).as_posix()
    rows = sentences.judged(folder)
    strict = {claim.id for claim in published.load() if claim.every}
    lines = [
        f"| {markup.markdown(own['statement'].iloc[0].rstrip('.'))} | "
        f"{'every one has to hold: ' * (name in strict)}{sentences.counted(own)} |"
        for name, own in rows.groupby("claim", sort=False)
    ]
    table = "\n".join(["| published claim | effects |", "|---|---|", *lines])
    return f"{head} {markup.markdown(found.sentence)} [Executed notebook]({place}/notebook.ipynb)\n\n{table}"


def _compute() -> str:
    """What all of it took, from the manifests."""
    folders = [folder for name in studies.names() if (folder := results_of(studies.get(name))) is not None]
    manifests = [json.loads((folder / MANIFEST).read_text(encoding="utf-8")) for folder in folders]
    runs, failed, seconds = (
        sum(each["compute"][name] for each in manifests) for name in ("runs", "failed", "seconds")
    )
    return (
        f"**Compute.** {runs:,} runs, {failed} of them failed, and {seconds / 3600:.1f} hours of computation, one"
        " thread per run; a run that serves several studies counts in each."
    )


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
