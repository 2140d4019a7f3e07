"""What pretrained encoders are called, and what identifies them; without torch until one is looked up."""

from __future__ import annotations

import contextlib
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlcl_utils.errors import UsageError, unknown
from mlcl_utils.files import known_digest
from mlcl_utils.models.catalogue import encoder_names
from mlcl_utils.paths import CHECKOUT, expanded

SIDE = 224
"""Height and width, in pixels, of the images that an encoder reads, unless its name says otherwise."""

TOKENS = 128
"""Tokens of a text that an encoder reads at most, unless its name says otherwise."""

RANDOM = "random"
"""Stands for weights that are drawn."""

_TORCHVISION = re.compile(r"(?P<base>[a-z][a-z0-9_]*)(@(?P<size>\d+))?(:(?P<weights>.+))?")
_TRANSFORMERS = re.compile(r"(?P<base>[^:]*/.*?)(@(?P<size>\d+))?")


@dataclass(frozen=True)
class Pretrained:
    """An encoder of another library.

    Attributes:
        library: where its architecture comes from.
        base: a classification model of torchvision; the folder of a Hugging Face model, or its name on the hub.
        size: height and width of its images in pixels, or the most tokens of a text.
        weights: for torchvision a file, the name of published weights, ``random``, or None for the published default.
    """

    library: Literal["torchvision", "transformers"]
    base: str
    size: int
    weights: str | None = None

    @property
    def identity(self) -> str:
        """What it is, whatever folder its files lie in.

        Raises:
            UsageError: there are no such weights.
        """
        if self.library == "transformers":
            return f"{self.base.rstrip('/').rpartition('/')[2]}@{self.size}:{_hub_digest(self.base)}"
        path = expanded(self.weights or "")
        if self.weights is not None and (path.is_file() or path.suffix):
            return f"{self.base}@{self.size}:{_file_digest(path)}"
        return f"{self.base}@{self.size}:{_published(self.base, self.weights)}"


def parse(name: str, side: int = SIDE) -> Pretrained:
    """The encoder that a name such as ``resnet50``, ``resnet101@448:random`` or ``folder/of/bert@64`` means.

    Args:
        name: of the encoder.
        side: of its images in pixels where the name does not say it.

    Raises:
        UsageError: there is no such encoder; the nearest of torchvision is suggested.
    """
    if found := _TRANSFORMERS.fullmatch(name):
        base = found["base"]
        if (CHECKOUT / base / "config.json").is_file() or base.startswith((".", "/", "~")):
            base = str(CHECKOUT / expanded(base))
            if not (Path(base) / "config.json").is_file():
                raise UsageError(
                    f"encoder '{name}' is not the folder of a Hugging Face model; name one with a config.json"
                )
        return Pretrained("transformers", base, _size(name, found["size"], TOKENS))
    parts = _TORCHVISION.fullmatch(name)
    if parts is None or parts["base"] not in _torchvision():
        raise unknown("encoder", name, [*encoder_names(), *_torchvision()])
    weights = parts["weights"]
    if weights is not None and (Path(weights).suffix or "/" in weights):
        weights = str(CHECKOUT / expanded(weights))  # as all paths that a study takes
    return Pretrained("torchvision", parts["base"], _size(name, parts["size"], side), weights)


def _size(name: str, given: str | None, usual: int) -> int:
    size = int(given or usual)
    if size < 1:
        raise UsageError(f"encoder '{name}': its size must be at least 1")
    return size


@functools.cache
def _torchvision() -> tuple[str, ...]:
    from torchvision import models

    return tuple(models.list_models(module=models))


def _published(base: str, weights: str | None) -> str:
    from torchvision import models

    published = models.get_model_weights(base)
    names = [each.name for each in published]
    if weights is None:
        return str(published.DEFAULT.name)
    if weights not in [*names, RANDOM]:
        raise unknown("weights", weights, [*names, RANDOM])
    return weights


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"weights {path} is missing; name the file that holds them")
    return known_digest(path)[:16]


def _hub_digest(base: str) -> str:
    """Digest of the weights and the vocabulary in a folder; for a name on the hub, of the copy on this machine."""
    import hashlib

    folder = expanded(base)
    if not folder.is_dir():
        folder = _downloaded(base)
    files = sorted(
        path for path in folder.iterdir() if path.suffix in {".safetensors", ".json", ".txt", ".model"}
    )
    digests = [f"{path.name} {_file_digest(path)}" for path in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@functools.cache
def _downloaded(base: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UsageError(
            "Hugging Face encoders need transformers: pip install -e '.[transformers]'"
        ) from None
    try:
        kinds = ["*.safetensors", "*.json", "*.txt", "*.model"]
        with contextlib.suppress(Exception):  # of many kinds; what is on this machine is asked first
            return Path(snapshot_download(base, allow_patterns=kinds, local_files_only=True))
        return Path(snapshot_download(base, allow_patterns=kinds))
    except Exception as error:  # of many kinds: no such model, no network
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"encoder '{base}' cannot be had from the hub: {reason}") from None
