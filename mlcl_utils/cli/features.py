"""``mlcl features``: a frozen encoder's features of a data set."""

from __future__ import annotations

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import ROOT


@click.command("features")
@click.argument("name")
@click.option(
    "--encoder",
    metavar="ENCODER",
    required=True,
    help="A model of torchvision, a folder with a Hugging Face model, or its name on the hub.",
)
@click.option(
    "--weights",
    metavar="WEIGHTS",
    help="A file of weights, the name of torchvision's own (its default ones if not given), or random.",
)
@ROOT
@click.option("--batch", metavar="N", type=common.whole(1), default=64, help="Examples at a time (64).")
@click.option(
    "--max-tokens",
    metavar="N",
    type=common.whole(1),
    default=256,
    help="Tokens read of a text, at most (256).",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Device to extract on (auto).",
)
def features(
    name: str,
    encoder: str,
    weights: str | None,
    root: str | None,
    batch: int,
    max_tokens: int,
    device: str,
) -> int:
    """Extract the features of a data set once, to be found by every study.

    They are kept in .mlcl in the set's own folder, or in the folder that MLCL_CACHE names. An extraction that was
    interrupted goes on where it was.
    """
    from mlcl_utils import data
    from mlcl_utils.data import registry
    from mlcl_utils.errors import DataError
    from mlcl_utils.features import extract, open_encoder
    from mlcl_utils.paths import shown
    from mlcl_utils.studies.values import available_device

    folder = common.data_root(root)
    dataset = data.load(name, folder)
    home = registry.home(name, folder)
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    ready = open_encoder(
        encoder,
        dataset.modality,
        weights=weights,
        max_tokens=max_tokens,
        device=available_device(device),
    )
    for note in dataset.notes:
        common.say(f"{dataset.name}: {note}")
    try:
        extracted = extract(dataset, home, ready, batch_size=batch)
    except DataError as error:
        common.complain(str(error))
        return 1
    data.keep(name, folder)
    examples, dimensions = extracted.shape
    common.say(
        f"{dataset.name}: {examples} examples, {dimensions} features by {ready.name}, in {shown(extracted.folder)}"
    )
    option = "" if root is None else f" -p data_root={root}"
    common.say(f"study them with: mlcl run STUDY -p datasets={name}@{extracted.folder.name}{option}")
    return 0
