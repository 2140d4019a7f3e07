"""The package is layered as docs/design.md says, and no modules import each other in a circle."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def modules(top: Path) -> dict[str, Path]:
    """Every module of a package, the packages in it included, by its dotted name."""
    found = {}
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The known modules that a module imports: at its top, in a function, or for its types alone.

    ``from package import module`` imports that module, and ``from package import name`` the package, which is a circle
    only where the package's ``__init__`` imports the module in turn.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield from [each for each in (f"{origin}.{alias.name}", origin) if each in known][:1]


def imports(top: Path) -> dict[str, set[str]]:
    """What each module of a package imports of it."""
    known = modules(top)
    return {name: set(imported(name, path, known)) for name, path in known.items()}


def layers() -> dict[str, int]:
    """Where each package stands on the line of the page."""
    (line,) = re.findall(r"```text\n(.*→.*)\n```", (CHECKOUT / "docs" / "design.md").read_text())
    return {name.strip(): at for at, names in enumerate(line.split("→")) for name in names.split(",")}


def test_imports_point_along_the_line() -> None:
    package, place = CHECKOUT / "mlcl_utils", layers()
    assert set(place) == {path.parent.name for path in package.glob("*/__init__.py")}

    def standing(module: str) -> int:
        return place.get(module.split(".")[1], -1)  # single modules stand before all packages

    back = {
        f"{name} imports {other}"
        for name, others in imports(package).items()
        for other in others - {"mlcl_utils"}
        if name.split(".")[1:2] != other.split(".")[1:2] and standing(other) >= max(0, standing(name))
    }
    assert not back


@pytest.mark.parametrize("package", ["mlcl_utils", "data_scripts"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    graphlib.TopologicalSorter(
        imports(CHECKOUT / package)
    ).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    ("first", "second", "circle"),
    [
        ("from pack.b import B", "from pack.a import A", True),
        ("import pack.b", "import pack.a", True),
        ("from . import b", "from .a import A", True),
        ("from pack import b", "if TYPE_CHECKING:\n    from pack.a import A", True),
        ("def f():\n    from pack import b", "from pack.a import A", True),
        ("from pack.b import B", "from pack import A", True),  # the package has it from the first one
        ("from pack.b import B", "", False),
        ("from pack import b", "from elsewhere.a import A", False),
    ],
)
def test_a_circle_is_found(tmp_path: Path, first: str, second: str, circle: bool) -> None:
    (tmp_path / "pack").mkdir()
    for name, source in {"__init__": "from pack.a import A", "a": first, "b": second}.items():
        (tmp_path / "pack" / f"{name}.py").write_text(source)
    sorter = graphlib.TopologicalSorter(imports(tmp_path / "pack"))
    if circle:
        with pytest.raises(graphlib.CycleError):
            sorter.prepare()
    else:
        sorter.prepare()
