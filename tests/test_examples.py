"""The code of the pages for training of one's own, and the examples, as they stand there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def blocks(page: str) -> list[str]:
    text = (CHECKOUT / "docs" / page).read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def executed(code: str) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "page"}
    exec(code, found)
    return found


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ten_lines_run() -> None:
    code = blocks("your-own-training.md")[0]
    found = executed(code)
    assert found["scores"].shape == (256, 5)
    assert found["scores"].isfinite().all()


def test_the_objects_over_batches_run() -> None:
    found = executed(blocks("your-own-training.md")[1])
    assert found["consistency"] >= 0
    assert len(found["thresholds"].per_label) == 5


def test_the_estimator_runs() -> None:
    found = executed(blocks("estimator.md")[0])
    assert found["labels"].shape == found["probabilities"].shape == (100, 5)


def test_trainer_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="needs transformers")
    pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("hugging-face.md")
    start, train = code.split("outcome = trainer.train()")
    found = executed(start)
    before = {name: p.detach().clone() for name, p in found["network"].named_parameters()}
    exec("outcome = trainer.train()" + train, found)
    assert np.isfinite(found["outcome"].training_loss)
    assert found["outcome"].global_step == 4
    after = dict(found["network"].named_parameters())
    for name in ("heads.prototypes", "encoder.embeddings.word_embeddings.weight"):
        assert not before[name].equal(after[name].detach())
    assert found["scores"].shape == (64, 4)


def test_lightning_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning", reason="needs lightning")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("lightning.md")
    start, fit = code.split("trainer.fit(")
    found = executed(start)
    before = found["module"].heads.prototypes.detach().clone()
    exec("trainer.fit(" + fit, found)
    assert not before.equal(found["module"].heads.prototypes.detach())
    assert np.isfinite(found["trainer"].callback_metrics["threshold"])


def write_mulan(folder: Path, name: str) -> None:
    """A set in MULAN's layout whose two labels are signs of its features."""
    generator = np.random.default_rng(0)
    labels = "".join(f'<label name="l{i}"></label>' for i in range(2))
    (folder / f"{name}.xml").write_text(
        f'<labels xmlns="http://mulan.sourceforge.net/labels">{labels}</labels>'
    )
    head = [f"@attribute f{i} numeric" for i in range(4)] + [f"@attribute l{i} {{0,1}}" for i in range(2)]
    for part, count in (("train", 240), ("test", 80)):
        x = generator.normal(size=(count, 4))
        lines = [",".join([*(f"{v:.4f}" for v in row), *(str(int(v > 0)) for v in row[:2])]) for row in x]
        (folder / f"{name}-{part}.arff").write_text(
            "\n".join([f"@relation {name}", *head, "@data", *lines]) + "\n"
        )


def test_a_network_of_ones_own_is_trained(tmp_path: Path) -> None:
    write_mulan(tmp_path, "signs")
    script = CHECKOUT / "examples" / "train_your_own.py"
    assert len([line for line in script.read_text().splitlines() if line.strip()]) <= 40
    found = example("train_your_own").main(str(tmp_path), "signs", epochs=30)
    assert found["map"] > 0.9
    assert found["macro_f1"] > 0.8
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "signs", "bce"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert re.match(r"map [01]\.\d{3}, ", done.stdout)


def test_a_network_without_a_score_says_what_to_add(tmp_path: Path) -> None:
    write_mulan(tmp_path, "signs")
    with pytest.raises(SystemExit, match="as in jaccard_supcon\\+bce"):
        example("train_your_own").main(str(tmp_path), "signs", "jaccard_supcon", epochs=1)


def test_the_estimator_is_put_beside_scikit_learns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mulan(tmp_path, "signs")
    beside = example("beside_scikit_learn")
    monkeypatch.setattr(beside, "SEEDS", 1)
    beside.main(str(tmp_path), ["signs"])
    rows = capsys.readouterr().out.strip().splitlines()
    assert len(rows) == 2 + len(beside.ARMS)
    assert all(row.startswith("| signs | ") for row in rows[2:])


@pytest.mark.parametrize("name", ["jaccard_supcon", "mulsupcon"])
def test_with_one_label_each_it_is_the_loss_of_metric_learning(name: str) -> None:
    theirs = pytest.importorskip("pytorch_metric_learning.losses", reason="needs pytorch-metric-learning")
    import torch

    from mlcl_utils import losses

    torch.manual_seed(0)
    classes = torch.randint(5, (40,))
    one, other = (
        torch.randn(40, 16, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in "ab"
    )
    ours = losses.create(name, temperature=0.2)(torch.nn.functional.one_hot(classes, 5), embeddings=one)
    wanted = theirs.SupConLoss(temperature=0.2)(other, classes)
    ours.backward()
    wanted.backward()
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
