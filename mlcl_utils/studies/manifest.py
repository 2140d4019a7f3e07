"""What vouches for results: digests of sources and files, versions, and the manifest that lists them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcl_utils.errors import UsageError
from mlcl_utils.files import file_digest as file_digest
from mlcl_utils.files import write_text
from mlcl_utils.paths import CHECKOUT, shown

MANIFEST = "manifest.json"

# Sources that no result depends on: they start notebooks, and show or check what these have left.
_AROUND = re.compile(r"(batch|report|cli)/|studies/(cells|verification)\.py")


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``manifest.json`` into a folder: whole, or not at all."""
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return folder / MANIFEST


def complete(folder: Path, digest: str, names: Sequence[str]) -> None:
    """Add to a folder's manifest what the notebook itself cannot know: its executed copy, and the digest.

    Args:
        folder: holds the manifest.
        digest: hash of all that the results depend on.
        names: files to vouch for besides those in the manifest.

    Raises:
        FileNotFoundError: there is no manifest.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"].update({name: file_digest(folder / name) for name in names})
    write_manifest(folder, {**manifest, "digest": digest})


def vouches(folder: Path, digest: str) -> bool:
    """Whether a folder's manifest has this digest and every file it lists is there and as it was."""
    return _digest(folder) == digest


def whole(folder: Path) -> bool:
    """Whether a folder holds all that an execution has left, of whatever sources, and nothing in it has changed."""
    return _digest(folder) is not None


def _digest(folder: Path) -> str | None:
    """The digest of a folder's manifest; None where it does not vouch for every file it lists."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        as_they_were = all(file_digest(folder / name) == expected for name, expected in files.items())
        return str(manifest["digest"]) if as_they_were else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no manifest, a damaged or an incomplete one, or a file that is gone


def notebook_digest(notebook: Path) -> str:
    """SHA-256 of a notebook's cells without their outputs.

    Raises:
        UsageError: no such notebook, or not a notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return hash_json([[cell["cell_type"], "".join(cell["source"])] for cell in cells])
    except FileNotFoundError:
        raise UsageError(f"notebook '{shown(notebook)}' is missing; restore it with git checkout") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"'{shown(notebook)}' is not a notebook; restore it with git checkout") from None


def package_digest() -> str:
    """SHA-256 of the package's Python sources that results can depend on."""
    package = Path(__file__).resolve().parents[1]
    sources = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    return hash_json(
        {name: file_digest(sources[name]) for name in sorted(sources) if not _AROUND.match(name)}
    )


def hash_json(value: Any) -> str:
    """SHA-256 of a value's JSON form, in hexadecimal; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def commit() -> str | None:
    """The commit that is checked out, with ``+changes`` if tracked files but results differ; None if there is none."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(CHECKOUT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    try:
        changes = git("status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)results")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return None


# Variables by which a user chooses other kernels than the processor's own, and so other last digits.
_KERNELS = re.compile(
    r"(MKL_CBWR|MKL_ENABLE_INSTRUCTIONS|MKL_DEBUG_CPU_TYPE|ATEN_CPU_CAPABILITY|ONEDNN_MAX_CPU_ISA|DNNL_MAX_CPU_ISA"
    r"|OPENBLAS_CORETYPE|NPY_DISABLE_CPU_FEATURES|NPY_ENABLE_CPU_FEATURES|GLIBC_TUNABLES)"
)

# What /proc/cpuinfo calls family and model: on x86, on ARM.
_GENERATION = (("cpu family", "model"), ("CPU implementer", "CPU part"))


def processor() -> str:
    """The processor, on which the last digits of the arithmetic depend: its name, family and model.

    A name alone can stand for several generations, such as ``AMD EPYC`` on a virtual machine; family and model are
    left out where the system does not tell them. Variables of the environment that choose other kernels follow.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in reversed(lines)}
    name = said.get("model name") or said.get("Model") or platform.processor()
    family, model = next(
        ((said[one], said[other]) for one, other in _GENERATION if {one, other} <= said.keys()), ("", "")
    )
    if platform.system() == "Darwin":
        family, model = _sysctl("hw.cpufamily"), _sysctl("hw.cpusubfamily")
    numbers = f", family {family}, model {model}" if family and model else ""
    chosen = sorted(f", {key}={value}" for key, value in os.environ.items() if _KERNELS.fullmatch(key))
    return f"{platform.machine()} {name}".strip() + numbers + "".join(chosen)


def _sysctl(name: str) -> str:
    """A value of macOS's kernel; empty if there is none."""
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()


def package_versions() -> dict[str, str]:
    """Installed version of this package and of each that it, or its extra for the studies, requires."""
    own = "mlcl-studies"
    lines = importlib.metadata.requires(own) or []
    required = [line for line in lines if "extra ==" not in line or re.search(r"extra == .studies.", line)]
    names = [own, *(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required)]
    return {name: importlib.metadata.version(name) for name in sorted(names)}
