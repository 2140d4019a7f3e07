"""Which published claims were found to hold."""

from __future__ import annotations

from pathlib import Path

from mlcl_utils.studies import findings

FIGURE = "label_space"


def sentence(folder: Path) -> str:
    """How often each verdict was given."""
    rows = findings.judged(folder)
    count = rows["claim"].nunique()
    return f"{count} claims ask for {len(rows)} effects, one a task or several: {findings.counted(rows)}."
