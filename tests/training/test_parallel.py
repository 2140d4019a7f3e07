"""Several processes that train one model: the loss and its gradient are those of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mlcl_utils import losses
from mlcl_utils.training import parallel

LOSSES = [
    *(name for name, info in losses.available().items() if info.family == "contrastive"),
    *("kmcl", "kmcl: asl", "cosine_bce", "bce+clml", "splc"),
]

DRIVER = """
import copy, json, sys
import torch
from mlcl_utils import losses, training
from mlcl_utils.models.heads import OF_LABELS
from mlcl_utils.training import Recipe, parallel
from tests.training.test_parallel import LOSSES
from tests.training.test_training import make_task

device = parallel.start(torch.device("cpu"))
torch.set_num_threads(1)
task = make_task()
found = {}
for name in LOSSES:
    name, _, alone_asl = name.partition(": ")
    settings = {"reconstruction": 0.0, "contrastive": 0.0} if alone_asl else {}
    for batch in (8, 9, 17):  # 9 and 17 cannot be divided evenly
        recipe = Recipe(epochs=1, width=24, dropout=0.0)
        model = training.untrained(
            task, recipe, tensors=losses.info(name).tensors, seed=1, device=device
        ).double()
        inputs = torch.from_numpy(task.train.features[:batch]).double()
        labels = torch.from_numpy(task.train.labels[:batch])
        criterion = losses.create(name, **settings).double()
        alone = copy.deepcopy(model)
        torch.manual_seed(2)  # of what a loss draws
        expected = criterion(labels, **alone(inputs), epoch=1)
        expected.backward()
        joint = parallel.distributed(model, device)
        given = joint(inputs[parallel.share(torch.arange(batch))])
        gathered = {k: v if k in OF_LABELS else parallel.gather(v, batch) for k, v in given.items()}
        torch.manual_seed(2)
        value = parallel.reaching_all(criterion(labels, **gathered, epoch=1), given)
        value.backward()
        wanted = {k: p.grad for k, p in alone.named_parameters()}
        got = {k: p.grad for k, p in model.named_parameters()}
        size = max(float(g.abs().max()) for g in wanted.values() if g is not None)
        worst = max(float((got[k] - g).abs().max()) for k, g in wanted.items() if g is not None)
        found[f"{name}{alone_asl} {batch}"] = [abs(value.item() - expected.item()), worst, size]
everywhere = parallel.from_all(found)
if parallel.rank() == 0:
    json.dump(everywhere, open(sys.argv[1], "w"))
parallel.leave()
"""


def torchrun(processes: int, script: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    done = subprocess.run(
        [*command, str(processes), str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.long), 3])
def test_value_and_gradient_are_those_of_one_process(processes: int, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    torchrun(processes, tmp_path / "driver.py", str(tmp_path / "found.json"))
    everywhere = json.loads((tmp_path / "found.json").read_text())
    assert len(everywhere) == processes
    for found in everywhere:
        assert len(found) == 3 * len(LOSSES)
        for name, (value, gradient, size) in found.items():
            assert value < 1e-6, name
            assert gradient < 1e-6, name
            assert size > 1e-4, name  # or else there was nothing to compare


UNEVEN = """
import copy, json, sys
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from mlcl_utils import losses
from mlcl_utils.models import heads
from mlcl_utils.training import parallel

device = parallel.start(torch.device("cpu"))
torch.set_num_threads(1)
torch.manual_seed(0)
criterion = losses.REG()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.heads = nn.Linear(6, 8), heads.for_loss(criterion, 8, 3)

    def forward(self, x):
        return self.heads(self.body(x))


network = Network().double()
alone = copy.deepcopy(network)
x = torch.randn(8, 6, dtype=torch.float64)
y = torch.randint(2, (8, 3)).bool()
value = criterion(y, **alone(x))
value.backward()
joint = DistributedDataParallel(network)
own = slice(0, 5) if parallel.rank() == 0 else slice(5, 8)
given = joint(x[own])
labels = parallel.gather_all(y[own])
got = criterion(labels, embeddings=parallel.gather_all(given["embeddings"]), prototypes=given["prototypes"])
got.backward()
worst = max(
    float((p.grad - q.grad).abs().max()) for p, q in zip(alone.parameters(), network.parameters())
)
size = max(float(p.grad.abs().max()) for p in alone.parameters())
none = parallel.gather_all(x[:0] if parallel.rank() else x[:2])
found = [torch.equal(labels, y), abs(float(got - value)), worst, size, torch.equal(none, x[:2])]
everywhere = parallel.from_all(found)
if parallel.rank() == 0:
    json.dump(everywhere, open(sys.argv[1], "w"))
parallel.leave()
"""


@pytest.mark.slow
def test_rows_are_gathered_with_gradient_however_many_each_process_has(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(UNEVEN)
    torchrun(2, tmp_path / "driver.py", str(tmp_path / "found.json"))
    everywhere = json.loads((tmp_path / "found.json").read_text())
    assert len(everywhere) == 2
    for same, value, gradient, size, empty in everywhere:
        assert same
        assert empty
        assert value < 1e-12
        assert gradient < 1e-12
        assert size > 1e-3  # or else there was nothing to compare


def test_one_process_alone_gathers_itself() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert parallel.gather_all(rows) is rows


WHOLE = """
import copy, json, sys
import torch
from mlcl_utils.training import Recipe, Training, parallel
from tests.training.test_training import make_task

device = parallel.start(torch.device("cpu"))
torch.set_num_threads(1)
recipe = Recipe(epochs=2, min_steps=0, batch_size=33, width=24, dropout=0.0, **json.loads(sys.argv[2]))
loss = sys.argv[3]
run = Training(make_task(), loss, recipe, hyperparameters={}, seed=3, device=device)
run.advance(1)
kept = copy.deepcopy(run.checkpoint())
run.advance()
again = Training(make_task(), loss, recipe, hyperparameters={}, seed=3, device=device)
again.restore(kept)
again.advance()
assert again.history == run.history
if parallel.rank() == 0:
    torch.save({"history": run.history, "model": run.fitted().model.state_dict()}, sys.argv[1])
parallel.leave()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, marks=pytest.mark.long),
        pytest.param({"accumulate": 2}, marks=pytest.mark.long),
        {"ema": 0.9, "queue": 50},
    ],
)
def test_a_whole_training_is_that_of_one_process(settings: dict[str, float], tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(WHOLE)
    found = []
    for processes in (1, 2):
        path = tmp_path / f"{processes}.pt"
        torchrun(processes, tmp_path / "driver.py", str(path), json.dumps(settings), "msc")
        found.append(torch.load(path, weights_only=True))
    _same_training(*found)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["metrix_supcon", pytest.param("prototype", marks=pytest.mark.long)])
def test_mixtures_are_those_of_one_process_that_encodes_in_parts(loss: str, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(WHOLE)
    found = []
    for processes, parts in ((1, 2), (2, 1)):
        path = tmp_path / f"{processes}.pt"
        settings = json.dumps({"mix": "input", "accumulate": parts})
        torchrun(processes, tmp_path / "driver.py", str(path), settings, loss)
        found.append(torch.load(path, weights_only=True))
    one, two = (training["history"] for training in found)
    assert [row["train_loss"] for row in two] == pytest.approx([r["train_loss"] for r in one], rel=1e-4)
    for name, value in found[0]["model"].items():
        torch.testing.assert_close(found[1]["model"][name], value, rtol=5e-3, atol=5e-4, msg=name)


def _same_training(one: dict[str, Any], two: dict[str, Any]) -> None:
    for first, second in zip(one["history"], two["history"], strict=True):
        assert second == pytest.approx(first, rel=1e-4)
    for name, value in one["model"].items():
        torch.testing.assert_close(two["model"][name], value, rtol=5e-3, atol=5e-4, msg=name)


def test_one_process_shares_with_nobody() -> None:
    batch = torch.arange(5)
    assert torch.equal(parallel.share(batch), batch)
    assert parallel.gather(batch, 5) is batch
    assert (parallel.size(), parallel.rank(), parallel.from_all("x")) == (1, 0, ["x"])
