"""What training of large encoders adds: parts of a batch, averages, a momentum queue, inputs read ahead, keeping."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlcl_utils import losses, models, training
from mlcl_utils.models.encoder import Rows
from mlcl_utils.training import Recipe
from mlcl_utils.training.averages import Average, MomentumQueue
from mlcl_utils.training.batches import Batches
from tests.training.test_training import CPU, RECIPE, make_task

STILL = dataclasses.replace(RECIPE, dropout=0.0)


def trained(loss: str, recipe: Recipe, epochs: int | None = None) -> training.Training:
    run = training.Training(make_task(), loss, recipe, hyperparameters={}, seed=3, device=CPU)
    run.advance(epochs)
    return run


def weights(run: training.Training) -> dict[str, torch.Tensor]:
    return run.model.state_dict()


@pytest.mark.parametrize("loss", ["bce", "msc", "reg", "jaccard_supcon", "instance", "kmcl", "bce+clml"])
def test_a_batch_in_parts_trains_as_the_whole_batch_does(loss: str) -> None:
    # dropout too: the second pass over a part repeats the draws of the first
    whole, parts = (
        training.Training(
            make_task(),
            loss,
            dataclasses.replace(STILL, accumulate=count),
            hyperparameters={},
            seed=3,
            device=CPU,
        )
        for count in (1, 3)
    )
    whole.advance(1)
    parts.advance(1)
    for name, expected in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], expected, rtol=1e-3, atol=1e-5, msg=name)
    assert parts.history[0]["train_loss"] == pytest.approx(whole.history[0]["train_loss"], rel=1e-4)


def test_in_parts_dropout_draws_the_same_in_both_passes() -> None:
    run = trained("msc", dataclasses.replace(RECIPE, accumulate=4))
    again = trained("msc", dataclasses.replace(RECIPE, accumulate=4))
    assert all(torch.equal(one, weights(again)[name]) for name, one in weights(run).items())
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]


def test_the_average_is_the_exponential_one() -> None:
    run = trained("bce", STILL, 0)
    average = Average(run.model, 0.75)
    first = {name: value.clone() for name, value in run.model.named_parameters()}
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter += 1.0
    average.follow(run.model)
    average.follow(run.model)
    for name, value in average.model.named_parameters():
        torch.testing.assert_close(value, first[name] + 1 - 0.75**2)
        assert not value.requires_grad


def test_training_with_an_average_gives_the_average() -> None:
    run = trained("bce", dataclasses.replace(RECIPE, ema=0.9))
    fitted = run.fitted().model
    assert fitted is not run.model
    own, averaged = run.model.classifier.weight, fitted.classifier.weight
    assert not torch.equal(own, averaged)
    # the average lags behind the model, and lies between where it began and where it is
    begun = trained("bce", RECIPE, 0).model.classifier.weight
    assert 0 < (averaged - begun).norm() < (own - begun).norm() * 1.5


def test_a_queue_keeps_the_newest_embeddings_with_their_labels() -> None:
    run = trained("msc", STILL, 0)
    queue = MomentumQueue(run.model, 5, 0.9)
    embeddings, labels = torch.randn(3, 4), torch.eye(3)
    assert queue.joined(embeddings, labels) == (embeddings, labels)
    for step in range(3):
        queue.push(torch.full((2, 4), float(step)), torch.full((2, 3), step))
    joined, joined_labels = queue.joined(embeddings, labels)
    assert joined[3:, 0].tolist() == joined_labels[3:, 0].tolist() == [2, 2, 1, 1, 0]
    torch.testing.assert_close(joined[:3], embeddings)


@pytest.mark.parametrize("loss", ["jaccard_supcon", "mulsupcon", "similarity_dissimilarity", "msc", "reg"])
def test_a_queue_adds_candidates_and_its_absence_changes_nothing(loss: str) -> None:
    plain = trained(loss, RECIPE)
    none = trained(loss, dataclasses.replace(RECIPE, queue=0, momentum=0.5))
    queued = trained(loss, dataclasses.replace(RECIPE, queue=64, momentum=0.5))
    assert all(torch.equal(one, weights(none)[name]) for name, one in weights(plain).items())
    assert queued.history[0]["train_loss"] != plain.history[0]["train_loss"]
    assert queued.history[0]["validation_loss"] < 2 * plain.history[0]["validation_loss"]  # the plain loss


def test_the_first_batch_meets_an_empty_queue_and_the_second_the_first() -> None:
    """One step with a queue is one step without; then the loss is that of the joined batch, by hand."""
    recipe = dataclasses.replace(STILL, epochs=1, queue=1000, momentum=0.5)
    run = trained("msc", recipe, 0)
    inputs, labels = (
        torch.from_numpy(part) for part in (make_task().train.features, make_task().train.labels)
    )
    run.model.train()
    first = run._step(0, inputs[:32], labels[:32], torch.arange(32), None)
    criterion = losses.create("msc")
    plain = trained("msc", STILL, 0)
    torch.testing.assert_close(first, criterion(labels[:32], **plain.model(inputs[:32])).detach())
    keys = run._queue.joined(torch.zeros(0, models.EMBEDDING_WIDTH), labels[:0])[0]
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(32))
    given = run.model(inputs[32:64])
    expected = criterion(
        labels[:64].roll(32, 0),
        embeddings=torch.cat([given["embeddings"], keys]),
        prototypes=given["prototypes"],
        anchors=32,
    ).detach()
    torch.testing.assert_close(
        run._step(1, inputs[32:64], labels[32:64], torch.arange(32, 64), None), expected
    )


@pytest.mark.parametrize("loss", ["bce", "prototype", "instance", "bce+clml"])
def test_a_loss_that_contrasts_no_examples_does_without_a_queue(loss: str) -> None:
    plain, queued = trained(loss, RECIPE, 1), trained(loss, dataclasses.replace(RECIPE, queue=8), 1)
    assert all(torch.equal(one, weights(queued)[name]) for name, one in weights(plain).items())


@pytest.mark.parametrize(
    "changes", [{"ema": 0.9}, {"queue": 64}, {"accumulate": 3}, {"ema": 0.9, "queue": 40, "accumulate": 2}]
)
def test_it_is_stopped_and_continued_to_the_bit(changes: dict[str, float], tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, **changes)
    whole, first = trained("msc", recipe), trained("msc", recipe, 2)
    torch.save(first.checkpoint(), tmp_path / "kept.pt")
    second = trained("msc", recipe, 0)
    second.restore(torch.load(tmp_path / "kept.pt", weights_only=True))
    second.advance()
    assert second.history == whole.history
    for model, other in ((whole.model, second.model), (whole.fitted().model, second.fitted().model)):
        expected = model.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in other.state_dict().items())


def test_rows_are_read_ahead_in_the_order_asked_for(tmp_path: Path) -> None:
    store = torch.arange(60).reshape(20, 3)
    rows = Rows(store, torch.arange(19, -1, -1))
    batches = torch.randperm(20).split(3)
    ahead = Batches(rows, CPU)
    found = list(ahead.over(batches))
    assert [part.tolist() for part in found] == [store[19 - batch].tolist() for batch in batches]
    assert len(ahead) == 20
    assert ahead.waited > 0
    resident = Batches(store.flip(0), CPU)
    assert all(torch.equal(one, other) for one, other in zip(found, resident.over(batches), strict=True))
    assert resident.waited == 0


def test_padding_is_left_out_of_a_batch() -> None:
    store = torch.tensor([[1, 2, 3, 4], [5, 6, -1, -1], [7, -1, -1, -1], [-1, -1, -1, -1]])
    rows = Rows(store, torch.arange(4), padding=-1)
    assert rows[torch.tensor([1, 2])].tolist() == [[5, 6], [7, -1]]
    assert rows[torch.tensor([3])].tolist() == [[-1]]
    assert rows[torch.tensor([0, 3])].shape == (2, 4)


DRIVER = """
import sys
from pathlib import Path
import torch
from mlcl_utils.training import Recipe, fit, keeping
from tests.models.test_pretrained import NET, small
keeping.KEEP_SECONDS = 0.0
torch.set_num_threads(1)
recipe = Recipe(epochs=40, min_steps=0, batch_size=20, learning_rate=1e-3, augment="strong", ema=0.9, queue=32)
task = small("fashion-scenes")
where = {"seed": 1, "device": torch.device("cpu"), "keep": Path(sys.argv[1])}
after = keeping.Keeper.after_epoch
def said(self):
    after(self)
    print(self._training.epoch, flush=True)
keeping.Keeper.after_epoch = said
fitted = fit(task, "msc", recipe, encoder=NET, hyperparameters={}, **where)
torch.save({"model": fitted.model.state_dict(), "history": fitted.history}, sys.argv[2])
"""


@pytest.mark.long
@pytest.mark.slow
def test_end_to_end_training_killed_outright_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLCL_CACHE", str(tmp_path / "cache"))

    def begin(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", DRIVER, str(tmp_path / f"{name}.kept"), str(tmp_path / f"{name}.pt")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    whole = begin("whole")
    said = whole.communicate(timeout=300)[0].split()
    assert said == [str(epoch) for epoch in range(1, 41)]
    begun: list[int] = []
    for stop in (7, 23):
        killed = begin("killed")
        for line in killed.stdout:
            begun.append(int(line))
            if int(line) >= stop:
                killed.send_signal(signal.SIGKILL)
                break
        killed.wait()
    last = begin("killed")
    rest = [int(word) for word in last.communicate(timeout=300)[0].split()]
    assert rest[-1] == 40
    assert rest[0] > 20  # it went on, and did not begin again
    assert begun.count(1) == 1
    expected, found = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "killed"))
    assert found["history"] == expected["history"]
    assert all(torch.equal(value, found["model"][name]) for name, value in expected["model"].items())


@pytest.mark.parametrize("change", ["made", "width"])
def test_a_training_that_was_kept_elsewhere_is_begun_again(tmp_path: Path, change: str) -> None:
    """On another kind of device, by another number of processes, or of another model."""
    from mlcl_utils.training.keeping import Keeper

    recipe = dataclasses.replace(RECIPE, width=20) if change == "width" else RECIPE
    begun = training.Training(make_task(), "bce", recipe, hyperparameters={}, seed=0, device=CPU)
    begun.advance(2)
    keeper = Keeper(tmp_path / "kept", begun)
    keeper._write(tmp_path / "kept")
    if change == "made":
        stored = torch.load(tmp_path / "kept", weights_only=True)
        stored["made"][0] = "cuda"
        torch.save(stored, tmp_path / "kept")
    found, expected = (
        training.fit(make_task(), "bce", RECIPE, hyperparameters={}, seed=0, device=CPU, keep=keep)
        for keep in (tmp_path / "kept", None)
    )
    assert found.history == expected.history
    assert all(
        torch.equal(value, found.model.state_dict()[name])
        for name, value in expected.model.state_dict().items()
    )


def test_a_kept_file_that_cannot_be_read_is_begun_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(b"no checkpoint")
    found = training.fit(make_task(), "bce", RECIPE, hyperparameters={}, seed=0, device=CPU, keep=kept)
    expected = training.fit(make_task(), "bce", RECIPE, hyperparameters={}, seed=0, device=CPU)
    assert found.history == expected.history


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler on the CPU")
def test_a_compiled_encoder_trains_as_it_does_otherwise() -> None:
    found = [trained("msc", dataclasses.replace(STILL, epochs=1, compile=how)) for how in (False, True)]
    for name, value in weights(found[0]).items():
        torch.testing.assert_close(weights(found[1])[name], value, rtol=1e-3, atol=1e-5, msg=name)
