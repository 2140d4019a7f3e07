"""Encoders of torchvision and Hugging Face, end to end: names, identity, inputs, gradients."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from mlcl_utils import data, losses, models, training
from mlcl_utils.data import Task
from mlcl_utils.errors import UsageError
from mlcl_utils.models import pretrained
from mlcl_utils.training import Recipe
from tests.features.models import write_text_model

CPU = torch.device("cpu")
NET = "mobilenet_v3_small@32:random"


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory):
    """Pixels go into a folder of their own, and not into the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLCL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def small(name: str, count: int = 60) -> Task:
    """A task on a few examples of each part of an embedded set."""
    task = data.task(data.load(name), num_labels=10, replicate=0)

    def few(part):
        changed = {
            field.name: value[:count]
            for field in dataclasses.fields(part)
            if isinstance(value := getattr(part, field.name), np.ndarray)
        }
        return dataclasses.replace(part, **changed)

    return dataclasses.replace(
        task, train=few(task.train), validation=few(task.validation), test=few(task.test)
    )


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_text_model(tmp_path_factory.mktemp("bert")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", ("torchvision", "resnet50", 224, None)),
        ("resnet101@448", ("torchvision", "resnet101", 448, None)),
        ("vit_b_16:random", ("torchvision", "vit_b_16", 224, "random")),
        ("resnet50@96:/a/b.c/w.pth", ("torchvision", "resnet50", 96, "/a/b.c/w.pth")),
        ("google-bert/bert-base-uncased", ("transformers", "google-bert/bert-base-uncased", 128, None)),
        ("google-bert/bert-base-uncased@64", ("transformers", "google-bert/bert-base-uncased", 64, None)),
    ],
)
def test_a_name_says_what_an_encoder_is(name, expected):
    assert dataclasses.astuple(pretrained.parse(name)) == expected
    assert models.kind(name) == expected[0]
    assert models.suitable(name, "image") == (expected[0] == "torchvision")
    assert models.suitable(name, "text") == (expected[0] == "transformers")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5O", "did you mean 'resnet50'"),
        ("bagg", "did you mean 'bag'"),
        ("resnet50@big", "encoder"),
        ("./no/such/folder", "is not the folder of a Hugging Face model"),
    ],
)
def test_a_name_that_means_nothing_is_refused(name, message):
    with pytest.raises(UsageError, match=message):
        models.kind(name)


def test_identity_is_of_the_weights_and_not_of_their_folder(tmp_path, text_model):
    assert models.identity("frozen") == "frozen"
    assert models.identity("resnet18") == "resnet18@224:IMAGENET1K_V1"
    assert models.identity("resnet18@64:random") == "resnet18@64:random"
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.pth").write_bytes(content)
    one, same, other = (models.identity(f"resnet18:{tmp_path}/{folder}/w.pth") for folder in "abc")
    assert one == same != other
    copied = write_text_model(tmp_path / "else" / Path(text_model).name)
    changed = write_text_model(tmp_path / "again" / Path(text_model).name, seed=1)
    assert models.identity(text_model) == models.identity(str(copied)) != models.identity(str(changed))
    assert models.identity(text_model) != models.identity(f"{text_model}@12")
    with pytest.raises(UsageError, match=r"weights .*gone\.pth is missing"):
        models.identity(f"resnet18:{tmp_path}/gone.pth")
    with pytest.raises(UsageError, match="IMAGENET1K_V1"):
        models.identity("resnet18:IMAGENET1K_V9")


def test_pixels_are_those_of_the_images_and_the_network_those_of_torchvision():
    from torchvision import models as vision

    task = small("fashion-scenes", 5)
    kind = models.encoder_class(NET)
    inputs = kind.inputs(task)
    pixels = inputs["test"][torch.arange(5)]
    assert (pixels.shape, pixels.dtype) == ((5, 3, 32, 32), torch.uint8)
    assert torch.equal(pixels[:, 0], pixels[:, 1])  # grey
    grey = task.dataset.images()[task.test.index]
    expected = torch.from_numpy(grey)[:, None].float()
    smaller = torch.nn.functional.interpolate(expected, 32, mode="bilinear", antialias=True)[:, 0]
    assert (smaller - pixels[:, 0].float()).abs().max() <= 2
    model = training.untrained(task, Recipe(epochs=1), encoder=NET, seed=4, device=CPU).eval()
    found = model.encoder(pixels)
    assert found.shape == (5, model.encoder.width)
    bare = vision.get_model("mobilenet_v3_small", weights=None).eval()
    bare.classifier[-1] = torch.nn.Identity()
    bare.load_state_dict(model.encoder.model.state_dict())
    preset = vision.get_model_weights("mobilenet_v3_small").DEFAULT.transforms()
    mean, std = torch.tensor(preset.mean).view(3, 1, 1), torch.tensor(preset.std).view(3, 1, 1)
    torch.testing.assert_close(found, bare((pixels / 255 - mean) / std), rtol=1e-4, atol=1e-5)


def test_drawn_weights_follow_the_seed():
    task = small("fashion-scenes", 4)
    made = [training.untrained(task, Recipe(epochs=1), encoder=NET, seed=s, device=CPU) for s in (1, 1, 2)]
    one, same, other = (model.encoder.model.features[0][0].weight for model in made)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("augment", ["none", "crop", "strong"])
def test_images_are_changed_in_training_alone_and_each_on_its_own(augment):
    task = small("emoji", 4)
    recipe = Recipe(epochs=1, augment=augment)
    encoder = training.untrained(task, recipe, encoder=NET, seed=0, device=CPU).encoder
    seen: list[torch.Tensor] = []
    encoder.model = torch.nn.Module()
    encoder.model.forward = lambda values: seen.append(values) or values.mean(dim=(2, 3))
    one = models.encoder_class(NET).inputs(task)["train"][torch.tensor([1, 1, 1])]
    torch.manual_seed(0)
    for mode in (False, False, True, True):
        encoder.train(mode)
        encoder(one)
    still, again, first, second = seen
    assert torch.equal(still, again)
    assert torch.equal(still[0], still[1])
    if augment == "none":
        assert torch.equal(still, first)
        return
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1]) or not torch.equal(first[1], first[2])


def test_a_network_for_one_size_alone_says_so():
    with pytest.raises(UsageError, match="vit_b_16' reads images of 224 pixels, not of 32"):
        training.untrained(
            small("fashion-scenes", 4), Recipe(epochs=1), encoder="vit_b_16@32:random", seed=0, device=CPU
        )


def test_texts_come_as_tokens_and_the_representation_is_the_mean_over_them(text_model):
    from transformers import AutoModel, AutoTokenizer

    task = small("debtags", 6)
    name = f"{text_model}@20"
    rows = models.encoder_class(name).inputs(task)["validation"]
    batch = rows[torch.arange(6)]
    tokenizer = AutoTokenizer.from_pretrained(text_model)
    texts = [task.dataset.texts()[i] for i in task.validation.index]
    expected = tokenizer(texts, truncation=True, max_length=20, padding=True, return_tensors="pt")
    mask = expected["attention_mask"].bool()
    assert torch.equal(batch != -1, mask)
    assert torch.equal(batch[mask].long(), expected["input_ids"][mask])
    model = training.untrained(task, Recipe(epochs=1), encoder=name, seed=0, device=CPU).eval()
    states = AutoModel.from_pretrained(text_model).eval()(**expected).last_hidden_state
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(model.encoder(batch), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["bce", "msc", "instance"])
@pytest.mark.parametrize("which", ["image", "text"])
def test_the_encoder_itself_is_trained(loss, which, text_model):
    task = small("fashion-scenes" if which == "image" else "debtags", 40)
    name = NET if which == "image" else f"{text_model}@12"
    recipe = Recipe(epochs=2, min_steps=0, batch_size=20, learning_rate=1e-3)
    before = training.untrained(
        task, recipe, encoder=name, tensors=losses.info(loss).tensors, seed=0, device=CPU
    )
    fitted = training.fit(task, loss, recipe, encoder=name, hyperparameters={}, seed=0, device=CPU)
    was, now = dict(before.encoder.named_parameters()), dict(fitted.model.encoder.named_parameters())
    moved = [name for name in was if not torch.equal(was[name], now[name])]
    assert len(moved) > 0.8 * len(was)
    assert all(np.isfinite(row["train_loss"]) for row in fitted.history)
    again = training.fit(task, loss, recipe, encoder=name, hyperparameters={}, seed=0, device=CPU)
    assert all(torch.equal(value, now[key]) for key, value in again.model.encoder.named_parameters())


def test_what_the_baselines_read_of_images_is_their_pixels():
    task = small("fashion-scenes", 7)
    raw = models.encoder_class(NET).raw(task)["train"]
    assert raw.shape == (7, 3 * 16 * 16)
    rows = models.encoder_class(NET).inputs(task)["train"][torch.arange(7)]
    pooled = torch.nn.functional.avg_pool2d(rows / 255, 2).flatten(1)
    torch.testing.assert_close(raw, pooled)
