"""The losses against values and gradients that the public reference implementations and naive forms returned."""

import json
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses

FILES = ("golden.json", "metric_learning.json")
PROBLEMS = {name: json.loads(Path(__file__).with_name(name).read_text())["cases"] for name in FILES}
CASES = PROBLEMS["golden.json"]
SAME = {"normalised_softmax": "prototype", "equiangular": "prototype"}  # what a row's loss is here
RENAMED = {"confused": "embeddings"}  # what a tensor is called there
# (loss, component) of rows that are not compared, and why
LEFT_OUT = {
    ("coherence", None): "a measure of prototypes and no loss: tests/models/test_prototypes.py",
    ("hyperbolic_ce", "riemannian_gradient"): "the released gradient is rescaled by a custom backward pass",
    ("hyperbolic_confusion", "riemannian_gradient"): "as above",
    (
        "metrix",
        "mixed_first_positive",
    ): "the released code takes the first positive for every positive of an anchor",
}
ROWS = [
    (case, row)
    for cases in PROBLEMS.values()
    for case in cases
    for row in case["expected"]
    if (row["loss"], row["component"]) not in LEFT_OUT
]
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def _name(case, row):
    hyperparameters = ",".join(f"{k}={v}" for k, v in row["hyperparameters"].items())
    problem = f"{len(case['labels'])}x{len(case['labels'][0])}"
    return "-".join([problem, row["loss"], row["component"] or "", hyperparameters, str(row["epoch"])])


def _value(row, labels, inputs):
    given = dict(row["hyperparameters"])
    partners = given.pop("partners", None)
    criterion = losses.create(SAME.get(row["loss"], row["loss"]), **given)
    if row["component"]:
        return criterion.terms(labels, **inputs)[row["component"]]
    if partners is not None:
        mixing = inputs["embeddings"].new_tensor(criterion.mixing)
        return criterion.of_mixtures(labels, inputs["embeddings"], torch.tensor(partners), mixing)
    return criterion(labels, **inputs, epoch=row["epoch"])


@pytest.mark.parametrize(("case", "row"), ROWS, ids=[_name(case, row) for case, row in ROWS])
@pytest.mark.parametrize("labels_type", [torch.bool, torch.int8, torch.float32])
def test_golden(case, row, labels_type):
    labels = torch.tensor(case["labels"]).to(labels_type)
    inputs = {
        name: torch.tensor(case["inputs"][RENAMED.get(name, name)], dtype=torch.float64, requires_grad=True)
        for name in losses.info(SAME.get(row["loss"], row["loss"])).tensors
    }
    if row["loss"] == "equiangular":  # prototypes that do not train
        inputs["prototypes"].requires_grad_(False)
    value = _value(row, labels, inputs)
    value.backward()
    tolerance = row.get("tolerance", TOLERANCE[row["precision"]])
    assert value.item() == pytest.approx(row["value"], rel=tolerance)
    own = {there: here for here, there in RENAMED.items() if here in inputs}
    wanted = {own.get(name, name): gradient for name, gradient in row["gradients"].items()}
    for name, expected in wanted.items():
        expected = torch.tensor(expected, dtype=torch.float64)
        error = (inputs[name].grad - expected).abs().max() / expected.abs().max().clamp(min=1e-12)
        assert error < tolerance, f"gradient of {name} off by {error:.1e}"
    for name in inputs.keys() - wanted.keys():
        assert inputs[name].grad is None or not inputs[name].grad.any()


def test_every_row_is_compared_or_has_a_reason():
    there = {
        (row["loss"], row["component"])
        for cases in PROBLEMS.values()
        for case in cases
        for row in case["expected"]
    }
    assert set(LEFT_OUT) <= there
    assert {SAME.get(loss, loss) for loss, component in there - set(LEFT_OUT)} <= set(losses.names())


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
