"""What the kernel mixture study measures: what each part adds, which terms are alive, how variances are calibrated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.comparisons import Comparison
from mlcl_utils.studies.execution import Execution, Measures, once
from mlcl_utils.studies.kernel_mixture import (
    PARTS,
    VARIANTS,
    KernelMixtureParameters,
    Variant,
    variant_of,
)
from mlcl_utils.training import BASELINES

DEAD = 0.99
"""Share of dead kernels or similarities from which on a term is dead."""

ALONE, WHOLE = VARIANTS["asl"].arm, VARIANTS["contrast"].arm


def arm(config: RunConfig, parameters: KernelMixtureParameters) -> Arm:
    """The arm of a run; its loss is the name of its variant."""
    variant = variant_of(config)
    return Arm.of(config) if variant is None else Arm.of(config, loss=variant.arm)


def tasks(study: Execution) -> list[Arm]:
    """What is learnt, as arms without a loss."""
    return list(dict.fromkeys(each.task for each in [*study.arms, *study.lost]))


def comparisons(study: Execution) -> Iterator[Comparison]:
    """What each part adds to mAP, what stands next to the whole, and every arm against the asymmetric loss alone."""
    for task in tasks(study):
        for part, before in zip(PARTS[1:], PARTS, strict=False):
            pair = [task.but(loss=VARIANTS[each].arm) for each in (part, before)]
            yield Comparison(f"kmcl_{part}", pair, "map", reason=dead(study, pair[0]).get(part, ""))
    known = {each.arm for each in VARIANTS.values()}
    for each in study.arms:
        if each.loss in BASELINES:
            continue
        if each.loss != ALONE:
            yield Comparison("against_asl", [each, each.but(loss=ALONE)], "map")
        if each.loss not in known or each.loss in {VARIANTS[name].arm for name in ("mahalanobis", "rbf")}:
            yield Comparison("whole", [each.but(loss=WHOLE), each], "map")
        elif each.loss in {VARIANTS[name].arm for name in ("released", "averaged")}:
            yield Comparison("whole", [each, each.but(loss=WHOLE)], "map")


MEASURES = Measures(comparisons, metrics=("map", "macro_f1", "micro_f1", "lrap", "ranking_loss"), arm=arm)


def mixtures(study: Execution) -> Iterator[tuple[Variant, Arm]]:
    """The arms with a mixture in their loss, by task in the order of the variants."""
    for task in tasks(study):
        for name, each in VARIANTS.items():
            if name != "asl" and task.but(loss=each.arm) in study.arms:
                yield each, task.but(loss=each.arm)


def dead(study: Execution, arm: Arm) -> dict[str, str]:
    """The terms of an arm that are dead, with the reason; none of an arm without runs.

    The contrast is if nearly all ρ are 0 or 1, where they have no slope. The reconstruction is if nearly all κ
    underflow, in the arithmetic of the released code; that by log-sum-exp, the default, needs no κ but its logarithm.
    """
    if arm not in study.arms:
        return {}
    members = study.arms[arm]
    underflow, saturated = (scores.mean(members, name) for name in ("kappa_underflow", "rho_saturated"))
    given = members[0].config.hyperparameters
    found = {}
    if given.get("reconstruction", 1.0) and not given.get("stable", True) and underflow >= DEAD:
        found["reconstruction"] = f"dead reconstruction: {underflow:.1%} of κ underflow"
    if given.get("contrastive", 1.0) and saturated >= DEAD:
        found["contrast"] = f"dead contrast: {saturated:.1%} of ρ outside [0.01, 0.99]"
    return found


@once
def health(study: Execution) -> pd.DataFrame:
    """How alive the terms of every variant are, on test, and how its variances are calibrated; means over replicates.

    Columns: ``dataset``, ``arm``; the shares ``kappa_underflow`` and ``rho_saturated`` (outside [0.01, 0.99]); the
    gradient of each weighted term by the features in units of that of the asymmetric loss,
    ``gradient_reconstruction`` and ``gradient_contrastive``; ``dead``, the dead terms with the reason;
    ``variance_ratio``, squared deviations over stated variances, and ``variance_rank``, their rank correlation.
    """
    rows = []
    for variant, each in mixtures(study):
        members = study.arms[each]
        asl = scores.mean(members, "gradient_asl")
        row: dict[str, object] = {"dataset": each.dataset, "arm": each.loss}
        row |= {name: scores.mean(members, name) for name in ("kappa_underflow", "rho_saturated")}
        for name in ("reconstruction", "contrastive"):
            weight = variant.hyperparameters.get(name, 1.0)
            row[f"gradient_{name}"] = weight * scores.mean(members, f"gradient_{name}") / asl
        row["dead"] = "; ".join(dead(study, each).values())
        row |= {name: scores.mean(members, name) for name in ("variance_ratio", "variance_rank")}
        rows.append(row)
    return pd.DataFrame(rows)


def reliability(study: Execution) -> pd.DataFrame:
    """Stated variances and squared deviations of the kernels in ten bins of the former, means over replicates.

    Columns: ``dataset``, ``loss`` (the variant), ``kernels`` (``own labels`` or ``other labels``), ``bin``, ``stated``,
    ``square``.
    """
    rows = []
    for each, members in study.arms.items():
        stored = [run.arrays().get("reliability") for run in members]
        kept = [bins for bins in stored if bins is not None]
        for kind, bins in zip(
            ("own labels", "other labels"), np.mean(kept, axis=0) if kept else (), strict=bool(kept)
        ):
            for number, (stated, square, _) in enumerate(bins):
                where = {"dataset": each.dataset, "loss": each.loss, "kernels": kind, "bin": number}
                rows.append({**where, "stated": stated, "square": square})
    return pd.DataFrame(rows)
