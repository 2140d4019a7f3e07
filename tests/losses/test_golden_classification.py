"""The wider classification losses against values and gradients of official code and of naive loops."""

import json
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses

GOLDEN = json.loads(Path(__file__).with_name("classification.json").read_text())
# rows that are compared elsewhere, or with nothing
ELSEWHERE = {
    "moving_denominator": "an option of the pairwise losses: test_moving.py",
    "bce": "weights of examples, an option of the recipe: tests/training/test_reweighting.py",
    "ensloss": "needs the draws: test_ensloss.py",
}
ROWS = [(c, r) for c in GOLDEN["cases"] for r in c["expected"] if r["loss"] not in ELSEWHERE]


def test_every_row_is_compared_or_has_a_reason():
    rows = {row["loss"] for case in GOLDEN["cases"] for row in case["expected"]}
    assert rows == {row["loss"] for _, row in ROWS} | set(ELSEWHERE)
    assert {row["loss"] for _, row in ROWS} <= set(losses.names())


def name_of(case, row):
    given = ",".join(f"{k}={v}" for k, v in row["hyperparameters"].items())
    return f"{case['name']}-{row['loss']}-{given}"


@pytest.mark.parametrize(("case", "row"), ROWS, ids=[name_of(case, row) for case, row in ROWS])
def test_golden(case, row):
    labels = torch.tensor(case["labels"])
    inputs = {
        name: torch.tensor(case["inputs"][name], dtype=torch.float64, requires_grad=True)
        for name in row["uses"]
    }
    assert set(row["uses"]) == set(losses.info(row["loss"]).tensors)
    assert row["component"] is None
    value = losses.create(row["loss"], **row["hyperparameters"])(labels, **inputs, epoch=row["epoch"])
    assert value.item() == pytest.approx(row["value"], rel=1e-6, abs=1e-9)
    found = torch.autograd.grad(value, list(inputs.values()))
    for name, gradient in zip(inputs, found, strict=True):
        expected = torch.tensor(row["gradients"][name], dtype=torch.float64)
        torch.testing.assert_close(
            gradient, expected, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )
