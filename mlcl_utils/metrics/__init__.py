"""Metrics for multi-label prediction and for representations, with their conventions stated.

Labels are integer matrices of shape (examples, labels) with three states: positive 1, negative 0, unobserved
-1. Unobserved entries are left out of everything. Scores are real matrices of the same shape in which larger
means more likely; the thresholds live on their scale, so that on logits a probability of one half is the
score 0. An entry is predicted positive if its score reaches the threshold (``>=``).

Two definitions of macro-F1 circulate; here it is the mean of the labels' F1, not the F1 of the mean precision
and recall (Opitz and Burst, "Macro F1 and Macro F1", arXiv 1911.03347).

A mean over nothing (no label with a positive, no example that can be ranked, an empty band) is NaN.
"""

from __future__ import annotations

from mlcl_utils.metrics.calibration import describe_variances, reliability
from mlcl_utils.metrics.classification import (
    hamming_loss,
    label_f1,
    macro_f1,
    micro_f1,
    sample_f1,
    subset_accuracy,
)
from mlcl_utils.metrics.consistency import opis_pairs, opis_scores
from mlcl_utils.metrics.evaluation import evaluate
from mlcl_utils.metrics.neighbourhood import icnn_score, utilisation
from mlcl_utils.metrics.novel import label_means, novel_labels
from mlcl_utils.metrics.objects import LabelPairOPIS, TunedThresholds
from mlcl_utils.metrics.ranking import (
    ExampleRanking,
    average_precision,
    eleven_point_average_precision,
    micro_average_precision,
    micro_roc_auc,
    rank_examples,
    roc_auc,
)
from mlcl_utils.metrics.representation import (
    coherence,
    describe_representation,
    picture_embeddings,
    view_alignment,
)
from mlcl_utils.metrics.thresholds import Thresholds, tune_thresholds

__all__ = [
    "ExampleRanking",
    "LabelPairOPIS",
    "Thresholds",
    "TunedThresholds",
    "average_precision",
    "coherence",
    "describe_representation",
    "describe_variances",
    "eleven_point_average_precision",
    "evaluate",
    "hamming_loss",
    "icnn_score",
    "label_f1",
    "label_means",
    "macro_f1",
    "micro_average_precision",
    "micro_f1",
    "micro_roc_auc",
    "novel_labels",
    "opis_pairs",
    "opis_scores",
    "picture_embeddings",
    "rank_examples",
    "reliability",
    "roc_auc",
    "sample_f1",
    "subset_accuracy",
    "tune_thresholds",
    "utilisation",
    "view_alignment",
]
