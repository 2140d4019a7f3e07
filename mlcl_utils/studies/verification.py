"""Results checked by doing them again: some of a study's runs, drawn at random, beside what its table says of them."""

from __future__ import annotations

import ast
import csv
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlcl_utils import losses
from mlcl_utils.errors import UsageError
from mlcl_utils.paths import shown
from mlcl_utils.runs import RunConfig
from mlcl_utils.studies.manifest import MANIFEST, package_versions, processor
from mlcl_utils.training import Recipe

TOLERANCES = {
    r".*(labels_evaluated|labels_without_positive|examples_ranked)$": 0.0,
    r"(direct|probe)_(map|map_voc2007|validation_map|micro_ap|lrap|ranking_loss|ndcg_at_\d+)$": 0.04,
    r"([a-z]+_)?(map(_.*)?|validation_map|micro_ap|lrap|ranking_loss|(precision|ndcg)_at_\d+(_max)?)$": 0.1,
    r"(projection|neighbours)_(.*f1(_.*)?|recall_(un)?named|hamming_loss|subset_accuracy)$": 0.3,
    r"(gradient|variance)_": 1.5,
    r"": 0.15,
}
"""By how much a metric may differ on another processor or with other versions: absolutely if it is a share, else
relatively; by the first pattern that its name begins with.

Training goes other ways after the first rounding that differs, and what was near a threshold falls on its other side.
Counts are of the data alone. The others are one and a half times to twice the largest difference seen, over 66 runs
that were made on an AMD EPYC and repeated on an Intel Xeon and 52 that were repeated with other kernels of matrix
products and of elementwise functions: 0.021 for averages of a ranking by the loss's head or the probe (mAP of the
probe: median 0.00003), at most 0.072 for rankings by few labels, at one rank or on a projection, 0.157 for what one
threshold decides there, chosen on validation, which jumps between near ties, at most 0.072 for what one decides
elsewhere and for geometry, and 0.71 for ratios of gradients and of variances.
"""

ROUNDING = 1e-11
"""Differences up to this, absolute or relative as for :data:`TOLERANCES`, are rounding and count nowhere.

The same code on two generations of processors of one family differs by 1e-15 to 1e-12 in sums of many terms.
"""

_ARITHMETIC = ("torch", "numpy", "scipy", "scikit-learn")  # packages whose version may change a last digit


@dataclass(frozen=True)
class Repeated:
    """A run that was repeated.

    Attributes:
        config: what was run.
        metrics: how many were compared.
        differing: those that differ by more than they may: name to (stored, found).
        farthest: the metric that is farthest off, measured by what it may be, with the difference that is compared.
        exact: whether they had to be the same but for :data:`ROUNDING`.
    """

    config: RunConfig
    metrics: int
    differing: dict[str, tuple[float, float]]
    farthest: tuple[str, float]
    exact: bool


def same_arithmetic(manifest: Mapping[str, Any]) -> bool:
    """Whether results were made on the same processor by the same kernels and versions, so that the bits are the same.

    A manifest that names the processor without family and model, as older ones do, does not say so.
    """
    versions = package_versions()
    made = manifest.get("packages", {})
    name = str(manifest.get("processor"))
    return (
        manifest.get("device") == "cpu"
        and ", family " in name
        and name == processor()
        and all(made.get(package) == versions.get(package) for package in _ARITHMETIC)
    )


def drawn(folder: Path, count: int, seed: int) -> list[dict[str, str]]:
    """Some rows of a results folder's ``runs.csv``; all if there are no more.

    Raises:
        UsageError: the folder has no such table.
    """
    path = folder / "runs.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise UsageError(
            f"{shown(path)} is missing: there are no results to verify; make some with: mlcl run"
        ) from None
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[at] for at in sorted(chosen)]


def config_of(row: Mapping[str, str], root: str | None) -> RunConfig:
    """The configuration that a row of ``runs.csv`` is of.

    Raises:
        UsageError: data, loss or trainer have other versions than when the run was made.
    """
    plain = {name: _plain(value) for name, value in row.items()}
    hyperparameters = {
        name.removeprefix("loss_"): value
        for name, value in plain.items()
        if name.startswith("loss_") and name != "loss_scale" and value is not None
    }
    names = [field.name for field in dataclasses.fields(Recipe)]
    recipe = {name: plain[name] for name in names if plain.get(name) is not None}
    fields = {field.name for field in dataclasses.fields(RunConfig)} - {"hyperparameters", "recipe"}
    config = RunConfig(
        **{name: plain[name] for name in fields if plain.get(name) is not None} | {"data_root": root},
        hyperparameters=hyperparameters,
        recipe=Recipe(**recipe) if "epochs" in recipe else None,
    )
    config = _typed(config)
    if config.id != row["run"]:
        raise UsageError(
            f"run {row['run']} cannot be repeated: data, loss or training have another version than it was made with"
        )
    return config


def _plain(cell: str) -> Any:
    """A cell of a table as the value that was written: absent, a number, a truth, a mapping, or a word."""
    if not cell:
        return None
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return cell


def _typed(config: RunConfig) -> RunConfig:
    """Whole numbers where the fields hold whole numbers: a column that lacks some values has floats alone."""

    def whole(each: Any, owner: Any) -> dict[str, Any]:
        return {
            field.name: int(value)
            for field in dataclasses.fields(owner)
            if "int" in str(field.type) and isinstance(value := getattr(each, field.name), float)
        }

    recipe = config.recipe
    if recipe is not None:
        floats: dict[str, Any] = {
            field.name: float(getattr(recipe, field.name))
            for field in dataclasses.fields(Recipe)
            if field.type == "float"
        }
        recipe = dataclasses.replace(recipe, **whole(recipe, Recipe), **floats)
    declared = {} if config.is_baseline else losses.info(config.loss).hyperparameters
    hyperparameters = {
        name: int(value)
        if isinstance(value, float) and name in declared and isinstance(declared[name].default, int)
        else value
        for name, value in config.hyperparameters.items()
    }
    return dataclasses.replace(
        config, **whole(config, RunConfig), recipe=recipe, hyperparameters=hyperparameters
    )


def repeat(folder: Path, *, count: int, seed: int, root: str | None = None) -> Iterator[Repeated]:
    """Repeats some runs of a results folder, on the CPU with one thread, and compares all their metrics.

    Each when it is asked for; what cannot be repeated is refused before the first. Nothing is stored.

    Args:
        folder: results of a study.
        count: how many runs.
        seed: of the draw.
        root: the folder of a user's sets.

    Raises:
        UsageError: the folder has no results, or a run cannot be repeated.
    """
    rows = drawn(folder, count, seed)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{shown(folder / MANIFEST)} is missing or damaged: run the study again") from None
    exact = same_arithmetic(manifest)
    configs = [config_of(row, root) for row in rows]
    return (_again(config, row, exact=exact) for config, row in zip(configs, rows, strict=True))


def _again(config: RunConfig, row: Mapping[str, str], *, exact: bool) -> Repeated:
    from mlcl_utils.runs.execute import execute

    # what the table has no column for, later versions measure besides
    found = {name: value for name, value in execute(config, device="cpu").metrics.items() if name in row}
    stored = {name: float(row[name]) for name in found if row.get(name)}
    off = {name: _off(stored.get(name, math.nan), value) for name, value in found.items()}
    differing = {
        name: (stored.get(name, math.nan), value)
        for name, value in found.items()
        if not off[name] <= (ROUNDING if exact else max(ROUNDING, tolerance(name)))  # NaN is not within
    }
    # A count, which may not differ at all, is the farthest if it does.
    farthest = max(off, key=lambda name: off[name] / max(tolerance(name), 1e-12))
    return Repeated(config, len(found), differing, (farthest, off[farthest]), exact)


def _off(stored: float, found: float) -> float:
    return abs(stored - found) / max(1.0, abs(stored))


def tolerance(name: str) -> float:
    """By how much a metric may differ on another processor or with other versions, see :data:`TOLERANCES`."""
    return next(allowed for pattern, allowed in TOLERANCES.items() if re.match(pattern, name))
