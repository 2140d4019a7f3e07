"""Sweep files: a batch written down, one entry for each execution of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlcl_utils.errors import UsageError
from mlcl_utils.paths import shown


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a sweep file: a YAML list of mappings, each with ``study`` and any of its parameters.

    Args:
        path: the file. Relative to the working directory, as a shell completes it.

    Raises:
        UsageError: the file cannot be read, is not YAML or not such a list; names are not checked here.
    """
    name = shown(path)
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as error:
        raise UsageError(f"sweep file '{name}': {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(f"sweep file '{name}' is not YAML: {where}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UsageError(f"sweep file '{name}' is not YAML") from None
    if not isinstance(content, list) or not isinstance(node, yaml.SequenceNode) or not content:
        raise UsageError(
            f"sweep file '{name}' should be a list of entries, each beginning with '- study: NAME'"
        )
    for number, (entry, written) in enumerate(zip(content, node.value, strict=True), start=1):
        place = f"{name}, entry {number}"
        if not isinstance(entry, dict) or "study" not in entry:
            raise UsageError(f"{place}: should begin with 'study: NAME'")
        if not isinstance(entry["study"], str):
            raise UsageError(f"{place}: study {entry['study']!r} should be a name, such as 02_label_space")
        keys = [key.value for key, _ in written.value]
        for key in entry:
            if not isinstance(key, str):
                raise UsageError(f"{place}: {key!r} should be the name of a parameter")
            if keys.count(key) > 1:
                raise UsageError(f"{place}: '{key}' is given twice")
    return content
