"""What CLML was found to do where positives are missing."""

from __future__ import annotations

import json
from pathlib import Path

from mlcl_utils.studies import findings
from mlcl_utils.studies.manifest import MANIFEST

FIGURE = "differences"


def sentence(folder: Path) -> str:
    """By how much CLML changes mAP at the reference share, over all losses and data sets that can be judged."""
    share = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["parameters"]["reference_share"]
    rows = findings.judged(folder, "clml_helps")
    tested = rows[rows["verdict"] != "not judged"]
    if tested.empty:
        return f"With {share:.0%} of the positives kept, no arm with CLML can be judged."
    return (
        f"With {share:.0%} of the positives kept, CLML changes mAP by {findings.span(tested)} points over"
        f" {len(tested)} pairs of a loss and a data set that can be judged, where it has to add"
        f" {tested['margin'].iloc[0]:g} to matter ({findings.counted(rows)})."
    )
