"""The losses against values and gradients that the public reference implementations returned."""

import json
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses

CASES = json.loads(Path(__file__).with_name("golden.json").read_text())["cases"]
ROWS = [(case, row) for case in CASES for row in case["expected"] if row["loss"] in losses.names()]
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def _name(case, row):
    hyperparameters = ",".join(f"{k}={v}" for k, v in row["hyperparameters"].items())
    problem = f"{len(case['labels'])}x{len(case['labels'][0])}"
    return "-".join([problem, row["loss"], row["component"] or "", hyperparameters, str(row["epoch"])])


@pytest.mark.parametrize(("case", "row"), ROWS, ids=[_name(case, row) for case, row in ROWS])
@pytest.mark.parametrize("labels_type", [torch.bool, torch.int8, torch.float32])
def test_golden(case, row, labels_type):
    labels = torch.tensor(case["labels"]).to(labels_type)
    inputs = {
        name: torch.tensor(case["inputs"][name], dtype=torch.float64, requires_grad=True)
        for name in losses.info(row["loss"]).tensors
    }
    criterion = losses.create(row["loss"], **row["hyperparameters"])
    if row["component"]:
        value = criterion.terms(labels, **inputs)[row["component"]]
    else:
        value = criterion(labels, **inputs, epoch=row["epoch"])
    value.backward()
    tolerance = TOLERANCE[row["precision"]]
    assert value.item() == pytest.approx(row["value"], rel=tolerance)
    for name, expected in row["gradients"].items():
        expected = torch.tensor(expected, dtype=torch.float64)
        error = (inputs[name].grad - expected).abs().max() / expected.abs().max()
        assert error < tolerance, f"gradient of {name} off by {error:.1e}"
    for name in inputs.keys() - row["gradients"].keys():
        assert inputs[name].grad is None or not inputs[name].grad.any()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_bce_is_torch_s_own(reduction):
    for case in CASES:
        labels = torch.tensor(case["labels"])
        logits, same = (torch.tensor(case["inputs"]["logits"], requires_grad=True) for _ in range(2))
        value = losses.create("bce", reduction=reduction)(labels, logits=logits)
        expected = torch.nn.BCEWithLogitsLoss(reduction=reduction)(same, labels.float())
        value.backward()
        expected.backward()
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(logits.grad, same.grad)
