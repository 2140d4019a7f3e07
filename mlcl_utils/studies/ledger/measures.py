"""What the ledger reads: the claims in the results of the other studies, and why those of some cannot be used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlcl_utils.studies import comparisons, published
from mlcl_utils.studies.execution import Execution, once
from mlcl_utils.studies.ledger import Source, sources
from mlcl_utils.studies.manifest import MANIFEST, file_digest

TABLE = f"tables/{comparisons.CLAIMS}.csv"


@once
def states(study: Execution) -> pd.DataFrame:
    """The studies that the claims name, one row per study.

    Columns: ``study``; ``read``, whether its results are used; ``state``, of what sources they are or why they are not
    used; their ``commit``, ``finished`` and compute, ``runs``, ``failed`` and ``seconds``.
    """
    rows = []
    for source in sources(study.parameters):
        reason, manifest = _manifest(source)
        compute = manifest.get("compute", {})
        rows.append(
            {
                "study": source.name,
                "read": not reason,
                "state": reason or _state(source, manifest),
                "commit": str(manifest.get("commit") or "")[:12],
                "finished": manifest.get("finished", ""),
                **{name: compute.get(name, math.nan) for name in ("runs", "failed", "seconds")},
            }
        )
    return pd.DataFrame(rows)


@once
def claims(study: Execution) -> pd.DataFrame:
    """The rows of :func:`mlcl_utils.studies.comparisons.claims` of all studies, in the order of the claims.

    Where the results of a study are not used, the reason says why.
    """
    known = states(study).set_index("study")
    parts = []
    for source in sources(study.parameters):
        if known["read"][source.name]:
            assert source.folder is not None
            parts.append(comparisons.read(source.folder / TABLE))
        else:
            nothing = pd.DataFrame(columns=list(comparisons.COLUMNS))
            parts.append(comparisons.claims(source.name, nothing).assign(reason=known["state"][source.name]))
    order = {claim.id: at for at, claim in enumerate(published.load())}
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values("claim", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)


def _manifest(source: Source) -> tuple[str, Mapping[str, Any]]:
    """Why a study's results cannot be used, empty if they can; and their manifest."""
    if source.folder is None:
        return source.refusal, {}
    command = f"mlcl run {source.name}"
    try:
        manifest: dict[str, Any] = json.loads((source.folder / MANIFEST).read_text(encoding="utf-8"))
        expected = manifest["files"].get(TABLE)
    except FileNotFoundError:
        return f"{source.name} has no results at these parameters; {command}", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"the manifest of {source.name} is damaged; {command}", {}
    if expected is None:
        return f"{source.name} has judged no claims; {command}", manifest
    try:
        if file_digest(source.folder / TABLE) != expected:
            return f"{TABLE} of {source.name} is not the one that it left; {command}", manifest
    except OSError:
        return f"{TABLE} of {source.name} is missing; {command}", manifest
    if set(comparisons.read(source.folder / TABLE)["claims_sha256"]) != {published.digest()}:
        return f"{source.name} was judged by other claims than those of today; {command}", manifest
    return "", manifest


def _state(source: Source, manifest: Mapping[str, Any]) -> str:
    assert source.study is not None
    assert source.parameters is not None
    if manifest.get("digest") == source.study.digest(source.parameters):
        return "up to date"
    return "made by other sources than those of today, or by hand"
