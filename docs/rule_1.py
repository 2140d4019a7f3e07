"""Writes the effects of rule 1 next to what rule 2 says of them, and draws them: ``python docs/rule_1.py``."""

from __future__ import annotations

import pandas as pd

from mlcl_utils.errors import UsageError
from mlcl_utils.files import write_csv
from mlcl_utils.paths import CHECKOUT, shown
from mlcl_utils.studies import judgements
from mlcl_utils.studies.ledger import views

PATH = CHECKOUT / "results" / "00_claims" / "rule_1.csv"

FIGURE = PATH.with_suffix(".png")

KEYS = ["claim", "dataset", "task", "arms", "estimate", "lower", "upper", "margin", "unit"]


def table() -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per effect: both verdicts, the reason of rule 1, the evidence, and whether it waits for more runs.

    With it the rows as rule 2 judges them.

    Raises:
        UsageError: there are no results of rule 1.
    """
    parts, judged = [], []
    for path in sorted((CHECKOUT / "results").glob("0[1-6]_*/standard/tables/claims.csv")):
        before = pd.read_csv(path)
        if "rule" in before:
            continue
        rows = judgements.read(path)
        beside = {"rule_1": before["verdict"], "reason_1": before["reason"], "rule_2": rows["verdict"]}
        waits = rows["verdict"].isin(["open", "not judged"])
        judged.append(rows)
        parts.append(rows[KEYS].assign(**beside, evidence=rows["evidence"], waits_for_runs=waits))
    if not parts:
        raise UsageError("there are no results of rule 1 here")
    return pd.concat(parts, ignore_index=True), pd.concat(judged, ignore_index=True)


if __name__ == "__main__":
    rows, judged = table()
    write_csv(PATH, rows)
    effects = views.in_margins(judged[judged["estimate"].notna()])
    views.draw_claims({"effects": effects}, "neurips").savefig(FIGURE, dpi=200)
    print(pd.crosstab(rows["rule_1"], rows["rule_2"], margins=True).to_string())
    print(shown(PATH))
