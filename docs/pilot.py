"""Writes the headroom of pilot runs, by which ``eligible`` in claims.toml goes: ``python docs/pilot.py FOLDER``.

FOLDER holds results of the preset ``standard`` on two splits, without tuning and without repeated runs::

    mlcl run STUDY --preset standard --results FOLDER -p replicates=2 -p trials=1
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from mlcl_utils.errors import UsageError
from mlcl_utils.files import write_csv
from mlcl_utils.paths import shown
from mlcl_utils.studies.published import PILOT


def table(folder: Path) -> pd.DataFrame:
    """One row per claim and task: the headroom, the margin, and whether the former reaches the latter.

    Raises:
        UsageError: there are no such tables.
    """
    paths = sorted(
        folder.glob("0*/*/tables/headroom.csv"), key=lambda path: (path.parts[-4], path.stat().st_mtime)
    )
    if not paths:
        raise UsageError(f"no table of headroom in '{shown(folder)}'")
    rows = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    return rows.drop_duplicates(["claim", "task"], keep="last").sort_values(
        ["claim", "task"], ignore_index=True
    )


if __name__ == "__main__":
    rows = table(Path(sys.argv[1]))
    write_csv(PILOT, rows)
    for claim, own in rows.groupby("claim"):
        print(f"{claim}: eligible = {own.loc[own['eligible'], 'task'].tolist()}")
    print(shown(PILOT))
