"""Sites built and read."""

from __future__ import annotations

import html
import re
from pathlib import Path

from mlcl_utils import report
from mlcl_utils.studies.manifest import file_digest


def text(path: Path) -> str:
    """What a page says, without markup."""
    words = re.sub(r"<(script|style)\b.*?</\1>", " ", path.read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", words)).split())


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_digest(path) for path in folder.rglob("*") if path.is_file()
    }


def built(results: Path, tmp_path: Path) -> Path:
    return report.build(results, tmp_path / "site").folder
