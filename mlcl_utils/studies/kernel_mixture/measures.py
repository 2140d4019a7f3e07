"""The runs of the kernel mixture study by arm, what is alive in them, and the effects that claims are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlcl_utils.runs import RunConfig
from mlcl_utils.studies import claims, runs, scores
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.contrasts import Contrast, contrast, effect, lost_effect
from mlcl_utils.studies.kernel_mixture import PARTS, VARIANTS, Variant, variant_of
from mlcl_utils.studies.runs import Carried
from mlcl_utils.studies.scores import Arms

METRICS = ("map", "macro_f1", "micro_f1", "lrap", "ranking_loss")
HEALTH = (
    "kappa_underflow",
    "rho_saturated",
    "gradient_asl",
    "gradient_reconstruction",
    "gradient_contrastive",
)
CALIBRATION = ("variance_ratio", "variance_rank")
DEAD = 0.99
"""Share of dead kernels or similarities from which on a term is dead."""


@dataclass(frozen=True)
class Summary:
    """The runs of the study by arm, with intervals.

    Attributes:
        carried: the runs.
        arms: the runs of every arm; the loss of an arm with the kernel mixture is the name of its variant.
        lost: those that failed, likewise.
        intervals: one row an arm, head and metric.
    """

    carried: Carried
    arms: Arms
    lost: dict[Arm, list[RunConfig]]
    intervals: pd.DataFrame

    @property
    def tasks(self) -> list[Arm]:
        """What is learnt, as arms without a loss."""
        return list(dict.fromkeys(arm.task for arm in [*self.arms, *self.lost]))


def summarise(carried: Carried) -> Summary:
    """Means and intervals of every arm."""

    found = runs.arms(carried.grid, arm_of)
    return Summary(carried, found, runs.lost(carried.grid, arm_of), scores.intervals(found, METRICS))


def arm_of(config: RunConfig) -> Arm:
    """The arm of a run; its loss is the name of its variant."""
    variant = variant_of(config)
    return Arm.of(config) if variant is None else Arm.of(config, loss=variant.arm)


def mixtures(summary: Summary, task: Arm) -> list[tuple[Variant, Arm]]:
    """The variants that were trained on a task with a mixture in their loss."""
    found = [(each, task.but(loss=each.arm)) for name, each in VARIANTS.items() if name != "asl"]
    return [pair for pair in found if pair[1] in summary.arms]


def against_asl(summary: Summary, metric: str, head: str = "best") -> list[Contrast]:
    """Every other variant, and the other losses, minus the asymmetric loss of the head alone."""
    found = []
    alone = VARIANTS["asl"].arm
    for arm in summary.arms:
        if arm.loss != alone and not summary.arms[arm][0].config.is_baseline:
            each = contrast(summary.arms, arm, arm.but(loss=alone), metric, head)
            found += [each] if each is not None else []
    return found


def nested(summary: Summary, task: Arm, metric: str, head: str = "best") -> dict[str, Contrast]:
    """What each part adds to those before it, by the part's name."""
    found = {part: contrast(summary.arms, *pair, metric, head) for part, pair in _steps(task).items()}
    return {part: each for part, each in found.items() if each is not None}


def _steps(task: Arm) -> dict[str, tuple[Arm, Arm]]:
    """The arms with and without each part, by the part's name."""
    return {
        part: (task.but(loss=VARIANTS[part].arm), task.but(loss=VARIANTS[before].arm))
        for part, before in zip(PARTS[1:], PARTS, strict=False)
    }


def dead(summary: Summary, arm: Arm) -> dict[str, str]:
    """The terms of an arm that are dead, with the reason.

    The contrast is if nearly all ρ are 0 or 1, where they have no slope. The reconstruction is if nearly all κ
    underflow, in the arithmetic of the released code; that by log-sum-exp, the default, needs no κ but its logarithm.
    """
    members = summary.arms[arm]
    share = {name: scores.mean(members, name) for name in ("kappa_underflow", "rho_saturated")}
    found = {}
    hyperparameters = members[0].config.hyperparameters
    weights = {name: hyperparameters.get(name, 1.0) for name in ("reconstruction", "contrastive")}
    if (
        weights["reconstruction"]
        and not hyperparameters.get("stable", True)
        and share["kappa_underflow"] >= DEAD
    ):
        found["reconstruction"] = f"dead reconstruction: {share['kappa_underflow']:.1%} of κ underflow"
    if weights["contrastive"] and share["rho_saturated"] >= DEAD:
        found["contrast"] = f"dead contrast: {share['rho_saturated']:.1%} of ρ outside [0.01, 0.99]"
    return found


def effects(summary: Summary) -> claims.Effects:
    """What the claims of this study are judged by: what each part adds to mAP; a dead term is an impediment."""
    found: dict[str, list[claims.Effect]] = {"kmcl_reconstruction": [], "kmcl_contrast": []}
    for task in summary.tasks:
        measured = nested(summary, task, "map")
        for part, pair in _steps(task).items():
            if part in measured:
                impediment = dead(summary, pair[0]).get(part, "")
                found[f"kmcl_{part}"].append(effect(summary.arms, measured[part], impediment=impediment))
            elif (lost := lost_effect(summary.lost, *pair)) is not None:
                found[f"kmcl_{part}"].append(lost)
    return found


def reliability(summary: Summary) -> pd.DataFrame:
    """Stated variances and squared deviations of the kernels in ten bins of the former, means over replicates.

    Columns: ``dataset``, ``loss`` (the variant), ``kernels`` (``own labels`` or ``other labels``), ``bin``, ``stated``,
    ``square``.
    """
    rows = []
    for arm, members in summary.arms.items():
        stored = [run.arrays().get("reliability") for run in members]
        kept = [each for each in stored if each is not None]
        if not kept:
            continue
        for kind, bins in zip(("own labels", "other labels"), np.mean(kept, axis=0), strict=True):
            for number, (stated, square, _) in enumerate(bins):
                rows.append(
                    {
                        "dataset": arm.dataset,
                        "loss": arm.loss,
                        "kernels": kind,
                        "bin": number,
                        "stated": stated,
                        "square": square,
                    }
                )
    return pd.DataFrame(rows)
