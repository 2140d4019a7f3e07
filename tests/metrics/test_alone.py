"""Metrics on what users have at hand: arrays, nested lists, tensors; without torch."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mlcl_utils import metrics

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, (30, 3))
SCORES = RNG.normal(size=(30, 3))
OF_PREDICTIONS = ("macro_f1", "micro_f1", "sample_f1", "hamming_loss", "subset_accuracy", "label_f1")
OF_SCORES = ("average_precision", "roc_auc", "micro_average_precision", "micro_roc_auc", "opis_scores")


def test_metrics_import_numpy_and_scipy_alone():
    code = (
        "import sys; from mlcl_utils import metrics;"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'matplotlib', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def trained(array):
    """A tensor as a model gives it: with a gradient, where it has one."""
    tensor = torch.from_numpy(array)
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("convert", [np.ndarray.tolist, trained])
@pytest.mark.parametrize("name", [*OF_PREDICTIONS, *OF_SCORES])
def test_lists_and_tensors_give_what_arrays_give(name, convert):
    metric = getattr(metrics, name)
    given = SCORES > 0 if name in OF_PREDICTIONS else SCORES
    np.testing.assert_array_equal(metric(convert(LABELS), convert(given)), metric(LABELS, given))


@pytest.mark.parametrize("convert", [np.ndarray.tolist, trained])
def test_so_do_pairs_and_thresholds(convert):
    assert metrics.opis_pairs(convert(SCORES), convert(LABELS)) == metrics.opis_pairs(SCORES, LABELS)
    tuned = metrics.tune_thresholds(convert(LABELS), convert(SCORES))
    assert tuned.overall == metrics.tune_thresholds(LABELS, SCORES).overall
    assert metrics.evaluate(convert(LABELS), convert(SCORES), tuned)["map"] == pytest.approx(
        metrics.average_precision(LABELS, SCORES).mean()
    )


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        metrics.macro_f1([[1, 0], [1]], [[True, False], [True]])


def test_objects_over_batches_give_what_the_functions_give_of_all():
    pairs, tuned = metrics.LabelPairOPIS(steps=11, even="rate"), metrics.TunedThresholds()
    for metric in (pairs, tuned):
        metric.update(SCORES[:3], LABELS[:3])
        metric.reset()
        batch = torch.empty(10, 3, dtype=torch.float64)
        for rows in (slice(0, 10), slice(10, 20), slice(20, 30)):
            metric.update(batch.copy_(torch.from_numpy(SCORES[rows])), LABELS[rows].tolist())
    assert pairs.compute() == metrics.opis_pairs(SCORES, LABELS, steps=11, even="rate")
    assert pairs.compute() == pairs.compute()
    expected = metrics.tune_thresholds(LABELS, SCORES)
    assert tuned.compute().overall == expected.overall
    np.testing.assert_array_equal(tuned.compute().per_label, expected.per_label)


def test_objects_refuse_nothing_and_rows_that_do_not_match():
    metric = metrics.TunedThresholds()
    with pytest.raises(ValueError, match="nothing was given"):
        metric.compute()
    with pytest.raises(ValueError, match="3 rows of preds but 2 of target"):
        metric.update(SCORES[:3], LABELS[:2])
