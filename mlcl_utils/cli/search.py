"""``mlcl search``: a search for the hyperparameters of a loss on a data set."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mlcl_utils.cli import common
from mlcl_utils.cli.common import RESULTS, ROOT
from mlcl_utils.errors import UsageError, unknown

if TYPE_CHECKING:
    from mlcl_utils.runs import RunConfig
    from mlcl_utils.search import Evaluation, Result, Space
    from mlcl_utils.search.trainings import Trainings


@click.command("search")
@click.argument("dataset", metavar="DATASET")
@click.option("--loss", metavar="LOSS", required=True, help="Whose hyperparameters are searched for.")
@click.option(
    "--encoder",
    metavar="ENCODER",
    default="frozen",
    help="frozen (the default), bag, static, cnn, last_stage, or one of torchvision or Hugging Face.",
)
@click.option(
    "--resource", metavar="R", type=common.whole(1), default=27, help="Epochs of a whole training (27)."
)
@click.option(
    "--eta", metavar="N", type=common.whole(2), default=3, help="One in so many goes on at a rung (3)."
)
@click.option(
    "--space",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="TOML or YAML; by default the usual space of the loss.",
)
@click.option(
    "--method",
    metavar="METHOD",
    default="hyperband",
    help="hyperband (the default), successive_halving, random_search, tpe or asha.",
)
@click.option(
    "--budget",
    metavar="EPOCHS",
    type=common.whole(1),
    help="Epochs in all; by default those of one pass of Hyperband, or of the one bracket of successive_halving.",
)
@click.option(
    "--num-labels",
    metavar="K",
    type=common.whole(1),
    help="Size of the label space (100, or all labels where there are fewer).",
)
@click.option(
    "--train-fraction",
    metavar="F",
    type=common.Number(min=0, max=1, min_open=True),
    default=1.0,
    help="Share of the training part (1).",
)
@click.option(
    "--replicate", metavar="N", type=click.IntRange(0, 9), default=0, help="Number of the stored split (0)."
)
@click.option("--seed", metavar="N", type=common.SEED, default=0, help="Seed of draws and trainings (0).")
@click.option("--workers", metavar="N", type=common.whole(1), help="Trainings side by side.")
@click.option(
    "--engine",
    metavar="ENGINE",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="Where trainings are computed: local (the default) or ray.",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", help="Where to train (cpu).")
@ROOT
@RESULTS
def search(
    dataset: str,
    loss: str,
    encoder: str,
    resource: int,
    eta: int,
    file: Path | None,
    method: str,
    budget: int | None,
    num_labels: int | None,
    train_fraction: float,
    replicate: int,
    seed: int,
    workers: int | None,
    engine: Literal["local", "ray"],
    device: str,
    root: str | None,
    results: str | None,
) -> int:
    """Search for the hyperparameters of a loss on a data set, by validation mAP of the loss's own head.

    The same command goes on with a search that was interrupted.
    """
    from mlcl_utils import data, runs
    from mlcl_utils import search as searching
    from mlcl_utils.search.trainings import Trainings, check_space, usual_space
    from mlcl_utils.studies.values import (
        available_device,
        available_engine,
        results_folder,
        writable_results,
    )

    available_device(device)
    available_engine(engine)
    if method not in searching.METHODS:
        raise unknown("method", method, searching.METHODS)
    base = _base(dataset, common.data_root(root), loss, encoder, num_labels, train_fraction, replicate, seed)
    space = usual_space(loss, encoder) if file is None else searching.Space.from_file(file)
    check_space(space, loss)
    place = writable_results(results_folder(Path(results or "results")))
    opened = runs.open_engine(engine, device=device, workers=workers)
    objective = Trainings(base, resource, results=place, engine=opened)
    name = data.short_name(dataset, base.data_root)
    # with the versions of data, loss and trainer: what has changed is searched anew
    identity = {"base": base.id, "R": resource, "eta": eta, "space": space.as_dict(), "budget": budget}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    folder = place / "search" / f"{name}-{loss}-{method}-{digest}"

    epochs = _announce(base, space, method, resource, eta, budget)
    with closing(opened):
        result = searching.METHODS[method](
            resource,
            eta,
            space.sampler(seed),
            objective.evaluate,
            budget=budget,
            journal=folder / "journal.jsonl",
            map=objective.map,
            watch=_Watch(epochs),
        )
    objective.finish(result)
    return _conclude(result, space, base, objective, folder)


def _base(
    dataset: str,
    root: Path | None,
    loss: str,
    encoder: str,
    num_labels: int | None,
    train_fraction: float,
    replicate: int,
    seed: int,
) -> RunConfig:
    """The run that all trials vary.

    Raises:
        UsageError: an unknown name, more labels than there are, an encoder that cannot read the data.
    """
    from mlcl_utils import data, losses, models
    from mlcl_utils.runs import RunConfig

    losses.check(loss)
    loaded = data.load(dataset, root)
    if not models.suitable(encoder, loaded.modality):
        raise UsageError(f"encoder '{encoder}' cannot read {dataset}, which holds {loaded.modality}s")
    if encoder == "frozen":
        _ = loaded.features  # refused now if there are none
    labels = num_labels or min(100, data.supported_labels(loaded, replicates=replicate + 1))
    data.task(loaded, num_labels=labels, replicate=replicate, train_fraction=train_fraction)
    return RunConfig(
        dataset=dataset,
        num_labels=labels,
        base_labels=labels,
        replicate=replicate,
        train_fraction=train_fraction,
        encoder=encoder,
        loss=loss,
        seed=seed,
        data_root=None if root is None else str(root),
    )


def _announce(base: RunConfig, space: Space, method: str, resource: int, eta: int, budget: int | None) -> int:
    """Says what is going to be done, before it begins; the epochs that are trained at most."""
    from mlcl_utils import search as searching

    part = "" if base.train_fraction == 1 else f", {base.train_fraction:.0%} of the training part"
    common.say(f"{base.loss} on {base.dataset}, {base.num_labels} labels{part}, encoder {base.encoder}")
    print(f"\n{space}\n")
    plan = searching.brackets(resource, eta)
    if method == "successive_halving":
        plan = plan[:1]
    if method in ("hyperband", "successive_halving"):
        print(searching.describe(plan))
    epochs = budget or searching.cost(plan)
    print(f"{method}: {epochs} epochs at most\n", flush=True)
    return epochs


class _Watch:
    """Says when a search has a new incumbent, and what failed.

    Args:
        budget: epochs of the search.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self._used, self._best = budget, 0, float("-inf")

    def __call__(self, evaluation: Evaluation) -> None:
        self._used += evaluation.trained
        where = f"{self._used:>{len(str(self._budget))}} of {self._budget} epochs"
        if evaluation.error is not None:
            common.say(f"{where}: configuration {evaluation.trial} failed: {evaluation.error}")
        elif evaluation.score > self._best:
            self._best = evaluation.score
            print(
                f"{where}: validation mAP {100 * evaluation.score:.1f}% after {evaluation.resource}"
                f" (configuration {evaluation.trial})",
                flush=True,
            )


def _conclude(result: Result, space: Space, base: RunConfig, objective: Trainings, folder: Path) -> int:
    """Writes what came of a search and says it; the exit status."""

    from mlcl_utils.paths import shown
    from mlcl_utils.search import report

    try:
        best = result.best
    except RuntimeError as error:
        common.complain(str(error))
        return 1
    identities = [objective.config(each.config, each.resource).id for each in result.evaluations]
    report.write(folder, result, identities, {"loss": base.loss, "encoder": base.encoder})
    test = objective.run(best).metrics["direct_map"]
    print(
        f"\nbest: validation mAP {100 * best.score:.1f}%, test mAP {100 * test:.1f}%, after {best.resource} epochs"
        f" (configuration {best.trial})"
    )
    width = max(map(len, best.config))
    edges = space.at_edge(best.config)
    for name, value in best.config.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        common.say(f"  {name:{width}}  {text}{'  (at the edge of its range)' if name in edges else ''}")
    seconds = sum(each.time_seconds for each in result.evaluations)
    failed = f", {len(result.failures)} failed" if result.failures else ""
    print()
    common.say(
        f"{len(result.evaluations)} evaluations{failed}, {result.trained} epochs,"
        f" {common.duration(seconds)} of computation; in {shown(folder)}:"
        f" trials.csv, search.pdf, best.toml, for: mlcl run STUDY -p config={shown(folder / 'best.toml')}"
    )
    return 0
