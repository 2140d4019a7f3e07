"""The file beside a table or list that says what it does not say itself: its name with the ending ``.toml``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcl_utils.data.readers.common import quoted, read_text
from mlcl_utils.errors import DataError, unknown


def read_sidecar(
    path: Path, keys: Mapping[str, type | tuple[type, ...]]
) -> tuple[Path | None, dict[str, Any]]:
    """The sidecar of a file and what it says.

    Args:
        path: of the file.
        keys: the keys there may be, each with the types it may have.

    Returns:
        The sidecar's path and content; None and nothing if there is none.

    Raises:
        DataError: it cannot be read, or a key is unknown or of a wrong type.
    """
    sidecar = path.with_suffix(".toml")
    if not os.path.isfile(sidecar):
        return None, {}
    text = read_text(sidecar)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{sidecar}: {quoted(str(error), 200)}") from None
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists in lists in lists
        raise DataError(f"{sidecar}: a number is too long, or lists are nested too deeply") from None
    for key, value in content.items():
        if key not in keys:
            raise DataError(f"{sidecar}: {unknown('key', quoted(key), keys)}")
        if not isinstance(value, keys[key]):
            raise DataError(
                f"{sidecar}: '{key}' is {quoted(value)}, which is not of its type; write a string"
            )
    return sidecar, content
