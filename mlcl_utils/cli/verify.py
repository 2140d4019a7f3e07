"""``mlcl verify``: runs of published results, done again."""

from __future__ import annotations

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import RESULTS, ROOT
from mlcl_utils.errors import UsageError


@click.command("verify")
@click.argument("names", metavar="[STUDY]...", nargs=-1)
@click.option("--preset", metavar="PRESET", default="standard", help="Whose results (standard).")
@RESULTS
@ROOT
@click.option("--runs", "count", metavar="N", type=common.whole(1), default=3, help="Runs of each study (3).")
@click.option("--seed", metavar="N", type=common.SEED, default=0, help="Of the draw of runs (0).")
def verify(
    names: tuple[str, ...], preset: str, results: str | None, root: str | None, count: int, seed: int
) -> int:
    """Repeat some runs of a study's results, drawn at random, and compare every metric.

    All studies that have results, or those named. Metrics have to be the same, rounding of 1e-11 aside, where the
    manifest names this processor's family and model and these versions, else within tolerances: 0.04 for averages of
    a ranking by the loss's head or the probe, 0.1 for other rankings, 0.15 for what a threshold decides (0.3 on a
    projection) and for geometry (relatively), more for ratios of gradients and variances.
    """
    from mlcl_utils.paths import shown
    from mlcl_utils.studies import verification

    chosen = common.studies(names)
    for study in chosen:
        if study.last and names:
            raise UsageError(f"{study.name} has no runs of its own; verify the studies that it reads")
    common.results_folder(results)
    given = common.parameters((), preset=preset, results=results, data_root=root)
    folders = {study.name: study.folder(study.resolve(given)) for study in chosen if not study.last}
    if not names and not any((folder / "runs.csv").is_file() for folder in folders.values()):
        raise UsageError(
            f"there are no results to verify at the preset {preset}; make some with: mlcl run --preset {preset}"
        )
    failed = 0
    for name, folder in folders.items():
        if not names and not (folder / "runs.csv").is_file():
            print(f"{name}: no results at the preset {preset}")
            continue
        repeated = verification.repeat(folder, count=count, seed=seed, root=root)
        print(f"{name}: {shown(folder)}", flush=True)
        for each in repeated:
            config = each.config
            what = f"{config.loss} on {config.dataset} ({config.encoder}), k={config.num_labels}"
            metric, off = each.farthest
            how = f"within {'rounding' if each.exact else 'tolerance'}, farthest {metric}, off by {off:.2g}"
            how = how if off else "identical"
            outcome = f"{each.metrics} metrics {how}"
            if each.differing:
                failed += 1
                metric, (stored, found) = next(iter(each.differing.items()))
                outcome = (
                    f"{len(each.differing)} of {each.metrics} metrics differ, such as {metric}: {stored!r} in the"
                    f" results, {found!r} now"
                )
            common.say(f"  {config.id} {what}, replicate {config.replicate}: {outcome}")
    return 1 if failed else 0
