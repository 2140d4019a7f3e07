"""Sweep files: a batch written down, one entry for each execution of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlcl_utils import written, yaml_values
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import shown


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a sweep file: a YAML list of mappings, each with ``study`` and any of its parameters.

    A value is the text that ``-p`` would be given, in a list one text for each of its items, so that both mean the
    same; ``null``, ``~`` and nothing are None.

    Args:
        path: the file. Relative to the working directory, as a shell completes it.

    Raises:
        UsageError: the file cannot be read, is not YAML or not such a list; names are not checked here.
    """
    name = shown(path)
    try:
        node = yaml_values.yaml_node(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"sweep file '{name}': {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"sweep file '{name}' is not YAML: byte {error.start + 1} is not UTF-8") from None
    except UsageError as error:
        raise UsageError(f"sweep file '{name}' is {error}") from None
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise UsageError(
            f"sweep file '{name}' should be a list of entries, each beginning with '- study: NAME'"
        )
    entries = []
    for number, one in enumerate(node.value, start=1):
        try:
            entries.append(_entry(yaml_values.yaml_value(one, str)))
        except UsageError as error:
            raise UsageError(f"{name}, entry {number}: {error}") from None
    return entries


def _entry(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict) or "study" not in entry:
        raise UsageError("should begin with 'study: NAME'")
    if not isinstance(entry["study"], str):
        raise UsageError(f"study {entry['study']!r} should be a name, such as 02_label_space")
    for key in entry:
        if not isinstance(key, str):
            raise UsageError(f"{key!r} should be the name of a parameter")
    return {name: _settings(value) for name, value in entry.items()}


def _settings(value: Any) -> Any:
    """Mappings below an entry with the values of their words, as ``-p recipe=batch_size=64`` has them."""
    if isinstance(value, dict):
        return {
            name: written.plain(each) if isinstance(each, str) else _settings(each)
            for name, each in value.items()
        }
    return [_settings(each) for each in value] if isinstance(value, list) else value
