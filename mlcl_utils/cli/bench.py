"""``mlcl bench``: measurements of speed and memory."""

from __future__ import annotations

from pathlib import Path

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import Commands
from mlcl_utils.errors import UsageError


@click.group("bench", cls=Commands, default="losses")
def bench() -> None:
    """Measurements of speed and memory."""


@bench.command("losses")
@click.option(
    "--size", "sizes", metavar="N,L,D", multiple=True, help="Batch, labels, dimensions; may be repeated."
)
@click.option("--repeats", metavar="N", type=common.whole(1), default=7, help="Of each measurement (7).")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where to measure (cpu).")
@click.option(
    "--out", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Also table and plot."
)
def _bench_losses(sizes: tuple[str, ...], repeats: int, device: str, out: Path | None) -> None:
    """Time and memory of the losses, beside the forms that their formulas suggest."""
    chosen = [_bench_size(word) for word in sizes]
    from mlcl_utils import bench as measured

    measured.losses(chosen or measured.SIZES, out=out, repeats=repeats, device=device)


@bench.command("features")
@click.option("--encoder", metavar="NAME", default="efficientnet_b0", help="A model of torchvision.")
@click.option("--images", metavar="N", type=common.whole(128), default=5_000, help="Files to read (5,000).")
@click.option("--threads", metavar="N", type=common.whole(1), help="Of the arithmetic on the CPU.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where to measure (cpu).")
def _bench_features(encoder: str, images: int, threads: int | None, device: str) -> None:
    """Rate of feature extraction, beside the bare encoder on batches in memory."""
    from mlcl_utils.features import bench as measured

    measured.features(encoder, images, device, threads)


@bench.command("training")
@click.option(
    "--encoder", metavar="NAME", default="resnet50:random", help="As the parameter encoders takes it."
)
@click.option("--loss", metavar="NAME", default="msc", help="Loss that is trained with (msc).")
@click.option("--batch", metavar="N", type=common.whole(2), default=64, help="Examples a step (64).")
@click.option("--steps", metavar="N", type=common.whole(1), default=20, help="Of an epoch (20).")
@click.option("--threads", metavar="N", type=common.whole(1), help="Of the arithmetic on the CPU.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where to measure (cpu).")
def _bench_training(
    encoder: str, loss: str, batch: int, steps: int, threads: int | None, device: str
) -> None:
    """Steps a second of an encoder trained end to end, and its share of waiting for images."""
    from mlcl_utils.training import bench as measured

    measured.training(encoder, loss, batch, steps, device, threads)


def _bench_size(word: str) -> tuple[int, int, int]:
    numbers = word.split(",")
    if len(numbers) != 3 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise UsageError(f"--size '{word}' is not three whole numbers above 0, such as 256,100,256")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])
