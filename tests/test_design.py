"""The package is layered as docs/design.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def layers() -> dict[str, int]:
    """Where each package stands on the line of the page."""
    (line,) = re.findall(r"```text\n(.*→.*)\n```", (CHECKOUT / "docs" / "design.md").read_text())
    return {name.strip(): at for at, names in enumerate(line.split("→")) for name in names.split(",")}


def imported(path: Path) -> Iterator[str]:
    """The packages that a module imports, without those that only types are imported from."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in for_types:
            first, _, rest = node.module.partition(".")
            if first == "mlcl_utils":
                yield from [rest.split(".")[0]] if rest else [alias.name for alias in node.names]


def test_imports_point_along_the_line() -> None:
    place = layers()
    package = CHECKOUT / "mlcl_utils"
    assert set(place) == {path.parent.name for path in package.glob("*/__init__.py")}
    back = {
        f"{path.relative_to(package)} imports {name}"
        for path in package.rglob("*/*.py")
        for own in [path.relative_to(package).parts[0]]
        for name in imported(path)
        if name in place and name != own and place[name] >= place[own]
    }
    assert not back
