"""Prints the test files to run for what has changed: those that have, and those that are named like a changed module.

Since the commit that the branch shares with its upstream, or else since the last commit. For ``make check``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def changed() -> list[str]:
    """Paths that differ from the commit, or are new."""
    since = git("merge-base", "HEAD", "@{upstream}") or "HEAD"
    return [
        *git("diff", "--name-only", since).splitlines(),
        *git("ls-files", "-o", "--exclude-standard").splitlines(),
    ]


def tests_of(path: str) -> list[Path]:
    """The test files of a path: itself, or those of its module; of a study's package those of the study."""
    place = Path(path)
    if place.suffix != ".py" or place.parts[0] not in ("mlcl_utils", "tests"):
        return []
    if place.parts[0] == "tests":
        return [ROOT / place] if place.name.startswith("test_") and (ROOT / place).is_file() else []
    folder = ROOT / "tests" / Path(*place.parts[1:2])
    names = {place.stem.strip("_"), place.parent.name}
    return [
        file
        for name in names
        for file in [*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")]
    ]


if __name__ == "__main__":
    for file in sorted({file for path in changed() for file in tests_of(path)}):
        print(file.relative_to(ROOT))
