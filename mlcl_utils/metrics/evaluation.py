"""All metrics of one model on one part of the data, computed together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlcl_utils.metrics import classification
from mlcl_utils.metrics.arrays import Array, Floats, checked_labels, checked_scores, mean
from mlcl_utils.metrics.ranking import (
    average_precision,
    eleven_point_average_precision,
    micro_average_precision,
    rank_examples,
)
from mlcl_utils.metrics.thresholds import HALF, Thresholds


def evaluate(
    labels: Array, scores: Array, thresholds: Thresholds, *, bands: Mapping[str, Array] | None = None
) -> dict[str, float]:
    """Every metric by name, as fractions (not percent).

    F1, Hamming loss and subset accuracy use the overall threshold; names that end in ``_half`` use the score
    0 (a probability of one half on logits), those in ``_per_label`` the thresholds of the labels.
    ``precision_at_k_max`` is the largest precision at k that the numbers of positives allow.
    ``labels_evaluated``, ``labels_without_positive`` and ``examples_ranked`` are counts.

    Args:
        labels: (n, L) in {-1, 0, 1}; unobserved entries are left out.
        scores: (n, L) finite, logits or any scores on one scale.
        thresholds: tuned on the validation part of the same model.
        bands: name -> (L,) bool mask, such as head, medium and tail; each adds
            ``macro_f1_<name>`` and ``map_<name>``, NaN if no label in it has a positive.

    Returns:
        name -> value; cut metrics whose k exceeds the number of labels are missing.
    """
    known = checked_labels(labels)
    values = checked_scores(scores, known)
    at_overall = values >= thresholds.overall
    at_half = values >= HALF
    at_label = values >= thresholds.per_label

    precision = average_precision(known, values)
    label_f1 = classification.label_f1(known, at_overall)
    counted = ~np.isnan(precision)
    result = {
        "map": mean(precision[counted]),
        "map_voc2007": mean(eleven_point_average_precision(known, values)[counted]),
        "micro_ap": micro_average_precision(known, values),
        "macro_f1": mean(label_f1[counted]),
        "micro_f1": classification.micro_f1(known, at_overall),
        "sample_f1": classification.sample_f1(known, at_overall),
        "hamming_loss": classification.hamming_loss(known, at_overall),
        "subset_accuracy": classification.subset_accuracy(known, at_overall),
        "macro_f1_half": classification.macro_f1(known, at_half),
        "micro_f1_half": classification.micro_f1(known, at_half),
        "macro_f1_per_label": classification.macro_f1(known, at_label),
        "micro_f1_per_label": classification.micro_f1(known, at_label),
    }
    for name, mask in (bands or {}).items():
        inside = counted & mask
        result[f"macro_f1_{name}"] = mean(label_f1[inside])
        result[f"map_{name}"] = mean(precision[inside])

    ranking = rank_examples(known, values)
    result["lrap"] = _mean_ranked(ranking.average_precision)
    result["ranking_loss"] = _mean_ranked(ranking.loss)
    result["coverage"] = _mean_ranked(ranking.coverage)
    for k, at_k in ranking.precision_at.items():
        result[f"precision_at_{k}"] = _mean_ranked(at_k)
        result[f"precision_at_{k}_max"] = _mean_ranked(ranking.attainable_at[k])
        result[f"ndcg_at_{k}"] = _mean_ranked(ranking.ndcg_at[k])

    result["labels_evaluated"] = float(np.count_nonzero(counted))
    result["labels_without_positive"] = float(np.count_nonzero(~counted))
    result["examples_ranked"] = float(np.count_nonzero(ranking.ranked))
    return result


def _mean_ranked(values: Floats) -> float:
    return mean(values[~np.isnan(values)])
