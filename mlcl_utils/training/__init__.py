"""Training: a model with a loss, the probe that every representation is read with, and the baselines.

The parts that need torch are imported when they are first used, so that configurations can be written without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlcl_utils.training.recipe import Recipe

if TYPE_CHECKING:
    from mlcl_utils.training.baselines import nearest_neighbours, prior
    from mlcl_utils.training.loop import Fitted, Training, TrainingError, fit
    from mlcl_utils.training.novel import draw_novel, evaluate_novel, with_labels
    from mlcl_utils.training.probe import Probe, fit_probe, fit_sparse_probe
    from mlcl_utils.training.representation import as_float16, represent, untrained

__all__ = [
    "BASELINES",
    "Fitted",
    "Probe",
    "Recipe",
    "SparseProbe",
    "Training",
    "TrainingError",
    "as_float16",
    "draw_novel",
    "evaluate_novel",
    "fit",
    "fit_probe",
    "fit_probes",
    "fit_sparse_probe",
    "mean_average_precision",
    "micro_f1_half",
    "nearest_neighbours",
    "prior",
    "represent",
    "ridge_map",
    "untrained",
    "with_labels",
]

BASELINES = {
    "prior": "the share of training positives, the same scores for every example",
    "nearest_neighbours": "labels of the 20 nearest training examples by cosine of the input, weighted by it",
    "logistic_regression": "the linear probe on what the encoder reads: frozen features, TF-IDF, or pixels",
    "random_encoder": "the linear probe on an encoder before training: random weights, or a pretrained one's",
    "shuffled_labels": "BCE and probe trained on labels that are shuffled among the training examples",
    "name_matching": "whether the text names the label: 2 in the title, 1 below it, else 0",
}
"""What every results table is read against: name to a line of explanation."""


_WHERE = {
    "loop": ("Fitted", "Training", "TrainingError", "fit"),
    "representation": ("as_float16", "represent", "untrained"),
    "novel": ("draw_novel", "evaluate_novel", "with_labels"),
    "probe": (
        *("Probe", "SparseProbe", "fit_probe", "fit_probes", "fit_sparse_probe", "ridge_map"),
        *("mean_average_precision", "micro_f1_half"),
    ),
    "baselines": ("nearest_neighbours", "prior"),
}


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
