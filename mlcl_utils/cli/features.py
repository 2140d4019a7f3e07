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
@click.option(
    "--static",
    is_flag=True,
    help="Distil word vectors for the encoder static from a text encoder, in place of features.",
)
@click.option(
    "--batch", metavar="N", type=common.whole(1), default=64, help="Examples (or words) at a time (64)."
)
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
    static: bool,
    batch: int,
    max_tokens: int,
    device: str,
) -> int:
    """Extract the features of a data set once, to be found by every study.

    They are kept in .mlcl in the set's own folder, or in the folder that MLCL_CACHE names. An extraction that was
    interrupted goes on where it was.

    With --static every word that two texts of the set hold is encoded alone instead, and the word vectors are kept:
    the encoder 'static' of every study starts from them (-p encoders=static).
    """
    from mlcl_utils import data
    from mlcl_utils.data import registry
    from mlcl_utils.data import vectors as word_vectors
    from mlcl_utils.errors import DataError, UsageError
    from mlcl_utils.features import distil, extract, open_encoder
    from mlcl_utils.paths import shown
    from mlcl_utils.studies.values import available_device

    folder = common.data_root(root)
    dataset = data.load(name, folder)
    home = registry.home(name, folder)
    if static and dataset.modality != "text":
        raise UsageError(f"--static is for texts, and '{name}' holds {dataset.modality}s; leave it out")
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
    option = "" if root is None else f" -p data_root={root}"
    try:
        if static:
            vectors = distil(dataset, home, ready, batch_size=batch)
        else:
            extracted = extract(dataset, home, ready, batch_size=batch)
    except DataError as error:
        common.complain(str(error))
        return 1
    data.keep(name, folder)
    if static:
        words, values = word_vectors.read(vectors)
        chosen = "static" if len(data.load(name, folder).vectors) == 1 else f"static@{vectors.name}"
        size = common.size(vectors.path.stat().st_size)
        common.say(
            f"{dataset.name}: {len(words)} word vectors of {values.shape[1]} dimensions by {ready.name} ({size}), in "
            f"{shown(vectors.path)}"
        )
        common.say(f"study them with: mlcl run STUDY -p datasets={name} -p encoders={chosen}{option}")
        return 0
    examples, dimensions = extracted.shape
    common.say(
        f"{dataset.name}: {examples} examples, {dimensions} features by {ready.name}, in {shown(extracted.folder)}"
    )
    common.say(f"study them with: mlcl run STUDY -p datasets={name}@{extracted.folder.name}{option}")
    return 0
