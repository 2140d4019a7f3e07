"""What the runs of the study of missing labels say, in sentences that follow from the numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mlcl_utils.figures import style
from mlcl_utils.studies import scores, wording
from mlcl_utils.studies.contrasts import Contrast, by_dataset, contrast
from mlcl_utils.studies.missing_labels.measures import Summary, additions, corrections, costs
from mlcl_utils.studies.tables import FEW, markdown
from mlcl_utils.studies.wording import Headed
from mlcl_utils.training import BASELINES

INCOMPLETE = ("debtags",)
"""Data sets that miss positives of their own, so that a correction may be right where they say it is wrong."""


def reading(summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return markdown(sentences(summary))


def sentences(summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    costly = [each for each in costs(summary, "map") if "+" not in each.first.loss]
    lines = [_cost(name, own) for name, own in by_dataset(costly)]
    losing = [each for each in additions(summary, "map") if each.first.loses_positives]
    lines += [_help(name, own) for name, own in by_dataset(losing)]
    lines += _untuned(summary, losing)
    for name in dict.fromkeys(arm.dataset for arm in summary.arms):
        lines += [*_weights(summary, name), *_plain_norm(summary, name), *_correction_alone(summary, name)]
        lines += [*_oracle(summary, name), *_rank(summary, name)]
    lines += _found(summary)
    lines += _remarks(summary)
    trained = [members for arm, members in summary.arms.items() if arm.loss not in BASELINES]
    count = min(map(len, trained))
    if count < FEW:
        lines.append(
            f"With {count} replicate{'s' if count > 1 else ''} of the least repeated arm, no verdict on a published"
            " claim rests on this."
        )
    return lines


def _cost(dataset: str, found: list[Contrast]) -> str:
    """What each condition costs, from the loss that it costs least to the one that it costs most."""
    parts = []
    for positives in dict.fromkeys(each.first.positives for each in found):
        own = sorted(
            (each for each in found if each.first.positives == positives),
            key=lambda each: -each.interval.estimate,
        )
        said = [f"{style.look(own[0].first.loss).label} {wording.in_points(own[0].interval)}"]
        if len(own) > 1:
            said.append(f"{style.look(own[-1].first.loss).label} {wording.in_points(own[-1].interval)}")
        parts.append(f"{positives}: {' to '.join(said)}")
    return Headed(
        f"{dataset}:",
        f" against training with all positives, mAP changes by so many points (each loss with its best"
        f" head; least and most harmed): {'; '.join(parts)}.",
    )


def _help(dataset: str, found: list[Contrast]) -> str:
    sides: dict[str, list[Contrast]] = {"above": [], "below": [], "across": []}
    for each in found:
        sides[wording.direction(each.interval)].append(each)
    words = {"above": "raises", "below": "lowers", "across": "does not clearly change"}
    parts = []
    for side, own in sides.items():
        if own:
            names = ", ".join(f"{_base(each)} ({each.first.positives})" for each in own)
            points = sorted(100 * each.interval.estimate for each in own)
            spread = f"{points[0]:+.1f}" if len(own) == 1 else f"{points[0]:+.1f} to {points[-1]:+.1f}"
            parts.append(f"{words[side]} that of {names}: {spread}")
    return Headed(
        f"{dataset}:",
        f" at the published weight, by points of mAP with the best head of each, CLML"
        f" {'; '.join(parts)}. Differences below half a point are not material.",
    )


def _untuned(summary: Summary, tuned: list[Contrast]) -> list[str]:
    """The same with default configurations: what tuning on one replicate makes of a difference is in no interval."""
    default = {
        each.first: each for each in additions(dataclasses.replace(summary, arms=summary.untuned), "map")
    }
    both = [(each, default[each.first]) for each in tuned if each.first in default]
    lines: list[str] = []
    for dataset in dict.fromkeys(each.first.dataset for each, _ in both):
        own = [pair for pair in both if pair[0].first.dataset == dataset]
        points = [100 * plain.interval.estimate for _, plain in own]
        turned = [
            f"{_base(each)} ({each.first.positives})"
            for each, plain in own
            if wording.direction(each.interval) != wording.direction(plain.interval)
        ]
        line = (
            " with the default configuration on both sides instead of tuned ones, CLML changes mAP by"
            f" {min(points):+.1f} to {max(points):+.1f} points"
        )
        if turned:
            line += f"; the sign of its change, or whether it is clear, hangs on that for {', '.join(turned)}"
        lines.append(Headed(f"{dataset}:", f"{line}."))
    return lines


def _base(each: Contrast) -> str:
    return style.look(each.second.loss).label


def _own(summary: Summary, dataset: str, found: list[Contrast]) -> list[Contrast]:
    """Those of a data set in the condition in which everything is compared."""
    return [each for each in found if each.first.dataset == dataset and summary.at_reference(each.first)]


def _weights(summary: Summary, dataset: str) -> list[str]:
    """The weight that validation prefers, among those that were tried."""
    found = _own(summary, dataset, additions(summary, "map", every_weight=True))
    several = [each.second for each in found if each.first.setting]
    tried = [each for each in found if each.second in several]
    if not tried:
        return []

    def on_validation(each: Contrast) -> float:
        return scores.mean(summary.arms[each.first], f"{each.heads[0]}_validation_map")

    best = max(tried, key=on_validation)
    without = scores.mean(summary.arms[best.second], f"{best.heads[1]}_validation_map")
    preferred = "no CLML" if without >= on_validation(best) else f"weight {best.first.setting or '×1'}"
    changes = ", ".join(f"{each.first.setting or '×1'} {wording.in_points(each.interval)}" for each in tried)
    return [
        Headed(
            f"{tried[0].second.describe()}:",
            f" beside {_base(best)}, validation prefers {preferred}; by weight, in"
            f" multiples of the published one, mAP changes by {changes} points.",
        )
    ]


def _plain_norm(summary: Summary, dataset: str) -> list[str]:
    """The nuclear norms against a plain norm whose gradient is as large, at every weight."""
    parts = []
    for arm in summary.arms:
        if arm.dataset != dataset or not arm.loss.endswith("+clml") or not summary.at_reference(arm):
            continue
        each = contrast(summary.arms, arm, arm.but(loss=arm.loss.replace("+clml", "+norm_penalty")), "map")
        if each is not None:
            word = {"above": "ahead", "below": "behind", "across": "not told apart"}[
                wording.direction(each.interval)
            ]
            parts.append(
                f"{word} at {arm.setting or '×1'} ({wording.in_points(each.interval)} points of mAP)"
            )
    if not parts:
        return []
    return [
        Headed(
            f"{dataset}:",
            f" CLML beside a plain norm of the features whose gradient is as large is {', '.join(parts)}.",
        )
    ]


def _correction_alone(summary: Summary, dataset: str) -> list[str]:
    """Label correction without the nuclear norms, against none, and against CLML beside the same base loss."""
    lines: list[str] = []
    for arm in summary.arms:
        if arm.dataset != dataset or arm.loss != "corrected_bce" or not summary.at_reference(arm):
            continue
        alone = contrast(summary.arms, arm, arm.but(loss="bce"), "map")
        beyond = contrast(summary.arms, arm.but(loss="bce+clml"), arm, "map")
        if alone is None:
            continue
        verb = {"above": "raises", "below": "lowers", "across": "does not clearly change"}[
            wording.direction(alone.interval)
        ]
        text = (
            f" the label correction alone, without the nuclear norms, {verb} the mAP of BCE"
            f" ({wording.in_points(alone.interval)} points)"
        )
        if beyond is not None:
            place = {"above": "ahead of", "below": "behind", "across": "not told apart from"}[
                wording.direction(beyond.interval)
            ]
            text += f"; BCE with CLML is {place} it ({wording.in_points(beyond.interval)})"
        lines.append(Headed(f"{arm.describe()}:", f"{text}."))
    return lines


def _oracle(summary: Summary, dataset: str) -> list[str]:
    """What a clean validation part, which nobody has, would add through what is chosen on it."""
    parts = []
    for arm in summary.arms:
        if arm.dataset != dataset or not arm["clean_validation"] or arm.loss in BASELINES or "+" in arm.loss:
            continue
        for metric in ("macro_f1", "map"):
            each = contrast(summary.arms, arm, arm.but(clean_validation=False), metric, "probe")
            if each is not None:
                parts.append(
                    f"{wording.in_points(each.interval)} points of {style.metric(metric).label}"
                    f" ({style.look(arm.loss).label}, probe)"
                )
    if not parts:
        return []
    return [
        Headed(
            f"{dataset}, oracle:",
            f" with a validation part that has lost nothing, chosen thresholds and penalties alone"
            f" would add {', '.join(parts)}.",
        )
    ]


def _rank(summary: Summary, dataset: str) -> list[str]:
    found = _own(summary, dataset, additions(summary, "effective_rank", "", every_weight=True))
    parts = []
    for each in found:
        before = scores.mean(summary.arms[each.second], "effective_rank")
        after = scores.mean(summary.arms[each.first], "effective_rank")
        word = {"above": "up", "below": "down", "across": "not clearly changed"}[
            wording.direction(each.interval)
        ]
        weight = f" {each.first.setting}" if each.first.setting else ""
        parts.append(f"{_base(each)} + CLML{weight} {after:.0f} from {before:.0f}, {word}")
    return [Headed(f"{found[0].second.describe()}:", f" effective rank {'; '.join(parts)}.")] if parts else []


def _found(summary: Summary) -> list[str]:
    """Precision and recall of the correction after the last epoch."""
    rows = corrections(summary)
    if rows.empty:
        return []
    lines: list[str] = []
    for dataset in dict.fromkeys(rows["dataset"]):
        own = rows[(rows["dataset"] == dataset) & scores.is_plain(rows)]
        last = own[own["epoch"] == own.groupby("loss")["epoch"].transform("max")]
        parts = [f"{style.look(row['loss']).label} {_shares(row)}" for _, row in last.iterrows()]
        bound = (
            " (precision a lower bound: the set misses positives of its own)" if dataset in INCOMPLETE else ""
        )
        lines.append(Headed(f"{dataset}, correction after the last epoch", f"{bound}: {'; '.join(parts)}."))
    return lines


def _shares(row: pd.Series[float]) -> str:
    if np.isnan(row["precision"]):
        return "corrects nothing"
    return f"finds {row['recall']:.0%} of the lost positives, right in {row['precision']:.0%} of what it corrects"


def _remarks(summary: Summary) -> list[str]:
    """How many arms are below a baseline, with the probe and with the losses' own heads."""
    trained = [arm for arm in summary.arms if arm.loss not in BASELINES]
    lines = []
    for head, words in (("probe", "Read with the probe"), ("direct", "Read with the losses' own heads")):
        found = [scores.remark(summary.arms, arm, f"{head}_map") for arm in trained]
        lines.append(
            f"{words}, {found.count('degenerate')} of {len(trained)} trained arms are below the untrained encoder, so"
            f" that nothing rests on them, and {found.count('below baseline')} more below logistic regression on the"
            " input; the tables mark them."
        )
    return lines
