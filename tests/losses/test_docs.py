"""The page on the losses has them all, and its examples run."""

import re
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses
from tests.losses.problems import labels_of

PAGE = Path(__file__).resolve().parents[2].joinpath("docs", "losses.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_loss_has_an_entry_with_an_example():
    for name in losses.names():
        assert f"\n### {name}\n" in PAGE
        entry = PAGE.split(f"\n### {name}\n")[1].split("\n#")[0]
        assert "```python" in entry
        assert f'"{name}"' in entry or f'+{name}"' in entry


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_examples_run():
    labels = labels_of(8, 5).float()
    randn = torch.randn
    given = {
        "torch": torch,
        "labels": labels,
        "losses": losses,
        "z": randn(8, 4),
        "other": randn(8, 4),
        "c": randn(5, 4),
    }
    given |= {
        "a": randn(5, 4),
        "i": torch.arange(8),
        "x": randn(8, 5),
        "f": randn(8, 6),
        "mu": randn(8, 5),
        "var": randn(8, 5).exp(),
    }
    assert len(EXAMPLES) > len(losses.names())
    for example in EXAMPLES:
        exec(example, given)
    squared = given["Squared"](power=2, reduction="mean")
    expected = ((labels > 0).float() - given["x"].sigmoid()).square().mean()
    torch.testing.assert_close(squared(labels, logits=given["x"]), expected)
